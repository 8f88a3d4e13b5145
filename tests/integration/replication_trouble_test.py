"""Promotions in the midst of trouble: whatever becomes of one, the stores end equal, or it is said that they may not be.
"""
import random
import threading
import time
from typing import Any

from admin import wait_until
from harness import LONG, Rig, main
from relay import Relay
from replicas import KEYS, PAUSE_MS, ReplicationTest
from traffic import Load, LoadSpec

ROUNDS = 60 if LONG else 6


class FlipInTroubleTest(ReplicationTest):
    def test_kill_9_during_the_flip(self) -> None:
        rig = self.begin(self.rig_with_data())
        rng = random.Random(5)
        ends: dict[str, int] = {}
        for number in range(ROUNDS):
            self.replicate(rig, replace=True)
            spec = LoadSpec(port=rig.proxy.port, clients=20, survive_errors=True, whole_databases=False, seed=number)
            with Load(spec) as load:
                load.wait_everybody()
                self.kill_in_flip(rig, rng if number % 2 else None)
                rig.proxy.start()
                rig.wait_up("old", "new")
                load.wait_operations(100)
                result = load.stop()
            self.assertEqual(result.wrong_count, 0, result.complaints())
            end = self.judge(rig)
            ends[end] = ends.get(end, 0) + 1
            if rig.admin.status()["primary"] == "new":
                rig.admin.flip("old", max_pause_ms=PAUSE_MS)
        self.say(f"{ROUNDS} times kill -9 in a flip to a replica, under 20 clients: "
                 + ", ".join(f"{count} {end}" for end, count in sorted(ends.items())))

    def kill_in_flip(self, rig: Rig, rng: Any) -> None:
        """At a random moment, or as soon as the log speaks of the promotion."""
        begin = len(rig.proxy.log())

        def flip() -> None:
            try:
                rig.admin.flip_answer("new", max_pause_ms=2000)
            except OSError:
                pass

        flipping = threading.Thread(target=flip)
        flipping.start()
        if rng is not None:
            time.sleep(rng.uniform(0, 0.03))
        else:
            deadline = time.monotonic() + 8
            while "event=promotion" not in rig.proxy.log()[begin:] and time.monotonic() < deadline:
                time.sleep(0.0005)
        rig.proxy.kill()
        flipping.join()

    def judge(self, rig: Rig) -> str:
        """Equal, or said not to be, and equal once the operator has done what it says."""
        status = rig.admin.wait_status(lambda status: status["secondary"] == "follow" or status["synced"] == "no"
                                       or status["replication"]["state"] == "streaming", 30, "the outcome is known")
        primary = status["primary"]
        if status["secondary"] == "follow":
            rig.admin.wait_settled()
            self.assertEqual(self.link(rig.new)[0], "master")
            self.assert_converged(rig)
            return f"with {primary} as primary, followed by the other"
        self.assertEqual(primary, "old", status)
        if status["synced"] == "no":
            self.assertEqual(status["replication"]["state"], "no replica", status)
            rig.admin.routing(secondary="follow")
            rig.admin.wait_synced()
            self.assert_converged(rig)
            return "with new promoted, and said so"
        rig.admin.routing(secondary="follow")  # what replication does not carry exactly is copied
        self.assert_nothing_was_copied(self.assert_converged(rig))
        return "as if it had not begun"

    def test_a_secondary_that_is_stopped(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        with Load(LoadSpec(port=rig.proxy.port, clients=8)) as load:
            load.wait_everybody()
            rig.new.pause()
            began = time.monotonic()
            code, answer = rig.admin.flip_answer("new", max_pause_ms=300)
            took = time.monotonic() - began
            self.assertEqual((code, answer["flipped"]), (409, False), answer)
            self.assertLess(took, 15)
            self.assertEqual((rig.admin.status()["primary"], rig.admin.status()["secondary"]), ("old", "replica"))
            load.wait_operations(200)
            rig.new.resume()
            self.wait_streaming(rig)
            rig.admin.flip("new", max_pause_ms=PAUSE_MS)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_nothing_was_copied(self.assert_converged(rig))

    def relayed(self) -> tuple[Rig, Relay]:
        rig = self.rig_with_data()
        relay = Relay(rig.new.port)
        self.addCleanup(relay.stop)
        rig.proxy.new_url = relay.url
        return self.begin(rig), relay

    def test_a_promotion_that_is_confirmed_too_late(self) -> None:
        """Writes went on meanwhile: everything is copied again, and it says why."""
        rig, relay = self.relayed()
        self.replicate(rig)
        relay.set(delay=0.4)  # so the offset is known after 0.8 s, and the promotion after 1.6 s
        code, answer = rig.admin.flip_answer("new", max_pause_ms=1000)
        self.assertEqual(code, 409, answer)
        with rig.proxy.client() as client:
            client.set("written", "after the flip was given up")
        status = rig.admin.status()
        self.assertEqual((status["primary"], status["synced"]), ("old", "no"), status)
        relay.heal()
        rig.admin.wait_status(lambda status: status["secondary"] == "follow", 20, "it is known")
        rig.admin.wait_synced()
        self.assertIn("promoted later than it was waited for", rig.proxy.log())
        self.assert_converged(rig)
        with rig.new.client() as new:
            self.assertEqual(new.get("written"), b"after the flip was given up")

    def test_a_promotion_whose_answer_is_lost(self) -> None:
        rig, relay = self.relayed()
        self.replicate(rig)
        relay.set(delay=0.3)
        flipping = threading.Thread(target=lambda: rig.admin.flip_answer("new", max_pause_ms=900))
        flipping.start()
        wait_until(lambda: self.link(rig.new)[0] == "master", 20, "new is promoted", pause=0.005)
        relay.cut()
        relay.heal()
        flipping.join()
        with rig.proxy.client() as client:
            client.set("written", "afterwards")
        status = rig.admin.wait_status(lambda status: status["secondary"] == "follow", 20, "it is known")
        self.assertEqual(status["primary"], "old")
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_a_forced_flip_promotes_too(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        rig.old.kill()
        rig.admin.wait_status(lambda status: status["backends"]["old"]["state"] == "down", 20, "old is down")
        answer = rig.admin.flip("new", force=True, max_pause_ms=300)
        self.assertIn("lost", answer)
        with rig.proxy.client() as client:
            client.set("written", "on new")
            self.assertGreaterEqual(client.dbsize(), KEYS // 2)
        rig.old.start()
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_a_promotion_that_is_refused(self) -> None:
        """Its right was taken away since. The flip is given up, and the replica goes on."""
        rig = self.rig_with_data()
        rig.proxy.new_url = self.as_user(rig.new, "")
        self.begin(rig)
        self.replicate(rig)
        self.as_user(rig.new, "-replicaof")
        code, answer = rig.admin.flip_answer("new", max_pause_ms=300)
        self.assertEqual(code, 409)
        self.assertIn("can't be promoted: NOPERM", answer["reason"])
        self.wait_streaming(rig)
        self.assertEqual(self.link(rig.new), ("slave", "up"))


if __name__ == "__main__":
    main()
