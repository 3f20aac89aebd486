-- give_back: let others have units that were taken and that nobody has spent.
--
-- KEYS  one per limit, as in take
-- ARGV  taken at us    when they were taken, by this clock
--       then three per limit: us and part of all these units, and the parts in which they count; of a quota what they
--       use of it, 0 and 0
-- Returns  how many limits have them again
-- Atomic because it may only be done where the arrival time has simply moved on since. Where it was set anew meanwhile,
-- because the limit was at rest or edited, it is later than it would be without these units by less than they are, and
-- to move it back by all of them would let more be spent than the limit allows. Nor is a quota of another window theirs.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken_at = tonumber(ARGV[1])
local count = 0
for i = 1, #KEYS do
  local kept = redis.call('GET', KEYS[i])
  local us, part, parts, set_us
  if kept then us, part, parts, set_us = string.match(kept, '^(%d+) (%d+) (%d+) (%d+)$') end
  if us and parts == ARGV[3 * i + 1] and tonumber(set_us) <= taken_at then
    us, part = us - ARGV[3 * i - 1], part - ARGV[3 * i]
    if parts == '0' then
      redis.call('SET', KEYS[i], string.format('%.0f %.0f 0 %.0f', math.max(0, us), part, part), 'KEEPTTL')
    else
      if part < 0 then us, part = us - 1, part + parts end
      if us > now then
        redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f %.0f', us, part, parts, set_us),
          'PX', string.format('%.0f', math.floor((us - now) / 1000) + 1))
      else
        redis.call('DEL', KEYS[i])
      end
    end
    count = count + 1
  end
end
return count
