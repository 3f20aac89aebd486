-- changes: which tenants changed after a revision, with their documents, in the order of their last changes.
--
-- KEYS  1 epoch   2 rev   3 docs   4 changes   5 callers   6 run
-- ARGV  1 revision already known   2 most tenants to return   3 most document bytes to return (one is always returned)
--       4 what the names of histories begin with, in the slot of the KEYS: whose they are is only known in here
-- Returns  {epoch or '', revision now, 1 if this is all else 0, run or '', tenant, revision of its change, document or nil,
--          revision of the last change of its API keys or sessions or nil, 1 if its document is gone and no change deleted
--          it else 0, ...}
-- Atomic so that the head and the items are of one moment: a reader that has applied all items is at that head.
-- Reads only.

local epoch = redis.call('GET', KEYS[1]) or ''
local head = redis.call('GET', KEYS[2]) or '0'
local limit, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])

local found = redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, limit + 1)
local reply, bytes = {epoch, head, 1, redis.call('GET', KEYS[6]) or ''}, 0
for i = 1, #found, 2 do
  local document = redis.call('HGET', KEYS[3], found[i])
  local size = document and #document or 0
  if i > 1 and (i > 2 * limit or bytes + size > max_bytes) then
    reply[3] = 0
    break
  end
  bytes = bytes + size
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = document
  reply[#reply + 1] = redis.call('ZSCORE', KEYS[5], found[i])
  -- A change that deletes a document deletes its history. One that is no list is none, and holds up nobody else.
  reply[#reply + 1] = not document and #redis.pcall('LRANGE', ARGV[4] .. found[i], 0, 0) or 0
end
return reply
