-- audit: one page of the audit log, newest first.
--
-- KEYS  1 audit
-- ARGV  1 entry before which to begin ('' = from the newest)   2 most entries to return
-- Returns  {{entry id, {field, value, ...}}, ...}
-- A script only so that the reply has one form on every kind of client. Reads only.

local from = ARGV[1] == '' and '+' or '(' .. ARGV[1]
return redis.call('XREVRANGE', KEYS[1], from, '-', 'COUNT', ARGV[2])
