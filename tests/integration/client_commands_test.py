"""What a client can ask and change of connections, its own and others', and what a server tells of itself."""
import re
import time
import unittest
from typing import Any

from admin import wait_until
from either import DIRECT, EitherTest
from harness import main
from resp import Closed, ErrorReply, RawConnection, encode

FIELDS = ("id", "addr", "laddr", "fd", "name", "age", "idle", "flags", "db", "sub", "psub", "multi", "cmd", "user",
          "resp")
UNKNOWN_CLIENT = "ERR unknown subcommand '{}'. Try CLIENT HELP."
ANSWERS: tuple[tuple[tuple, Any], ...] = (
    (("CLIENT",), "ERR wrong number of arguments for 'client' command"),
    (("CLIENT", "NOPE"), UNKNOWN_CLIENT.format("NOPE")),
    (("CLIENT", "NO-TOUCH", "ON"), UNKNOWN_CLIENT.format("NO-TOUCH")),
    (("CLIENT", "LIST", "TYPE", "nope"), "ERR Unknown client type 'nope'"),
    (("CLIENT", "LIST", "ID"), "ERR syntax error"),
    (("CLIENT", "LIST", "ID", "x"), "ERR Invalid client ID"), (("CLIENT", "LIST", "FOO"), "ERR syntax error"),
    (("CLIENT", "LIST", "TYPE", "replica"), b""), (("CLIENT", "LIST", "ID", 10**9), b""),
    (("CLIENT", "KILL"), "ERR wrong number of arguments for 'client|kill' command"),
    (("CLIENT", "KILL", "1.2.3.4:5"), "ERR No such client"), (("CLIENT", "KILL", "ID", 10**9), 0),
    (("CLIENT", "KILL", "ID", "x"), "ERR client-id should be greater than 0"),
    (("CLIENT", "KILL", "FOO", "x"), "ERR syntax error"), (("CLIENT", "KILL", "SKIPME", "maybe"), "ERR syntax error"),
    (("CLIENT", "KILL", "TYPE", "nope"), "ERR Unknown client type 'nope'"), (("CLIENT", "KILL", "TYPE", "pubsub"), 0),
    (("CLIENT", "KILL", "USER", "nobody"), "ERR No such user 'nobody'"), (("CLIENT", "KILL", "ADDR", "1.2.3.4:5"), 0),
    (("CLIENT", "PAUSE"), "ERR wrong number of arguments for 'client|pause' command"),
    (("CLIENT", "PAUSE", "x"), "ERR timeout is not an integer or out of range"),
    (("CLIENT", "PAUSE", -1), "ERR timeout is negative"),
    (("CLIENT", "PAUSE", 100, "SOME"), "ERR CLIENT PAUSE mode must be WRITE or ALL"), (("CLIENT", "UNPAUSE"), b"OK"),
    (("CLIENT", "UNBLOCK", "x"), "ERR value is not an integer or out of range"), (("CLIENT", "UNBLOCK", 10**9), 0),
    (("CLIENT", "UNBLOCK", 1, "x"), "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
    (("CLIENT", "REPLY"), "ERR wrong number of arguments for 'client|reply' command"),
    (("CLIENT", "REPLY", "x"), "ERR syntax error"), (("CLIENT", "REPLY", "ON"), b"OK"),
    (("CLIENT", "NO-EVICT", "ON"), b"OK"), (("CLIENT", "NO-EVICT", "x"), "ERR syntax error"),
    (("CLIENT", "NO-EVICT", "OFF"), b"OK"), (("CLIENT", "GETNAME"), None),
    (("CLIENT", "SETNAME", "a b"), "ERR Client names cannot contain spaces, newlines or special characters."),
    (("CLIENT", "SETNAME", "me"), b"OK"), (("CLIENT", "GETNAME"), b"me"), (("CLIENT", "SETNAME", ""), b"OK"),
    (("CLIENT", "GETNAME"), None), (("CLIENT", "ID", "x"), "ERR wrong number of arguments for 'client|id' command"),
)
# What the server says of itself: the same through the proxy. Some need the keys of test_what_the_server_tells.
SERVERS_ANSWER = (
    ("COMMAND", "COUNT"), ("COMMAND", "INFO", "get", "nosuch", "config|get", "blpop"),
    ("COMMAND", "DOCS", "get", "nosuch"),
    ("COMMAND", "GETKEYS", "MSET", "a", 1, "b", 2), ("COMMAND", "GETKEYSANDFLAGS", "SET", "k", "v"),
    ("COMMAND", "GETKEYS", "PING"), ("COMMAND", "LIST", "FILTERBY", "PATTERN", "xr*"),
    ("COMMAND", "NOPE"), ("COMMAND",),
    ("CONFIG", "GET", "maxmemory*"), ("CONFIG", "GET", "save", "databases"), ("CONFIG", "GET"), ("CONFIG", "NOPE"),
    ("OBJECT", "ENCODING", "n"), ("OBJECT", "ENCODING", "z"),
    ("OBJECT", "ENCODING", "none"), ("OBJECT", "REFCOUNT", "z"),
    ("OBJECT", "FREQ", "n"), ("OBJECT", "IDLETIME", "none"), ("OBJECT", "NOPE", "n"), ("OBJECT", "HELP"),
    ("MEMORY", "USAGE", "n"), ("MEMORY", "USAGE", "z", "SAMPLES", 0), ("MEMORY", "USAGE", "none"), ("MEMORY", "NOPE"),
    ("SLOWLOG", "GET", -2), ("SLOWLOG", "NOPE"), ("LATENCY", "LATEST"), ("LATENCY", "HISTORY", "command"),
    ("LATENCY", "NOPE"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES"), ("CLUSTER", "SLOTS"), ("CLUSTER", "KEYSLOT", "k"),
    ("CLUSTER", "NOPE"), ("READONLY",), ("READWRITE",), ("ASKING",), ("LOLWUT",), ("ACL", "CAT"), ("ACL", "WHOAMI"),
    ("ACL", "NOPE"), ("INFO", "nosuch"), ("MODULE", "LIST"), ("FUNCTION", "LIST"),
)
ADMIN_COMMANDS = (("CONFIG", "SET", "maxmemory-samples", 7), ("CONFIG", "RESETSTAT"), ("CONFIG", "REWRITE"),
                  ("DEBUG", "SLEEP", 0), ("SHUTDOWN",), ("SHUTDOWN", "NOSAVE"),
                  ("REPLICAOF", "127.0.0.1", 1), ("SAVE",),
                  ("SLAVEOF", "127.0.0.1", 1), ("BGSAVE",), ("BGREWRITEAOF",), ("FAILOVER",), ("ACL", "SETUSER", "x"),
                  ("MODULE", "LOAD", "x"))


def fields(line: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in line.decode().split())


class ListingConnection(RawConnection):
    """Sets as lists: COMMAND answers sets of arrays in RESP3."""

    def _aggregate(self, kind: bytes, count: int, raw: bytes) -> tuple[Any, bytes]:
        return super()._aggregate(b"*" if kind == b"~" else kind, count, raw)


class ClientListTest(EitherTest):
    def listed(self, *words: Any) -> dict[int, dict[str, str]]:
        """CLIENT LIST by id."""
        text = self.do(("CLIENT", "LIST", *words))[0]
        self.assertIsInstance(text, bytes)
        self.assertNotIsInstance(text, ErrorReply)
        return {int(line["id"]): line for line in map(fields, text.splitlines())}

    def closed(self, connection: RawConnection) -> None:
        with self.assertRaises(Closed):
            connection.reply()

    def test_answers(self) -> None:
        connection = self.connection()
        for words, wanted in ANSWERS:
            with self.subTest(words=words):
                self.assertEqual(connection.ask(*words), wanted)

    def test_help(self) -> None:
        text = self.connection().ask("CLIENT", "HELP")
        self.assertTrue(text[0].startswith(b"CLIENT <subcommand>"), text[0])
        self.assertIn(b"ID", text)

    def test_ids_grow(self) -> None:
        numbers = [connection.ask("CLIENT", "ID") for connection in self.connections(20)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_list_and_info(self) -> None:
        connection = self.connection(3)
        connection.ask("SELECT", 4)
        connection.ask("CLIENT", "SETNAME", "worker")
        number = connection.ask("CLIENT", "ID")
        connection.ask("MULTI")
        connection.ask("PING")
        info = self.listed()[number]
        self.assertLessEqual(set(FIELDS), set(info))
        self.assertEqual([name for name in info if name in FIELDS], list(FIELDS), "in the server's order")
        host, port = connection.socket.getsockname()
        self.assertEqual({name: info[name] for name in "addr name db sub psub multi cmd user resp flags".split()},
                         {"addr": f"{host}:{port}", "name": "worker", "db": "4", "sub": "0", "psub": "0", "multi": "1",
                          "cmd": "ping", "user": "default", "resp": "3", "flags": "x"})
        connection.ask("DISCARD")
        own = connection.ask("CLIENT", "INFO")
        self.assertTrue(own.startswith(b"txt:id="), "a verbatim string in RESP3")
        self.assertEqual(fields(own[4:])["cmd"], "client|info")
        self.assertEqual(self.listed()[number]["multi"], "-1")

    def test_list_by_type_and_id(self) -> None:
        subscriber = self.connection()
        numbers = [connection.ask("CLIENT", "ID") for connection in (subscriber, *self.connections(2))]
        subscriber.send(encode("SUBSCRIBE", "a", "b") + encode("PSUBSCRIBE", "c*"))
        for _ in range(3):
            subscriber.reply()
        self.assertEqual(set(self.listed("ID", numbers[0], numbers[2], 10**9)), {numbers[0], numbers[2]})
        told = self.listed("TYPE", "pubsub")
        self.assertEqual(set(told), {numbers[0]})
        self.assertEqual([told[numbers[0]][name] for name in ("sub", "psub", "flags")], ["2", "1", "P"])
        self.assertLessEqual(set(numbers[1:]), set(self.listed("TYPE", "normal")))
        self.assertNotIn(numbers[0], self.listed("TYPE", "NORMAL"))

    def test_a_waiting_client_is_listed_as_one(self) -> None:
        waiter = self.connection()
        number = waiter.ask("CLIENT", "ID")
        waiter.send(encode("BLPOP", "l", 0))
        self.assert_silent(waiter)
        info = self.listed("ID", number)[number]
        self.assertEqual((info["flags"], info["cmd"]), ("b", "blpop"))
        waiter.close()
        wait_until(lambda: number not in self.listed(), 5, "who has left is not listed")

    def test_kill(self) -> None:
        for words in (("{addr}",), ("ID", "{id}"), ("ADDR", "{addr}"), ("ID", "{id}", "ADDR", "{addr}"),
                      ("ID", "{id}", "TYPE", "normal", "USER", "default", "SKIPME", "no")):
            with self.subTest(words=words):
                victim, bystander = self.connections(2)
                info = fields(victim.ask("CLIENT", "INFO"))
                filled = [word.format(**info) for word in words]
                if len(words) > 1:
                    self.assertEqual(self.do(("CLIENT", "KILL", *filled, "TYPE", "pubsub")), [0], "all must fit")
                self.assertEqual(self.do(("CLIENT", "KILL", *filled)), [b"OK" if len(words) == 1 else 1])
                self.closed(victim)
                self.assertEqual(bystander.ask("PING"), b"PONG")

    def test_kill_many(self) -> None:
        normal, pubsub = self.connections(10), self.connections(3)
        for connection in pubsub:
            connection.ask("SUBSCRIBE", "a")
        self.do(("PING",))
        self.assertEqual(self.do(("CLIENT", "KILL", "TYPE", "pubsub")), [3])
        for connection in pubsub:
            self.closed(connection)
        normal[0].ask("MULTI")
        normal[0].ask("SET", "k", "never")
        listed = len(self.listed("TYPE", "normal"))
        self.assertGreaterEqual(listed, 11)
        self.assertEqual(self.do(("CLIENT", "KILL", "TYPE", "normal")), [listed - 1], "all but oneself")
        for connection in normal:
            self.closed(connection)
        self.assertEqual(self.do(("EXISTS", "k")), [0])

    def test_kill_oneself(self) -> None:
        for skipme, wanted in (("yes", 0), ("no", 1)):
            connection = self.connection()
            number = connection.ask("CLIENT", "ID")
            self.assertEqual(connection.ask("CLIENT", "KILL", "ID", number, "SKIPME", skipme), wanted)
        self.closed(connection)

    def test_pause_of_writes(self) -> None:
        writer, transaction, script, publisher, queueing = self.connections(5)
        self.do(("SET", "k", "v"))
        self.assertEqual([transaction.ask("MULTI"), transaction.ask("INCR", "n")], [b"OK", b"QUEUED"])
        self.assertEqual([queueing.ask("MULTI"), queueing.ask("GET", "k")], [b"OK", b"QUEUED"])
        self.assertEqual(self.do(("CLIENT", "PAUSE", 60_000, "WRITE")), [b"OK"])
        self.assertEqual(queueing.ask("EXEC"), [b"v"])
        writer.send(encode("INCR", "n") + encode("PING"))
        transaction.send(encode("EXEC"))
        script.send(encode("EVAL", "return redis.call('INCR', KEYS[1])", 1, "n"))
        publisher.send(encode("PUBLISH", "a", "m"))
        queueing.send(encode("MULTI") + encode("INCR", "n"))
        self.assertEqual(queueing.reply(), b"OK")
        self.assertEqual(self.do(("GET", "k"), ("GET", "n"), ("PING",)), [b"v", None, b"PONG"])
        self.assert_silent(writer, transaction, script, publisher, queueing)
        self.assertEqual(self.do(("CLIENT", "UNPAUSE")), [b"OK"])
        self.assertEqual([queueing.reply(), publisher.reply()], [b"QUEUED", 0])
        self.assertCountEqual([writer.reply(), *transaction.reply(), script.reply()], [1, 2, 3])
        self.assertEqual([writer.reply(), queueing.ask("EXEC")], [b"PONG", [4]])

    def test_pause_of_all(self) -> None:
        connection, began = self.connection(), time.monotonic()
        self.assertEqual(self.do(("CLIENT", "PAUSE", 300)), [b"OK"])
        connection.send(encode("GET", "k"))
        self.assertIsNone(connection.reply())
        self.assertGreater(time.monotonic() - began, 0.29)
        self.assertEqual(connection.ask("SET", "k", "v"), b"OK")

    def test_a_pause_ends_by_itself(self) -> None:
        connection, began = self.connection(), time.monotonic()
        self.do(("CLIENT", "PAUSE", 200, "WRITE"))
        self.assertEqual(connection.ask("SET", "k", "v"), b"OK")
        self.assertGreater(time.monotonic() - began, 0.19)

    def test_replies_switched_off(self) -> None:
        connection = self.connection()
        count = encode("INCR", "n")
        connection.send(count + encode("CLIENT", "REPLY", "SKIP") + count + count)
        self.assertEqual([connection.reply(), connection.reply()], [1, 3])
        connection.send(encode("CLIENT", "REPLY", "OFF") + encode("INCR", "n") + encode("NOSUCH") + encode("PING")
                        + encode("MULTI") + count + encode("EXEC") + encode("CLIENT", "REPLY", "SKIP"))
        wait_until(lambda: self.do(("GET", "n")) == [b"5"], 10, "what is run without a reply")
        self.assert_silent(connection)
        connection.send(encode("GET", "n") + encode("CLIENT", "REPLY", "ON") + encode("GET", "n"))
        self.assertEqual([connection.reply(), connection.reply()], [b"OK", b"5"])


class ServerTest(EitherTest):
    def test_what_the_server_tells(self) -> None:
        self.do(("SET", "n", 12), ("ZADD", "z", 1, "a"))
        for protocol in (2, 3):
            with (ListingConnection(self.place.port) as connection,
                  ListingConnection(self.place.primary.port) as behind):
                connection.ask("HELLO", protocol)
                behind.ask("HELLO", protocol)
                for words in SERVERS_ANSWER:
                    with self.subTest(words=words, protocol=protocol):
                        self.assertEqual(connection.ask(*words), behind.ask(*words))
        self.assertEqual(self.do(("CLUSTER", "INFO")), ["ERR This instance has cluster support disabled"])

    def test_what_differs_each_time(self) -> None:
        self.do(("SET", "k", "v"))
        slow = self.do(("SLOWLOG", "LEN"), ("SLOWLOG", "GET", 1), ("LATENCY", "DOCTOR"), ("MEMORY", "STATS"),
                       ("MEMORY", "DOCTOR"), ("OBJECT", "IDLETIME", "k"), ("LASTSAVE",), ("DBSIZE",),
                       ("LATENCY", "RESET"))
        self.assertEqual([type(answer) for answer in slow], [int, list, bytes, list, bytes, int, int, int, int])
        seconds, micros = self.do(("TIME",))[0]
        self.assertLess(abs(int(seconds) + int(micros) / 1e6 - time.time()), 5)
        self.assertEqual(self.do(("ROLE",))[0][0], b"master")

    def test_info(self) -> None:
        def sections(text: bytes) -> list[bytes]:
            return re.findall(rb"^# (.+)\r$", text, re.MULTILINE)

        with RawConnection(self.place.primary.port) as behind:
            for words in (("INFO",), ("INFO", "all"), ("INFO", "everything"), ("INFO", "server", "clients"),
                          ("INFO", "keyspace")):
                told = sections(self.do(words)[0])
                self.assertEqual([name for name in told if name != b"Crossfade"], sections(behind.ask(*words)), words)
                if words == ("INFO",):
                    self.assertEqual(b"Crossfade" in told, not DIRECT)
        if not DIRECT:
            self.assertEqual(sections(self.do(("INFO", "crossfade"))[0]), [b"Crossfade"])
        with self.client() as client, self.place.primary.client() as primary:
            self.assertEqual(client.info()["redis_version"], primary.info()["redis_version"])

    @unittest.skipIf(DIRECT, "a server alone refuses nothing")
    def test_commands_that_could_take_a_store_down_are_refused(self) -> None:
        connection = self.connection()
        for words in ADMIN_COMMANDS:
            with self.subTest(words=words):
                answer = connection.ask(*words)
                self.assertIsInstance(answer, ErrorReply)
                self.assertRegex(answer, f"(?is)^ERR .*{words[0]}.{{15}}", "no reason is given")
                self.assertEqual(connection.ask("PING"), b"PONG")
        for store in self.place.stores:
            with store.client() as client:
                self.assertEqual(client.config_get("maxmemory-samples"), {"maxmemory-samples": "5"})
                self.assertEqual((client.info("replication")["role"], client.acl_users()), ("master", ["default"]))


class AdminCommandsTest(EitherTest):
    config = "[listen]\nadmin_commands = true\n"

    def test_admin_commands_act_on_the_primary(self) -> None:
        for value in (7, 8):
            primary = self.place.primary
            name = "maxmemory-samples"
            answers = self.do(("CONFIG", "SET", name, value), ("CONFIG", "GET", name), ("CONFIG", "SET", name, "x"),
                              ("DEBUG", "SLEEP", 0), ("CONFIG", "RESETSTAT"))
            self.assertIn("CONFIG SET failed", answers.pop(2))
            self.assertEqual(answers, [b"OK", [name.encode(), b"%d" % value], b"OK", b"OK"])
            for store in self.place.stores:
                with store.client() as client:
                    wanted = str(value) if store is primary else "5"
                    self.assertEqual(client.config_get(name), {name: wanted})
                    client.config_set(name, 5)
            self.place.flip()


if __name__ == "__main__":
    main()
