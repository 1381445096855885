-- Appends a line to a journal, unless there was one of its name.
-- KEYS: the stream; the line's name; where its subject's hash is named; for none of these the stream again. ARGV: entry, what is
-- personal, a name for the hash if there is none yet, what the keys of hashes begin with, how long a hash and a name are
-- kept (ms).
if KEYS[2] ~= KEYS[1] and redis.call('GET', KEYS[2]) then
  return 0
end
local name = ''
if KEYS[3] ~= KEYS[1] then
  name = redis.call('GET', KEYS[3]) or ARGV[3]
end
-- First what may be forbidden to an older user of Redis: then nothing is written.
local id = redis.call('XADD', KEYS[1], '*', 'e', ARGV[1], 'o', name)
if name ~= '' then
  redis.call('HSET', ARGV[4] .. name, id, ARGV[2])
  redis.call('PEXPIRE', ARGV[4] .. name, ARGV[5])
  redis.call('SET', KEYS[3], name, 'PX', ARGV[5])
end
if KEYS[2] ~= KEYS[1] then
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[6])
end
return 1
