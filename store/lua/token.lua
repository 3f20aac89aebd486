-- token: put or drop one admin token, and say so in the audit log.
--
-- KEYS  1 tokens   2 audit   3 done:<id of this write>
-- ARGV  1 token id   2 record, or '' to drop it
--       3 tenant ('' for an operator's)   4 actor   5 action   6 audit detail (msgpack, opaque here)
--       7 audit entries to keep, about   8 how long a done write is remembered, ms
-- Returns  'ok' | 'missing' | 'exists'
-- Atomic so that no token comes or goes without its audit entry.

if redis.call('EXISTS', KEYS[3]) == 1 then return 'ok' end -- the same write, sent again because its answer was lost
redis.call('XLEN', KEYS[2])
local known = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if ARGV[2] == '' then
  if not known then return 'missing' end
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  if known then return 'exists' end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
local time = redis.call('TIME')
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], '*', 'revision', 0,
  'at_ms', time[1] * 1000 + math.floor(time[2] / 1000),
  'tenant', ARGV[3], 'actor', ARGV[4], 'action', ARGV[5], 'detail', ARGV[6])
redis.call('SET', KEYS[3], 1, 'PX', ARGV[8])
return 'ok'
