"""What is done to a conversation as one step on the server: scripts of plain commands of Redis 4, so Valkey's, too.

A conversation is a hash: `epoch`, `local_only`, `updated_at`, `expires_at`, how many `turns` and `bytes` it has,
`first` and `last` of their places; of each turn `t:PLACE` (itself), `m:PLACE` (`BYTES:ID`) and `i:ID` (its place). So a
turn is added without the others being touched. Beside it are three sorted sets: a user's names of conversations, all
conversations with turns by their last change (`ages`), and all by the time at which the server drops them (`ends`).

`KEYS` are always the conversation, its user's set, `ages`, `ends`. What else is written goes first, the conversation
last: a script that a spoiled set stops halfway leaves a name too many, never a turn too few. Times are milliseconds of
Unix time by the caller's clock, and text throughout: a Lua number would come back as 4.9e+12. How long a key lives is
told as a span, so the server's own clock may differ.
"""

from typing import Final

_NAME: Final = """
local function keep_name(member, name, life, ends)
    redis.call('ZADD', KEYS[2], 0, member)
    if redis.call('PTTL', KEYS[2]) < tonumber(life) then redis.call('PEXPIRE', KEYS[2], life) end
    redis.call('ZADD', KEYS[4], ends, name)
end
local function drop_names(member, name)
    redis.call('ZREM', KEYS[2], member)
    redis.call('ZREM', KEYS[3], name)
    redis.call('ZREM', KEYS[4], name)
end
"""

APPEND: Final = (
    _NAME
    + """
local member, name, now, expires, life, ends = unpack(ARGV, 1, 6)
local epoch, local_only, id, turn, bytes, most_turns, most_bytes = unpack(ARGV, 7, 13)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'expires_at')
local is_over = head[1] and tonumber(head[2]) <= tonumber(now)
if is_over and epoch ~= '0' and epoch ~= head[1] then return {'erased'} end
if head[1] and not is_over then
    local place = redis.call('HGET', KEYS[1], 'i:' .. id)
    if place then return {'there', redis.call('HGET', KEYS[1], 't:' .. place)} end
    if epoch ~= head[1] then return {'erased'} end
end
keep_name(member, name, life, ends)
redis.call('ZADD', KEYS[3], now, name)
if is_over then redis.call('DEL', KEYS[1]) end
local place = redis.call('HINCRBY', KEYS[1], 'last', 1)
redis.call('HMSET', KEYS[1], 'epoch', epoch, 'updated_at', now, 'expires_at', expires,
    't:' .. place, turn, 'm:' .. place, bytes .. ':' .. id, 'i:' .. id, place)
if local_only == '1' then redis.call('HSET', KEYS[1], 'local_only', 1) end
local turns = redis.call('HINCRBY', KEYS[1], 'turns', 1)
local total = redis.call('HINCRBY', KEYS[1], 'bytes', bytes)
local first = tonumber(redis.call('HGET', KEYS[1], 'first') or 1)
while turns > tonumber(most_turns) or (turns > 1 and total > tonumber(most_bytes)) do
    local old = redis.call('HGET', KEYS[1], 'm:' .. first)
    if old then
        local colon = string.find(old, ':', 1, true)
        redis.call('HDEL', KEYS[1], 't:' .. first, 'm:' .. first, 'i:' .. string.sub(old, colon + 1))
        turns = redis.call('HINCRBY', KEYS[1], 'turns', -1)
        total = redis.call('HINCRBY', KEYS[1], 'bytes', -tonumber(string.sub(old, 1, colon - 1)))
    end
    first = first + 1
end
redis.call('HSET', KEYS[1], 'first', first)
redis.call('PEXPIRE', KEYS[1], life)
return {'stored'}
"""
)
"""`member name now expires life ends epoch local_only id turn bytes most_turns most_bytes` -> `stored`, `erased`, or
`there` with the turn of that id. A conversation that expired begins again, without its past."""

