"""Publishing and subscribing: what a subscriber is told, each message once, also over flips; and MONITOR."""
import re
import threading
import time
from typing import Any, Iterable

from admin import wait_until
from either import DIRECT, EitherTest
from harness import LONG, main
from resp import Closed, ErrorReply, RawConnection, encode

ONLY = ("ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this "
        "context")
SECONDS = 20.0 if LONG else 4.0
# One RESP2 connection's commands and answers: lists are what a subscriber is told.
CONVERSATION: tuple[tuple[tuple, list], ...] = (
    (("SUBSCRIBE", "a", "b", "a"), [[b"subscribe", b"a", 1], [b"subscribe", b"b", 2], [b"subscribe", b"a", 2]]),
    (("PING",), [[b"pong", b""]]), (("PING", "hi"), [[b"pong", b"hi"]]),
    (("GET", "k"), [ONLY.format("get")]), (("PUBLISH", "a", "m"), [ONLY.format("publish")]),
    (("MULTI",), [ONLY.format("multi")]), (("HELLO", 3), [ONLY.format("hello")]),
    (("CLIENT", "ID"), [ONLY.format("client|id")]), (("BLPOP", "l", 0), [ONLY.format("blpop")]),
    (("SUBSCRIBE",), ["ERR wrong number of arguments for 'subscribe' command"]),
    (("NOSUCH",), ["ERR unknown command 'NOSUCH', with args beginning with: "]),
    (("PSUBSCRIBE", "a*", "[b]?"), [[b"psubscribe", b"a*", 3], [b"psubscribe", b"[b]?", 4]]),
    (("SSUBSCRIBE", "s"), [[b"ssubscribe", b"s", 1]]),
    (("UNSUBSCRIBE", "a", "never"), [[b"unsubscribe", b"a", 3], [b"unsubscribe", b"never", 3]]),
    (("UNSUBSCRIBE",), [[b"unsubscribe", b"b", 2]]), (("UNSUBSCRIBE",), [[b"unsubscribe", None, 2]]),
    (("GET", "k"), [ONLY.format("get")]), (("PUNSUBSCRIBE", "a*"), [[b"punsubscribe", b"a*", 1]]),
    (("PUNSUBSCRIBE",), [[b"punsubscribe", b"[b]?", 0]]), (("GET", "k"), [ONLY.format("get")]),
    (("SUNSUBSCRIBE",), [[b"sunsubscribe", b"s", 0]]), (("GET", "k"), [None]), (("PING",), [b"PONG"]),
    (("PUNSUBSCRIBE",), [[b"punsubscribe", None, 0]]), (("SUNSUBSCRIBE", "x"), [[b"sunsubscribe", b"x", 0]]),
    (("SUBSCRIBE", "a"), [[b"subscribe", b"a", 1]]), (("RESET",), [b"RESET"]), (("GET", "k"), [None]),
    (("PSUBSCRIBE", "a"), [[b"psubscribe", b"a", 1]]), (("QUIT",), [b"OK"]),
)


def message(channel: str, text: object) -> list:
    return [b"message", channel.encode(), str(text).encode()]


def pmessage(pattern: str, channel: str, text: object) -> list:
    return [b"pmessage", pattern.encode(), channel.encode(), str(text).encode()]


