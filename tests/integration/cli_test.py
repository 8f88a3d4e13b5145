"""The command line: what each command says and returns. 0 done, 1 not come true, 2 wrong usage, 3 out of reach."""
import json
import os
import subprocess
from typing import Optional

from admin import wait_until
from harness import HOST, CrossfadeTest, Rig, crossfade_binary, free_port, main
from resp import RawConnection

DONE, NOT_TRUE, USAGE, UNREACHABLE = 0, 1, 2, 3
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CROSSFADE_")}


class CliTest(CrossfadeTest):
    def crossfade(self, *words: str, wanted: int = DONE, env: Optional[dict[str, str]] = None) -> str:
        """Runs a command to its end, checks its exit status, and returns what it printed on both outputs."""
        done = subprocess.run([crossfade_binary(), *words], capture_output=True, text=True, timeout=90,
                              stdin=subprocess.DEVNULL, env=ENVIRONMENT | (env or {}))
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, wanted, f"crossfade {' '.join(words)}: {text}")
        if wanted != DONE:
            self.assertTrue(done.stderr.strip(), f"crossfade {' '.join(words)} fails without a word")
        return text

    def operate(self, rig: Rig, *words: str, wanted: int = DONE) -> str:
        return self.crossfade(*words, "--admin", rig.admin.address, wanted=wanted)


class UsageTest(CliTest):
    def test_help(self) -> None:
        text = self.crossfade("--help")
        for command in ("run", "status", "reads", "compare", "secondary", "ack", "flip", "backfill", "mismatches"):
            self.assertRegex(text, rf"(?m)^\s+{command}\b")
            self.assertIn("--admin", self.crossfade(command, "--help"))
        self.assertRegex(self.crossfade("--version"), r"crossfade \d+\.\d+")

    def test_wrong_usage(self) -> None:
        for words in ((), ("stauts",), ("run", "--nonsense"), ("reads",), ("reads", "250"), ("reads", "-1"),
                      ("reads", "many"), ("ack", "nobody"), ("secondary", "maybe"), ("flip", "sideways"),
                      ("flip", "new", "--max-pause", "soon"), ("backfill", "sometimes"), ("status", "extra"),
                      ("status", "--admin", "no port"), ("status", "--token-file", "/nonexistent/token")):
            with self.subTest(words=words):
                self.crossfade(*words, wanted=USAGE)

    def test_a_dead_admin_port(self) -> None:
        address = f"{HOST}:{free_port()}"
        for words in (("status",), ("reads", "10"), ("flip",), ("flip", "new"), ("backfill", "start"), ("mismatches",)):
            text = self.crossfade(*words, "--admin", address, wanted=UNREACHABLE)
            self.assertIn(address, text)
        self.assertIn(address, self.crossfade("status", wanted=UNREACHABLE, env={"CROSSFADE_ADMIN": address}))


class ConfigurationTest(CliTest):
    def run_with(self, config: str, *words: str) -> list[str]:
        """Starts it with a faulty configuration; the lines that it ends with."""
        rig = self.rig(start=False, config=config)
        text = self.crossfade("run", "--config", str(rig.proxy.config_path), "--state", str(rig.proxy.state_dir),
                              *words, wanted=USAGE)
        return text.strip().splitlines()

    def test_all_mistakes_at_once_with_their_lines(self) -> None:
        lines = self.run_with(
            '[listen]\naddress = "127.0.0.1:0"\n[backends.old]\nurl = "redis://127.0.0.1:1/5"\n[backends.new]\n'
            'url = "http://127.0.0.1:2"\n[routing]\nreads_new = 150\nack = "all"\nredas_new = 5\n'
            '[limits]\nclients = "many"\n[admin]\naddress = "0.0.0.0:0"\n')
        text = "\n".join(lines)
        for number, wanted in ((4, "backends.old.url"), (6, "backends.new.url"), (8, "routing.reads_new"),
                               (9, "routing.ack"), (10, "redas_new"), (12, "limits.clients")):
            self.assertRegex(text, rf"(?m)crossfade\.toml:{number}: .*{wanted}")
        self.assertIn("token_file", text)
        self.assertGreaterEqual(len(lines), 7)

    def test_what_is_missing(self) -> None:
        self.assertRegex("\n".join(self.run_with('[listen]\naddress = "127.0.0.1:0"\n')), r"(?s)old.*new")

    def test_not_toml(self) -> None:
        self.assertRegex(self.run_with("[listen\n")[0], r"crossfade\.toml:\d")

    def test_flags(self) -> None:
        self.assertIn("--old", self.crossfade("run", "--old", "redis://h:port", "--new", "redis://h", wanted=USAGE))
        text = self.crossfade("run", "--old", "ftp://:sesame@h", "--new", "redis://h:1/3", "--listen", "x",
                              wanted=USAGE)
        self.assertNotIn("sesame", text)
        for flag in ("--old", "--new", "--listen"):
            self.assertIn(flag, text)
        self.crossfade("run", "--config", "/nonexistent/crossfade.toml", wanted=USAGE)

    def test_a_port_that_is_taken(self) -> None:
        rig = self.rig()
        done = subprocess.run([crossfade_binary(), "run", "--old", rig.old.url, "--new", rig.new.url, "--listen",
                               f"{HOST}:{rig.proxy.port}", "--admin", f"{HOST}:0", "--state",
                               str(rig.directory / "other state")],
                              capture_output=True, text=True, timeout=30, env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(rig.proxy.port), done.stderr)
        self.assertNotIn("ready listen", done.stderr)

    def test_a_state_directory_of_another_pair_of_stores(self) -> None:
        rig = self.rig()
        rig.admin.flip("new")
        rig.proxy.end()
        done = subprocess.run([crossfade_binary(), "run", "--old", f"redis://{HOST}:{free_port()}",
                               "--new", rig.new.url, "--listen", f"{HOST}:0", "--admin", f"{HOST}:0",
                               "--state", str(rig.proxy.state_dir)],
                              capture_output=True, text=True, timeout=30, env=ENVIRONMENT)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("state", done.stderr)


