-- Takes one thing after another, until one cannot be had. Each takes one from each of some buckets, or from none of them; says
-- in microseconds how long until all have one (0 where it is taken), and in any case what the count is. A key holds the
-- moment at which its bucket is full again (the generic cell rate algorithm), and is gone once that has come. With one
-- more key what is taken is counted there too, and -1 says that it has been counted often enough.
-- KEYS: of each thing the buckets, and perhaps the count. ARGV: of each thing how many buckets, and 1 where there is a
-- count, else 0; of each bucket what it holds, microseconds until one more, how many must stay in it; then the most that
-- are counted, milliseconds to keep the count.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local key, arg = 0, 0

local function next_number()
  arg = arg + 1
  return tonumber(ARGV[arg])
end

local function take()
  local buckets, is_counted = next_number(), next_number() == 1
  local longest, names, full_at = 0, {}, {}
  for i = 1, buckets do
    key = key + 1
    names[i] = KEYS[key]
    local most, refill, stay = next_number(), next_number(), next_number()
    -- An empty bucket is full after `empty`. A later moment was written before the clock went back: the bucket is empty
    -- from now on, which is written down, or it would stay empty for as long as the clock went back.
    local empty = most * refill
    local stored = tonumber(redis.call('GET', names[i]) or 0)
    if stored > now + empty then
      stored = now + empty
      redis.call('SET', names[i], string.format('%.0f', stored), 'PX', math.ceil(empty / 1000))
    end
    full_at[i] = math.max(stored, now) + refill
    longest = math.max(longest, full_at[i] - (most - stay) * refill - now)
  end
  local counted = 0
  if is_counted then
    key = key + 1
    local count, most, kept = KEYS[key], next_number(), next_number()
    counted = tonumber(redis.call('GET', count) or 0)
    if counted >= most then
      return {-1, counted}
    end
    if longest == 0 then
      counted = counted + 1
      redis.call('SET', count, counted, 'PX', kept)
    end
  end
  if longest > 0 then
    return {longest, counted}
  end
  for i = 1, buckets do
    local lasts = math.ceil((full_at[i] - now) / 1000)
    redis.call('SET', names[i], string.format('%.0f', full_at[i]), 'PX', lasts)
  end
  return {0, counted}
end

local said = {}
while arg < #ARGV do
  local told = take()
  said[#said + 1] = told
  if told[1] ~= 0 then
    break
  end
end
return said
