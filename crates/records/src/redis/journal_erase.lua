-- Erases what is personal in the lines about a subject, up to a moment; says in how many.
-- KEYS: where the subject's hash is named. ARGV: the moment (ms since 1970), what the keys of hashes begin with.
local name = redis.call('GET', KEYS[1])
if not name then
  return 0
end
local hash, upto, erased = ARGV[2] .. name, tonumber(ARGV[1]), 0
local ids = redis.call('HKEYS', hash)
for _, id in ipairs(ids) do
  if tonumber(id:match('^%d+')) <= upto then
    redis.call('HDEL', hash, id)
    erased = erased + 1
  end
end
if erased == #ids then
  -- Later lines get a new name, so that nothing joins them to these.
  redis.call('DEL', KEYS[1])
end
return erased
