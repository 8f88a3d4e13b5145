"""Cases of every_command_test.py: keys as such, their expiry, SORT, DUMP. The notation is in cases.py."""

CASES = r"""
== DEL, UNLINK, EXISTS, TYPE, TOUCH
MSET a 1 b 2 c 3 d 4
RPUSH l x
EXISTS a b missing a
EXISTS missing
TOUCH a b missing a
TYPE a
TYPE l
TYPE missing
DEL a missing
DEL a
del b b
UNLINK c missing
UNLINK c
UNLINK d l
DBSIZE
SET "" v
DEL ""
SADD big {1..2000}
UNLINK big
SADD big {1..2000}
DEL big
TYPE ""

== TYPE of each type
SET s v
RPUSH l a
SADD t a
HSET h f v
ZADD z 1 a
XADD x 1-1 f v
PFADD p a
SETBIT b 1 1
GEOADD g 1 1 a
TYPE s
TYPE l
TYPE t
TYPE h
TYPE z
TYPE x
TYPE p
TYPE b
type g

== EXPIRE and its kin
SET k v
EXPIRE k 100
TTL k
PTTL k
EXPIRETIME k
PEXPIRETIME k
EXPIRE k 200 NX
TTL k
EXPIRE k 200 XX
TTL k
EXPIRE k 100 GT
EXPIRE k 300 gt
TTL k
EXPIRE k 400 LT
EXPIRE k 50 LT
TTL k
PEXPIRE k 100000
TTL k
PEXPIRE k 200000 NX
PEXPIRE k 200000 XX
PERSIST k
PERSIST k
TTL k
EXPIRE k 100 XX
EXPIRE k 100 GT
EXPIRE k 100 LT
TTL k
EXPIREAT k {now+100}
TTL k
EXPIREAT k {now+200} GT
EXPIREAT k {now+100} NX
PEXPIREAT k {ms+300000}
TTL k
PEXPIREAT k {ms+400000} LT
PEXPIREAT k {ms+100000} LT
TTL k
expireat k {now+500} xx
TTL k
EXPIRE k abc
EXPIRE k 1.5
EXPIRE k ""
EXPIRE k 100 NX XX
EXPIRE k 100 GT LT
EXPIRE k 100 NX GT
EXPIRE k 100 XX GT
EXPIRE k 100 NOPE
EXPIRE k 9223372036854775807
EXPIRE k -9223372036854775808
EXPIRE k 9223372036854776
PEXPIRE k 9223372036854775807
EXPIREAT k 9223372036854775807
PEXPIREAT k abc
EXPIRE missing 100
PEXPIRE missing 100
EXPIREAT missing {now+9}
PEXPIREAT missing {ms+9000}
EXPIRE missing abc
PERSIST missing
TTL missing
PTTL missing
EXPIRETIME missing
PEXPIRETIME missing
GET k

== Expiries that are over at once
MSET a 1 b 2 c 3 d 4 e 5 f 6
EXPIRE a 0
EXPIRE b -1
PEXPIRE c -100
EXPIREAT d 1
PEXPIREAT e 1
EXISTS a b c d e f
EXPIRE f -1 GT
EXPIRE f -1 LT
EXISTS f
DBSIZE

== A key that expires
SET k v PX 30
until(null) GET k
EXISTS k
TTL k
SET k v PX 20
until(:0) EXISTS k
RPUSH l a b
PEXPIRE l 20
until(+none) TYPE l
LRANGE l 0 -1
TTL l

== RENAME and RENAMENX
SET a 1
SET b 2 EX 100
RENAME a c
EXISTS a
GET c
RENAME b c
TTL c
GET c
RENAME c c
RENAME missing c
RENAME missing missing
RENAMENX c d
SET e 5
RENAMENX d e
RENAMENX d d
RENAMENX missing d
GET d
rename d e
GET e
RPUSH l x
RENAME l e
TYPE e
RENAME e ""
TYPE ""

== OBJECT
SET n 1
SET s text
RPUSH l a b
SADD ints 1 2
SADD words a b
HSET h f v
ZADD z 1 a
XADD x 1-1 f v
OBJECT ENCODING n
OBJECT ENCODING s
OBJECT ENCODING l
OBJECT ENCODING ints
OBJECT ENCODING words
OBJECT ENCODING h
OBJECT ENCODING z
OBJECT ENCODING x
object encoding missing
OBJECT REFCOUNT n
OBJECT REFCOUNT s
OBJECT REFCOUNT missing
OBJECT IDLETIME s
OBJECT IDLETIME missing
OBJECT FREQ s
OBJECT FREQ missing
OBJECT HELP
OBJECT ENCODING
OBJECT NOPE s

== A read that fails, before a write by the same client
RPUSH l 1 2
SET s v
LLEN s
RENAME l s
TYPE s
SET s v
HGETALL s
DEL s
SET s v
SMEMBERS s
SORT s
SADD s a
GETRANGE s x y
DEL s

== A read that finds nothing, before a write by the same client
GET k
SET k v
LRANGE l 0 -1
RPUSH l a
HGET h f
HSET h f v
XRANGE x - +
XADD x 1-1 f v
ZSCORE z a
ZADD z 1 a
EXISTS t
SADD t a

== DUMP and RESTORE
SET s "a value"
d:= DUMP s
DUMP missing
RESTORE r 0 $d
GET r
RESTORE r 0 $d
RESTORE r 100000 $d REPLACE
TTL r
RESTORE r {ms+100000} $d REPLACE ABSTTL
TTL r
restore r 0 $d replace
TTL r
RESTORE r 1 $d REPLACE ABSTTL
EXISTS r
RESTORE i 0 $d IDLETIME 10
RESTORE f 0 $d FREQ 10
RESTORE j 0 $d IDLETIME -1
RESTORE j 0 $d FREQ 256
RESTORE j 0 $d FREQ -1
RESTORE j 0 $d IDLETIME abc
RESTORE j -1 $d
RESTORE j abc $d
RESTORE j 0 $d NOPE
RESTORE j 0 garbage
RESTORE j 0 ""
RESTORE j 0 $d IDLETIME
RPUSH l a b c
dl:= DUMP l
RESTORE l2 0 $dl
LRANGE l2 0 -1
RESTORE s 0 $dl
RESTORE s 0 $dl REPLACE
TYPE s
HSET h a 1 b 2
dh:= DUMP h
RESTORE h2 0 $dh
HGETALL h2
ZADD z 1 a 2 b
dz:= DUMP z
RESTORE z2 0 $dz
ZRANGE z2 0 -1 WITHSCORES
SADD t 1 2 3
dt:= DUMP t
RESTORE t2 0 $dt
SMEMBERS t2
XADD x 1-1 f v
XGROUP CREATE x g 0
dx:= DUMP x
RESTORE x2 0 $dx
XINFO GROUPS x2

== SORT
RPUSH l 3 1 2
SORT l
SORT l DESC
SORT l LIMIT 0 2
SORT l LIMIT 1 1 DESC
sort l limit 0 0
SORT l LIMIT -5 2
SORT l LIMIT a b
SORT l ALPHA
SORT l ASC ALPHA
SORT missing
SORT l STORE out
LRANGE out 0 -1
TYPE out
SORT missing STORE out
EXISTS out
RPUSH words b a c
SORT words
SORT words ALPHA
SORT words ALPHA DESC STORE out
LRANGE out 0 -1
MSET w_1 30 w_2 20 w_3 10
MSET d_1 one d_2 two
HSET h_1 f 9 name x
HSET h_2 f 8 name y
HSET h_3 f 7
SORT l BY w_*
SORT l BY w_* GET d_* GET #
SORT l BY h_*->f GET h_*->name
SORT l BY nosort
SORT l BY nosort DESC LIMIT 0 2
SORT l GET d_*
SORT l BY w_* GET d_* STORE out
LRANGE out 0 -1
SORT l BY
SORT l NOPE
SADD t 5 4 6
SORT t
SORT t DESC STORE out
LRANGE out 0 -1
~unordered SORT t BY nosort
ZADD z 3 1 1 2 2 3
SORT z
SORT z BY nosort
SORT z BY nosort DESC
SORT z BY nosort LIMIT 0 2
SORT_RO l
SORT_RO l DESC LIMIT 0 2
sort_ro words alpha
SORT_RO l BY w_* GET d_*
SORT_RO l STORE out
SORT_RO missing
SORT_RO words
SET s v
SORT s
SORT l STORE s
TYPE s
HSET h f v
SORT h
RPUSH floats 1.5 -2 1e3
SORT floats
SORT l BY h_*->nope ALPHA

== MIGRATE and RESTORE-ASKING
SET k v
MIGRATE 127.0.0.1 1 k 0 100
MIGRATE 127.0.0.1 1 "" 0 100 KEYS k j
RESTORE-ASKING k 0 garbage

== WAIT
SET k v
WAIT 0 0
WAIT 0 10
WAIT 1 10
WAIT 0 -1
WAIT abc 0
WAIT 0 abc
wait -1 0
"""
