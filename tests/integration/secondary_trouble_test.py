"""The secondary stops, dies, is full or refuses: no client notices, and afterwards it holds what the primary holds."""
import subprocess
import time

import redis

from admin import wait_until
from harness import HOST, LONG, CrossfadeTest, Rig, free_port, main
from traffic import Load, LoadSpec, raw_client

STOPPED_SECONDS = 10.0 if LONG else 4.0
BEFORE, DURING, AFTER = 0, 1, 2
FAST_REPAIR = "[repair]\nkeys_per_second = 20000\n"


class SecondaryTroubleTest(CrossfadeTest):
    def assert_clean(self, load: Load) -> None:
        result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assertGreater(result.checks, 100)

    def stop_secondary_under_load(self, rig: Rig, load: Load) -> None:
        """SIGSTOP for a while under load; prints the clients' latencies and bounds them generously."""
        load.wait_operations(1000)
        load.phase(DURING)
        rig.new.pause()
        begin = load.operations
        time.sleep(STOPPED_SECONDS)
        self.assertGreater(load.operations, begin + 100, "the clients came to a stop with the secondary")
        rig.new.resume()
        load.phase(AFTER)
        load.wait_operations(500)
        result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        before, during = (result.percentile_ms(99, phase) for phase in (BEFORE, DURING))
        self.say(f"clients' p99 before {before:.2f} ms, with the secondary stopped {during:.2f} ms "
                 f"(p50 {result.percentile_ms(50, BEFORE):.2f} and {result.percentile_ms(50, DURING):.2f} ms)")
        self.assertLess(during, before * 10 + 50)

    def test_a_stopped_secondary_slows_no_client(self) -> None:
        rig = self.rig()
        with Load(LoadSpec(port=rig.proxy.port, think_ms=8)) as load:
            self.stop_secondary_under_load(rig, load)
        self.assert_converged(rig)

    def test_shifted_reads_are_answered_by_the_primary_meanwhile(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        for number in range(50):
            client.execute_command("SET", f"key:{number}", number)
        self.assert_converged(rig)
        rig.admin.routing(reads_new=100)
        rig.new.pause()
        slowest = 0.0
        for number in range(50):
            begin = time.monotonic()
            self.assertEqual(client.execute_command("GET", f"key:{number}"), b"%d" % number)
            slowest = max(slowest, time.monotonic() - begin)
        self.say(f"slowest read {slowest * 1000:.0f} ms")
        self.assertLess(slowest, 5)
        rig.new.resume()
        self.assertGreater(rig.admin.status()["reads"]["fallback"], 0)
        self.assert_converged(rig)
        rig.admin.wait_synced()
        wait_until(lambda: self.answered_by_new(rig, client), 20, "reads go to new again")

    def answered_by_new(self, rig: Rig, client: redis.Redis) -> bool:
        before = rig.admin.status()["reads"]["new"]
        client.execute_command("GET", "key:1")
        return rig.admin.status()["reads"]["new"] > before

    def test_killed_and_restarted_empty(self) -> None:
        rig = self.rig(config=FAST_REPAIR)
        with raw_client(rig.proxy.port) as client:
            for number in range(2000):
                client.execute_command("SET", f"written:once:{number}", number)
        self.assert_converged(rig)
        with Load(LoadSpec(port=rig.proxy.port)) as load:
            load.wait_operations(1000)
            rig.new.kill()
            load.wait_operations(1000)
            rig.admin.wait_status(lambda status: status["backends"]["new"]["state"] != "up" and
                                  any("new" in line for line in status["attention"]), 10, "new told as down")
            code, _ = rig.admin.request("GET", "/readyz")
            self.assertEqual(code, 200, "a dead secondary must not take the proxy out of rotation")
            rig.new.start()
            load.wait_operations(1000)
            rig.admin.wait_synced()
            load.wait_operations(200)
            self.assert_clean(load)
        self.assert_converged(rig)
        with rig.new.client() as new:
            self.assertEqual(new.get("written:once:7"), b"7")

    def test_reads_are_not_shifted_to_a_secondary_that_lost_its_data(self) -> None:
        rig = self.rig(config="[backfill]\nkeys_per_second = 300\n")
        client = raw_client(rig.proxy.port)
        for number in range(1500):
            client.execute_command("SET", f"key:{number}", number)
        self.assert_converged(rig)
        rig.admin.routing(reads_new=100)
        rig.new.restart_empty()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            for number in range(0, 1500, 50):
                self.assertEqual(client.execute_command("GET", f"key:{number}"), b"%d" % number)
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_killed_again_and_again_under_load(self) -> None:
        rig = self.rig(config=FAST_REPAIR)
        with Load(LoadSpec(port=rig.proxy.port)) as load:
            for _ in range(5):
                load.wait_operations(400)
                rig.new.restart_empty()
            load.wait_operations(400)
            self.assert_clean(load)
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_connections_cut_under_load(self) -> None:
        """The same store with the same data: only what was on its way is doubtful."""
        rig = self.rig()
        with Load(LoadSpec(port=rig.proxy.port)) as load:
            with rig.new.client() as new:
                for _ in range(20):
                    load.wait_operations(150)
                    new.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            load.wait_operations(300)
            self.assert_clean(load)
        self.assert_converged(rig)
        self.assertEqual(rig.admin.wait_synced()["synced"], "yes")

    def test_databases_beyond_65535(self) -> None:
        """A key is repaired in its own database, however high its number."""
        many = ("--databases", "65600")
        rig = self.rig(old_args=many, new_args=many, config=FAST_REPAIR)
        rig.admin.wait_synced()
        rig.admin.routing(secondary="journal")
        with raw_client(rig.proxy.port) as client:
            for db in (65_537, 1, 65_599):
                client.execute_command("SELECT", db)
                client.execute_command("SET", "k", f"of {db}")
        rig.admin.routing(secondary="follow")
        rig.admin.wait_synced()
        for server in (rig.old, rig.new):
            with server.client() as client:
                self.assertEqual(client.info("keyspace").keys(), {"db1", "db65537", "db65599"})
        self.assert_converged(rig)

    def test_a_full_queue_becomes_dirty_keys(self) -> None:
        rig = self.rig(config='[limits]\nsecondary_queue = "256KiB"\n' + FAST_REPAIR)
        client = raw_client(rig.proxy.port)
        before = rig.proxy.resident_mib()
        rig.new.pause()
        for number in range(8000):
            client.execute_command("SET", f"big:{number % 500}", b"%d" % number + b"x" * 16_000)
            client.execute_command("RPUSH", f"list:{number % 100}", number)
        status = rig.admin.status()
        grown = rig.proxy.resident_mib() - before
        self.say(f"lag {status['lag']}, dirty {status['dirty']}, the proxy has grown by {grown:.0f} MiB")
        self.assertGreater(status["dirty"]["keys"], 0)
        self.assertLessEqual(status["dirty"]["keys"], 600)
        self.assertFalse(status["dirty"]["overflowed"])
        self.assertLess(grown, 40, "of the 128 MB that were written")
        rig.new.resume()
        self.assert_converged(rig)

    def test_stopped_at_full_write_load(self) -> None:
        """More than the queue holds: the memory stays under its limits, and the secondary catches up."""
        rig = self.rig(config=FAST_REPAIR)
        rig.new.pause()
        subprocess.run(["redis-benchmark", "-h", HOST, "-p", str(rig.proxy.port), "-t", "set", "-c", "20", "-P", "16",
                        "-n", "300000", "-r", "50000", "-d", "300", "-q"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=120)
        status, peak = rig.admin.status(), rig.proxy.resident_mib("VmHWM")
        self.say(f"lag {status['lag']}, dirty {status['dirty']['keys']}, peak {peak:.0f} MiB")
        self.assertGreater(status["lag"]["overflows"], 0, status["lag"])
        self.assertFalse(status["dirty"]["overflowed"])
        # The queue's limit, a few hundred bytes for each dirty key, and the proxy itself. Sanitizers double all that.
        overhead = 2.5 if "/asan/" in rig.proxy.binary else 6 if "/tsan/" in rig.proxy.binary else 1
        self.assertLess(peak, (64 + 50_000 * 400 / (1 << 20) + 48) * overhead)
        rig.new.resume()
        self.assert_converged(rig)
        self.assertEqual(rig.admin.status()["synced"], "yes")

    def test_too_many_dirty_keys_become_a_sweep(self) -> None:
        rig = self.rig(config='[limits]\nsecondary_queue = "64KiB"\ndirty_keys = 200\n' + FAST_REPAIR)
        client = raw_client(rig.proxy.port)
        client.execute_command("SET", "deleted meanwhile", "x")
        self.assert_converged(rig)
        rig.new.pause()
        for number in range(3000):
            client.execute_command("SET", f"key:{number}", b"x" * 6000)
        client.execute_command("DEL", "deleted meanwhile")
        status = rig.admin.status()
        self.say(f"synced {status['synced']}, dirty {status['dirty']}")
        self.assertTrue(status["dirty"]["overflowed"], status)
        self.assertNotEqual(status["synced"], "yes")
        self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=200)[0], 409)
        rig.new.resume()
        self.assertFalse(rig.admin.wait_synced()["dirty"]["overflowed"])
        self.assert_converged(rig)

    def test_out_of_memory_on_the_secondary(self) -> None:
        rig = self.rig(config=FAST_REPAIR)
        with Load(LoadSpec(port=rig.proxy.port)) as load:
            load.wait_operations(300)
            with rig.new.client() as new:
                new.config_set("maxmemory-policy", "noeviction")
                new.config_set("maxmemory", "1mb")
                load.wait_operations(1000)
                status = rig.admin.status()
                self.assertGreater(status["writes"]["refused_by_secondary"], 0, status)
                new.config_set("maxmemory", 0)
            load.wait_operations(300)
            self.assert_clean(load)
        self.assert_converged(rig)

    def test_a_secondary_that_became_a_replica_refuses_writes(self) -> None:
        rig = self.rig(config=FAST_REPAIR)
        with Load(LoadSpec(port=rig.proxy.port)) as load:
            load.wait_operations(300)
            with rig.new.client() as new:
                new.replicaof(HOST, free_port())
                load.wait_operations(1000)
                self.assertGreater(rig.admin.status()["dirty"]["keys"], 0)
                self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=200)[0], 409)
                new.replicaof("NO", "ONE")
            load.wait_operations(300)
            self.assert_clean(load)
        self.assert_converged(rig)

    def test_changes_behind_the_back_are_noticed_by_writes_and_repaired(self) -> None:
        rig = self.rig()
        client = raw_client(rig.proxy.port)
        for number in range(10):
            client.execute_command("SET", f"count:{number}", 5)
            client.execute_command("RPUSH", f"list:{number}", "a", "b")
        self.assert_converged(rig)
        with rig.new.client() as new:
            for number in range(10):
                new.set(f"count:{number}", 100 + number)
                new.delete(f"list:{number}")
                new.set(f"list:{number}", "of another type")
        for number in range(10):
            self.assertEqual(client.execute_command("INCR", f"count:{number}"), 6)
            self.assertEqual(client.execute_command("RPUSH", f"list:{number}", "c"), 3)
        status = self.assert_converged(rig)
        self.assertGreaterEqual(status["writes"]["diverged"] + status["writes"]["refused_by_secondary"], 20, status)
        self.assertGreater(status["writes"]["diverged"], 0)


if __name__ == "__main__":
    main()
