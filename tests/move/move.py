#!/usr/bin/python3
"""`./run move [--keys N] [--no-restore] [--kill] [--snapshot] [--all] [--seed S]`: a whole store moves under its writers.

Old holds keys of every type in 16 databases, with a hash of 200 MB, a list of 5 million elements and a stream with three
groups and 10,000 pending entries; new is empty. 20 clients write, expire, delete and rename among the keys all the time.
A backfill copies everything, a verification looks at everything; then the clients keep still, and the two stores must
be equal in every value, lifetime and stream's group, with no key risen from the dead.
--no-restore: a user of new may not RESTORE, so values are rebuilt by type. --kill: the proxy is killed in the middle and
must go on by itself. --snapshot: no backfill; new loads an RDB file of old, and only what was written since is copied.
"""
from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent))
for directory in ("integration", "chaos"):
    sys.path.insert(1, str(Path(__file__).resolve().parent.parent / directory))

from admin import AdminError, wait_until  # noqa: E402
from harness import HOST, Rig  # noqa: E402
from judge import compare  # noqa: E402
from movers import AFTER, BEFORE, DURING, Movers, Record  # noqa: E402
from seeding import Sizes, key_name, kind_counts, memory_mb, seed_store  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
[repair]
keys_per_second = 20000
[backfill]
keys_per_second = {rate}
[limits]
copy_whole = "{whole}"
[routing]
secondary = "{secondary}"
"""
DIFFERENCES = ("value", "ttl", "type", "missing_on_new", "only_on_new", "repaired", "left_out", "not_comparable")
SNAPSHOT_SHARE = 0.2  # of the keys are written during a snapshot: the rest must not be copied
PLANTED_IN = 5        # database
SAVED_EVERY_S = 5   # where a backfill stands


@dataclass(frozen=True)
class Plan:
    keys: int = 1_000_000
    seed: int = 1
    restore: bool = True
    kill: bool = False
    snapshot: bool = False
    rate: int = 20_000           # keys a second, of the backfill
    before_s: float = 15.0       # how long the clients are measured without it

    @property
    def title(self) -> str:
        how = "a snapshot" if self.snapshot else "a backfill" if self.restore else "a backfill without RESTORE"
        return how + (", the proxy killed in the middle" if self.kill else "")

    @property
    def expected_s(self) -> float:
        """About how long the clients are at work: keys expire all over it."""
        return self.before_s + 1 + self.keys * 2 / self.rate

    @property
    def patience_s(self) -> float:
        return 120 + self.keys / 1500


class Move:
    """One migration. Ends with a list of failures, and cleans up whatever happens."""

    def __init__(self, plan: Plan, binary: str):
        self.plan, self.sizes = plan, Sizes.of(plan.keys)
        config = CONFIG.format(rate=plan.rate, whole="4MiB" if plan.keys > 100_000 else "1MiB",
                               secondary="journal" if plan.snapshot else "follow")
        self.rig = Rig(config=config, binary=binary)
        self.movers: Optional[Movers] = None
        self.began = time.monotonic()
        self.failures: list[str] = []
        self.broken: list[tuple[float, float]] = []  # when the proxy was not there
        self.worst_lag_ms = 0.0
        self.peak_mib = 0.0
        self.told_at = 0.0

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def fail(self, text: str) -> None:
        self.failures.append(text)
        self.say(f"FAILED: {text}")

    # --- What it begins with -----------------------------------------------------------------------------------------

    def start(self) -> None:
        rig, plan = self.rig, self.plan
        rig.old.start()
        self.keys, self.mb, seconds = seed_store(rig.old, self.sizes, plan.seed, plan.expected_s)
        self.say(f"old holds {self.keys:,} keys, {self.mb:,.0f} MB, after {seconds:.1f} s; a hash of {self.sizes.hash_mb} "
                 f"MB, a list of {self.sizes.list_items:,}, {self.sizes.pending:,} entries pending in a stream")
        with rig.old.client(db=15) as client:
            client.set("payload", "a restored value")
            payload = client.dump("payload")
        if not plan.snapshot:
            rig.new.start()
            if not plan.restore:
                with rig.new.client() as client:
                    client.execute_command("ACL", "SETUSER", "mover", "on", ">secret", "~*", "&*", "+@all", "-restore")
                rig.proxy.new_url = f"redis://mover:secret@{HOST}:{rig.new.port}"
        rig.proxy.start()
        rig.proxy.listen, rig.proxy.admin_listen = f"{HOST}:{rig.proxy.port}", rig.admin.address
        rig.wait_up("old") if plan.snapshot else rig.wait_up("old", "new")
        self.movers = Movers(rig.proxy.port, plan.seed, self.sizes, share=SNAPSHOT_SHARE if plan.snapshot else 1.0,
                             payload=payload).start()

    def measure_before(self) -> None:
        begin, done = time.monotonic(), self.movers.operations
        time.sleep(self.plan.before_s)
        self.say(f"{self.movers.count} clients at work: {(self.movers.operations - done) / (time.monotonic() - begin):,.0f} "
                 "commands a second")

    # --- Waiting -----------------------------------------------------------------------------------------------------

    def wait(self, test: Callable[[dict], Any], what: str, pause: float = 0.1) -> dict:
        """The first status that passes, with a line of progress now and then."""
        def passing() -> Optional[dict]:
            status = self.rig.admin.status()
            self.worst_lag_ms = max(self.worst_lag_ms, status["lag"]["ms"])
            self.tell(status)
            return status if test(status) else None
        try:
            return wait_until(passing, self.plan.patience_s, what, pause)
        except AssertionError:
            status = self.rig.admin.status()
            parts = "synced", "synced_why", "backfill", "verify", "dirty", "copies", "repair", "attention"
            raise AssertionError(f"not within {self.plan.patience_s:g} s: {what}; {({name: status[name] for name in parts})}"
                                 ) from None

    def tell(self, status: dict) -> None:
        if time.monotonic() - self.told_at < 5:
            return
        self.told_at = time.monotonic()
        backfill, verify = status["backfill"], status["verify"]
        self.say(f"  backfill {backfill['state']} {backfill['keys_done']:,} of {backfill['keys_total']:,} keys, verify "
                 f"{verify['state']}, dirty {status['dirty']['keys']:,}, lag {status['lag']['ms']:.0f} ms, proxy "
                 f"{self.rig.proxy.resident_mib():.0f} MiB")

    def settled(self, status: dict) -> bool:
        return status["synced"] == "yes" and status["dirty"]["keys"] == 0 and not status["dirty"]["overflowed"]

    # --- The ways to move --------------------------------------------------------------------------------------------

    def backfill(self) -> float:
        self.movers.phase(DURING)
        begin = time.monotonic()
        self.rig.admin.start_backfill()
        if self.plan.kill:
            self.kill_in_the_middle()
        status = self.wait(lambda status: status["backfill"]["state"] != "running" and self.settled(status),
                           "the backfill is done, and no key dirty")
        seconds = time.monotonic() - begin
        self.movers.phase(AFTER)
        if status["backfill"]["state"] != "done":
            self.fail(f"the backfill has not come to its end: {status['backfill']}")
        if not self.plan.restore:
            with self.rig.new.client() as new:
                restored = new.info("commandstats").get("cmdstat_restore", {}).get("calls", 0)
            if restored or status["copies"]["by_type"] < self.keys * 0.5:
                self.fail(f"{restored} values were restored: {status['copies']}")
        self.say(f"copied in {seconds:.1f} s: {self.keys / seconds:,.0f} keys/s, {self.mb / seconds:.1f} MB/s; "
                 f"{status['copies']}")
        return seconds

    def kill_in_the_middle(self) -> None:
        proxy = self.rig.proxy
        status = self.wait(lambda status: status["backfill"]["keys_done"] > self.keys * 0.4, "the middle", pause=0.01)
        if status["backfill"]["state"] != "running":
            self.fail(f"the proxy was not killed in the middle: {status['backfill']}")
        self.peak_mib = proxy.resident_mib("VmHWM")
        begin = time.monotonic()
        proxy.kill()
        done = status["backfill"]["keys_done"]
        self.say(f"proxy killed after {done:,} keys")
        proxy.start()
        self.rig.wait_up("old", "new")
        self.broken.append((begin, time.monotonic() + 1))
        status = self.rig.admin.status()
        self.say(f"and started again; backfill: {status['backfill']}")
        wait_until(lambda: self.rig.admin.backfill()["resumed"], 20, "the backfill goes on by itself")
        after = self.rig.admin.backfill()["keys_done"]
        self.say(f"it goes on at {after:,} keys")
        if after < done - (SAVED_EVERY_S + 1) * self.plan.rate:
            self.fail(f"the backfill went on at {after:,} keys after {done:,}")

    def snapshot(self) -> float:
        """Old is saved and new loads the file, while the clients write and the proxy only remembers what."""
        rig = self.rig
        self.movers.phase(DURING)
        begin = time.monotonic()
        with rig.old.client() as old:
            old.bgsave()
            wait_until(lambda: not old.info("persistence")["rdb_bgsave_in_progress"], self.plan.patience_s, "saved", 0.1)
            assert old.info("persistence")["rdb_last_bgsave_status"] == "ok"
        file = rig.new.directory / "dump.rdb"
        shutil.copy(rig.old.directory / "dump.rdb", file)
        self.say(f"old is saved: {file.stat().st_size / 1e6:,.0f} MB")
        rig.new.start()
        with rig.new.client() as new:
            wait_until(new.ping, self.plan.patience_s, "the file is loaded")
        rig.wait_up("new")
        remembered = rig.admin.status()["dirty"]["keys"]
        self.say(f"new has loaded it; {remembered:,} keys were written meanwhile")
        planted = self.plant()
        rig.admin.routing(secondary="follow", snapshot_loaded=True)
        status = self.wait(self.settled, "the written keys are copied")
        seconds = time.monotonic() - begin
        self.movers.phase(AFTER)
        copies = status["copies"]
        self.copied = copies["whole"] + copies["by_type"] + copies["in_pieces"]
        self.remembered, self.repaired = remembered, status["dirty"]["repaired"]
        left = self.unplant(planted)
        if left < len(planted):
            self.fail(f"{len(planted) - left} of {len(planted)} keys were copied that nobody had written: {status['backfill']}")
        return seconds

    def plant(self) -> dict[bytes, bytes]:
        """Makes keys different on new that nobody writes: only who copies more than was written makes them equal."""
        first = int(kind_counts(self.plan.keys)["s"] * SNAPSHOT_SHARE) + 1
        with self.rig.new.client(db=PLANTED_IN) as new:
            names = (key_name("s", number) for number in range(first, first * 4))
            planted = {key: new.dump(key) for key in itertools.islice((key for key in names if new.ttl(key) == -1), 100)}
            for key in planted:
                new.append(key, "changed behind the back")
            new.set("planted", "only on new")
            return planted

    def unplant(self, planted: dict[bytes, bytes]) -> int:
        """How many of them still were different."""
        left = 0
        with self.rig.new.client(db=PLANTED_IN) as new:
            for key, before in planted.items():
                left += new.dump(key) != before
                new.restore(key, 0, before, replace=True)
            if not new.delete("planted"):
                left -= 1
        return left

    def check_copied(self, record: Record) -> None:
        self.say(f"{self.keys:,} keys in total; {len(record.written):,} written since journal mode began, {record.writes:,} times; "
                 f"the proxy remembered {self.remembered:,} when it began to follow, and repaired {self.repaired:,} times in "
                 f"{self.copied:,} copies")
        # A key that is written while it waits may be copied twice.
        if not 0 < self.remembered <= len(record.written) or max(self.repaired, self.copied) > record.writes:
            self.fail("more was copied than was written")

    # --- What must be true -------------------------------------------------------------------------------------------

    def verify(self) -> None:
        """The proxy's own look at all keys, under the clients' writes."""
        admin, begin = self.rig.admin, time.monotonic()
        admin.call("POST", "/api/v1/verify", {"keys_per_second": self.plan.rate})
        self.wait(lambda status: status["verify"]["state"] != "running", "the verification is done")
        result = admin.call("GET", "/api/v1/verify")
        counts = result["counts"]
        self.say(f"verify: {result['state']} after {time.monotonic() - begin:.1f} s, {counts}")
        # Keys that were written at each look can't be judged: there may be some, where all writers meet.
        if (result["state"] != "done" or any(counts[kind] for kind in DIFFERENCES)
                or counts["undecided"] > 20 + counts["equal"] / 100):
            self.fail(f"the verification: {result}")

    def compare_stores(self) -> None:
        """REQUIRES: the clients have stopped."""
        self.rig.admin.wait_settled(self.plan.patience_s)
        begin = time.monotonic()
        verdict = compare(self.rig.old.port, self.rig.new.port, int(100 + self.worst_lag_ms))
        self.say(f"compared in {time.monotonic() - begin:.1f} s: {verdict.keys:,} keys, {verdict.with_lifetime:,} of them with "
                 f"a lifetime that differs by {verdict.worst_gap_ms} ms at most, {verdict.streams:,} streams with "
                 f"{verdict.pending:,} pending entries; digest {verdict.digest}; the worst lag was {self.worst_lag_ms:.0f} ms")
        if verdict.differing:
            self.fail(f"{verdict.differing:,} differences between the stores:\n{verdict.text()}")

    def judge(self, record: Record) -> None:
        blamed = [trouble for trouble in record.troubles
                  if not any(trouble.at >= begin and trouble.since <= end for begin, end in self.broken)]
        self.say(f"{record.operations:,} commands, {len(record.troubles)} troubles, {len(blamed)} of them unexcused")
        for trouble in blamed[:10]:
            self.fail(f"at {trouble.at - self.began:.2f} s: {trouble.text}")
        for line in record.wrong[:5]:
            self.fail(line)

    def summary(self, record: Record, seconds: float) -> None:
        rig = self.rig
        self.peak_mib = max(self.peak_mib, rig.proxy.resident_mib("VmHWM"))
        stores = []
        for name, server in (("old", rig.old), ("new", rig.new)):
            with server.client() as client:
                stores.append(f"{name} {memory_mb(client, peak=True):,.0f} MB")
        print(f"\nmove: {self.plan.title}, seed {self.plan.seed}\n"
              f"  {self.keys:,} keys, {self.mb:,.0f} MB, in {seconds:.1f} s: {self.keys / seconds:,.0f} keys/s, "
              f"{self.mb / seconds:.1f} MB/s\n"
              f"  peak memory: proxy {self.peak_mib:.0f} MiB, {', '.join(stores)}\n"
              f"  clients before:    {record.latency(BEFORE)}\n"
              f"  clients meanwhile: {record.latency(DURING)}\n"
              f"  clients after, and during the verification: {record.latency(AFTER)}\n"
              f"  writers of the large keys before: {record.latency(BEFORE, True)}; meanwhile: {record.latency(DURING, True)}\n"
              f"move: {'FAILED: ' + str(len(self.failures)) + ' failures' if self.failures else 'equal'}", flush=True)

    def run(self) -> bool:
        self.say(f"{self.plan.title}: {self.plan.keys:,} keys, seed {self.plan.seed}")
        try:
            self.start()
            self.measure_before()
            seconds = self.snapshot() if self.plan.snapshot else self.backfill()
            self.verify()
            record = self.movers.stop()
            self.judge(record)
            self.compare_stores()
            if self.plan.snapshot:
                self.check_copied(record)
            self.summary(record, seconds)
        except (AssertionError, AdminError) as error:
            self.fail(f"{error}")
        finally:
            if self.movers is not None:
                self.movers.kill()
            self.rig.stop()
            if self.failures:
                kept = Path(tempfile.gettempdir()) / f"move-{self.plan.seed}.crossfade.log"
                shutil.copy(self.rig.proxy.log_path, kept)
                print(f"the proxy's log: {kept}", file=sys.stderr)
            self.rig.remove()
        return not self.failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="run move", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000, help="in old, beside the large ones (1,000,000)")
    parser.add_argument("--no-restore", action="store_true", help="new refuses RESTORE: values are rebuilt by type")
    parser.add_argument("--kill", action="store_true", help="kill -9 of the proxy in the middle of the backfill")
    parser.add_argument("--snapshot", action="store_true", help="by an RDB file instead of a backfill")
    parser.add_argument("--all", action="store_true", help="one after the other: plain, --no-restore, --kill, --snapshot")
    parser.add_argument("--rate", type=int, default=Plan.rate, help=f"keys a second, of the backfill ({Plan.rate:,})")
    parser.add_argument("--seed", type=int, default=None, help="of the keys and the clients; told in any case")
    parser.add_argument("--binary", default=os.environ.get("CROSSFADE_BINARY", str(ROOT / "build/release/crossfade")))
    args = parser.parse_args()
    if not os.access(args.binary, os.X_OK):
        parser.error(f"{args.binary} is not built: ./run build")
    if args.snapshot and (args.kill or args.no_restore):
        parser.error("--snapshot copies nothing that could be killed or refused: give it alone")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    ways: list[dict[str, bool]] = [{"restore": not args.no_restore, "kill": args.kill, "snapshot": args.snapshot}]
    if args.all:
        ways = [{}, {"restore": False}, {"kill": True}, {"snapshot": True}]
    equal = [Move(Plan(keys=args.keys, seed=seed, rate=args.rate, **way), args.binary).run() for way in ways]
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
