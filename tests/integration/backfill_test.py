"""A backfill held, gone on with, narrowed and slowed, over restarts of the proxy; and what it can't copy, by name."""
from __future__ import annotations

import json
import signal
import time
from typing import Any

from admin import AdminError, wait_until
from harness import CrossfadeTest, Rig, main
from stores import fill

KEYS = 3000
SLOW = 400  # keys a second


class BackfillCase(CrossfadeTest):
    def filled(self, keys: int = KEYS, **options: Any) -> Rig:
        """Stores of which old has so many keys, and a proxy that has reached both."""
        rig = self.rig(start=False, **options)
        rig.old.start()
        rig.new.start()
        fill(rig.old.client(), keys)
        rig.proxy.start()
        rig.wait_up("old", "new")
        return rig

    def start(self, rig: Rig, **options: Any) -> dict:
        return rig.admin.call("POST", "/api/v1/backfill", options)

    def change(self, rig: Rig, **change: Any) -> dict:
        return rig.admin.call("PATCH", "/api/v1/backfill", change)

    def wait_done(self, rig: Rig, least: int, timeout: float = 30) -> dict:
        def far_enough() -> dict | None:
            backfill = rig.admin.backfill()
            return backfill if backfill["keys_done"] >= least else None
        return wait_until(far_enough, timeout, f"{least} keys are copied")

    def wait_end(self, rig: Rig, state: str = "done", timeout: float = 60) -> dict:
        wait_until(lambda: rig.admin.backfill()["state"] == state, timeout, f"the backfill is {state}")
        return rig.admin.backfill()

    def assert_equal_and_synced(self, rig: Rig) -> None:
        rig.admin.wait_synced()
        old, new = rig.equal_digests()
        self.assertEqual(old, new)


class PaceTest(BackfillCase):
    def test_is_held_and_goes_on_at_another_rate(self) -> None:
        rig = self.filled()
        self.start(rig, keys_per_second=SLOW)
        self.wait_done(rig, 200)
        held = self.change(rig, paused=True)
        self.assertEqual(held["state"], "paused")
        # What was in flight ends; then nothing moves.
        wait_until(lambda: rig.admin.status()["lag"]["slots"] == 0, 10, "nothing is in flight")
        before = rig.admin.backfill()
        time.sleep(0.5)
        after = rig.admin.backfill()
        self.assertEqual((after["state"], after["keys_done"]), ("paused", before["keys_done"]))
        self.assertLess(after["keys_done"], KEYS)
        self.assertEqual(rig.admin.status()["synced"], "copying")
        self.change(rig, paused=False, keys_per_second=100_000)
        done = self.wait_end(rig)
        self.assertEqual((done["keys_failed"], done["percent"]), (0, 100))
        self.assertGreaterEqual(done["keys_done"], KEYS)
        self.assertGreater(done["bytes"], KEYS)
        self.assert_equal_and_synced(rig)

    def test_tells_how_far_and_how_fast(self) -> None:
        rig = self.filled()
        self.start(rig, keys_per_second=SLOW)
        self.wait_done(rig, 400)
        backfill = wait_until(lambda: (now := rig.admin.backfill()).get("seconds_left") and now, 10, "a time is told")
        self.assertEqual(backfill["phase"], "copying")
        self.assertEqual(backfill["keys_total"], sum(int(db["keys"]) for db in self.keyspace(rig)))
        self.assertTrue(0 < backfill["percent"] < 100, backfill)
        self.assertTrue(0 < backfill["keys_per_second"] < 3 * SLOW, backfill)
        rig.admin.stop_backfill()
        self.assertEqual(self.wait_end(rig, "failed")["why"], "cancelled")
        self.assertEqual(rig.admin.status()["synced"], "no")

    def keyspace(self, rig: Rig) -> list[dict]:
        return list(rig.old.client().info("keyspace").values())

    def test_mistakes_are_told(self) -> None:
        rig = self.filled(10)
        for body, word in (({"match": 1}, "match"), ({"db": -1}, "db"), ({"keys_per_second": "x"}, "keys_per_second"),
                           ({"speed": 1}, "unknown field")):
            status, answer = rig.admin.request("POST", "/api/v1/backfill", body)
            self.assertEqual(status, 400)
            self.assertIn(word, answer["error"])
        status, answer = rig.admin.request("POST", "/api/v1/backfill", {"db": 16})
        self.assertEqual((status, answer["error"]), (409, "old has the databases 0 to 15"))
        status, answer = rig.admin.request("PATCH", "/api/v1/backfill", {"paused": True})
        self.assertEqual((status, answer["error"]), (409, "no backfill is running"))


