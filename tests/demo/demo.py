"""The whole migration in half a minute: two real redis-servers, 10,000 existing keys, 20 clients, nothing lost.

`./run demo` calls it. It starts everything on free loopback ports, shows each stage with its figures, and ends with the
report that somebody would sign, and the digests of both stores: exit status 0 when the report's verdict is PASS, the
digests are equal and no client saw an error.
"""
from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from admin import wait_until  # noqa: E402  (found through the path above)
from harness import HOST, Rig  # noqa: E402
from stores import difference, expiry_gaps, fill  # noqa: E402
from traffic import Load, LoadResult, LoadSpec  # noqa: E402

KEYS = 10_000
CLIENTS = 20
MOST_APART_MS = 5_000  # moments of expiry: what a stall of the machine between an answer and its reading may add
STAGES = ("follow", "backfill", "compare", "reads 10 %", "reads 50 %", "reads 100 %", "flip", "flip back")
REPORT = Path(__file__).resolve().parent.parent.parent / "build" / "demo-report.html"
# What can be shown in half a minute, on one machine that runs both stores, the proxy and all clients, and perhaps a lot
# else: its latencies are no store's. A migration of your own should leave the defaults alone; the report tells both.
SIGNOFF = """
[verify]
keys_per_second = 20_000

[signoff]
min_compared = 2000
mismatch_rate = 0.15
min_writes = 2000
covered_after = 10
commands_covered = 90
min_observed = "10s"
min_timed = 1000
p99_percent = 300
p99_fine = "1s"
"""


