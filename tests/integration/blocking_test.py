"""Blocking commands: who waits, who is woken and by what, in which order, with which answer, and when nothing comes."""
import select
import time
from typing import Any

from admin import wait_until
from either import DIRECT, EitherTest
from harness import main
from resp import Closed, ErrorReply, RawConnection, encode

WRONGTYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
XWAIT = ("XREAD", "BLOCK", 0, "STREAMS", "x", "$")
XGROUP = ("XGROUP", "CREATE", "x", "g", "$", "MKSTREAM")
GWAIT = ("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "x", ">")
ENTRY = [b"1-1", [b"f", b"v"]]
ADD = ("XADD", "x", "1-1", "f", "v")
FILL_LIST, FILL_ZSET = ("RPUSH", "l", "a", "b"), ("ZADD", "z", 1, "a", 2.5, "b")

# What makes data, the command, its answer in RESP2 and in RESP3.
POPS: tuple[tuple[tuple, tuple, Any, Any], ...] = (
    (FILL_LIST, ("BLPOP", "none", "l", 0), [b"l", b"a"], [b"l", b"a"]),
    (FILL_LIST, ("BRPOP", "l", "none", "0.0"), [b"l", b"b"], [b"l", b"b"]),
    (FILL_LIST, ("BLMOVE", "l", "m", "LEFT", "RIGHT", 0), b"a", b"a"),
    (FILL_LIST, ("BRPOPLPUSH", "l", "m", 0), b"b", b"b"),
    (FILL_LIST, ("BRPOPLPUSH", "l", "l", 0), b"b", b"b"),
    (FILL_LIST, ("BLMPOP", 0, 2, "none", "l", "LEFT"), [b"l", [b"a"]], [b"l", [b"a"]]),
    (FILL_LIST, ("BLMPOP", 0, 1, "l", "RIGHT", "COUNT", 9), [b"l", [b"b", b"a"]], [b"l", [b"b", b"a"]]),
    (FILL_ZSET, ("BZPOPMIN", "none", "z", 0), [b"z", b"a", b"1"], [b"z", b"a", 1.0]),
    (FILL_ZSET, ("BZPOPMAX", "z", "none", 0), [b"z", b"b", b"2.5"], [b"z", b"b", 2.5]),
    (FILL_ZSET, ("BZMPOP", 0, 2, "none", "z", "MAX"), [b"z", [[b"b", b"2.5"]]], [b"z", [[b"b", 2.5]]]),
    (FILL_ZSET, ("BZMPOP", 0, 1, "z", "MIN", "COUNT", 5), [b"z", [[b"a", b"1"], [b"b", b"2.5"]]],
     [b"z", [[b"a", 1.0], [b"b", 2.5]]]),
    (ADD, ("XREAD", "BLOCK", 0, "STREAMS", "none", "x", "0", "0"), [[b"x", [ENTRY]]], {b"x": [ENTRY]}),
    (ADD, ("XREADGROUP", "GROUP", "g", "c", "COUNT", 3, "BLOCK", 0, "STREAMS", "x", ">"), [[b"x", [ENTRY]]],
     {b"x": [ENTRY]}),
)
# What feeds a waiter on k, where s holds one element, and so does k in database 1. "@1": on a connection to database 1;
# "EXEC": in a transaction; "RESTORE": of what s holds.
WRITERS: tuple[tuple[Any, ...], ...] = (
    ("RENAME", "s", "k"), ("RENAMENX", "s", "k"), ("COPY", "s", "k"), ("COPY", "s", "k", "REPLACE"), ("RESTORE",),
    ("@1", "MOVE", "k", 0), ("@1", "COPY", "k", "k", "DB", 0), ("SWAPDB", 0, 1), ("@1", "SWAPDB", 1, 0),
    ("EXEC", "RENAME", "s", "k"), ("EVAL", "return redis.call('RENAME', KEYS[1], KEYS[2])", 2, "s", "k"))
LIST_WRITERS = (
    ("RPUSH", "k", "e"), ("LPUSH", "k", "e"), ("LMOVE", "s", "k", "RIGHT", "LEFT"), ("RPOPLPUSH", "s", "k"),
    ("BLMOVE", "s", "k", "LEFT", "LEFT", 0), ("BRPOPLPUSH", "s", "k", 0), ("SORT", "s", "ALPHA", "STORE", "k"),
    ("EXEC", "RPUSH", "k", "e"), ("EVAL", "return redis.call('RPUSH', KEYS[1], 'e')", 1, "k"))
ZSET_WRITERS = (
    ("ZADD", "k", 1, "e"), ("ZADD", "k", "INCR", 1, "e"), ("ZINCRBY", "k", 1, "e"), ("GEOADD", "k", 0, 0, "e"),
    ("ZUNIONSTORE", "k", 1, "s"), ("ZINTERSTORE", "k", 1, "s"), ("ZDIFFSTORE", "k", 1, "s"),
    ("ZRANGESTORE", "k", "s", 0, -1), ("GEOSEARCHSTORE", "k", "s", "FROMLONLAT", 0, 0, "BYRADIUS", 20000, "km"),
    ("EXEC", "ZADD", "k", 1, "e"), ("EVAL", "return redis.call('ZADD', KEYS[1], 1, 'e')", 1, "k"))
STREAM_WRITERS = (
    ("XADD", "k", "1-1", "f", "v"), ("XADD", "k", "*", "f", "v"), ("EXEC", "XADD", "k", "1-1", "f", "v"),
    ("EVAL", "return redis.call('XADD', KEYS[1], '1-1', 'f', 'v')", 1, "k"))
KINDS = (
    ("RPUSH", "e", LIST_WRITERS, (
        ("BLPOP", "k", 0), ("BRPOP", "other", "k", 0), ("BLMOVE", "k", "to", "LEFT", "LEFT", 0),
        ("BRPOPLPUSH", "k", "to", 0), ("BLMPOP", 0, 1, "k", "LEFT"))),
    ("ZADD", "e", ZSET_WRITERS, (("BZPOPMIN", "k", 0), ("BZPOPMAX", "other", "k", 0), ("BZMPOP", 0, 1, "k", "MIN"))),
    ("XADD", "v", STREAM_WRITERS, (("XREAD", "BLOCK", 0, "STREAMS", "k", "$"),
                                   ("XREAD", "BLOCK", 0, "STREAMS", "other", "k", "$", "0"))))
FEEDERS = {"RPUSH": ("RPUSH", "{}", "e"), "ZADD": ("ZADD", "{}", 1, "e"), "XADD": ("XADD", "{}", "1-1", "f", "v")}
ERRORS = (
    (("BLPOP", "l", -1), "ERR timeout is negative"),
    (("BLPOP", "l", "x"), "ERR timeout is not a float or out of range"),
    (("BLPOP", "l"), "ERR wrong number of arguments for 'blpop' command"),
    (("BLMOVE", "l", "m", "UP", "LEFT", 0), "ERR syntax error"),
    (("BLMPOP", 0, 0, "l", "LEFT"), "ERR numkeys should be greater than 0"),
    (("BLMPOP", 0, 1, "l", "LEFT", "COUNT", 0), "ERR count should be greater than 0"),
    (("BLMPOP", 0, 2, "l", "LEFT"), "ERR syntax error"), (("BZMPOP", 0, 1, "l", "MID"), "ERR syntax error"),
    (("BZPOPMIN", "z", "-0.5"), "ERR timeout is negative"),
    (("XREAD", "BLOCK", -1, "STREAMS", "x", "$"), "ERR timeout is negative"),
    (("XREAD", "BLOCK", "1.5", "STREAMS", "x", "$"), "ERR timeout is not an integer or out of range"),
    (("XREAD", "BLOCK", 10, "STREAMS", "x", "y", "$"), "ERR Unbalanced XREAD list of streams: for each stream key an "
     "ID or '$' must be specified."),
    (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 10, "STREAMS", "x", ">"),
     "NOGROUP No such key 'x' or consumer group 'g' in XREADGROUP with GROUP option"),
    (("WAIT", 0, -1), "ERR timeout is negative"), (("WAIT", "x", 0), "ERR value is not an integer or out of range"))
