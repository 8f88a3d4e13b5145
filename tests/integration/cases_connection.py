"""Cases of every_command_test.py: what belongs to a client's connection. The notation is in cases.py."""

CASES = r"""
== PING, ECHO, QUIT
PING
PING hello
PING ""
PING "\x00\xff"
ping
PING a b
ECHO hello
ECHO ""
echo "\r\n"
QUIT
<

== QUIT with arguments
quit now
<

== Unknown commands
NOSUCHCOMMAND
nosuchcommand with several arguments
NOSUCHCOMMAND aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
NOSUCHCOMMAND aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbb ccccccccccccccc dddddddddddd
{x*200}
{x*200} {y*200}
NOSUCH "\x00\xff" "\r\n" ""
"" a
"" 
"GET " k
"get|x" k
"\xff\xfe"
"object|encoding" k
GET\r k

== Words in both cases
sEt K v
Get K
gET k
CLient getNAME
oBject eNcoding K
Config Get MAXMEMORY

== HELLO
~volatile HELLO
~volatile HELLO 2
~volatile HELLO 3
~volatile hello 3
HELLO 1
HELLO 4
HELLO abc
HELLO ""
HELLO 3 NOPE
HELLO 3 SETNAME
~volatile HELLO 3 SETNAME me
CLIENT GETNAME
HELLO 3 SETNAME "two words"
~volatile HELLO 2 setname you
CLIENT GETNAME
~volatile HELLO 3 AUTH default anything
HELLO 3 AUTH default
HELLO 3 AUTH nosuch wrong
~volatile HELLO 3 AUTH default "" SETNAME both
CLIENT GETNAME
HELLO 2 SETNAME "" AUTH nosuch wrong
HSET h f v
HGETALL h
~volatile HELLO 2
HGETALL h

== Protocols change between commands
HSET h f v
ZADD z 1.5 a
SADD s a
~volatile HELLO 3
HGETALL h
ZRANGE z 0 -1 WITHSCORES
ZSCORE z a
SMEMBERS s
GET missing
LPOP missing 2
~volatile HELLO 2
HGETALL h
ZRANGE z 0 -1 WITHSCORES
ZSCORE z a
SMEMBERS s
GET missing
LPOP missing 2
~volatile HELLO 3
RESET
HGETALL h

== AUTH
AUTH anything
AUTH ""
AUTH default anything
AUTH default ""
AUTH nosuch wrong
auth a b c
AUTH
ACL WHOAMI

== RESET
CLIENT SETNAME me
SELECT 3
SET k v
MULTI
RESET
CLIENT GETNAME
GET k
EXEC
reset

== CLIENT SETNAME and GETNAME
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
client setname ""
client getname
CLIENT SETNAME "two words"
CLIENT SETNAME "new\nline"
CLIENT SETNAME "\xff"
CLIENT SETNAME me2
CLIENT GETNAME
CLIENT SETNAME
CLIENT GETNAME x

== CLIENT ID, INFO, LIST
CLIENT ID
CLIENT SETNAME me
CLIENT INFO
client info
id:= CLIENT ID
CLIENT LIST ID $id
CLIENT LIST ID $id 999999999
CLIENT LIST ID 999999999
CLIENT LIST ID abc
CLIENT LIST ID
~kind CLIENT LIST
~kind CLIENT LIST TYPE normal
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE replica
CLIENT LIST TYPE master
CLIENT LIST TYPE nosuch
CLIENT LIST TYPE
CLIENT LIST NOPE
client list id $id
MULTI
CLIENT ID
~shape EXEC
CLIENT INFO
SELECT 5
CLIENT INFO
CLIENT HELP
CLIENT NOPE

== CLIENT LIST of a subscriber
2> CLIENT SETNAME listener
id:= 2> CLIENT ID
2> SUBSCRIBE a
2> PSUBSCRIBE b* c*
until(:2) PUBSUB NUMPAT
CLIENT LIST ID $id
CLIENT LIST TYPE pubsub

== CLIENT KILL
id:= 2> CLIENT ID
CLIENT KILL ID $id
2<
CLIENT KILL ID $id
CLIENT KILL ID 0
CLIENT KILL ID abc
CLIENT KILL 127.0.0.1:1
CLIENT KILL ADDR 127.0.0.1:1
CLIENT KILL LADDR 127.0.0.1:1
CLIENT KILL USER nosuch
CLIENT KILL TYPE nosuch
CLIENT KILL TYPE pubsub
CLIENT KILL TYPE replica SKIPME no
CLIENT KILL SKIPME maybe
CLIENT KILL NOPE x
CLIENT KILL ID
other:= 3> CLIENT ID
client kill id $other skipme yes
3<
me:= CLIENT ID
CLIENT KILL ID $me
CLIENT KILL ID $me SKIPME yes
CLIENT KILL ID $me SKIPME no
<

== CLIENT KILL of a subscriber
2> SUBSCRIBE a
until(*[$"a", :1]) PUBSUB NUMSUB a
CLIENT KILL TYPE pubsub
2<

== CLIENT PAUSE and UNPAUSE
CLIENT UNPAUSE
CLIENT PAUSE 10000 WRITE
GET k
2> GET k
*0 2> SET k v
CLIENT UNPAUSE
2<
CLIENT PAUSE 1
client pause 1 all
CLIENT PAUSE 1 NOPE
CLIENT PAUSE abc
CLIENT PAUSE -1
CLIENT PAUSE 1.5
client unpause
GET k

== CLIENT REPLY
CLIENT REPLY ON
*0 CLIENT REPLY SKIP
*0 SET k v
GET k
*0 CLIENT REPLY OFF
*0 SET k w
*0 GET
*0 PING
client reply on
GET k
CLIENT REPLY NOPE
CLIENT REPLY

== CLIENT NO-EVICT
CLIENT NO-EVICT ON
client no-evict off
CLIENT NO-EVICT NOPE
CLIENT NO-TOUCH ON

== CLIENT TRACKING
CLIENT TRACKING ON
CLIENT TRACKING ON BCAST PREFIX user:
CLIENT TRACKING OFF
CLIENT CACHING YES

== Without client-side caching
CLIENT TRACKINGINFO
CLIENT GETREDIR
client trackinginfo

== SELECT is kept with the connection
SELECT 2
SET k two
2> GET k
2> SELECT 2
2> GET k
3> SET k zero
GET k
SELECT 0
GET k

== ACL of the client itself
ACL WHOAMI
acl whoami
ACL CAT
ACL CAT string
ACL CAT nosuch
acl cat GEO
ACL GENPASS
ACL GENPASS 5
ACL GENPASS 0
ACL GENPASS abc
acl genpass 4096
ACL GENPASS 5000
ACL HELP
ACL NOPE

== ACL of the users, read
ACL LIST
ACL USERS
ACL GETUSER default
ACL GETUSER nosuch
acl getuser default
ACL DRYRUN default GET k
ACL DRYRUN nosuch GET k
ACL DRYRUN default NOSUCH
ACL DRYRUN default GET
ACL LOG
ACL LOG 1
ACL LOG RESET
ACL LOG
ACL LOG abc
ACL LOG -1

== ACL of the users, changed
ACL SETUSER someone on
ACL DELUSER someone
ACL LOAD
ACL SAVE
"""
