-- digests: one page of tenants in the order of their names, with what their documents come to; before the first one, the
-- plans, if ever there were any, also when the log of changes has lost them.
--
-- KEYS  1 epoch   2 docs   3 names   4 changes   5 history of what ARGV 4 names
-- ARGV  1 name after which to begin ('' = from the start)   2 most tenants to return
--       3 most document bytes to digest (one tenant's are always digested)   4 what stands for a name where plans are kept
-- Returns  {epoch or '', 1 if this is all else 0, tenant, revision of its last change, SHA-1 in hex or '', ...}
--          '' is for a document that is gone
-- Atomic so that a digest and the revision of the change it is measured against are of one moment. Reads only.

local epoch = redis.call('GET', KEYS[1]) or ''
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local limit, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])

local names = redis.call('ZRANGEBYLEX', KEYS[3], from, '+', 'LIMIT', 0, limit + 1)
local reply, bytes = {epoch, 1}, 0

local function digest(name, revision, document)
  bytes = bytes + (document and #document or 0)
  reply[#reply + 1] = name
  reply[#reply + 1] = revision
  reply[#reply + 1] = document and redis.sha1hex(document) or ''
end

if from == '-' then
  local planned, plans = redis.call('ZSCORE', KEYS[4], ARGV[4]), redis.call('HGET', KEYS[2], ARGV[4])
  if planned or plans or #redis.pcall('LRANGE', KEYS[5], 0, 0) > 0 then digest(ARGV[4], planned or '0', plans) end
end

for i, name in ipairs(names) do
  local document = redis.call('HGET', KEYS[2], name)
  local size = document and #document or 0
  if i > 1 and (i > limit or bytes + size > max_bytes) then
    reply[2] = 0
    break
  end
  digest(name, redis.call('ZSCORE', KEYS[4], name) or '0', document)
end
return reply