TIMEOUTS = (
    (("BLPOP", "l", "0.05"), b"*-1"), (("BRPOP", "l", "m", "0.05"), b"*-1"), (("BZPOPMAX", "z", "0.05"), b"*-1"),
    (("BLMOVE", "l", "m", "LEFT", "LEFT", "0.05"), b"$-1"), (("BRPOPLPUSH", "l", "m", "0.05"), b"$-1"),
    (("BLMPOP", "0.05", 1, "l", "LEFT"), b"*-1"), (("BZPOPMIN", "z", "0.05"), b"*-1"),
    (("BZMPOP", "0.05", 1, "z", "MIN"), b"*-1"), (("XREAD", "BLOCK", 50, "STREAMS", "x", "$"), b"*-1"),
    (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 50, "STREAMS", "x", ">"), b"*-1"))  # the null in EXEC; else *-1


class WakingTest(EitherTest):
    def test_data_that_is_there_is_answered_at_once(self) -> None:
        for protocol in (2, 3):
            connection = self.connection(protocol)
            for fill, words, two, three in POPS:
                with self.subTest(words=words, protocol=protocol):
                    self.do(("FLUSHALL",), *([XGROUP] if fill == ADD else []), fill)
                    self.assertEqual(connection.ask(*words), two if protocol == 2 else three)

    def test_who_waits_gets_the_same_answer(self) -> None:
        for protocol in (2, 3):
            for fill, words, two, three in POPS:
                with self.subTest(words=words, protocol=protocol):
                    self.do(("FLUSHALL",), *([XGROUP] if fill == ADD else []))
                    waiter = self.wait_on(*words, protocol=protocol)
                    self.assertNotIsInstance(self.do(fill)[0], ErrorReply)
                    self.assertEqual(waiter.reply(), two if protocol == 2 else three)

    def write(self, words: tuple) -> None:
        """One of WRITERS; on a connection of its own, so that none stays in the helper's queue."""
        writer = self.connection()
        if words[0] == "@1":
            writer.ask("SELECT", 1)
            words = words[1:]
        if words[0] == "RESTORE":
            words = ("RESTORE", "k", 0, writer.ask("DUMP", "s"))
        if words[0] == "EXEC":
            answers = [writer.ask("MULTI"), writer.ask(*words[1:]), *writer.ask("EXEC")]
        else:
            answers = [writer.ask(*words)]
        self.assertFalse([answer for answer in answers if isinstance(answer, ErrorReply)], f"{words}: {answers}")

    def test_every_kind_of_writer_wakes(self) -> None:
        for feeder, wanted, writers, waits in KINDS:
            feed = [tuple(str(word).format(key) for word in FEEDERS[feeder]) for key in ("s", "k")]
            for number, words in enumerate(WRITERS + writers):
                with self.subTest(words=words):
                    self.do(("FLUSHALL",), feed[0], ("SELECT", 1), feed[1], ("SELECT", 0))
                    waiter = self.wait_on(*waits[number % len(waits)])
                    self.write(words)
                    self.assertIn(f"b'{wanted}'", str(waiter.reply()))
                    self.assertEqual(self.do(("EXISTS", "k")), [int(feeder == "XADD")])

    def test_commands_that_make_no_list_wake_nobody(self) -> None:
        waiter = self.wait_on("BLPOP", "k", 0)
        self.do(("LPUSHX", "k", "e"), ("LINSERT", "k", "BEFORE", "p", "e"), ("SADD", "k", "e"), ("DEL", "k"),
                ("SORT", "none", "STORE", "k"), ("MULTI",), ("RPUSH", "k", "e"), ("DEL", "k"), ("EXEC",),
                ("MULTI",), ("RPUSH", "k", "e"), ("DISCARD",), ("EVAL", "redis.call('RPUSH', KEYS[1], 1); "
                                                              "return redis.call('LPOP', KEYS[1])", 1, "k"))
        self.assert_silent(waiter)
        self.do(("RPUSH", "k", "at last"))
        self.assertEqual(waiter.reply(), [b"k", b"at last"])

    def test_after_a_transaction_as_it_left_the_list(self) -> None:
        waiter = self.wait_on("BLPOP", "k", 0)
        self.do(("MULTI",), ("LPUSH", "k", "a"), ("LPUSH", "k", "b"), ("LPUSH", "k", "c"), ("LPOP", "k"), ("EXEC",))
        self.assertEqual(waiter.reply(), [b"k", b"b"])
        self.assertEqual(self.do(("LRANGE", "k", 0, -1)), [[b"a"]])

    def test_writers_that_bypass_the_proxy_wake(self) -> None:
        self.unfollowed_writes = True
        for feeder, wanted, _, waits in KINDS:
            for words in waits:
                with self.subTest(words=words):
                    waiter = self.wait_on(*words)
                    with RawConnection(self.place.primary.port) as behind:
                        behind.ask(*(str(word).format("k") for word in FEEDERS[feeder]))
                        waiter.socket.settimeout(2)
                        self.assertIn(f"b'{wanted}'", str(waiter.reply()))
                    self.do(("FLUSHALL",))

    def test_a_group_hears_writers_that_bypass_the_proxy(self) -> None:
        self.unfollowed_writes = True
        self.do(XGROUP)
        waiter = self.wait_on(*GWAIT)
        with RawConnection(self.place.primary.port) as behind:
            behind.ask(*ADD)
            waiter.socket.settimeout(2)
            self.assertEqual(waiter.reply(), [[b"x", [ENTRY]]])
        self.do(("FLUSHALL",))

    def test_a_chain_of_moves(self) -> None:
        last = self.wait_on("BLPOP", "c", 0)
        middle = self.wait_on("BLMOVE", "b", "c", "LEFT", "RIGHT", 0)
        first = self.wait_on("BRPOPLPUSH", "a", "b", 0)
        self.assertEqual(self.do(("RPUSH", "a", "e")), [1])
        self.assertEqual([first.reply(), middle.reply(), last.reply()], [b"e", b"e", [b"c", b"e"]])
        self.assertEqual(self.do(("DBSIZE",)), [0])

    def test_the_order_of_keys(self) -> None:
        connection = self.connection()
        self.do(("RPUSH", "k2", "two"), ("RPUSH", "k3", "three"), ("ZADD", "z2", 1, "two"), ("ZADD", "z1", 9, "one"))
        self.assertEqual(connection.ask("BLPOP", "k1", "k2", "k3", 0), [b"k2", b"two"])
        self.assertEqual(connection.ask("BLMPOP", 0, 2, "k3", "k2", "LEFT"), [b"k3", [b"three"]])
        self.assertEqual(connection.ask("BZPOPMIN", "z1", "z2", 0), [b"z1", b"one", b"9"])
        waiter = self.wait_on("BLPOP", "k1", "k2", "k1", 0)
        self.do(("MULTI",), ("RPUSH", "k2", "b"), ("RPUSH", "k1", "a"), ("EXEC",))
        self.assertEqual(waiter.reply(), [b"k2", b"b"], "the key that was fed first")
        self.assertEqual(self.do(("LLEN", "k1")), [1])
        self.do(("DEL", "z2"))
        waiter = self.wait_on("BZMPOP", 0, 2, "z1", "z2", "MIN")
        self.do(("MULTI",), ("ZADD", "z2", 1, "b"), ("ZADD", "z1", 1, "a"), ("EXEC",))
        self.assertEqual(waiter.reply(), [b"z2", [[b"b", b"1"]]])

    def test_lists_and_sorted_sets_are_waited_for_on_one_key(self) -> None:
        lists, sets, stream = (self.wait_on("BLPOP", "k", 0), self.wait_on("BZPOPMAX", "k", 0),
                               self.wait_on("XREAD", "BLOCK", 0, "STREAMS", "k", "0"))
        self.do(("ZADD", "k", 1, "e"))
        self.assertEqual(sets.reply(), [b"k", b"e", b"1"])
        self.assert_silent(lists, stream)
        self.do(("RPUSH", "k", "e"), ("XADD", "k", "1-1", "f", "v"))
        self.assertEqual([lists.reply(), stream.reply()], [[b"k", b"e"], [[b"k", [ENTRY]]]])

    def test_one_command_feeds_several_waiters(self) -> None:
        waiters = [self.wait_on("BLMPOP", 0, 1, "k", "LEFT", "COUNT", 2), self.wait_on("BRPOP", "k", 0),
                   self.wait_on("BLPOP", "k", 0), self.wait_on("BLPOP", "k", 0)]
        self.do(("RPUSH", "k", "1", "2", "3", "4"))
        self.assertEqual([waiter.reply() for waiter in waiters[:3]], [[b"k", [b"1", b"2"]], [b"k", b"4"], [b"k", b"3"]])
        self.assert_silent(waiters[3])

    def test_streams(self) -> None:
        self.do(("XADD", "x", "5-1", "f", "v"))
        waiter = self.wait_on("XREAD", "COUNT", 2, "BLOCK", 0, "STREAMS", "x", "y", "9-0", "$")
        both = [self.wait_on("XREAD", "BLOCK", 0, "STREAMS", "x", "$") for _ in range(3)]
        self.do(("XADD", "x", "6-1", "f", "v"))
        for reader in both:
            self.assertEqual(reader.reply(), [[b"x", [[b"6-1", [b"f", b"v"]]]]], "all who read get it")
        self.do(("XADD", "x", "9-0", "f", "v"))
        self.assert_silent(waiter)
        self.do(("MULTI",), ("XADD", "x", "9-1", "f", "v"), ("XADD", "x", "9-2", "f", "v"), ("EXEC",))
        self.assertEqual(waiter.reply(), [[b"x", [[b"9-1", [b"f", b"v"]], [b"9-2", [b"f", b"v"]]]]])

    def test_who_waits_for_two_streams_gets_the_one_that_was_fed_first(self) -> None:
        for protocol in (2, 3):
            self.do(("FLUSHALL",), XGROUP, ("XGROUP", "CREATE", "y", "g", "$", "MKSTREAM"))
            reader = self.wait_on("XREAD", "BLOCK", 0, "STREAMS", "x", "y", "$", "$", protocol=protocol)
            worker = self.wait_on("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "x", "y", ">", ">",
                                  protocol=protocol)
            self.do(("MULTI",), ("XADD", "y", "1-1", "f", "v"), ADD, ("EXEC",))
            wanted = [[b"y", [ENTRY]]] if protocol == 2 else {b"y": [ENTRY]}
            self.assertEqual([reader.reply(), worker.reply()], [wanted, wanted])
            pending = self.do(("XPENDING", "x", "g"), ("XPENDING", "y", "g"))
            self.assertEqual([summary[0] for summary in pending], [0, 1])

    def test_a_group_that_is_set_back_while_somebody_waits(self) -> None:
        self.do(XGROUP, ADD)
        self.do(("XGROUP", "SETID", "x", "g", "$"))
        waiter = self.wait_on("XREADGROUP", "GROUP", "g", "new", "BLOCK", 0, "NOACK", "STREAMS", "x", ">")
        self.do(("XGROUP", "SETID", "x", "g", "0"))
        self.assert_silent(waiter)
        self.do(("XADD", "x", "2-1", "f", "v"))
        self.assertEqual(waiter.reply(), [[b"x", [ENTRY, [b"2-1", [b"f", b"v"]]]]])
        self.assertEqual(self.do(("XPENDING", "x", "g"))[0][0], 0, "NOACK")

    def test_a_group_gives_each_entry_once(self) -> None:
        self.do(XGROUP)
        waiters = [self.wait_on("XREADGROUP", "GROUP", "g", f"c{number}", "COUNT", 1, "BLOCK", 0, "STREAMS", "x", ">")
                   for number in range(5)]
        for number in range(5):
            self.do(("XADD", "x", f"{number + 1}-0", "f", "v"))
            self.assertEqual(waiters[number].reply(), [[b"x", [[b"%d-0" % (number + 1), [b"f", b"v"]]]]])
        self.assertEqual(self.do(("XPENDING", "x", "g"))[0][0], 5)
        self.assertEqual(self.connection().ask("XREADGROUP", "GROUP", "g", "c0", "BLOCK", 0, "STREAMS", "x", "0"),
                         [[b"x", [[b"1-0", [b"f", b"v"]]]]], "history never waits")

    def test_a_stream_or_group_that_goes_away(self) -> None:
        gone = "UNBLOCKED the stream key no longer exists"
        for words, text in ((("XGROUP", "DESTROY", "x", "g"), "NOGROUP the consumer group this client was blocked on "
                             "no longer exists"), (("DEL", "x"), gone), (("SET", "x", "v"), gone),
                            (("RENAME", "x", "y"), gone), (("FLUSHALL",), gone), (("SWAPDB", 0, 1), gone),
                            (("MOVE", "x", 2), gone), (("PEXPIRE", "x", 20), gone)):
            with self.subTest(words=words):
                self.do(("FLUSHALL",), XGROUP)
                waiter = self.wait_on(*GWAIT)
                self.do(words)
                self.assertEqual(waiter.reply(), text)


