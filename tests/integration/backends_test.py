"""The secondary is slow, silent, full, read-only, locked or mad: no client notices, the breaker leaves it alone, and
afterwards it holds what the primary holds."""
import concurrent.futures
import shutil
import time
from typing import Any, Callable

import redis

from admin import wait_until
from harness import HOST, LONG, Rig, free_port, main
from traffic import Load, LoadSpec, raw_client
from trouble import QUICK, REPAIR, TroubleTest


class SlowTest(TroubleTest):
    def test_200_ms_away_it_follows_and_nobody_waits(self) -> None:
        rig, relay = self.relayed(config=REPAIR)
        client = raw_client(rig.proxy.port)
        relay.set(delay=0.2)
        self.assert_unnoticed(self.write(client, 300))
        status = rig.admin.wait_status(lambda status: status["backends"]["new"]["latency_us"]["p50"] >= 200_000, 20,
                                       "the delay shows in the status")
        self.assertEqual(status["backends"]["new"]["breaker"]["opened"], 0)
        self.assertEqual(self.assert_converged(rig)["dirty"]["repaired"], 0, "it followed, nothing was copied")

    def test_200_ms_away_reads_are_kept_from_it_and_writes_are_not(self) -> None:
        rig, relay = self.relayed(config=QUICK.replace("500ms", "30s"))
        client = raw_client(rig.proxy.port)
        self.write(client, 50)
        self.assert_converged(rig)
        relay.set(delay=0.2)
        rig.admin.routing(reads_new=100)

        def kept_away() -> bool:
            self.assertEqual(client.execute_command("GET", "key:1"), b"value 1")
            return self.breaker(rig)["reads"] == "open"
        wait_until(kept_away, 30, "reads are kept away")
        before = rig.admin.status()
        self.assert_unnoticed(self.write(client, 100, "meanwhile"))
        status = rig.admin.status()
        self.assertEqual(status["backends"]["new"]["breaker"]["state"], "closed")
        self.assertEqual(status["dirty"]["marked"]["breaker_open"], 0)
        self.assertGreaterEqual(status["reads"]["fallback"], before["reads"]["fallback"] + 100)
        relay.heal()
        wait_until(lambda: self.breaker(rig)["reads"] == "closed", 30, "reads go there again")
        self.assert_converged(rig)
        begin = rig.admin.status()["reads"]["new"]
        self.assertEqual(client.execute_command("GET", "key:1"), b"value 1")
        self.assertEqual(rig.admin.status()["reads"]["new"], begin + 1)

    def test_one_byte_a_second(self) -> None:
        rig, relay = self.relayed(config=QUICK)
        client = raw_client(rig.proxy.port)
        self.write(client, 50)
        relay.set(rate=1.0)
        self.write_until_open(rig, client, "has not been answered")
        self.assert_left_alone(rig, client)
        relay.heal()
        self.assert_well_again(rig)

    def test_stopped(self) -> None:
        """SIGSTOP: shifted reads fall back at once, after the first few have waited."""
        rig = self.rig(config=QUICK + '[timeouts]\nread = "200ms"\n')
        client = raw_client(rig.proxy.port)
        self.write(client, 50)
        self.assert_converged(rig)
        rig.admin.routing(reads_new=100, compare=50)
        rig.new.pause()
        self.wait_breaker_while_writing(rig, client)
        before = rig.admin.status()
        self.assert_unnoticed(self.write(client, 100))
        status = rig.admin.status()
        self.assertGreaterEqual(status["reads"]["fallback"], before["reads"]["fallback"] + 100)
        self.assertGreater(status["reads"]["not_comparable"], before["reads"]["not_comparable"])
        self.assertEqual(status["reads"]["compared"], before["reads"]["compared"])
        rig.new.resume()
        self.assert_well_again(rig)
        self.assertEqual(rig.admin.status()["reads"]["mismatched"], 0)
        log = rig.proxy.log()
        for word in ("event=breaker", "state=open", "state=half_open", "state=closed"):
            self.assertIn(word, log)

    def wait_breaker_while_writing(self, rig: Rig, client: redis.Redis) -> None:
        def written() -> bool:
            self.write(client, 1)
            return self.breaker(rig)["state"] == "open"
        wait_until(written, 30, "breaker open")

    def test_half_open_connections(self) -> None:
        """It takes what is sent and never answers nor closes: cut after timeouts.response; new ones are no better."""
        rig, relay = self.relayed(config=QUICK + '[timeouts]\nresponse = "1s"\nconnect = "300ms"\n')
        client = raw_client(rig.proxy.port)
        self.write(client, 50)
        relay.set(blackhole=True)
        self.write_until(rig, client, lambda status: status["backends"]["new"]["state"] != "up", "it counts as down")
        begin = relay.accepted
        self.write_until(rig, client, lambda _: relay.accepted >= begin + 2, "it is tried again and again")
        relay.heal()
        rig.wait_up("new")
        self.assert_well_again(rig)

    def test_connections_refused_and_cut(self) -> None:
        rig, relay = self.relayed(config=QUICK)
        client = raw_client(rig.proxy.port)
        for _ in range(5):
            self.write(client, 20)
            relay.cut()
        relay.refuse()
        relay.cut()
        self.write_until(rig, client, lambda status: status["backends"]["new"]["state"] == "down", "down")
        relay.accept()
        rig.wait_up("new")
        self.assert_well_again(rig)


