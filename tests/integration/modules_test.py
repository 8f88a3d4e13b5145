"""Commands that the table doesn't know: placed by what the primary's COMMAND says of them, with a real module."""
from __future__ import annotations

import subprocess
from pathlib import Path

from admin import wait_until
from harness import CrossfadeTest, Rig, main

SOURCE = Path(__file__).parent / "module" / "toy.c"


class ModulesTest(CrossfadeTest):
    def rig_with_module(self, config: str = "") -> Rig:
        rig = self.rig(start=False, config=config)
        library = rig.directory / "toy.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)], check=True)
        for server in (rig.old, rig.new):
            server.args += ["--loadmodule", str(library)]
        return rig.start_connected()

    def test_a_module_write_is_followed_and_a_read_is_answered(self) -> None:
        rig = self.rig_with_module()
        client = rig.proxy.client()
        self.assertEqual(client.execute_command("TOY.APPEND", "k", "one"), 3)
        self.assertEqual(client.execute_command("toy.append", "k", "two"), 6)
        self.assertEqual(client.execute_command("TOY.READ", "k"), b"onetwo")
        with client.pipeline() as block:
            block.execute_command("TOY.APPEND", "k", "three")
            block.execute_command("TOY.READ", "k")
            self.assertEqual(block.execute(), [11, b"onetwothree"])
        self.assert_no_divergence(self.assert_converged(rig))
        self.assertEqual(rig.new.client().get("k"), b"onetwothree")

    def test_errors_are_the_servers(self) -> None:
        rig = self.rig_with_module()
        client = rig.proxy.client()
        with self.assertRaisesRegex(Exception, "wrong number of arguments for 'toy.append' command"):
            client.execute_command("TOY.APPEND", "k")
        client.sadd("set", "m")
        with self.assertRaisesRegex(Exception, "WRONGTYPE|wrong kind"):
            client.execute_command("TOY.APPEND", "set", "x")
        with self.assertRaisesRegex(Exception, "'toy.admin' is refused"):
            client.execute_command("TOY.ADMIN")
        with self.assertRaisesRegex(Exception, "unknown command 'TOY.NOTHING'"):
            client.execute_command("TOY.NOTHING")
        self.assert_no_divergence(self.assert_converged(rig))

    def test_what_answers_the_same_and_does_not_do_the_same_is_settled(self) -> None:
        rig = self.rig_with_module("[settle]\nquiet_ms = 100\n")
        client = rig.proxy.client()
        for number in range(20):
            client.sadd(f"set {number}", *range(50))
        for number in range(20):
            self.assertEqual(client.execute_command("TOY.DROP", f"set {number}"), 49)
        status = wait_until(lambda: (lambda s: s if s["settle"]["checked"] >= 20 and s["settle"]["waiting"] == 0 else None)(
            rig.admin.status()), 30, "every touched key is compared again")
        self.assertGreater(status["settle"]["differed"], 10, "50 members each: hardly ever do two stores pick the same")
        status = self.assert_converged(rig)
        self.say(f"settled: {status['settle']}")
        self.assertEqual(status["writes"]["diverged"], 0)


if __name__ == "__main__":
    main()