class ScopeTest(BackfillCase):
    def test_only_what_is_named_is_copied(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        for db in (0, 3):
            old, new = rig.old.client(db=db), rig.new.client(db=db)
            for number in range(300):
                old.set(f"user:{number}", number)
                old.rpush(f"list:{number}", number)
            new.set("user:stale", "only here")
            new.set("other:stale", "only here")
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.start(rig, match="user:*", db=3)
        self.assertEqual(self.wait_end(rig)["keys_done"], 300)
        self.assertEqual(self.names(rig, 3), {"other:stale"} | {f"user:{number}" for number in range(300)})
        self.assertEqual(self.names(rig, 0), {"user:stale", "other:stale"})
        self.start(rig, type="list")
        self.assertEqual(self.wait_end(rig)["keys_done"], 600)
        self.assertIn("list:7", self.names(rig, 0))
        self.assertNotIn("user:7", self.names(rig, 0))
        status = rig.admin.status()
        self.assertEqual(status["synced"], "no", "a part says nothing of the whole")
        self.start(rig, type="lisst")
        self.assertEqual(self.wait_end(rig)["why"], "no key is like that")
        self.start(rig)
        self.wait_end(rig)
        self.assert_equal_and_synced(rig)

    def names(self, rig: Rig, db: int) -> set[str]:
        return {key.decode() for key in rig.new.client(db=db).keys("*")}


class RestartTest(BackfillCase):
    def test_kill_9_in_the_middle(self) -> None:
        rig = self.filled()
        self.start(rig, keys_per_second=SLOW)
        saved = wait_until(lambda: (place := self.saved(rig)["keys_done"]) > 300 and place, 30, "its place is saved")
        rig.proxy.kill()
        client = rig.old.client()
        restored = rig.new.client().info("commandstats")["cmdstat_restore"]["calls"]
        rig.proxy.start()
        backfill = wait_until(lambda: (now := rig.admin.backfill())["resumed"] and now, 20, "it goes on by itself")
        self.assertGreaterEqual(backfill["keys_done"], saved)
        self.change(rig, keys_per_second=100_000)
        done = self.wait_end(rig)
        self.assertGreaterEqual(done["keys_done"], client.dbsize())
        self.assert_equal_and_synced(rig)
        # The first half went on: what it had copied was copied once more by the second half at most.
        again = rig.new.client().info("commandstats")["cmdstat_restore"]["calls"] - restored
        self.say(f"{saved} keys were done when it was saved, {restored} copied when it was killed, {again} afterwards")
        self.assertLess(done["keys_done"], client.dbsize() + restored)

    def saved(self, rig: Rig) -> dict:
        return json.loads((rig.proxy.state_dir / "backfill.json").read_text())

    def test_an_orderly_restart_of_a_held_one(self) -> None:
        rig = self.filled()
        self.start(rig, keys_per_second=SLOW, match="have:*")
        self.wait_done(rig, 200)
        self.change(rig, paused=True)
        self.assertEqual(rig.proxy.end(signal.SIGTERM), 0)
        rig.proxy.start()
        rig.wait_up("old", "new")
        wait_until(lambda: rig.admin.backfill()["resumed"], 20, "it is there again")
        held = rig.admin.backfill()
        self.assertEqual((held["state"], held["scope"]), ("paused", {"match": "have:*"}))
        self.change(rig, paused=False, keys_per_second=100_000)
        self.wait_end(rig)
        rig.admin.wait_settled()
        self.assertEqual(*rig.equal_digests())

    def test_what_is_done_is_still_told(self) -> None:
        rig = self.filled(100)
        self.start(rig)
        done = self.wait_end(rig)
        rig.proxy.end(signal.SIGTERM)
        rig.proxy.start()
        told = rig.admin.backfill()
        self.assertEqual([told[name] for name in ("state", "keys_done", "ended_ms")],
                         [done[name] for name in ("state", "keys_done", "ended_ms")])

    def test_another_process_of_the_primary_makes_it_begin_anew(self) -> None:
        rig = self.filled()
        self.start(rig, keys_per_second=SLOW)
        wait_until(lambda: self.saved(rig)["keys_done"] > 300, 30, "its place is saved")
        rig.proxy.kill()
        rig.old.client().save()
        rig.old.kill()
        rig.old.start()
        rig.proxy.start()
        wait_until(lambda: "event=backfill_anew" in rig.proxy.log(), 20, "a cursor means nothing to another process")
        self.change(rig, keys_per_second=100_000)
        self.wait_end(rig)
        self.assert_equal_and_synced(rig)


class RefusedKeysTest(BackfillCase):
    def test_keys_that_could_not_be_copied_are_named_with_the_reason(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        old, new = rig.old.client(), rig.new.client()
        for number in range(50):
            old.set(f"open:{number}", number)
        old.set("closed:1", "x")
        old.set(b"closed:\xff", "x")
        new.execute_command("ACL", "SETUSER", "mover", "on", ">secret", "allcommands", "~open:*", "~__crossfade*", "&*")
        rig.proxy.new_url = rig.new.url.replace("redis://", "redis://mover:secret@")
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.start(rig)
        done = self.wait_end(rig)
        self.assertEqual(done["keys_failed"], 2)
        self.assertEqual(sorted(entry["key"] for entry in done["failed"]), ["closed:1", "closed:\ufffd"])
        for entry in done["failed"]:
            self.assertIn("NOPERM", entry["reason"])
        self.assertEqual(rig.admin.status()["dirty"]["keys"], 2, "they are not forgotten")
        new.execute_command("ACL", "SETUSER", "mover", "~*")
        rig.admin.wait_synced()
        self.assertEqual(rig.admin.backfill()["failed"], [], "they have been copied since")
        self.assertEqual(*rig.equal_digests())


class SnapshotTest(BackfillCase):
    """secondary = "journal": a snapshot of the primary, and the keys written since."""

    def journalling(self, keys: int = KEYS, **options: Any) -> Rig:
        rig = self.filled(keys, **options)
        rig.admin.routing(secondary="journal")
        time.sleep(1.1)  # a server tells in whole seconds when it began a snapshot
        return rig

    def load_into_new(self, rig: Rig) -> None:
        """BGSAVE of old; new is started with that file."""
        old = rig.old.client()
        before = old.lastsave()
        old.bgsave()
        wait_until(lambda: not old.info("persistence")["rdb_bgsave_in_progress"] and old.lastsave() >= before, 30, "saved")
        rig.new.kill()
        (rig.new.directory / "dump.rdb").write_bytes((rig.old.directory / "dump.rdb").read_bytes())
        rig.new.start()
        rig.wait_up("new")

    def follow(self, rig: Rig, **options: Any) -> dict:
        return rig.admin.routing(secondary="follow", snapshot_loaded=True, **options)

    def test_only_what_was_written_since_is_copied(self) -> None:
        rig = self.journalling()
        client = rig.proxy.client()
        names = rig.old.client().keys("have:*")
        written = set()

        def write(begin: int) -> None:
            for number in range(begin, begin + 100):
                client.set(f"since:{number}", number)
                written.add(f"since:{number}")
            client.delete(names[begin])
            written.add(names[begin])
        write(0)
        self.load_into_new(rig)
        write(1000)
        # A difference that nobody knows of shows that nothing but the written keys was copied.
        rig.new.client().set("planted", "x")
        self.assertEqual(self.follow(rig)["synced"], "yes")
        write(2000)
        status = rig.admin.wait_synced()
        rig.new.client().delete("planted")
        self.assertEqual(*rig.equal_digests())
        self.say(f"{rig.old.client().dbsize()} keys, {len(written)} written since the journal began, "
                 f"{status['dirty']['repaired']} copied")
        self.assertLessEqual(status["dirty"]["repaired"], len(written))
        self.assertEqual(status["backfill"]["state"], "idle")

    def test_a_kill_9_in_between_forgets_nothing(self) -> None:
        rig = self.journalling(300)
        client = rig.proxy.client()
        client.set("before", "1")
        rig.proxy.kill()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.proxy.client().set("after", "1")
        self.load_into_new(rig)
        rig.new.client().delete("before", "after")
        self.follow(rig)
        rig.admin.wait_synced()
        self.assertEqual(*rig.equal_digests())

    def test_what_is_refused(self) -> None:
        rig = self.filled(300)
        self.assert_refused(rig, "written keys were not remembered")
        rig.admin.routing(secondary="journal")
        self.assert_refused(rig, "the secondary is empty")
        rig.new.client().set("x", 1)
        self.assert_refused(rig, "begun")
        with self.assertRaises(AdminError) as wrong:
            rig.admin.routing(secondary="journal", snapshot_loaded=True)
        self.assertEqual(wrong.exception.status, 400)
        # On the operator's word.
        self.assertEqual(self.follow(rig, snapshot_elsewhere=True)["synced"], "yes")

    def test_stores_that_agree_need_no_snapshot(self) -> None:
        rig = self.rig()
        rig.admin.routing(secondary="journal")
        with self.assertRaises(AdminError) as refused:
            self.follow(rig)
        self.assertIn("needs no snapshot", refused.exception.reason)

    def assert_refused(self, rig: Rig, reason: str) -> None:
        with self.assertRaises(AdminError) as refused:
            self.follow(rig)
        self.assertEqual(refused.exception.status, 409)
        self.assertIn(reason, refused.exception.reason)
        self.assertNotEqual(rig.admin.status()["synced"], "yes")

    def test_too_many_written_keys_ask_for_another_snapshot(self) -> None:
        rig = self.journalling(300, config="[limits]\ndirty_keys = 100\n")
        client = rig.proxy.client()
        for number in range(200):
            client.set(f"many:{number}", number)
        self.load_into_new(rig)
        self.assert_refused(rig, "more keys were written than can be remembered")
        rig.admin.routing(secondary="journal")
        time.sleep(1.1)
        client.set("one", "more")
        self.load_into_new(rig)
        self.follow(rig)
        rig.admin.wait_synced()
        self.assertEqual(*rig.equal_digests())


if __name__ == "__main__":
    main()
