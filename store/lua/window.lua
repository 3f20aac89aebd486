-- window: when a quota's window began that a moment is in, and when it ends; µs of Unix time, UTC. For other scripts.
-- code  0 minute, 1 hour, 2 day, 3 month. Days are counted from 0000-03-01, so that a leap day is the last of its year.

local function window_of(code, now)
  local DAY = 86400000000
  local length = ({60000000, 3600000000, DAY})[code + 1]
  if length then return now - now % length, now - now % length + length end
  local days = math.floor(now / DAY)
  local in_era = (days + 719468) % 146097
  local year = math.floor((in_era - math.floor(in_era / 1460) + math.floor(in_era / 36524) - math.floor(in_era / 146096)) / 365)
  local in_year = in_era - (365 * year + math.floor(year / 4) - math.floor(year / 100))
  local month = math.floor((5 * in_year + 2) / 153) -- 0 is March
  local first = days - (in_year - math.floor((153 * month + 2) / 5))
  local count = ({31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 28})[month + 1]
  if month == 11 then -- February, of the year that began in the March after the one these years count from
    local leap = (year + 1) % 4 == 0 and ((year + 1) % 100 ~= 0 or (year + 1) % 400 == 0)
    if leap then count = 29 end
  end
  return first * DAY, (first + count) * DAY
end

