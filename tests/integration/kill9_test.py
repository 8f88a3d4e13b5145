"""kill -9 of the proxy: the next start knows which keys the secondary may lack, and copies these and no others.

What the state directory remembers may also be useless (cut off, of another version, from before a start of the machine,
on a disk that was full): then everything is dirty, and the proxy says why.
"""
import ctypes
import os
import random
import re
import resource
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Callable, Optional

from admin import wait_until
from harness import HOST, LONG, CrossfadeTest, Proxy, Rig, main
from traffic import Load, LoadSpec

ROUNDS = 100 if LONG else 8
MANY_KEYS = 60_000 if LONG else 25_000
PLANTED = 50  # keys that differ on new, unknown to the proxy: only a sweep makes them equal
FAST_REPAIR = "[repair]\nkeys_per_second = 50000\n"
# Nothing is compared again by itself, so that no more than the journal names is copied.
NO_SETTLE = "[settle]\nshare = 0\n"
# A tenth of what is written below: the rest becomes dirty.
SMALL_QUEUE = '[limits]\nsecondary_queue = "256KiB"\n'
LOADED = re.compile(r"event=state_loaded .*in_flight=(\d+) dirty_keys=(\d+)")
VERSION_AT, BOOT_ID_AT = 8, 16  # in the header of a key log (routing/key_log.cc)


class Kill9Test(CrossfadeTest):
    def rig_on_fixed_ports(self, config: str) -> Rig:
        rig = self.rig(config=config)
        rig.proxy.listen = f"{HOST}:{rig.proxy.port}"
        rig.proxy.admin_listen = rig.admin.address
        rig.admin.wait_synced()
        return rig

    def recovered(self, proxy: Proxy) -> tuple[int, int]:
        """What the last start found: writes in flight, and dirty keys with those of them."""
        found = LOADED.findall(proxy.log())
        self.assertTrue(found, proxy.log(20))
        return int(found[-1][0]), int(found[-1][1])

    def assert_only_repaired(self, rig: Rig) -> dict:
        """Repaired key by key: at no time was everything dirty, and no sweep has run."""
        status = self.assert_converged(rig)
        figures = status["synced"], status["dirty"]["overflows"], status["backfill"]["keys_done"]
        self.assertEqual(figures, ("yes", 0, 0), status)
        return status

    def plant(self, rig: Rig) -> None:
        with rig.proxy.client() as client:
            client.mset({f"planted:{number}": "as written" for number in range(PLANTED)})
        self.assert_converged(rig)
        with rig.new.client() as new:
            new.mset({f"planted:{number}": "changed behind the back" for number in range(PLANTED)})

    def planted_left(self, rig: Rig) -> int:
        with rig.new.client() as new:
            return sum(value != b"as written" for value in new.mget([f"planted:{n}" for n in range(PLANTED)]))

    def unplant(self, rig: Rig) -> None:
        with rig.new.client() as new:
            new.mset({f"planted:{number}": "as written" for number in range(PLANTED)})

    def write_many(self, rig: Rig, keys: int = MANY_KEYS) -> None:
        """Some 200 bytes each, so that SMALL_QUEUE overflows at once."""
        with rig.proxy.client() as client:
            for begin in range(0, keys, 500):
                pipe = client.pipeline(transaction=False)
                for number in range(begin, min(begin + 500, keys)):
                    pipe.set(f"many:{number}", f"{number} " + "x" * 200)
                pipe.execute()


