"""What a client says about its connection, what is refused, and real clients of several kinds."""
import importlib.util
import random
import subprocess

import redis
from redis.connection import ConnectionPool, HiredisParser, PythonParser

from harness import HOST, CrossfadeTest, Rig, main
from resp import Closed, ErrorReply, RawConnection, encode

REFUSED = (("WATCH", "k"), ("BLPOP", "l", 1), ("BZPOPMIN", "z", 1), ("SUBSCRIBE", "channel"), ("PSUBSCRIBE", "c*"),
           ("EVAL", "return 1", 0), ("EVALSHA", "0" * 40, 0), ("FCALL", "f", 0), ("SCRIPT", "LOAD", "return 1"),
           ("MONITOR",), ("REPLICAOF", "localhost", 1), ("CONFIG", "SET", "maxmemory", 1), ("DEBUG", "SLEEP", 0),
           ("SHUTDOWN",), ("CLIENT", "KILL", "ID", 1), ("SWAPDB", 0, 1),
           ("MIGRATE", HOST, 1, "k", 0, 100), ("XREAD", "BLOCK", 100, "STREAMS", "x", "$"),
           ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 100, "STREAMS", "x", ">"), ("CLIENT", "REPLY", "OFF"),
           ("WAIT", 0, 0), ("SAVE",), ("PSYNC", "?", -1), ("ACL", "SETUSER", "x"), ("FUNCTION", "FLUSH"))


