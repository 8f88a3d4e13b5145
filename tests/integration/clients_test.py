"""Real client libraries, as applications use them: redis-py, ioredis, and node-redis in RESP3.

The cases are in clients/. Each file first runs against a server alone, which shows that its expectations are right, and
then through the proxy, with reads from both stores and all of them compared; afterwards both stores hold the same. The
Node libraries are installed by `npm ci` in build/clients, once, from whatever registry npm is configured for.
"""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from harness import CrossfadeTest, RedisServer, main
from node import install, program
from stores import contents

SOURCE = Path(__file__).resolve().parent / "clients"
INSTALLED = SOURCE.parents[2] / "build" / "clients"
SERVER_ARGS = ("--notify-keyspace-events", "KEA")
PART = os.environ.get("CROSSFADE_CASE", "")  # only the cases whose name contains this
TIMEOUT = 240


class ClientsTest(CrossfadeTest):
    def test_redis_py(self) -> None:
        self.drive(["/usr/bin/python3", str(SOURCE / "redis_py_cases.py")])

    def test_ioredis(self) -> None:
        self.drive(self.node("ioredis_cases.mjs"))

    def test_node_redis_in_resp3(self) -> None:
        self.drive(self.node("node_redis_cases.mjs"))

    def node(self, cases: str) -> list[str]:
        return [program("node", "nodejs"), str(install(SOURCE, INSTALLED) / cases)]

    def test_the_lock_file_names_no_registry(self) -> None:
        """npm ci then takes the registry that the machine is configured for. `npm install` writes them unless told not
        to: --omit-lockfile-registry-resolved."""
        packages = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
        libraries = {name: package for name, package in packages.items() if name}
        self.assertIn("node_modules/ioredis", libraries)
        self.assertEqual([name for name, package in libraries.items() if "resolved" in package], [])
        self.assertEqual([name for name, package in libraries.items() if "integrity" not in package], [])

    def drive(self, command: list[str]) -> None:
        rig = self.rig(old_args=SERVER_ARGS, new_args=SERVER_ARGS)
        alone = RedisServer("alone", rig.directory, SERVER_ARGS)
        self.addCleanup(alone.kill)
        alone.start()
        asked = self.run_cases(command, alone.port)
        if asked["FAILED"]:
            self.fail("against a server alone, without the proxy:\n" + "\n".join(asked["FAILED"]))
        alone.kill()

        rig.admin.routing(compare=100, reads_new=50)
        through = self.run_cases(command, rig.proxy.port)
        self.say(f"{len(through['ok'])} of {len(asked['ok'])} cases")
        if through["FAILED"]:
            self.fail("through the proxy:\n" + "\n".join(through["FAILED"]))
        self.assertEqual(through["ok"], asked["ok"])
        status = self.assert_converged(rig)
        self.assertEqual(contents(rig.old.client), contents(rig.new.client), "also the groups of streams")
        self.assertEqual(status["reads"]["mismatched"], 0, rig.admin.mismatches()[:10])

    def run_cases(self, command: list[str], port: int) -> dict[str, list[str]]:
        """The lines that begin with ok and with FAILED, without that word."""
        try:
            done = subprocess.run([*command, str(port), PART], capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as late:
            self.fail(f"{command} has not ended within {TIMEOUT} s:\n{(late.stdout or b'').decode()[-3000:]}")
        lines: dict[str, list[str]] = {"ok": [], "FAILED": []}
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word in lines:
                lines[word].append(rest)
        as_told = done.returncode == (1 if lines["FAILED"] else 0) and (lines["ok"] or lines["FAILED"])
        self.assertTrue(as_told, f"{command} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return lines


if __name__ == "__main__":
    main()