class Demo:
    def __init__(self, rig: Rig):
        self.rig = rig
        self.began = time.monotonic()
        self.stage = 0
        self.before: dict[str, Any] = {}

    # ---- what people see ----

    def title(self, text: str) -> None:
        self.stage += 1
        print(f"\n[{time.monotonic() - self.began:5.1f} s] {self.stage}. {text}", flush=True)

    def say(self, text: str) -> None:
        print(f"          {text}", flush=True)

    def figures(self) -> None:
        """What has happened since the stage began, and how far behind the secondary is now."""
        status, before = self.rig.admin.status(), self.before
        writes = {name: status["writes"][name] - before["writes"][name] for name in status["writes"]}
        reads = {name: status["reads"][name] - before["reads"][name] for name in status["reads"]}
        answered = reads["old"] + reads["new"]
        share = reads["new"] / answered * 100 if answered else 0
        self.say(f"writes   {writes['followed']:>8,} followed   {writes['diverged']:>6,} diverged    "
                 f"{status['dirty']['keys']:>5,} keys dirty    lag {status['lag']['ms']:.1f} ms, "
                 f"{status['lag']['slots']} slots")
        self.say(f"reads    {answered:>8,} answered   {reads['compared']:>6,} compared    "
                 f"{reads['mismatched']:>5,} mismatched    {share:.0f} % by new")

    # ---- the stages ----

    def fill_old(self) -> None:
        self.title(f"Two redis-servers: old with {KEYS:,} existing keys of every type, new empty")
        self.rig.old.start()
        self.rig.new.start()
        made = fill(self.rig.old.client(), KEYS)
        self.say(f"old on port {self.rig.old.port}, new on port {self.rig.new.port}")
        self.say(", ".join(f"{count:,} {kind}" for kind, count in made.items()))

    def start_proxy(self) -> None:
        self.title("Crossfade between the application and both")
        self.rig.proxy.start()
        self.rig.wait_up("old", "new")
        self.say(f"listens on {HOST}:{self.rig.proxy.port} for applications, on {self.rig.admin.address} for operators")
        check = self.rig.admin.call("GET", "/api/v1/preflight", timeout=60)
        self.say(f"check: {check['passed']} passed, {check['warnings']} warnings, {check['failed']} failed")
        self.say(f"synced: {self.rig.admin.status()['synced']}; old had keys before, so shifted reads and flips are "
                 "refused for now")

    def run_stage(self, load: Load, title: str, act: Callable[[], None], seconds: float) -> None:
        self.title(title)
        load.phase(self.stage)
        self.before = self.rig.admin.status()
        act()
        end = time.monotonic() + seconds
        load.wait_operations(1)
        while time.monotonic() < end:
            time.sleep(0.1)
        self.figures()

    def backfill(self) -> None:
        self.rig.admin.start_backfill()
        shown = 0.0
        while True:
            progress = self.rig.admin.backfill()
            if progress["state"] != "running" or time.monotonic() - shown > 0.25:
                shown = time.monotonic()
                self.say(f"{progress['keys_done']:>7,} of {progress['keys_total']:,} keys, {progress['state']}")
            if progress["state"] != "running":
                break
            time.sleep(0.02)
        if progress["state"] != "done":
            raise AssertionError(f"the backfill ended as {progress}")
        wait_until(lambda: self.rig.admin.status()["synced"] == "yes", 20, "synced")
        self.say("synced: yes")

    def flip(self, to: str) -> None:
        answer = wait_until(lambda: self.rig.admin.flip(to, max_pause_ms=1000), 20, f"a flip to {to}")
        self.say(f"{to} is primary now; clients were held for {answer['pause_ms']:.1f} ms")

    def migrate(self) -> LoadResult:
        """Every stage, with the traffic running. The clients' own account of it is what comes back."""
        self.fill_old()
        self.start_proxy()
        admin = self.rig.admin
        spec = LoadSpec(port=self.rig.proxy.port, clients=CLIENTS, processes=4, think_ms=5, filled_keys=KEYS)
        with Load(spec) as load:
            first_stage = self.stage + 1
            self.run_stage(load, f"Follow: {CLIENTS} clients write and read, every accepted write goes to both",
                           lambda: self.say("a write to a key that new lacks diverges, which is noticed and repaired"),
                           2.5)
            self.run_stage(load, "Backfill: the existing keys are copied, in order with the writes", self.backfill, 0.5)
            self.run_stage(load, "Compare: every read is asked of both stores at one logical instant",
                           lambda: admin.routing(compare=100), 2.5)
            for percent in (10, 50, 100):
                self.run_stage(load, f"Reads: new answers {percent} % of the keys",
                               lambda: admin.routing(reads_new=percent), 2)
            self.run_stage(load, "Flip: new becomes the primary, old follows", lambda: self.flip("new"), 2.5)
            self.run_stage(load, "Flip back: old is the primary again, with everything written meanwhile",
                           lambda: self.flip("old"), 2.5)
            result = load.stop()
        self.title("The traffic has stopped")
        self.say(f"{result.operations:,} client operations, {result.checks:,} answers that a client knew in advance: "
                 f"{result.wrong_count} wrong")
        self.say("clients' p50 / p99 by stage: " + ", ".join(
            f"{name} {result.percentile_ms(50, number):.1f} / {result.percentile_ms(99, number):.1f} ms"
            for number, name in enumerate(STAGES, first_stage)))
        return result

    def verify(self) -> None:
        self.title("Verify: every key of both stores, at one logical instant each")
        self.rig.admin.wait_settled()
        self.rig.admin.call("POST", "/api/v1/verify", {})
        found = wait_until(lambda: self.ended_verification(), 30, "the end of the verification")
        self.say(f"{found['keys_checked']:,} keys: {found['counts']['equal']:,} equal, {found['differing']} differ, "
                 f"{found['counts']['undecided']} undecided")

    def ended_verification(self) -> dict[str, Any]:
        found = self.rig.admin.call("GET", "/api/v1/verify")
        return found if found["state"] not in ("idle", "running") else {}

    def report(self) -> bool:
        """Writes the report that somebody would sign. Did it pass?"""
        self.title("The report")
        command = [self.rig.proxy.binary, "report", "--admin", self.rig.admin.address]
        REPORT.parent.mkdir(exist_ok=True)
        written = subprocess.run([*command, "--out", str(REPORT)], capture_output=True, text=True, timeout=60)
        self.say((written.stdout + written.stderr).splitlines()[0])
        criteria = self.rig.admin.call("GET", "/api/v1/report")["criteria"]
        for one in criteria:
            if one["verdict"] != "PASS":
                self.say(f"{one['verdict']}: {one['title']}: {one['found']}; demanded: {one['demands']}")
        passed = sum(one["verdict"] == "PASS" for one in criteria)
        self.say(f"{passed} of {len(criteria)} criteria are met, by thresholds that suit half a minute ([signoff])")
        return written.returncode == 0

    def verdict(self, result: LoadResult) -> bool:
        """Says whether the stores agree and nobody was hurt. The last line has the digests."""
        self.verify()
        passed = self.report()
        self.title("Both stores, looked at directly")
        status = self.rig.admin.wait_settled()
        old, new = self.rig.equal_digests(10)
        if old != new:
            print(difference(self.rig.old.client, self.rig.new.client))
        gaps = expiry_gaps(self.rig.old.client, self.rig.new.client)
        apart_ms = gaps[0][0] if gaps else 0
        mismatched = status["reads"]["mismatched"]
        with self.rig.old.client() as client:
            self.say(f"{client.dbsize():,} keys, {len(gaps):,} with a lifetime, the most different by {apart_ms} ms")
        self.say(f"{status['writes']['followed']:,} writes followed, {status['reads']['compared']:,} reads compared, "
                 f"{mismatched} mismatched; flips: {len(status['flips'])}")
        if not result.clean:
            self.say(result.complaints())
        same = old == new and apart_ms < MOST_APART_MS
        good = same and mismatched == 0 and result.clean and passed
        stores = "both stores hold the same" if same else "the stores differ"
        errors = result.error_count + result.disconnect_count + result.wrong_count
        print(f"\nreport: {REPORT}")
        print(f"verdict: {'PASS' if good else 'FAIL'}: {stores}, {mismatched} mismatches, {errors} client errors")
        print(f"digests: old={old} new={new} {'equal' if old == new else 'DIFFERENT'}", flush=True)
        return good