class SessionTest(CrossfadeTest):
    def connection(self, rig: Rig) -> RawConnection:
        return self.enterContext(RawConnection(rig.proxy.port))

    def test_refused_commands_are_named_with_a_reason(self) -> None:
        rig = self.rig()
        connection = self.connection(rig)
        for words in REFUSED:
            with self.subTest(command=words):
                answer = connection.ask(*words)
                self.assertIsInstance(answer, ErrorReply)
                self.assertRegex(answer, r"^ERR ")
                self.assertIn(words[0].lower(), answer.lower())
                self.assertGreater(len(answer), 40, "no reason is given")
                self.assertNotIn("unknown command", answer)
                self.assertEqual(connection.ask("PING"), b"PONG")
        self.assertRegex(connection.ask("CLIENT", "NOSUCH"), "(?i)unknown subcommand")

    def test_a_refused_command_aborts_a_transaction(self) -> None:
        rig = self.rig()
        connection = self.connection(rig)
        for words in (("BLPOP", "l", 1), ("EVAL", "return 1", 0), ("SUBSCRIBE", "c")):
            self.assertEqual(connection.ask("MULTI"), b"OK")
            self.assertEqual(connection.ask("SET", "k", "v"), b"QUEUED")
            self.assertIsInstance(connection.ask(*words), ErrorReply)
            self.assertRegex(connection.ask("EXEC"), "^EXECABORT")
        self.assertEqual(connection.ask("EXISTS", "k"), 0)

    def test_hello(self) -> None:
        rig = self.rig()
        connection = self.connection(rig)
        with rig.old.client() as old:
            version = old.info("server")["redis_version"].encode()
        flat = connection.ask("HELLO")
        self.assertEqual(flat[flat.index(b"proto") + 1], 2)
        answer = connection.ask("HELLO", 3, "SETNAME", "me")
        self.assertEqual((answer[b"server"], answer[b"proto"], answer[b"version"]), (b"redis", 3, version))
        self.assertEqual(answer[b"role"], b"master")
        self.assertEqual(connection.ask("CLIENT", "GETNAME"), b"me")
        self.assertEqual(connection.ask("HSET", "h", "f", "v"), 1)
        self.assertEqual(connection.ask("HGETALL", "h"), {b"f": b"v"})
        self.assertEqual(connection.ask("HELLO", 4), "NOPROTO unsupported protocol version")
        self.assertEqual(connection.ask("HGETALL", "h"), {b"f": b"v"})
        self.assertIn(b"proto", connection.ask("HELLO", 2))
        self.assertEqual(connection.ask("HGETALL", "h"), [b"f", b"v"])
        other = self.connection(rig)
        self.assertEqual(other.ask("HGETALL", "h"), [b"f", b"v"], "one client's protocol is nobody else's")

    def test_clients_of_both_protocols_mixed(self) -> None:
        rig = self.rig()
        two, three = self.connection(rig), self.connection(rig)
        three.ask("HELLO", 3)
        two.ask("HSET", "h", "f", "v")
        for _ in range(200):
            two.send(encode("HGETALL", "h") * 3)
            three.send(encode("HGETALL", "h") * 3)
            self.assertEqual([two.reply() for _ in range(3)], [[b"f", b"v"]] * 3)
            self.assertEqual([three.reply() for _ in range(3)], [{b"f": b"v"}] * 3)

    def test_each_client_has_its_database(self) -> None:
        rig = self.rig()
        connections = [self.connection(rig) for _ in range(16)]
        for number, connection in enumerate(connections):
            self.assertEqual(connection.ask("SELECT", number), b"OK")
        for turn in range(30):
            for number, connection in enumerate(connections):
                connection.send(encode("SET", "key", f"{number}/{turn}") + encode("GET", "key"))
            for number, connection in enumerate(connections):
                self.assertEqual((connection.reply(), connection.reply()), (b"OK", f"{number}/{turn}".encode()))
        self.assert_no_divergence(self.assert_converged(rig))

    def test_client_commands(self) -> None:
        rig = self.rig()
        one, other = self.connection(rig), self.connection(rig)
        self.assertIsInstance(one.ask("CLIENT", "ID"), int)
        self.assertNotEqual(one.ask("CLIENT", "ID"), other.ask("CLIENT", "ID"))
        self.assertIsNone(one.ask("CLIENT", "GETNAME"))
        self.assertEqual(one.ask("CLIENT", "SETNAME", "application"), b"OK")
        self.assertEqual(one.ask("CLIENT", "SETINFO", "LIB-NAME", "mine"), b"OK")
        self.assertEqual(one.ask("CLIENT", "SETINFO", "lib-ver", "1.0"), b"OK")
        one.ask("SELECT", 3)
        info = dict(part.split("=", 1) for part in one.ask("CLIENT", "INFO").decode().split())
        self.assertEqual((info["name"], info["db"], int(info["id"])), ("application", "3", one.ask("CLIENT", "ID")))
        self.assertIsNone(other.ask("CLIENT", "GETNAME"))

    def test_quit_and_reset(self) -> None:
        rig = self.rig()
        connection = self.connection(rig)
        connection.ask("HELLO", 3)
        connection.ask("SELECT", 5)
        connection.ask("MULTI")
        connection.ask("SET", "k", "v")
        self.assertEqual(connection.ask("RESET"), b"RESET")
        self.assertIsInstance(connection.ask("EXEC"), ErrorReply)
        connection.send(encode("GET", "missing"))
        self.assertEqual(connection.raw_reply()[1], b"$-1\r\n", "RESP2 again")
        connection.send(encode("SET", "last", "word") + encode("QUIT") + encode("SET", "after", "quit"))
        self.assertEqual((connection.reply(), connection.reply()), (b"OK", b"OK"))
        with self.assertRaises(Closed):
            connection.reply()
        other = self.connection(rig)
        self.assertEqual(other.ask("MGET", "last", "after"), [b"word", None])

    def test_answers_come_in_order_whoever_gives_them(self) -> None:
        """Local, forwarded to either store, refused and unknown commands, all in one packet."""
        rig = self.rig()
        rig.admin.routing(reads_new=50, compare=30, split="random")
        connection = self.connection(rig)
        rng = random.Random(5)
        for _ in range(20):
            requests, wanted, count = [encode("SET", "n", 0)], [b"OK"], 0
            for number in range(500):
                kind = rng.randrange(7)
                if kind == 0:
                    requests.append(encode("PING", number))
                    wanted.append(b"%d" % number)
                elif kind == 1:
                    count += 1
                    requests.append(encode("INCR", "n"))
                    wanted.append(count)
                elif kind == 2:
                    requests.append(encode("GET", "n"))
                    wanted.append(b"%d" % count)
                elif kind == 3:
                    requests.append(encode("EVAL", number, 0))
                    wanted.append(ErrorReply)
                elif kind == 4:
                    requests.append(encode("NOSUCH", number))
                    wanted.append(ErrorReply)
                elif kind == 5:
                    requests.append(b"ECHO inline%d\r\n" % number)
                    wanted.append(b"inline%d" % number)
                else:
                    count += 1
                    requests.append(encode("MULTI") + encode("INCR", "n") + encode("EXEC"))
                    wanted += [b"OK", b"QUEUED", [count]]
            connection.send(b"".join(requests))
            got = [connection.reply() for _ in wanted]
            self.assertEqual([ErrorReply if isinstance(reply, ErrorReply) else reply for reply in got], wanted)
        self.assert_no_divergence(self.assert_converged(rig))

    def test_inline_commands(self) -> None:
        rig = self.rig()
        connection = self.connection(rig)
        connection.send(b"PING\r\n\r\nSET k \"a b\\x41\\n\"\r\nGET k\nset q 'it''s'\r\nEXISTS k   missing\r\n")
        self.assertEqual(connection.reply(), b"PONG")
        self.assertEqual(connection.reply(), b"OK")
        self.assertEqual(connection.reply(), b"a bA\n")
        self.assertRegex(connection.reply(), "^ERR Protocol error: unbalanced quotes")
        with self.assertRaises(Closed):
            connection.reply()

    def test_what_clients_ask_on_connecting(self) -> None:
        rig = self.rig()
        client = rig.proxy.client(client_name="application")
        info = client.info()
        self.assertIn("redis_version", info)
        self.assertGreater(client.command_count(), 200)
        self.assertEqual(client.client_getname(), "application")
        self.assertEqual(client.dbsize(), 0)
        self.assertEqual(len(client.time()), 2)
        self.assertIn("maxmemory", client.config_get("maxmemory"))
        self.assertEqual(client.publish("channel", "message"), 0)
        self.assertEqual(client.keys("*"), [])


