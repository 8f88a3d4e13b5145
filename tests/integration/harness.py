"""Real servers and a real proxy for the integration tests and the demo.

A Rig is one migration in small: redis-server "old", redis-server "new" and a Crossfade between them, on free loopback
ports, in a temporary directory of their own. Whatever this module starts dies with the Python process that started it,
also when that is killed (PR_SET_PDEATHSIG), and is ended by its process id, never by name.
"""
from __future__ import annotations

import atexit
import ctypes
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, Iterable, Optional

import redis

from admin import Admin, wait_until
from stores import difference

LONG = os.environ.get("CROSSFADE_LONG") == "1"  # the durations that the issue names, instead of short ones
HOST = "127.0.0.1"

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For a child, between fork and exec: the kernel kills it when its parent is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_given_ports: set[int] = set()


def free_port() -> int:
    """Below the range from which the kernel takes the ports of outgoing connections: a server that is restarted on its
    port must not find it taken by somebody's client. Never the same twice."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                _given_ports.add(port)
                return port
            except OSError:
                continue


class Process:
    """A child process with its output in a log file. Dies with us."""

    _live: list["Process"] = []

    def __init__(self, name: str, directory: Path):
        self.name = name
        self.log_path = directory / f"{name}.log"
        self.popen: Optional[subprocess.Popen] = None

    def spawn(self, argv: list[str], env: Optional[dict[str, str]] = None, cwd: Optional[Path] = None) -> None:
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=cwd,
                                          start_new_session=True, preexec_fn=die_with_parent)
        Process._live.append(self)

    @property
    def pid(self) -> int:
        assert self.popen is not None, f"{self.name} was never started"
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def send(self, number: int) -> None:
        if self.running:
            self.popen.send_signal(number)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM, timeout: float = 15.0) -> Optional[int]:
        """Signals, waits, and kills what does not end. Returns the exit status."""
        if self.popen is None:
            return None
        self.send(number)
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self in Process._live:
            Process._live.remove(self)
        return self.popen.returncode

    def log(self, last_lines: int = 0) -> str:
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text if not last_lines else "\n".join(text.splitlines()[-last_lines:])

    def resident_mib(self, what: str = "VmRSS") -> float:
        """VmRSS of the process, or its peak (VmHWM), in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"{self.name} has no {what}: it is gone")


@atexit.register
def _end_everything() -> None:
    for process in list(Process._live):
        process.kill()


class RedisServer(Process):
    """A redis-server without persistence. Its port stays the same over restarts; its data does not."""

    def __init__(self, name: str, directory: Path, args: Iterable[str] = (), password: str = ""):
        super().__init__(name, directory)
        self.directory = directory / f"{name}.data"
        self.directory.mkdir(exist_ok=True)
        self.args = list(args) + (["--requirepass", password] if password else [])
        self.password = password
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://{':' + self.password + '@' if self.password else ''}{HOST}:{self.port}"

    def start(self) -> "RedisServer":
        self.spawn(["redis-server", "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no",
                    "--enable-debug-command", "yes", "--dir", str(self.directory), *self.args])
        wait_until(self._answers, 20, f"{self.name} answers on port {self.port}")
        return self

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"{self.name} ended at once:\n{self.log(20)}")
        with self.client() as client:
            return client.ping()

    def restart_empty(self) -> None:
        self.kill()
        self.start()

    def client(self, **options: Any) -> redis.Redis:
        return connect(self.port, password=self.password or None, **options)

    def digest(self) -> str:
        """DEBUG DIGEST of all databases, after expired keys have been made to go."""
        with self.client() as client:
            for database in databases(client):
                with self.client(db=database) as scanner:
                    for _ in scanner.scan_iter(count=1000):
                        pass
            return client.execute_command("DEBUG DIGEST").decode()


def connect(port: int, **options: Any) -> redis.Redis:
    """A redis-py client with timeouts that no healthy answer reaches."""
    options.setdefault("socket_timeout", 30)
    options.setdefault("socket_connect_timeout", 10)
    return redis.Redis(host=HOST, port=port, **options)


def databases(client: redis.Redis) -> list[int]:
    return [int(name[2:]) for name in client.info("keyspace")]


def crossfade_binary() -> str:
    path = os.environ.get("CROSSFADE_BINARY", "")
    if not path:
        raise SystemExit("set CROSSFADE_BINARY to the crossfade executable (./run test does)")
    return str(Path(path).resolve())


