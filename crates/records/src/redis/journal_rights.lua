-- Tries the commands that a journal needs, and says which of them are refused. Nothing is left.
-- KEYS: a key at which there is nothing. ARGV: how long a record would be kept if this ended midway (ms).
local refused = {}
local function try(name, ...)
  local answer = redis.pcall(name, ...)
  if type(answer) == 'table' and answer['err'] and not answer['err']:find('WRONGTYPE', 1, true) then
    table.insert(refused, name)
  end
end
-- These do nothing where there is nothing.
try('del', KEYS[1])
try('xadd', KEYS[1], 'NOMKSTREAM', '*', 'f', 'v')
try('xlen', KEYS[1])
try('xrange', KEYS[1], '-', '+', 'COUNT', 1)
try('xrevrange', KEYS[1], '+', '-', 'COUNT', 1)
try('xdel', KEYS[1], '0-1')
try('hget', KEYS[1], 'f')
try('hdel', KEYS[1], 'f')
try('hkeys', KEYS[1])
try('pexpire', KEYS[1], ARGV[1])
-- This one would write, so it is tried where no hash can be.
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
try('hset', KEYS[1], 'f', 'v')
redis.call('SET', KEYS[1], '', 'PX', 1)
return refused