class PubSubTest(EitherTest):
    def subscriber(self, *words: str, protocol: int = 2) -> RawConnection:
        """Subscribed with these words, and confirmed."""
        connection = self.connection(protocol)
        connection.send(encode(*words))
        self.confirmed(connection, len(words) - 1)
        return connection

    def confirmed(self, connection: RawConnection, count: int) -> None:
        for _ in range(count):
            self.assertIn(connection.reply()[0], (b"subscribe", b"psubscribe", b"ssubscribe"))

    def test_a_conversation(self) -> None:
        connection = self.connection()
        for number, (words, wanted) in enumerate(CONVERSATION):
            connection.send(encode(*words))
            self.assertEqual([connection.reply() for _ in wanted], wanted, f"{number}: {words}")
        with self.assertRaises(Closed):
            connection.reply()

    def test_the_conversation_in_one_packet(self) -> None:
        connection = self.connection()
        connection.send(b"".join(encode(*words) for words, _ in CONVERSATION))
        wanted = [answer for _, answers in CONVERSATION for answer in answers]
        self.assertEqual([connection.reply() for _ in wanted], wanted)

    def test_unsubscribing_from_all(self) -> None:
        connection = self.subscriber("SUBSCRIBE", *(f"c{number}" for number in range(10)))
        connection.send(encode("UNSUBSCRIBE"))
        answers = [connection.reply() for _ in range(10)]
        self.assertEqual({answer[1] for answer in answers}, {b"c%d" % number for number in range(10)})
        self.assertEqual([answer[2] for answer in answers], list(range(9, -1, -1)))
        self.assertEqual(connection.ask("PING"), b"PONG")

    def test_messages(self) -> None:
        one, pattern, shard = (self.subscriber("SUBSCRIBE", "a", "b"), self.subscriber("PSUBSCRIBE", "a*", "*"),
                               self.subscriber("SSUBSCRIBE", "a"))
        self.assertEqual(self.do(("PUBLISH", "a", "1"), ("PUBLISH", "nobody's", "2"), ("SPUBLISH", "a", "3"),
                                 ("SPUBLISH", "b", "4"), ("PUBLISH", "b", b"\r\n\0\xff")), [3, 1, 1, 0, 2])
        self.assertEqual([one.reply(), one.reply()], [message("a", 1), [b"message", b"b", b"\r\n\0\xff"]])
        self.assertCountEqual([pattern.reply(), pattern.reply()], [pmessage("a*", "a", 1), pmessage("*", "a", 1)])
        self.assertEqual(pattern.reply(), pmessage("*", "nobody's", 2))
        self.assertEqual(shard.reply(), [b"smessage", b"a", b"3"])
        one.send(encode("UNSUBSCRIBE", "a"))
        self.assertEqual(one.reply(), [b"unsubscribe", b"a", 1])
        self.do(("PUBLISH", "a", "5"), ("PUBLISH", "b", "6"))
        self.assertEqual(one.reply(), message("b", 6))
        self.assert_silent(one, shard)

    def test_published_by_scripts_and_transactions(self) -> None:
        subscriber = self.subscriber("SUBSCRIBE", "a")
        self.assertEqual(self.do(("EVAL", "return redis.call('PUBLISH', 'a', ARGV[1])", 0, "script"), ("MULTI",),
                                 ("PUBLISH", "a", "queued"), ("SET", "k", "v"), ("PUBLISH", "a", "too"), ("EXEC",)),
                         [1, b"OK", b"QUEUED", b"QUEUED", b"QUEUED", [1, b"OK", 1]])
        self.assertEqual([subscriber.reply() for _ in range(3)], [message("a", text) for text in
                                                                  ("script", "queued", "too")])
        self.assert_silent(subscriber)

    def test_everything_else_goes_on_in_resp3(self) -> None:
        connection = self.connection(3)
        for words, wanted in ((("SUBSCRIBE", "a"), [b"subscribe", b"a", 1]),
                              (("PSUBSCRIBE", "z*"), [b"psubscribe", b"z*", 2]),
                              (("SSUBSCRIBE", "a"), [b"ssubscribe", b"a", 1])):
            connection.send(encode(*words))
            answer, data = connection.raw_reply()
            self.assertEqual((answer, data[:1]), (wanted, b">"))
        for words, wanted in ((("PING",), b"PONG"), (("SET", "k", "v"), b"OK"), (("GET", "k"), b"v"),
                              (("MULTI",), b"OK"), (("INCR", "n"), b"QUEUED"), (("EXEC",), [1]),
                              (("HSET", "h", "f", "v"), 1),
                              (("HGETALL", "h"), {b"f": b"v"}),
                              (("BLPOP", "none", "0.01"), None),
                              (("WATCH", "k"), b"OK"), (("UNWATCH",), b"OK"), (("SELECT", 3), b"OK")):
            self.assertEqual(connection.ask(*words), wanted)
        connection.send(encode("PUBLISH", "a", "to myself") + encode("SPUBLISH", "a", "too"))
        self.assertCountEqual([connection.raw_reply()[1][:1] for _ in range(4)], [b">", b">", b":", b":"])
        connection.send(encode("UNSUBSCRIBE") + encode("PUNSUBSCRIBE") + encode("GET", "k"))
        self.assertEqual([connection.reply() for _ in range(3)],
                         [[b"unsubscribe", b"a", 1], [b"punsubscribe", b"z*", 0], None])
        self.assertEqual(connection.ask("RESET"), b"RESET")
        self.assertEqual(self.do(("PUBSUB", "SHARDCHANNELS")), [[]])

    def test_messages_between_answers_in_resp3(self) -> None:
        """200 pushes amid 600 answers: both kinds complete and in their order."""
        connection = self.subscriber("SUBSCRIBE", "a", protocol=3)
        writer = self.connection()
        writer.send(b"".join(encode("PUBLISH", "a", number) for number in range(200)))
        connection.send(b"".join(encode("INCR", "n") for _ in range(600)))
        pushes, answers = [], []
        while len(pushes) + len(answers) < 800:
            answer, data = connection.raw_reply()
            (pushes if data[:1] == b">" else answers).append(answer)
        self.assertEqual(pushes, [message("a", number) for number in range(200)])
        self.assertEqual(answers, list(range(1, 601)))

    def test_a_waiting_client_hears_messages_in_resp3(self) -> None:
        connection = self.subscriber("SUBSCRIBE", "a", protocol=3)
        connection.send(encode("BLPOP", "l", 0))
        self.assert_silent(connection)
        self.do(("PUBLISH", "a", "meanwhile"))
        self.assertEqual(connection.reply(), message("a", "meanwhile"))
        self.do(("RPUSH", "l", "e"))
        self.assertEqual(connection.reply(), [b"l", b"e"])

    def test_what_pubsub_tells(self) -> None:
        connection = self.connection()
        nothing = [[], [b"a", 0, b"a", 0], 0, [], [b"s", 0]]
        asked = (("PUBSUB", "CHANNELS"), ("PUBSUB", "NUMSUB", "a", "a"), ("PUBSUB", "NUMPAT"),
                 ("PUBSUB", "SHARDCHANNELS"), ("PUBSUB", "SHARDNUMSUB", "s"))
        self.assertEqual([connection.ask(*words) for words in asked], nothing)
        one, two = self.subscriber("SUBSCRIBE", "a", "b1", "b2"), self.subscriber("SUBSCRIBE", "a", protocol=3)
        three, shard = self.subscriber("PSUBSCRIBE", "a*", "b*"), self.subscriber("SSUBSCRIBE", "s", "t")
        four = self.subscriber("PSUBSCRIBE", "a*")
        self.assertCountEqual(connection.ask("PUBSUB", "CHANNELS"), [b"a", b"b1", b"b2"])
        self.assertCountEqual(connection.ask("PUBSUB", "CHANNELS", "b?"), [b"b1", b"b2"])
        self.assertEqual(connection.ask("PUBSUB", "NUMSUB", "a", "b2", "none"), [b"a", 2, b"b2", 1, b"none", 0])
        self.assertEqual(connection.ask("PUBSUB", "NUMSUB"), [])
        self.assertEqual(connection.ask("PUBSUB", "NUMPAT"), 2)
        self.assertCountEqual(connection.ask("PUBSUB", "SHARDCHANNELS"), [b"s", b"t"])
        self.assertEqual(connection.ask("PUBSUB", "SHARDNUMSUB", "s", "a"), [b"s", 1, b"a", 0])
        self.assertEqual(connection.ask("PUBSUB", "NOPE"), "ERR unknown subcommand 'NOPE'. Try PUBSUB HELP.")
        for subscriber in (one, two, three, shard, four):
            subscriber.close()
        wait_until(lambda: [connection.ask(*words) for words in asked] == nothing, 5, "nobody is subscribed any more")

    def test_two_hundred_subscribers(self) -> None:
        subscribers = [self.subscriber("SUBSCRIBE", "all", f"own:{number}", protocol=2 + number % 2)
                       for number in range(200)]
        self.assertEqual(self.do(("PUBLISH", "all", "hello")), [200])
        self.assertEqual(self.do(*(("PUBLISH", f"own:{number}", number) for number in range(200))), [1] * 200)
        for number, subscriber in enumerate(subscribers):
            self.assertEqual([subscriber.reply(), subscriber.reply()],
                             [message("all", "hello"), message(f"own:{number}", number)])
        self.assert_silent(*subscribers)

    def test_a_message_published_behind_the_proxy_is_heard(self) -> None:
        subscriber = self.subscriber("SUBSCRIBE", "a")
        with self.place.primary.client() as behind:
            self.assertGreaterEqual(behind.publish("a", "from elsewhere"), 1)
        self.assertEqual(subscriber.reply(), message("a", "from elsewhere"))
        self.assert_silent(subscriber)

    def test_keyspace_notifications(self) -> None:
        for store in self.place.stores:
            with store.client() as client:
                client.config_set("notify-keyspace-events", "KEA")
        subscribers = [self.subscriber("PSUBSCRIBE", "__key*__:*", protocol=protocol) for protocol in (2, 3)]
        for _ in range(3):
            self.do(("SET", "k", "v"), ("RPUSH", "l", "a"), ("SPOP", "none"), ("LPOP", "l"), ("DEL", "k"))
            wanted = [pmessage("__key*__:*", *pair) for key, event in (
                ("k", "set"), ("l", "rpush"), ("l", "lpop"), ("l", "del"), ("k", "del"))
                for pair in ((f"__keyspace@0__:{key}", event), (f"__keyevent@0__:{event}", key))]
            for subscriber in subscribers:
                self.assertEqual([subscriber.reply() for _ in wanted], wanted, "each event once, the primary's")
            self.assert_silent(*subscribers)
            self.place.flip()
        self.do(("SET", "short", "v", "PX", 20))
        while subscribers[0].reply() != pmessage("__key*__:*", "__keyevent@0__:expired", "short"):
            pass
        for store in self.place.stores:
            with store.client() as client:
                client.config_set("notify-keyspace-events", "")

    def test_every_message_once_and_in_order_over_flips(self) -> None:
        """Two publishers count; subscribers of every kind hear each number of each once."""
        kinds = (("SUBSCRIBE", "one", "two"), ("PSUBSCRIBE", "*o*"), ("SSUBSCRIBE", "one", "two"))
        subscribers = [(words, self.subscriber(*words, protocol=protocol)) for words in kinds for protocol in (2, 3)]
        heard: list[list[Any]] = [[] for _ in subscribers]
        readers = [threading.Thread(target=read_until_end, args=(connection, heard[number]), daemon=True)
                   for number, (_, connection) in enumerate(subscribers)]
        for reader in readers:
            reader.start()
        with self.place.flipping():
            publishers = {name: self.connection() for name in ("one", "two")}
            sent, end = 0, time.monotonic() + SECONDS
            while time.monotonic() < end:
                for name, publisher in publishers.items():
                    publisher.send(encode("PUBLISH", name, sent) + encode("SPUBLISH", name, sent))
                for publisher in publishers.values():
                    for counted in (publisher.reply(), publisher.reply()):
                        self.assertNotIsInstance(counted, ErrorReply)
                sent += 1
        for name, publisher in publishers.items():
            publisher.ask("PUBLISH", name, "end")
            publisher.ask("SPUBLISH", name, "end")
        for reader in readers:
            reader.join(30)
        self.say(f"{2 * sent} messages for each of {len(subscribers)} subscribers, {self.place.flips} flips so far")
        self.assertGreater(sent, 200)
        for (words, _), got in zip(subscribers, heard):
            for name in publishers:
                self.assertEqual(first_fault(got, name, sent), "", f"{words}")

    def test_monitor_shows_commands(self) -> None:
        if not DIRECT and self.place.rig.admin.status()["primary"] == "new":
            self.place.flip()  # reads_new is 0: only then does the primary answer reads too
        monitor = self.connection()
        self.assertEqual(monitor.ask("MONITOR"), b"OK")
        other = self.connection()
        for words in (("SELECT", 3), ("SET", "monitored", "a\"b\n\x01"), ("GET", "monitored"), ("DEL", "monitored")):
            other.ask(*words)
        lines = []
        while not lines or '"DEL" "monitored"' not in lines[-1]:
            lines.append(monitor.reply().decode())
            self.assertRegex(lines[-1], r'^\d+\.\d{6} \[\d+ (\S+:\d+|lua|unix:\S*)\] "')
        shown = [re.sub(r"^\S+ (\[\d+) [^]]*\] ", r"\1] ", line) for line in lines if '"monitored"' in line]
        self.assertEqual(shown, ['[3] "SET" "monitored" "a\\"b\\n\\x01"', '[3] "GET" "monitored"',
                                 '[3] "DEL" "monitored"'])
        monitor.send(encode("RESET"))
        while monitor.reply() != b"RESET":
            pass
        self.assertEqual(monitor.ask("PING"), b"PONG")


def read_until_end(connection: RawConnection, heard: list[Any]) -> None:
    """Collects (channel, text) until both publishers have ended; what goes wrong is collected too."""
    ends = 0
    connection.socket.settimeout(90)
    try:
        while ends < 2:
            *_, channel, text = connection.reply()
            if text == b"end":
                ends += 1
            else:
                heard.append((channel.decode(), int(text)))
    except BaseException as failure:  # a thread cannot fail a test
        heard.append(("broken", failure))


def first_fault(heard: Iterable[tuple[str, Any]], name: str, count: int) -> str:
    """What is wrong with the numbers heard from one publisher; empty when they are 0 … count − 1."""
    broken = [text for channel, text in heard if channel == "broken"]
    if broken:
        return f"the connection broke: {broken[0]!r}"
    numbers = [number for channel, number in heard if channel == name]
    for place, number in enumerate(numbers):
        if number != place:
            return f"{name}: {number} came where {place} was due ({len(numbers)} of {count} heard)"
    return "" if len(numbers) == count else f"{name}: {len(numbers)} of {count} heard"


if __name__ == "__main__":
    main()
