"""The primary is away, or comes back without its data: clients are told, the last good copy is kept, people decide."""
import time

import redis

from admin import wait_until
from harness import CrossfadeTest, Rig, main
from traffic import Load, LoadSpec, raw_client

KEPT = 500  # keys that only a copy can bring back


class DeadAtStartTest(CrossfadeTest):
    def assert_primary_away(self, rig: Rig) -> None:
        """A clear error for what needs the primary, none for what does not, and the reason on the admin port."""
        with raw_client(rig.proxy.port, socket_timeout=10) as client:
            self.assertEqual(client.ping(), b"PONG")
            for words in (("GET", "key"), ("SET", "key", "v")):
                with self.assertRaises(redis.ResponseError) as caught:
                    client.execute_command(*words)
                self.assertRegex(str(caught.exception), r"(?i)primary|old|unreachable|unavailable|not connected")
        status = rig.admin.status()
        self.assertNotEqual(status["backends"]["old"]["state"], "up")
        self.assertTrue(any("old" in line for line in status["attention"]), status["attention"])
        code, body = rig.admin.request("GET", "/readyz")
        self.assertEqual(code, 503, body)
        self.assertIn("old", str(body))
        self.assertEqual(rig.admin.request("GET", "/healthz")[0], 200)

    def assert_working(self, rig: Rig) -> None:
        with raw_client(rig.proxy.port) as client:
            self.assertEqual(client.execute_command("SET", "key", "v"), b"OK")
            self.assertEqual(client.execute_command("GET", "key"), b"v")
        self.assertEqual(rig.admin.request("GET", "/readyz")[0], 200)
        self.assert_converged(rig)

    def test_both_away(self) -> None:
        rig = self.rig(start=False)
        rig.proxy.start()
        self.assert_primary_away(rig)
        self.assertNotEqual(rig.backend_state("new"), "up")
        rig.old.start()
        rig.wait_up("old")
        with raw_client(rig.proxy.port) as client:
            self.assertEqual(client.execute_command("SET", "first", "v"), b"OK")
        rig.new.start()
        rig.wait_up("new")
        if rig.admin.status()["synced"] != "yes":
            rig.admin.start_backfill()
            rig.admin.wait_synced()
        self.assert_working(rig)

    def test_old_away(self) -> None:
        rig = self.rig(start=False)
        rig.new.start()
        rig.proxy.start()
        rig.wait_up("new")
        self.assert_primary_away(rig)
        rig.old.start()
        rig.wait_up("old")
        self.assert_working(rig)

    def test_new_away(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.proxy.start()
        rig.wait_up("old")
        status = rig.admin.status()
        self.assertNotEqual(status["backends"]["new"]["state"], "up")
        self.assertTrue(any("new" in line for line in status["attention"]), status["attention"])
        self.assertEqual(rig.admin.request("GET", "/readyz")[0], 200)
        with raw_client(rig.proxy.port) as client:
            for number in range(100):
                self.assertEqual(client.execute_command("INCR", "count"), number + 1)
        code, answer = rig.admin.flip_answer("new", max_pause_ms=200)
        self.assertEqual(code, 409, answer)
        self.assertIn("new", answer["reason"])
        rig.new.start()
        rig.wait_up("new")
        if rig.admin.status()["synced"] != "yes":
            rig.admin.start_backfill()
            rig.admin.wait_synced()
        self.assert_working(rig)

    def test_a_wrong_password_is_named(self) -> None:
        rig = self.rig(start=False, password="secret")
        rig.proxy.old_url = rig.old.url.replace("secret", "0pen-sesame")
        rig.old.start()
        rig.new.start()
        rig.proxy.start()
        wait_until(lambda: any("old" in line for line in rig.admin.status()["attention"]), 10, "attention names old")
        self.assertNotEqual(rig.backend_state("old"), "up")
        self.assertNotIn("sesame", rig.proxy.log(), "a password in the log")
        self.assertNotIn("sesame", str(rig.admin.status()))


class PrimaryTroubleTest(CrossfadeTest):
    def rig_with_kept_keys(self) -> Rig:
        rig = self.rig(config="[repair]\nkeys_per_second = 20000\n")
        with raw_client(rig.proxy.port) as client:
            for number in range(KEPT):
                client.execute_command("SET", f"kept:{number}", number)
        self.assert_converged(rig)
        return rig

    def kept_on(self, rig: Rig, side: str) -> int:
        with rig.server(side).client() as client:
            return client.exists(*(f"kept:{number}" for number in range(KEPT)))

    def lose_the_primarys_data(self, rig: Rig, load: Load) -> None:
        """Killed and restarted empty under load. Ends once the proxy distrusts it and clients write again."""
        load.wait_operations(1000)
        rig.old.kill()
        wait_until(lambda: rig.backend_state("old") != "up", 10, "old seen as down")
        code, body = rig.admin.request("GET", "/readyz")
        self.assertEqual(code, 503, body)
        load.wait_operations(300)  # every client has noticed
        rig.old.start()
        rig.wait_up("old")
        status = rig.admin.wait_status(lambda status: any("resync" in line for line in status["attention"]), 20,
                                       "attention says what to decide")
        for line in status["attention"]:
            self.say(f"attention: {line}")
        load.wait_operations(1000)

    def test_an_empty_primary_does_not_empty_the_last_copy_and_resync_does(self) -> None:
        rig = self.rig_with_kept_keys()
        with Load(LoadSpec(port=rig.proxy.port, clients=10, survive_errors=True)) as load:
            self.lose_the_primarys_data(rig, load)
            time.sleep(1.0)  # time in which a wrong repair would do its work
            self.assertEqual(self.kept_on(rig, "new"), KEPT)
            self.assertEqual(self.kept_on(rig, "old"), 0)
            status = rig.admin.status()
            self.assertNotEqual(status["synced"], "yes", status)
            self.assertEqual(status["primary"], "old")
            self.assertEqual(rig.admin.flip_answer("new", max_pause_ms=200)[0], 409)
            rig.admin.resync()
            rig.admin.wait_synced()
            load.wait_operations(300)
            result = load.stop()
        self.say(f"{result.disconnect_count} lost connections, {result.error_count} refusals")
        self.assertEqual(result.wrong_count, 0, result.complaints())
        self.assert_converged(rig)
        self.assertEqual(self.kept_on(rig, "new"), 0)
        self.assertFalse(any("resync" in line for line in rig.admin.status()["attention"]))

    def test_a_forced_flip_promotes_the_last_copy_and_refills_the_old_primary(self) -> None:
        rig = self.rig_with_kept_keys()
        with Load(LoadSpec(port=rig.proxy.port, clients=10, survive_errors=True)) as load:
            self.lose_the_primarys_data(rig, load)
            answer = rig.admin.flip("new", force=True)
            self.assertIs(answer["flipped"], True)
            self.assertEqual(rig.admin.status()["primary"], "new")
            load.wait_operations(500)
            rig.admin.wait_synced()
            load.wait_operations(300)
            result = load.stop()
        self.say(f"{result.disconnect_count} lost connections, {result.error_count} refusals")
        self.assertEqual(result.wrong_count, 0, result.complaints())
        self.assert_converged(rig)
        self.assertEqual((self.kept_on(rig, "old"), self.kept_on(rig, "new")), (KEPT, KEPT))
        self.assertTrue(rig.admin.flip("old", max_pause_ms=5000)["flipped"], "and back")

    def test_a_forced_flip_away_from_a_dead_primary(self) -> None:
        rig = self.rig_with_kept_keys()
        rig.old.kill()
        wait_until(lambda: rig.backend_state("old") != "up", 10, "old seen as down")
        code, answer = rig.admin.flip_answer("new", max_pause_ms=300)
        self.assertEqual(code, 409, answer)
        self.assertTrue(rig.admin.flip("new", force=True)["flipped"])
        with raw_client(rig.proxy.port) as client:
            self.assertEqual(client.execute_command("GET", "kept:7"), b"7")
            client.execute_command("SET", "kept:7", "again 7")
            client.execute_command("SET", "more", "x")
        rig.old.start()
        rig.admin.wait_synced()
        self.assert_converged(rig)
        with rig.old.client() as old:
            self.assertEqual((old.get("kept:7"), old.get("kept:8")), (b"again 7", b"8"))

    def test_connections_to_the_primary_cut_under_load(self) -> None:
        """Clients with an unanswered write lose their connection, as they would without a proxy; the stores agree."""
        rig = self.rig()
        with Load(LoadSpec(port=rig.proxy.port, survive_errors=True)) as load:
            with rig.old.client() as old:
                for _ in range(20):
                    load.wait_operations(150)
                    old.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            load.wait_operations(500)
            result = load.stop()
        self.say(f"{result.disconnect_count} lost connections, {result.error_count} refusals, "
                 f"{result.operations} operations")
        self.assertEqual(result.wrong_count, 0, result.complaints())
        self.assert_converged(rig)
        self.assertEqual(rig.admin.status()["synced"], "yes", "the same store with the same data")

    def test_an_unanswered_write_closes_its_client_and_an_unanswered_read_is_asked_again(self) -> None:
        rig = self.rig()
        writer, reader, other = (raw_client(rig.proxy.port) for _ in range(3))
        writer.execute_command("SET", "key", "before")
        reader.ping()
        other.ping()
        with rig.old.client() as old:
            old.execute_command("CLIENT PAUSE 20000 WRITE")  # holds writes back: they stay unanswered
            writer.connection.send_command("SET", "key", "unanswered")
            self.wait_in_flight(rig)
            reader.connection.send_command("GET", "key")
            time.sleep(0.2)  # the read is behind the write on the lane, or was answered already: both are right
            old.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            with self.assertRaises(redis.ConnectionError):
                writer.connection.read_response()
            self.assertEqual(reader.connection.read_response(), b"before")
            old.execute_command("CLIENT UNPAUSE")
        self.assertEqual(other.execute_command("INCR", "count"), 1)
        self.assert_converged(rig)
        self.assertEqual(rig.admin.status()["synced"], "yes")

    def wait_in_flight(self, rig: Rig) -> None:
        """Until a client of old is blocked: the proxy's connection, by the pause."""
        with rig.old.client() as old:
            wait_until(lambda: old.info("clients")["blocked_clients"] > 0, 10, "the write has arrived")

    def test_a_stopped_primary_goes_on_where_it_was(self) -> None:
        rig = self.rig()
        with Load(LoadSpec(port=rig.proxy.port, clients=10)) as load:
            load.wait_operations(500)
            rig.old.pause()
            time.sleep(2.0)
            rig.old.resume()
            load.wait_operations(500)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_converged(rig)


if __name__ == "__main__":
    main()
