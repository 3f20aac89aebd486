-- end_session: a session is over, and who has seen it is told; of one that is over already nothing is said.
--
-- KEYS  1 session
-- ARGV  1 channel to publish on   2 what to say
-- Returns  1 if it was there, else 0
-- Atomic so that none ends unsaid: who asked may be gone before it could say so.

local ended = redis.call('DEL', KEYS[1])
if ended == 1 then
  redis.pcall('PUBLISH', ARGV[1], ARGV[2])  -- it is a hint: without leave to publish the session is over all the same
end
return ended
