-- Writes one record, if it still is what the caller read and the moment that the decision rests on has not come.
-- KEYS: the record. ARGV: from (empty for none), to, forget at, only before (both in ms since 1970), channel, message.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
if ARGV[5] ~= '' then
  -- Only a wake-up, which heals when it is lost: it must not undo the answer to what is written.
  redis.pcall('PUBLISH', ARGV[5], ARGV[6])
end
return 1
