"""The application changes nothing but its connection string: answers are the server's own, to the byte."""
from harness import CrossfadeTest, RedisServer, main
from resp import RawConnection, encode

# Each line is asked of the proxy and of a plain server; both must answer with the same bytes.
SAME_AS_A_SERVER = """
PING
PING hello
ECHO hello
SET k v
GET k
get K
GET missing
STRLEN k
SETRANGE k 3 xyz
APPEND k more
SET k v NX
SET k v XX GET
SET k v EX 0
SET k v EX notanumber
SET k v PX 1 EX 1
SET k v NONSENSE
INCR k
INCR n
INCRBY n 9223372036854775807
INCRBYFLOAT f 3.14
INCRBYFLOAT f abc
GETEX k EX -1
MSET a 1 b 2 c
MSET a 1 b 2
MGET a b missing
MSETNX a 9 z 9
DEL a missing
EXISTS k b missing
TYPE k
TYPE missing
EXPIRE k 100
EXPIRE k abc
TTL missing
PERSIST k
PERSIST k
RENAME missing other
RENAME k k2
COPY k2 k
COPY k2 k2
LPUSH l 1 2 3
LPUSH k2 1
LRANGE l 0 -1
LPOP l 2
LPOP missing
LPOP missing 2
LPOP l -1
LMPOP 1 missing LEFT
LSET l 10 x
LSET missing 0 x
LINSERT l BEFORE nothing x
LMOVE missing l LEFT LEFT
SADD s m
SMEMBERS s
SISMEMBER s m
SMISMEMBER s m x
SPOP missing
SPOP missing 3
SRANDMEMBER missing
HSET h f v
HGETALL h
HGET h missing
HMGET h f missing
HINCRBY h f 1
HINCRBYFLOAT h n 1.5
HRANDFIELD missing 3 WITHVALUES
ZADD z 1 a 2.5 b
ZADD z XX CH 3 a
ZADD z INCR 1 a
ZADD z NX XX 1 a
ZADD z notafloat a
ZSCORE z a
ZSCORE z missing
ZMSCORE z a missing
ZRANGE z 0 -1 WITHSCORES
ZRANGEBYSCORE z -inf +inf WITHSCORES
ZRANK z missing
ZPOPMIN z
ZPOPMIN missing 2
ZINCRBY z 1.25 b
ZUNION 1 z WITHSCORES
GEOADD g 13.361389 38.115556 Palermo
GEOPOS g Palermo missing
GEODIST g Palermo missing
GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST WITHCOORD
XADD x 1-1 a b
XADD x 1-1 a b
XADD x NOMKSTREAM abc a b
XADD nostream NOMKSTREAM * a b
XRANGE x - +
XREAD COUNT 1 STREAMS x 0
XREAD COUNT 1 STREAMS x $
XGROUP CREATE x g 0
XGROUP CREATE x g 0
XGROUP CREATE missing g 0
XREADGROUP GROUP g c STREAMS x >
XREADGROUP GROUP g c STREAMS x >
XREADGROUP GROUP nog c STREAMS x >
XPENDING x g
XACK x g 1-1
XLEN x
XTRIM x MAXLEN 0
PFADD p a b
PFCOUNT p
SETBIT bits 7 1
BITFIELD bits SET u8 0 255 GET u4 0
BITFIELD bits OVERFLOW FAIL INCRBY u2 0 3
BITCOUNT bits
SORT l
OBJECT ENCODING n
OBJECT ENCODING missing
DUMP missing
RESTORE r 0 garbage
EXISTS
GET
GET a b
SET a
HSET h f
MSET a
LMPOP 0 l LEFT
ZUNIONSTORE dst 0 z
NOSUCHCOMMAND
nosuchcommand with several arguments
NOSUCHCOMMAND aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
NOSUCHCOMMAND aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccccccccc dddddddd
SELECT 3
SET k in3
SELECT 0
GET k
SELECT 99
SELECT abc
SELECT -1
MULTI
SET k v
INCR k
GET k
EXEC
MULTI
EXEC
MULTI
PING
ECHO hi
SET k in
EXEC
GET k
MULTI
SET k
EXEC
MULTI
NOSUCHCOMMAND
SET k v
EXEC
MULTI
MULTI
EXEC
MULTI
SET k v
DISCARD
EXEC
DISCARD
MULTI
SADD s2 1 2 3
SPOP s2 5
HGETALL h
ZRANGE z 0 -1 WITHSCORES
LPOP missing
EXEC
CLIENT SETNAME tester
CLIENT GETNAME
CLIENT SETNAME
CLIENT SETNAME two\twords
CLIENT GETNAME
KEYS nomatch*
DBSIZE
SELECT 7
DBSIZE
RANDOMKEY
FLUSHDB
FLUSHALL SYNC
RESET
CLIENT GETNAME
GET k
"""

class RepliesTest(CrossfadeTest):
    def compare_with_a_server(self, protocol: int) -> None:
        rig = self.rig()
        plain = RedisServer("plain", rig.directory).start()
        self.addCleanup(plain.kill)
        proxy, server = (self.enterContext(RawConnection(port)) for port in (rig.proxy.port, plain.port))
        if protocol == 3:
            self.assertEqual(proxy.ask("HELLO", 3)[b"proto"], server.ask("HELLO", 3)[b"proto"])
        differences = []
        for line in SAME_AS_A_SERVER.strip().splitlines():
            words = [word.replace("\\t", " ") for word in line.split()]
            for connection in (proxy, server):
                connection.send(encode(*words))
            got, wanted = proxy.raw_reply()[1], server.raw_reply()[1]
            if got != wanted:
                differences.append(f"{line[:60]}: got {got[:120]!r}, a server says {wanted[:120]!r}")
        self.assertEqual(differences, [])
        self.assert_no_divergence(self.assert_converged(rig))

    def test_answers_are_a_servers_own(self) -> None:
        self.compare_with_a_server(2)

    def test_answers_are_a_servers_own_in_resp3(self) -> None:
        self.compare_with_a_server(3)

    def test_answers_do_not_change_when_new_answers_and_is_compared(self) -> None:
        rig = self.rig()
        rig.admin.routing(reads_new=100, compare=100)
        plain = RedisServer("plain", rig.directory).start()
        self.addCleanup(plain.kill)
        lines = [line for line in SAME_AS_A_SERVER.strip().splitlines() if not line.startswith("FLUSH")]
        for protocol in (2, 3):
            data = b"".join(encode(*line.replace("\\t", " ").split(" ")) for line in lines)
            answers = []
            for port in (rig.proxy.port, plain.port):
                with RawConnection(port) as connection:
                    connection.ask("FLUSHALL")
                    connection.ask("HELLO", protocol)
                    connection.send(data)
                    answers.append([connection.raw_reply()[1] for _ in lines])
            self.assertEqual([(line, got) for line, got, wanted in zip(lines, *answers) if got != wanted], [])
        status = self.assert_converged(rig)
        self.assertEqual(status["reads"]["mismatched"], 0, rig.admin.mismatches()[:5])
        self.assertGreater(status["reads"]["new"], 50)


if __name__ == "__main__":
    main()
