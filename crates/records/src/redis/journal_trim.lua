-- Takes some lines out of a journal that are too old or too many, with what is personal in them; says how many.
-- KEYS: the stream. ARGV: the age (ms), the most lines, what the keys of hashes begin with, the most to take out now.
local time = redis.call('TIME')
local before = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[1])
local most = tonumber(ARGV[4])
local old = {}
if before >= 0 then
  old = redis.call('XRANGE', KEYS[1], '-', string.format('%.0f', before), 'COUNT', most)
end
local over = math.min(most, redis.call('XLEN', KEYS[1]) - tonumber(ARGV[2]))
if over > #old then
  old = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', over)
end
for _, line in ipairs(old) do
  local id, fields = line[1], line[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'o' and fields[i + 1] ~= '' then
      redis.call('HDEL', ARGV[3] .. fields[i + 1], id)
    end
  end
  redis.call('XDEL', KEYS[1], id)
end
return #old
