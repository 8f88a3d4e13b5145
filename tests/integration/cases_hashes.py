"""Cases of every_command_test.py: hashes. The notation is in cases.py."""

CASES = r"""
== HSET, HMSET, HSETNX, HGET, HMGET
HSET h f v
HSET h f w g x
HSET h a 1 b 2 c 3
HSET h "" "" "\x00" "\xff\r\n"
HGET h f
HGET h missing
HGET missing f
HGET h ""
HGET h "\x00"
HMSET h m 1 n 2
HMSET h m 1 n
HSET h m 1 n
HSET h f v g
hmset i a 1
HSETNX h f other
HSETNX h fresh v
HSETNX new f v
HGET h f
HMGET h f missing g
HMGET missing a b
hmget h f f f
HGETALL h
HGETALL missing
HKEYS h
HKEYS missing
HVALS h
HVALS missing
HLEN h
HLEN missing
HEXISTS h f
HEXISTS h missing
HEXISTS missing f
HSTRLEN h f
HSTRLEN h missing
HSTRLEN missing f
hstrlen h ""
OBJECT ENCODING h
HSET h f {x*100}
OBJECT ENCODING h
HSTRLEN h f
HSET big f{1..200}|v{}
OBJECT ENCODING big
HGETALL big
HKEYS big
HVALS big
HLEN big

== HDEL
HSET h a 1 b 2 c 3
HDEL h a missing
HDEL h a
HDEL missing a
hdel h b c
EXISTS h
HSET h a 1
EXPIRE h 100
HSET h b 2
TTL h
HDEL h a
TTL h

== HINCRBY
HINCRBY h n 5
HINCRBY h n -10
HINCRBY h n 0
HINCRBY h n abc
HINCRBY h n 1.5
HINCRBY h n 9223372036854775808
HINCRBY h n -9223372036854775808
HSET h big 9223372036854775807
HINCRBY h big 1
HINCRBY h big -1
HSET h s text
HINCRBY h s 1
HSET h sp " 1"
HINCRBY h sp 1
HSET h e ""
HINCRBY h e 1
HSET h f 1.5
HINCRBY h f 1
hincrby fresh n 1
HGETALL h

== HINCRBYFLOAT
HINCRBYFLOAT h f 1.5
HINCRBYFLOAT h f 0.1
HINCRBYFLOAT h f 0.1
HINCRBYFLOAT h f -5e2
HINCRBYFLOAT h f abc
HINCRBYFLOAT h f nan
HINCRBYFLOAT h f inf
HINCRBYFLOAT h f ""
HSET h s text
HINCRBYFLOAT h s 1
HSET h i 10
HINCRBYFLOAT h i 0.5
HSET h m 1e308
HINCRBYFLOAT h m 1e308
HINCRBYFLOAT fresh f 1
hincrbyfloat h f 1e-3
HGETALL h
EXPIRE h 100
HINCRBYFLOAT h f 1
TTL h

== HRANDFIELD
HRANDFIELD missing
HRANDFIELD missing 3
HRANDFIELD missing -3 WITHVALUES
HSET h a 1 b 2 c 3
HRANDFIELD h
HRANDFIELD h 2
HRANDFIELD h -5
HRANDFIELD h 0
HRANDFIELD h 10
HRANDFIELD h 2 WITHVALUES
HRANDFIELD h -4 withvalues
hrandfield h 10 withvalues
HRANDFIELD h abc
HRANDFIELD h 1 NOPE
HRANDFIELD h 1 WITHVALUES x
HRANDFIELD h -9223372036854775808
HSET one f v
~exact HRANDFIELD one
~exact HRANDFIELD one 5 WITHVALUES

== HSCAN
HSET h a 1 b 2 c 3
HSCAN h 0
HSCAN h 0 MATCH a*
HSCAN h 0 COUNT 100
hscan h 0 match * count 1
HSCAN missing 0
HSCAN h abc
HSCAN h 0 COUNT 0
HSCAN h 0 COUNT abc
HSCAN h 0 NOPE 1
HSCAN h 0 NOVALUES
HSET big f{1..200}|v{}
HSCAN big 0 COUNT 10000
HSCAN big 0 MATCH f19* COUNT 10000
"""
