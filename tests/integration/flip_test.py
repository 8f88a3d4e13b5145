"""The primary changes while the application writes: nobody notices, nothing is lost, and it goes back as well."""
import random
import signal
import statistics
import threading
import time
from typing import Optional

from admin import Admin, wait_until
from harness import HOST, LONG, CrossfadeTest, Rig, main
from traffic import Load, LoadResult, LoadSpec, raw_client

SECONDS = 30.0 if LONG else 12.0
FLIP_EVERY = 0.2
OTHER = {"old": "new", "new": "old"}


class Flipper:
    """Flips back and forth in a thread of its own until stopped."""

    def __init__(self, admin: Admin, max_pause_ms: int = 5000):
        self.admin, self.max_pause_ms = admin, max_pause_ms
        self.pauses_ms: list[float] = []
        self.refusals: list[str] = []
        self.failure: Optional[BaseException] = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Flipper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        try:
            to = OTHER[self.admin.status()["primary"]]
            while not self._stop.wait(FLIP_EVERY):
                code, answer = self.admin.flip_answer(to, max_pause_ms=self.max_pause_ms)
                if code == 200 and answer["flipped"]:
                    self.pauses_ms.append(float(answer["pause_ms"]))
                    to = OTHER[to]
                elif code == 409:
                    self.refusals.append(answer["reason"])
                else:
                    raise AssertionError(f"flip answered {code} {answer}")
        except BaseException as failure:  # shown by the test; a thread cannot fail it
            self.failure = failure

    def summary(self) -> str:
        text = f"{len(self.pauses_ms)} flips"
        if self.pauses_ms:
            text += f", pause median {statistics.median(self.pauses_ms):.1f} ms, max {max(self.pauses_ms):.1f} ms"
        return text + (f", {len(self.refusals)} refused: {sorted(set(self.refusals))[:3]}" if self.refusals else "")


