"""The secondary follows: whatever the application writes through the proxy, both stores hold the same afterwards."""
import random
import re
import subprocess
import time
from collections import Counter

import redis

from harness import HOST, LONG, CrossfadeTest, Rig, main
from shapes import EXPECTED_ERROR, READ_SHAPES, WRITE_SHAPES, WHOLE_DATABASE, Filler
from stores import contents, expiry_gaps
from traffic import raw_client

ROUNDS = 200 if LONG else 60
BENCHMARKS = "set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset"

# Write commands by their flag that no shape covers, and why.
NOT_COVERED = {
    "blmove": "blocks", "blmpop": "blocks", "blpop": "blocks", "brpop": "blocks", "brpoplpush": "blocks",
    "bzmpop": "blocks", "bzpopmax": "blocks", "bzpopmin": "blocks",
    "function|delete": "scripting", "function|flush": "scripting", "function|load": "scripting",
    "function|restore": "scripting",
    "migrate": "refused", "pfdebug": "refused", "restore-asking": "refused", "swapdb": "refused",
}


class FollowTest(CrossfadeTest):
    def filler(self, client: redis.Redis, seed: int = 1, **options) -> Filler:
        client.set("payload", "a restored value")
        return Filler(random.Random(seed), client.dump("payload"), **options)

    def test_the_shapes_cover_every_write_command_of_the_server(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        shaped = {shape.command.lower() for shape in WRITE_SHAPES} | {name.lower() for name in WHOLE_DATABASE}
        shaped |= {"|".join(shape.line.lower().split()[:2]) for shape in WRITE_SHAPES if shape.command == "XGROUP"}
        with raw_client(rig.old.port) as client:
            rows = client.execute_command("COMMAND ")
        rows += [row for container in rows for row in container[9]]
        writes = {row[0].decode() for row in rows if {"write", b"write"} & set(row[2])}
        self.assertEqual(writes - shaped, set(NOT_COVERED), "write commands without a shape, or without a reason")

    def test_every_write_command_in_every_shape(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        filler = self.filler(client)
        accepted: Counter = Counter()
        for _ in range(ROUNDS):
            for shape in filler.rng.sample(WRITE_SHAPES, len(WRITE_SHAPES)):
                accepted[shape.line] += self.attempt(client, shape.fill(filler))
        self.assertEqual([shape.line for shape in WRITE_SHAPES if not accepted[shape.line]], [],
                         "shapes that were never accepted prove nothing")
        status = self.assert_converged(rig)
        self.assert_no_divergence(status)
        self.assertGreaterEqual(status["writes"]["total"], sum(accepted.values()))
        self.assertEqual(contents(rig.old.client), contents(rig.new.client), "stream groups are not in the digest")
        self.check_lifetimes(rig)

    def attempt(self, client: redis.Redis, words: list) -> bool:
        try:
            client.execute_command(*words)
            return True
        except redis.ResponseError as error:
            self.assertRegex(str(error), EXPECTED_ERROR, str(words)[:200])
            return False

    def check_lifetimes(self, rig: Rig) -> None:
        """The same moment of expiry on both, within the time that an answer may take on a busy machine."""
        gaps = expiry_gaps(rig.old.client, rig.new.client)
        self.assertGreater(len(gaps), 5, "no key with a lifetime was left to look at")
        self.say(f"{len(gaps)} keys with a lifetime, largest difference {gaps[0][0]} ms")
        self.assertLess(gaps[min(2, len(gaps) - 1)][0], 50, gaps[:10])  # two may have met a stall of the machine
        self.assertLess(gaps[0][0], 2000, gaps[:10])

    def test_pipelines_of_every_shape(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        filler = self.filler(client, seed=2)
        for transaction in (False, True):
            for _ in range(ROUNDS * 4):
                requests = [filler.write() for _ in range(filler.rng.randrange(1, 40))]
                pipe = client.pipeline(transaction=transaction)
                for words in requests:
                    pipe.execute_command(*words)
                for words, answer in zip(requests, pipe.execute(raise_on_error=False)):
                    if isinstance(answer, Exception):
                        self.assertRegex(str(answer), EXPECTED_ERROR, str(words)[:200])
        self.assert_no_divergence(self.assert_converged(rig))
        self.assertEqual(contents(rig.old.client), contents(rig.new.client))

    def test_reads_change_nothing(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        filler = self.filler(client, seed=3)
        for _ in range(2000):
            self.attempt(client, filler.write())
        answered: Counter = Counter()
        for _ in range(10):
            for shape in READ_SHAPES:
                answered[shape.line] += self.attempt(client, shape.fill(filler))
        self.assertEqual([shape.line for shape in READ_SHAPES if not answered[shape.line]], [])
        self.assert_no_divergence(self.assert_converged(rig))

    def test_redis_benchmark(self) -> None:
        rig = self.rig()
        self.benchmark(rig, BENCHMARKS, "-n", "100000" if LONG else "20000", "-c", "50", "-P", "16")
        self.assert_no_divergence(self.assert_converged(rig))
        self.benchmark(rig, "set,incr,sadd,hset,spop,zadd,zpopmin,mset",
                       "-n", "20000", "-c", "50", "-P", "16", "-r", "1000")
        self.assert_no_divergence(self.assert_converged(rig))

    def benchmark(self, rig: Rig, kinds: str, *options: str) -> None:
        done = subprocess.run(["redis-benchmark", "-h", HOST, "-p", str(rig.proxy.port), "-t", kinds, "-q", *options],
                              capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("Error", done.stdout)
        figures = re.findall(r"^(?:.*\r)?(\S.*?): ([\d.]+) requests per second", done.stdout, re.MULTILINE)
        self.assertGreaterEqual(len(figures), len(kinds.split(",")), done.stdout[-2000:])
        self.say("; ".join(f"{name} {float(rate):,.0f}/s" for name, rate in figures))

    def test_random_and_clock_dependent_commands(self) -> None:
        """SPOP, XADD *, approximate trims and float sums have one outcome, the primary's."""
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        pipe = client.pipeline(transaction=False)
        for number in range(3000):
            pipe.execute_command("SADD", f"set:{number % 10}", number)
            pipe.execute_command("XADD", f"stream:{number % 5}", "MAXLEN", "~", 150, "*", "number", number)
            pipe.execute_command("INCRBYFLOAT", "sum", "0.1")
            pipe.execute_command("HINCRBYFLOAT", "hash", "sum", "-0.7")
            pipe.execute_command("ZINCRBY", "zset", "0.3", number % 7)
        for number in range(200):
            pipe.execute_command("SPOP", f"set:{number % 10}")
            pipe.execute_command("SPOP", f"set:{number % 10}", 3)
        pipe.execute_command("XADD", "stream:0", "MINID", "~", int(time.time() * 1000), "*", "a", "b")
        pipe.execute_command("XTRIM", "stream:1", "MAXLEN", "~", 10)
        pipe.execute_command("XTRIM", "stream:2", "MAXLEN", "~", 120, "LIMIT", 30)
        pipe.execute_command("SPOP", "set:9", 100_000)
        answers = pipe.execute()
        self.assertGreater(client.execute_command("XLEN", "stream:3"), 149)
        self.assertLess(client.execute_command("XLEN", "stream:3"), 600, "no trim took place, so none was tested")
        self.assertEqual(len(answers), 3000 * 5 + 400 + 4)
        self.assert_no_divergence(self.assert_converged(rig))
        self.assertEqual(contents(rig.old.client), contents(rig.new.client))

    def test_conditional_sets(self) -> None:
        """Only what fired is followed, and what did not fire leaves the secondary alone."""
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        steps = [
            (("SET", "k", "one", "XX"), None), (("SET", "k", "one", "NX"), b"OK"), (("SET", "k", "two", "NX"), None),
            (("SET", "k", "two", "XX", "EX", 1000), b"OK"), (("SET", "k", "three", "KEEPTTL"), b"OK"),
            (("SET", "k", "four", "NX", "GET"), b"three"), (("SET", "k", "five", "XX", "GET"), b"three"),
            (("SET", "new", "one", "NX", "GET"), None), (("SET", "none", "one", "XX", "GET"), None),
            (("SET", "k", "six", "GET", "KEEPTTL"), b"five"), (("SETNX", "k", "seven"), 0), (("SETNX", "m", "one"), 1),
            (("MSETNX", "k", "x", "fresh", "x"), 0), (("MSETNX", "fresh", "x", "fresher", "y"), 1),
            (("SET", "k", "eight", "PXAT", 1000), b"OK"), (("GET", "k"), None), (("GETSET", "k", "nine"), None),
            (("PERSIST", "k"), 0), (("EXPIRE", "k", 1000, "XX"), 0), (("EXPIRE", "k", 1000, "NX"), 1),
            (("EXPIRE", "k", 500, "GT"), 0), (("EXPIRE", "k", 500, "LT"), 1), (("GETEX", "k", "PERSIST"), b"nine"),
            (("RENAMENX", "k", "m"), 0), (("RENAMENX", "k", "moved"), 1), (("COPY", "moved", "m"), 0),
            (("COPY", "moved", "m", "REPLACE"), 1), (("LPUSHX", "nolist", "a"), 0), (("SMOVE", "no", "no2", "a"), 0),
            (("HSETNX", "h", "f", "1"), 1), (("HSETNX", "h", "f", "2"), 0),
            (("ZADD", "z", "XX", "INCR", 1, "a"), None),
            (("ZADD", "z", "NX", 1, "a", 2, "b"), 2), (("ZADD", "z", "GT", "CH", 0, "a", 5, "b"), 1),
            (("XADD", "nostream", "NOMKSTREAM", "*", "a", "b"), None), (("GETDEL", "m"), b"nine"),
            (("GETDEL", "m"), None),
        ]
        for words, wanted in steps:
            self.assertEqual(client.execute_command(*words), wanted, words)
        self.assert_no_divergence(self.assert_converged(rig))

    def test_lifetimes_are_the_same_moment_on_both(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        now = int(time.time())
        for number in range(20):
            for words in (("SET", "ex", "v", "EX", 100), ("SET", "px", "v", "PX", 100_000),
                          ("SETEX", "setex", 100, "v"), ("PSETEX", "psetex", 100_000, "v"),
                          ("SET", "exat", "v", "EXAT", now + 100),
                          ("SET", "pxat", "v", "PXAT", (now + 100) * 1000)):
                client.execute_command(words[0], f"{words[1]}:{number}", *words[2:])
            for kind, words in (("expire", ("EXPIRE", 100)), ("pexpire", ("PEXPIRE", 100_000)),
                                ("expireat", ("EXPIREAT", now + 100)), ("getex", ("GETEX", "EX", 100))):
                client.execute_command("SET", f"{kind}:{number}", "v")
                client.execute_command(words[0], f"{kind}:{number}", *words[1:])
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("SET", f"multi:{number}", "v", "EX", 100)
            pipe.execute_command("EXPIRE", f"ex:{number}", 200)
            pipe.execute()
        self.assert_no_divergence(self.assert_converged(rig))
        gaps = expiry_gaps(rig.old.client, rig.new.client)
        self.assertEqual(len(gaps), 20 * 11)
        self.check_lifetimes(rig)
        given = [gap for gap, (_, key) in gaps if key.split(b":")[0] in (b"exat", b"pxat", b"expireat")]
        self.assertEqual(max(given), 0, "a moment that the client gave stays as it is")

    def test_short_lifetimes_leave_nothing_behind(self) -> None:
        """Keys are written again around their expiry: neither side may keep what the other has forgotten."""
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        rng = random.Random(4)
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            key = f"brief:{rng.randrange(20)}"
            pipe = client.pipeline(transaction=False)
            pipe.execute_command("INCR", key)
            pipe.execute_command("PEXPIRE", key, rng.randrange(1, 30), rng.choice(("NX", "XX", "GT", "LT")))
            pipe.execute_command("APPEND", f"{key}:text", "x")
            pipe.execute_command("PEXPIRE", f"{key}:text", rng.randrange(1, 20))
            pipe.execute()
        self.assert_converged(rig)

    def test_transactions(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "text", "not a number")
        for number in range(200):
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("INCR", "counter")
            pipe.execute_command("INCR", "text")  # fails inside EXEC; the others are applied
            pipe.execute_command("SPOP", "pool")
            pipe.execute_command("SADD", "pool", number, number + 1, number + 2)
            pipe.execute_command("SET", f"key:{number}", "v", "EX", 1000, "NX")
            pipe.execute_command("XADD", "log", "*", "number", number)
            pipe.execute_command("INCRBYFLOAT", "sum", "0.1")
            answers = pipe.execute(raise_on_error=False)
            self.assertEqual(answers[0], number + 1)
            self.assertIsInstance(answers[1], redis.ResponseError)
            self.assertEqual(answers[4], b"OK")
        client.execute_command("MULTI")
        client.execute_command("SET", "discarded", "1")
        client.execute_command("DISCARD")
        self.assertEqual(client.execute_command("EXISTS", "discarded"), 0)
        self.assert_no_divergence(self.assert_converged(rig))
        self.check_lifetimes(rig)

    def test_several_databases(self) -> None:
        rig = self.rig()
        clients = [raw_client(rig.proxy.port, db=number) for number in (0, 2, 3, 15)]
        for step in range(300):
            for number, client in enumerate(clients):
                client.execute_command("SET", f"key:{step}", f"{number}")
                client.execute_command("RPUSH", "list", step)
        self.assertEqual([client.execute_command("GET", "key:7") for client in clients], [b"0", b"1", b"2", b"3"])
        zero, two, three, _ = clients
        self.assertEqual(zero.execute_command("MOVE", "key:1", 1), 1)
        self.assertEqual(zero.execute_command("MOVE", "key:1", 1), 0)
        self.assertEqual(zero.execute_command("COPY", "key:2", "copied", "DB", 9), 1)
        self.assertEqual(two.execute_command("GET", "key:7"), b"1")
        self.assert_no_divergence(self.assert_converged(rig))
        three.execute_command("FLUSHDB")
        self.assertEqual(three.execute_command("DBSIZE"), 0)
        three.execute_command("SET", "after", "flush")
        self.assert_no_divergence(self.assert_converged(rig))
        zero.execute_command("FLUSHALL", "ASYNC")
        zero.execute_command("SET", "after", "everything")
        self.assert_no_divergence(self.assert_converged(rig))
        self.assertEqual(contents(rig.new.client), {(0, b"after"): b"everything"})

    def test_big_values_and_binary_keys(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        everything = bytes(range(256))
        client.execute_command("SET", everything, everything * 40_000)
        client.execute_command("SET", b"", b"")
        client.execute_command("HSET", "h", everything, b"", b"\r\n", b"*1\r\n$4\r\nPING\r\n")
        client.execute_command("RPUSH", "list", *[b"element"] * 50_000)
        client.execute_command("APPEND", everything, b"x" * 5_000_000)
        self.assertEqual(client.execute_command("GET", everything), everything * 40_000 + b"x" * 5_000_000)
        self.assertEqual(client.execute_command("LLEN", "list"), 50_000)
        self.assert_no_divergence(self.assert_converged(rig))

    def test_what_the_primary_refuses_is_not_on_the_secondary(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "before", "x")
        with rig.old.client() as old:
            old.config_set("maxmemory-policy", "noeviction")
            old.config_set("maxmemory", old.info("memory")["used_memory"] + 3_000_000)
        refused, accepted = [], 0
        for number in range(2000):
            try:
                client.execute_command("SET", f"big:{number}", b"x" * 20_000)
                accepted += 1
            except redis.ResponseError as error:
                self.assertRegex(str(error), "^(OOM )?command not allowed when used memory")
                refused.append(f"big:{number}")
        self.say(f"{accepted} accepted, {len(refused)} refused")
        self.assertGreater(len(refused), 100)
        with self.assertRaisesRegex(redis.ResponseError, "OOM|used memory|EXECABORT|discarded"):
            pipe = client.pipeline(transaction=True)
            pipe.execute_command("SET", "in:multi", b"x" * 20_000)
            pipe.execute_command("INCR", "in:multi:2")
            pipe.execute()
        self.assertEqual(client.execute_command("DEL", "before"), 1)
        self.assert_no_divergence(self.assert_converged(rig))
        with rig.new.client() as new:
            self.assertEqual(new.exists("in:multi", "in:multi:2", *refused), 0)
            self.assertEqual(new.dbsize(), accepted)


if __name__ == "__main__":
    main()
