"""What the tests of stores in trouble have in common: a store behind a relay, writes whose answers are known, and the
breaker in the status."""
from __future__ import annotations

import statistics
import time
from typing import Any, Callable

import redis

from admin import wait_until
from harness import CrossfadeTest, Rig
from relay import Relay

REPAIR = "[repair]\nkeys_per_second = 20000\n"
# Quick to decide, so that tests are short. Where the breaker must stay closed, the defaults are in force.
QUICK = REPAIR + '[breaker]\nslow = "500ms"\nopen = "200ms"\nprobe = "50ms"\n'
UNNOTICED_MS = 100.0  # of the median of a client's writes on a noisy machine; what happens to the secondary is longer


class TroubleTest(CrossfadeTest):
    """What the tests of one trouble each have in common."""

    def relayed(self, side: str = "new", **options: Any) -> tuple[Rig, Relay]:
        """A rig whose proxy reaches one store through a relay."""
        rig = self.rig(start=False, **options)
        relay = Relay(rig.server(side).port)
        self.addCleanup(relay.stop)
        if side == "new":
            rig.proxy.new_url = relay.url
        else:
            rig.proxy.old_url = relay.url
        return rig.start_connected(), relay

    def breaker(self, rig: Rig) -> dict:
        return rig.admin.status()["backends"]["new"]["breaker"]

    def wait_breaker(self, rig: Rig, state: str, timeout: float = 30.0) -> dict:
        return rig.admin.wait_status(lambda status: status["backends"]["new"]["breaker"]["state"] == state, timeout,
                                     f"breaker {state}")

    def write(self, client: redis.Redis, count: int, prefix: str = "key") -> list[float]:
        """Writes whose answers are known; their times in ms."""
        times = []
        for number in range(count):
            begin = time.monotonic()
            self.assertEqual(client.execute_command("SET", f"{prefix}:{number}", f"value {number}"), b"OK")
            times.append((time.monotonic() - begin) * 1000)
            self.assertEqual(client.execute_command("GET", f"{prefix}:{number}"), b"value %d" % number)
        return times

    def write_until(self, rig: Rig, client: redis.Redis, condition: Callable[[dict], Any], what: str) -> dict:
        """Writes on until the status is so. Returns that status."""
        times: list[float] = []

        def written() -> Any:
            times.extend(self.write(client, 30))
            status = rig.admin.status()
            return status if condition(status) else None
        status = wait_until(written, 30, what)
        self.assert_unnoticed(times)
        return status

    def write_until_open(self, rig: Rig, client: redis.Redis, reason: str) -> dict:
        def is_open(status: dict) -> bool:
            return status["backends"]["new"]["breaker"]["state"] == "open"
        status = self.write_until(rig, client, is_open, "breaker open")
        self.assertIn(reason, status["backends"]["new"]["breaker"]["reason"])
        self.assertTrue(any("breaker" in line for line in status["attention"]), status["attention"])
        return status

    def assert_unnoticed(self, times: list[float]) -> None:
        median = statistics.median(times)
        self.say(f"{len(times)} writes, median {median:.2f} ms, slowest {max(times):.1f} ms")
        self.assertLess(median, UNNOTICED_MS)

    def assert_well_again(self, rig: Rig, timeout: float = 60.0) -> dict:
        wait_until(lambda: rig.admin.status()["backends"]["new"]["breaker"]["state"] == "closed", timeout, "closed")
        rig.admin.wait_synced(timeout)
        return self.assert_converged(rig)

    def assert_left_alone(self, rig: Rig, client: redis.Redis) -> None:
        """Nothing is sent to it: what is written is dirty."""
        before = rig.admin.status()
        self.write(client, 50, "alone")
        after = rig.admin.status()
        if "closed" in (before["backends"]["new"]["breaker"]["state"], after["backends"]["new"]["breaker"]["state"]):
            self.fail(f"not left alone: {after}")
        self.assertEqual(after["writes"]["refused_by_secondary"], before["writes"]["refused_by_secondary"])
        marked = [status["dirty"]["marked"]["breaker_open"] for status in (before, after)]
        self.assertGreaterEqual(marked[1], marked[0] + 50)