class RefusingTest(TroubleTest):
    def refuse_and_heal(self, rig: Rig, reason: str, heal: Callable[[], Any]) -> dict:
        client = raw_client(rig.proxy.port)
        self.write(client, 20, "before")
        status = self.write_until_open(rig, client, reason)
        self.assertGreater(status["writes"]["refused_by_secondary"], 0)
        self.assert_left_alone(rig, client)
        writes, copies = status["writes"]["refused_by_secondary"], status["dirty"]["copies_failed"]
        self.say(f"{writes} writes and {copies} copies were refused before it was left alone")
        heal()
        return self.assert_well_again(rig)

    def test_readonly_after_its_failover(self) -> None:
        rig = self.rig(config=QUICK)
        with rig.new.client() as new:
            raw_client(rig.proxy.port).ping()
            new.replicaof(HOST, free_port())

            def heal() -> None:
                code, answer = rig.admin.flip_answer("new", max_pause_ms=100)
                self.assertEqual(code, 409, answer)
                new.replicaof("NO", "ONE")
            status = self.refuse_and_heal(rig, "READONLY", heal)
        self.assertGreater(status["backends"]["new"]["breaker"]["probes_bad"], 0)

    def test_out_of_memory(self) -> None:
        rig = self.rig(config=QUICK)
        with rig.new.client() as new:
            new.config_set("maxmemory-policy", "noeviction")
            new.config_set("maxmemory", "1mb")
            self.refuse_and_heal(rig, "OOM", lambda: new.config_set("maxmemory", 0))

    def test_a_full_store_is_relieved_by_deletes(self) -> None:
        """Nobody raises its maxmemory: what the application deletes must get through, or it stays full for ever."""
        rig = self.rig(config=QUICK)
        client = raw_client(rig.proxy.port)
        with rig.new.client() as new:
            new.config_set("maxmemory-policy", "noeviction")
            new.config_set("maxmemory", new.info("memory")["used_memory"] + 4_000_000)
            def fill() -> bool:
                number = len(filled)
                filled.append(f"big:{number}")
                client.execute_command("SET", filled[-1], b"x" * 50_000)
                return number > 60 and self.breaker(rig)["state"] == "open"
            filled: list[str] = []
            wait_until(fill, 30, "breaker open", pause=0)
            for key in filled:
                client.execute_command("DEL", key)
            self.assert_well_again(rig)

    def test_misconf(self) -> None:
        rig = self.rig(config=QUICK)
        with rig.new.client() as new:
            new.config_set("save", "3600 1000000")
            shutil.rmtree(rig.new.directory)
            new.bgsave()
            wait_until(lambda: new.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "a failed BGSAVE")
            self.refuse_and_heal(rig, "MISCONF", lambda: new.config_set("stop-writes-on-bgsave-error", "no"))

    def test_all_writes_not_permitted(self) -> None:
        """NOPERM on many commands is about the store's user, not about a command."""
        rig = self.rig(config=QUICK)
        client = raw_client(rig.proxy.port)
        with rig.new.client() as new:
            new.execute_command("ACL SETUSER default -@write")

            def written() -> bool:
                for command in ("SET", "APPEND", "GETSET", "SETNX"):
                    client.execute_command(command, f"{command}:key", "v")
                return self.breaker(rig)["state"] == "open"
            wait_until(written, 30, "breaker open")
            self.assertIn("NOPERM", self.breaker(rig)["reason"])
            new.execute_command("ACL SETUSER default +@all")
        self.assert_well_again(rig)

    def test_under_load(self) -> None:
        """Twenty clients with all commands, while it comes and goes as a replica."""
        rig = self.rig(config=QUICK)
        with Load(LoadSpec(port=rig.proxy.port)) as load, rig.new.client() as new:
            for _ in range(6 if LONG else 2):
                load.wait_operations(300)
                new.replicaof(HOST, free_port())
                self.wait_breaker(rig, "open")
                load.wait_operations(300)
                new.replicaof("NO", "ONE")
                self.wait_breaker(rig, "closed")
            load.wait_operations(300)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_well_again(rig)


