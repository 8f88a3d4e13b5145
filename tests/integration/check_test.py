"""`crossfade check`: each thing that would spoil a migration is named with its remedy and the right exit status."""
from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time
from typing import Any, Optional

import redis

from harness import HOST, CrossfadeTest, RedisServer, Rig, crossfade_binary, free_port, main
from relay import Relay
from stores import fill

DONE, NOT_TRUE, USAGE, UNREACHABLE = 0, 1, 2, 3
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CROSSFADE_")}
LEAST = ("-@all", "+@connection", "+@transaction", "+@read", "+@write", "+info", "+time", "+config|get")  # README
CANARIES = "__crossfade:check:*"


def named(report: dict, name: str) -> dict:
    found = [check for check in report["checks"] if check["name"] == name]
    assert len(found) == 1, f"{name} stands {len(found)} times in {report}"
    return found[0]


class CheckTest(CrossfadeTest):
    def stores(self, *, old_args: tuple[str, ...] = (), new_args: tuple[str, ...] = (), password: str = "") -> Rig:
        """Two stores and no proxy."""
        rig = self.rig(start=False, old_args=old_args, new_args=new_args, password=password)
        rig.old.start()
        rig.new.start()
        return rig

    def crossfade(self, *words: str, wanted: int, env: Optional[dict[str, str]] = None) -> str:
        done = subprocess.run([crossfade_binary(), *words], capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, env=ENVIRONMENT | (env or {}))
        self.assertEqual(done.returncode, wanted, f"crossfade {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    def check(self, rig: Rig, wanted: int, *, old: str = "", new: str = "") -> dict:
        """What a check by itself says of the two stores."""
        text = self.crossfade("check", "--old", old or rig.old.url, "--new", new or rig.new.url, "--json", wanted=wanted)
        report = json.loads(text)
        counts = {status: sum(check["status"] == status for check in report["checks"])
                  for status in ("pass", "warn", "fail")}
        self.assertEqual([report["passed"], report["warnings"], report["failed"]], list(counts.values()))
        for check in report["checks"]:
            self.assertTrue(check["found"], check)
            self.assertEqual(bool(check["remedy"]), check["status"] != "pass", check)
        return report

    def assert_finds(self, report: dict, name: str, status: str, found: str, remedy: str = "") -> None:
        check = named(report, name)
        self.assertEqual(check["status"], status, check)
        self.assertRegex(check["found"], found)
        self.assertTrue(re.search(remedy, check["remedy"]), f"{remedy!r} not in {check}")

    def failing(self, report: dict) -> list[str]:
        return [check["name"] for check in report["checks"] if check["status"] == "fail"]

    def assert_no_canaries(self, rig: Rig) -> None:
        for server in (rig.old, rig.new):
            with server.client() as client:
                self.assertEqual(list(client.scan_iter(CANARIES, count=1000)), [], server.name)

    def user(self, server: RedisServer, name: str, *rules: str) -> str:
        """Makes a user of Crossfade's, and returns the store's URL for it."""
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{name}-pw", "~*", "&*", *rules)
        return f"redis://{name}:{name}-pw@{HOST}:{server.port}"


class GoodStoresTest(CheckTest):
    def test_two_good_stores(self) -> None:
        rig = self.stores()
        with rig.old.client() as old:
            fill(old, 500)
            old.execute_command("SELECT", 3)
            old.set("in three", "x")
        report = self.check(rig, DONE)
        self.assertEqual(self.failing(report), [])
        self.assertEqual([check for check in report["checks"] if check["status"] == "warn"], [])
        self.assertEqual(report["verdict"], "pass")
        self.assert_finds(report, "copies of every type", "pass", r"string, list, set, hash, zset, .*stream with groups"
                          r".*version is 10 on old, 10 on new")
        self.assert_finds(report, "old is reached", "pass", r"redis 7\.\d+\.\d+ at 127\.0\.0\.1:\d+, as user default")
        self.assert_finds(report, "databases", "pass", "old uses 2, up to number 3; old has 16, new 16")
        self.assert_finds(report, "commands in use", "pass", r"allows all \d+")
        self.assert_finds(report, "big keys", "pass", r"the largest of \d+ that were looked at: have:")
        self.assert_no_canaries(rig)
        # A check is no use of the stores: the next one says the same.
        self.assertEqual(self.check(rig, DONE)["verdict"], "pass")

    def test_empty_stores_with_the_least_rights_of_the_readme(self) -> None:
        rig = self.stores()
        old, new = self.user(rig.old, "fade", *LEAST), self.user(rig.new, "fade", *LEAST)
        report = self.check(rig, DONE, old=old, new=new)
        self.assert_finds(report, "rights on new", "pass", "user fade may")
        self.assert_finds(report, "copies of every type", "pass", "equal after DUMP and RESTORE")
        self.assert_finds(report, "users", "warn", "could not be looked at: NOPERM", "create them on new yourself")
        self.assert_no_canaries(rig)

    def test_a_killed_check_leaves_nothing_that_stays(self) -> None:
        rig = self.stores()
        words = [crossfade_binary(), "check", "--old", rig.old.url, "--new", rig.new.url]
        seen = 0
        with rig.old.client() as old, rig.new.client() as new:
            for turn in range(40):
                child = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
                time.sleep(0.003 + turn * 0.0007)  # any moment will do
                child.kill()
                child.wait()
                for store in (old, new):
                    for key in store.scan_iter(CANARIES, count=1000):
                        seen += 1
                        self.assertNotEqual(store.pttl(key), -1, key)
                        self.assertLessEqual(store.pttl(key), 60_000, key)
        self.say(f"{seen} keys were seen, each with its end")

    def test_for_people(self) -> None:
        rig = self.stores()
        with rig.new.client() as new:
            new.set("mine", "x")
        words = ("check", "--old", rig.old.url, "--new", rig.new.url)
        text = self.crossfade(*words, wanted=DONE)
        self.assertRegex(text, r"(?m)^pass  old is reached +redis 7")
        self.assertRegex(text, r"(?m)^warn  new is empty +it holds 1 keys")
        self.assertRegex(text, r"(?m)^ +→ Is it the right server\?")
        self.assertRegex(text, r"\ncheck: \d+ passed, 1 warning, 0 failed: ")
        self.assertNotIn("\x1b", text)
        self.assertIn("\x1b[33mwarn", self.on_terminal(*words))
        self.assertNotIn("\x1b", self.on_terminal(*words, env={"NO_COLOR": "1"}))

    def on_terminal(self, *words: str, env: Optional[dict[str, str]] = None) -> str:
        ours, its = pty.openpty()
        child = subprocess.Popen([crossfade_binary(), *words], stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                                 env=ENVIRONMENT | (env or {}))
        os.close(its)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the end, as a terminal says it
            pass
        os.close(ours)
        self.assertEqual(child.wait(60), DONE)
        return text.decode()

    def test_wrong_usage(self) -> None:
        self.crossfade("check", "--old", f"redis://{HOST}:1", wanted=USAGE)
        self.crossfade("check", "--old", f"redis://{HOST}:1", "--new", "rediss://x", wanted=USAGE)
        self.crossfade("check", "--config", "/nonexistent/crossfade.toml", wanted=USAGE)
        self.crossfade("check", "--admin", f"{HOST}:{free_port()}", wanted=UNREACHABLE)


class FindingsTest(CheckTest):
    def test_new_has_less_memory_than_old_uses(self) -> None:
        rig = self.stores(new_args=("--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru"))
        with rig.old.client() as old:
            for number in range(10):
                old.set(f"large:{number}", b"x" * (1 << 20))
        report = self.check(rig, NOT_TRUE)
        self.assertEqual(self.failing(report), ["memory"])
        self.assert_finds(report, "memory", "fail", r"old uses 1\d\.\d MiB, new may use 6\.0 MiB", "a maxmemory of")
        self.assert_finds(report, "eviction", "warn", "noeviction on old, allkeys-lru on new", "noeviction")
        self.assert_finds(report, "big keys", "pass", "large:")

    def test_new_is_not_empty(self) -> None:
        rig = self.stores()
        with rig.new.client() as new, rig.old.client() as old:
            new.mset({f"mine:{number}": "x" for number in range(30)})
            old.mset({f"mine:{number}": "x" for number in range(10)})
        report = self.check(rig, DONE)
        self.assert_finds(report, "new is empty", "warn", "holds 30 keys; old lacks 20 of 30 .* REMOVES",
                          "Is it the right server")

    def test_a_wrong_password(self) -> None:
        rig = self.stores(password="secret-of-both")
        report = self.check(rig, NOT_TRUE, new=f"redis://:wrong-one@{HOST}:{rig.new.port}")
        self.assertEqual(self.failing(report), ["new is reached"])
        self.assert_finds(report, "new is reached", "fail", "refuses the login: WRONGPASS", r"backends\.new\.url")
        self.assert_finds(report, "old is reached", "pass", "redis 7")
        self.assertNotIn("wrong-one", json.dumps(report))
        self.assertNotIn("secret-of-both", json.dumps(report))
        without = self.check(rig, NOT_TRUE, new=f"redis://{HOST}:{rig.new.port}")
        self.assert_finds(without, "new is reached", "fail", "refuses the login: NOAUTH", "user:password@")

    def test_restore_is_denied(self) -> None:
        rig = self.stores()
        with rig.old.client() as old:
            fill(old, 200)
        url = self.user(rig.new, "fade", "+@all", "-restore")
        report = self.check(rig, DONE, new=url)
        self.assert_finds(report, "copies of every type", "warn", "RESTORE is refused .NOPERM.*by the commands of their "
                          "types.*stream with groups", r"\+restore on new")
        self.assert_finds(report, "rights on new", "warn", "user fade lacks RESTORE", r"ACL SETUSER fade \+restore")
        self.assert_no_canaries(rig)
        # And neither way.
        url = self.user(rig.new, "fade", "+@all", "-restore", "-rpush")
        report = self.check(rig, NOT_TRUE, new=url)
        self.assert_finds(report, "copies of every type", "fail", "can't be copied: list: RESTORE: NOPERM.*'rpush'",
                          "Allow")
        self.assert_no_canaries(rig)

    def test_a_stream_on_old_and_xadd_denied_on_new(self) -> None:
        rig = self.stores()
        url = self.user(rig.new, "fade", "+@all", "-xadd")
        # Not in use: nobody is alarmed, by checks of before neither.
        self.check(rig, DONE, new=url)
        self.assertEqual(self.failing(self.check(rig, DONE, new=url)), [])
        with rig.old.client() as old:
            old.xadd("events", {"a": "b"})
        report = self.check(rig, NOT_TRUE, new=url)
        self.assertEqual(self.failing(report), ["commands in use"])
        self.assert_finds(report, "commands in use", "fail", r"XADD \(\d+ calls\): NOPERM",
                          r"On new: ACL SETUSER fade \+xadd")

    def test_commands_that_new_has_not_or_crossfade_refuses(self) -> None:
        rig = self.stores(new_args=("--rename-command", "LPOS", "", "--rename-command", "GETRANGE", "hidden"))
        with rig.old.client() as old:
            old.rpush("l", "a")
            old.lpos("l", "a")
            old.config_set("timeout", 0)
        report = self.check(rig, NOT_TRUE)
        self.assert_finds(report, "commands in use", "fail", r"LPOS \(1 calls\): ERR unknown command 'lpos'",
                          "must stop using")
        self.assertNotIn("GETRANGE", named(report, "commands in use")["found"])
        self.assert_finds(report, "commands that Crossfade refuses", "warn", r"CONFIG SET \(1 calls\)",
                          "listen.admin_commands")

    def test_rights_that_old_denies(self) -> None:
        rig = self.stores()
        with rig.old.client() as old:
            fill(old, 50)
        url = self.user(rig.old, "fade", "+@all", "-dump", "-info", "-config", "-acl")
        report = self.check(rig, NOT_TRUE, old=url)
        self.assert_finds(report, "rights on old", "fail", "lacks INFO, DUMP", r"ACL SETUSER default \+info|fade \+info")
        self.assert_finds(report, "old is reached", "fail", "INFO: NOPERM", "Allow INFO")
        self.assert_finds(report, "commands in use", "warn", "could not be looked at: NOPERM", "Allow INFO")
        self.assert_finds(report, "keyspace notifications", "warn", "CONFIG GET: NOPERM")
        self.assert_finds(report, "users", "warn", "those of old could not be looked at: NOPERM")
        self.assert_no_canaries(rig)

    def test_rights_to_some_keys_only(self) -> None:
        rig = self.stores()
        url = self.user(rig.new, "fade", "+@all", "resetkeys", "~app:*")
        report = self.check(rig, NOT_TRUE, new=url)
        self.assert_finds(report, "rights on new", "fail", "DEL on every key", r"ACL SETUSER fade ~\*\.$")

    def test_nothing_is_written_where_it_could_not_be_removed(self) -> None:
        rig = self.stores()
        report = self.check(rig, NOT_TRUE, new=self.user(rig.new, "fade", "+@all", "-del"))
        self.assert_finds(report, "copies of every type", "warn", "not tried: .*removed from new: NOPERM")
        self.assert_finds(report, "rights on new", "fail", "lacks DEL", r"\+del")
        with rig.old.client() as old:
            self.assertNotIn("cmdstat_pfadd", old.info("commandstats"))

    def test_roles_databases_users_functions_and_clocks(self) -> None:
        rig = self.stores(new_args=("--databases", "4", "--maxclients", "50"))
        with rig.old.client(db=9) as old, rig.new.client() as new:
            old.set("in nine", "x")
            old.execute_command("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() end)")
            old.execute_command("ACL", "SETUSER", "ann", "on", ">ann's", "~*", "+@all")
            old.config_set("notify-keyspace-events", "Kx")
            new.execute_command("REPLICAOF", HOST, str(free_port()))
        report = self.check(rig, NOT_TRUE)
        self.assert_finds(report, "role of new", "fail", "replica", "REPLICAOF NO ONE")
        self.assert_finds(report, "databases", "fail", "refuses SELECT 9", "databases = 10")
        self.assert_finds(report, "functions", "warn", "new lacks lib", "crossfade copy functions")
        self.assert_finds(report, "users", "warn", "new lacks ann", "crossfade copy users")
        self.assert_finds(report, "keyspace notifications", "warn", "xK on old, off on new", "CONFIG SET")
        self.assert_finds(report, "clocks", "pass", r"\d ms")
        self.assertNotIn("ann's", json.dumps(report))
        self.assertNotRegex(json.dumps(report), r"#[0-9a-f]{8}")
        same = self.check(rig, NOT_TRUE, new=Relay(rig.old.port).url)
        self.assert_finds(same, "two stores", "fail", "the same server", "Correct")


class UnreachableTest(CheckTest):
    def test_new_can_not_be_reached(self) -> None:
        rig = self.stores()
        with rig.old.client() as old:
            fill(old, 20)
        address = f"{HOST}:{free_port()}"
        report = self.check(rig, UNREACHABLE, new=f"redis://{address}")
        self.assertTrue(report["unreachable"])
        self.assertEqual(self.failing(report), ["new is reached"])
        self.assert_finds(report, "new is reached", "fail", f"{address} can't be reached", r"backends\.new\.url")
        self.assert_finds(report, "old is reached", "pass", "redis 7")
        self.assert_finds(report, "big keys", "pass", "the largest of 20 that")
        self.assert_no_canaries(rig)

    def test_a_store_that_never_answers(self) -> None:
        rig = self.stores()
        relay = Relay(rig.new.port)
        relay.set(blackhole=True)
        began = time.monotonic()
        report = self.check(rig, UNREACHABLE, new=relay.url)
        self.say(f"ended after {time.monotonic() - began:.1f} s")
        self.assert_finds(report, "new is reached", "fail", "can't be reached: no reply in time")
        relay.set(blackhole=False, rate=20.0)  # bytes a second: each answer comes, too late
        began = time.monotonic()
        report = self.check(rig, UNREACHABLE, new=relay.url)
        self.assert_finds(report, "new is reached", "fail", "stopped answering: no reply in time", "overloaded")
        self.assertEqual(self.failing(report), ["new is reached"])
        self.assertLess(time.monotonic() - began, 60)

    def test_no_store_at_all(self) -> None:
        rig = self.rig(start=False)
        report = self.check(rig, UNREACHABLE)
        self.assertEqual(self.failing(report), ["old is reached", "new is reached"])


class RunningProxyTest(CheckTest):
    def test_the_same_findings_through_a_proxy(self) -> None:
        rig = self.rig()
        with rig.old.client() as old, rig.new.client() as new:
            fill(old, 100)
            new.config_set("maxmemory", "1gb")
            new.config_set("maxmemory-policy", "allkeys-lfu")
        by_itself = self.check(rig, DONE)
        text = self.crossfade("check", "--admin", rig.admin.address, "--json", wanted=DONE)
        through = json.loads(text)
        self.assertEqual(self.verdicts(through), self.verdicts(by_itself))
        self.assertEqual(self.verdicts(rig.admin.call("GET", "/api/v1/preflight", timeout=90)), self.verdicts(through))
        self.assertRegex(self.crossfade("check", "--admin", rig.admin.address, wanted=DONE),
                         r"warn  eviction +noeviction on old, allkeys-lfu on new")
        self.assertEqual(rig.admin.request("POST", "/api/v1/preflight", {})[0], 405)
        rig.new.kill()
        down = json.loads(self.crossfade("check", "--admin", rig.admin.address, "--json", wanted=UNREACHABLE))
        self.assert_finds(down, "new is reached", "fail", "can't be reached")

    def test_many_at_once_and_canaries_that_a_backfill_passes_over(self) -> None:
        rig = self.rig()
        with rig.old.client() as old:
            fill(old, 100)
            old.set("__crossfade:check:0123456789abcdef:string", "left by a crash")
        running = [subprocess.Popen([crossfade_binary(), "check", "--admin", rig.admin.address, "--json"],
                                    stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) for _ in range(4)]
        reports = [json.loads(child.communicate(timeout=90)[0]) for child in running]
        self.assertEqual({report["verdict"] for report in reports}, {"pass"}, reports[0])
        rig.admin.start_backfill()
        rig.admin.wait_synced()
        with rig.new.client() as new:
            self.assertEqual(new.dbsize(), 100)

    def verdicts(self, report: Any) -> dict[str, str]:
        return {check["name"]: check["status"] for check in report["checks"]}


if __name__ == "__main__":
    main()