class OperatorTest(CliTest):
    def test_status(self) -> None:
        rig = self.rig()
        text = self.operate(rig, "status")
        for word in ("primary", "old", "new", "synced", "lag", "dirty", "writes", "reads"):
            self.assertIn(word, text)
        status = json.loads(self.operate(rig, "status", "--json"))
        self.assertEqual((status["primary"], status["secondary"], status["synced"]), ("old", "follow", "yes"))
        for name in ("version", "epoch", "ack", "reads_new", "compare", "lag", "dirty", "writes", "reads", "clients",
                     "backends", "backfill", "verify", "flips", "attention"):
            self.assertIn(name, status)
        for side in ("old", "new"):
            backend = status["backends"][side]
            self.assertEqual((backend["state"], backend["product"]), ("up", "redis"))
            self.assertRegex(backend["version"], r"^\d+\.\d+\.\d+")
            self.assertIn("p99", backend["latency_us"])
        text = self.crossfade("status", env={"CROSSFADE_ADMIN": rig.admin.address})
        self.assertIn("primary", text)

    def test_settings(self) -> None:
        rig = self.rig()
        for words, field, value in ((("reads", "25"), "reads_new", 25), (("reads", "12.5"), "reads_new", 12.5),
                                    (("compare", "100"), "compare", 100), (("ack", "both"), "ack", "both"),
                                    (("secondary", "journal"), "secondary", "journal"),
                                    (("secondary", "follow"), "secondary", "follow")):
            with self.subTest(words=words):
                text = self.operate(rig, *words)
                self.assertIn(str(value), text)
                self.assertEqual(rig.admin.status()[field], value)
        json.loads(self.operate(rig, "reads", "0", "--json"))
        self.assertEqual(rig.admin.status()["reads_new"], 0)

    def test_flip(self) -> None:
        rig = self.rig()
        self.operate(rig, "flip", "--dry-run")
        self.assertEqual(rig.admin.status()["primary"], "old")
        self.assertIn("new", self.operate(rig, "flip"))
        self.assertEqual(rig.admin.status()["primary"], "new")
        self.operate(rig, "flip", "old", "--max-pause", "2000")
        self.assertEqual(rig.admin.status()["primary"], "old")
        answer = json.loads(self.operate(rig, "flip", "new", "--json"))
        self.assertIs(answer["flipped"], True)
        rig.old.kill()
        wait_until(lambda: rig.backend_state("old") != "up", 10, "old seen as down")
        text = self.operate(rig, "flip", "old", wanted=NOT_TRUE)
        self.assertIn("old", text)
        self.assertEqual(rig.admin.status()["primary"], "new")

    def test_refusals_have_a_reason(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        rig.new.start()
        with rig.old.client() as old:
            old.set("was here", "before")
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.assertRegex(self.operate(rig, "reads", "10", wanted=NOT_TRUE), r"(?i)sync|backfill")
        self.assertRegex(self.operate(rig, "flip", "new", wanted=NOT_TRUE), r"(?i)sync|backfill")
        self.operate(rig, "backfill", "start")
        rig.admin.wait_synced()
        self.assertIn("done", self.operate(rig, "backfill"))
        self.operate(rig, "reads", "10")
        self.operate(rig, "flip", "new")
        self.assert_converged(rig)

    def test_mismatches(self) -> None:
        rig = self.rig()
        self.operate(rig, "mismatches")
        with RawConnection(rig.proxy.port) as connection:
            connection.ask("SET", "key:of:interest", "right")
            self.assert_converged(rig)
            with rig.new.client() as new:
                new.set("key:of:interest", "wrong")
            rig.admin.routing(compare=100)
            connection.ask("GET", "key:of:interest")
        wait_until(rig.admin.mismatches, 10, "a mismatch")
        text = self.operate(rig, "mismatches")
        self.assertIn("key:of:interest", text)
        self.assertNotIn("wrong", text, "values are kept only when asked for")
        self.assertIn("key:of:interest", self.operate(rig, "mismatches", "--json"))

    def test_a_token(self) -> None:
        rig = self.rig(start=False)
        token_file = rig.directory / "token"
        token_file.write_text("a-long-token\n")
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{token_file}"\n')
        rig.proxy.token = "a-long-token"
        rig.start_connected()
        self.operate(rig, "status", wanted=USAGE)
        self.operate(rig, "status", "--token-file", str(token_file))
        wrong = rig.directory / "wrong"
        wrong.write_text("another-token")
        self.operate(rig, "status", "--token-file", str(wrong), wanted=NOT_TRUE)
        self.crossfade("status", "--admin", rig.admin.address, env={"CROSSFADE_TOKEN": "a-long-token"})
        rig.admin.token = ""
        self.assertEqual(rig.admin.request("GET", "/api/v1/status")[0], 401)
        self.assertEqual(rig.admin.request("POST", "/api/v1/flip", {"to": "new"})[0], 401)
        rig.admin.token = "a-long-token"
        self.assertEqual(rig.admin.status()["primary"], "old")


if __name__ == "__main__":
    main()
