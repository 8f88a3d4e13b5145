"""Cases of every_command_test.py: publishing and subscribing. The notation is in cases.py.

Messages are published by a second connection; PUBSUB NUMSUB tells when a subscription is in force.
"""

CASES = r"""
== SUBSCRIBE and messages
SUBSCRIBE a b
2> until(*[$"a", :1]) PUBSUB NUMSUB a
2> PUBLISH a hello
<
2> PUBLISH b ""
<
2> PUBLISH c nobody
2> PUBLISH a "\x00\xff\r\n"
<
2> publish a {x*20000}
<
SUBSCRIBE a
SUBSCRIBE c a
UNSUBSCRIBE a
2> until(*[$"a", :0]) PUBSUB NUMSUB a
2> PUBLISH a gone
UNSUBSCRIBE missing
UNSUBSCRIBE b c
UNSUBSCRIBE
PING
GET k

== PSUBSCRIBE and messages
PSUBSCRIBE n* m?
2> until(:2) PUBSUB NUMPAT
2> PUBLISH news hello
<
2> PUBLISH mx hello
<
2> PUBLISH mxx nobody
psubscribe n*
SUBSCRIBE news
2> until(*[$"news", :1]) PUBSUB NUMSUB news
2> PUBLISH news twice
< *2
PUNSUBSCRIBE n*
2> until(:1) PUBSUB NUMPAT
2> PUBLISH news once
<
PUNSUBSCRIBE missing
PUNSUBSCRIBE
PUNSUBSCRIBE
UNSUBSCRIBE news

== SSUBSCRIBE and messages
SSUBSCRIBE a b
2> until(*[$"a", :1]) PUBSUB SHARDNUMSUB a
2> SPUBLISH a hello
<
2> SPUBLISH b ""
<
2> PUBLISH a nobody
2> spublish c nobody
ssubscribe a
SUBSCRIBE a
2> PUBSUB SHARDNUMSUB a b c
SUNSUBSCRIBE a
2> until(*[$"a", :0]) PUBSUB SHARDNUMSUB a
2> SPUBLISH a gone
SUNSUBSCRIBE missing
SUNSUBSCRIBE
SUNSUBSCRIBE
UNSUBSCRIBE a

== Unsubscribing without a subscription
UNSUBSCRIBE
UNSUBSCRIBE a b
PUNSUBSCRIBE
PUNSUBSCRIBE a*
SUNSUBSCRIBE
sunsubscribe a
PING

== What a subscriber may not do in RESP2 [resp2]
SUBSCRIBE a
GET k
SET k v
PING
PING hello
PING a b
MULTI
EXEC
PUBLISH a b
CLIENT ID
HELLO 3
ECHO x
NOSUCH
SUBSCRIBE
QUIT
<

== What a subscriber may do in RESP3 [resp3]
SUBSCRIBE a
SET k v
GET k
PING
PING hello
MULTI
INCR n
GET k
EXEC
2> until(*[$"a", :1]) PUBSUB NUMSUB a
2> PUBLISH a b
<
LPUSH l a
HSET h f v
HGETALL h
UNSUBSCRIBE a

== RESET ends subscriptions
SUBSCRIBE a
PSUBSCRIBE b*
SSUBSCRIBE c
RESET
2> until(*[$"a", :0]) PUBSUB NUMSUB a
2> PUBLISH a x
2> PUBLISH b1 x
2> SPUBLISH c x
GET k

== A subscriber that leaves
SUBSCRIBE a
2> until(*[$"a", :1]) PUBSUB NUMSUB a
QUIT
<
2> until(*[$"a", :0]) PUBSUB NUMSUB a
2> PUBLISH a x

== PUBSUB
PUBSUB CHANNELS
PUBSUB NUMSUB
PUBSUB NUMPAT
PUBSUB SHARDCHANNELS
PUBSUB SHARDNUMSUB
2> SUBSCRIBE a b other
3> SUBSCRIBE a
2> PSUBSCRIBE x* y*
3> PSUBSCRIBE x*
2> SSUBSCRIBE s t
until(*[$"a", :2]) PUBSUB NUMSUB a
until(:2) PUBSUB NUMPAT
until(*[$"s", :1]) PUBSUB SHARDNUMSUB s
PUBSUB CHANNELS
PUBSUB CHANNELS [ab]
pubsub channels nomatch
PUBSUB NUMSUB a b missing
pubsub numpat
PUBSUB SHARDCHANNELS
PUBSUB SHARDCHANNELS s*
PUBSUB SHARDNUMSUB s missing
PUBSUB HELP
PUBSUB NOPE
PUBSUB CHANNELS a b
PUBLISH a to-both
2<
3<
PUBLISH xyz to-both
2<
3<

== PUBLISH without anybody
PUBLISH a b
PUBLISH "" ""
publish a b
SPUBLISH a b
PUBLISH a
MULTI
PUBLISH a b
SPUBLISH a b
EXEC

== PUBLISH in a transaction
2> SUBSCRIBE a
until(*[$"a", :1]) PUBSUB NUMSUB a
MULTI
PUBLISH a one
SET k v
PUBLISH a two
EXEC
2< *2

== A message to oneself [resp3]
SUBSCRIBE a
until(*[$"a", :1]) PUBSUB NUMSUB a
*2 PUBLISH a b
SET k v

== Many channels
SUBSCRIBE c{1..100}
2> until(*[$"c100", :1]) PUBSUB NUMSUB c100
2> PUBLISH c50 x
<
UNSUBSCRIBE c{1..100}
"""
