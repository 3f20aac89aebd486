-- counts: read what is counted of one tenant's limits.
--
-- KEYS  what all its keys begin with: the name of none of them, it says which node of a cluster has them
-- ARGV  cursor     where in the database to go on: '0' at the start, and again at the end
--       pattern    which keys, as SCAN has it
--       keys       about how many keys of the whole database to look at
--       then, if only some keys are wanted whose names are known, these; nothing else is looked at
-- Returns  {next cursor, now us, then for each key its name, in how many ms it is forgotten, and what it holds: a text
--          of a rate or a quota, of requests under way an array of texts, one for each worker}
-- Atomic because a value means something by the clock alone: what is counted at one moment is told of that moment. It
-- writes nothing. One call looks at a bounded part of the database and no further.

local found = {'0', {}}
if #ARGV > 3 then
  for i = 4, #ARGV do found[2][i - 3] = ARGV[i] end
else
  found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
end
local time = redis.call('TIME')
local reply = {found[1], time[1] * 1000000 + time[2]}
for _, key in ipairs(found[2]) do
  local kind, value = redis.call('TYPE', key).ok, nil
  if kind == 'string' then
    value = redis.call('GET', key)
  elseif kind == 'hash' then
    value = redis.call('HVALS', key)
  end
  if value then
    reply[#reply + 1] = key
    reply[#reply + 1] = redis.call('PTTL', key)
    reply[#reply + 1] = value
  end
end
return reply
