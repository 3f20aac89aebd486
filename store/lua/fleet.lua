-- fleet: all remembered reports, and the time they are to be measured against.
--
-- KEYS  1 reports
-- Returns  {now by Redis' clock, ms, report, report, ...}
-- Atomic so that no report is younger than the time. Reads only.

local time = redis.call('TIME')
local reply = redis.call('HVALS', KEYS[1])
table.insert(reply, 1, time[1] * 1000 + math.floor(time[2] / 1000))
return reply
