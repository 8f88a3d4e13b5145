"""`crossfade copy functions` and `crossfade copy users`, between real servers."""
from __future__ import annotations

import json
import os
import subprocess

import redis

from harness import HOST, CrossfadeTest, RedisServer, Rig, connect, crossfade_binary, main

DONE, NOT_TRUE, UNREACHABLE = 0, 1, 3
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CROSSFADE_")}


def library(name: str, function: str, answer: int) -> str:
    return f"#!lua name={name}\nredis.register_function('{function}', function() return {answer} end)"


class CopyTest(CrossfadeTest):
    def copy(self, rig: Rig, what: str, wanted: int = DONE) -> dict:
        """The answer of the API; the text for people has been looked at as well."""
        words = [crossfade_binary(), "copy", what, "--admin", rig.admin.address]
        done = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=90, env=ENVIRONMENT)
        self.assertEqual(done.returncode, wanted, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def load(self, server: RedisServer, *libraries: str) -> None:
        with server.client() as client:
            for code in libraries:
                client.execute_command("FUNCTION", "LOAD", "REPLACE", code)

    def reasons(self, exceptions: list[dict]) -> dict[str, str]:
        return {one["name"]: one["why"] for one in exceptions}


class FunctionsTest(CopyTest):
    def test_all_that_new_lacks_or_has_otherwise(self) -> None:
        rig = self.rig()
        self.load(rig.old, library("one", "f", 1), library("two", "g", 2), library("same", "h", 3))
        self.load(rig.new, library("two", "g", 99), library("same", "h", 3), library("mine", "i", 4))
        answer = self.copy(rig, "functions")
        self.assertEqual([answer["from"], answer["to"]], ["old", "new"])
        self.assertCountEqual(answer["copied"], ["one", "two"])
        self.assertEqual(answer["equal"], ["same"])
        self.assertEqual(answer["only_on_secondary"], ["mine"])
        self.assertEqual(answer["refused"], [])
        with rig.new.client() as new:
            self.assertEqual([new.execute_command("FCALL", name, 0) for name in "fghi"], [1, 2, 3, 4])
        again = self.copy(rig, "functions")
        self.assertEqual(again["copied"], [])
        self.assertCountEqual(again["equal"], ["one", "two", "same"])
        # What applications load afterwards goes to both, as ever.
        with rig.proxy.client() as client:
            client.execute_command("FUNCTION", "LOAD", "REPLACE", library("one", "f", 11))
        self.assertCountEqual(self.copy(rig, "functions")["equal"], ["one", "two", "same"])

    def test_one_by_one_where_restore_is_denied(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        with rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "fade", "on", ">pw", "~*", "&*", "+@all", "-function|restore")
        rig.proxy.new_url = f"redis://fade:pw@{HOST}:{rig.new.port}"
        self.load(rig.old, library("one", "f", 1), library("two", "g", 2), library("three", "taken", 3))
        self.load(rig.new, library("mine", "taken", 9))
        rig.proxy.start()
        rig.wait_up("old", "new")
        answer = self.copy(rig, "functions", wanted=NOT_TRUE)
        self.assertCountEqual(answer["copied"], ["one", "two"])
        self.assertEqual(answer["only_on_secondary"], ["mine"])
        self.assertRegex(self.reasons(answer["refused"])["three"], "Function taken already exists")
        with rig.new.client() as new:
            self.assertEqual(new.execute_command("FCALL", "taken", 0), 9)

    def test_after_a_flip_it_goes_the_other_way(self) -> None:
        rig = self.rig()
        rig.admin.flip("new")
        self.load(rig.new, library("one", "f", 1))
        answer = self.copy(rig, "functions")
        self.assertEqual([answer["from"], answer["to"], answer["copied"]], ["new", "old", ["one"]])
        with rig.old.client() as old:
            self.assertEqual(old.execute_command("FCALL", "f", 0), 1)

    def test_a_store_that_is_down_or_does_not_allow_it(self) -> None:
        rig = self.rig(new_args=("--rename-command", "FUNCTION", ""))
        self.assertRegex(self.copy(rig, "functions", wanted=NOT_TRUE)["error"], r"^new \(.*unknown command")
        rig.new.kill()
        self.assertRegex(self.copy(rig, "functions", wanted=UNREACHABLE)["error"], r"^new \(.*can't be reached")


class UsersTest(CopyTest):
    RULES = ("on", ">ann's", ">another", "~a:*", "%R~b:*", "resetchannels", "&c:*", "+@read", "-get", "(~d:* +set)")

    def test_users_with_their_passwords_and_rules(self) -> None:
        rig = self.rig()
        with rig.old.client() as old, rig.new.client() as new:
            old.execute_command("ACL", "SETUSER", "ann", *self.RULES)
            old.execute_command("ACL", "SETUSER", "bob", "on", "nopass", "allkeys", "+@all")
            old.execute_command("ACL", "SETUSER", "gone", "off")
            new.execute_command("ACL", "SETUSER", "ann", "on", ">too old", "allkeys", "+@all")
            new.execute_command("ACL", "SETUSER", "bob", "on", "nopass", "allkeys", "+@all")
            new.execute_command("ACL", "SETUSER", "mine", "on", ">x")
        answer = self.copy(rig, "users")
        self.assertCountEqual(answer["copied"], ["ann", "gone"])
        self.assertCountEqual(answer["equal"], ["bob", "default"])
        self.assertEqual(answer["only_on_secondary"], ["mine"])
        self.assertIn("ACL SAVE", answer["note"])
        with rig.old.client() as old, rig.new.client() as new:
            # The flags differ by sanitize-payload, which is the default and shown only after `reset`.
            self.assertEqual(new.execute_command("ACL", "GETUSER", "ann")[2:],
                             old.execute_command("ACL", "GETUSER", "ann")[2:])
        with connect(rig.new.port, username="ann", password="ann's") as ann:
            self.assertEqual(ann.strlen("a:1"), 0)
        with self.assertRaisesRegex(redis.RedisError, "WRONGPASS"):
            with connect(rig.new.port, username="ann", password="too old") as ann:
                ann.ping()
        again = self.copy(rig, "users")
        self.assertEqual([again["copied"], again["refused"]], [[], []])
        self.assertNotRegex(json.dumps(answer) + rig.proxy.log(), "[0-9a-f]{64}")

    def test_never_the_user_that_crossfade_is(self) -> None:
        rig = self.rig(password="of both")
        with rig.old.client() as old:
            old.execute_command("ACL", "SETUSER", "default", "resetpass", ">changed", ">of both")
        answer = self.copy(rig, "users")
        self.assertEqual(answer["copied"], [])
        self.assertIn("Crossfade itself logs in as it on new", self.reasons(answer["skipped"])["default"])
        with connect(rig.new.port, password="of both") as new:
            self.assertTrue(new.ping())
        self.assertEqual(rig.backend_state("new"), "up")

    def test_default_is_copied_when_crossfade_is_another(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        with rig.old.client() as old, rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "fade", "on", ">pw", "~*", "&*", "+@all")
            old.execute_command("ACL", "SETUSER", "default", "-flushall")
        rig.proxy.new_url = f"redis://fade:pw@{HOST}:{rig.new.port}"
        rig.proxy.start()
        rig.wait_up("old", "new")
        answer = self.copy(rig, "users")
        self.assertEqual([answer["copied"], answer["only_on_secondary"]], [["default"], ["fade"]])
        with rig.new.client() as new:
            with self.assertRaises(redis.exceptions.NoPermissionError):
                new.flushall()

    def test_a_server_that_does_not_allow_it(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        with rig.old.client() as old, rig.new.client() as new:
            old.execute_command("ACL", "SETUSER", "ann", *self.RULES)
            new.execute_command("ACL", "SETUSER", "fade", "on", ">pw", "~*", "&*", "+@all", "-acl|setuser")
        rig.proxy.new_url = f"redis://fade:pw@{HOST}:{rig.new.port}"
        rig.proxy.start()
        rig.wait_up("old", "new")
        answer = self.copy(rig, "users", wanted=NOT_TRUE)
        self.assertRegex(self.reasons(answer["refused"])["ann"], "NOPERM .*acl.setuser")
        with rig.new.client() as new:
            new.execute_command("ACL", "SETUSER", "fade", "-acl")
        self.assertRegex(self.copy(rig, "users", wanted=NOT_TRUE)["reason"], r"^new \(.*NOPERM")

    def test_for_people(self) -> None:
        rig = self.rig()
        with rig.old.client() as old:
            old.execute_command("ACL", "SETUSER", "ann", "on", "nopass")
        text = subprocess.run([crossfade_binary(), "copy", "users", "--admin", rig.admin.address], check=True,
                              capture_output=True, text=True, timeout=90, env=ENVIRONMENT).stdout
        self.assertRegex(text, r"(?m)^copied +ann$")
        self.assertRegex(text, r"(?m)^equal already +default$")
        self.assertRegex(text, r"(?m)^copy: 1 users copied from old to new$")
        self.assertEqual(rig.admin.request("POST", "/api/v1/copy", {"what": "keys"})[0], 400)
        self.assertEqual(rig.admin.request("GET", "/api/v1/copy")[0], 405)


if __name__ == "__main__":
    main()
