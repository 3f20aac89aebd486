-- report: a worker says that it is alive and which revision it has applied.
--
-- KEYS  1 reports   2 beats
-- ARGV  1 worker id   2 its report (msgpack, opaque here)
--       3 how long a report counts as live, ms   4 how long it is remembered, ms   5 channel to publish on
-- Returns  how many workers are live, this one included
-- Atomic so that the time, by Redis' clock, is that of the report, and the count includes it.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local value = struct.pack('>I8', now_ms) .. ARGV[2]

redis.call('HSET', KEYS[1], ARGV[1], value)
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms - ARGV[4], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], gone)
  redis.call('ZREM', KEYS[2], gone)
end
redis.call('PUBLISH', ARGV[5], '+' .. value)
return redis.call('ZCOUNT', KEYS[2], '(' .. string.format('%.0f', now_ms - ARGV[3]), '+inf')
