-- tenants: one page of tenants in the order of their names, with their documents.
--
-- KEYS  1 docs   2 names
-- ARGV  1 name after which to begin ('' = from the start)   2 most tenants to return
--       3 most document bytes to return (one is always returned)
-- Returns  {1 if this is all else 0, tenant, document, ...}
-- Atomic so that every name on the page comes with its document. Reads only.

local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local limit, max_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])

local names = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, limit + 1)
local reply, bytes = {1}, 0
for i, name in ipairs(names) do
  local document = redis.call('HGET', KEYS[1], name) or ''
  if i > 1 and (i > limit or bytes + #document > max_bytes) then
    reply[1] = 0
    break
  end
  bytes = bytes + #document
  reply[#reply + 1] = name
  reply[#reply + 1] = document
end
return reply
