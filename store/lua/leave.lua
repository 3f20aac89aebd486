-- leave: a worker goes in good order, and nobody waits for it any more.
--
-- KEYS  1 reports   2 beats
-- ARGV  1 worker id   2 channel to publish on
-- Returns  1 if it was known, else 0
-- Atomic so that its report and its heartbeat go together.

redis.call('ZREM', KEYS[2], ARGV[1])
local known = redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], '-' .. ARGV[1])
return known