def keep_running(rig: Rig) -> None:
    print(f"""
Everything is left running until Ctrl-C. To look around:

  {rig.proxy.binary} status --admin {rig.admin.address}
  {rig.proxy.binary} reads 25 --admin {rig.admin.address}
  {rig.proxy.binary} flip new --admin {rig.admin.address}
  {rig.proxy.binary} mismatches --admin {rig.admin.address}
  redis-cli -p {rig.proxy.port}          through Crossfade
  redis-cli -p {rig.old.port}          old
  redis-cli -p {rig.new.port}          new

Logs and state: {rig.directory}""", flush=True)
    try:
        while rig.proxy.running:
            time.sleep(0.5)
        print(f"crossfade has ended:\n{rig.proxy.log(20)}")
    except KeyboardInterrupt:
        print("\neverything is being stopped", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run demo", description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the crossfade executable")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end, until Ctrl-C")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    binary = Path(options.binary).resolve()
    if not binary.exists():
        print(f"demo: there is no {options.binary}; ./run build makes it", file=sys.stderr)
        return 2
    with Rig(binary=str(binary), config=SIGNOFF) as rig:
        try:
            demo = Demo(rig)
            good = demo.verdict(demo.migrate())
            if options.keep:
                keep_running(rig)
        except KeyboardInterrupt:
            print("\ninterrupted; everything is being stopped", flush=True)
            return 130
        except Exception as error:  # told with the proxy's log, and everything stopped
            print(f"\nthe demo failed: {type(error).__name__}: {error}\n\nthe proxy's log:\n{rig.proxy.log(40)}",
                  flush=True)
            return 1
        return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