class UnderLoadTest(Kill9Test):
    def test_again_and_again(self) -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR)
        rng = random.Random(9)
        self.plant(rig)
        in_flight = dirty = repaired = 0
        for number in range(ROUNDS):
            spec = LoadSpec(port=rig.proxy.port, clients=20, think_ms=0.3, survive_errors=True, whole_databases=False,
                            seed=number)
            with Load(spec) as load:
                load.wait_everybody()
                load.wait_operations(rng.randrange(400))
                time.sleep(rng.uniform(0, 0.05))
                rig.proxy.kill()
                under_load = number % 2 == 1
                if under_load:  # the clients are back before the repair has begun
                    rig.proxy.start()
                    load.wait_operations(100)
                result = load.stop()
            self.assertEqual(result.wrong_count, 0, result.complaints())
            if not under_load:
                rig.proxy.start()
            found = self.recovered(rig.proxy)
            rig.wait_up("old", "new")
            rig.admin.wait_settled()
            self.assertEqual(self.planted_left(rig), PLANTED, "a sweep has run")
            self.unplant(rig)
            status = self.assert_only_repaired(rig)
            self.plant(rig)
            in_flight, dirty = in_flight + found[0], dirty + found[1]
            repaired += status["dirty"]["repaired"]
        self.say(f"{ROUNDS} times kill -9 under 20 writing clients: {in_flight} writes were in flight, {dirty} keys "
                 f"dirty at the next start, {repaired} repaired, the digests equal each time")
        self.assertGreater(in_flight, 0, "nothing was in flight at any kill: the test has not met its moment")

    def test_what_the_stopped_secondary_had_not_read_yet_does_not_arrive_late(self) -> None:
        """Megabytes of the killed proxy lie in the secondary's socket: applied after the repair they would undo it."""
        rig = self.rig_on_fixed_ports(FAST_REPAIR)
        with rig.proxy.client() as client:
            rig.new.pause()
            for value in range(30):
                pipe = client.pipeline(transaction=False)
                for number in range(300):
                    pipe.set(f"key:{number}", f"{value} " + "x" * 500)
                pipe.execute()
            rig.proxy.kill()
        rig.proxy.start()
        with rig.proxy.client() as client:
            wait_until(lambda: client.set("key:0", "last"), 20, "the primary reached")
        rig.new.resume()
        rig.wait_up("old", "new")
        self.assert_only_repaired(rig)


class ExpiryTest(Kill9Test):
    """When keys expire is learnt anew after a restart: who writes just then leaves no difference."""

    KEYS = 4000
    LIFETIME = 2.5

    def expiring_keys(self, rig: Rig) -> tuple[float, float]:
        """When the first and the last of them expire."""
        begin = time.time()
        with rig.proxy.client() as client:
            for first in range(0, self.KEYS, 100):
                pipe = client.pipeline(transaction=False)
                for number in range(first, first + 100):
                    pipe.hset(f"fleeting:{number}", "before", 1)
                    pipe.pexpire(f"fleeting:{number}", int(self.LIFETIME * 1000))
                pipe.execute()
        return begin + self.LIFETIME, time.time() + self.LIFETIME

    def write_as_they_expire(self, rig: Rig, first: float, last: float) -> int:
        written = 0
        with rig.proxy.client() as client:
            while time.time() < last + 0.1:
                at = int((time.time() - first) / (last - first) * self.KEYS)
                pipe = client.pipeline(transaction=False)
                for number in range(max(0, at - 60), min(self.KEYS, at + 60)):
                    pipe.hset(f"fleeting:{number}", "after", written)
                written += len(pipe)
                pipe.execute()
                time.sleep(0.0005)
        return written

    def test_written_as_they_expire_after_a_restart(self) -> None:
        for number in (signal.SIGKILL, signal.SIGTERM):
            rig = self.rig_on_fixed_ports(FAST_REPAIR + NO_SETTLE)
            moments = self.expiring_keys(rig)
            rig.proxy.end(number)
            rig.proxy.start()
            rig.wait_up("old", "new")
            written = self.write_as_they_expire(rig, *moments)
            status = rig.admin.wait_status(lambda status: not status["expiring_keys"]["learning"] and
                                           status["settle"]["waiting"] == 0, 60, "learnt, and compared again")
            self.say(f"{written} writes, {status['writes']['expiry_races']} of them so close to an expiry that their "
                     f"keys were copied; {status['settle']['differed']} found by comparing again")
            wait_until(lambda: self.settled_without_lifetimes(rig), 20, "what expires has expired")
            self.assert_converged(rig)

    def settled_without_lifetimes(self, rig: Rig) -> bool:
        with rig.old.client() as old, rig.new.client() as new:
            return all(int(store.info("keyspace").get("db0", {}).get("expires", 0)) == 0 for store in (old, new))


