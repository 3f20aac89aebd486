-- enter: count a worker's requests that are under way towards a limit of those at once.
--
-- KEYS  hash: worker -> 'count until', so many of its requests, which count until then (us of Redis' clock)
-- ARGV  worker     whose requests these are
--       most       how many may be under way in the fleet
--       running    how many this worker has, whatever was counted of it before
--       wanted     how many it would like to have besides
--       life us    for how long they count unless it says so again
-- Returns  {how many besides may begin, how many are under way in the fleet then}
-- Atomic because look and count must be one. A worker says how many it has, not how many more or fewer, so nothing is
-- lost with a lost call; and as they count for a while only, a worker that dies frees what it had.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, running, wanted, life = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local others = 0
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  local count, until_us = string.match(counts[i + 1], '^(%d+) (%d+)$')
  if not count or tonumber(until_us) <= now then
    redis.call('HDEL', KEYS[1], counts[i])
  elseif counts[i] ~= ARGV[1] then
    others = others + count
  end
end
local granted = math.max(0, math.min(wanted, most - others - running))
local own = running + granted
if own > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f', own, now + life))
  redis.call('PEXPIRE', KEYS[1], math.floor(life / 1000) + 1)
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return {granted, others + own}
