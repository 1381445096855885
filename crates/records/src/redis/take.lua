-- Takes one from each of some buckets, or from none of them, and then says in microseconds how long until all have
-- one; and in any case what the count is. A key holds the moment at which its bucket is full again (the generic cell rate algorithm), and is gone once
-- that has come. With one more key what is taken is counted there too, and -1 says that it has been counted often
-- enough.
-- KEYS: the buckets, and perhaps the count. ARGV: how many buckets; of each what it holds, microseconds until one more,
-- how many must stay in it; then the most that are counted, milliseconds to keep the count.
local buckets = tonumber(ARGV[1])
local count, counted = KEYS[buckets + 1], 0
if count then
  counted = tonumber(redis.call('GET', count) or 0)
  if counted >= tonumber(ARGV[3 * buckets + 2]) then
    return {-1, counted}
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local longest, full_at = 0, {}
for i = 1, buckets do
  local most, refill, stay = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  -- An empty bucket is full after `empty`. A later moment was written before the clock went back: the bucket is empty
  -- from now on, which is written down, or it would stay empty for as long as the clock went back.
  local empty = most * refill
  local stored = tonumber(redis.call('GET', KEYS[i]) or 0)
  if stored > now + empty then
    stored = now + empty
    redis.call('SET', KEYS[i], string.format('%.0f', stored), 'PX', math.ceil(empty / 1000))
  end
  full_at[i] = math.max(stored, now) + refill
  longest = math.max(longest, full_at[i] - (most - stay) * refill - now)
end
if longest > 0 then
  return {longest, counted}
end
for i = 1, buckets do
  redis.call('SET', KEYS[i], string.format('%.0f', full_at[i]), 'PX', math.ceil((full_at[i] - now) / 1000))
end
if count then
  counted = counted + 1
  redis.call('SET', count, counted, 'PX', ARGV[3 * buckets + 3])
end
return {0, counted}
