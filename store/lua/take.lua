-- needs window
-- take: take some units from several limits at once, from all of them the same number, or from none.
--
-- KEYS  one per limit. Of a rate, its theoretical arrival time, kept as 'us part parts', that is us + part/parts
--       microseconds, and after these up to three pairs 'at ahead', for give_back: by how much it was ahead of now when it
--       was moved at that time, unless it was by less when it was moved later. Of a quota, 'used began 0': what is used
--       of it, and when its window began, in microseconds.
-- ARGV  wanted     how many units at most
--       life us    for how long more than one unit may lie with who takes them before they are spent
--       then five per limit. Of a rate:
--       step us, step part       how far one unit moves the arrival time
--       slack us, slack part     how far ahead of now it may be (burst x interval)
--       parts                    the fractions of a microsecond in which all of these count, 1 or more
--       Of a quota: cost of one unit, 0, the quota, the code of its window, 0
-- Returns  {units granted, when us, then two per limit, as it was before this: us and part by which it was ahead of now;
--          of a quota, what was used and in how many us its window ends}
-- Atomic because a request takes from all its limits or none, and because check and take must be one. Units that may be
-- spent later count as if all of them were spent at the end of their life: so no window of spending is ever exceeded;
-- of a quota, none that could outlive its window are given. One unit alone is spent at once and counts from now.
-- Integers only: no number here leaves the 53 bits that a Lua number holds exactly. The clock is Redis', the same for
-- every node. What was spent without Redis is owed (charge), and may be ahead of now by more than the slack.

local DEBT = 5000000
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wanted, life = tonumber(ARGV[1]), tonumber(ARGV[2])
local taken_at = now -- or a little later: no two takes have the same
local reply = {0, now}
local limits = {}

-- Where the arrival time is after so many units from a base, and whether that is within the slack.
local function moved(limit, us, part, units)
  local parts_taken = limit.step_part * units
  us = us + limit.step_us * units + math.floor(parts_taken / limit.parts)
  part = part + parts_taken % limit.parts
  if part >= limit.parts then us, part = us + 1, part - limit.parts end
  return us, part, us < limit.slack_us or (us == limit.slack_us and part <= limit.slack_part)
end

local function read_rate(limit, kept)
  local us, part, parts, rest = string.match(kept or '', '^(%d+) (%d+) (%d+)(.*)$')
  limit.lows = {}
  if us and tonumber(parts) > 0 then
    limit.us, limit.part = us - now, tonumber(part)
    for at, ahead in string.gmatch(rest, ' (%d+) (%d+)') do
      limit.lows[#limit.lows + 1] = {tonumber(at), tonumber(ahead)}
      taken_at = math.max(taken_at, at + 1)
    end
    if tonumber(parts) ~= limit.parts then -- the limit was edited: round up, never in the caller's favour
      if limit.part > 0 then limit.us = limit.us + 1 end
      limit.part, limit.is_anew = 0, true
    end
  end
  local most_us = limit.slack_us + DEBT
  if limit.us < 0 then
    limit.us, limit.part = 0, 0
  elseif limit.us > most_us or (limit.us == most_us and limit.part > limit.slack_part) then
    -- It is not owed: the limit was made wider, or a clock set back. It is used up and comes back from now on.
    limit.us, limit.part, limit.is_anew, limit.is_cut = limit.slack_us, limit.slack_part, true, true
  end
end

-- Keep by how much it is ahead now; of four, the older two as if both had been as the first.
local function note(limit)
  local lows, ahead = limit.lows, limit.us
  if limit.is_anew then ahead = 0 end
  while #lows > 0 and lows[#lows][2] >= ahead do lows[#lows] = nil end
  lows[#lows + 1] = {taken_at, ahead}
  if #lows > 3 then
    lows[2][2] = lows[1][2]
    table.remove(lows, 1)
  end
  local text = ''
  for _, low in ipairs(lows) do text = text .. string.format(' %.0f %.0f', low[1], low[2]) end
  return text
end

for i = 1, #KEYS do
  local at = 5 * i - 2
  local limit = {
    step_us = tonumber(ARGV[at]), step_part = tonumber(ARGV[at + 1]),
    slack_us = tonumber(ARGV[at + 2]), slack_part = tonumber(ARGV[at + 3]),
    parts = tonumber(ARGV[at + 4]), us = 0, part = 0,
  }
  local kept = redis.call('GET', KEYS[i])
  if limit.parts == 0 then
    limit.is_quota, limit.parts, limit.code, limit.slack_part = true, 1, limit.slack_part, 0
    limit.began, limit.ends = window_of(limit.code, now)
    local used, began = string.match(kept or '', '^(%d+) (%d+) 0$')
    if used and tonumber(began) == limit.began then limit.us = tonumber(used) end
    reply[#reply + 1] = limit.us
    reply[#reply + 1] = limit.ends - now
  else
    read_rate(limit, kept)
    reply[#reply + 1] = limit.us
    reply[#reply + 1] = limit.part
  end
  limits[i] = limit
end

-- As many as all of them have, when each counts from the end of the units' life.
local granted = wanted
for i = 1, #limits do
  if granted < 2 then break end
  local limit = limits[i]
  limit.base_us, limit.base_part = limit.us, limit.part
  if limit.is_quota then
    if limit.ends - now < life then granted = 1 end
  elseif limit.us < life then
    limit.base_us, limit.base_part, limit.is_put_off = life, 0, true
  end
  if limit.step_us > 0 then
    granted = math.min(granted, math.max(0, math.floor((limit.slack_us - limit.base_us) / limit.step_us) + 1))
  end
  while granted > 0 and not select(3, moved(limit, limit.base_us, limit.base_part, granted)) do granted = granted - 1 end
end

-- Or one, which counts from now.
if granted < 2 then
  granted = 1
  for i = 1, #limits do
    local limit = limits[i]
    limit.base_us, limit.base_part, limit.is_put_off = limit.us, limit.part, false
    if not select(3, moved(limit, limit.us, limit.part, 1)) then granted = 0 end
  end
end

if granted > 0 then
  for i = 1, #KEYS do
    local limit = limits[i]
    local us, part = moved(limit, limit.base_us, limit.base_part, granted)
    local kept, for_us
    if limit.is_quota then
      kept, for_us = string.format('%.0f %.0f 0', us, limit.began), limit.ends - now
    else
      limit.is_anew = limit.is_anew or limit.is_put_off
      kept, for_us = string.format('%.0f %.0f %.0f', now + us, part, limit.parts) .. note(limit), us
    end
    redis.call('SET', KEYS[i], kept, 'PX', string.format('%.0f', math.floor(for_us / 1000) + 1))
  end
end
for i = 1, #KEYS do
  local limit = limits[i]
  if granted == 0 and limit.is_cut then -- else it would be cut anew each time, and never come back
    redis.call('SET', KEYS[i], string.format('%.0f %.0f %.0f', now + limit.us, limit.part, limit.parts) .. note(limit),
      'PX', string.format('%.0f', math.floor(limit.us / 1000) + 1))
  end
end
reply[1], reply[2] = granted, taken_at
return reply