class Proxy(Process):
    """`crossfade run` between two stores. Ports are new at each start unless `listen` and `admin_listen` fix them."""

    READY = re.compile(r"ready listen=(\S+):(\d+) admin=(\S+)")

    def __init__(self, directory: Path, old_url: str, new_url: str, config: str = "", binary: str = ""):
        super().__init__("crossfade", directory)
        self.binary = binary or crossfade_binary()
        self.old_url, self.new_url = old_url, new_url
        self.state_dir = directory / "state"
        self.state_dir.mkdir(exist_ok=True)
        self.config_path = directory / "crossfade.toml"
        self.config_path.write_text(config)
        self.listen = self.admin_listen = f"{HOST}:0"
        self.token = ""
        self.port = 0
        self.admin = Admin("")

    def argv(self) -> list[str]:
        argv = [self.binary, "run", "--old", self.old_url, "--new", self.new_url, "--listen", self.listen,
                "--admin", self.admin_listen, "--state", str(self.state_dir)]
        return argv + (["--config", str(self.config_path)] if self.config_path.stat().st_size else [])

    def start(self) -> "Proxy":
        begin = len(self.log())
        self.spawn(self.argv())

        def ready() -> Optional[re.Match]:
            if not self.running:
                raise RuntimeError(f"crossfade ended with {self.popen.returncode}:\n{self.log(30)}")
            return self.READY.search(self.log()[begin:])

        match = wait_until(ready, 20, "crossfade's ready line")
        self.port = int(match[2])
        self.admin = Admin(match[3], self.token)
        return self

    def client(self, **options: Any) -> redis.Redis:
        return connect(self.port, **options)


class Rig:
    """old, new and the proxy. `with Rig(binary=…) as rig`, or CrossfadeTest.rig inside tests."""

    def __init__(self, *, config: str = "", old_args: Iterable[str] = (), new_args: Iterable[str] = (),
                 password: str = "", binary: str = ""):
        self.directory = Path(tempfile.mkdtemp(prefix="crossfade-"))
        self.old = RedisServer("old", self.directory, old_args, password)
        self.new = RedisServer("new", self.directory, new_args, password)
        self.proxy = Proxy(self.directory, self.old.url, self.new.url, config, binary)

    def start(self) -> "Rig":
        self.old.start()
        self.new.start()
        self.proxy.start()
        return self

    def start_connected(self) -> "Rig":
        """start(), and the proxy has reached both stores."""
        self.start()
        self.wait_up("old", "new")
        return self

    def wait_up(self, *sides: str) -> None:
        for side in sides:
            wait_until(lambda: self.backend_state(side) == "up", 20, f"{side} reached")

    @property
    def admin(self) -> Admin:
        return self.proxy.admin

    def server(self, side: str) -> RedisServer:
        return {"old": self.old, "new": self.new}[side]

    def backend_state(self, side: str) -> str:
        return self.admin.status()["backends"][side].get("state", "")

    def digests(self) -> tuple[str, str]:
        return self.old.digest(), self.new.digest()

    def equal_digests(self, timeout: float = 5.0) -> tuple[str, str]:
        """The digests once they are equal, or the last ones. Keys that expire between the two looks cost a turn."""
        deadline = time.monotonic() + timeout
        while True:
            old, new = self.digests()
            if old == new or time.monotonic() > deadline:
                return old, new
            time.sleep(0.1)

    def stop(self) -> None:
        for process in (self.proxy, self.old, self.new):
            process.resume()
            process.end(signal.SIGTERM if process is self.proxy else signal.SIGKILL, timeout=8)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.remove()


class CrossfadeTest(unittest.TestCase):
    """Ends every rig of a test, and shows the logs of those of a failed one."""

    maxDiff = 4000

    def rig(self, *, start: bool = True, **options: Any) -> Rig:
        rig = Rig(**options)
        self._rigs.append(rig)
        self.addCleanup(rig.stop)
        return rig.start_connected() if start else rig

    def run(self, result: Optional[unittest.TestResult] = None) -> Optional[unittest.TestResult]:
        self._rigs: list[Rig] = []
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        print(f"{type(self).__name__}.{self._testMethodName}", flush=True)
        try:
            super().run(result)
        except BaseException:  # Ctrl-C: unittest runs no cleanups then
            for rig in self._rigs:
                rig.stop()
                rig.remove()
            raise
        failed = len(result.failures) + len(result.errors) > before
        for rig in self._rigs:
            if failed:
                for process in (rig.proxy, rig.old, rig.new):
                    print(f"----- {process.log_path} (last lines)\n{process.log(60)}", file=sys.stderr)
            else:
                rig.remove()
        return result

    def say(self, text: str) -> None:
        """A figure for the reader of the test's output."""
        print(f"    {text}", flush=True)

    def assert_converged(self, rig: Rig, timeout: float = 60.0) -> dict:
        """Settled, and the stores equal. Returns the status. Explains what differs when they are not."""
        status = rig.admin.wait_settled(timeout)
        old, new = rig.equal_digests()
        if old != new:
            self.fail(f"the stores differ, with status {rig.admin.status()}:\n"
                      + difference(rig.old.client, rig.new.client))
        return status

    def assert_no_divergence(self, status: dict) -> None:
        self.assertEqual(status["writes"]["diverged"], 0, status)
        self.assertEqual(status["writes"]["refused_by_secondary"], 0, status)


def main() -> None:
    """What each test file calls: unittest's own main, with a SIGTERM that cleans up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    unittest.main(verbosity=1)
