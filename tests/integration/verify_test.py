#!/usr/bin/python3
"""Verification against real servers: it finds every difference and nothing else, repairs, and is never fooled by load."""
from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Iterator, Optional

import redis

from admin import AdminError, wait_until
from harness import HOST, LONG, CrossfadeTest, Rig, crossfade_binary, main
from stores import difference, fill

# Nothing else may repair what was seeded, and values beyond 64 KiB are read in windows.
CONFIG = '[settle]\nshare = 0\n[limits]\nsettle_value = "64KiB"\n[verify]\nkeys_per_second = 50_000\n'
BIG = 6000  # elements of a large collection
DATABASES = (0, 1, 5)


def escaped(key: bytes) -> str:
    """A key's name as the API gives it."""
    return "".join("\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in key)


class VerifyTest(CrossfadeTest):
    def start(self, rig: Rig, **options: Any) -> dict:
        return rig.admin.call("POST", "/api/v1/verify", options)

    def state(self, rig: Rig) -> dict:
        return rig.admin.call("GET", "/api/v1/verify")

    def finish(self, rig: Rig, timeout: float = 60.0) -> dict:
        deadline = time.monotonic() + timeout
        while (result := self.state(rig))["state"] == "running":
            self.assertLess(time.monotonic(), deadline, result)
            time.sleep(0.05)
        return result

    def verify(self, rig: Rig, **options: Any) -> dict:
        self.start(rig, **options)
        result = self.finish(rig)
        self.assertEqual(result["state"], "done", result)
        return result

    def assert_equal_stores(self, result: dict) -> None:
        self.assertEqual((result["differing"], result["counts"]["undecided"]), (0, 0), result)

    def cli(self, rig: Rig, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess:
        return subprocess.run([crossfade_binary(), "verify", *words, "--admin", rig.admin.address], timeout=timeout,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)


# --- Differences behind the proxy's back ----------------------------------------------------------------------------

# A kind of difference: how the key is made on both stores, and what is done to one of them.
Make = Callable[[Any, bytes], Any]
Spoil = Callable[[redis.Redis, redis.Redis, bytes], Any]  # old, new


def with_group(pipe: Any, key: bytes, entries: int = 5) -> None:
    for number in range(1, entries + 1):
        pipe.execute_command("XADD", key, f"{number}-1", "f", f"value-{number:010}")
    pipe.execute_command("XGROUP", "CREATE", key, "g", "0")
    pipe.execute_command("XGROUP", "CREATE", key, "other", "0")
    pipe.execute_command("XREADGROUP", "GROUP", "g", "alice", "COUNT", max(3, entries // 2), "STREAMS", key, ">")


def big_list(pipe: Any, key: bytes) -> None:
    pipe.rpush(key, *(f"element-{number:08}" for number in range(BIG)))


def big_hash(pipe: Any, key: bytes) -> None:
    pipe.hset(key, mapping={f"field-{number:08}": f"value-{number}" for number in range(BIG)})


def big_set(pipe: Any, key: bytes) -> None:
    pipe.sadd(key, *(f"member-{number:08}" for number in range(BIG)))


def big_zset(pipe: Any, key: bytes) -> None:
    pipe.zadd(key, {f"member-{number:08}": number / 3 for number in range(BIG)})


def somewhere(key: bytes) -> int:
    return random.Random(key).randrange(BIG)


def pending_id(client: redis.Redis, key: bytes) -> str:
    return client.xpending_range(key, "g", "-", "+", 10_000)[-1]["message_id"].decode()


SEEDS: dict[str, tuple[str, Make, Spoil]] = {  # name: kind, make, spoil
    "string": ("value", lambda p, k: p.set(k, "one"), lambda o, n, k: n.set(k, "two")),
    "binary": ("value", lambda p, k: p.set(k, b"\0\xff" * 50), lambda o, n, k: n.setrange(k, 99, b"\xfe")),
    "list": ("value", lambda p, k: p.rpush(k, "a", "b", "c"), lambda o, n, k: n.lset(k, 1, "x")),
    "order": ("value", lambda p, k: p.rpush(k, "a", "b", "c"), lambda o, n, k: n.lmove(k, k, "LEFT", "RIGHT")),
    "set": ("value", lambda p, k: p.sadd(k, "a", "b"), lambda o, n, k: (n.srem(k, "a"), n.sadd(k, "c"))),
    "hash": ("value", lambda p, k: p.hset(k, mapping={"a": "1", "b": "2"}), lambda o, n, k: n.hset(k, "b", "3")),
    "zset": ("value", lambda p, k: p.zadd(k, {"a": 1, "b": 2}), lambda o, n, k: n.zincrby(k, 0.5, "a")),
    "stream": ("value", with_group, lambda o, n, k: n.xdel(k, "2-1")),
    "group": ("value", with_group, lambda o, n, k: n.execute_command("XGROUP", "SETID", k, "other", "1-1")),
    "pending": ("value", with_group, lambda o, n, k: n.xack(k, "g", "3-1")),
    "owner": ("value", with_group,
              lambda o, n, k: n.execute_command("XCLAIM", k, "g", "alice", 0, "3-1", "RETRYCOUNT", 7)),
    "ttl": ("ttl", lambda p, k: p.set(k, "v", px=3_600_000), lambda o, n, k: n.pexpire(k, 3_000_000)),
    "ttl gone": ("ttl", lambda p, k: p.set(k, "v", px=3_600_000), lambda o, n, k: n.persist(k)),
    "ttl new": ("ttl", lambda p, k: p.set(k, "v"), lambda o, n, k: n.pexpire(k, 3_600_000)),
    "type": ("type", lambda p, k: p.set(k, "v"), lambda o, n, k: (n.delete(k), n.rpush(k, "v"))),
    "missing": ("missing_on_new", lambda p, k: p.set(k, "v"), lambda o, n, k: n.delete(k)),
    "extra": ("only_on_new", lambda p, k: p.set(k, "v"), lambda o, n, k: o.delete(k)),
    "extra ttl": ("only_on_new", lambda p, k: p.set(k, "v", ex=3600), lambda o, n, k: o.delete(k)),
}
LARGE_SEEDS: dict[str, tuple[str, Make, Spoil]] = {
    "big list": ("value", big_list, lambda o, n, k: n.lset(k, somewhere(k), "x")),
    "big hash": ("value", big_hash, lambda o, n, k: n.hset(k, f"field-{somewhere(k):08}", "x")),
    "big hash field": ("value", big_hash,
                       lambda o, n, k: (n.hdel(k, f"field-{somewhere(k):08}"), n.hset(k, "extra", "x"))),
    "big set": ("value", big_set, lambda o, n, k: (n.srem(k, f"member-{somewhere(k):08}"), n.sadd(k, "x"))),
    "big zset": ("value", big_zset, lambda o, n, k: n.zincrby(k, 0.5, f"member-{somewhere(k):08}")),
    "big string": ("value", lambda p, k: p.set(k, b"x" * 300_000), lambda o, n, k: n.setrange(k, 50 * BIG - 3, "y")),
    "big stream": ("value", lambda p, k: with_group(p, k, BIG),
                   lambda o, n, k: n.execute_command("XDEL", k, f"{somewhere(k) + 1}-1")),
    "big pending": ("value", lambda p, k: with_group(p, k, BIG), lambda o, n, k: n.xack(k, "g", pending_id(n, k))),
    "big type": ("type", big_list, lambda o, n, k: (n.delete(k), n.set(k, "v"))),
    "big ttl": ("ttl", big_list, lambda o, n, k: n.pexpire(k, 3_600_000)),
}


def name_of(seed: str, number: int) -> bytes:
    tail = (b"", b"\0\xff\r\n", b"\\x00", b" ", "ü".encode())[number % 5]
    return f"{seed}:{number}".encode() + tail


def every_seed(count: int) -> Iterator[tuple[int, bytes, str, Make, Spoil]]:
    """Database, key, kind, make, spoil: `count` of them, among them every kind of SEEDS in each database."""
    for number, (seed, (kind, make, spoil)) in enumerate(LARGE_SEEDS.items()):
        yield DATABASES[number % 3], name_of(seed, number), kind, make, spoil
    small = list(SEEDS.items())
    for number in range(count - len(LARGE_SEEDS) - 1):
        seed, (kind, make, spoil) = small[number % len(small)]
        yield DATABASES[number // len(small) % 3], name_of(seed, number), kind, make, spoil
    yield 1, b"", *SEEDS["string"]  # the empty name


class FindsEverything(VerifyTest):
    def test_a_thousand_differences_and_nothing_else(self) -> None:
        rig = self.rig(config=CONFIG)
        seeds = list(every_seed(1000))
        for db in DATABASES:
            with rig.proxy.client(db=db) as client:
                fill(client, 1000, seed=db + 1)
                pipe = client.pipeline(transaction=False)
                for at, key, _, make, _ in seeds:
                    if at == db:
                        make(pipe, key)
                for seed, (_, make, _) in LARGE_SEEDS.items():
                    make(pipe, f"equal {seed}".encode())
                pipe.execute()
        self.assert_converged(rig)
        first = self.verify(rig)
        self.assert_equal_stores(first)
        self.say(f"equal: {first['keys_checked']} keys in {first['ended_ms'] - first['started_ms']} ms, "
                 f"{first['windows']} windows")
        self.assertGreater(first["windows"], 100)
        expected = {}
        for db in DATABASES:
            with rig.old.client(db=db) as old, rig.new.client(db=db) as new:
                for at, key, kind, _, spoil in seeds:
                    if at == db:
                        spoil(old, new, key)
                        expected[db, escaped(key)] = kind
        self.assertEqual(len(expected), 1000)
        result = self.verify(rig)
        found = {(one["db"], one["key"]): one["kind"] for one in result["differences"]}
        self.assertEqual(len(result["differences"]), len(found), "told once each")
        self.assertEqual(found, expected)
        self.assertEqual(result["differing"], 1000)
        self.assertEqual(result["counts"]["undecided"], 0)
        done = self.cli(rig, "--repair", "--json")
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual((answer["differing"], answer["counts"]["repaired"]), (1000, 1000))
        self.assertTrue(all(one["repaired"] for one in answer["differences"]))
        old, new = rig.equal_digests()
        self.assertEqual(old, new, difference(rig.old.client, rig.new.client))
        self.assertEqual(difference(rig.old.client, rig.new.client), "")
        self.assert_equal_stores(self.verify(rig))

    def test_differences_that_move_to_other_names_meanwhile_are_found(self) -> None:
        rig = self.rig(config=CONFIG)
        with rig.proxy.client() as client, rig.new.client() as new:
            for number in range(3000):
                client.set(f"quiet:{number}", number)
            for number in range(300):
                client.set(f"from:{number}", "right")
            rig.admin.wait_settled()
            for number in range(300):
                new.set(f"from:{number}", "wrong")
            self.start(rig, keys_per_second=1500)
            for number in range(300):
                client.rename(f"from:{number}", f"to:{number}")
                time.sleep(0.004)
            result = self.finish(rig)
        found = {one["key"].split(":")[1] for one in result["differences"] if one["kind"] == "value"}
        self.assertEqual(len(found), 300, result["counts"])


# --- Under load -------------------------------------------------------------------------------------------------------

class Worker(threading.Thread):
    """Writes, expires, deletes and renames among a few hundred keys until it is told to stop."""

    def __init__(self, port: int, seed: int, stop: threading.Event):
        super().__init__(daemon=True)
        self.client = redis.Redis(HOST, port, socket_timeout=30)
        self.rng = random.Random(seed)
        self.stop = stop
        self.commands = 0
        self.error: Optional[BaseException] = None

    def key(self, kind: str) -> str:
        return f"{kind}:{self.rng.randrange(200)}"

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                pipe = self.client.pipeline(transaction=self.rng.random() < 0.1)
                for _ in range(20):
                    self.step(pipe)
                self.commands += len(pipe.execute(raise_on_error=False))
        except BaseException as error:  # told by the test
            self.error = error

    def step(self, pipe: Any) -> None:
        rng, word = self.rng, f"word{self.rng.randrange(10**6)}"
        rng.choice((
            lambda: pipe.set(self.key("s"), word),
            lambda: pipe.set(self.key("s"), word, px=rng.randrange(1, 400)),
            lambda: pipe.incr(self.key("n")),
            lambda: pipe.pexpire(self.key(rng.choice("snlhzt")), rng.choice((1, 50, 200, 5000))),
            lambda: pipe.persist(self.key(rng.choice("snlhzt"))),
            lambda: pipe.delete(self.key(rng.choice("snlhztx"))),
            lambda: pipe.rename(self.key("s"), self.key("s")),
            lambda: pipe.copy(self.key("h"), self.key("h"), replace=True),
            lambda: pipe.rpush(self.key("l"), word, word),
            lambda: pipe.lmove(self.key("l"), self.key("l"), "LEFT", "RIGHT"),
            lambda: pipe.hset(self.key("h"), f"f{rng.randrange(20)}", word),
            lambda: pipe.zincrby(self.key("z"), rng.random(), f"m{rng.randrange(20)}"),
            lambda: pipe.sadd(self.key("t"), word),
            lambda: pipe.spop(self.key("t")),
            lambda: pipe.sunionstore(self.key("t"), self.key("t"), self.key("t")),
            lambda: pipe.xadd(self.key("x"), {"f": word}, maxlen=50),
            lambda: pipe.execute_command("XGROUP", "CREATE", self.key("x"), "g", "0", "MKSTREAM"),
            lambda: pipe.execute_command("XREADGROUP", "GROUP", "g", f"c{rng.randrange(3)}", "COUNT", 5, "STREAMS",
                                         self.key("x"), ">"),
            lambda: pipe.execute_command("XGROUP", "DESTROY", self.key("x"), "g"),
            lambda: pipe.execute_command("XAUTOCLAIM", self.key("x"), "g", f"c{rng.randrange(3)}", 0, "-", "COUNT", 3),
            lambda: pipe.lpush("big list", word, word),
            lambda: pipe.rpop("big list", 2),
            lambda: pipe.lpop("big list"),
            lambda: pipe.rpush("big list", word),
            lambda: pipe.lrem("big list", 1, f"element-{rng.randrange(BIG):08}"),
            lambda: pipe.hset("big hash", f"field-{rng.randrange(BIG):08}", word),
            lambda: pipe.hdel("big hash", f"field-{rng.randrange(BIG):08}"),
            lambda: pipe.zadd("big zset", {f"member-{rng.randrange(BIG):08}": rng.random()}),
            lambda: pipe.smove("big set", "big set 2", f"member-{rng.randrange(BIG):08}"),
            lambda: pipe.setrange("big string", rng.randrange(300_000), word),
            lambda: pipe.execute_command("XADD", "big stream", "*", "f", word),
            lambda: pipe.execute_command("XREADGROUP", "GROUP", "g", "bob", "COUNT", 2, "STREAMS", "big stream", ">"),
        ))()


class UnderLoad(VerifyTest):
    def test_no_false_difference(self) -> None:
        rig = self.rig(config=CONFIG)
        with rig.proxy.client() as client:
            fill(client, 2000)
            pipe = client.pipeline(transaction=False)
            for make in (big_list, big_hash, big_set, big_zset):
                make(pipe, make.__name__.replace("_", " ").encode())
            pipe.set("big string", b"x" * 300_000)
            with_group(pipe, b"big stream", BIG)
            pipe.execute()
        stop = threading.Event()
        workers = [Worker(rig.proxy.port, seed, stop) for seed in range(20 if LONG else 8)]
        for worker in workers:
            worker.start()
        rounds, end = [], time.monotonic() + (120 if LONG else 3)
        try:
            while time.monotonic() < end or len(rounds) < 2:
                result = self.verify(rig)
                self.assertEqual(result["differing"], 0, result)
                rounds.append(result)
        finally:
            stop.set()
            for worker in workers:
                worker.join(30)
        self.assertEqual([worker.error for worker in workers if worker.error], [])
        counts = [result["counts"] for result in rounds]
        self.say(f"{len(rounds)} rounds, {sum(worker.commands for worker in workers)} commands, "
                 f"{sum(count['equal'] for count in counts)} equal, {sum(result['windows'] for result in rounds)} "
                 f"windows, {sum(count['unconfirmed'] for count in counts)} not confirmed, "
                 f"{sum(count['undecided'] for count in counts)} undecided")
        self.assertGreater(min(count["equal"] for count in counts), 1500)
        self.assert_converged(rig)
        self.assert_equal_stores(self.verify(rig))


# --- Its life ---------------------------------------------------------------------------------------------------------

class Life(VerifyTest):
    def filled(self, count: int = 2000, **options: Any) -> Rig:
        rig = self.rig(config=CONFIG, **options)
        with rig.proxy.client() as client:
            pipe = client.pipeline(transaction=False)
            for number in range(count):
                pipe.set(f"{'ab'[number % 2]}:{number}", number)
            pipe.execute()
        rig.admin.wait_settled()
        return rig

    def begin_slowly(self, rig: Rig) -> dict:
        self.start(rig, keys_per_second=200)
        wait_until(lambda: self.state(rig)["keys_checked"] > 50, 20, "some keys are checked")
        return self.state(rig)

    def test_sample_match_and_database(self) -> None:
        rig = self.filled()
        with rig.new.client() as new:
            new.flushall()
        ten = self.verify(rig, sample=10)
        self.assertTrue(120 < ten["differing"] < 280, ten["counts"])
        self.assertEqual(ten["keys_checked"], ten["differing"])
        again = self.verify(rig, sample=10)
        names = [{one["key"] for one in result["differences"]}
                 for result in (ten, again, self.verify(rig, sample=30))]
        self.assertEqual(names[0], names[1])
        self.assertLess(names[0], names[2])
        matched = self.verify(rig, match="a:*")
        self.assertEqual(matched["differing"], 1000)
        self.assertTrue(all(one["key"].startswith("a:") for one in matched["differences"]))
        self.assertEqual(self.verify(rig, db=3)["keys_checked"], 0)
        for wrong in ({"sample": 0}, {"sample": 101}, {"db": -1}, {"db": 1.5}, {"keys_per_second": 0}, {"speed": 1}):
            status, _ = rig.admin.request("POST", "/api/v1/verify", wrong)
            self.assertEqual(status, 400, wrong)
        with self.assertRaisesRegex(AdminError, "has only 16 databases"):
            self.start(rig, db=16)

    def test_cancelled(self) -> None:
        rig = self.filled()
        self.assertEqual(rig.admin.status()["verify"], {"state": "idle"})
        with self.assertRaisesRegex(AdminError, "no verification is running"):
            rig.admin.call("DELETE", "/api/v1/verify")
        running = self.begin_slowly(rig)
        self.assertEqual(running["state"], "running")
        self.assertGreater(running["progress"]["total"], 3000)
        with self.assertRaisesRegex(AdminError, "is running already"):
            self.start(rig)
        cancelled = rig.admin.call("DELETE", "/api/v1/verify")
        self.assertEqual(cancelled["state"], "cancelled")
        self.assertRegex(cancelled["why"], r"cancelled; \d+ of 2000 keys had been checked")
        process = subprocess.Popen([crossfade_binary(), "verify", "--rate", "200", "--admin", rig.admin.address],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: self.state(rig)["state"] == "running", 20, "it is started")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 1)
        self.assertRegex(out, r"verify: cancelled, .* of 2000 keys had been checked")

    def test_restarted_in_its_middle(self) -> None:
        rig = self.filled()
        self.begin_slowly(rig)
        time.sleep(5.5)  # its progress is saved every 5 s
        rig.proxy.kill()
        rig.proxy.start()
        failed = self.state(rig)
        self.assertEqual(failed["state"], "failed")
        self.assertRegex(failed["why"], r"the proxy was restarted; \d\d+ of 2000 keys had been checked")
        self.assertTrue(any("did not finish" in line for line in rig.admin.status()["attention"]))
        rig.wait_up("old", "new")
        rig.admin.wait_settled()
        self.assert_equal_stores(self.verify(rig))
        rig.proxy.end()
        rig.proxy.start()
        kept = self.state(rig)
        self.assertEqual((kept["state"], kept["counts"]["equal"]), ("done", 2000))

    def test_the_secondary_restarts_in_its_middle(self) -> None:
        rig = self.filled()
        self.begin_slowly(rig)
        rig.new.kill()
        wait_until(lambda: "new is" in self.state(rig)["waiting_for"], 20, "it waits")
        with self.assertRaisesRegex(AdminError, "is running already"):
            self.start(rig)
        rig.new.start()
        failed = self.finish(rig)
        self.assertEqual(failed["state"], "failed")
        self.assertIn("new came back as another process", failed["why"])
        rig.admin.wait_synced()
        self.assert_equal_stores(self.verify(rig))
        rig.admin.routing(secondary="journal")
        with self.assertRaisesRegex(AdminError, "does not follow"):
            self.start(rig)

    def test_a_flip_in_its_middle_changes_nothing(self) -> None:
        rig = self.filled(400)
        with rig.new.client() as new, rig.old.client() as old:
            new.set("only new", 1)
            old.set("only old", 1)
            self.begin_slowly(rig)
            rig.admin.flip("new")
        result = self.finish(rig)
        self.assertEqual(result["state"], "done", result)
        self.assertEqual({one["key"]: one["kind"] for one in result["differences"]},
                         {"only new": "only_on_new", "only old": "missing_on_new"})

    def test_equal_stores_become_synced(self) -> None:
        rig = self.rig(config=CONFIG, start=False)
        for server in (rig.old.start(), rig.new.start()):
            with server.client() as client:
                fill(client, 1000)
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.assertEqual(rig.admin.status()["synced"], "no")
        self.verify(rig, sample=50)
        self.assertEqual(rig.admin.status()["synced"], "no")
        with rig.new.client() as new:
            new.set("have:string:0", "another value")
            self.assertEqual(self.cli(rig).returncode, 1)
            self.assertEqual(rig.admin.status()["synced"], "no")
            done = self.cli(rig, "--repair")
        self.assertEqual(done.returncode, 0, done)
        self.assertRegex(done.stdout, r"\n +1  differ in value\n(.*\n)*.*1  of these repaired\n")
        self.assertIn("have:string:0", done.stdout)
        self.assertEqual(rig.admin.status()["synced"], "yes")
        self.assertIn("verify: idle", self.cli(self.rig(), "status").stdout)
        rig.proxy.end()
        self.assertEqual(self.cli(rig).returncode, 3)


if __name__ == "__main__":
    main()
