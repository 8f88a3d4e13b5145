"""SIGTERM and SIGHUP: what was read is answered, the rest is closed, it ends in time, and the next run goes on from there;
a new configuration is taken over as far as that is possible, or not at all."""
from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tomllib
import unittest
from pathlib import Path

from admin import wait_until
from harness import HOST, CrossfadeTest, Rig, crossfade_binary, main
from resp import Closed, RawConnection, encode
from traffic import raw_client

ROOT = Path(__file__).resolve().parents[2]
LONG_SHUTDOWN = '[timeouts]\nshutdown = "60s"\n'
MARGIN_S = 10  # for a busy machine


class Counter(threading.Thread):
    """Pipelines INCR on a key of its own until the connection is closed; remembers the last answer."""

    def __init__(self, port: int, number: int):
        super().__init__(daemon=True)
        self.connection = RawConnection(port, timeout=60)
        self.key = f"count:{number}"
        self.answered = 0
        self.trouble = ""
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.connection.send(encode("INCR", self.key) * 20)
                for _ in range(20):
                    self.take(self.connection.reply())
        except (Closed, OSError):
            self.drain()

    def drain(self) -> None:
        """What was answered before the connection closed, also when our own sending has failed first."""
        try:
            while True:
                self.take(self.connection.reply())
        except (Closed, OSError):
            pass

    def take(self, reply: object) -> None:
        if reply != self.answered + 1:
            self.trouble = f"{reply!r} after {self.answered}"
        self.answered += 1


