"""Lines of every_command_test.py that meet a key of each type, and a missing one, as {k}.

There is one or more for each command that names keys, in each place where it names one. The other keys, one of each
type, are made by SETUP before each line.
"""

SETUP = """
SET s v
SET n 5
RPUSH l 3 1 2
SADD t 1 2 3
HSET h f v
ZADD z 1 a 2 b
XADD x 1-1 f v
XGROUP CREATE x g 0
GEOADD g 13 38 a 15 37 b
PFADD p a b
"""

LINES = """
GET {k}
SET {k} v
SET {k} v NX
SET {k} v XX GET
SET {k} v KEEPTTL
SETEX {k} 100 v
PSETEX {k} 100000 v
SETNX {k} v
GETSET {k} v
GETDEL {k}
GETEX {k}
GETEX {k} EX 100
GETRANGE {k} 0 -1
SUBSTR {k} 0 -1
SETRANGE {k} 1 x
STRLEN {k}
APPEND {k} x
MGET s {k} n
MSET n 1 {k} v
MSETNX {k} v fresh v
INCR {k}
DECR {k}
INCRBY {k} 2
DECRBY {k} 2
INCRBYFLOAT {k} 1.5
LCS {k} s
LCS s {k}
SETBIT {k} 1 1
GETBIT {k} 1
BITCOUNT {k}
BITPOS {k} 1
BITOP AND d s {k}
BITOP NOT {k} s
BITFIELD {k} GET u8 0
BITFIELD {k} SET u8 0 1
BITFIELD_RO {k} GET u8 0
PFADD {k} a
PFCOUNT {k}
PFCOUNT p {k}
PFMERGE {k} p
PFMERGE d p {k}
DEL {k} nothing
UNLINK {k} nothing
EXISTS {k} s
TOUCH {k} s
TYPE {k}
EXPIRE {k} 100
PEXPIRE {k} 100000
EXPIREAT {k} {now+100}
PEXPIREAT {k} {ms+100000}
EXPIRE {k} -1
TTL {k}
PTTL {k}
EXPIRETIME {k}
PEXPIRETIME {k}
PERSIST {k}
RENAME {k} moved
RENAME s {k}
RENAMENX {k} moved
RENAMENX s {k}
COPY {k} copied
COPY s {k}
COPY s {k} REPLACE
MOVE {k} 1
DUMP {k}
RESTORE {k} 0 garbage
OBJECT ENCODING {k}
OBJECT REFCOUNT {k}
OBJECT IDLETIME {k}
OBJECT FREQ {k}
MEMORY USAGE {k}
SORT {k}
SORT {k} ALPHA
SORT l STORE {k}
SORT {k} ALPHA STORE d
SORT_RO {k} ALPHA
LPUSH {k} a
RPUSH {k} a
LPUSHX {k} a
RPUSHX {k} a
LPOP {k}
RPOP {k} 2
LLEN {k}
LINDEX {k} 0
LSET {k} 0 x
LRANGE {k} 0 -1
LREM {k} 0 1
LTRIM {k} 0 0
LINSERT {k} BEFORE 1 x
LPOS {k} 1
LMOVE {k} l LEFT RIGHT
LMOVE l {k} LEFT RIGHT
RPOPLPUSH {k} l
RPOPLPUSH l {k}
LMPOP 1 {k} LEFT
LMPOP 2 {k} l LEFT
BLPOP {k} 0.01
BLPOP {k} l 0.01
BLPOP l {k} 0.01
BRPOP {k} 0.01
BRPOP {k} l 0.01
BLMOVE {k} l LEFT RIGHT 0.01
BLMOVE l {k} LEFT RIGHT 0.01
BRPOPLPUSH {k} l 0.01
BRPOPLPUSH l {k} 0.01
BLMPOP 0.01 1 {k} LEFT
BLMPOP 0.01 2 {k} l LEFT
SADD {k} a
SREM {k} 1
SCARD {k}
SISMEMBER {k} 1
SMISMEMBER {k} 1 2
SMEMBERS {k}
SPOP {k}
SPOP {k} 5
SRANDMEMBER {k}
SRANDMEMBER {k} 5
SMOVE {k} t 1
SMOVE t {k} 1
SINTER {k} t
SINTER t {k}
SUNION t {k}
SDIFF {k} t
SDIFF t {k}
SINTERCARD 2 t {k}
SINTERSTORE d t {k}
SINTERSTORE {k} t
SUNIONSTORE d {k} t
SUNIONSTORE {k} t
SDIFFSTORE d {k} t
SDIFFSTORE {k} t
SSCAN {k} 0
HSET {k} f v
HMSET {k} f v
HSETNX {k} f v
HGET {k} f
HMGET {k} f g
HDEL {k} f
HEXISTS {k} f
HLEN {k}
HSTRLEN {k} f
HKEYS {k}
HVALS {k}
HGETALL {k}
HINCRBY {k} n 1
HINCRBYFLOAT {k} n 1.5
HRANDFIELD {k}
HRANDFIELD {k} 3 WITHVALUES
HSCAN {k} 0
ZADD {k} 1 a
ZADD {k} INCR 1 a
ZADD {k} XX 1 a
ZINCRBY {k} 1 a
ZREM {k} a
ZCARD {k}
ZCOUNT {k} -inf +inf
ZLEXCOUNT {k} - +
ZSCORE {k} a
ZMSCORE {k} a b
ZRANK {k} a
ZREVRANK {k} a
ZRANGE {k} 0 -1 WITHSCORES
ZREVRANGE {k} 0 -1
ZRANGEBYSCORE {k} -inf +inf
ZREVRANGEBYSCORE {k} +inf -inf
ZRANGEBYLEX {k} - +
ZREVRANGEBYLEX {k} + -
ZRANDMEMBER {k}
ZRANDMEMBER {k} 3 WITHSCORES
ZPOPMIN {k}
ZPOPMAX {k} 2
ZMPOP 1 {k} MIN
ZMPOP 2 {k} z MAX
BZPOPMIN {k} 0.01
BZPOPMIN {k} z 0.01
BZPOPMAX {k} 0.01
BZPOPMAX {k} z 0.01
BZMPOP 0.01 1 {k} MIN
BZMPOP 0.01 2 {k} z MIN
ZREMRANGEBYRANK {k} 0 -1
ZREMRANGEBYSCORE {k} -inf +inf
ZREMRANGEBYLEX {k} - +
ZRANGESTORE d {k} 0 -1
ZRANGESTORE {k} z 0 -1
ZUNION 2 z {k} WITHSCORES
ZINTER 2 z {k}
ZDIFF 2 {k} z
ZINTERCARD 2 z {k}
ZUNIONSTORE d 2 z {k}
ZUNIONSTORE {k} 1 z
ZINTERSTORE d 2 z {k}
ZINTERSTORE {k} 1 z
ZDIFFSTORE d 2 z {k}
ZDIFFSTORE {k} 1 z
ZSCAN {k} 0
GEOADD {k} 13 38 a
GEOPOS {k} a
GEODIST {k} a b
GEOHASH {k} a
GEOSEARCH {k} FROMLONLAT 15 37 BYRADIUS 300 km ASC
GEOSEARCHSTORE d {k} FROMLONLAT 15 37 BYRADIUS 300 km
GEOSEARCHSTORE {k} g FROMLONLAT 15 37 BYRADIUS 300 km
GEORADIUS {k} 15 37 300 km ASC
GEORADIUS g 15 37 300 km STORE {k}
GEORADIUS_RO {k} 15 37 300 km ASC
GEORADIUSBYMEMBER {k} a 300 km ASC
GEORADIUSBYMEMBER g a 300 km STORE {k}
GEORADIUSBYMEMBER_RO {k} a 300 km ASC
XADD {k} 5-1 f v
XADD {k} NOMKSTREAM 5-1 f v
XLEN {k}
XRANGE {k} - +
XREVRANGE {k} + -
XDEL {k} 1-1
XTRIM {k} MAXLEN 0
XSETID {k} 9-9
XREAD STREAMS {k} 0
XREAD STREAMS x {k} 0 0
XREAD BLOCK 10 STREAMS {k} $
XREADGROUP GROUP g c STREAMS {k} >
XREADGROUP GROUP g c STREAMS x {k} > >
XGROUP CREATE {k} g 0
XGROUP CREATE {k} g 0 MKSTREAM
XGROUP SETID {k} g 0
XGROUP DESTROY {k} g
XGROUP CREATECONSUMER {k} g c
XGROUP DELCONSUMER {k} g c
XACK {k} g 1-1
XPENDING {k} g
XPENDING {k} g - + 10
XCLAIM {k} g c 0 1-1
XAUTOCLAIM {k} g c 0 0
XINFO STREAM {k}
XINFO GROUPS {k}
XINFO CONSUMERS {k} g
WATCH {k}
EVAL "return redis.call('GET', KEYS[1])" 1 {k}
EVAL "return redis.call('LPUSH', KEYS[1], 'a')" 1 {k}
EVAL_RO "return redis.call('LLEN', KEYS[1])" 1 {k}
EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 {k}
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 1 {k}
FCALL nosuch 1 {k}
FCALL_RO nosuch 1 {k}
SPUBLISH {k} m
SSUBSCRIBE {k}
SUNSUBSCRIBE {k}
"""
