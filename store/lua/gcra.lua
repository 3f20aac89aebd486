-- gcra: take from several limits at once, from all of them or from none.
--
-- KEYS  one per limit: its theoretical arrival time, kept as 'us part parts', that is us + part/parts microseconds
-- ARGV  five per limit:  step us, step part       how far one take moves the arrival time
--                        slack us, slack part     how far ahead of now it may be (burst x interval)
--                        parts                    the fractions of a microsecond in which all of these count
-- Returns  {1 if admitted else 0, now us, then per limit: us and part by which it was ahead of now before this take}
-- Atomic because a request takes from all its limits or none, and because check and take must be one. Integers only: no
-- number here leaves the 53 bits that a Lua number holds exactly. The clock is Redis', the same for every node.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local admitted = 1
local reply = {1, now}
local taken = {}

for i = 1, #KEYS do
  local at = 5 * i - 4
  local step_us, step_part = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local slack_us, slack_part = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local parts = tonumber(ARGV[at + 4])

  local ahead_us, ahead_part = 0, 0
  local kept = redis.call('GET', KEYS[i])
  if kept then
    local us, part, kept_parts = string.match(kept, '^(%d+) (%d+) (%d+)$')
    if us then
      ahead_us, ahead_part = us - now, tonumber(part)
      if tonumber(kept_parts) ~= parts then -- the limit was edited: round up, never in the caller's favour
        if ahead_part > 0 then ahead_us = ahead_us + 1 end
        ahead_part = 0
      end
    end
    if ahead_us < 0 then
      ahead_us, ahead_part = 0, 0
    elseif ahead_us > slack_us or (ahead_us == slack_us and ahead_part > slack_part) then
      ahead_us, ahead_part = slack_us, slack_part -- a smaller burst than before, or a clock set back: empty, not stuck
    end
  end
  reply[#reply + 1] = ahead_us
  reply[#reply + 1] = ahead_part

  local us, part = ahead_us + step_us, ahead_part + step_part
  if part >= parts then us, part = us + 1, part - parts end
  if us > slack_us or (us == slack_us and part > slack_part) then admitted = 0 end
  taken[i] = {us, part, parts}
end

if admitted == 1 then
  for i = 1, #KEYS do
    local us, part, parts = taken[i][1], taken[i][2], taken[i][3]
    redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f', now + us, part, parts),
      'PX', string.format('%.0f', math.floor(us / 1000) + 1))
  end
end
reply[1] = admitted
return reply