class ShutdownTest(CrossfadeTest):
    def stop(self, rig: Rig, timeout: float = 60.0) -> float:
        """SIGTERM; expects an orderly end. Returns the seconds that it took."""
        begin = time.monotonic()
        status = rig.proxy.end(signal.SIGTERM, timeout=timeout)
        self.assertEqual(status, 0, rig.proxy.log(20))
        self.assertIn("event=stopping", rig.proxy.log())
        self.assertIn("event=shutdown", rig.proxy.log())
        return time.monotonic() - begin

    def assert_shut(self, connection: RawConnection) -> None:
        with self.assertRaises(Closed):
            while True:
                connection.reply()

    def test_under_load_what_was_run_was_answered(self) -> None:
        rig = self.rig(config=LONG_SHUTDOWN)
        counters = [Counter(rig.proxy.port, number) for number in range(20)]
        for counter in counters:
            self.addCleanup(counter.connection.close)
        wait_until(lambda: sum(counter.answered for counter in counters) > 5000, 60, "traffic")
        taken = self.stop(rig)
        for counter in counters:
            counter.join(30)
            self.assertFalse(counter.is_alive())
            self.assertEqual(counter.trouble, "")
        with rig.old.client() as old:
            ran = [int(old.get(counter.key)) for counter in counters]
        self.assertEqual([counter.answered for counter in counters], ran)
        self.say(f"stopped in {taken:.2f} s after {sum(ran)} commands of 20 pipelining clients, all answered")
        self.assertIn("clean=true", rig.proxy.log())
        self.assertEqual(*rig.equal_digests())
        rig.proxy.start()
        rig.wait_up("old", "new")
        status = rig.admin.wait_synced()
        self.assertEqual(status["backfill"]["state"], "idle", "an orderly end needs no sweep")
        self.assert_converged(rig)

    def test_nobody_is_waited_for_who_asks_nothing(self) -> None:
        rig = self.rig(config=LONG_SHUTDOWN)
        asked = {"idle": [("PING",)], "transaction": [("MULTI",), ("SET", "k", "v")], "watch": [("WATCH", "k")],
                 "subscriber": [("SUBSCRIBE", "c")], "monitor": [("MONITOR",)]}
        clients = {name: RawConnection(rig.proxy.port) for name in [*asked, "blocked", "half"]}
        for client in clients.values():
            self.addCleanup(client.close)
        for name, commands in asked.items():
            for command in commands:
                clients[name].ask(*command)
        clients["blocked"].send(encode("BLPOP", "nothing", 0))
        clients["half"].send(b"*3\r\n$3\r\nSET\r\n")
        wait_until(lambda: rig.admin.status()["clients"]["waiting"] == 1, 10, "one is blocked")
        threads = [threading.Thread(target=self.assert_shut, args=(client,)) for client in clients.values()]
        for thread in threads:
            thread.start()
        taken = self.stop(rig)
        for thread in threads:
            thread.join(10)
            self.assertFalse(thread.is_alive(), "a client was not closed")
        self.assertLess(taken, 30)
        with rig.old.client() as old:
            self.assertEqual(old.exists("k"), 0)

    def test_who_does_not_read_is_waited_for_no_longer_than_allowed(self) -> None:
        rig = self.rig(config='[timeouts]\nshutdown = "1s"\n')
        with raw_client(rig.proxy.port) as client:
            client.execute_command("SET", "k", b"x" * (16 << 20))
        with RawConnection(rig.proxy.port) as sleeper:
            sleeper.send(encode("GET", "k"))
            wait_until(lambda: rig.admin.status()["limits"]["client_output"]["used"] > 0, 20, "it does not read")
            self.assertLess(self.stop(rig), 1 + MARGIN_S)
        self.assertIn("clients_left=1", rig.proxy.log())

    def test_with_the_secondary_stopped(self) -> None:
        rig = self.rig(config='[timeouts]\nshutdown = "2s"\n')
        rig.new.pause()
        with raw_client(rig.proxy.port) as client:
            for number in range(200):
                self.assertEqual(client.execute_command("SET", f"k{number}", "v"), b"OK")
        taken = self.stop(rig)
        self.say(f"ended {taken:.2f} s after SIGTERM, of 2 s allowed")
        self.assertLess(taken, 2 + MARGIN_S)
        self.assertIn("clean=false", rig.proxy.log())
        self.assertRegex(rig.proxy.log(), r"event=shutdown .*slots_left=[1-9]")
        rig.new.resume()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_with_the_primary_stopped(self) -> None:
        rig = self.rig(config='[timeouts]\nshutdown = "2s"\n')
        with RawConnection(rig.proxy.port, timeout=30) as client:
            self.assertEqual(client.ask("SET", "k", "1"), b"OK")
            rig.old.pause()
            client.send(encode("SET", "k", "2"))
            wait_until(lambda: rig.admin.status()["limits"]["primary_commands"]["used"] > 0, 10, "it is in flight")
            self.assertLess(self.stop(rig), 2 + MARGIN_S)
            self.assert_shut(client)
        self.assertIn("clients_unanswered=1", rig.proxy.log())
        rig.old.resume()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.wait_synced()
        self.assert_converged(rig)

    def test_load_balancers_see_it(self) -> None:
        rig = self.rig(config=LONG_SHUTDOWN)
        with RawConnection(rig.proxy.port, timeout=60) as client:
            self.assertEqual(client.ask("SET", "k", "1"), b"OK")
            self.assertEqual(rig.admin.request("GET", "/readyz")[0], 200)
            rig.old.pause()
            client.send(encode("INCR", "k") + encode("INCR", "k"))
            wait_until(lambda: rig.admin.status()["limits"]["primary_commands"]["used"] > 1, 10, "they are in flight")
            rig.proxy.send(signal.SIGTERM)
            code, body = wait_until(lambda: (answer := rig.admin.request("GET", "/readyz"))[0] == 503 and answer, 20,
                                    "not ready")
            self.assertIn("stopping", str(body))
            self.assertEqual(rig.admin.request("GET", "/healthz")[0], 200)
            self.assertTrue(rig.admin.status()["stopping"])
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection((HOST, rig.proxy.port), timeout=5)
            rig.old.resume()
            self.assertEqual([client.reply(), client.reply()], [2, 3])
            self.assert_shut(client)
        self.assertEqual(rig.proxy.popen.wait(30), 0)
        self.assertEqual(*rig.equal_digests())

    def test_a_second_signal_ends_it_at_once(self) -> None:
        rig = self.rig(config=LONG_SHUTDOWN)
        with RawConnection(rig.proxy.port) as client:
            self.assertEqual(client.ask("SET", "k", "1"), b"OK")
            rig.old.pause()
            client.send(encode("SET", "k", "2"))
            wait_until(lambda: rig.admin.status()["limits"]["primary_commands"]["used"] > 0, 10, "it is in flight")
            rig.proxy.send(signal.SIGTERM)
            wait_until(lambda: "event=stopping" in rig.proxy.log(), 20, "it is stopping")
            self.assertTrue(rig.proxy.running)
            begin = time.monotonic()
            self.assertEqual(rig.proxy.end(signal.SIGINT, timeout=30), 1)
            self.assertLess(time.monotonic() - begin, 25)
        rig.old.resume()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.wait_synced()
        self.assert_converged(rig)


