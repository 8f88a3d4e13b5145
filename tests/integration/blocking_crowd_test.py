"""Many who wait: each element goes to whom it is due, once, also when waiters go away or the primary changes."""
import resource
import selectors
import time

from either import EitherTest
from harness import main
from resp import RawConnection, encode

MOST_WAITERS = 10_000
SPARE_FILES = 200
# For the servers and the proxy that this process starts, too.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


class BlockingCrowdTest(EitherTest):
    config = "[limits]\nclients = 12000\n"
    server_args = ("--maxclients", str(min(12_000, _hard - 100)))

    def queue(self, count: int, *words: object) -> list[RawConnection]:
        """Waiters that came one after the other."""
        return [self.wait_on(*words) for _ in range(count)]

    def test_fifty_waiters_on_one_key_are_served_in_their_order(self) -> None:
        for fill, words in ((("RPUSH", "k"), ("BLPOP", "k", 0)), (("RPUSH", "k"), ("BRPOP", "other", "k", 0)),
                            (("RPUSH", "k"), ("BLMPOP", 0, 1, "k", "LEFT")), (("ZADD", "k"), ("BZPOPMIN", "k", 0))):
            with self.subTest(words=words):
                waiters = self.queue(50, *words)
                for number in range(50):
                    if fill[0] == "ZADD":
                        self.do((*fill, number, f"e{number}"))
                    else:
                        self.do((*fill, f"e{number}"))
                    self.assertIn(f"b'e{number}'", str(waiters[number].reply()))
                waiters = self.queue(50, *words)
                self.do(("MULTI",), *((*fill, *([0] if fill[0] == "ZADD" else []), f"e{number:02}")
                                      for number in range(50)), ("EXEC",))
                wanted = [f"b'e{number:02}'" for number in range(50)]
                got = [str(waiter.reply()) for waiter in waiters]
                for answer, element in zip(got, reversed(wanted) if words[0] == "BRPOP" else wanted):
                    self.assertIn(element, answer)

    def test_who_waits_again_is_last(self) -> None:
        waiters = self.queue(5, "BLPOP", "k", 0)
        for number in range(25):
            self.do(("RPUSH", "k", number))
            first = waiters.pop(0)
            self.assertEqual(first.reply(), [b"k", b"%d" % number])
            first.send(encode("BLPOP", "k", 0))
            self.assert_silent(first)
            waiters.append(first)

    def test_a_waiter_on_several_keys_keeps_its_place_on_each(self) -> None:
        one, both, two = (self.wait_on("BLPOP", "k1", 0), self.wait_on("BLPOP", "k1", "k2", 0),
                          self.wait_on("BLPOP", "k2", 0))
        self.do(("RPUSH", "k2", "a"))
        self.assertEqual(both.reply(), [b"k2", b"a"])
        self.do(("RPUSH", "k2", "b"), ("RPUSH", "k1", "c", "d"))
        self.assertEqual((two.reply(), one.reply()), ([b"k2", b"b"], [b"k1", b"c"]))
        self.assertEqual(self.do(("LRANGE", "k1", 0, -1)), [[b"d"]], "who has been served waits no more")

    def test_a_client_that_goes_away_takes_nothing_along(self) -> None:
        for words, fill, look in ((("BLPOP", "k", 0), ("RPUSH", "k", "e"), ("LLEN", "k")),
                                  (("BLMOVE", "k", "to", "LEFT", "LEFT", 0), ("RPUSH", "k", "e"), ("LLEN", "k")),
                                  (("BZPOPMIN", "k", 0), ("ZADD", "k", 1, "e"), ("ZCARD", "k"))):
            with self.subTest(words=words):
                self.do(("FLUSHALL",))
                self.wait_on(*words).close()
                self.heard()
                self.do(fill)
                self.heard()
                self.assertEqual(self.do(look, ("EXISTS", "to")), [1, 0])
                self.do(("DEL", "k"))
                gone, stays = self.wait_on(*words), self.wait_on(*words)
                gone.close()
                self.heard()
                self.do(fill)
                self.assertIn("b'e'", str(stays.reply()))

    def test_a_client_that_goes_away_just_when_it_is_served(self) -> None:
        """Whether it had gone before or after: an element is popped for it, or still there; never both nor neither."""
        writer = self.connection()
        for number in range(100):
            waiter = self.wait_on("BLMOVE", f"k{number}", "taken", "LEFT", "RIGHT", 0)
            if number % 2:
                waiter.close()
            writer.send(encode("RPUSH", f"k{number}", number))
            waiter.close()
            self.assertEqual(writer.reply(), 1)
        self.heard()
        left = [element for elements in self.do(*(("LRANGE", f"k{number}", 0, -1) for number in range(100)))
                for element in elements]
        taken = self.do(("LRANGE", "taken", 0, -1))[0]
        self.say(f"{len(taken)} taken, {len(left)} left")
        self.assertEqual(sorted(left + taken, key=int), [b"%d" % number for number in range(100)])

    def test_a_thousand_gone_at_once(self) -> None:
        waiters = []
        for number in range(2000):
            waiter = RawConnection(self.place.port)
            waiter.send(encode("BLPOP", f"k{number % 10}", 0))
            waiters.append(waiter)
        self.heard()
        staying = [number for number in range(2000) if number // 10 % 2]  # every second one of each key
        for number in set(range(2000)) - set(staying):
            waiters[number].close()
        self.heard()
        self.do(*(("RPUSH", f"k{key}", *range(200)) for key in range(10)))
        self.heard()
        self.assertEqual(self.do(*(("LLEN", f"k{key}") for key in range(10))), [100] * 10)
        for number in staying:
            self.assertEqual(waiters[number].reply(), [b"k%d" % (number % 10), b"%d" % (number // 20)])
        for waiter in waiters:
            waiter.close()

    def test_flips_while_clients_wait(self) -> None:
        for protocol in (2, 3, 2):
            waiters = [self.connection(protocol) for _ in range(20)]
            for number, waiter in enumerate(waiters):
                waiter.send(encode("BLPOP", "none", f"k{number % 4}", 0) if number < 12 else
                            encode("BZPOPMIN", "z", 0) if number < 16 else
                            encode("XREAD", "BLOCK", 0, "STREAMS", "x", "$"))
                self.assert_silent(waiter)
            self.place.flip()
            self.assert_silent(*waiters)
            for number in range(12):
                self.do(("RPUSH", f"k{number % 4}", number))
                self.assertEqual(waiters[number].reply(), [b"k%d" % (number % 4), b"%d" % number])
            for number in range(12, 16):
                self.do(("ZADD", "z", 1, number))
                self.assertEqual(waiters[number].reply()[1], b"%d" % number)
            self.do(("XADD", "x", "*", "f", "v"))
            self.assertEqual(len({str(waiter.reply()) for waiter in waiters[16:]}), 1)

    def test_a_waiter_over_flips_still_hears_who_bypasses_the_proxy(self) -> None:
        self.unfollowed_writes = True
        for words, fill in ((("BLPOP", "k", 0), ("RPUSH", "k", "e")), (("BZPOPMAX", "k", 0), ("ZADD", "k", 1, "e")),
                            (("XREAD", "BLOCK", 0, "STREAMS", "k", "$"), ("XADD", "k", "1-1", "f", "e"))):
            with self.subTest(words=words):
                waiter = self.wait_on(*words)
                self.place.flip()
                with RawConnection(self.place.primary.port) as behind:
                    behind.ask(*fill)
                    waiter.socket.settimeout(2)
                    self.assertIn("b'e'", str(waiter.reply()))
                self.do(("FLUSHALL",))

    def test_a_timeout_runs_on_over_a_flip(self) -> None:
        waiter = self.connection()
        began = time.monotonic()
        waiter.send(encode("BLPOP", "k", 1))
        self.heard()
        self.place.flip()
        self.assertIsNone(waiter.reply())
        self.assertGreater(time.monotonic() - began, 0.95)

    def test_ten_thousand_waiters_are_served_once_each(self) -> None:
        count = min(MOST_WAITERS, _hard - SPARE_FILES) // 100 * 100
        self.say(f"{count} waiters (the limit of open files is {_hard})")
        waiting = selectors.DefaultSelector()
        waiters = []
        try:
            for number in range(count):
                waiter = RawConnection(self.place.port, timeout=60)
                waiters.append(waiter)
                waiter.send(encode("BLPOP", f"k{number % 100}", 0))
                waiting.register(waiter.socket, selectors.EVENT_READ, number)
            self.heard()
            self.assertEqual(waiting.select(0), [])
            self.place.flip()
            writer = self.connection(timeout=60)
            writer.send(b"".join(encode("RPUSH", f"k{number % 100}", number) for number in range(count)))
            for _ in range(count):
                writer.reply()
            for number, waiter in enumerate(waiters):  # as they came, so each has the element of its own number
                self.assertEqual(waiter.reply(), [b"k%d" % (number % 100), b"%d" % number])
            self.heard()
            self.assertEqual(waiting.select(0), [], "somebody was served twice")
            self.assertEqual(self.do(("DBSIZE",)), [0])
        finally:
            waiting.close()
            for waiter in waiters:
                waiter.close()


if __name__ == "__main__":
    main()
