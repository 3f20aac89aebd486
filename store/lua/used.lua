-- used: note that API keys have been used, to the minute.
--
-- KEYS  for each tenant: keys:<tenant>, then its key uses
-- ARGV  for each tenant: how many ids, then the ids
-- Returns  how many were noted
-- A script only so that the keys of many tenants are noted in one round trip. A key that was revoked meanwhile is left
-- out, as nobody would ever remove it.

local minute_ms = math.floor(redis.call('TIME')[1] / 60) * 60000
local at, noted = 1, 0
for tenant = 1, #KEYS, 2 do
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count do
    if redis.call('HEXISTS', KEYS[tenant], ARGV[i]) == 1 then
      redis.call('HSET', KEYS[tenant + 1], ARGV[i], string.format('%.0f', minute_ms))
      noted = noted + 1
    end
  end
  at = at + count + 1
end
return noted