class ManyDirtyKeysTest(Kill9Test):
    def stop_secondary_and_write(self, rig: Rig) -> None:
        rig.new.pause()
        self.write_many(rig)
        status = rig.admin.status()
        self.assertGreater(status["dirty"]["keys"], MANY_KEYS // 2, status["dirty"])
        self.assertFalse(status["dirty"]["overflowed"])

    def test_exactly_these_are_repaired(self) -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR + NO_SETTLE + SMALL_QUEUE)
        self.plant(rig)
        self.stop_secondary_and_write(rig)
        before = rig.admin.status()["dirty"]["keys"]
        rig.proxy.kill()
        begin = time.monotonic()
        rig.proxy.start()
        started = time.monotonic() - begin
        in_flight, dirty = self.recovered(rig.proxy)
        self.assertGreaterEqual(dirty, before)
        self.assertLessEqual(dirty, MANY_KEYS)
        status = rig.admin.status()
        self.assertEqual((status["dirty"]["keys"], status["dirty"]["overflowed"]), (dirty, False))
        rig.new.resume()
        rig.wait_up("old", "new")
        rig.admin.wait_settled()
        self.assertEqual(rig.admin.status()["dirty"]["repaired"], dirty)
        self.assertEqual(self.planted_left(rig), PLANTED, "a sweep has run")
        self.unplant(rig)
        self.assert_only_repaired(rig)
        self.say(f"{before} keys were dirty and {in_flight} writes in flight at the kill; {dirty} keys were found by a "
                 f"start that took {started:.2f} s, and repaired")

    def test_killed_in_the_midst_of_a_repair(self) -> None:
        rig = self.rig_on_fixed_ports("[repair]\nkeys_per_second = 5000\n" + NO_SETTLE + SMALL_QUEUE)
        self.stop_secondary_and_write(rig)
        rig.new.resume()
        left = []
        for goal in (1000, 2000):
            rig.admin.wait_status(lambda status: status["dirty"]["repaired"] > goal, 60, "some repaired")
            rig.proxy.kill()
            rig.proxy.start()
            left.append(self.recovered(rig.proxy)[1])
        self.say(f"after kills in the midst of the repair of {MANY_KEYS} keys: {left} left")
        self.assertLess(left[0], MANY_KEYS)
        self.assertLess(left[1], left[0])
        self.assertGreater(left[1], 0)
        rig.wait_up("old", "new")
        self.assert_only_repaired(rig)


class UselessJournalTest(Kill9Test):
    """Everything is dirty then, the status says why, and all is copied again."""

    def damaged(self, damage: Callable[[Path], None], reason: str, name: str = "journal") -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR)
        self.plant(rig)
        rig.new.pause()  # so that the status can be read before all is copied
        self.write_many(rig, 100)
        rig.proxy.kill()
        damage(rig.proxy.state_dir / name)
        rig.proxy.start()
        status = rig.admin.status()
        self.assertTrue(status["dirty"]["overflowed"], status)
        self.assertNotEqual(status["synced"], "yes")
        self.assertRegex(status["synced_why"], reason)
        self.assertTrue(any("everything is dirty" in line for line in status["attention"]), status["attention"])
        self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=100)[0], 409)
        self.say(status["synced_why"])
        rig.new.resume()
        self.assertEqual(rig.admin.wait_synced()["dirty"]["overflowed"], False)
        self.assertEqual(self.planted_left(rig), 0, "no sweep has run")
        self.assert_converged(rig)
        rig.proxy.kill()  # and from here on it is relied upon again
        rig.proxy.start()
        self.assertEqual(rig.admin.status()["dirty"]["overflowed"], False)

    def test_cut_off(self) -> None:
        def cut(path: Path) -> None:
            os.truncate(path, path.stat().st_size - 1000)
        self.damaged(cut, "cut off")

    def test_the_dirty_keys_cut_off(self) -> None:
        self.damaged(lambda path: os.truncate(path, 10), "cut off", name="dirty")

    def test_of_another_version(self) -> None:
        self.damaged(lambda path: patch(path, VERSION_AT, struct.pack("<I", 99)), "another version")

    def test_something_else(self) -> None:
        self.damaged(lambda path: patch(path, 0, b"not ours"), "no key log")

    def test_missing(self) -> None:
        self.damaged(lambda path: path.unlink(), "missing")

    def test_records_torn(self) -> None:
        self.damaged(lambda path: patch(path, 4096 + 64, b"\xff" * 64), "damaged")

    def test_from_before_a_start_of_the_machine(self) -> None:
        self.damaged(lambda path: patch(path, BOOT_ID_AT, b"ffffffff"), "machine has been started")

    def test_an_orderly_end_outlives_the_machine(self) -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR)
        self.plant(rig)
        rig.proxy.end()
        for name in ("journal", "dirty"):
            patch(rig.proxy.state_dir / name, BOOT_ID_AT, b"ffffffff")
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.assertEqual(self.planted_left(rig), PLANTED, "a sweep has run")
        self.unplant(rig)
        self.assert_only_repaired(rig)


