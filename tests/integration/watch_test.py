"""Transactions: what is queued and refused, what breaks a WATCH, and that optimistic locking loses nothing."""
import threading
import time
import unittest
from typing import Any

from admin import wait_until
from either import DIRECT, EitherTest
from harness import LONG, main
from resp import ErrorReply, RawConnection, encode

ABORTED = "EXECABORT Transaction discarded because of previous errors."
NOT_INTEGER = "ERR value is not an integer or out of range"
# One connection's commands and answers.
CONVERSATION: tuple[tuple[tuple, Any], ...] = (
    (("EXEC",), "ERR EXEC without MULTI"), (("DISCARD",), "ERR DISCARD without MULTI"), (("UNWATCH",), b"OK"),
    (("MULTI",), b"OK"), (("EXEC",), []), (("MULTI",), b"OK"), (("DISCARD",), b"OK"),
    (("MULTI",), b"OK"), (("MULTI",), "ERR MULTI calls can not be nested"), (("SET", "k", "v"), b"QUEUED"),
    (("WATCH", "q"), "ERR WATCH inside MULTI is not allowed"), (("INCR", "k"), b"QUEUED"), (("GET", "k"), b"QUEUED"),
    (("EXEC",), [b"OK", NOT_INTEGER, b"v"]),
    (("MULTI",), b"OK"), (("NOSUCH", "a", "b"), "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "),
    (("GET",), "ERR wrong number of arguments for 'get' command"), (("SET", "k", "never"), b"QUEUED"),
    (("SET", "k"), "ERR wrong number of arguments for 'set' command"), (("EXEC",), ABORTED), (("GET", "k"), b"v"),
    (("MULTI",), b"OK"), (("CLIENT", "NOPE"), "ERR unknown subcommand 'NOPE'. Try CLIENT HELP."), (("EXEC",), ABORTED),
    (("MULTI",), b"OK"), (("NOSUCH",), "ERR unknown command 'NOSUCH', with args beginning with: "),
    (("DISCARD",), b"OK"),
    (("MULTI",), b"OK"), (("SET", "k", "never"), b"QUEUED"),
    (("EXEC", "x"), "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command"),
    (("EXEC",), "ERR EXEC without MULTI"), (("GET", "k"), b"v"),
    (("WATCH",), "ERR wrong number of arguments for 'watch' command"),
    (("MULTI", "x"), "ERR wrong number of arguments for 'multi' command"),
    (("DISCARD", "x"), "ERR wrong number of arguments for 'discard' command"),
    (("UNWATCH", "x"), "ERR wrong number of arguments for 'unwatch' command"),
    (("MULTI",), b"OK"), (("DISCARD", "x"), "ERR wrong number of arguments for 'discard' command"),
    (("EXEC",), ABORTED),
    (("MULTI",), b"OK"), (("UNWATCH",), b"QUEUED"), (("PING",), b"QUEUED"), (("EXEC",), [b"OK", b"PONG"]),
    (("MULTI",), b"OK"), (("SELECT", 5), b"QUEUED"), (("SET", "k5", "v"), b"QUEUED"), (("SELECT", 99), b"QUEUED"),
    (("EXEC",), [b"OK", b"OK", "ERR DB index is out of range"]), (("GET", "k5"), b"v"), (("SELECT", 0), b"OK"),
    (("GET", "k5"), None),
    (("MULTI",), b"OK"), (("SET", "k", "never"), b"QUEUED"), (("RESET",), b"RESET"),
    (("EXEC",), "ERR EXEC without MULTI"), (("GET", "k"), b"v"),
    (("MULTI",), b"OK"), (("CONFIG", "GET", "maxmemory"), b"QUEUED"), (("ECHO", "e"), b"QUEUED"),
    (("TYPE", "k"), b"QUEUED"),
    (("EXEC",), [[b"maxmemory", b"0"], b"e", b"string"]),
)
# What is there before WATCH k, what another client then does, and whether EXEC answers nil.
CONFLICTS: tuple[tuple[tuple, tuple, bool], ...] = (
    ((), (("SET", "k", "v"),), True), ((("SET", "k", "v"),), (("SET", "k", "v"),), True),
    ((), (("SET", "k", "v"), ("DEL", "k")), True), ((), (("DEL", "k"),), False), ((), (("GET", "k"),), False),
    ((("SET", "k", "x"),), (("INCR", "k"),), False), ((("SET", "k", "x"),), (("EXPIRE", "k", 100),), True),
    ((("SET", "k", "x"),), (("GETEX", "k", "EX", 100),), True), ((("SET", "k", "x"),), (("PERSIST", "k"),), False),
    ((("SET", "k", "x"),), (("TOUCH", "k"),), False), ((("SET", "s", "x"),), (("RENAME", "s", "k"),), True),
    ((("SADD", "k", "a"),), (("SADD", "k", "a"),), False),
    ((("HSET", "k", "f", "v"),), (("HSET", "k", "f", "v"),), True),
    ((("ZADD", "k", 1, "a"),), (("ZADD", "k", 1, "a"),), False), ((("PFADD", "k", "a"),), (("PFCOUNT", "k"),), True),
    ((("RPUSH", "k", "a"),), (("BLPOP", "k", 0),), True),
    ((("RPUSH", "l", "a"),), (("BLMOVE", "l", "k", "LEFT", "LEFT", 0),), True),
    ((), (("FLUSHDB",),), False), ((("SET", "k", "x"),), (("FLUSHDB",),), True),
    ((("SET", "k", "x"),), (("FLUSHALL",),), True),
    ((("SET", "k", "x"),), (("SELECT", 1), ("FLUSHDB",)), False), ((("SET", "k", "x"),), (("SWAPDB", 0, 1),), True),
    ((), (("SWAPDB", 0, 1),), False), ((("SET", "k", "x"),), (("SWAPDB", 1, 2),), False),
    ((), (("SELECT", 1), ("SET", "k", "v"), ("MOVE", "k", 0)), True), ((), (("SELECT", 1), ("SET", "k", "v")), False),
    ((), (("MULTI",), ("SET", "k", "v"), ("EXEC",)), True), ((), (("MULTI",), ("SET", "k", "v"), ("DISCARD",)), False),
    ((), (("EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "k"),), True),
    ((), (("EVAL", "return redis.call('GET', KEYS[1])", 1, "k"),), False),
)


class TransactionTest(EitherTest):
    def test_a_conversation(self) -> None:
        connection = self.connection()
        for number, (words, wanted) in enumerate(CONVERSATION):
            self.assertEqual(connection.ask(*words), wanted, f"{number}: {words}")

    def test_scripts_and_errors_of_single_elements(self) -> None:
        connection = self.connection()
        sha = connection.ask("SCRIPT", "LOAD", "return redis.call('INCRBY', KEYS[1], ARGV[1])")
        for words in (("MULTI",), ("EVAL", "redis.call('SET', KEYS[1], 'set'); return redis.call('NOPE')", 1, "half"),
                      ("EVALSHA", sha, 1, "n", 5), ("EVALSHA", "0" * 40, 0), ("LPUSH", "half", "x"), ("INCR", "n")):
            connection.ask(*words)
        answers = connection.ask("EXEC")
        self.assertIn("Unknown Redis command called from script", answers[0])
        self.assertEqual(answers[1:], [5, "NOSCRIPT No matching script. Please use EVAL.",
                                       "WRONGTYPE Operation against a key holding the wrong kind of value", 6])
        self.assertEqual(connection.ask("MGET", "half", "n"), [b"set", b"6"])

    def test_effects_that_are_known_only_afterwards(self) -> None:
        self.do(("SADD", "s", *range(50)), ("SET", "f", "1.1"), ("RPUSH", "l", "a", "b"))
        connection = self.connection(3)
        for words in (("MULTI",), ("SPOP", "s", 20), ("INCRBYFLOAT", "f", "0.1"), ("XADD", "x", "*", "a", "b"),
                      ("LPOP", "l", 5), ("SET", "t", "v", "PX", 60_000), ("SET", "t", "w", "NX", "GET"),
                      ("HRANDFIELD", "none"), ("SPOP", "s")):
            connection.ask(*words)
        answers = connection.ask("EXEC")
        self.assertEqual((len(answers[0]), answers[1], answers[3:7]), (20, b"1.2", [[b"a", b"b"], b"OK", b"v", None]))
        self.assertEqual(self.do(("SCARD", "s"), ("XLEN", "x")), [29, 1])

    def test_null_shapes(self) -> None:
        for protocol, nil in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            connection = self.connection(protocol)
            for words in (("WATCH", "k"), ("INCR", "k"), ("MULTI",), ("PING",)):
                connection.ask(*words)
            connection.send(encode("EXEC"))
            self.assertEqual(connection.raw_reply()[1], nil)
            connection.ask("MULTI")
            connection.ask("GET", "none")
            connection.send(encode("EXEC"))
            self.assertEqual(connection.raw_reply()[1], b"*1\r\n" + (b"$-1\r\n" if protocol == 2 else nil))

    def test_who_leaves_in_the_middle_changes_nothing(self) -> None:
        for words in ((("MULTI",), ("SET", "k", "v")), (("WATCH", "k"), ("MULTI",), ("SET", "k", "v")),
                      (("WATCH", "k"), ("GET", "k")), (("WATCH", "k"), ("MULTI",), ("SET", "k", "v"), ("DISCARD",))):
            for tail in (b"", encode("EXEC")[:-3]):
                leaving = self.connections(20)
                for connection in leaving:
                    for command in words:
                        connection.ask(*command)
                    connection.send(tail)
                for connection in leaving:
                    connection.close()
                self.heard()
                self.assertEqual(self.do(("GET", "k"), ("SET", "k", "v"), ("DEL", "k")), [None, b"OK", 1])


class WatchTest(EitherTest):
    def outcome(self, connection: RawConnection) -> bool:
        """Did EXEC answer nil? Otherwise it must have done its one command."""
        self.assertEqual([connection.ask("MULTI"), connection.ask("INCR", "mine")], [b"OK", b"QUEUED"])
        answer = connection.ask("EXEC")
        if answer is not None:
            self.assertNotIsInstance(answer, ErrorReply)
            self.assertEqual(len(answer), 1)
        return answer is None

    def test_what_breaks_a_watch(self) -> None:
        connection = self.connection()
        for before, meanwhile, nil in CONFLICTS:
            for protocol in (2, 3):
                with self.subTest(meanwhile=meanwhile, before=before, protocol=protocol):
                    self.do(("FLUSHALL",), *before)
                    connection.ask("HELLO", protocol)
                    self.assertEqual(connection.ask("WATCH", "other", "k"), b"OK")
                    with RawConnection(self.place.port) as writer:
                        for words in meanwhile:
                            writer.ask(*words)
                    self.assertEqual(self.outcome(connection), nil)
                    self.assertFalse(self.outcome(connection), "EXEC has ended the watch")

    def test_what_a_writer_that_bypasses_the_proxy_breaks(self) -> None:
        self.unfollowed_writes = True
        connection = self.connection()
        for before, meanwhile, nil in CONFLICTS:
            with self.subTest(meanwhile=meanwhile, before=before):
                self.do(("FLUSHALL",), *before)
                connection.ask("WATCH", "k")
                with RawConnection(self.place.primary.port) as behind:
                    for words in meanwhile:
                        behind.ask(*words)
                self.assertEqual(self.outcome(connection), nil)
        self.do(("FLUSHALL",))

    def test_ones_own_writes_break_it(self) -> None:
        connection = self.connection()
        for words in (("SET", "k", "v"), ("DEL", "k"), ("EVAL", "redis.call('SET', KEYS[1], 1)", 1, "k")):
            connection.ask("WATCH", "k")
            self.assertNotIsInstance(connection.ask(*words), ErrorReply)
            self.assertTrue(self.outcome(connection), words)
        connection.ask("WATCH", "k")
        connection.ask("SET", "another", "v")
        self.assertFalse(self.outcome(connection))

    def test_expiry_breaks_it(self) -> None:
        connection = self.connection()
        self.do(("SET", "k", "v", "PX", 50))
        connection.ask("WATCH", "k")
        wait_until(lambda: self.do(("EXISTS", "k")) == [0], 5)
        self.assertTrue(self.outcome(connection))
        connection.ask("WATCH", "k")
        self.assertFalse(self.outcome(connection), "it was gone before")

    def test_unwatch_discard_and_errors_end_it(self) -> None:
        connection = self.connection()
        for words in (("UNWATCH",), ("DISCARD",), ("EXEC",), ("RESET",)):
            with self.subTest(words=words):
                self.assertEqual(connection.ask("WATCH", "k"), b"OK")
                self.do(("INCR", "k"))
                if words[0] in ("DISCARD", "EXEC"):
                    connection.ask("MULTI")
                    connection.ask("NOSUCH")
                answer = connection.ask(*words)
                self.assertEqual(answer, ABORTED if words[0] == "EXEC" else b"RESET" if words[0] == "RESET" else b"OK")
                self.assertFalse(self.outcome(connection))

    def test_several_watches_and_databases(self) -> None:
        connection = self.connection()
        for database, nil in ((0, True), (1, True), (2, False)):
            for words in (("SELECT", 0), ("WATCH", "a"), ("SELECT", 1), ("WATCH", "b", "a"), ("SELECT", 2)):
                self.assertEqual(connection.ask(*words), b"OK")
            self.do(("SELECT", database), ("INCR", "a"), ("SELECT", 0))
            self.assertEqual(self.outcome(connection), nil, database)

    def test_everything_else_works_while_watching(self) -> None:
        connection = self.connection()
        self.assertEqual(connection.ask("WATCH", "k", "l"), b"OK")
        self.assertEqual([connection.ask("INCR", "n"), connection.ask("GET", "n"), connection.ask("MGET", "n", "k")],
                         [1, b"1", [b"1", None]])
        self.do(("RPUSH", "jobs", "a"))
        self.assertEqual(connection.ask("BLPOP", "jobs", 0), [b"jobs", b"a"])
        connection.send(encode("BLPOP", "jobs", 0) + encode("PING"))
        self.assert_silent(connection)
        self.do(("RPUSH", "jobs", "b"))
        self.assertEqual([connection.reply(), connection.reply()], [[b"jobs", b"b"], b"PONG"])
        self.assertFalse(self.outcome(connection))

    def test_who_watches_holds_nobody_up(self) -> None:
        watchers = self.connections(20)
        for watcher in watchers:
            self.assertEqual(watcher.ask("WATCH", "k"), b"OK")
        self.assertEqual(self.do(*[("INCR", "k")] * 50), list(range(1, 51)))
        self.assertEqual([self.outcome(watcher) for watcher in watchers], [True] * 20)

    def test_crossed_watches(self) -> None:
        one, two = self.connection(), self.connection()
        for turn in range(50):
            one.send(encode("WATCH", "a") + encode("WATCH", "b"))
            two.send(encode("WATCH", "b") + encode("WATCH", "a"))
            self.assertEqual([one.reply(), one.reply(), two.reply(), two.reply()], [b"OK"] * 4)
            for connection in (one, two):
                connection.send(encode("MULTI") + encode("INCR", "a") + encode("INCR", "b") + encode("EXEC"))
            answers = [[connection.reply() for _ in range(4)][3] for connection in (one, two)]
            self.assertCountEqual(answers, [None, [turn + 1, turn + 1]])

    def test_in_one_packet(self) -> None:
        connection = self.connection()
        for number in range(100):
            connection.send(encode("WATCH", "k") + encode("GET", "k") + encode("MULTI") + encode("SET", "k", number)
                            + encode("EXEC") + encode("GET", "k"))
            before = b"%d" % (number - 1) if number else None
            self.assertEqual([connection.reply() for _ in range(6)],
                             [b"OK", before, b"OK", b"QUEUED", [b"OK"], b"%d" % number])

    def test_five_hundred_watching_clients(self) -> None:
        watchers = self.connections(500)
        for number, watcher in enumerate(watchers):
            watcher.send(encode("WATCH", f"k{number % 50}") + encode("GET", f"k{number % 50}"))
        for watcher in watchers:
            self.assertEqual([watcher.reply(), watcher.reply()], [b"OK", None])
        self.do(*(("SET", f"k{number}", "v") for number in range(0, 50, 2)))
        for number, watcher in enumerate(watchers):
            watcher.send(encode("MULTI") + encode("INCR", "done") + encode("EXEC"))
            self.assertEqual([watcher.reply(), watcher.reply()], [b"OK", b"QUEUED"])
            self.assertEqual(watcher.reply() is None, number % 2 == 0, number)
        self.assertEqual(self.do(("GET", "done")), [b"250"])

    def test_optimistic_increments_lose_nothing(self) -> None:
        """16 clients that read, add one and write under WATCH, 4 that INCR, on 4 keys."""
        end = time.monotonic() + (20 if LONG else 3)
        done, broken, wrong = [0] * 20, [0] * 20, []

        def work(number: int, connection: RawConnection) -> None:
            try:
                while time.monotonic() < end:
                    key = f"n{(number + done[number] + broken[number]) % 4}"
                    if number >= 16:
                        connection.ask("INCR", key)
                        time.sleep(0.002)
                    else:
                        connection.ask("WATCH", key)
                        value = int(connection.ask("GET", key) or 0)
                        connection.send(encode("MULTI") + encode("SET", key, value + 1) + encode("EXEC"))
                        answer = [connection.reply() for _ in range(3)][2]
                        if answer is None:
                            broken[number] += 1
                            continue
                        if answer != [b"OK"]:
                            raise AssertionError(f"EXEC answered {answer!r}")
                    done[number] += 1
            except BaseException as failure:  # a thread cannot fail a test
                wrong.append(failure)

        threads = [threading.Thread(target=work, args=(number, self.connection(2 + number % 2)), daemon=True)
                   for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(wrong, [])
        self.say(f"{sum(done[:16])} transactions, {sum(broken)} nil, {sum(done[16:])} plain INCR")
        values = self.do(("MGET", "n0", "n1", "n2", "n3"))[0]
        self.assertEqual(sum(map(int, values)), sum(done))
        self.assertGreater(sum(done[:16]), 100)
        self.assertGreater(sum(broken), 0, "nobody was in anybody's way: this showed nothing")

    @unittest.skipIf(DIRECT, "there is nothing to flip")
    def test_a_flip_breaks_every_watch(self) -> None:
        for protocol in (2, 3, 2):
            watchers = self.connections(20, protocol)
            for watcher in watchers:
                watcher.ask("WATCH", "k")
            watchers[0].ask("MULTI")
            watchers[0].ask("SET", "k", "never")
            self.place.flip()
            self.assertIsNone(watchers[0].ask("EXEC"))
            self.assertEqual([self.outcome(watcher) for watcher in watchers[1:]], [True] * 19)
            self.assertEqual([self.outcome(watcher) for watcher in watchers], [False] * 20)
            self.assertEqual(self.do(("GET", "k")), [None])
            watchers[0].ask("WATCH", "k")
            self.do(("INCR", "k"), ("DEL", "k"))
            self.assertTrue(self.outcome(watchers[0]), "a watch on the new primary")


if __name__ == "__main__":
    main()
