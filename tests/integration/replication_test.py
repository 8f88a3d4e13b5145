"""The replication method: new is a replica of old, until a flip, or an operator, promotes it.

From then on it follows through the proxy, so the way back is a flip like any other. No client notices, and nothing is
copied by the proxy but what the servers' replication does not carry exactly.
"""
from typing import Any, Callable

from admin import AdminError, wait_until
from harness import HOST, LONG, RedisServer, Rig, main
from replicas import KEYS, OFF, PAUSE_MS, ReplicationTest
from traffic import Load, LoadSpec

FLIPS = 20 if LONG else 2


class UnderLoadTest(ReplicationTest):
    def test_flip_and_back(self) -> None:
        rig = self.begin(self.rig_with_data())
        pauses = []
        with Load(LoadSpec(port=rig.proxy.port, clients=20)) as load:
            load.wait_everybody()
            for _ in range(FLIPS):
                self.replicate(rig, **({"replace": True} if pauses else {}))
                load.wait_operations(300)
                pauses.append(rig.admin.flip("new", max_pause_ms=PAUSE_MS)["pause_ms"])
                status = rig.admin.status()
                self.assertEqual((status["primary"], status["secondary"], status["replication"]["state"]),
                                 ("new", "follow", "none"))
                self.assert_nothing_was_copied(status)
                load.wait_operations(300)
                rig.admin.flip("old", max_pause_ms=PAUSE_MS)
                load.wait_operations(100)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_nothing_was_copied(self.assert_converged(rig))
        self.assertEqual(self.link(rig.new)[0], "master")
        self.say(f"{KEYS} keys moved by replication under 20 clients, {result.operations} operations: {FLIPS} flips "
                 f"held them for {', '.join(f'{pause:.1f}' for pause in pauses)} ms, and back; digests equal")

    def test_leaving_without_a_flip(self) -> None:
        """secondary follow, and secondary journal: in step, so that nothing has to be copied but what was noted."""
        rig = self.begin(self.rig_with_data())
        with Load(LoadSpec(port=rig.proxy.port, clients=8, whole_databases=False)) as load:
            load.wait_everybody()
            for mode in ("follow", "journal"):
                self.replicate(rig, replace=True)
                load.wait_operations(200)
                wait_until(lambda: rig.admin.routing(secondary=mode), 20, f"the replica is left for {mode}")
                status = rig.admin.status()
                self.assertEqual((status["primary"], status["secondary"]), ("old", mode))
                self.assert_nothing_was_copied(status)
                load.wait_operations(200)
            self.assertGreater(rig.admin.status()["dirty"]["keys"], 0, "the journal has noted nothing")
            rig.admin.routing(secondary="follow")
            load.wait_operations(100)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_nothing_was_copied(self.assert_converged(rig))

    def test_off_leaves_no_replica_behind(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        rig.admin.routing(secondary="off")
        status = rig.admin.status()
        self.assertEqual((status["secondary"], status["synced"]), ("off", "no"))
        self.assertEqual(self.link(rig.new)[0], "master")
        rig.admin.routing(secondary="follow")  # everything is copied by itself
        rig.admin.wait_synced()
        self.assert_converged(rig)


class InexactTest(ReplicationTest):
    def test_what_replication_does_not_carry_exactly_is_copied(self) -> None:
        """Redis repeats SORT … BY … STORE on the replica, where elements of equal weight come in another order."""
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        lists = [f"sorted:{number}" for number in range(20)]
        with rig.proxy.client() as client:
            for name in lists:
                client.sadd(f"{name}:set", *(f"member-{number}-{name}" for number in range(40)))
                client.execute_command("SORT", f"{name}:set", "BY", "nothing:*", "ALPHA", "STORE", name)
            client.rename(lists[0], "carried on")
        status = rig.admin.status()
        self.assertEqual((status["dirty"]["keys"], status["synced"]), (len(lists) + 1, "yes"), status["dirty"])
        self.assertNotEqual(*rig.digests(), "replication has become exact: nothing need be copied")
        rig.proxy.kill()  # and it is known over a crash
        rig.proxy.start()
        self.wait_streaming(rig)
        rig.admin.flip("new", max_pause_ms=PAUSE_MS)
        status = rig.admin.status()
        self.assertEqual((status["dirty"]["keys"], status["dirty"]["repaired"]), (0, len(lists) + 1))
        self.assertEqual(*rig.equal_digests())


class RefusedTest(ReplicationTest):
    def test_what_is_there_is_not_thrown_away_unasked(self) -> None:
        rig = self.rig_with_data()
        with rig.new.client() as new:
            new.set("precious", "value")
        self.begin(rig)
        self.assertIn("holds 1 keys", self.refused(rig, secondary="replica"))
        self.assertEqual(rig.admin.status()["secondary"], "off")
        self.replicate(rig, replace=True)
        with rig.new.client() as new:
            self.assertIsNone(new.get("precious"))
        self.assertIn("does not follow", self.refused(rig, reads_new=50))
        self.assertRaisesRegex(AdminError, "replication brings everything", rig.admin.start_backfill)
        status = rig.admin.status()
        self.assertFalse([line for line in status["attention"] if "replica" in line], status["attention"])
        self.assertEqual(rig.admin.flip("new", dry_run=True)["would_flip"], True)
        self.assertEqual(self.link(rig.new), ("slave", "up"), "a dry run has promoted")

    def test_servers_that_forbid_it(self) -> None:
        def case(expected: str, prepare: Callable[[Rig], None], **options: Any) -> None:
            with self.subTest(expected):
                rig = self.rig(start=False, config=OFF, **options)
                rig.old.start()
                rig.new.start()
                prepare(rig)
                self.begin(rig)
                self.assertIn(expected, self.refused(rig, secondary="replica"))
                status = rig.admin.status()
                self.assertEqual((status["secondary"], status["replication"]["state"]), ("off", "none"))
                self.assertEqual(self.link(rig.new)[0], "master")
                rig.stop()

        def user_on(side: str, rules: str) -> Callable[[Rig], None]:
            return lambda rig: setattr(rig.proxy, f"{side}_url", self.as_user(rig.server(side), rules))

        def old_is_replica(rig: Rig) -> None:
            third = RedisServer("third", rig.directory).start()
            self.addCleanup(third.kill)
            with rig.old.client() as old:
                old.execute_command("REPLICAOF", HOST, third.port)

        case("can't be made a replica: This user has no permissions to run the 'replicaof' command",
             user_on("new", "-replicaof"))
        case("can't be made a replica: it knows no REPLICAOF", lambda rig: None,
             new_args=["--rename-command", "REPLICAOF", ""])
        case("serves no PSYNC", lambda rig: None, old_args=["--rename-command", "PSYNC", ""])
        case("can't be replicated from: This user has no permissions to run the 'psync' command",
             user_on("old", "-psync"))
        case("it is itself a replica", old_is_replica)
        # Where nobody may ask beforehand, the refusal of REPLICAOF itself is as good.
        case("can't be made a replica (REPLICAOF: ", user_on("new", "-replicaof -acl"))

    def test_not_while_a_side_is_down(self) -> None:
        rig = self.begin(self.rig_with_data())
        rig.new.kill()
        rig.admin.wait_status(lambda status: status["backends"]["new"]["state"] == "down", 20, "new is down")
        self.assertRegex(self.refused(rig, secondary="replica"), "new .* is down")


class PasswordTest(ReplicationTest):
    PASSWORD = "s3cret-pass-phrase"

    def test_the_replica_is_given_the_primarys_password(self) -> None:
        rig = self.begin(self.rig_with_data(password=self.PASSWORD))
        self.replicate(rig)
        rig.admin.flip("new", max_pause_ms=PAUSE_MS)
        with rig.proxy.client(password=self.PASSWORD) as client:
            client.set("written", "on new")
        self.assert_nothing_was_copied(self.assert_converged(rig))
        self.assertNotIn(self.PASSWORD, rig.proxy.log())

    def test_why_it_is_not_let_in_is_shown(self) -> None:
        """The proxy may not set masterauth: the status says what the primary answers. Then a person sets it."""
        rig = self.rig_with_data(password=self.PASSWORD)
        with rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "crossfade", "on", ">word", "~*", "&*", "+@all", "-config|set")
        rig.proxy.new_url = f"redis://crossfade:word@{HOST}:{rig.new.port}"
        self.begin(rig)
        rig.admin.routing(secondary="replica")
        status = rig.admin.wait_status(lambda status: "NOAUTH" in status["replication"]["error"], 20, "the reason")
        self.assertEqual((status["replication"]["state"], status["synced"]), ("connecting", "copying"))
        self.assertTrue([line for line in status["attention"] if "NOAUTH" in line], status["attention"])
        self.assertIn("could not set masterauth", status["replication"]["error"])
        with rig.new.client() as new:
            new.config_set("masterauth", "wrong")
        rig.admin.wait_status(lambda status: "WRONGPASS" in status["replication"]["error"], 20, "the other reason")
        with rig.new.client() as new:
            new.config_set("masterauth", self.PASSWORD)
        self.wait_streaming(rig)
        self.assertNotIn(self.PASSWORD, rig.proxy.log())

    def test_the_way_back_from_one_that_never_came_up(self) -> None:
        rig = self.rig_with_data(password=self.PASSWORD)
        with rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "crossfade", "on", ">word", "~*", "&*", "+@all", "-config|set")
        rig.proxy.new_url = f"redis://crossfade:word@{HOST}:{rig.new.port}"
        self.begin(rig)
        rig.admin.routing(secondary="replica")
        rig.admin.wait_status(lambda status: status["replication"]["error"], 20, "it is seen not to come up")
        rig.admin.routing(secondary="follow")
        self.assertEqual(self.link(rig.new)[0], "master")
        rig.admin.wait_synced()  # everything is copied by itself
        self.assert_converged(rig)