class OneCommandTest(TroubleTest):
    def test_one_command_not_permitted_opens_nothing(self) -> None:
        """SPOP follows as SREM: where that is refused, the set is copied."""
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        with rig.new.client() as new:
            new.execute_command("ACL SETUSER default -srem")
            for number in range(100):
                client.execute_command("SADD", f"set:{number}", *range(10))
                client.execute_command("SPOP", f"set:{number}", 3)
            status = self.assert_converged(rig)
        self.assertGreaterEqual(status["writes"]["refused_by_secondary"], 100, status["writes"])
        self.assertEqual(status["backends"]["new"]["breaker"]["opened"], 0, status["backends"])

    def test_scripted_by_the_relay_too(self) -> None:
        rig, relay = self.relayed(config=REPAIR)
        client = raw_client(rig.proxy.port)
        relay.answer("INCR", b"-NOPERM this user has no permissions to run the 'incr' command\r\n")
        for number in range(100):
            self.assertEqual(client.execute_command("INCR", "count"), number + 1)
            client.execute_command("SET", f"key:{number}", number)
        status = self.assert_converged(rig)
        self.assertEqual(status["backends"]["new"]["breaker"]["opened"], 0)
        self.assertGreaterEqual(status["writes"]["refused_by_secondary"], 1)

    def test_a_copy_that_is_refused_for_ever_backs_off_and_says_so(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        client.execute_command("SADD", "set", *range(100))
        self.assert_converged(rig)
        with rig.new.client() as new:
            new.execute_command("ACL SETUSER default -srem -restore -sadd")
            client.execute_command("SPOP", "set")
            refused = rig.admin.wait_status(lambda status: status["dirty"]["copies_refused"].get("NOPERM", 0) >= 3, 20,
                                            "copies refused")
            self.assertTrue(any("NOPERM" in line and "RESTORE" in line for line in refused["attention"]),
                            refused["attention"])
            begin, tries = time.monotonic(), refused["dirty"]["copies_failed"]
            time.sleep(2.0)  # time in which an endless loop would show
            status = rig.admin.status()
            self.say(f"{status['dirty']['copies_failed'] - tries} more tries in {time.monotonic() - begin:.1f} s")
            self.assertLess(status["dirty"]["copies_failed"] - tries, 10)
            self.assertEqual(status["dirty"]["keys"], 1)
            self.assertEqual(status["backends"]["new"]["breaker"]["opened"], 0)
            new.execute_command("ACL SETUSER default +@all")
        self.assert_converged(rig)
        self.assertEqual(rig.admin.status()["attention"], [])

    def test_sweeps_that_can_copy_nothing_do_not_chase_each_other(self) -> None:
        """Each leaves more dirty keys than can be remembered, so everything is dirty, and the next is due at once."""
        rig = self.rig(config=REPAIR + "[limits]\ndirty_keys = 50\n",
                       new_args=["--user", "default", "on", "nopass", "~*", "&*", "+@all", "-restore", "-set"])
        client = raw_client(rig.proxy.port)
        for number in range(200):
            client.execute_command("APPEND", f"key:{number}", f"value {number}")
        self.assert_converged(rig)
        rig.new.restart_empty()
        rig.admin.wait_status(lambda status: status["dirty"]["copies_refused"].get("NOPERM", 0) >= 200, 20, "a sweep")
        with rig.new.client() as new:
            begin = rig.admin.status()["dirty"]["copies_refused"]["NOPERM"]
            time.sleep(3.0)  # time in which they would
            copies = rig.admin.status()["dirty"]["copies_refused"]["NOPERM"] - begin
            self.say(f"{copies} copies tried in 3 s")
            self.assertLess(copies, 2500)
            new.execute_command("ACL SETUSER default +@all")
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_a_read_that_is_not_permitted_is_no_mismatch(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 20)
        self.assert_converged(rig)
        rig.admin.routing(reads_new=50, compare=100)
        with rig.new.client() as new:
            new.execute_command("ACL SETUSER default -get")
            for number in range(20):
                self.assertEqual(client.execute_command("GET", f"key:{number}"), b"value %d" % number)
            reads = rig.admin.wait_status(lambda status: status["reads"]["not_comparable"] >= 20, 10,
                                          "counted as not comparable")["reads"]
            new.execute_command("ACL SETUSER default +get")
        self.assertEqual((reads["mismatched"], reads["unconfirmed"]), (0, 0), reads)


class ComesBackTest(TroubleTest):
    def test_loading_after_its_restart(self) -> None:
        rig = self.rig(config=QUICK, new_args=["--loading-process-events-interval-bytes", "1024"])
        client = raw_client(rig.proxy.port)
        for number in range(3000):
            client.execute_command("SET", f"key:{number}", b"x" * 100)
        self.assert_converged(rig)
        with rig.new.client() as new:
            new.save()
        rig.new.kill()
        rig.new.args += ["--key-load-delay", "1000"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            # The server is started here: it dies with the thread that started it.
            seen = pool.submit(self.write_until, rig, client,
                               lambda status: status["backends"]["new"]["state"] == "loading", "loading")
            rig.new.start()
            seen.result()
        rig.wait_up("new")
        self.assert_well_again(rig)

    def test_another_password(self) -> None:
        """The connections there are go on; new ones are refused, and the status says why."""
        rig = self.rig(config=QUICK)
        client = raw_client(rig.proxy.port)
        with rig.new.client() as new:
            new.config_set("requirepass", "another")
            self.write(client, 50)
            self.assertEqual(self.assert_followed(rig)["backends"]["new"]["state"], "up")
            new.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            status = self.write_until(rig, client, lambda status: status["backends"]["new"]["state"] == "down" and any(
                "password" in line for line in status["attention"]), "the password is named")
            self.say(f"attention: {status['attention'][0]}")
            new.config_set("requirepass", "")
        rig.wait_up("new")
        self.assert_well_again(rig)

    def assert_followed(self, rig: Rig) -> dict:
        status = rig.admin.wait_settled()
        self.assertEqual(status["writes"]["followed"], status["writes"]["total"])
        return status


class MadTest(TroubleTest):
    def test_rubbish(self) -> None:
        rig, relay = self.relayed(config=QUICK)
        client = raw_client(rig.proxy.port)
        for rubbish in (b"?what\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"$-7\r\n", b"*99999999999\r\n", b"\0" * 100):
            connections = relay.accepted
            self.write(client, 20)
            self.assertEqual(relay.inject(rubbish), 1)
            wait_until(lambda: relay.accepted > connections, 10, f"hung up at {rubbish!r}")
            rig.wait_up("new")
        self.write(client, 20)
        self.assert_well_again(rig)

    def test_one_reply_too_many_makes_everything_doubtful(self) -> None:
        """Each later reply would be taken for another command's: found out, and everything is copied again."""
        rig, relay = self.relayed(config=QUICK)
        client = raw_client(rig.proxy.port)
        self.write(client, 200)
        self.assert_converged(rig)
        with rig.new.client() as new:  # what wrongly assigned replies might have hidden
            new.set("key:7", "wrong")
        overflows = rig.admin.status()["dirty"]["overflows"]
        pipe = client.pipeline(transaction=False)
        for number in range(500):
            pipe.set(f"key:{number}", "again") if number != 7 else pipe.get("key:7")
        pipe.execute()
        self.assertEqual(relay.inject(b"+OK\r\n"), 1)
        rig.admin.wait_status(lambda status: status["dirty"]["overflows"] > overflows, 20, "everything is dirty")
        self.assert_well_again(rig)
        with rig.new.client() as new:
            self.assertEqual(new.get("key:7"), b"value 7")


if __name__ == "__main__":
    main()
