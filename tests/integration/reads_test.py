"""Which store answers a read, what is compared, and how a store that lacks data is filled."""
import time
from typing import Callable

import redis

from admin import AdminError, wait_until
from harness import CrossfadeTest, Rig, main
from stores import contents, expiry_gaps, fill
from traffic import Load, LoadSpec, raw_client

KEYS = 1000


class ReadsTest(CrossfadeTest):
    def rig_that_tells_sides_apart(self, **options) -> tuple[Rig, redis.Redis]:
        """Each key holds the name of the store that it is read from."""
        rig = self.rig(**options)
        with raw_client(rig.proxy.port) as client:
            for number in range(KEYS):
                client.execute_command("SET", f"key:{number}", "old")
                client.execute_command("SET", f"session:{number}", "old")
                client.execute_command("SET", f"session:admin:{number}", "old")
        self.assert_converged(rig)
        with rig.new.client() as new:
            new.mset({key: "new" for key in new.scan_iter(count=1000)})
        return rig, raw_client(rig.proxy.port)

    def read_on_new(self, client: redis.Redis, prefix: str = "key:", command: str = "GET") -> set[int]:
        pipe = client.pipeline(transaction=False)
        for number in range(KEYS):
            pipe.execute_command(command, f"{prefix}{number}")
        answers = pipe.execute()
        self.assertLessEqual(set(answers), {b"old", b"new"})
        return {number for number, answer in enumerate(answers) if answer == b"new"}

    def test_a_percentage_by_key_hash(self) -> None:
        rig, client = self.rig_that_tells_sides_apart()
        self.assertEqual(self.read_on_new(client), set())
        before: set[int] = set()
        for percent in (1, 10, 50, 90, 100):
            rig.admin.routing(reads_new=percent)
            on_new = self.read_on_new(client)
            self.say(f"reads_new={percent}: {len(on_new)} of {KEYS} keys on new")
            self.assertAlmostEqual(len(on_new) / KEYS * 100, percent, delta=5)
            self.assertLessEqual(before, on_new, "raising the percentage only adds keys")
            self.assertEqual(self.read_on_new(client), on_new, "the same keys at the same percentage")
            before = on_new
        self.assertEqual(len(before), KEYS)
        reads = rig.admin.status()["reads"]
        self.assertGreater(reads["new"], 2 * KEYS)
        self.assertGreater(reads["old"], 2 * KEYS)
        rig.admin.routing(reads_new=0)
        self.assertEqual(self.read_on_new(client), set())

    def test_a_read_of_several_keys_goes_by_the_first(self) -> None:
        rig, client = self.rig_that_tells_sides_apart()
        rig.admin.routing(reads_new=50)
        on_new = self.read_on_new(client)
        one, other = min(on_new), min(set(range(KEYS)) - on_new)
        self.assertEqual(client.execute_command("MGET", f"key:{one}", f"key:{other}"), [b"new", b"new"])
        self.assertEqual(client.execute_command("MGET", f"key:{other}", f"key:{one}"), [b"old", b"old"])

    def test_at_random(self) -> None:
        rig, client = self.rig_that_tells_sides_apart()
        rig.admin.routing(reads_new=30, split="random")
        pipe = client.pipeline(transaction=False)
        for _ in range(2000):
            pipe.execute_command("GET", "key:1")
        share = pipe.execute().count(b"new") / 2000
        self.say(f"{share:.1%} of the reads of one key on new")
        self.assertAlmostEqual(share, 0.30, delta=0.06)

    def test_rules_by_prefix(self) -> None:
        rig, client = self.rig_that_tells_sides_apart(
            config='[[rule]]\nprefix = "session:"\nreads_new = 100\n'
                   '[[rule]]\nprefix = "session:admin:"\nreads_new = 0\n')
        self.assertEqual(len(self.read_on_new(client, "session:")), KEYS)
        self.assertEqual(self.read_on_new(client, "session:admin:"), set(), "the longest prefix counts")
        self.assertEqual(self.read_on_new(client), set())
        rig.admin.routing(reads_new=50)
        self.assertAlmostEqual(len(self.read_on_new(client)), KEYS / 2, delta=KEYS * 0.06)
        self.assertEqual(len(self.read_on_new(client, "session:")), KEYS)
        self.assertEqual(self.read_on_new(client, "session:admin:"), set())

    def test_reads_stay_on_new_over_a_flip(self) -> None:
        """reads_new names a store, not a role."""
        rig = self.rig()
        rig.admin.routing(reads_new=100)
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "key", "v")
        self.assert_converged(rig)
        for primary in ("new", "old"):
            rig.admin.flip(primary)
            before = rig.admin.status()["reads"]
            for _ in range(20):
                self.assertEqual(client.execute_command("GET", "key"), b"v")
            after = rig.admin.status()["reads"]
            self.assertEqual(after["new"] - before["new"], 20)
            self.assertEqual(after["old"], before["old"])

    def test_a_client_reads_its_own_writes_from_new(self) -> None:
        rig = self.rig()
        rig.admin.routing(reads_new=100)
        client = raw_client(rig.proxy.port)
        for number in range(3000):
            client.execute_command("SET", f"key:{number % 10}", number)
            self.assertEqual(client.execute_command("GET", f"key:{number % 10}"), b"%d" % number)
        pipe = client.pipeline(transaction=False)
        for number in range(3000):
            pipe.execute_command("INCR", "count")
            pipe.execute_command("GET", "count")
        answers = pipe.execute()
        self.assertEqual([int(answer) for answer in answers[1::2]], answers[0::2])
        self.assertGreater(rig.admin.status()["reads"]["new"], 5000)

    def test_a_dirty_key_is_never_read_from_the_secondary(self) -> None:
        rig, client = self.rig_that_tells_sides_apart(config="[repair]\nenabled = false\n")
        rig.admin.routing(reads_new=100)
        with rig.new.client() as new:
            new.delete("key:1")
            new.rpush("key:1", "of another type")
        self.assertEqual(client.execute_command("APPEND", "key:1", "!"), 4)
        wait_until(lambda: rig.admin.status()["dirty"]["keys"] == 1, 10, "the key is dirty")
        before = rig.admin.status()["reads"]["fallback"]
        for _ in range(10):
            self.assertEqual(client.execute_command("GET", "key:1"), b"old!")
            self.assertEqual(client.execute_command("MGET", "key:2", "key:1"), [b"old", b"old!"])
        self.assertGreaterEqual(rig.admin.status()["reads"]["fallback"] - before, 20)
        self.assertEqual(client.execute_command("GET", "key:2"), b"new")
        code, answer = rig.admin.flip_answer("new", max_pause_ms=200)
        self.assertEqual(code, 409, answer)
        self.assertRegex(answer["reason"], "(?i)dirty")

    def test_comparison_leaves_the_answer_alone(self) -> None:
        rig, client = self.rig_that_tells_sides_apart()
        rig.admin.routing(compare=100)
        for number in range(100):
            self.assertEqual(client.execute_command("GET", f"key:{number}"), b"old", "new is only compared")
        rig.admin.wait_status(lambda status: status["reads"]["mismatched"] == 100, 30, "each key is a mismatch")
        found = rig.admin.mismatches()
        self.assertEqual({item["key"] for item in found}, {f"key:{number}" for number in range(100)})
        self.assertEqual({item["command"].upper() for item in found}, {"GET"})
        self.assertEqual(self.read_on_new(client), set())  # many mismatches at once
        reads = rig.admin.wait_status(lambda status: status["reads"]["mismatched"] + status["reads"]["not_comparable"]
                                      >= KEYS, 30, "each other key is told as well")["reads"]
        self.assertGreater(reads["mismatched"], KEYS / 2)
        rig.admin.wait_settled()
        with rig.new.client() as new:
            self.assertEqual(set(new.mget([f"key:{number}" for number in range(100)])), {b"old"}, "found, so repaired")

    def test_a_share_of_the_reads_is_compared(self) -> None:
        rig = self.rig()
        rig.admin.routing(compare=20)
        client = raw_client(rig.proxy.port)
        pipe = client.pipeline(transaction=False)
        for number in range(3000):
            pipe.execute_command("GET", f"key:{number}")
        pipe.execute()
        wait_until(lambda: rig.admin.status()["lag"]["slots"] == 0, 10)
        compared = rig.admin.status()["reads"]["compared"]
        self.assertAlmostEqual(compared / 3000, 0.20, delta=0.07)
        self.assertEqual(rig.admin.status()["reads"]["mismatched"], 0)


