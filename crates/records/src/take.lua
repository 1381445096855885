-- Takes one from a bucket, or says in microseconds how long until there is one. The key holds the moment at which
-- the bucket is full again (the generic cell rate algorithm), and is gone once that has come. With a second key what
-- is taken is counted there too, and -1 says that it has been counted often enough.
-- KEYS: the bucket, the count. ARGV: what the bucket holds, microseconds until one more; the most that are counted,
-- milliseconds to keep the count.
local counted
if KEYS[2] then
  counted = tonumber(redis.call('GET', KEYS[2]) or 0)
  if counted >= tonumber(ARGV[3]) then
    return -1
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local most, refill = tonumber(ARGV[1]), tonumber(ARGV[2])
-- An empty bucket is full after `empty`. A later moment was written before the clock went back: the bucket is empty
-- from now on, which is written down, or it would stay empty for as long as the clock went back.
local empty = most * refill
local stored = tonumber(redis.call('GET', KEYS[1]) or 0)
if stored > now + empty then
  stored = now + empty
  redis.call('SET', KEYS[1], string.format('%.0f', stored), 'PX', math.ceil(empty / 1000))
end
local full_at = math.max(stored, now) + refill
local wait = full_at - empty - now
if wait > 0 then
  return wait
end
redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
if counted then
  redis.call('SET', KEYS[2], counted + 1, 'PX', ARGV[4])
end
return 0
