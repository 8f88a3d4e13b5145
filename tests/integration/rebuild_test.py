"""Keys that go in pieces, and keys that RESTORE can't bring over: copied under live writers, and equal afterwards."""
from __future__ import annotations

import random
import threading
import time
from typing import Any, Callable

import redis

from admin import wait_until
from harness import LONG, CrossfadeTest, Rig, main
from stores import expiry_gaps, fill, keys_of
from traffic import Load, LoadSpec, raw_client

HASH_FIELDS = 2_000_000 if LONG else 500_000  # of a hundred bytes
LIST_ITEMS = 5_000_000 if LONG else 500_000
STREAM_ENTRIES = 100_000 if LONG else 30_000
PENDING = 10_000
TEMPORARY = b"__crossfade:copy:"
MEMBERS = 200_000
FAST = "[repair]\nkeys_per_second = 20000\n"

# Each makes one large key in a server, by itself: through a socket it would take far longer.
BIG = {
    "big:hash": ("for i = 1, ARGV[1] do redis.call('HSET', KEYS[1], 'field:' .. i, string.rep('v', 80) .. i) end",
                 HASH_FIELDS),
    "big:list": ("for i = 1, ARGV[1] do redis.call('RPUSH', KEYS[1], 'item ' .. i) end", LIST_ITEMS),
    "big:set": ("for i = 1, ARGV[1] do redis.call('SADD', KEYS[1], 'member\\0\\r\\n' .. i) end", MEMBERS),
    "big:zset": ("for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], i / 7, 'm' .. i) end", MEMBERS),
    "big:string": ("redis.call('SETRANGE', KEYS[1], ARGV[1], 'end') redis.call('SETBIT', KEYS[1], 12345, 1)", 20 << 20),
    "big:stream": ("for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], i .. '-1', 'text', string.rep('x', 200)) end",
                   STREAM_ENTRIES),
}


def make_big_keys(client: redis.Redis) -> None:
    for key, (script, count) in BIG.items():
        client.eval("redis.replicate_commands() " + script, 1, key, count)
    make_groups(client, "big:stream", PENDING)


