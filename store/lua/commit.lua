-- commit: one change of one tenant, all of it or nothing of it.
--
-- KEYS  1 epoch   2 rev   3 docs   4 changes   5 names   6 hosts   7 claims:<tenant>   8 history:<tenant>
--       9 keys:<tenant>   10 audit   11 done:<commit id>   12 when the tenant's keys were used   13 callers
--       14 run
-- ARGV  1 tenant
--       2 expected revision of the document ('' = any, 0 = there must be none)
--       3 mode: put | drop | keep (keep: the document stays as it is, only API keys or sessions change)
--       4 payload of the document (put), else ''
--       5 epoch to use if there is none yet
--       6 history meta   7 audit detail   (msgpack, opaque here)
--       8 actor   9 action
--      10 history entries to keep   11 audit entries to keep, about   12 how long a done commit is remembered, ms
--      13 channel to publish on
--      14 number of claimed hosts, then the hosts
--       . number of API keys to put, then id, record, id, record ...
--       . number of API keys to drop, then the ids
-- Returns  {'ok', revision} | {'conflict', document's revision} | {'missing', what} | {'exists', key id}
--          {'claimed', host, host ...}
-- Atomic because the revision, the document, the hosts and the change log must never disagree, and because two tenants
-- that claim one host at the same moment must see each other. Everything that can fail (a key of a wrong type, a
-- conflict) is read before the first write: Redis does not undo what a script wrote before it failed.

local BEYOND_LOST = 1000000
local tenant, expected, mode, payload = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local at = 14

local function take_list()
  local count = tonumber(ARGV[at])
  local list = {}
  for i = 1, count do list[i] = ARGV[at + i] end
  at = at + count + 1
  return list
end

local claims, put_keys, drop_keys = take_list(), take_list(), take_list()

-- 1. Read and decide.
local done = redis.call('GET', KEYS[11])
if done then -- the same commit, sent again because its answer was lost
  redis.call('PEXPIRE', KEYS[11], ARGV[12]) -- a write, so that a WAIT that follows covers the commit
  return {'ok', tonumber(done)}
end

redis.call('GET', KEYS[1])
local run_before = redis.call('GET', KEYS[14])
redis.call('ZSCORE', KEYS[4], tenant)
redis.call('ZSCORE', KEYS[5], tenant)
redis.call('ZSCORE', KEYS[13], tenant)
redis.call('LLEN', KEYS[8])
redis.call('XLEN', KEYS[10])
redis.call('HLEN', KEYS[12])
if not tonumber(redis.call('GET', KEYS[2]) or 0) then return redis.error_reply('BADREVISION the revision is not a number') end

local document = redis.call('HGET', KEYS[3], tenant)
local current = 0
if document and #document >= 8 then current = struct.unpack('>I8', document) end
if mode ~= 'put' and not document then return {'missing', 'tenant ' .. tenant} end
if expected ~= '' and tonumber(expected) ~= current then return {'conflict', current} end

local owned = redis.call('SMEMBERS', KEYS[7])
local taken = {'claimed'}
for _, host in ipairs(claims) do
  local owner = redis.call('HGET', KEYS[6], host)
  if owner and owner ~= tenant then taken[#taken + 1] = host end
end
if #taken > 1 then return taken end

local dropped = {}
for _, id in ipairs(drop_keys) do
  if redis.call('HEXISTS', KEYS[9], id) == 0 then return {'missing', 'API key ' .. id} end
  dropped[id] = true
end
for i = 1, #put_keys, 2 do
  local id = put_keys[i]
  if not dropped[id] and redis.call('HEXISTS', KEYS[9], id) == 1 then return {'exists', id} end
end

-- 2. Write.
redis.call('SET', KEYS[1], ARGV[5], 'NX')
-- Another Redis than took the last commit (restarted, failed over, restored) may have lost some before this one. Workers
-- may have applied them, so their revisions are not given out again: who waits for one would be told that all have it.
local info = redis.pcall('INFO', 'server') -- a user who may not ask goes without
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
local step = 1
if run_before and run_before ~= run then step = BEYOND_LOST end
redis.call('SET', KEYS[14], run)
local revision = redis.call('INCRBY', KEYS[2], step)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

if mode ~= 'keep' then
  local kept = {}
  for _, host in ipairs(claims) do
    kept[host] = true
    redis.call('HSET', KEYS[6], host, tenant)
    redis.call('SADD', KEYS[7], host)
  end
  for _, host in ipairs(owned) do
    if not kept[host] then
      redis.call('HDEL', KEYS[6], host)
      redis.call('SREM', KEYS[7], host)
    end
  end
end

if mode == 'put' then
  -- With what is missing to the last revision behind it: the record's checksum does not cover what only Redis knows.
  redis.call('HSET', KEYS[3], tenant, struct.pack('>I8I8', revision, 9007199254740991 - revision) .. payload)
  if string.sub(tenant, 1, 1) ~= '@' then redis.call('ZADD', KEYS[5], 0, tenant) end -- else it is the plans
  redis.call('LPUSH', KEYS[8], struct.pack('>I8I8I4', revision, now_ms, #ARGV[6]) .. ARGV[6] .. payload)
  redis.call('LTRIM', KEYS[8], 0, tonumber(ARGV[10]) - 1)
elseif mode == 'drop' then
  redis.call('HDEL', KEYS[3], tenant)
  redis.call('ZREM', KEYS[5], tenant)
  redis.call('DEL', KEYS[8], KEYS[9], KEYS[12]) -- whoever takes the name next must not find the last one's keys or past
end
for _, id in ipairs(drop_keys) do
  redis.call('HDEL', KEYS[9], id)
  redis.call('HDEL', KEYS[12], id)
end
if mode ~= 'drop' then
  for i = 1, #put_keys, 2 do redis.call('HSET', KEYS[9], put_keys[i], put_keys[i + 1]) end
end

redis.call('ZADD', KEYS[4], revision, tenant)
if mode ~= 'put' or #put_keys + #drop_keys > 0 then redis.call('ZADD', KEYS[13], revision, tenant) end
redis.call('XADD', KEYS[10], 'MAXLEN', '~', ARGV[11], '*', 'revision', revision, 'at_ms', now_ms,
  'tenant', tenant, 'actor', ARGV[8], 'action', ARGV[9], 'detail', ARGV[7])
redis.call('SET', KEYS[11], revision, 'PX', ARGV[12])
redis.call('PUBLISH', ARGV[13], cmsgpack.pack({revision = revision, tenant = tenant, mode = mode}))
return {'ok', revision}