def patch(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


class OneDirectoryTest(Kill9Test):
    def test_the_second_proxy_refuses_to_start(self) -> None:
        rig = self.rig_on_fixed_ports("")
        second = Proxy(rig.directory, rig.old.url, rig.new.url)
        ended = subprocess.run(second.argv(), timeout=30, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 2, ended.stderr)
        self.assertIn(str(rig.proxy.state_dir), ended.stderr)
        self.assertRegex(ended.stderr, "another crossfade|in use|using")
        with rig.proxy.client() as client:
            client.set("key", "the first goes on")
        rig.proxy.kill()  # a killed one leaves no lock behind
        rig.proxy.start()
        self.assert_converged(rig)


class FullDiskTest(Kill9Test):
    """The proxy goes on, says so, and forgets nothing: after a crash everything is dirty."""

    def fill_and_kill(self, rig: Rig, room_again: Callable[[], None]) -> None:
        self.plant(rig)
        rig.new.pause()
        self.write_many(rig)  # no client notices
        status = rig.admin.wait_status(lambda status: status["journal"]["unlogged"] > 0, 20, "keys without room")
        lines = [line for line in status["attention"] if "no room" in line]
        self.assertTrue(lines, status["attention"])
        self.say(lines[0])
        wait_until(lambda: "event=journal_without_room" in rig.proxy.log(), 10, "the log says so")
        self.assertFalse(status["dirty"]["overflowed"], "as long as it runs, it knows")
        rig.proxy.kill()
        room_again()
        rig.proxy.start()
        status = rig.admin.status()
        self.assertTrue(status["dirty"]["overflowed"], status)
        self.assertNotEqual(status["synced"], "yes")
        self.say(status["synced_why"])
        rig.new.resume()
        rig.admin.wait_synced()
        self.assertEqual(self.planted_left(rig), 0, "no sweep has run")
        self.assert_converged(rig)

    def limit_files(self, rig: Rig, size: int) -> None:
        resource.prlimit(rig.proxy.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def test_files_that_may_not_grow(self) -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR + NO_SETTLE + SMALL_QUEUE)
        self.limit_files(rig, 600 << 10)
        self.fill_and_kill(rig, lambda: None)

    def test_room_again(self) -> None:
        rig = self.rig_on_fixed_ports(FAST_REPAIR + NO_SETTLE + SMALL_QUEUE)
        self.limit_files(rig, 600 << 10)
        self.plant(rig)
        rig.new.pause()
        self.write_many(rig)
        rig.admin.wait_status(lambda status: status["journal"]["unlogged"] > 0, 20, "keys without room")
        self.limit_files(rig, resource.RLIM_INFINITY)
        rig.new.resume()
        rig.admin.wait_settled()
        rig.admin.wait_status(lambda status: status["journal"]["unlogged"] == 0, 20, "all keys have room again")
        rig.proxy.kill()
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.assertEqual(self.planted_left(rig), PLANTED, "a sweep has run")
        self.unplant(rig)
        self.assert_only_repaired(rig)

    def test_a_small_file_system(self) -> None:
        mounted: Optional[SmallFileSystem] = None
        rig = self.rig(start=False, config=FAST_REPAIR + SMALL_QUEUE)
        try:
            mounted = SmallFileSystem(rig.proxy.state_dir)
        except OSError as error:
            self.say(f"skipped: no file system can be mounted here ({error})")
            return
        self.addCleanup(mounted.unmount)
        rig.start_connected()
        rig.proxy.listen, rig.proxy.admin_listen = f"{HOST}:{rig.proxy.port}", rig.admin.address
        rig.admin.wait_synced()
        self.fill_and_kill(rig, lambda: mounted.resize("64m"))


class SmallFileSystem:
    """A tmpfs of a megabyte at `path`."""

    def __init__(self, path: Path):
        self.path = str(path)
        self._mount("1m", 0)

    def _mount(self, size: str, flags: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"tmpfs", self.path.encode(), b"tmpfs", flags, f"size={size}".encode()) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def resize(self, size: str) -> None:
        self._mount(size, 32)  # MS_REMOUNT

    def unmount(self) -> None:
        ctypes.CDLL(None).umount2(self.path.encode(), 2)  # MNT_DETACH


if __name__ == "__main__":
    main()
