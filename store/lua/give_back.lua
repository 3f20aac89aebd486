-- needs window
-- give_back: let others have units that were taken and that nobody has spent.
--
-- KEYS  one per limit, as in take
-- ARGV  taken at us    when they were taken, as take said
--       then three per limit: us and part of all these units, and the parts in which they count; of a quota what they
--       use of it, the code of its window and 0
-- Returns  how many limits have something again
-- Atomic because an arrival time may only be moved back as far as it has simply moved on since, and would have moved on
-- without these units: by no more than it has been ahead of now whenever it was moved. Where it was at rest meanwhile or
-- would have been, it is later than it would be without them by less than they are, and to move it back by all of them
-- would let more be spent than the limit allows. Nor is a quota of another window theirs.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken_at = tonumber(ARGV[1])

-- By how much it can be moved back, and what is kept of the times since then when it is.
local function moved_back(rest, back_us, back_part)
  local lows = {}
  for at, ahead in string.gmatch(rest, ' (%d+) (%d+)') do lows[#lows + 1] = {tonumber(at), tonumber(ahead)} end
  local first = 1
  while lows[first] and lows[first][1] <= taken_at do first = first + 1 end
  if lows[first] and back_us >= lows[first][2] then back_us, back_part = lows[first][2], 0 end
  local text, least = '', math.huge
  for at = #lows, 1, -1 do -- from the last, so that what was less later on hides what was before it
    local ahead = lows[at][2]
    if at >= first then ahead = math.max(0, ahead - back_us - (back_part > 0 and 1 or 0)) end
    if ahead < least then
      text, least = string.format(' %.0f %.0f', lows[at][1], ahead) .. text, ahead
    end
  end
  return back_us, back_part, text
end

local function rate_given_back(key, i)
  local us, part, parts, rest = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+)(.*)$')
  if not us or parts ~= ARGV[3 * i + 1] then return 0 end
  local back_us, back_part, lows = moved_back(rest, tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]))
  us, part = us - back_us, part - back_part
  if part < 0 then us, part = us - 1, part + parts end
  if us > now then
    redis.call('SET', key, string.format('%.0f %.0f %.0f', us, part, parts) .. lows,
      'PX', string.format('%.0f', math.floor((us - now) / 1000) + 1))
  else
    redis.call('DEL', key)
  end
  return 1
end

local function quota_given_back(key, i)
  local used, began = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) 0$')
  if not used or tonumber(began) ~= window_of(tonumber(ARGV[3 * i]), taken_at) then return 0 end
  redis.call('SET', key, string.format('%.0f %.0f 0', math.max(0, used - ARGV[3 * i - 1]), began), 'KEEPTTL')
  return 1
end

local count = 0
for i = 1, #KEYS do
  count = count + (ARGV[3 * i + 1] == '0' and quota_given_back or rate_given_back)(KEYS[i], i)
end
return count
