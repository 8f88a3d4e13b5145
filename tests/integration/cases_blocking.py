"""Cases of every_command_test.py: blocking commands of one client: with data, without, and where they may not wait.

Many waiters at once are tested elsewhere. The notation is in cases.py.
"""

CASES = r"""
== BLPOP and BRPOP
RPUSH l a b c d
RPUSH m x
BLPOP l 0
BLPOP l 1
BRPOP l 0.1
BRPOP missing l 0
blpop missing m l 1
BLPOP l m 0.01
BRPOP l 0.01
BLPOP missing 0.01
EXISTS l m
BLPOP l -1
BLPOP l abc
BLPOP l nan
BLPOP l ""
BRPOP l -0.5
BLPOP l
RPUSH l a
EXPIRE l 100
BLPOP l 0
TTL l
RPUSH l a b
EXPIRE l 100
BRPOP l 0
TTL l
RPUSH dup 1 2 3
BLPOP dup dup 0

== BLMOVE and BRPOPLPUSH
RPUSH s a b c
BLMOVE s d LEFT RIGHT 0
BLMOVE s d RIGHT LEFT 1
blmove s s left right 0.01
BLMOVE s d LEFT LEFT 0
BLMOVE s d LEFT LEFT 0.01
BLMOVE s d UP LEFT 0
BLMOVE d s LEFT DOWN 0
BLMOVE d s LEFT LEFT -1
BLMOVE d s LEFT LEFT abc
BRPOPLPUSH d e 0
BRPOPLPUSH d d 0
brpoplpush missing d 0.01
BRPOPLPUSH d e -1
BRPOPLPUSH d e abc
LRANGE d 0 -1
LRANGE e 0 -1
SET t v
BLMOVE d t LEFT LEFT 0
BRPOPLPUSH d t 0

== BLMPOP
RPUSH l a b c d e
BLMPOP 0 1 l LEFT
BLMPOP 1 2 missing l RIGHT COUNT 2
blmpop 0.01 1 l left count 10
BLMPOP 0.01 1 l LEFT
BLMPOP 0.01 2 l missing RIGHT COUNT 3
EXISTS l
BLMPOP -1 1 l LEFT
BLMPOP abc 1 l LEFT
BLMPOP 0.01 0 l LEFT
BLMPOP 0.01 abc l LEFT
BLMPOP 0.01 1 l UP
BLMPOP 0.01 1 l LEFT COUNT 0
BLMPOP 0.01 1 l LEFT COUNT
BLMPOP 0.01 2 l LEFT
BLMPOP 0.01 1 l LEFT NOPE

== BZPOPMIN and BZPOPMAX
ZADD z 1 a 2.5 b 3 c 4 d
ZADD y 1 x
BZPOPMIN z 0
BZPOPMAX z 1
BZPOPMIN missing z 0.01
bzpopmax missing y z 0.01
BZPOPMIN z y 0
BZPOPMIN z 0.01
BZPOPMAX z y 0.01
EXISTS z y
BZPOPMIN z -1
BZPOPMIN z abc
BZPOPMAX z -1
BZPOPMAX z abc

== BZMPOP
ZADD z 1 a 2 b 3 c 4 d
BZMPOP 0 1 z MIN
BZMPOP 1 2 missing z MAX COUNT 2
bzmpop 0.01 1 z min count 10
BZMPOP 0.01 1 z MIN
BZMPOP 0.01 2 z missing MAX COUNT 3
EXISTS z
BZMPOP -1 1 z MIN
BZMPOP abc 1 z MIN
BZMPOP 0.01 0 z MIN
BZMPOP 0.01 1 z UP
BZMPOP 0.01 1 z MIN COUNT 0
BZMPOP 0.01 2 z MIN
BZMPOP 0.01 1 z MIN NOPE

== Blocking commands in a transaction wait for nothing
RPUSH l a b c
ZADD z 1 a 2 b
XADD x 1-1 f v
XGROUP CREATE x g 0
MULTI
BLPOP missing 0
BLPOP l 0
BRPOP missing 0
BRPOP l 0
BLMOVE missing l LEFT LEFT 0
BLMOVE l m LEFT LEFT 0
BRPOPLPUSH missing l 0
BLMPOP 0 1 missing LEFT
BLMPOP 0 1 m LEFT
BZPOPMIN missing 0
BZPOPMIN z 0
BZPOPMAX missing 0
BZPOPMAX z 0
BZMPOP 0 1 missing MIN
XREAD BLOCK 0 STREAMS x $
XREAD BLOCK 0 STREAMS x 0
XREADGROUP GROUP g c BLOCK 0 STREAMS x >
XREADGROUP GROUP g c BLOCK 0 STREAMS x >
WAIT 1 0
EXEC
EXISTS l m z

== A waiter that is fed
*0 2> BLPOP l 5
RPUSH l a b
2<
LRANGE l 0 -1
*0 2> BZPOPMIN z 5
ZADD z 1 a
2<
EXISTS z
*0 2> BLMOVE l m LEFT RIGHT 5
2<
LRANGE m 0 -1

== CLIENT UNBLOCK
id:= ~shape CLIENT ID
other:= ~shape 2> CLIENT ID
CLIENT UNBLOCK $id
CLIENT UNBLOCK $other
*0 2> BLPOP l 0
until(:1) CLIENT UNBLOCK $other
2<
*0 2> BLPOP l 0
until(:1) CLIENT UNBLOCK $other ERROR
2<
*0 2> XREAD BLOCK 0 STREAMS x $
until(:1) client unblock $other timeout
2<
CLIENT UNBLOCK 999999999
CLIENT UNBLOCK abc
CLIENT UNBLOCK $other NOPE
"""
