"""Scripts and functions for the random generator: repeatable ones, ones that no two servers run alike, ones that write
and then fail, and ones that only read.

A script is its body and its arguments, the latter in the words of shapes.py: "1 $c $int" is one key, a counter, and an
argument, an integer. Functions are called by name, with arguments in the same words.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass

from shapes import Shape


@dataclass(frozen=True)
class Script:
    kind: str        # repeatable | unrepeatable | failing | expiring | reading | undeclared
    body: str
    arguments: Shape

    @property
    def sha(self) -> str:
        return hashlib.sha1(self.body.encode()).hexdigest()


def _scripts(kind: str, *pairs: tuple[str, str]) -> list[Script]:
    return [Script(kind, body, Shape(arguments)) for body, arguments in pairs]


SCRIPTS = [
    *_scripts(
        "repeatable",
        ("redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", "1 $c $int"),
        ("local old = redis.call('GET', KEYS[1]) if old then redis.call('SET', KEYS[1], old .. ARGV[1], 'KEEPTTL') end "
         "return old", "1 $s x"),
        ("for i = 1, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end redis.call('LTRIM', KEYS[1], -30, -1) "
         "return {redis.call('LLEN', KEYS[1]), redis.call('LRANGE', KEYS[1], -3, -1)}", "1 $l $v $v $v"),
        ("local v = redis.call('LPOP', KEYS[1]) if v then redis.call('RPUSH', KEYS[2], v) return v end return false",
         "2 $l $l"),
        ("redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1]) "
         "return redis.status_reply('BOTH')", "2 $h $z $f $v $score"),
        ("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end",
         "1 $s $m"),
        ("redis.call('SADD', KEYS[1], ARGV[1]) redis.call('SADD', KEYS[2], ARGV[1]) "
         "return redis.call('SINTERSTORE', KEYS[3], KEYS[1], KEYS[2])", "3 $t $t $t $m"),
        ("local r = redis.pcall('INCR', KEYS[1]) if type(r) == 'table' then return r.err end return {1.9, true, false, 'x'}",
         "1 $k"),
        ("redis.setresp(3) redis.call('ZADD', KEYS[1], 1.5, 'm1') return redis.call('ZSCORE', KEYS[1], 'm1')",
         "1 $z"),
        ("redis.call('SELECT', ARGV[1]) redis.call('SET', KEYS[1], 'in another database') return 1", "1 $s $db"),
        ("return redis.call('DEL', unpack(KEYS))", "3 $k $k $k")),
    *_scripts(
        "unrepeatable",
        ("redis.call('XADD', KEYS[1], '*', 'word', ARGV[1]) return redis.call('XLEN', KEYS[1])", "1 $x $v"),
        ("local t = redis.call('TIME') redis.call('SET', KEYS[1], t[1] .. '.' .. t[2]) return t", "1 $s"),
        ("local m = redis.call('SPOP', KEYS[1]) if m then redis.call('RPUSH', KEYS[2], m) end return m", "2 $t $l"),
        ("local m = redis.call('SRANDMEMBER', KEYS[1], 2) for i = 1, #m do redis.call('SREM', KEYS[1], m[i]) end "
         "return #m", "1 $t"),
        ("local f = redis.call('HRANDFIELD', KEYS[1]) if f then redis.call('HDEL', KEYS[1], f) end return f", "1 $h"),
        ("local m = redis.call('ZRANDMEMBER', KEYS[1]) if m then redis.call('ZINCRBY', KEYS[1], 1, m) end return m",
         "1 $z"),
        ("redis.call('SET', KEYS[1], math.random()) return 1", "1 $s")),
    *_scripts(
        "failing",
        ("redis.call('SET', KEYS[1], ARGV[1]) return redis.error_reply('MINE fails on purpose')", "1 $s $v"),
        ("redis.call('SADD', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], 'text') redis.call('INCR', KEYS[2])",
         "2 $t $s $m"),
        ("redis.call('RPUSH', KEYS[1], ARGV[1]) error('thrown on purpose')", "1 $l $v"),
        ("return redis.call('GET', KEYS[1]) .. nil", "1 $s"),
        ("syntax error here", "1 $s")),
    *_scripts(
        "expiring",
        ("redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return redis.call('PTTL', KEYS[1]) > 0", "1 $s $v $ms"),
        ("local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n",
         "1 $c $ms"),
        ("return redis.call('EXPIRE', KEYS[1], ARGV[1])", "1 $k $sec")),
    *_scripts(
        "reading",
        ("return redis.call('GET', KEYS[1])", "1 $s"),
        ("return {redis.call('LRANGE', KEYS[1], 0, -1), redis.call('LLEN', KEYS[2])}", "2 $l $l"),
        ("return redis.call('HGETALL', KEYS[1])", "1 $h"),
        ("#!lua flags=no-writes\nreturn redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')", "1 $z"),
        ("return redis.sha1hex(ARGV[1])", "0 $v")),
    # Their keys are nobody else's and have no lifetime: verbatim is exact, and nothing could be checked again.
    *_scripts(
        "undeclared",
        ("return redis.call('INCRBY', 'undeclared:' .. ARGV[1], ARGV[2])", "0 $n $int"),
        ("redis.call('RPUSH', 'undeclared:list', ARGV[1]) redis.call('LTRIM', 'undeclared:list', -20, -1) return 'ok'",
         "0 $v")),
]

LIBRARY = """#!lua name=randomlibrary
local function push(keys, args)
  redis.call('RPUSH', keys[1], unpack(args))
  redis.call('LTRIM', keys[1], -25, -1)
  return redis.call('LLEN', keys[1])
end
local function clock(keys, args)
  return redis.call('HSET', keys[1], args[1], redis.call('TIME')[1])
end
local function fails(keys, args)
  redis.call('SADD', keys[1], args[1])
  return redis.error_reply('MINE fails on purpose')
end
redis.register_function('push', push)
redis.register_function('clock', clock)
redis.register_function('fails', fails)
redis.register_function{function_name = 'look', callback = function(keys) return redis.call('GET', keys[1]) end,
                        flags = {'no-writes'}}
"""
SPARE_LIBRARY = "#!lua name=sparelibrary\nredis.register_function('spare', function(keys) return redis.call('INCR', keys[1]) end)"

FUNCTION_CALLS = [Shape(line) for line in (
    "FCALL push 1 $l $v $v", "FCALL clock 1 $h $f", "FCALL fails 1 $t $m", "FCALL look 1 $s", "FCALL_RO look 1 $s",
    "FCALL spare 1 $c", "FCALL_RO push 1 $l $v", "FCALL nowhere 1 $s")]