class WaitingTest(EitherTest):
    def test_errors(self) -> None:
        connection = self.connection()
        for words, text in ERRORS:
            with self.subTest(words=words):
                self.assertEqual(connection.ask(*words), text)
                self.assertEqual(connection.ask("PING"), b"PONG")

    def test_wrong_types_are_told_at_once(self) -> None:
        self.do(("SET", "s", "v"), FILL_LIST)
        connection = self.connection()
        for words in (("BLPOP", "none", "s", 0), ("BRPOP", "s", 0), ("BLMOVE", "s", "m", "LEFT", "LEFT", 0),
                      ("BLMOVE", "l", "s", "LEFT", "LEFT", 0), ("BRPOPLPUSH", "s", "m", 0), ("BZPOPMIN", "l", 0),
                      ("BLMPOP", 0, 2, "none", "s", "LEFT"), ("BZPOPMAX", "s", 0), ("BZMPOP", 0, 1, "s", "MIN"),
                      ("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), GWAIT[:-2] + ("s", ">")):
            with self.subTest(words=words):
                self.assertEqual(connection.ask(*words), WRONGTYPE)
        self.assertEqual(self.do(("LLEN", "l")), [2])

    def test_a_key_that_becomes_another_type_wakes_nobody(self) -> None:
        waiters = [self.wait_on("BLPOP", "l", 0), self.wait_on("BZPOPMIN", "z", 0), self.wait_on(*XWAIT)]
        for words in (("MSET", "l", "v", "z", "v", "x", "v"), ("DEL", "l", "z", "x"), ("ZADD", "l", 1, "a"),
                      ("RPUSH", "z", "a"), ("SADD", "x", "a"), ("DEL", "l", "z", "x")):
            self.do(words)
            self.assert_silent(*waiters)
        self.do(FILL_LIST, FILL_ZSET, ADD)
        self.assertEqual([waiter.reply() for waiter in waiters],
                         [[b"l", b"a"], [b"z", b"a", b"1"], [[b"x", [ENTRY]]]])

    def test_a_move_onto_a_wrong_type_fails_when_it_is_fed(self) -> None:
        self.do(("SET", "to", "v"))
        waiter, next_one = self.wait_on("BLMOVE", "l", "to", "LEFT", "LEFT", 0), self.wait_on("BLPOP", "l", 0)
        self.do(("RPUSH", "l", "e"))
        self.assertEqual(waiter.reply(), WRONGTYPE)
        self.assertEqual(next_one.reply(), [b"l", b"e"], "the element was still there")

    def test_timeouts(self) -> None:
        for protocol in (2, 3):
            connection = self.connection(protocol)
            self.do(XGROUP)
            for words, null in TIMEOUTS:
                with self.subTest(words=words, protocol=protocol):
                    began = time.monotonic()
                    connection.send(encode(*words))
                    self.assertEqual(connection.raw_reply()[1], b"*-1\r\n" if protocol == 2 else b"_\r\n")
                    self.assertGreater(time.monotonic() - began, 0.045)
                    connection.send(encode("MULTI") + encode(*words) + encode("PING") + encode("EXEC"))
                    self.assertEqual([connection.reply(), connection.reply()], [b"OK", b"QUEUED"])
                    self.assertEqual(connection.reply(), b"QUEUED")
                    null = (null if protocol == 2 else b"_") + b"\r\n"
                    self.assertEqual(connection.raw_reply()[1], b"*2\r\n" + null + b"+PONG\r\n")

    def test_inside_a_transaction_nothing_waits(self) -> None:
        connection = self.connection()
        connection.ask("MULTI")
        for words in (("BLPOP", "l", 0), ("RPUSH", "l", "a", "b"), ("BLPOP", "l", 0), ("BRPOPLPUSH", "l", "m", 0),
                      ("BLPOP", "l", 0), ("BZPOPMIN", "z", 0), ("XREAD", "BLOCK", 0, "STREAMS", "x", "$"),
                      ("WAIT", 7, 0)):
            self.assertEqual(connection.ask(*words), b"QUEUED")
        self.assertEqual(connection.ask("EXEC"), [None, 2, [b"l", b"a"], b"b", None, None, None, 0])
        self.assertEqual(self.do(("LRANGE", "m", 0, -1)), [[b"b"]])

    def test_a_script_does_not_wait(self) -> None:
        answer = self.connection().ask("EVAL", "return redis.call('BLPOP', KEYS[1], 0)", 1, "l")
        self.assertIsInstance(answer, ErrorReply)
        self.assertIn("not allowed from script", answer)

    def test_zero_waits_until_it_is_unblocked(self) -> None:
        for protocol, null in ((2, b"*-1\r\n"), (3, b"_\r\n")):
            self.do(XGROUP)
            for words in (("BLPOP", "l", 0), ("BLMOVE", "l", "m", "LEFT", "LEFT", 0), ("BZMPOP", 0, 1, "z", "MIN"),
                          XWAIT, GWAIT):
                with self.subTest(words=words, protocol=protocol):
                    waiter = self.connection(protocol)
                    number = waiter.ask("CLIENT", "ID")
                    self.assertEqual(self.do(("CLIENT", "UNBLOCK", number)), [0], "it isn't waiting yet")
                    for how, wanted in (((), null), (("TIMEOUT",), null), (
                            ("ERROR",), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")):
                        waiter.send(encode(*words))
                        self.assert_silent(waiter)
                        self.assertEqual(self.do(("CLIENT", "UNBLOCK", number, *how)), [1])
                        self.assertEqual(waiter.raw_reply()[1], wanted)
                    self.assertEqual(waiter.ask("PING"), b"PONG")
        self.assertEqual(self.do(("CLIENT", "UNBLOCK", 10**9)), [0])
        self.assertEqual(self.do(("CLIENT", "UNBLOCK", 1, "SOON")),
                         ["ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"])

    def test_pipelined_followers_wait(self) -> None:
        for words in (("BLPOP", "l", 0), ("BZPOPMIN", "z", 0), XWAIT):
            with self.subTest(words=words):
                self.do(("FLUSHALL",))
                waiter = self.connection()
                waiter.send(encode("INCR", "n") + encode(*words) + encode("INCR", "n") + encode("PING")
                            + encode("BLPOP", "l2", 0) + encode("GET", "n"))
                self.assertEqual(waiter.reply(), 1)
                self.assert_silent(waiter)
                self.assertEqual(self.do(("GET", "n")), [b"1"], "what comes after it has not been run")
                self.do(FILL_LIST, FILL_ZSET, ADD)
                waiter.reply()
                self.assertEqual([waiter.reply(), waiter.reply()], [2, b"PONG"])
                self.assert_silent(waiter)
                self.do(("INCR", "n"), ("RPUSH", "l2", "e"))
                self.assertEqual([waiter.reply(), waiter.reply()], [[b"l2", b"e"], b"3"])

    def test_a_pipelined_quit_waits_too(self) -> None:
        waiter = self.connection()
        waiter.send(encode("BLPOP", "l", 0) + encode("QUIT"))
        self.assert_silent(waiter)
        self.do(FILL_LIST)
        self.assertEqual(waiter.until_closed(), b"*2\r\n$1\r\nl\r\n$1\r\na\r\n+OK\r\n")

    def test_the_database_of_the_waiter_counts(self) -> None:
        waiter = self.connection()
        waiter.ask("SELECT", 7)
        waiter.send(encode("BLPOP", "l", 0))
        self.do(("RPUSH", "l", "in 0"))
        self.assert_silent(waiter)
        self.do(("SELECT", 7), ("RPUSH", "l", "in 7"), ("SELECT", 0))
        self.assertEqual(waiter.reply(), [b"l", b"in 7"])

    def test_wait_counts_replicas(self) -> None:
        connection = self.connection()
        self.assertEqual(connection.ask("WAIT", 0, 0), 0)
        replica = self.place.replica_of_primary()
        connection.ask("SET", "k", "v")
        self.assertEqual(connection.ask("WAIT", 1, 10_000), 1)
        # The proxy asks on a connection of its own, whose offset may be just ahead of what the replica has acknowledged.
        self.assertIn(connection.ask("WAIT", 0, 0), [1] if DIRECT else [0, 1])
        began = time.monotonic()
        self.assertEqual(connection.ask("WAIT", 2, 100), 1)
        self.assertGreater(time.monotonic() - began, 0.095)
        replica.pause()
        self.assertEqual(connection.ask("SET", "k", "w"), b"OK")
        self.assertEqual(connection.ask("WAIT", 1, 100), 0, "that replica can't have it")
        connection.send(encode("WAIT", 1, 20_000))
        other = self.connection()
        for number in range(50):
            self.assertEqual(other.ask("INCR", "n"), number + 1, "nobody else waits")
        self.assertEqual(select.select([connection.socket], [], [], 0)[0], [])
        replica.resume()
        self.assertEqual(connection.reply(), 1)
        replica.kill()

    def test_a_killed_waiter(self) -> None:
        waiter = self.connection()
        number = waiter.ask("CLIENT", "ID")
        waiter.send(encode("BLPOP", "l", 0))
        self.assert_silent(waiter)
        self.assertEqual(self.do(("CLIENT", "KILL", "ID", number)), [1])
        with self.assertRaises(Closed):
            waiter.reply()
        self.do(FILL_LIST)
        wait_until(lambda: self.do(("LLEN", "l")) == [2], 2, "both elements still there")


if __name__ == "__main__":
    main()
