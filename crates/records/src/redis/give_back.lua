-- Gives one back to each of some buckets, and takes it off a count: no bucket holds more than when it is full, and no
-- count falls below nothing. Only commands that take.lua needs as well.
-- KEYS: the buckets, and perhaps the count. ARGV: how many buckets; of each the microseconds until one more; then the
-- milliseconds to keep the count.
local buckets = tonumber(ARGV[1])
for i = 1, buckets do
  -- A bucket that is full has no key, and has none any more where the moment at which it is full has passed.
  local full_at = tonumber(redis.call('GET', KEYS[i]) or 0)
  if full_at > 0 then
    full_at = math.max(full_at - tonumber(ARGV[1 + i]), 1)
    redis.call('SET', KEYS[i], string.format('%.0f', full_at), 'PXAT', math.ceil(full_at / 1000))
  end
end
local count = KEYS[buckets + 1]
local counted = count and tonumber(redis.call('GET', count) or 0) or 0
if counted > 0 then
  redis.call('SET', count, string.format('%.0f', counted - 1), 'PX', ARGV[buckets + 2])
end
return 0