class RestartTest(ReplicationTest):
    def test_the_proxy_goes_on_where_it_was(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        for end in (rig.proxy.end, rig.proxy.kill):
            with rig.proxy.client() as client:
                client.set("written", end.__name__)
            end()
            rig.proxy.start()
            self.wait_streaming(rig)
        self.assertEqual(rig.admin.status()["dirty"]["keys"], 0)
        rig.admin.flip("new", max_pause_ms=PAUSE_MS)
        self.assert_nothing_was_copied(self.assert_converged(rig))

    def test_a_replica_that_somebody_promoted(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        rig.proxy.kill()
        with rig.new.client() as new:
            new.execute_command("REPLICAOF", "NO", "ONE")
            new.set("stray", "value")
        with rig.old.client() as old:
            old.set("later", "value")
        rig.proxy.start()
        status = rig.admin.wait_status(lambda status: status["replication"]["state"] == "no replica", 20, "it is seen")
        self.assertEqual(status["synced"], "no")
        self.assertIn("crossfade secondary follow", status["synced_why"])
        self.assertEqual(rig.admin.flip_answer("new")[0], 409)
        self.assertIn("holds", self.refused(rig, secondary="replica"))
        rig.admin.routing(secondary="follow")
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_stores_that_are_restarted(self) -> None:
        rig = self.begin(self.rig_with_data())
        self.replicate(rig)
        rig.new.restart_empty()  # it has kept its first copy, and forgotten whose replica it was
        rig.admin.wait_status(lambda status: status["replication"]["state"] == "no replica", 20, "it is seen")
        self.replicate(rig, replace=True)
        rig.old.restart_empty()
        status = rig.admin.wait_status(lambda status: any("resynchronised" in line for line in status["attention"]),
                                       20, "the primary is distrusted")
        self.assertEqual(rig.admin.flip_answer("new")[0], 409, status)
        rig.admin.resync()
        self.wait_streaming(rig)
        self.assertEqual(rig.admin.status()["dirty"]["overflowed"], False)


if __name__ == "__main__":
    main()