class SyncedTest(CrossfadeTest):
    def rig_with_data_in_old(self, count: int = 3000, config: str = "") -> Rig:
        rig = self.rig(start=False, config=config)
        rig.old.start()
        rig.new.start()
        fill(rig.old.client(), count)
        with rig.old.client(db=3) as third:
            fill(third, 100, prefix="third:")
        rig.proxy.start()
        rig.wait_up("old", "new")
        return rig

    def assert_refused(self, act: Callable[[], object]) -> None:
        with self.assertRaises(AdminError) as caught:
            act()
        self.assertEqual(caught.exception.status, 409, caught.exception)
        self.assertRegex(caught.exception.reason, r"(?i)sync|backfill|lack|follow")

    def test_shifting_reads_waits_for_synced(self) -> None:
        rig = self.rig_with_data_in_old(200)
        self.assertEqual(rig.admin.status()["synced"], "no")
        self.assert_refused(lambda: rig.admin.routing(reads_new=10))
        self.assertEqual(rig.admin.status()["reads_new"], 0)
        self.assertEqual(len(contents(rig.new.client)), 0, "nothing is copied unasked")
        rig.admin.routing(reads_new=10, cold=True)
        self.assertEqual(rig.admin.status()["reads_new"], 10)

    def test_on_miss_primary_warms_a_cold_cache(self) -> None:
        rig = self.rig_with_data_in_old(200)
        rig.admin.routing(reads_new=100, on_miss="primary")
        client = raw_client(rig.proxy.port)
        with rig.old.client() as old:
            names = sorted(old.scan_iter(match="have:string:*"))
            values = old.mget(names)
        self.assertEqual([client.execute_command("GET", name) for name in names], values)
        wait_until(rig.admin.settled, 20, "settled")
        with rig.new.client() as new:
            wait_until(lambda: new.exists(*names) == len(names), 20, "what was missed is copied")
            self.assertEqual(new.mget(names), values)
        before = rig.admin.status()["reads"]["fallback"]
        self.assertEqual([client.execute_command("GET", name) for name in names], values)
        self.assertEqual(rig.admin.status()["reads"]["fallback"], before, "answered by new now")
        self.assertIsNone(client.execute_command("GET", "nowhere"))

    def test_backfill_of_every_type_under_load(self) -> None:
        rig = self.rig_with_data_in_old()
        with rig.new.client() as new:  # what old lacks, new must not have afterwards
            new.mset({f"stray:{number}": "x" for number in range(50)})
            new.set("have:list:1", "of another type")
        with Load(LoadSpec(port=rig.proxy.port, clients=8)) as load:
            load.wait_operations(200)
            rig.admin.start_backfill()
            wait_until(lambda: rig.admin.backfill()["state"] == "done", 60, "the backfill is done")
            progress = rig.admin.backfill()
            self.say(f"{progress}")
            load.wait_operations(200)
            self.assertTrue(load.stop().clean, load.stop().complaints())
        self.assertGreaterEqual(progress["keys_done"], 3100)
        self.assertEqual(rig.admin.status()["backfill"]["state"], "done")
        self.assertEqual(rig.admin.wait_synced()["synced"], "yes")
        self.assert_converged(rig)
        have = {key: value for key, value in contents(rig.old.client).items() if key[1].startswith((b"have", b"third"))}
        self.assertEqual(len(have), 3100)
        other = contents(rig.new.client)
        self.assertEqual(have, {key: other.get(key) for key in have}, "stream groups are not in the digest")
        gaps = [gap for gap in expiry_gaps(rig.old.client, rig.new.client) if gap[1][1].startswith(b"have")]
        self.say(f"largest difference of {len(gaps)} lifetimes: {gaps[0][0]} ms")
        self.assertLess(gaps[min(2, len(gaps) - 1)][0], 50)
        rig.admin.routing(reads_new=10)
        self.assertTrue(rig.admin.flip("new", max_pause_ms=5000)["flipped"])

    def test_a_backfill_can_be_stopped_and_asked_for_again(self) -> None:
        rig = self.rig_with_data_in_old(3000, config="[backfill]\nkeys_per_second = 500\n")
        rig.admin.start_backfill()
        wait_until(lambda: rig.admin.backfill()["keys_done"] > 50, 20, "some keys copied")
        self.assertIn(rig.admin.status()["synced"], ("no", "copying"))
        self.assert_refused(lambda: rig.admin.flip("new", max_pause_ms=200))
        rig.admin.stop_backfill()
        wait_until(lambda: rig.admin.backfill()["state"] != "running", 10, "stopped")
        self.assertNotEqual(rig.admin.status()["synced"], "yes")
        self.assertNotEqual(rig.admin.backfill()["state"], "done")
        rig.admin.start_backfill()
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_journal_and_then_follow(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        for number in range(100):
            client.execute_command("SET", f"before:{number}", number)
        self.assert_converged(rig)
        rig.admin.routing(secondary="journal")
        for number in range(300):
            client.execute_command("SET", f"during:{number % 150}", number)
            client.execute_command("RPUSH", "during:list", number)
        client.execute_command("DEL", "before:7")
        status = rig.admin.status()
        self.say(f"synced {status['synced']}, dirty {status['dirty']}")
        self.assertEqual(status["secondary"], "journal")
        self.assertEqual(status["dirty"]["keys"], 152)
        with rig.new.client() as new:
            self.assertEqual(new.dbsize(), 100, "nothing is sent to new")
        self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=200)[0], 409)
        rig.admin.routing(secondary="follow")
        client.execute_command("RPUSH", "during:list", "after")
        self.assert_converged(rig)
        with rig.new.client() as new:
            self.assertEqual(new.dbsize(), 99 + 151)

    def test_off_is_not_synced(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "before", "x")
        self.assert_converged(rig)
        rig.admin.routing(secondary="off")
        self.assertEqual(rig.admin.status()["synced"], "no")
        for number in range(50):
            client.execute_command("SET", f"key:{number}", number)
        with rig.new.client() as new:
            self.assertEqual(new.dbsize(), 1)
        self.assert_refused(lambda: rig.admin.routing(reads_new=10))
        self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=200)[0], 409)
        rig.admin.routing(secondary="follow")
        client.execute_command("SET", "followed", "x")
        self.assertNotEqual(rig.admin.status()["synced"], "yes")
        rig.admin.wait_synced()  # all of it is copied, without being asked for
        self.assert_converged(rig)
        rig.admin.routing(reads_new=10)

    def test_ack_both_waits_for_the_secondary(self) -> None:
        rig = self.rig(config="[timeouts]\nack = \"300ms\"\n")
        rig.admin.routing(ack="both")
        client = raw_client(rig.proxy.port)
        with rig.new.client() as new:
            for number in range(300):
                client.execute_command("SET", "key", number)
                self.assertEqual(new.get("key"), b"%d" % number, "acknowledged, therefore on both")
            rig.new.pause()
            begin = time.monotonic()
            with self.assertRaisesRegex(redis.ResponseError, r"(?i)primary"):
                client.execute_command("SET", "key", "late")
            self.assertLess(time.monotonic() - begin, 10)
            rig.new.resume()
            self.assertEqual(client.execute_command("GET", "key"), b"late")
        self.assert_converged(rig)

    def test_a_full_primary_is_no_mismatch(self) -> None:
        """SORT counts as a write for a server that has no memory left: one refuses it, the other answers."""
        rig = self.rig(config="[routing]\ncompare = 100\n")
        client = raw_client(rig.proxy.port)
        client.execute_command("RPUSH", "list", "b", "a")
        self.assert_converged(rig)
        with rig.old.client() as old:
            old.config_set("maxmemory-policy", "noeviction")
            old.config_set("maxmemory", 1)
        with self.assertRaisesRegex(redis.ResponseError, "OOM|maxmemory"):
            client.execute_command("SORT", "list", "ALPHA")
        status = rig.admin.wait_status(lambda status: status["reads"]["not_comparable"] > 0, 10, "looked at again")
        self.assertEqual(status["reads"]["mismatched"], 0)
        self.assert_converged(rig)


if __name__ == "__main__":
    main()
