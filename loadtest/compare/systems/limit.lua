-- The limit that nginx with Lua asks Redis for: GCRA on Redis' clock, in microseconds.
-- KEYS[1]: the key's theoretical arrival time. ARGV: the interval of one request, and how many at once.
-- Returns {1 when admitted else 0, how many are left, seconds until all are there again}.
-- One script, because reading and writing the arrival time must not be two steps.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local ahead = arrival + interval - now
local is_admitted = ahead <= interval * burst
if is_admitted then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival + interval), 'PX', math.ceil(ahead / 1000) + 1)
else
    ahead = arrival - now
end
return {is_admitted and 1 or 0, math.floor(burst - ahead / interval), math.ceil(ahead / 1000000)}