class ReloadTest(CrossfadeTest):
    def reloaded(self, rig: Rig, config: str, mark: str = "event=config_reloaded") -> str:
        """Writes the file, sends SIGHUP, and returns what was logged about it."""
        begin = len(rig.proxy.log())
        rig.proxy.config_path.write_text(config)
        rig.proxy.send(signal.SIGHUP)
        wait_until(lambda: mark in rig.proxy.log()[begin:], 20, mark)
        return rig.proxy.log()[begin:]

    def test_what_can_change_does_and_what_cannot_is_named(self) -> None:
        rig = self.rig(config="[limits]\nclients = 2\n")
        before = rig.admin.status()["config"]
        self.assertEqual(before["file"], str(rig.proxy.config_path))
        kept = [RawConnection(rig.proxy.port) for _ in range(2)]
        for connection in kept:
            self.addCleanup(connection.close)
            self.assertEqual(connection.ask("PING"), b"PONG")
        with RawConnection(rig.proxy.port) as refused:
            self.assertRegex(refused.reply(), "max number of clients")
        log = self.reloaded(rig, '[limits]\nclients = 50\nmemory = "1GiB"\ntransaction = "1KiB"\n'
                                 "[routing]\nreads_new = 30\n"
                                 '[[rule]]\nprefix = "a:"\nreads_new = 10\n[repair]\nkeys_per_second = 77\n')
        self.assertIn('event=config_changed key="limits.clients" from="2" to="50"', log)
        self.assertIn('key="rule.a:"', log)
        self.assertRegex(log, r'event=config_kept key="routing.reads_new" value="0" file_says="30" reason="[^"]+"')
        self.assertIn("changed=5 kept=1", log)
        status = rig.admin.status()
        self.assertEqual(status["limits"]["clients"]["limit"], 50)
        self.assertEqual(status["limits"]["memory"]["limit"], 1 << 30)
        self.assertEqual(status["reads_new"], 0)
        self.assertNotEqual(status["config"]["hash"], before["hash"])
        self.assertGreater(status["config"]["loaded_at_ms"], before["loaded_at_ms"])
        with RawConnection(rig.proxy.port) as third:
            self.assertEqual(third.ask("PING"), b"PONG")
            third.ask("MULTI")
            self.assertRegex(third.ask("SET", "k", "x" * 2000), "limits.transaction")
        for connection in kept:  # they noticed nothing
            self.assertEqual(connection.ask("SET", "k", "v"), b"OK")

    def test_a_file_with_mistakes_changes_nothing(self) -> None:
        rig = self.rig(config="[limits]\nclients = 7\n")
        before = rig.admin.status()["config"]
        log = self.reloaded(rig, '[limits]\nclients = 8\nmemory = "much"\n[timeouts]\nreed = "1s"\n',
                            "event=config_not_reloaded")
        self.assertRegex(log, r"event=config_mistake text=\"[^\n]*crossfade\.toml:3: limits\.memory: ")
        self.assertRegex(log, r"event=config_mistake text=\"[^\n]*crossfade\.toml:5: timeouts\.reed: ")
        status = rig.admin.status()
        self.assertEqual(status["limits"]["clients"]["limit"], 7)
        self.assertEqual(status["config"], before)
        rig.proxy.config_path.unlink()
        begin = len(rig.proxy.log())
        rig.proxy.send(signal.SIGHUP)
        wait_until(lambda: "event=config_not_reloaded" in rig.proxy.log()[begin:], 20, "a missing file")
        self.assertTrue(rig.proxy.running)

    def test_without_a_file(self) -> None:
        rig = self.rig()
        rig.proxy.send(signal.SIGHUP)
        wait_until(lambda: "started without --config" in rig.proxy.log(), 20, "it says why nothing happens")
        self.assertEqual(rig.admin.request("POST", "/api/v1/reload", {})[0], 409)

    def test_addresses_stay_and_the_token_changes(self) -> None:
        rig = self.rig(start=False)
        token_file = rig.directory / "token"
        token_file.write_text("alpha-token\n")
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{token_file}"\n')
        rig.proxy.token = "alpha-token"
        rig.start_connected()
        token_file.write_text("beta-token\n")
        self.reloaded(rig, f'[admin]\ntoken_file = "{token_file}"\n[timeouts]\nack = "2s"\n')
        self.assertEqual(rig.admin.request("GET", "/api/v1/status")[0], 401)
        rig.admin.token = "beta-token"
        self.assertEqual(rig.admin.status()["config"]["file"], str(rig.proxy.config_path))
        self.assertNotIn("beta-token", rig.proxy.log())
        token_file.unlink()
        self.assertEqual(rig.admin.request("POST", "/api/v1/reload", {})[0], 409)
        self.assertEqual(rig.admin.request("GET", "/api/v1/status")[0], 200, "the token is still the second")

    def test_the_command_says_what_has_changed(self) -> None:
        rig = self.rig(config="[limits]\nclients = 7\n")
        rig.proxy.config_path.write_text("[limits]\nclients = 9\n[routing]\ncompare = 5\n")
        command = [rig.proxy.binary, "reload", "--admin", rig.admin.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('limits.clients: "9", was "7"', done.stdout)
        self.assertRegex(done.stdout, r'routing.compare: still "0", not "5": ')
        self.assertIn("reload: 1 setting has changed", done.stdout)
        rig.proxy.config_path.write_text("[limits]\nclients = none\n")
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("crossfade.toml:2", done.stderr)


class ServiceTest(unittest.TestCase):
    """conf/crossfade.service, as far as that can be told without installing it."""

    UNIT = ROOT / "conf/crossfade.service"

    def test_systemd_accepts_it(self) -> None:
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            self.skipTest("there is no systemd-analyze here")
        with tempfile.TemporaryDirectory() as directory:
            unit = Path(directory) / "crossfade.service"
            unit.write_text(self.UNIT.read_text().replace("/usr/bin/crossfade", crossfade_binary()))
            done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("crossfade.service", done.stderr)

    def test_it_waits_longer_than_a_shutdown_takes(self) -> None:
        seconds = int(re.search(r"^TimeoutStopSec=(\d+)s$", self.UNIT.read_text(), re.MULTILINE)[1])
        sample = tomllib.loads((ROOT / "conf/crossfade.toml").read_text())
        self.assertGreater(seconds, int(sample["timeouts"]["shutdown"].removesuffix("s")))


if __name__ == "__main__":
    main()
