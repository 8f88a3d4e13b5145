#!/usr/bin/python3
"""Ramps against real servers: a good new is given all reads, a bad one none, and nothing is decided without data."""
from __future__ import annotations

import math
import random
import signal
import subprocess
import threading
import time
from typing import Any, Callable, Optional

import redis

from admin import AdminError, wait_until
from harness import CrossfadeTest, Rig, crossfade_binary, main
from relay import Relay

KEYS = 5000
# A machine that is busy with other tests must not look like a bad store.
CONFIG = '[timeouts]\nread = "10s"\n[breaker]\nslow = "30s"\n[ramp]\nmin_samples = 50\nmax_lag = "20s"\n'
PATIENT = CONFIG + 'latency_floor = "5s"\nmax_down = "10s"\n'


def surely_above(bad: int, of: int, share: float) -> bool:
    """At least `bad` of `of` in less than one case of a hundred, if each is bad with this probability; and not one alone."""
    below = sum(math.comb(of, i) * share ** i * (1 - share) ** (of - i) for i in range(bad))
    return bad >= 2 and of >= 20 and 1 - below < 0.01


class Traffic:
    """Reads of random keys, and some writes, in pipelines by one thread. Goes on when the proxy is another one."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self.reads = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(30)

    def _run(self) -> None:
        rng = random.Random(7)
        client: Optional[redis.Redis] = None
        while not self._ends.wait(0.01):
            try:
                client = client or self.rig.proxy.client()
                pipe = client.pipeline(transaction=False)
                for _ in range(40):
                    pipe.get(f"key:{rng.randrange(KEYS)}")
                pipe.set(f"written:{rng.randrange(100)}", rng.random())
                pipe.execute()
                self.reads += 40
            except (redis.RedisError, OSError):
                client = None


class RampTest(CrossfadeTest):
    def filled(self, config: str = PATIENT, relayed: bool = False, **options: Any) -> Rig:
        rig = self.rig(start=False, config=config, **options)
        if relayed:
            rig.new.start()
            self.relay = Relay(rig.new.port)
            self.addCleanup(self.relay.stop)
            rig.proxy.new_url = self.relay.url
            rig.old.start()
            rig.proxy.start()
            rig.wait_up("old", "new")
        else:
            rig.start_connected()
        with rig.proxy.client() as client:
            client.mset({f"key:{number}": f"value {number}" for number in range(KEYS)})
        rig.admin.wait_synced()
        return rig

    def ramp(self, rig: Rig) -> dict:
        return rig.admin.call("GET", "/api/v1/ramp")

    def start(self, rig: Rig, **options: Any) -> dict:
        return rig.admin.call("POST", "/api/v1/ramp", {"compare": 100, **options})

    def wait_state(self, rig: Rig, state: str, timeout: float = 60.0) -> dict:
        def there() -> Optional[dict]:
            ramp = self.ramp(rig)
            return ramp if ramp["state"] == state else None
        return wait_until(there, timeout, f"a ramp that is {state}; it is {self.ramp(rig)}")

    def cli(self, rig: Rig, *words: str) -> subprocess.Popen:
        argv = [crossfade_binary(), "ramp", *words, "--admin", rig.admin.address]
        popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(popen.kill)
        return popen

    def finish(self, popen: subprocess.Popen, timeout: float = 120.0) -> tuple[int, str, str]:
        out, err = popen.communicate(timeout=timeout)
        return popen.returncode, out, err

    def run_cli(self, rig: Rig, *words: str) -> tuple[int, str, str]:
        return self.finish(self.cli(rig, *words))

    def decisions(self, ramp: dict) -> list[str]:
        """Oldest first."""
        return [entry["decision"] for entry in reversed(ramp["decisions"])]

    def assert_tripped_by(self, ramp: dict, guardrail: str) -> None:
        self.assertTrue(any(part.startswith(guardrail) for part in ramp["reason"].split("; ")), ramp["reason"])
        self.assertEqual([rail["state"] for rail in ramp["guardrails"] if rail["name"] == guardrail], ["tripped"], ramp)
        self.assertEqual(ramp["reads_new"], 0)


class GoodNew(RampTest):
    def test_reaches_100(self) -> None:
        rig = self.filled()
        with Traffic(rig):
            status, out, err = self.run_cli(rig, "start", "--steps", "5,25%, 100", "--every", "1s", "--compare", "50",
                                            "--wait")
        self.assertEqual(status, 0, (out, err))
        self.assertRegex(out, r"^ramp: done, step 3 of 3, new answers 100 %")
        for decision in (r"start +5 %", r"advance +25 %", r"advance +100 %", r"done +100 %"):
            self.assertRegex(err, decision)
        ramp = self.ramp(rig)
        self.assertEqual([d for d in self.decisions(ramp) if d != "hold"], ["start", "advance", "advance", "done"])
        for entry in ramp["decisions"]:
            if entry["decision"] in ("advance", "done"):
                self.assertGreaterEqual(min(entry["figures"][name] for name in ("compared", "answered", "new_timed")), 50)
                self.assertGreaterEqual(entry["figures"]["elapsed_ms"], 1000)
        served = rig.admin.status()
        self.assertEqual((served["reads_new"], served["compare"]), (100, 50))
        self.assertEqual(served["ramp"]["state"], "done")
        self.assertNotIn("decisions", served["ramp"])
        log = rig.proxy.log()
        for event in ("start", "advance", "done"):
            self.assertRegex(log, rf"event=ramp_{event} reads_new=\d+ .* compared=\d+ .* reason=")

    def test_holds_without_traffic_and_goes_on_with_it(self) -> None:
        rig = self.filled()
        self.start(rig, steps=[10, 100], every_ms=300)
        ramp = self.wait_state(rig, "holding")
        self.assertIn("mismatch_rate: 0 of the 50 reads", ramp["reason"])
        self.assertEqual({rail["name"] for rail in ramp["guardrails"] if rail["state"] == "no_data"},
                         {"mismatch_rate", "error_rate", "p99_ratio"})
        time.sleep(1.5)
        ramp = self.ramp(rig)
        self.assertEqual((ramp["state"], ramp["step"], ramp["reads_new"]), ("holding", 1, 10))
        self.assertIn("the ramp holds at 10 %", " ".join(rig.admin.status()["attention"]))
        status, out, _ = self.run_cli(rig, "status")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"ramp: holding, step 1 of 2, new answers 10 %, 100 % in 0:00: mismatch_rate")
        self.assertRegex(out, r"no data +mismatch_rate")
        with Traffic(rig):
            self.wait_state(rig, "done")
        self.assertEqual(rig.admin.status()["reads_new"], 100)

    def test_after_a_kill_it_goes_on_in_its_step(self) -> None:
        rig = self.filled()
        with Traffic(rig):
            self.start(rig, steps=[10, 50, 100], every_ms=9000)
            wait_until(lambda: self.ramp(rig)["next_step_in_ms"] < 3000, 60, "a good part of the step is over")
            before = self.ramp(rig)
            rig.proxy.kill()
            time.sleep(3)  # away for longer than the step had left
            rig.proxy.start()
            after = self.ramp(rig)
            self.assertEqual((after["step"], after["reads_new"], after["steps"]), (1, 10, [10, 50, 100]))
            self.assertGreaterEqual(after["next_step_in_ms"], before["next_step_in_ms"], "time away is no time")
            self.assertLess(after["next_step_in_ms"], 9000, "and what had passed is not forgotten")
            self.assertEqual(self.decisions(after)[:2], ["start", "restart"])
            self.assertGreater(after["decisions"][-2]["figures"]["compared"], 0)
            self.say(f"{before['next_step_in_ms']} ms were left before the kill, {after['next_step_in_ms']} ms after it")
            wait_until(lambda: self.ramp(rig)["step"] == 2, 60, "the second step")
            rig.proxy.end(signal.SIGTERM)
            rig.proxy.start()
            ramp = self.ramp(rig)
            self.assertEqual((ramp["step"], ramp["reads_new"]), (2, 50))
            self.assertIn("restart", self.decisions(ramp)[-2:])


class BadNew(RampTest):
    def watch(self, rig: Rig, until: Callable[[], bool]) -> list[tuple[float, dict]]:
        """Statuses with the moment before each was asked for, until there is a last one."""
        seen = []
        while not until():
            at = time.time()
            seen.append((at, rig.admin.status()))
            time.sleep(0.02)
        return seen

    def test_one_percent_of_differences_trips_at_the_first_step(self) -> None:
        rig = self.filled()
        with rig.new.client() as new:
            new.mset({f"key:{number}": "another value" for number in range(0, KEYS, 100)})
        seen: list[tuple[float, dict]] = []
        with Traffic(rig):
            popen = self.cli(rig, "start", "--steps", "1,5,25", "--every", "30s", "--compare", "100", "--wait")
            seen = self.watch(rig, lambda: popen.poll() is not None)
            status, out, err = self.finish(popen)
        self.assertEqual(status, 1, (out, err))
        self.assertRegex(out, r"ramp: tripped, step 1 of 3, new answers 0 %: mismatch_rate .* compared reads differ\), "
                              r"the limit is 0.1 %")
        self.assertRegex(err, r"trip +0 %")
        ramp = self.ramp(rig)
        self.assert_tripped_by(ramp, "mismatch_rate")
        self.assertEqual(self.decisions(ramp), ["start", "trip"])
        trip = ramp["decisions"][0]
        self.assertTrue(surely_above(trip["figures"]["mismatched"], trip["figures"]["compared"], 0.001), trip)
        crossed = [at for at, one in seen
                   if surely_above(one["reads"]["mismatched"], one["reads"]["compared"], 0.001)]
        taken_back = [at for at, one in seen if one["reads_new"] == 0 and one["ramp"]["state"] == "tripped"]
        self.say(f"tripped after {trip['figures']['compared']} compared reads, {trip['figures']['mismatched']} differed")
        if crossed:
            self.say(f"decided {1000 * (trip['at_ms'] / 1000 - crossed[0]):.0f} ms after the figure was first seen")
            self.assertLess(trip["at_ms"] / 1000 - crossed[0], 2.0)
            self.assertTrue(taken_back and taken_back[0] - crossed[0] < 2.0, "reads are back on old within 2 s")
        self.assertEqual(rig.admin.status()["reads_new"], 0)
        self.assertIn("the ramp tripped at step 1 (1 %)", " ".join(rig.admin.status()["attention"]))
        self.assertRegex(rig.proxy.log(), r"event=ramp_trip reads_new=0 .*mismatched=\d+ .*reason=\"mismatch_rate")

    def test_a_slow_one_trips_on_p99(self) -> None:
        rig = self.filled(CONFIG + 'max_down = "10s"\n', relayed=True)
        with Traffic(rig):
            self.start(rig, steps=[20, 100], every_ms=60_000)
            self.relay.set(delay=0.15)
            ramp = self.wait_state(rig, "tripped")
            self.assert_tripped_by(ramp, "p99_ratio")
            self.say(ramp["reason"])
        trip = ramp["decisions"][0]
        self.assertGreater(trip["figures"]["new_p99_us"], 2 * trip["figures"]["old_p99_us"])

    def test_one_that_goes_away_trips(self) -> None:
        rig = self.filled(CONFIG + 'latency_floor = "5s"\nmax_down = "500ms"\n')
        with Traffic(rig):
            self.start(rig, steps=[50], every_ms=60_000)
            rig.new.kill()
            killed_at = time.time()
            ramp = self.wait_state(rig, "tripped")
        self.assertRegex(ramp["reason"], "down_ms|error_rate|dirty_keys")
        self.assertEqual(ramp["reads_new"], 0)
        self.assertLess(ramp["decisions"][0]["at_ms"] / 1000 - killed_at, 2.5)

    def test_errors_of_new_alone_trip(self) -> None:
        rig = self.filled(relayed=True)
        with Traffic(rig), rig.proxy.client() as client:
            self.start(rig, steps=[100], every_ms=60_000)
            for _ in range(100):  # an error that both answer is none of new's
                self.assertRaises(redis.ResponseError, client.execute_command, "LLEN", "key:1")
            self.assertEqual(rig.admin.status()["reads"]["failed"], 0)
            self.relay.answer("STRLEN", b"-ERR not here\r\n")
            for _ in range(400):
                self.assertEqual(client.execute_command("STRLEN", "key:1"), 7)
                if self.ramp(rig)["state"] == "tripped":
                    break
            ramp = self.wait_state(rig, "tripped")
        self.assertRegex(ramp["reason"], "error_rate|mismatch_rate")
        self.assertGreater(ramp["decisions"][0]["figures"]["failed"], 0)


class ByHand(RampTest):
    def refused(self, rig: Rig, status: int, why: str, **options: Any) -> None:
        with self.assertRaises(AdminError) as caught:
            rig.admin.call("POST", "/api/v1/ramp", options)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(why, str(caught.exception.body))

    def test_pause_resume_abort(self) -> None:
        rig = self.filled()
        self.assertEqual(self.ramp(rig)["state"], "idle")
        for words in (("pause",), ("abort",)):
            status, _, err = self.run_cli(rig, *words)
            self.assertEqual((status, "no ramp is running: crossfade ramp start" in err), (1, True), err)
        with Traffic(rig):
            status, out, _ = self.run_cli(rig, "start", "--steps", "10,20", "--every", "3s", "--compare", "30")
            self.assertEqual(status, 0)
            self.assertIn("started, 10 % of reads now", out)
            self.refused(rig, 409, "under way already", steps=[50], compare=5)
            self.assertEqual(self.run_cli(rig, "pause")[0], 0)
            self.assertIn("the ramp is paused", " ".join(rig.admin.status()["attention"]))
            time.sleep(4)
            self.assertEqual((self.ramp(rig)["state"], self.ramp(rig)["reads_new"]), ("paused", 10))
            watcher = self.cli(rig, "status", "--wait")
            self.assertEqual(self.run_cli(rig, "resume")[0], 0)
            wait_until(lambda: self.ramp(rig)["step"] == 2, 30, "the second step")
            time.sleep(0.5)
            watcher.send_signal(signal.SIGINT)
            status, out, err = self.finish(watcher)
            self.assertEqual(status, 1)
            self.assertIn("it goes on; take reads back with: crossfade ramp abort", err)
            self.assertRegex(err, r"advance +20 %")
            self.assertEqual(self.ramp(rig)["state"], "running", "only the watching ended")
            status, out, _ = self.run_cli(rig, "abort")
            self.assertEqual((status, out), (0, "ramp: aborted; old answers all reads now\n"))
        ramp = self.ramp(rig)
        self.assertEqual((ramp["state"], ramp["reads_new"]), ("aborted", 0))
        self.assertEqual([d for d in self.decisions(ramp) if d != "hold"],
                         ["start", "pause", "resume", "advance", "abort"])

    def test_who_else_sets_reads_is_in_charge(self) -> None:
        rig = self.filled()
        self.start(rig, steps=[10, 20], every_ms=60_000)
        rig.admin.routing(reads_new=40)
        ramp = self.wait_state(rig, "paused")
        self.assertIn("reads_new is 40 %, and not the step's 10 %", ramp["reason"])
        self.assertEqual(rig.admin.call("PATCH", "/api/v1/ramp", {"paused": False})["reads_new"], 10)
        rig.admin.flip("new")
        ramp = self.wait_state(rig, "aborted")
        self.assertIn("there was a flip, and new is the primary", ramp["reason"])
        self.assertEqual(ramp["reads_new"], 10)
        self.refused(rig, 409, "new is the primary", compare=5)

    def test_what_is_refused(self) -> None:
        rig = self.filled()
        self.refused(rig, 409, "nothing is compared (compare is 0 %)", steps=[1, 2])
        self.refused(rig, 400, "got 1 after 5", steps=[5, 1], compare=10)
        self.refused(rig, 400, "got 101", steps=[101], compare=10)
        self.refused(rig, 400, "array of numbers", steps="5,1")
        self.refused(rig, 400, "every_ms: expected a whole number", every_ms=5)
        self.refused(rig, 400, "max_speed: unknown field", max_speed=5)
        self.refused(rig, 400, "max_error_rate: expected a number from 0 to 1", max_error_rate=5)
        self.assertEqual(rig.admin.request("PATCH", "/api/v1/ramp", {})[0], 400)
        self.assertEqual(rig.admin.request("PUT", "/api/v1/ramp", {})[0], 405)
        for words, why in ((("--steps", "5,1"), "got 1 after 5"), (("--steps", "5;7"), "such as 1,5,25,50,100"),
                           (("--every", "10"), "expected a duration"), (("--max-error-rate", "2"), "--max-error-rate")):
            status, _, err = self.run_cli(rig, "start", *words)
            self.assertEqual((status, why in err), (2, True), err)
        status, _, err = self.run_cli(rig, "start")
        self.assertEqual((status, "Give --compare" in err), (1, True), err)
        rig.admin.routing(secondary="off")
        self.refused(rig, 409, "the secondary does not follow", compare=10)
        self.assertEqual(rig.admin.status()["reads_new"], 0)


if __name__ == "__main__":
    main()
