-- Writes one record, if it still is what the caller takes it for and the moment that the decision rests on has not come.
-- Says whether it did; if not, the time and what is there. The time is also said where it had to be looked at.
-- KEYS: the record. ARGV: from (empty for none), to, forget at, only before (both in ms since 1970; empty for never),
-- channel, message.
local found = redis.call('GET', KEYS[1])
local is_same, time = (found or '') == ARGV[1], false
if not is_same or ARGV[4] ~= '' then
  time = redis.call('TIME')
end
local is_late = ARGV[4] ~= '' and time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[4])
if not is_same or is_late then
  return {0, time, found}
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
if ARGV[5] ~= '' then
  -- Only a wake-up, which heals when it is lost: it must not undo the answer to what is written.
  redis.pcall('PUBLISH', ARGV[5], ARGV[6])
end
return {1, time, false}
