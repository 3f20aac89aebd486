-- give_back: undo the taking of units that nobody has spent, where nobody has taken any since.
--
-- KEYS  one per limit, as in gcra
-- ARGV  two per limit: the arrival time that the taking left, and the one to go back to, both as they are kept
-- Returns  how many limits were set back
-- Atomic because it may only undo the very last taking: with another in between, the arrival time of a limit would be
-- earlier than if the units had never been taken, and more could be spent than the limit allows.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local count = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[2 * i - 1] then
    local left = tonumber(string.match(ARGV[2 * i], '^%d+')) - now
    if left > 0 then
      redis.call('SET', KEYS[i], ARGV[2 * i], 'PX', string.format('%.0f', math.floor(left / 1000) + 1))
    else
      redis.call('DEL', KEYS[i])
    end
    count = count + 1
  end
end
return count
