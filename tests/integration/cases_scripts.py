"""Cases of every_command_test.py: EVAL and SCRIPT. The notation is in cases.py."""

CASES = r"""
== EVAL and its replies
EVAL "return 1" 0
EVAL "return 'text'" 0
EVAL "return {1,2,'three',{4}}" 0
EVAL "return nil" 0
EVAL "return true" 0
EVAL "return false" 0
EVAL "return 3.99" 0
EVAL "return {1,nil,3}" 0
EVAL "return {}" 0
EVAL "return redis.status_reply('FINE')" 0
EVAL "return redis.error_reply('MY error')" 0
EVAL "return redis.error_reply('noprefix')" 0
EVAL "return {ok='FINE'}" 0
EVAL "return {err='ERR bad'}" 0
EVAL "return {double=3.5}" 0
EVAL "return {map={a=1}}" 0
EVAL "return KEYS[1]" 1 k
EVAL "return {KEYS[1],KEYS[2],ARGV[1],ARGV[2]}" 2 a b c d
EVAL "return #ARGV" 0 a "" "\x00\xff"
EVAL "return ARGV[1]" 0 "\x00\xff\r\n"
eval "return 1" 0
EVAL "" 0
EVAL "return 1" 1
EVAL "return 1" -1
EVAL "return 1" abc
EVAL "return 1" 1.5
EVAL "this is no lua" 0
EVAL "return nosuch()" 0
EVAL "error('mine')" 0
EVAL "error({err='ERR mine'})" 0
EVAL "return redis.call('NOSUCH')" 0
EVAL "return redis.call('GET')" 0
EVAL "return redis.call()" 0
EVAL "x = 1" 0
EVAL "return redis.call('SUBSCRIBE', 'a')" 0
EVAL "return redis.call('BLPOP', 'l', 0)" 0
EVAL "return redis.call('EVAL', 'return 1', 0)" 0
EVAL "return redis.sha1hex('x')" 0
EVAL "return cjson.encode({1,2})" 0
EVAL "return string.rep('x', 30000)" 0

== EVAL that writes
EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 k v
GET k
EVAL "return redis.call('GET', KEYS[1])" 1 k
EVAL "return redis.call('GET', KEYS[1])" 1 missing
EVAL "return redis.call('INCR', KEYS[1])" 1 n
EVAL "redis.call('RPUSH', KEYS[1], 'a', 'b') return redis.call('LRANGE', KEYS[1], 0, -1)" 1 l
EVAL "redis.call('HSET', KEYS[1], 'f', 'v') return redis.call('HGETALL', KEYS[1])" 1 h
EVAL "redis.call('ZADD', KEYS[1], 1.5, 'a') return redis.call('ZSCORE', KEYS[1], 'a')" 1 z
EVAL "redis.call('SET', KEYS[1], 'v', 'EX', 100) return redis.call('TTL', KEYS[1])" 1 e
TTL e
EVAL "redis.call('XADD', KEYS[1], '1-1', 'f', 'v') return redis.call('XLEN', KEYS[1])" 1 x
EVAL "redis.call('DEL', KEYS[1], KEYS[2])" 2 k n
EXISTS k n
EVAL "redis.call('SET', KEYS[1], 'before') return redis.call('INCR', KEYS[1])" 1 w
GET w
EVAL "redis.call('SET', KEYS[1], 'before') error('after')" 1 w2
GET w2
EVAL "return redis.pcall('INCR', KEYS[1])" 1 w
EVAL "local r = redis.pcall('INCR', KEYS[1]) redis.call('SET', KEYS[1], 'caught') return r['err']" 1 w
GET w
EVAL "for i = 1, 100 do redis.call('RPUSH', KEYS[1], i) end return redis.call('LLEN', KEYS[1])" 1 loop
EVAL "redis.call('SELECT', 1) redis.call('SET', KEYS[1], 'in1')" 1 db
GET db
SELECT 1
GET db
SELECT 0
EVAL "return redis.call('PUBLISH', 'c', 'm')" 0

== EVAL with an undeclared key
EVAL "return redis.call('SET', 'undeclared', 'v')" 0
GET undeclared
EVAL "return redis.call('SET', KEYS[1] .. ':2', 'v')" 1 k
GET k:2

== EVAL that says that it is left to chance [random]
SADD s {1..50}
~shape EVAL "return redis.call('SPOP', KEYS[1])" 1 s
~shape EVAL "return redis.call('SPOP', KEYS[1], 10)" 1 s
SCARD s
~shape EVAL "return redis.call('SRANDMEMBER', KEYS[1])" 1 s
~shape EVAL "local t = redis.call('TIME') redis.call('SET', KEYS[1], t[1] .. t[2]) return t" 1 t
~shape GET t
~shape EVAL "redis.call('SET', KEYS[1], math.random(1000000)) return 1" 1 m
sha:= SCRIPT LOAD "return redis.call('spop', KEYS[1])"
~shape EVALSHA $sha 1 s
MULTI
~either EVAL "return redis.call('SPOP', KEYS[1])" 1 s
~either EVALSHA $sha 1 s
~shape EXEC
SCARD s

== EVAL that is left to chance without saying so [random diverges]
~shape EVAL "return redis.call('XADD', KEYS[1], '*', 'f', 'v')" 1 x
~shape EVAL "local c = 'SP' .. 'OP' return redis.call(c, KEYS[1])" 1 s
SADD s {1..50}
~shape EVAL "local c = 'SP' .. 'OP' return redis.call(c, KEYS[1])" 1 s
XLEN x
SCARD s

== EVAL of other types and protocols
EVAL "redis.setresp(3) redis.call('HSET', KEYS[1], 'f', 'v') return redis.call('HGETALL', KEYS[1])" 1 h
EVAL "redis.setresp(3) return redis.call('SMEMBERS', KEYS[1])" 1 s
EVAL "redis.setresp(3) redis.call('ZADD', KEYS[1], 2.5, 'a') return redis.call('ZSCORE', KEYS[1], 'a')" 1 z
EVAL "redis.setresp(3) return redis.call('GET', KEYS[1])" 1 missing
EVAL "redis.setresp(4)" 0
EVAL "redis.setresp(3) return {true, false}" 0
EVAL "return {big_number='123'}" 0
EVAL "redis.setresp(3) return {set={a=true}}" 0
SET str v
EVAL "return redis.call('LPUSH', KEYS[1], 'a')" 1 str

== Flags of scripts
EVAL "#!lua\nreturn 1" 0
EVAL "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])" 1 k
EVAL "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'v')" 1 k
EVAL "#!lua flags=nosuch\nreturn 1" 0
EVAL "#!python\nreturn 1" 0
EVAL "#!lua name=x\nreturn 1" 0
EXISTS k

== EVAL_RO
SET k v
EVAL_RO "return redis.call('GET', KEYS[1])" 1 k
EVAL_RO "return redis.call('SET', KEYS[1], 'w')" 1 k
EVAL_RO "return 1" 0
EVAL_RO "return 1" abc
EVAL_RO "no lua" 0
EVAL_RO "return redis.call('PFCOUNT', KEYS[1])" 1 p
eval_ro "return {KEYS[1], ARGV[1]}" 1 a b
GET k

== EVALSHA, EVALSHA_RO, SCRIPT LOAD, SCRIPT EXISTS, SCRIPT FLUSH
SCRIPT FLUSH
sha:= SCRIPT LOAD "return redis.call('INCR', KEYS[1])"
EVALSHA $sha 1 n
evalsha $sha 1 n
EVALSHA_RO $sha 1 n
ro:= script load "return redis.call('GET', KEYS[1])"
EVALSHA_RO $ro 1 n
evalsha_ro $ro 1 missing
EVALSHA $ro 1 n
SCRIPT EXISTS $sha $ro ffffffffffffffffffffffffffffffffffffffff short
SCRIPT EXISTS ""
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA short 0
EVALSHA "" 0
EVALSHA $sha abc
EVALSHA $sha 5 n
SCRIPT LOAD "no lua"
SCRIPT LOAD ""
EVAL "return 'seen once'" 0
SCRIPT EXISTS 0c4f7e7d2cd07e2b0a0e02ac2b1e2a7bb0a2d3f6
SCRIPT FLUSH
SCRIPT EXISTS $sha
EVALSHA $sha 1 n
SCRIPT FLUSH ASYNC
script flush sync
SCRIPT FLUSH NOPE
SCRIPT FLUSH SYNC ASYNC
EVAL "return redis.call('INCR', KEYS[1])" 1 n
EVALSHA $sha 1 n
SCRIPT HELP
SCRIPT NOPE
SCRIPT KILL
GET n

== SCRIPT DEBUG
SCRIPT DEBUG NO

== Scripts in a transaction
SET s text
sha:= SCRIPT LOAD "return redis.call('INCR', KEYS[1])"
MULTI
EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 k v
EVALSHA $sha 1 n
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVAL "redis.call('SET', KEYS[1], 'x') return redis.call('INCR', KEYS[2])" 2 j s
EVAL_RO "return redis.call('GET', KEYS[1])" 1 k
SCRIPT EXISTS $sha
SCRIPT LOAD "return 7"
INCR n
EXEC
GET j
GET n

== A script under WATCH
WATCH k
EVAL "return redis.call('SET', KEYS[1], 'v')" 1 k
MULTI
PING
EXEC
WATCH k
EVAL "return redis.call('GET', KEYS[1])" 1 k
MULTI
PING
EXEC
"""