def make_groups(client: redis.Redis, key: str, pending: int) -> None:
    """Three groups: one with most of what is pending, one with the rest and deleted entries among it, one idle."""
    run = client.execute_command
    run("XGROUP", "CREATE", key, "workers", "0")
    for number in range(4):
        run("XREADGROUP", "GROUP", "workers", f"worker {number}", "COUNT", pending // 5, "STREAMS", key, ">")
    run("XGROUP", "CREATE", key, b"bin\0ary\r\n", "0")
    ids = [entry[0] for _, entries in run("XREADGROUP", "GROUP", b"bin\0ary\r\n", "reader", "COUNT", pending - pending //
                                          5 * 4, "STREAMS", key, ">") for entry in entries]
    run("XCLAIM", key, b"bin\0ary\r\n", "thief", 0, *ids[:10], "RETRYCOUNT", 7, "TIME", 1_600_000_000_000)
    run("XDEL", key, *ids[3:6], *ids[-2:])
    run("XGROUP", "CREATE", key, "late", "$")
    run("XGROUP", "CREATECONSUMER", key, "late", "idle")


def make_every_kind(client: redis.Redis) -> None:
    """What fill leaves out: special values, empty streams, lifetimes from 50 ms to a year."""
    run = client.execute_command
    run("SET", "empty string", "")
    run("SET", b"\0binary\r\n\xff", bytes(range(256)) * 10)
    run("SETBIT", "bitmap", 100_001, 1)
    run("SADD", "integers", *range(300))
    run("ZADD", "scores", "inf", "most", "-inf", "least", "0.1", "tenth", "-0", "zero", "1e300", "huge", "3e-324", "tiny")
    run("ZADD", "third", 1 / 3, "x", 2 / 3, "y")
    run("HSET", "hash", *(b"f%d" % i for i in range(2000)))
    run("RPUSH", "list", *range(1000), "", "end")
    run("XGROUP", "CREATE", "stream never written", "group", "$", "MKSTREAM")
    run("XADD", "stream emptied", "5-5", "a", "b")
    run("XDEL", "stream emptied", "5-5")
    run("XADD", "stream taken back", "5-5", "a", "b")
    run("XADD", "stream taken back", "7-7", "a", "b")
    run("XDEL", "stream taken back", "7-7")
    run("XSETID", "stream taken back", "6-6")
    for number in range(30):
        run("XADD", "stream", f"{number + 1}-{number}", "field", "value", "field", "")
    make_groups(client, "stream", 20)
    for number, lifetime_ms in enumerate((50, 500, 20_000, 3_600_000, 365 * 24 * 3_600_000)):
        run("SET", f"lives:{number}", "x", "PX", lifetime_ms)
        run("RPUSH", f"lives:list:{number}", "x")
        run("PEXPIRE", f"lives:list:{number}", lifetime_ms)


def pairs(flat: list) -> dict:
    return dict(zip(flat[::2], flat[1::2]))


def pending_of(client: redis.Redis, key: Any) -> dict[bytes, dict[bytes, tuple]]:
    """By group: its numbers, and each pending entry with consumer, when it was delivered (by the server), how often."""
    full = pairs(client.execute_command("XINFO ", "STREAM", key, "FULL", "COUNT", 0))
    groups = {}
    for raw in full[b"groups"]:
        group = pairs(raw)
        groups[group[b"name"]] = {
            b"numbers": (group[b"last-delivered-id"], group[b"entries-read"], group[b"lag"]),
            b"consumers": tuple(sorted(pairs(consumer)[b"name"] for consumer in group[b"consumers"])),
            **{entry[0]: (entry[1], entry[2], entry[3]) for entry in group[b"pending"]}}
    return groups


class RebuildTest(CrossfadeTest):
    def refuse_restore(self, rig: Rig) -> None:
        with rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "default", "-restore")

    def backfill(self, rig: Rig, timeout: float = 240) -> float:
        begin = time.monotonic()
        rig.admin.start_backfill()
        rig.admin.wait_synced(timeout)
        return time.monotonic() - begin

    def assert_equal_stores(self, rig: Rig, groups_of: tuple[Any, ...]) -> None:
        self.assert_converged(rig, timeout=120)
        with rig.old.client() as old, rig.new.client() as new:
            self.assertEqual([key for key in new.scan_iter(count=1000) if key.startswith(TEMPORARY)], [])
            for key in groups_of:
                self.assert_equal_groups(key, pending_of(old, key), pending_of(new, key))
                one, two = (pairs(client.execute_command("XINFO ", "STREAM", key)) for client in (old, new))
                for name in (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added",
                             b"recorded-first-entry-id"):
                    self.assertEqual(one[name], two[name], (key, name))

    def assert_equal_groups(self, key: Any, old: dict, new: dict) -> None:
        self.assertEqual(old.keys(), new.keys(), key)
        for group in old:
            self.assertEqual(old[group].keys(), new[group].keys(), (key, group))
            for name, value in old[group].items():
                if name in (b"numbers", b"consumers"):
                    self.assertEqual(value, new[group][name], (key, group, name))
                    continue
                consumer, at, times = new[group][name]
                self.assertEqual((value[0], value[2]), (consumer, times), (key, group, name))
                self.assertLess(abs(value[1] - at), 1000, (key, group, name))

    def test_every_type_without_restore(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        with rig.old.client() as old, rig.old.client(db=3) as third:
            fill(old, 3000)
            make_every_kind(old)
            make_every_kind(third)
            keys = sum(len(names) for _, _, names in keys_of(rig.old.client))
            streams = tuple(old.scan_iter(count=1000, _type="stream"))
        rig.new.start()
        self.refuse_restore(rig)
        rig.proxy.start()
        rig.wait_up("old", "new")
        seconds = self.backfill(rig)
        copies = rig.admin.status()["copies"]
        self.say(f"{keys} keys in {seconds:.1f} s, {copies}")
        self.assertEqual(copies["whole"], 0, copies)
        self.assertGreater(copies["by_type"], 3000, copies)
        self.assertIn("NOPERM", copies["restore_refused"])
        self.assertGreater(len(streams), 100)
        self.assert_equal_stores(rig, streams)
        gaps = expiry_gaps(rig.old.client, rig.new.client)
        self.say(f"expiries differ by at most {gaps[0][0]} ms")
        self.assertLess(gaps[0][0], 100)

    def test_in_pieces_without_restore(self) -> None:
        """Everything that is not tiny goes in pieces: the same values, by the other way."""
        rig = self.rig(start=False, config='[limits]\ncopy_whole = "1KiB"\n')
        rig.old.start()
        with rig.old.client() as old:
            fill(old, 500)
            make_every_kind(old)
            streams = tuple(key for key in old.scan_iter(count=1000, _type="stream"))
        rig.new.start()
        self.refuse_restore(rig)
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.backfill(rig)
        copies = rig.admin.status()["copies"]
        self.say(f"{copies}")
        self.assertGreater(copies["in_pieces"], 20, copies)
        self.assert_equal_stores(rig, streams)
        self.assertLess(expiry_gaps(rig.old.client, rig.new.client)[0][0], 100)

    # --- Large keys ----------------------------------------------------------------------------------------------------

    def big_rig(self, config: str = "") -> Rig:
        rig = self.rig(start=False, config=config)
        rig.old.start()
        with rig.old.client(socket_timeout=120) as old:
            make_big_keys(old)
            old.execute_command("PEXPIRE", "big:zset", 3_600_000)
        rig.new.start()
        return rig

    def big_writers(self, rig: Rig, stop: threading.Event, waits: list[float]) -> list[threading.Thread]:
        """One client for each large key, which writes to it all the time."""
        return [threading.Thread(target=self.write, args=(rig.proxy.port, act, stop, waits)) for act in (
            lambda n: ("HSET", "big:hash", f"field:{n % HASH_FIELDS}", f"new {n}", f"more:{n}", n),
            lambda n: ("RPUSH", "big:list", n) if n % 2 else ("LPOP", "big:list"),
            lambda n: ("SADD", "big:set", f"more {n}") if n % 2 else ("SPOP", "big:set"),
            lambda n: ("ZINCRBY", "big:zset", 0.1, f"m{n % MEMBERS + 1}"),
            lambda n: ("SETRANGE", "big:string", n * 7919 % (20 << 20), f"<{n}>"),
            lambda n: (("XADD", "big:stream", "*", "n", n), ("XREADGROUP", "GROUP", "workers", f"worker {n % 5}",
                       "COUNT", 1, "STREAMS", "big:stream", ">"), ("XDEL", "big:stream", f"{n}-1"))[n % 3],
        )]

    def write(self, port: int, act: Callable[[int], tuple], stop: threading.Event, waits: list[float]) -> None:
        with raw_client(port, socket_timeout=120) as client:
            number = 0
            while not stop.is_set():
                number += 1
                begin = time.monotonic()
                client.execute_command(*act(number))
                waits.append(time.monotonic() - begin)
                time.sleep(0.002)

    def copy_big_keys(self, rig: Rig) -> dict:
        stop, waits = threading.Event(), []
        writers = self.big_writers(rig, stop, waits)
        for writer in writers:
            writer.start()
        try:
            seconds = self.backfill(rig)
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        copies = rig.admin.status()["copies"]
        self.say(f"{seconds:.1f} s, {copies['pieces_bytes'] / 1e6:.0f} MB in {copies['pieces']} pieces, "
                 f"{len(waits)} writes to those keys, of which the longest took {max(waits):.2f} s, "
                 f"proxy {rig.proxy.resident_mib():.0f} MiB")
        self.assertGreater(len(waits), 500)
        return copies

    def test_large_keys_under_their_writers(self) -> None:
        rig = self.big_rig()
        rig.proxy.start()
        rig.wait_up("old", "new")
        copies = self.copy_big_keys(rig)
        self.assertGreaterEqual(copies["in_pieces"], len(BIG), copies)
        self.assert_equal_stores(rig, ("big:stream",))
        self.assertLess(expiry_gaps(rig.old.client, rig.new.client)[0][0], 100)
        self.assertLess(rig.proxy.resident_mib(), 150)

    def test_large_keys_without_restore(self) -> None:
        rig = self.big_rig()
        self.refuse_restore(rig)
        rig.proxy.start()
        rig.wait_up("old", "new")
        copies = self.copy_big_keys(rig)
        self.assertEqual(copies["whole"], 0, copies)
        self.assert_equal_stores(rig, ("big:stream",))

    def wait_in_pieces(self, rig: Rig) -> None:
        wait_until(lambda: self.temporaries(rig), 60, "a value is being put together", pause=0.001)

    def temporaries(self, rig: Rig) -> list[bytes]:
        with rig.new.client() as new:
            return [key for key in new.scan_iter(count=1000) if key.startswith(TEMPORARY)]

    def test_the_secondary_is_killed_in_the_middle(self) -> None:
        rig = self.big_rig()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.start_backfill()
        self.wait_in_pieces(rig)
        rig.new.kill()
        with raw_client(rig.proxy.port) as client:  # the gate is open: a writer of the large keys doesn't wait
            begin = time.monotonic()
            for key in ("big:hash", "big:list", "big:set", "big:zset", "big:string", "big:stream"):
                client.execute_command("PEXPIRE", key, 7_200_000)
            self.assertLess(time.monotonic() - begin, 5)
        rig.new.start()
        rig.admin.wait_synced(240)
        self.assert_equal_stores(rig, ("big:stream",))

    def test_the_secondary_is_stopped_in_the_middle(self) -> None:
        """Who writes the key waits for no secondary that has come to a stop."""
        rig = self.big_rig()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.start_backfill()
        self.wait_in_pieces(rig)
        rig.new.pause()
        with raw_client(rig.proxy.port) as client:
            begin = time.monotonic()
            for key in ("big:hash", "big:list", "big:set", "big:zset", "big:string", "big:stream"):
                client.execute_command("PEXPIRE", key, 7_200_000)
            self.say(f"writers waited for {time.monotonic() - begin:.1f} s")
            self.assertLess(time.monotonic() - begin, 15)
        rig.new.resume()
        rig.admin.wait_synced(240)
        self.assert_equal_stores(rig, ("big:stream",))

    def test_the_proxy_is_killed_in_the_middle(self) -> None:
        """What it was putting together is nobody's data, and expires."""
        rig = self.big_rig()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.start_backfill()
        self.wait_in_pieces(rig)
        rig.proxy.kill()
        left = self.temporaries(rig)
        with rig.new.client() as new:
            for key in left:
                self.assertTrue(0 < new.pttl(key) <= 60_000, key)
        self.assertEqual(len(left) > 0, True)
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.wait_synced(240)  # it goes on by itself
        with rig.old.client() as old, rig.new.client() as new:
            self.assertFalse(any(key.startswith(TEMPORARY) for key in old.scan_iter(count=1000)))
            for key in left:
                new.pexpire(key, 1)  # a minute early
        self.assert_equal_stores(rig, ("big:stream",))

    def test_other_clients_meanwhile(self) -> None:
        """A large key is repaired again and again while others work: their latencies with and without."""
        rig = self.big_rig(config=FAST)
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.backfill(rig)
        with Load(LoadSpec(port=rig.proxy.port, think_ms=8, short_lifetimes=False)) as load:
            load.wait_operations(4000)
            load.phase(1)
            begin = rig.admin.status()["copies"]["in_pieces"]
            deadline = time.monotonic() + (60 if LONG else 8)
            with rig.new.client() as new, raw_client(rig.proxy.port) as client:
                while time.monotonic() < deadline:
                    new.execute_command("HDEL", "big:hash", "field:1")  # behind the proxy's back
                    client.execute_command("HSET", "big:hash", "field:1", random.random())
                    rig.admin.wait_settled(60)
            repaired = rig.admin.status()["copies"]["in_pieces"] - begin
            load.phase(2)
            load.wait_operations(500)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        before, during = (result.percentile_ms(99, phase) for phase in (0, 1))
        self.say(f"clients' p99 before {before:.2f} ms, while a hash of {HASH_FIELDS} fields was copied {repaired} times "
                 f"{during:.2f} ms (p50 {result.percentile_ms(50, 0):.2f} and {result.percentile_ms(50, 1):.2f} ms)")
        self.assertGreater(repaired, 0)
        self.assertLess(during, before * 10 + 50)
        self.assert_equal_stores(rig, ("big:stream",))


if __name__ == "__main__":
    main()