class FlipUnderLoadTest(CrossfadeTest):
    def run_load(self, rig: Rig, seconds: float, seed: int) -> tuple[LoadResult, Flipper]:
        """20 clients on 200 hot keys while the primary is flipped every 200 ms."""
        with Load(LoadSpec(port=rig.proxy.port, seed=seed)) as load:
            load.wait_operations(500)
            with Flipper(rig.admin) as flipper:
                deadline = time.monotonic() + seconds
                while time.monotonic() < deadline and flipper.failure is None:
                    time.sleep(0.1)
            load.wait_operations(500)
            result = load.stop()
        self.say(f"{result.operations} operations, {result.checks} own answers checked, "
                 f"p50 {result.percentile_ms(50):.2f} ms, p99 {result.percentile_ms(99):.2f} ms; {flipper.summary()}")
        if flipper.failure is not None:
            raise flipper.failure
        self.assertTrue(result.clean, result.complaints())
        self.assertGreater(result.checks, 1000)
        self.assertGreater(len(flipper.pauses_ms), seconds / FLIP_EVERY / 4, flipper.summary())
        self.assertLessEqual(max(flipper.pauses_ms), flipper.max_pause_ms)
        return result, flipper

    def test_flips_every_200_ms_under_load(self) -> None:
        rig = self.rig()
        rig.admin.routing(reads_new=50)
        _, flipper = self.run_load(rig, SECONDS, seed=11)
        status = self.assert_converged(rig)
        self.say(f"writes {status['writes']}, reads {status['reads']}")
        self.assertEqual(status["synced"], "yes")
        self.assertGreaterEqual(len(status["flips"]), 1)
        self.assertGreaterEqual(status["epoch"], len(flipper.pauses_ms))
        self.assertGreater(status["writes"]["followed"], 1000)

    def test_no_mismatch_is_reported_when_there_is_none(self) -> None:
        rig = self.rig()
        rig.admin.routing(reads_new=50, compare=100)
        self.run_load(rig, SECONDS, seed=12)
        status = self.assert_converged(rig)
        self.say(f"writes {status['writes']}, reads {status['reads']}")
        self.assertEqual(status["reads"]["mismatched"], 0, rig.admin.mismatches()[:5])
        self.assertEqual(rig.admin.mismatches(), [])
        self.assertGreater(status["reads"]["compared"], 1000)

    def test_every_mismatch_that_is_read_is_reported_and_none_else(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        rng = random.Random(13)
        kinds = ("string", "list", "hash", "zset")
        keys = [f"{kinds[i % 4]}:{i}" for i in range(1000)]
        for key in keys:
            client.execute_command(*{"string": ("SET", key, "right"), "list": ("RPUSH", key, "right", "order"),
                                     "hash": ("HSET", key, "f", "right"), "zset": ("ZADD", key, 1, "right")}
                                   [key.split(":")[0]])
        self.assert_converged(rig)
        changed = rng.sample(keys, 100)
        with rig.new.client() as new:
            for number, key in enumerate(changed):
                self.change_behind_the_back(new, key, gone=number % 10 == 0)
        rig.admin.routing(compare=100)
        read = set(changed[:60]) | set(rng.sample(keys, 500)) - set(changed[60:])
        with Load(LoadSpec(port=rig.proxy.port, clients=8)) as load:  # other keys change meanwhile
            load.wait_operations(100)
            for key in sorted(read):
                client.execute_command(*{"string": ("GET", key), "list": ("LRANGE", key, 0, -1),
                                         "hash": ("HGETALL", key), "zset": ("ZRANGE", key, 0, -1, "WITHSCORES")}
                                       [key.split(":")[0]])
            load.wait_operations(500)
            self.assertTrue(load.stop().clean, load.stop().complaints())
        wanted = set(changed[:60])
        wait_until(lambda: {item["key"] for item in rig.admin.mismatches()} >= wanted, 30, "60 mismatches")
        self.assertEqual({item["key"] for item in rig.admin.mismatches()}, wanted)
        self.assertEqual(rig.admin.status()["reads"]["mismatched"], 60)
        commands = {item["command"].upper() for item in rig.admin.mismatches()}
        self.assertLessEqual(commands, {"GET", "LRANGE", "HGETALL", "ZRANGE"})

    def change_behind_the_back(self, new, key: str, gone: bool) -> None:
        kind = key.split(":")[0]
        if gone:
            new.delete(key)
        elif kind == "string":
            new.set(key, "wrong")
        elif kind == "list":
            new.rpush(key, "wrong")
        elif kind == "hash":
            new.hset(key, "f", "wrong")
        else:
            new.zadd(key, {"right": 2})


class FlipRulesTest(CrossfadeTest):
    def test_there_and_back_again(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        for number, to in enumerate(("new", "old", "new", "old")):
            client.execute_command("RPUSH", "path", to)
            answer = rig.admin.flip(to)
            self.assertIs(answer["flipped"], True)
            self.assertGreaterEqual(answer["pause_ms"], 0)
            status = rig.admin.status()
            self.assertEqual(status["primary"], to)
            self.assertEqual(len(status["flips"]), number + 1)
            self.assertEqual(client.execute_command("INCR", "count"), number + 1)
        self.assertEqual(client.execute_command("LRANGE", "path", 0, -1), [b"new", b"old", b"new", b"old"])
        self.assert_no_divergence(self.assert_converged(rig))

    def test_a_flip_to_where_it_is_changes_nothing(self) -> None:
        rig = self.rig()
        rig.admin.flip_answer("old")
        self.assertEqual(rig.admin.status()["primary"], "old")
        code, answer = rig.admin.request("POST", "/api/v1/flip", {"to": "sideways"})
        self.assertEqual(code, 400, answer)
        self.assertIn("error", answer)

    def test_a_dry_run_swaps_nothing(self) -> None:
        rig = self.rig()
        code, answer = rig.admin.flip_answer("new", dry_run=True)
        self.assertEqual(code, 200, answer)
        self.assertEqual((answer["flipped"], answer["would_flip"]), (False, True))
        status = rig.admin.status()
        self.assertEqual((status["primary"], status["flips"]), ("old", []))
        rig.new.pause()
        with raw_client(rig.proxy.port) as client:
            client.execute_command("SET", "on its way", "x")
        code, answer = rig.admin.flip_answer("new", dry_run=True, max_pause_ms=200)
        self.assertEqual(code, 409, answer)
        rig.new.resume()
        self.assertEqual(rig.admin.status()["primary"], "old")
        self.assert_converged(rig)

    def test_a_stopped_secondary_refuses_the_flip_and_traffic_goes_on(self) -> None:
        rig = self.rig()
        with Load(LoadSpec(port=rig.proxy.port, clients=8)) as load:
            load.wait_operations(200)
            rig.new.pause()
            load.wait_operations(200)
            code, answer = rig.admin.flip_answer("new", max_pause_ms=300)
            self.assertEqual(code, 409, answer)
            self.assertIs(answer["flipped"], False)
            self.assertGreater(len(answer["reason"]), 10)
            self.say(f"refused: {answer['reason']}")
            load.wait_operations(200)
            self.assertEqual(rig.admin.status()["primary"], "old")
            rig.new.resume()
            wait_until(lambda: rig.admin.flip("new", max_pause_ms=5000)["flipped"], 60, "a flip once it is well")
            load.wait_operations(200)
            self.assertTrue(load.stop().clean, load.stop().complaints())
        self.assert_converged(rig)

    def test_a_short_deadline_flips_in_time_or_not_at_all(self) -> None:
        rig = self.rig()
        outcomes = {"flipped": 0, "refused": 0}
        with Load(LoadSpec(port=rig.proxy.port, clients=12, think_ms=0.5)) as load:
            load.wait_operations(200)
            to = "new"
            for _ in range(20):
                code, answer = rig.admin.flip_answer(to, max_pause_ms=1)
                if code == 200:
                    outcomes["flipped"] += 1
                    to = OTHER[to]
                else:
                    self.assertEqual(code, 409, answer)
                    self.assertTrue(answer["reason"], answer)
                    outcomes["refused"] += 1
                self.assertEqual(rig.admin.status()["primary"], OTHER[to])
                load.wait_operations(20)
            self.assertTrue(load.stop().clean, load.stop().complaints())
        self.say(str(outcomes))
        self.assert_converged(rig)

    def test_no_flip_while_not_synced_unless_cold(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        with rig.old.client() as old:
            old.mset({f"key:{i}": i for i in range(100)})
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.assertEqual(rig.admin.status()["synced"], "no")
        code, answer = rig.admin.flip_answer("new")
        self.assertEqual(code, 409, answer)
        self.assertRegex(answer["reason"], r"(?i)sync|backfill|lack")
        self.assertTrue(rig.admin.flip("new", cold=True)["flipped"])
        self.assertEqual(rig.admin.status()["primary"], "new")

    def test_roles_and_settings_survive_a_restart(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                rig = self.rig()
                with raw_client(rig.proxy.port) as client:
                    client.execute_command("SET", "key", "before")
                rig.admin.routing(reads_new=25, compare=50, split="random", on_miss="primary")
                rig.admin.flip("new")
                epoch = self.assert_converged(rig)["epoch"]
                rig.proxy.end(number)
                rig.proxy.start()
                rig.wait_up("old", "new")
                status = rig.admin.status()
                self.assertEqual(status["primary"], "new")
                self.assertGreaterEqual(status["epoch"], epoch)
                self.assertEqual((status["reads_new"], status["compare"]), (25, 50))
                with raw_client(rig.proxy.port) as client:
                    self.assertEqual(client.execute_command("GET", "key"), b"before")
                    client.execute_command("SET", "key", "after")
                with rig.new.client() as new:
                    self.assertEqual(new.get("key"), b"after")
                self.assert_converged(rig)

    def test_sigterm_ends_it_with_0_and_frees_the_ports(self) -> None:
        rig = self.rig()
        rig.proxy.listen = f"{HOST}:{rig.proxy.port}"
        rig.proxy.admin_listen = rig.admin.address
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "a", "1")
        self.assertEqual(rig.proxy.end(signal.SIGTERM), 0)
        rig.proxy.start()
        with raw_client(rig.proxy.port) as again:
            self.assertEqual(again.execute_command("GET", "a"), b"1")


if __name__ == "__main__":
    main()