ERASE: Final = (
    _NAME
    + """
local member, name, now, expires, life, ends = unpack(ARGV, 1, 6)
local head = redis.call('HMGET', KEYS[1], 'epoch', 'local_only')
keep_name(member, name, life, ends)
redis.call('ZREM', KEYS[3], name)
redis.call('DEL', KEYS[1])
redis.call('HMSET', KEYS[1], 'epoch', tonumber(head[1] or 0) + 1, 'updated_at', now, 'expires_at', expires)
if head[2] then redis.call('HSET', KEYS[1], 'local_only', head[2]) end
redis.call('PEXPIRE', KEYS[1], life)
"""
)
"""`member name now expires life ends`: what is left is an epoch higher by one."""

REMEMBER: Final = """
local head = redis.call('HMGET', KEYS[1], 'turns', 'expires_at')
if tonumber(head[1] or 0) == 0 or tonumber(head[2]) <= tonumber(ARGV[1]) then return 0 end
if #ARGV > 1 then redis.call('HMSET', KEYS[1], unpack(ARGV, 2)) end
return 1
"""
"""`now`, then fields and values: what stands beside the turns of a conversation that has some. Whether it has."""

SUMMARISE: Final = """
local now, epoch, before, summary, last, last_at = unpack(ARGV)
local head = redis.call('HMGET', KEYS[1], 'turns', 'expires_at', 'epoch', 'summary_of')
if tonumber(head[1] or 0) == 0 or tonumber(head[2]) <= tonumber(now) then return 0 end
if head[3] ~= epoch or (head[4] or '') ~= before then return 0 end
local place = redis.call('HGET', KEYS[1], 'i:' .. last)
if not place or not string.find(redis.call('HGET', KEYS[1], 't:' .. place), ',' .. last_at .. ',', 1, true) then
    return 0
end
redis.call('HMSET', KEYS[1], 'summary', summary, 'summary_of', last)
return 1
"""
"""`now epoch before summary last last_at`: a summary up to the turn `last`, of a conversation that still has the epoch,
that turn with its time, and the summary up to `before`. Whether it is kept."""

SWAP: Final = """
local place = redis.call('HGET', KEYS[1], 'i:' .. ARGV[1])
if not place or redis.call('HGET', KEYS[1], 't:' .. place) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 't:' .. place, ARGV[3])
return 1
"""
"""`id before after`: a turn as it was read, and what takes its place. Whether it did; its size stays that of before."""

RETRACT: Final = (
    _NAME
    + """
local member, name, id = unpack(ARGV)
local place = redis.call('HGET', KEYS[1], 'i:' .. id)
if place then
    local bytes = string.match(redis.call('HGET', KEYS[1], 'm:' .. place), '^%d+')
    redis.call('HDEL', KEYS[1], 't:' .. place, 'm:' .. place, 'i:' .. id, 'summary', 'summary_of')
    redis.call('HINCRBY', KEYS[1], 'turns', -1)
    redis.call('HINCRBY', KEYS[1], 'bytes', -tonumber(bytes))
end
if tonumber(redis.call('HGET', KEYS[1], 'turns') or 0) == 0 then
    redis.call('DEL', KEYS[1])
    drop_names(member, name)
end
"""
)
"""`member name id`."""

REMOVE: Final = """
local removed = 0
for number = 1, (#ARGV - 2) / 2 do
    local name, member = ARGV[2 * number + 1], ARGV[2 * number + 2]
    local conversation, names = KEYS[2 * number + 1], KEYS[2 * number + 2]
    local score = redis.call('ZSCORE', KEYS[1], name)
    if ARGV[1] == 'all'
        or (ARGV[1] == 'dead' and redis.call('EXISTS', conversation) == 0)
        or (ARGV[1] == 'old' and score and tonumber(score) < tonumber(ARGV[2]))
    then
        redis.call('DEL', conversation)
        redis.call('ZREM', names, member)
        redis.call('ZREM', KEYS[1], name)
        redis.call('ZREM', KEYS[2], name)
        removed = removed + 1
    end
end
return removed
"""
"""Several conversations. `KEYS`: `ages`, `ends`, then of each the conversation and its user's set; `ARGV`: `which`,
`before`, then of each its name and its member. `which` is `all`, `dead` (the server dropped them) or `old` (last
changed before `before`, also at this very moment)."""
