"""Cases of every_command_test.py: FCALL and FUNCTION. The notation is in cases.py."""

CASES = r"""
== FUNCTION LOAD, LIST, DELETE, FLUSH
FUNCTION FLUSH
FUNCTION LIST
FUNCTION LOAD "#!lua name=one\nredis.register_function('f', function(keys, args) return 1 end)"
FUNCTION LOAD "#!lua name=one\nredis.register_function('f', function(keys, args) return 1 end)"
FUNCTION LOAD REPLACE "#!lua name=one\nredis.register_function('f', function(keys, args) return 2 end)"
FCALL f 0
FUNCTION LOAD "#!lua name=two\nredis.register_function('f', function(keys, args) return 1 end)"
function load "#!lua name=two\nredis.register_function('g', function(keys, args) return {keys[1], args[1]} end)"
FCALL g 1 k a
FUNCTION LIST
FUNCTION LIST WITHCODE
FUNCTION LIST LIBRARYNAME one
FUNCTION LIST LIBRARYNAME t* WITHCODE
FUNCTION LIST LIBRARYNAME nomatch
FUNCTION LIST LIBRARYNAME
FUNCTION LIST NOPE
function list withcode libraryname two
FUNCTION LOAD "no shebang"
FUNCTION LOAD "#!lua\nreturn 1"
FUNCTION LOAD "#!lua name=three\nno lua"
FUNCTION LOAD "#!lua name=three\nreturn 1"
FUNCTION LOAD "#!python name=three\nx"
FUNCTION LOAD "#!lua name=bad-name\nredis.register_function('h', function() end)"
FUNCTION LOAD "#!lua name=three\nredis.register_function('h-h', function() end)"
FUNCTION LOAD NOPE "#!lua name=three\nredis.register_function('h', function() end)"
FUNCTION LOAD ""
FUNCTION DELETE two
FUNCTION DELETE two
FUNCTION DELETE ""
FCALL g 0
FUNCTION STATS
FUNCTION HELP
FUNCTION NOPE
FUNCTION FLUSH ASYNC
FUNCTION FLUSH SYNC
function flush
FUNCTION FLUSH NOPE
FUNCTION KILL
FUNCTION LIST
FCALL f 0

== FCALL and FCALL_RO
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('SET', \
keys[1], args[1]) end)\nredis.register_function{function_name='look', callback=function(keys, args) return \
redis.call('GET', keys[1]) end, flags={'no-writes'}}\
\nredis.register_function('fail', function(keys, args) redis.call('SET', keys[1], 'before') return \
redis.call('INCR', keys[1]) end)\nredis.register_function('err', function(keys, args) return redis.error_reply('MY \
error') end)\nredis.register_function('map', function(keys, args) redis.setresp(3) return redis.call('HGETALL', \
keys[1]) end)"
FCALL put 1 k v
GET k
FCALL look 1 k
FCALL_RO look 1 k
fcall_ro look 1 missing
FCALL_RO put 1 k w
FCALL fail 1 k
GET k
FCALL err 0
HSET h f v
FCALL map 1 h
FCALL missing 0
FCALL_RO missing 0
FCALL put abc
FCALL put -1
FCALL put 5 k
fcall put 2 a b c
FCALL look 1 h
EVAL "return redis.call('FCALL', 'look', 1, 'k')" 0
MULTI
FCALL put 1 k inside
FCALL_RO look 1 k
FCALL missing 0
FUNCTION LIST LIBRARYNAME nomatch
EXEC
GET k
FUNCTION FLUSH

== FUNCTION DUMP and RESTORE
FUNCTION FLUSH
empty:= FUNCTION DUMP
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys, args) return 'f' end)"
d:= FUNCTION DUMP
FUNCTION RESTORE $d
FUNCTION RESTORE $d APPEND
FUNCTION RESTORE $d REPLACE
function restore $d flush
FCALL f 0
FUNCTION FLUSH
FUNCTION RESTORE $d
FCALL f 0
FUNCTION LIST
FUNCTION RESTORE garbage
FUNCTION RESTORE $d NOPE
FUNCTION RESTORE "" REPLACE
FUNCTION RESTORE $empty FLUSH
FUNCTION LIST

== FUNCTION in a transaction
FUNCTION FLUSH
MULTI
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys, args) return redis.call('INCR', keys[1]) \
end)"
FCALL f 1 n
FUNCTION DELETE lib
FCALL f 1 n
EXEC
GET n
FUNCTION LIST
"""
