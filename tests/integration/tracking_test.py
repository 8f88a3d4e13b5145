"""Client-side caching: a client is told of every key that it may hold and that has changed, and never too early."""
import threading
import time
from typing import Any, Optional

from admin import wait_until
from either import DIRECT, EitherTest
from harness import LONG, main
from resp import ErrorReply, RawConnection, encode

SECONDS = 10.0 if LONG else 3.0
CHANNEL = "__redis__:invalidate"
NOT_TRACKING = ("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
                "enabled")
SWITCHED = ("ERR You can't switch {} mode{} before disabling tracking for this client, and then re-enabling it with a "
            "different mode.")
OVERLAP = "ERR Prefix '{}' overlaps with {} prefix '{}'. Prefixes for a single client must not overlap."
# One connection's commands and answers.
CONVERSATION: tuple[tuple[tuple, Any], ...] = (
    (("CLIENT", "GETREDIR"), -1),
    (("CLIENT", "TRACKING"), "ERR wrong number of arguments for 'client|tracking' command"),
    (("CLIENT", "TRACKING", "MAYBE"), "ERR syntax error"),
    (("CLIENT", "TRACKING", "ON", "NOPE"), "ERR syntax error"),
    (("CLIENT", "TRACKING", "ON", "PREFIX"), "ERR syntax error"),
    (("CLIENT", "TRACKING", "ON", "REDIRECT"), "ERR syntax error"),
    (("CLIENT", "TRACKING", "ON", "REDIRECT", "x"), "ERR value is not an integer or out of range"),
    (("CLIENT", "TRACKING", "ON", "REDIRECT", 99999999), "ERR The client ID you want redirect to does not exist"),
    (("CLIENT", "TRACKING", "ON", "REDIRECT", -1), "ERR The client ID you want redirect to does not exist"),
    (("CLIENT", "TRACKING", "ON", "PREFIX", "a"), "ERR PREFIX option requires BCAST mode to be enabled"),
    (("CLIENT", "TRACKING", "ON", "BCAST", "OPTIN"), "ERR OPTIN and OPTOUT are not compatible with BCAST"),
    (("CLIENT", "TRACKING", "ON", "OPTOUT", "OPTIN"), "ERR You can't specify both OPTIN mode and OPTOUT mode"),
    (("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "ab", "PREFIX", "a"),
     OVERLAP.format("ab", "another provided", "a")),
    (("CLIENT", "CACHING", "YES"), NOT_TRACKING), (("CLIENT", "CACHING", "NO"), NOT_TRACKING),
    (("CLIENT", "CACHING"), "ERR wrong number of arguments for 'client|caching' command"),
    (("CLIENT", "TRACKINGINFO"), {b"flags": {b"off"}, b"redirect": -1, b"prefixes": []}),
    (("client", "tracking", "on", "bcast", "prefix", "a:", "prefix", "b:"), b"OK"),
    (("CLIENT", "TRACKING", "ON", "BCAST", "NOLOOP", "PREFIX", "c"), b"OK"),
    (("CLIENT", "TRACKINGINFO"), {b"flags": {b"on", b"bcast", b"noloop"}, b"redirect": 0,
                                  b"prefixes": [b"a:", b"b:", b"c"]}),
    (("CLIENT", "GETREDIR"), 0),
    (("CLIENT", "TRACKING", "ON"), SWITCHED.format("BCAST", " on/off")),
    (("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a:b"), OVERLAP.format("a:b", "an existing", "a:")),
    (("CLIENT", "CACHING", "YES"), "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."),
    (("CLIENT", "TRACKING", "OFF"), b"OK"), (("CLIENT", "TRACKING", "OFF"), b"OK"),
    (("CLIENT", "TRACKING", "ON", "OPTIN"), b"OK"),
    (("CLIENT", "TRACKING", "ON", "BCAST"), SWITCHED.format("BCAST", " on/off")),
    (("CLIENT", "TRACKING", "ON", "OPTOUT"), SWITCHED.format("OPTIN/OPTOUT", "")),
    (("CLIENT", "CACHING", "NO"), "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
    (("CLIENT", "CACHING", "MAYBE"), "ERR syntax error"),
    (("CLIENT", "CACHING", "YES"), b"OK"),
    (("CLIENT", "TRACKINGINFO"), {b"flags": {b"on", b"optin", b"caching-yes"}, b"redirect": 0, b"prefixes": []}),
    (("PING",), b"PONG"),
    (("CLIENT", "TRACKINGINFO"), {b"flags": {b"on", b"optin"}, b"redirect": 0, b"prefixes": []}),
    (("CLIENT", "TRACKING", "OFF"), b"OK"), (("CLIENT", "TRACKING", "ON", "OPTOUT"), b"OK"),
    (("CLIENT", "CACHING", "NO"), b"OK"),
    (("CLIENT", "TRACKINGINFO"), {b"flags": {b"on", b"optout", b"caching-no"}, b"redirect": 0, b"prefixes": []}),
    (("RESET",), b"RESET"), (("CLIENT", "GETREDIR"), -1),
)


def invalidate(*keys: str) -> list:
    return [b"invalidate", [key.encode() for key in keys]]


EVERYTHING = [b"invalidate", None]


class TrackingTest(EitherTest):
    def tracker(self, *options: Any) -> RawConnection:
        connection = self.connection(3)
        self.assertEqual(connection.ask("CLIENT", "TRACKING", "ON", *options), b"OK")
        return connection

    def described(self, connection: RawConnection) -> dict[str, str]:
        line = connection.ask("CLIENT", "INFO").decode()
        return dict(word.split("=", 1) for word in line.removeprefix("txt:").split())

    def assert_not_told(self, connection: RawConnection) -> None:
        """Whoever is told of a later change has been told of earlier ones."""
        witness = self.tracker("BCAST", "PREFIX", "marker")
        self.do(("SET", "marker", "1"))
        self.assertEqual(witness.reply(), invalidate("marker"))
        connection.send(encode("PING"))
        self.assertIn(connection.reply(), (b"PONG", [b"pong", b""]))
        witness.close()

    def test_a_conversation(self) -> None:
        connection = self.connection(3)
        for number, (words, wanted) in enumerate(CONVERSATION):
            self.assertEqual(connection.ask(*words), wanted, f"{number}: {words}")

    def test_a_key_that_was_read(self) -> None:
        tracker = self.tracker()
        self.do(("MSET", "a", 1, "b", 2, "c", 3))
        self.assertEqual(tracker.ask("MGET", "a", "b"), [b"1", b"2"])
        self.assertIsNone(tracker.ask("GET", "none yet"))
        for write, key in ((("SET", "a", 4), "a"), (("DEL", "b"), "b"), (("SET", "none yet", 1), "none yet")):
            self.do(write)
            self.assertEqual(tracker.reply(), invalidate(key), write)
        self.do(("SET", "a", 5), ("SET", "c", 5))  # told once; never read
        self.assert_not_told(tracker)
        self.assertEqual(tracker.ask("GET", "a"), b"5")
        self.do(("EVAL", "return redis.call('INCR', KEYS[1])", 1, "a"))
        self.assertEqual(tracker.reply(), invalidate("a"))

    def test_its_own_write(self) -> None:
        tracker = self.tracker()
        self.assertIsNone(tracker.ask("GET", "k"))
        self.assertEqual([tracker.ask("SET", "k", "v"), tracker.reply()], [b"OK", invalidate("k")])
        tracker.send(encode("GET", "k") + encode("SET", "k", "w") + encode("GET", "other"))
        told = [tracker.reply() for _ in range(4)]
        self.assertCountEqual(told, [b"v", b"OK", None, invalidate("k")])
        self.assertGreater(told.index(invalidate("k")), told.index(b"v"))

    def test_in_a_transaction(self) -> None:
        tracker = self.tracker()
        self.assertEqual([tracker.ask(*words) for words in (("MULTI",), ("GET", "a"), ("EXEC",))],
                         [b"OK", b"QUEUED", [None]])
        self.do(("MULTI",), ("SET", "a", 1), ("EXEC",))
        self.assertEqual(tracker.reply(), invalidate("a"))

    def test_while_it_blocks(self) -> None:
        tracker = self.tracker()
        self.assertIsNone(tracker.ask("GET", "k"))
        tracker.send(encode("BLPOP", "l", 0))
        self.heard()
        self.do(("SET", "k", "v"))
        self.assertEqual(tracker.reply(), invalidate("k"))
        self.do(("RPUSH", "l", "e"))
        self.assertEqual(tracker.reply(), [b"l", b"e"])

    def test_bcast(self) -> None:
        every, some = self.tracker("BCAST"), self.tracker("BCAST", "PREFIX", "a:", "PREFIX", "b:")
        for key in ("a:1", "x", "b:", "a"):
            self.do(("SET", key, "v"))
            self.assertEqual(every.reply(), invalidate(key))
        self.assertEqual([some.reply(), some.reply()], [invalidate("a:1"), invalidate("b:")])
        self.do(("MSET", "a:1", 1, "b:2", 2, "a:3", 3, "c", 4))
        self.assertEqual(every.reply(), invalidate("a:1", "a:3", "b:2", "c"))
        self.assertCountEqual([some.reply(), some.reply()], [invalidate("a:1", "a:3"), invalidate("b:2")])
        some.ask("CLIENT", "TRACKING", "OFF")
        self.do(("SET", "a:1", "w"))
        self.assert_silent(some)

    def test_optin_and_optout(self) -> None:
        optin, optout = self.tracker("OPTIN"), self.tracker("OPTOUT")
        for connection, word in ((optin, "YES"), (optout, "NO")):
            self.assertIsNone(connection.ask("GET", "plain"))
            self.assertEqual(connection.ask("CLIENT", "CACHING", word), b"OK")
            self.assertEqual(connection.ask("CLIENT", "GETREDIR"), 0)  # a CLIENT command is not the next one
            self.assertIsNone(connection.ask("GET", "chosen"))
            self.assertIsNone(connection.ask("GET", "plain 2"))
            connection.send(encode("CLIENT", "CACHING", word) + encode("MULTI") + encode("GET", "block 1")
                            + encode("GET", "block 2") + encode("EXEC") + encode("GET", "plain 3"))
            self.assertEqual([connection.reply() for _ in range(6)],
                             [b"OK", b"OK", b"QUEUED", b"QUEUED", [None, None], None])
        for key in ("plain", "chosen", "plain 2", "block 1", "block 2", "plain 3"):
            self.do(("SET", key, "v"))
            told, spared = (optout, optin) if key.startswith("plain") else (optin, optout)
            self.assertEqual(told.reply(), invalidate(key))
            self.assert_not_told(spared)

    def test_redirect_in_resp2(self) -> None:
        listener, tracker = self.connections(2)
        self.assertEqual(listener.ask("SUBSCRIBE", CHANNEL), [b"subscribe", CHANNEL.encode(), 1])
        other, = self.connections(1)
        number = self.listener_id(listener, other)
        self.assertEqual(tracker.ask("CLIENT", "TRACKING", "ON", "REDIRECT", number), b"OK")
        self.assertEqual(tracker.ask("CLIENT", "GETREDIR"), number)
        self.assertEqual([self.described(tracker)[name] for name in ("flags", "redir")], ["t", str(number)])
        self.assertIsNone(tracker.ask("GET", "k"))
        self.do(("SET", "k", "v"))
        self.assertEqual(listener.reply(), [b"message", CHANNEL.encode(), [b"k"]])
        self.do(("FLUSHALL",))
        self.assertEqual(listener.reply(), [b"message", CHANNEL.encode(), None])
        self.assertEqual(listener.ask("RESET"), b"RESET")
        self.assertIsNone(tracker.ask("GET", "k"))
        self.do(("SET", "k", "v"))
        self.assert_not_told(listener)  # neither RESP3 nor subscribed
        self.assert_silent(tracker)

    def listener_id(self, listener: RawConnection, asker: RawConnection) -> int:
        """A subscriber in RESP2 can't say its id."""
        address = "{}:{}".format(*listener.socket.getsockname())
        lines = asker.ask("CLIENT", "LIST").decode().splitlines()
        return int(next(line for line in lines if f"addr={address} " in line).split()[0].removeprefix("id="))

    def test_redirect_in_resp3_until_it_breaks(self) -> None:
        listener, tracker = self.connection(3), self.connection(3)
        number = listener.ask("CLIENT", "ID")
        self.assertEqual(tracker.ask("CLIENT", "TRACKING", "ON", "REDIRECT", number), b"OK")
        self.assertIsNone(tracker.ask("GET", "k"))
        self.do(("SET", "k", "v"))
        self.assertEqual(listener.reply(), invalidate("k"))
        self.assertEqual(tracker.ask("GET", "k"), b"v")
        self.do(("CLIENT", "KILL", "ID", number), ("SET", "k", "w"))
        self.assertEqual(tracker.reply(), [b"tracking-redir-broken", number])
        self.assertEqual(self.described(tracker)["flags"], "tR")
        self.assertEqual(tracker.ask("CLIENT", "TRACKINGINFO")[b"flags"], {b"on", b"broken_redirect"})

    def test_resp2_is_told_nothing(self) -> None:
        connection = self.connection()
        self.assertEqual(connection.ask("CLIENT", "TRACKING", "ON", "BCAST"), b"OK")
        self.assertEqual(self.described(connection)["flags"], "tB")
        self.assertIsNone(connection.ask("GET", "k"))
        self.do(("SET", "k", "v"))
        self.assert_not_told(connection)

    def test_off_and_reset(self) -> None:
        for words in (("CLIENT", "TRACKING", "OFF"), ("RESET",)):
            tracker = self.tracker()
            tracker.ask("GET", "k")
            self.assertNotIsInstance(tracker.ask(*words), ErrorReply)
            tracker.ask("HELLO", 3)
            self.assertEqual([self.described(tracker)[name] for name in ("flags", "redir")], ["N", "-1"])
            self.do(("SET", "k", words[0]))
            self.assert_not_told(tracker)

    def test_expiry(self) -> None:
        tracker, every = self.tracker(), self.tracker("BCAST")
        self.do(("SET", "k", "v", "PX", 60))
        self.assertEqual(every.reply(), invalidate("k"))
        self.assertIn(tracker.ask("GET", "k"), (b"v", None))
        self.assertEqual(every.reply(), invalidate("k"))  # nobody asks for it: the server's own cycle
        self.do(("SET", "k", "w", "PX", 400))
        tracker.ask("CLIENT", "TRACKING", "OFF")
        self.assertEqual(every.reply(), invalidate("k"))
        again = self.tracker()
        self.assertEqual(again.ask("GET", "k"), b"w")
        self.assertEqual(again.reply(), invalidate("k"))
        self.assertIsNone(again.ask("GET", "k"))

    def test_everything(self) -> None:
        tracker, every = self.tracker(), self.tracker("BCAST", "PREFIX", "never")
        for words in (("FLUSHALL",), ("FLUSHDB",)):
            self.do(("SET", "k", "v"))
            self.assertEqual(tracker.ask("GET", "k"), b"v")
            self.do(words)
            self.assertEqual([tracker.reply(), every.reply()], [EVERYTHING, EVERYTHING], words)
            self.do(("SET", "k", "w"))
            self.assert_not_told(tracker)

    def test_a_writer_that_bypasses_the_proxy(self) -> None:
        self.unfollowed_writes = True
        tracker = self.tracker()
        self.do(("SET", "k", "v"))
        self.assertEqual(tracker.ask("GET", "k"), b"v")
        with self.place.primary.client() as direct:
            direct.set("k", "elsewhere")
        self.assertEqual(tracker.reply(), invalidate("k"))
        self.do(("SET", "k", "v"))  # the stores agree again

    def test_a_user_without_the_right(self) -> None:
        with self.place.primary.client() as direct:
            direct.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+hello", "+client|id")
        self.addCleanup(lambda: self.place.primary.client().execute_command("ACL", "DELUSER", "reader"))
        connection = self.connection(3)
        self.assertEqual(connection.ask("AUTH", "reader", "secret"), b"OK")
        self.assertRegex(connection.ask("CLIENT", "TRACKING", "ON"), "^NOPERM .*client\\|tracking")
        self.assertEqual(self.connection(3).ask("CLIENT", "GETREDIR"), -1)

    def test_a_flip(self) -> None:
        if DIRECT:
            return
        tracker, every = self.tracker(), self.tracker("BCAST")
        for _ in range(2):
            self.do(("SET", "k", "v"))
            self.assertEqual(every.reply(), invalidate("k"))
            self.assertEqual(tracker.ask("GET", "k"), b"v")
            self.place.flip()
            for connection in (tracker, every):  # once because the primary is another one, once when that is heard
                self.assertEqual([connection.reply(), connection.reply()], [EVERYTHING, EVERYTHING])
            self.assertEqual(tracker.ask("GET", "k"), b"v")
            self.do(("SET", "k", "w"))
            self.assertEqual([tracker.reply(), every.reply()], [invalidate("k"), invalidate("k")])

    def test_the_connection_to_the_primary_is_cut(self) -> None:
        tracker = self.tracker()
        self.do(("SET", "k", "v"))
        self.assertEqual(tracker.ask("GET", "k"), b"v")
        if DIRECT:
            return
        with self.place.primary.client() as direct:
            hub = [client for client in direct.client_list() if client["flags"] == "tB"]
            self.assertEqual(len(hub), 1, "one connection for all")
            direct.execute_command("CLIENT", "KILL", "ID", hub[0]["id"])
            self.assertEqual(tracker.reply(), EVERYTHING)
            wait_until(lambda: [client for client in direct.client_list() if client["flags"] == "tB"], 10, "a new one")
            self.assertEqual(tracker.reply(), EVERYTHING)
            self.assertEqual(tracker.ask("GET", "k"), b"v")
            self.do(("SET", "k", "w"))
            self.assertEqual(tracker.reply(), invalidate("k"))
            tracker.close()
            wait_until(lambda: not [client for client in direct.client_list() if client["flags"] == "tB"], 10,
                       "nobody tracks, none is left")


class Cache(threading.Thread):
    """A client with a local cache, as a library would have one: pipelines reads, and obeys what it is told."""

    def __init__(self, connection: RawConnection, keys: list[bytes], done: threading.Event):
        super().__init__(daemon=True)
        self.connection, self.keys, self.done = connection, keys, done
        self.values: dict[bytes, Any] = {}
        self.reads = self.told = 0
        self.wrong: Optional[BaseException] = None

    def obey(self, push: list) -> None:
        self.told += 1
        if push[1] is None:
            self.values.clear()
        for key in push[1] or ():
            self.values.pop(key, None)

    def answer(self) -> Any:
        reply = self.connection.reply()
        while isinstance(reply, list) and reply[0] == b"invalidate":
            self.obey(reply)
            reply = self.connection.reply()
        return reply

    def read_missing(self) -> None:
        missing = [key for key in self.keys if key not in self.values]
        self.connection.send(b"".join(encode("GET", key) for key in missing) + encode("PING"))
        for key in missing:
            self.values[key] = self.answer()
        self.reads += len(missing)
        assert self.answer() == b"PONG"

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.read_missing()
        except BaseException as failure:  # a thread cannot fail a test
            self.wrong = failure


class HammerTest(EitherTest):
    def hammer(self, *options: Any, seconds: float = SECONDS) -> None:
        keys = [b"h:%d" % number for number in range(20)]
        done = threading.Event()
        caches = []
        for _ in range(4):
            connection = self.connection(3)
            self.assertEqual(connection.ask("CLIENT", "TRACKING", "ON", *options), b"OK")
            caches.append(Cache(connection, keys, done))
        deadline = time.monotonic() + seconds

        def write(connection: RawConnection, number: int) -> None:
            count = 0
            while time.monotonic() < deadline:
                connection.send(b"".join(encode("SET", keys[(count + i * 7 + number) % 20], f"{number}:{count}:{i}")
                                         for i in range(8)))
                for _ in range(8):
                    connection.reply()
                count += 1

        writers = [threading.Thread(target=write, args=(self.connection(), number)) for number in range(4)]
        for thread in caches + writers:
            thread.start()
        for thread in writers:
            thread.join(seconds + 60)
        done.set()
        for cache in caches:
            cache.join(60)
            if cache.wrong is not None:
                raise cache.wrong
        final = self.do(*(("GET", key) for key in keys))
        for cache in caches:
            self.assertGreater(cache.told, 10)
            stale: list = []

            def fresh() -> bool:
                cache.connection.send(encode("PING"))
                assert cache.answer() == b"PONG"
                stale[:] = [(key, cache.values[key], value) for key, value in zip(keys, final)
                            if key in cache.values and cache.values[key] != value]
                return not stale

            try:
                wait_until(fresh, 10, "every cached value as it is in the store")  # what is under way may still be old
            except AssertionError as failure:
                raise AssertionError(f"stale for ever, as cached and as stored: {stale}") from failure

    def test_no_cached_value_is_stale_for_ever(self) -> None:
        self.hammer()

    def test_nor_with_bcast(self) -> None:
        self.hammer("BCAST", "PREFIX", "h:")

    def test_nor_over_flips(self) -> None:
        with self.place.flipping():
            self.hammer()


if __name__ == "__main__":
    main()
