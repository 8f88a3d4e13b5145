#!/usr/bin/python3
"""`./run chaos [--minutes N] [--seed S]`: a mixed load through Crossfade while a driver hurts all three processes.

Two redis-servers that keep their data (appendonly, fsync always), the proxy between them, and a relay before each of
the three that can delay, throttle, stall and cut. A driver that is seeded kills, stops, restarts, fills and flips. At
the end everything is healed and repaired; then both stores must be equal, each client's own record of what was
acknowledged must be there on both sides, no client may have got an error while the primary and the proxy were healthy,
and no two reads may have differed on a key that the proxy took for equal.
The seed gives the same load and the same faults; how they meet is up to the machine.
"""
from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from admin import wait_until  # noqa: E402
from cells import check_endings  # noqa: E402
from clients import Clients, Record, check_jobs  # noqa: E402
from faults import UNREACHABLE, World, choose, empty_store  # noqa: E402
from harness import Rig  # noqa: E402
from resp import RawConnection, encode  # noqa: E402
from stores import difference  # noqa: E402
from wire import Relay  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
REPAIR_SECONDS = 120.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
CONFIG = """
[repair]
keys_per_second = 20000
[settle]
share = 1
[limits]
secondary_queue = "1MiB"
[mismatches]
keep_values = true
"""