class PasswordTest(CrossfadeTest):
    def test_the_configured_credentials(self) -> None:
        rig = self.rig(password="s3cret")
        connection = self.enterContext(RawConnection(rig.proxy.port))
        self.assertRegex(connection.ask("GET", "k"), "^NOAUTH")
        self.assertRegex(connection.ask("PING"), "^NOAUTH")
        self.assertRegex(connection.ask("AUTH", "wrong"), "^WRONGPASS")
        self.assertRegex(connection.ask("HELLO", 3), "^NOAUTH")
        self.assertRegex(connection.ask("HELLO", 3, "AUTH", "default", "wrong"), "^WRONGPASS")
        self.assertEqual(connection.ask("AUTH", "default", "s3cret"), b"OK")
        self.assertEqual(connection.ask("SET", "k", "v"), b"OK")
        self.assertEqual(connection.ask("RESET"), b"RESET")
        self.assertRegex(connection.ask("GET", "k"), "^NOAUTH")
        self.assertEqual(connection.ask("HELLO", 3, "AUTH", "default", "s3cret")[b"proto"], 3)
        self.assertEqual(connection.ask("GET", "k"), b"v")
        with rig.proxy.client(password="s3cret") as client:
            self.assertEqual(client.get("k"), b"v")
        with rig.proxy.client() as client, self.assertRaises(redis.AuthenticationError):
            client.get("k")
        self.assert_no_divergence(self.assert_converged(rig))
        self.assertNotIn("s3cret", rig.proxy.log())
        self.assertNotIn("s3cret", str(rig.admin.status()))


class ClientLibrariesTest(CrossfadeTest):
    def redis_cli(self, rig: Rig, *words: str, data: str = "") -> str:
        done = subprocess.run(["redis-cli", "-h", HOST, "-p", str(rig.proxy.port), *words], input=data, text=True,
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_redis_cli(self) -> None:
        rig = self.rig()
        self.assertEqual(self.redis_cli(rig, "SET", "k", "v"), "OK")
        self.assertEqual(self.redis_cli(rig, "GET", "k"), "v")
        self.assertEqual(self.redis_cli(rig, "-n", "4", "DBSIZE"), "0")
        self.assertEqual(self.redis_cli(rig, "-3", "HSET", "h", "f", "v"), "1")
        self.assertEqual(self.redis_cli(rig, "-3", "--json", "HGETALL", "h"), '{"f":"v"}')
        self.assertEqual(sorted(self.redis_cli(rig, "--scan").split()), ["h", "k"])
        self.assertEqual(self.redis_cli(rig, data="SET a 1\nINCR a\nGET a\n").split(), ["OK", "2", "2"])
        commands = "".join(f"SET piped:{number} {number}\r\n" for number in range(5000))
        self.assertIn("replies: 5000", self.redis_cli(rig, "--pipe", data=commands))
        self.assertEqual(self.redis_cli(rig, "GET", "piped:4999"), "4999")
        self.assert_no_divergence(self.assert_converged(rig))

    def test_redis_py_with_its_own_parser_and_with_hiredis(self) -> None:
        rig = self.rig()
        parsers: list[type] = [PythonParser]
        if importlib.util.find_spec("hiredis"):
            parsers.append(HiredisParser)
        self.say(f"parsers: {[parser.__name__ for parser in parsers]}")
        for number, parser in enumerate(parsers):
            with redis.Redis(connection_pool=ConnectionPool(host=HOST, port=rig.proxy.port, parser_class=parser,
                                                            decode_responses=True)) as client:
                self.exercise(client, f"{number}:")
        self.assert_no_divergence(self.assert_converged(rig))

    def exercise(self, client: redis.Redis, prefix: str) -> None:
        def key(name: str) -> str:
            return prefix + name

        self.assertTrue(client.set(key("s"), "ü" * 10_000))
        self.assertEqual(client.get(key("s")), "ü" * 10_000)
        self.assertIsNone(client.get(key("missing")))
        client.hset(key("h"), mapping={"a": "1", "b": "2"})
        self.assertEqual(client.hgetall(key("h")), {"a": "1", "b": "2"})
        client.zadd(key("z"), {"a": 1.5, "b": 2})
        self.assertEqual(client.zrange(key("z"), 0, -1, withscores=True), [("a", 1.5), ("b", 2.0)])
        client.rpush(key("l"), *range(1000))
        self.assertEqual(client.lrange(key("l"), 0, -1), [str(number) for number in range(1000)])
        entry = client.xadd(key("x"), {"field": "value"})
        self.assertEqual(client.xrange(key("x")), [(entry, {"field": "value"})])
        with client.pipeline(transaction=True) as pipe:
            pipe.incr(key("n")).incr(key("n")).get(key("n"))
            self.assertEqual(pipe.execute(), [1, 2, "2"])
        with self.assertRaises(redis.ResponseError):
            client.lpush(key("s"), "x")
        self.assertEqual(client.sadd(key("set"), "a", "b"), 2)
        self.assertEqual(client.smembers(key("set")), {"a", "b"})
        self.assertEqual(set(client.scan_iter(match=prefix + "*")), {key(name) for name in "s h z l x n set".split()})


if __name__ == "__main__":
    main()
