"""What an operator relies on at night: the audit trail, the list of what a flip depends on and the wait for it, the
live view, and a shell that completes."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any, Callable, Optional

from admin import Admin, wait_until
from harness import CrossfadeTest, Rig, crossfade_binary, free_port, main


def operate(rig: Rig, *args: str, timeout: float = 60) -> subprocess.CompletedProcess:
    return subprocess.run([crossfade_binary(), *args, "--admin", rig.admin.address], capture_output=True, text=True,
                          timeout=timeout, check=False)


def entries(rig: Rig, **wanted: str) -> list[dict]:
    """Those of the audit trail, the oldest first, that have these values."""
    found = rig.admin.call("GET", "/api/v1/audit?limit=1000")["entries"][::-1]
    return [one for one in found if all(one[name] == value for name, value in wanted.items())]


class AuditTest(CrossfadeTest):
    def test_who_changed_what_survives_kill_9(self) -> None:
        rig = self.rig(start=False)
        tokens = rig.directory / "tokens"
        tokens.write_text("ci alpha-token\nanna beta-token\n")
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{tokens}"\n')
        rig.proxy.token = "alpha-token"
        rig.start_connected()
        anna = Admin(rig.admin.address, "beta-token")
        self.assertEqual(Admin(rig.admin.address, "gamma-token").request("GET", "/api/v1/status")[0], 401)
        rig.admin.routing(reads_new=25, compare=100)
        rig.admin.routing(reads_new=25)  # changes nothing
        anna.routing(secondary="off")
        self.assertEqual(anna.request("PATCH", "/api/v1/routing", {"reads_new": 50})[0], 409)
        self.assertEqual(anna.request("PATCH", "/api/v1/routing", {"no_such": "s3cret"})[0], 400)
        self.assertEqual(anna.request("POST", "/api/v1/flip", {"to": "new", "dry_run": True})[0], 409)
        self.assertEqual(anna.request("POST", "/api/v1/flip", {"to": "new"})[0], 409)
        anna.routing(secondary="follow")
        rig.admin.wait_settled()
        self.assertTrue(anna.flip("new")["flipped"])
        self.assertTrue(anna.flip("old", force=True)["flipped"])
        anna.call("POST", "/api/v1/verify", {"sample": 50})
        wait_until(lambda: entries(rig, what="verify", to="done"), 20, "the end of the verification is noted")
        rig.proxy.kill()
        rig.proxy.start()

        trail = entries(rig)
        self.assertEqual([one["what"] for one in (trail[0], trail[-1])], ["start", "start"])
        self.assertIn("killed", trail[-1]["reason"])
        self.assertNotIn("killed", trail[0]["reason"])
        ci, hers = "token ci@127.0.0.1", "token anna@127.0.0.1"
        reads = [(one["from"], one["to"], one["outcome"], one["who"]) for one in entries(rig, what="reads_new")]
        self.assertEqual(reads, [("0", "25", "done", ci), ("25", "50", "refused", hers)])
        self.assertEqual([(one["from"], one["to"]) for one in entries(rig, what="compare", who=ci)], [("0", "100")])
        self.assertEqual([(one["from"], one["to"]) for one in entries(rig, what="secondary", who=hers)],
                         [("follow", "off"), ("off", "follow")])
        flips = entries(rig, what="flip", who=hers)
        self.assertEqual([(one["from"], one["to"], one["outcome"]) for one in flips],
                         [("old", "new", "refused"), ("old", "new", "done"), ("new", "old", "done")])
        self.assertIn("does not follow", flips[0]["reason"])
        self.assertRegex(flips[1]["reason"], r"held for [\d.]+ ms")
        self.assertTrue(flips[2]["reason"].startswith("force"))
        self.assertEqual(entries(rig, what="verify", who=hers)[0]["to"], "start")
        self.assertEqual([one["at_ms"] for one in trail], sorted(one["at_ms"] for one in trail))

        text = (rig.proxy.state_dir / "audit.jsonl").read_text()
        for secret in ("alpha-token", "beta-token", "gamma-token", "s3cret"):
            self.assertNotIn(secret, text)
        self.assertEqual(rig.proxy.end(signal.SIGTERM), 0)
        last = json.loads((rig.proxy.state_dir / "audit.jsonl").read_text().splitlines()[-1])
        self.assertEqual((last["who"], last["what"]), ("proxy", "stop"))

    def test_a_torn_line_and_a_reload(self) -> None:
        rig = self.rig(start=False)
        rig.proxy.config_path.write_text("[repair]\nkeys_per_second = 1000\n")
        rig.start_connected()
        rig.admin.routing(compare=10)
        rig.proxy.kill()
        with open(rig.proxy.state_dir / "audit.jsonl", "a", encoding="utf-8") as file:
            file.write('{"at_ms": 17, "who": "127.0.0.1", "wha')
        rig.proxy.config_path.write_text("[repair]\nkeys_per_second = 2000\n")
        rig.proxy.start()
        self.assertEqual(len(entries(rig, what="compare")), 1)
        rig.proxy.config_path.write_text("[repair]\nkeys_per_second = 3000\n")
        rig.proxy.send(signal.SIGHUP)
        changed = wait_until(lambda: entries(rig, what="repair.keys_per_second"), 10, "the reload is recorded")
        self.assertEqual([(one["who"], one["from"], one["to"]) for one in changed], [("SIGHUP", "2000", "3000")])
        rig.proxy.config_path.write_text("[repair]\nkeys_per_second = 0.5\n")
        rig.proxy.send(signal.SIGHUP)
        refused = wait_until(lambda: entries(rig, what="reload", outcome="refused"), 10, "a refused reload is recorded")
        self.assertEqual(refused[0]["who"], "SIGHUP")

    def test_what_happens_by_itself(self) -> None:
        rig = self.rig()
        rig.new.kill()
        down = wait_until(lambda: entries(rig, what="new", to="down"), 20, "a store that is gone is noted")
        self.assertEqual(down[0]["who"], "proxy")
        rig.new.start()
        wait_until(lambda: entries(rig, what="new", to="up"), 20, "and that it is back")

    def test_a_disk_that_takes_nothing_blocks_no_operator(self) -> None:
        rig = self.rig(start=False)
        blocked = rig.proxy.state_dir / "audit.jsonl"
        blocked.mkdir()  # can't be written to, not even by root
        rig.start_connected()
        rig.admin.routing(compare=10)
        self.assertEqual(rig.admin.status()["compare"], 10)
        self.assertTrue(any("audit trail" in line for line in rig.admin.status()["attention"]), rig.admin.status())
        self.assertEqual(len(entries(rig, what="compare")), 1)
        blocked.rmdir()
        wait_until(lambda: blocked.is_file() and '"compare"' in blocked.read_text(), 20, "it is written at last")
        self.assertFalse(any("audit trail" in line for line in rig.admin.status()["attention"]))
        shown = operate(rig, "audit", "--limit", "5")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("compare: 0 → 10", shown.stdout)


class FlipChecksTest(CrossfadeTest):
    def standing(self, rig: Rig, to: str = "new", query: str = "") -> dict[str, str]:
        answer = rig.admin.call("GET", f"/api/v1/flip?to={to}{query}")
        standing = {one["name"]: one["reason"] for one in answer["checks"] if not one["ok"] and not one["overridden"]}
        self.assertEqual(answer["ready"], not standing, answer)
        return standing

    def test_each_thing_that_stands_in_the_way_is_named(self) -> None:
        rig = self.rig()
        self.assertEqual(self.standing(rig), {})
        self.assertIn("primary already", self.standing(rig, "old")["target"])
        for store, check in ((rig.new, "target_writable"), (rig.old, "way_back")):
            store.client().config_set("min-replicas-to-write", 1)
            self.assertEqual(list(self.standing(rig)), [check])
            self.assertIn("NOREPLICAS", self.standing(rig)[check])
            self.assertEqual(self.standing(rig, query="&force=true"), {})
            code, answer = rig.admin.flip_answer("new")
            self.assertEqual(code, 409, answer)
            self.assertIn("NOREPLICAS", answer["reason"])
            store.client().config_set("min-replicas-to-write", 0)
        rig.admin.routing(secondary="off")
        standing = self.standing(rig)
        self.assertIn("does not follow", standing["following"])
        self.assertIn("clean", standing)
        self.assertIn("following", self.standing(rig, query="&cold=true"))
        rig.admin.routing(secondary="follow")
        rig.admin.wait_settled()
        rig.new.kill()
        wait_until(lambda: "target_up" in self.standing(rig), 10, "an unreachable store is named")
        self.assertIn("target_up", self.standing(rig, query="&force=true"))
        code, answer = rig.admin.request("GET", "/api/v1/flip?to=sideways")
        self.assertEqual(code, 400, answer)

    def test_a_dry_run_shows_the_list_with_a_preflight(self) -> None:
        rig = self.rig()
        good = operate(rig, "flip", "new", "--dry-run")
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        self.assertRegex(good.stdout, r"(?m)^ok +preflight +nothing failed")
        self.assertIn("would flip", good.stdout)
        self.assertNotIn("\x1b", good.stdout)
        rig.admin.routing(secondary="off")
        bad = operate(rig, "flip", "new", "--dry-run")
        self.assertEqual(bad.returncode, 1)
        self.assertRegex(bad.stdout, r"(?m)^no +following")
        self.assertIn("does not follow", bad.stderr)
        self.assertEqual(rig.admin.status()["primary"], "old")

    def test_subscribers_and_blocked_clients_are_counted(self) -> None:
        rig = self.rig()
        subscriber = rig.proxy.client().pubsub()
        subscriber.subscribe("channel")
        self.assertIsNotNone(subscriber.get_message(timeout=5))
        waiter = rig.proxy.client().connection_pool.get_connection("BLPOP")
        waiter.send_command("BLPOP", "queue", 0)
        wait_until(lambda: rig.admin.status()["clients"]["waiting"] == 1, 10, "a client is blocked")
        answer = rig.admin.flip("new")
        self.assertEqual(answer["moved"], {"subscribers": 1, "blocked": 1, "watches_broken": 0})
        rig.proxy.client().rpush("queue", "job")
        self.assertEqual(waiter.read_response(), [b"queue", b"job"])
        rig.proxy.client().publish("channel", "hello")
        wait_until(lambda: (subscriber.get_message(timeout=1) or {}).get("data") == b"hello", 10, "a message comes")

    def test_wait_flips_as_soon_as_it_may_and_ctrl_c_changes_nothing(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        for number in range(200):
            rig.old.client().set(f"key:{number}", number)
        rig.new.start()
        rig.proxy.start()
        rig.wait_up("old", "new")
        command = [crossfade_binary(), "flip", "new", "--wait", "--timeout", "2m", "--admin", rig.admin.address]
        given_up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(1)  # it waits by now; were it slower, it would be ended before it has begun
        given_up.send_signal(signal.SIGINT)
        out, err = given_up.communicate(timeout=60)
        self.assertIn(given_up.returncode, (1, -signal.SIGINT), out + err)
        self.assertEqual(rig.admin.status()["primary"], "old")
        short = operate(rig, "flip", "new", "--wait", "--timeout", "100ms")
        self.assertEqual(short.returncode, 1, short.stdout + short.stderr)
        self.assertIn("not synced", short.stdout)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
            rig.admin.call("POST", "/api/v1/backfill", {})
            out, err = waiting.communicate(timeout=90)
        self.assertEqual(waiting.returncode, 0, out + err)
        self.assertIn("flipped: new is primary now", out)
        self.assertEqual(rig.admin.status()["primary"], "new")
        self.assertEqual(rig.new.client().get("key:7"), b"7")


class Terminal:
    """A program in a pseudo-terminal of its own."""

    def __init__(self, argv: list[str], columns: int, rows: int):
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.resize(columns, rows)
        self.shown = ""
        environment = {**os.environ, "TERM": "xterm"}
        environment.pop("NO_COLOR", None)

        def own_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.popen = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment,
                                      preexec_fn=own_terminal)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self) -> str:
        while select.select([self.master], [], [], 0.05)[0]:
            self.shown += os.read(self.master, 65536).decode("utf-8", "replace")
        return self.shown

    def frames(self) -> list[str]:
        """Whole ones."""
        return [part.split("\x1b[J")[0] for part in self.read().split("\x1b[H")[1:] if "\x1b[J" in part]

    def wait_frame(self, wanted: Callable[[str], Any], what: str) -> str:
        def newest() -> Optional[str]:
            frames = self.frames()
            return frames[-1] if frames and wanted(frames[-1]) else None

        return wait_until(newest, 30, what) or ""

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def wait(self) -> int:
        deadline = time.monotonic() + 20
        while self.popen.poll() is None and time.monotonic() < deadline:
            self.read()
        return self.popen.wait(1)

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        os.close(self.master)
        os.close(self.slave)


def columns_of(frame: str) -> int:
    return max(len(line.strip("\r")) for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", frame).split("\n"))


class WatchTest(CrossfadeTest):
    def terminal(self, rig: Rig, columns: int = 120, rows: int = 50) -> Terminal:
        terminal = Terminal([crossfade_binary(), "watch", "--interval", "200ms", "--admin", rig.admin.address], columns,
                            rows)
        self.addCleanup(terminal.close)
        return terminal

    def assert_restored(self, terminal: Terminal) -> None:
        self.assertTrue(terminal.read().endswith("\x1b[?25h\x1b[?1049l"), repr(terminal.shown[-80:]))
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)

    def test_draws_follows_the_size_and_outlives_the_proxy(self) -> None:
        rig = self.rig(start=False)
        rig.proxy.admin_listen = f"127.0.0.1:{free_port()}"
        rig.start_connected()
        terminal = self.terminal(rig)
        terminal.wait_frame(lambda frame: "old (PRIMARY)" in frame and "crossfade verify" in frame, "the first frame")
        self.assertIn("\x1b[?1049h", terminal.shown)
        rig.admin.routing(compare=10)
        terminal.wait_frame(lambda frame: "compare: 0 → 10" in frame and "10 % compared" in frame, "a change is shown")
        rig.proxy.client().set("key", "value")
        terminal.wait_frame(lambda frame: re.search(r"writes/s +\d", frame), "rates")
        terminal.resize(40, 12)
        terminal.popen.send_signal(signal.SIGWINCH)
        frame = terminal.wait_frame(lambda frame: columns_of(frame) <= 40, "the new width")
        self.assertLessEqual(frame.count("\n"), 11)
        terminal.resize(200, 50)
        terminal.popen.send_signal(signal.SIGWINCH)
        terminal.wait_frame(lambda frame: "q quits" in frame, "the old height")
        rig.proxy.kill()
        terminal.wait_frame(lambda frame: "NO ANSWER" in frame and "old (PRIMARY)" in frame, "the proxy is gone")
        rig.proxy.start()
        terminal.wait_frame(lambda frame: "NO ANSWER" not in frame and frame.count("start: ") == 2, "the proxy is back")
        terminal.press(b"q")
        self.assertEqual(terminal.wait(), 0)
        self.assert_restored(terminal)

    def test_ctrl_c_and_sigterm_restore_the_terminal(self) -> None:
        rig = self.rig()
        for end in (lambda terminal: terminal.press(b"\x03"), lambda terminal: terminal.popen.terminate()):
            terminal = self.terminal(rig)
            terminal.wait_frame(lambda frame: "old (PRIMARY)" in frame, "a frame")
            end(terminal)
            self.assertEqual(terminal.wait(), 0)
            self.assert_restored(terminal)

    def test_a_line_each_time_elsewhere(self) -> None:
        rig = self.rig()
        argv = [crossfade_binary(), "watch", "--interval", "100ms", "--admin", rig.admin.address]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            lines = [watch.stdout.readline() for _ in range(3)]
            rig.proxy.kill()
            wait_until(lambda: "no answer" in watch.stdout.readline(), 20, "the proxy is gone")
            watch.terminate()
            self.assertEqual(watch.wait(10), 0)
        for line in lines:
            self.assertRegex(line, r"^\S+Z primary=old reads_new=0 synced=yes ")
            self.assertNotIn("\x1b", line)


class ShellTest(CrossfadeTest):
    def text(self, *args: str) -> str:
        return subprocess.run([crossfade_binary(), *args], capture_output=True, text=True, check=True).stdout

    def complete(self, *words: str, directory: str = "/") -> set[str]:
        script = ('eval "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _crossfade; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-c", script, "bash", self.text("completion", "bash"), "crossfade", *words],
                              capture_output=True, text=True, check=True, cwd=directory)
        self.assertEqual(done.stderr, "")
        return {line for line in done.stdout.splitlines() if line}

    def test_bash_completes(self) -> None:
        commands = set(re.findall(r"(?m)^  ([a-z-]+)  ", self.text("--help").split("Subcommands:")[1]))
        self.assertIn("flip", commands)
        self.assertEqual(self.complete(""), commands)
        self.assertEqual(self.complete("fl"), {"flip"})
        self.assertEqual(self.complete("flip", ""), {"old", "new"})
        self.assertEqual(self.complete("secondary", "j"), {"journal"})
        self.assertLessEqual({"--dry-run", "--wait", "--force", "--admin", "--json"}, self.complete("flip", "--"))
        self.assertEqual(self.complete("flip", "--dry"), {"--dry-run"})
        self.assertEqual(self.complete("flip", "--max-pause", ""), set())
        self.assertEqual(self.complete("completion", "z"), {"zsh"})
        self.assertEqual(self.complete("no-such", ""), set())
        rig = self.rig(start=False)
        (rig.directory / "my.toml").write_text("")
        self.assertEqual(self.complete("run", "--config", "my", directory=str(rig.directory)), {"my.toml"})

    def test_every_option_of_help_is_completed_and_in_the_manual(self) -> None:
        manual = self.text("man").replace("\\-", "-")
        zsh = self.text("completion", "zsh")
        for command in self.complete(""):
            shown = set(re.findall(r"(?m)^  (?:-\w,)?(--[a-z0-9-]+)", self.text(command, "--help")))
            self.assertTrue(shown, command)
            self.assertLessEqual(shown, self.complete(command, "--"), command)
            self.assertIn(f'.SS "crossfade {command}', manual)
            for option in shown:
                self.assertIn(option, manual)
                self.assertIn(option + "[", zsh)

    def test_zsh_parses_where_there_is_one(self) -> None:
        if shutil.which("zsh") is None:
            self.say("no zsh here")
            return
        script = self.text("completion", "zsh")
        done = subprocess.run(["zsh", "-n"], input=script, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_manual_page_renders_without_a_warning(self) -> None:
        page = self.text("man")
        self.assertTrue(page.startswith(".TH CROSSFADE 1"))
        self.assertEqual([line for line in page.splitlines() if not line.isascii()], [])
        if shutil.which("groff") is None:
            self.say("no groff here")
            return
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-P-c"], input=page, capture_output=True, text=True,
                              check=True)
        self.assertEqual(done.stderr, "")
        plain = re.sub(".\x08", "", done.stdout)  # bold and underlined, as terminals of old did it
        self.assertIn("crossfade flip [to] [options]", plain)
        self.assertRegex(plain, r"(?m)^ +crossfade reads 25 ")


if __name__ == "__main__":
    main()