class Chaos:
    def __init__(self, seed: int, seconds: float, binary: str, clients: int = 12):
        self.seed, self.seconds = seed, seconds
        self.rng = random.Random(seed)
        self.rig = Rig(config=CONFIG, old_args=DURABLE, new_args=DURABLE, binary=binary)
        self.relays = {"old": Relay("old", self.rig.old.port), "new": Relay("new", self.rig.new.port)}
        self.world = World(self.rig, self.relays, self.say)
        self.clients_wanted = clients
        self.clients: Optional[Clients] = None
        self.began = time.monotonic()
        self.failures: list[str] = []

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def start(self) -> None:
        self.rig.old.start()
        self.rig.new.start()
        for relay in self.relays.values():
            relay.start()
        proxy = self.rig.proxy
        proxy.old_url, proxy.new_url = (f"redis://127.0.0.1:{self.relays[side].port}" for side in ("old", "new"))
        proxy.start()
        proxy.listen, proxy.admin_listen = f"127.0.0.1:{proxy.port}", proxy.admin.address
        self.rig.wait_up("old", "new")
        self.relays["proxy"] = Relay("clients", proxy.port).start()
        with self.rig.old.client() as store:  # a payload for RESTORE
            store.set("payload", "a restored value")
            payload = store.dump("payload")
            store.delete("payload")
        self.clients = Clients(self.relays["proxy"].port, self.seed, self.clients_wanted, payload=payload).start()
        self.world.start()

    def drive(self) -> None:
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and self.world.dead is None and not self.failures:
            busy, fault = choose(self.world, self.rng)
            second = None
            held = next(fault)
            if busy != "operator" and self.rng.random() < 0.3:
                _, second = choose(self.world, self.rng, busy)
                held = max(held, next(second))
            time.sleep(held)
            for begun in (fault, second):
                if begun is not None:
                    next(begun, None)
            self.breathe()

    def breathe(self) -> None:
        """Mostly until all is repaired, since only then can a flip happen; sometimes the next fault comes at once."""
        if self.rng.random() < 0.4:
            time.sleep(self.rng.uniform(0, 0.5))
            return
        self.wait_repaired()
        if self.world.dead is None and not self.failures:
            self.audit()
        goal, quiet_until = self.clients.operations + 300, time.monotonic() + self.rng.uniform(0, 1)
        wait_until(lambda: self.world.dead or self.clients.operations >= goal and time.monotonic() > quiet_until, 60,
                   "the clients go on")

    def audit(self) -> None:
        """The stores say that they agree: do they? Later a restarted store has everything copied, which would hide it."""
        with self.clients.paused():
            try:
                self.rig.admin.wait_synced(REPAIR_SECONDS)
            except AssertionError as error:
                return self.fail(str(error))
            self.compare_stores()
            self.world.count("audits")
        return None

    def compare_stores(self) -> None:
        old, new = self.rig.equal_digests(10)
        if old != new:
            self.fail("the stores differ:\n" + difference(self.rig.old.client, self.rig.new.client))

    def wait_repaired(self) -> dict:
        last: dict = {}

        def repaired() -> bool:
            nonlocal last
            if self.world.dead:
                return True
            try:
                last = self.world.status(5)
            except UNREACHABLE:
                return False
            return (last["synced"] == "yes" and last["dirty"]["keys"] < 100 and not last["dirty"]["overflowed"]
                    and self.world.windows.all_closed())
        begin = time.monotonic()
        try:
            wait_until(repaired, REPAIR_SECONDS, "synced, with hardly a dirty key", pause=0.1)
        except AssertionError:
            self.fail(f"not repaired within {REPAIR_SECONDS:g} s after the last fault: "
                      f"synced {last.get('synced')}, dirty {last.get('dirty')}, {last.get('attention')}")
        if time.monotonic() - begin > 5:
            self.say(f"  repaired after {time.monotonic() - begin:.1f} s")
        return last

    def fail(self, text: str) -> None:
        self.failures.append(text)
        self.say(f"FAILED: {text}")

    def heal(self) -> None:
        for relay in self.relays.values():
            relay.heal()
        for side in ("old", "new"):
            self.rig.server(side).resume()
            if not self.rig.server(side).running:
                self.rig.server(side).start()
            empty_store(self.world, side)
        self.rig.proxy.resume()

    def finish(self) -> Record:
        self.say("everything is healed")
        self.heal()
        self.wait_repaired()
        record = self.clients.stop()
        self.wait_repaired()
        if self.world.dead:
            self.fail(self.world.dead)
            return record
        self.check_stores(record)
        return record

    def check_stores(self, record: Record) -> None:
        try:
            self.rig.admin.wait_synced(REPAIR_SECONDS)
        except AssertionError as error:
            self.fail(str(error))
        self.compare_stores()
        for side in ("old", "new"):
            with RawConnection(self.rig.server(side).port) as store:
                def ask(requests: list) -> list[Any]:
                    store.send(b"".join(encode(*words) for words in requests))
                    return [store.reply() for _ in requests]
                for line in check_endings(record.endings, ask, side) + check_jobs(record.jobs, ask, side):
                    self.fail(line)

    def judge(self, record: Record) -> tuple[int, int]:
        """How many of the clients' troubles are excused, and how many not; the latter are failures."""
        blamed = [trouble for trouble in record.troubles if not self.world.windows.excuse(trouble.since, trouble.at)]
        for trouble in blamed[:20]:
            self.fail(f"while the primary and the proxy were healthy, at {trouble.at - self.began:.2f} s (since "
                      f"{trouble.since - self.began:.2f} s): {trouble.text}")
        if len(blamed) > 20:
            self.fail(f"and {len(blamed) - 20} more of this kind")
        for line in record.wrong[:20] + [f"the stores differed unknown to the proxy: {line}"
                                         for line in self.world.mismatches]:
            self.fail(line)
        return len(record.troubles) - len(blamed), len(blamed)

    def summary(self, record: Record, excused: int, blamed: int) -> None:
        world = self.world
        print(f"\nchaos: seed {self.seed}, {time.monotonic() - self.began:.0f} s, {world.windows.seconds():.0f} s of "
              "them with the primary or the proxy broken")
        print(f"  clients: {record.operations:,} operations, {record.acknowledged:,} writes of their own acknowledged, "
              f"{record.verified:,} answers known beforehand")
        print(f"  records: {len(record.endings):,} keys of single writers and {len(record.jobs)} queues, looked up on "
              f"both sides; {record.unknown} operations without an answer")
        print(f"  troubles: {record.lost} lost connections and {record.refused} error replies; {excused} excused, "
              f"{blamed} not; {len(record.wrong)} wrong answers")
        print(f"  {world.counts.pop('audits', 0)} times in between, the clients kept still and the digests were compared")
        print("  faults: " + ", ".join(f"{what} {count}" for what, count in sorted(world.counts.items())))
        print("  proxy: " + ", ".join(f"{name} {int(value):,}" for name, value in world.totals.items())
              + f", peak memory {world.peak_mib:.0f} MiB")
        print(f"chaos: {'FAILED: ' + str(len(self.failures)) + ' failures' if self.failures else 'nothing lost'}"
              f" (seed {self.seed})", flush=True)

    def run(self) -> int:
        self.say(f"seed {self.seed}, {self.seconds:.0f} s, data in {self.rig.directory}")
        try:
            self.start()
            self.drive()
            record = self.finish()
            self.summary(record, *self.judge(record))
        finally:
            self.world.stop()
            if self.clients is not None:
                self.clients.kill()
            for relay in self.relays.values():
                relay.stop()
            self.rig.stop()
        if self.failures:
            kept = Path(tempfile.gettempdir()) / f"chaos-{self.seed}.crossfade.log"
            shutil.copy(self.rig.proxy.log_path, kept)
            print(f"the proxy's log: {kept}", file=sys.stderr)
        self.rig.remove()
        return 1 if self.failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="run chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="how long the faults go on (1)")
    parser.add_argument("--seed", type=int, default=None, help="of the load and the faults; told in any case")
    parser.add_argument("--clients", type=int, default=12, help="an even number (12)")
    parser.add_argument("--binary", default=os.environ.get("CROSSFADE_BINARY", str(ROOT / "build/release/crossfade")))
    args = parser.parse_args()
    if not os.access(args.binary, os.X_OK):
        parser.error(f"{args.binary} is not built: ./run build")
    # An fsync for each write costs nothing in memory, and kill -9 takes away a process, not the machine.
    if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30:
        tempfile.tempdir = "/dev/shm"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    return Chaos(seed, args.minutes * 60, args.binary, args.clients).run()


if __name__ == "__main__":
    sys.exit(main())
