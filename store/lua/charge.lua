-- needs window
-- charge: count what was spent of some limits while Redis was not there to be asked.
--
-- KEYS  one per limit, as in take
-- ARGV  six per limit: the five by which take knows it, then what is owed: µs of a rate, a number of a quota's
-- Returns  how many limits were charged
-- Atomic because it reads and writes what others take from. A rate's arrival time may come to be farther ahead than its
-- slack, by five seconds at most: those who were counted apart for a while wait until it has been made good.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local DEBT = 5000000
local count = 0
for i = 1, #KEYS do
  local at = 6 * i - 5
  local slack, parts, owed = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  if owed > 0 then
    local kept = redis.call('GET', KEYS[i])
    local us, part, kept_parts
    if kept then us, part, kept_parts = string.match(kept, '^(%d+) (%d+) (%d+)') end
    count = count + 1
    if parts == 0 then
      local began, ends = window_of(tonumber(ARGV[at + 3]), now)
      local used = (us and tonumber(kept_parts) == 0 and tonumber(part) == began) and tonumber(us) or 0
      redis.call('SET', KEYS[i], string.format('%.0f %.0f 0', used + owed, began),
        'PX', string.format('%.0f', math.floor((ends - now) / 1000) + 1))
    else
      local ahead = 0
      if us and tonumber(kept_parts) > 0 then ahead = math.max(0, us - now + (tonumber(part) > 0 and 1 or 0)) end
      ahead = math.min(ahead + owed, slack + DEBT)
      redis.call('SET', KEYS[i], string.format('%.0f 0 %.0f %.0f 0', now + ahead, parts, now),
        'PX', string.format('%.0f', math.floor(ahead / 1000) + 1))
    end
  end
end
return count
