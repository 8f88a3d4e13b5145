"""Tests that an application can't tell Crossfade from its server: each runs against either of two places.

A Place is where the application connects: a Rig (two stores and the proxy between them), or, with CROSSFADE_DIRECT=1,
one real redis-server alone. What a test expects is checked against the real server first, and then holds for the proxy.
The tests of a class share a place, emptied before each; after each the stores must have converged. A test that fails
leaves its place to nobody.
"""
from __future__ import annotations

import os
import select
import shutil
import sys
import tempfile
import threading
import time
import unittest
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional

import redis

from admin import wait_until
from harness import CrossfadeTest, RedisServer, Rig, connect
from resp import RawConnection, encode

DIRECT = os.environ.get("CROSSFADE_DIRECT") == "1"
OTHER = {"old": "new", "new": "old"}
FLIP_EVERY = 0.3


class Place:
    """One server, or two and a proxy. `stores` are the servers, old first; `port` is the application's."""

    def __init__(self, config: str = "", server_args: Iterable[str] = (), password: str = ""):
        self.rig: Optional[Rig] = None
        self.flips = 0
        self._extra: list[RedisServer] = []
        if DIRECT:
            self.directory = Path(tempfile.mkdtemp(prefix="crossfade-direct-"))
            self.stores = [RedisServer("server", self.directory, server_args, password).start()]
            self.port = self.stores[0].port
            return
        self.rig = Rig(config=config, old_args=server_args, new_args=server_args, password=password)
        self.directory = self.rig.directory
        try:
            self.rig.start_connected()
        except BaseException:
            self.rig.stop()
            raise
        self.stores = [self.rig.old, self.rig.new]
        self.port = self.rig.proxy.port

    @property
    def primary(self) -> RedisServer:
        """The store that has the first word now."""
        return self.stores[0] if self.rig is None else self.rig.server(self.rig.admin.status()["primary"])

    def replica_of_primary(self) -> RedisServer:
        """A real replica, once it is in sync. Ends with the place."""
        primary = self.primary
        replica = RedisServer(f"replica{len(self._extra)}", self.directory,
                              ("--replicaof", "127.0.0.1", str(primary.port), "--repl-ping-replica-period", "1"))
        self._extra.append(replica.start())
        with replica.client() as client:
            wait_until(lambda: client.info("replication")["master_link_status"] == "up", 30, "the replica in sync")
        with primary.client() as client:
            wait_until(lambda: client.info("replication")["slave0"]["state"] == "online", 30, "the replica online")
        return replica

    def flip(self) -> None:
        """The other store becomes the primary; nothing, where there is no other."""
        if self.rig is not None:
            to = OTHER[self.rig.admin.status()["primary"]]
            wait_until(lambda: self.rig.admin.flip(to, max_pause_ms=5000)["flipped"], 60, f"a flip to {to}")
            self.flips += 1

    @contextmanager
    def flipping(self, every: float = FLIP_EVERY) -> Iterator[None]:
        """Flips there and back in a thread of its own; afterwards raises what went wrong there."""
        done, wrong, before = threading.Event(), [], self.flips

        def run() -> None:
            try:
                while not done.wait(every):
                    self.flip()
            except BaseException as failure:  # a thread cannot fail a test
                wrong.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        began = time.monotonic()
        try:
            yield
            while self.rig is not None and self.flips < before + 2 and not wrong and time.monotonic() < began + 60:
                time.sleep(0.05)
        finally:
            done.set()
            thread.join(90)
        if wrong:
            raise wrong[0]
        if self.rig is not None and self.flips < before + 2:
            raise AssertionError("the primary was flipped less than twice meanwhile")

    def running(self) -> bool:
        return all(store.running for store in self.stores) and (self.rig is None or self.rig.proxy.running)

    def stop(self) -> None:
        for server in self._extra:
            server.resume()
            server.kill()
        if self.rig is not None:
            self.rig.stop()
        else:
            self.stores[0].resume()
            self.stores[0].kill()

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class EitherTest(CrossfadeTest):
    """Subclasses say with `config` and `server_args` what their place is like."""

    config = ""                       # the proxy's TOML
    server_args: tuple[str, ...] = ()
    password = ""
    shared: Optional[Place] = None
    place: Place

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.shared is not None:
            cls.shared.stop()
            cls.shared.remove()
            cls.shared = None

    def setUp(self) -> None:
        self.unfollowed_writes = False  # a test that writes to a store behind the proxy's back sets it
        cls = type(self)
        if cls.shared is None or not cls.shared.running():
            cls.tearDownClass()
            cls.shared = Place(self.config, self.server_args, self.password)
        self.place = cls.shared
        self._helper: Optional[RawConnection] = None
        with self.client() as client:
            client.flushall()
        self.divergence_before = self.divergence()

    def divergence(self) -> tuple[int, int]:
        if self.place.rig is None:
            return 0, 0
        writes = self.place.rig.admin.status()["writes"]
        return writes["diverged"], writes["refused_by_secondary"]

    def tearDown(self) -> None:
        """Both stores drained and equal, and the secondary never answered other than it had to."""
        if self.place.rig is None:
            return
        self.assertTrue(self.place.rig.proxy.running, "the proxy has ended")
        self.assert_converged(self.place.rig)
        if not self.unfollowed_writes:
            self.assertEqual(self.divergence(), self.divergence_before, "diverged, refused by the secondary")

    def run(self, result: Optional[unittest.TestResult] = None) -> Optional[unittest.TestResult]:
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        cls = type(self)
        if len(result.failures) + len(result.errors) > before and cls.shared is not None:
            if cls.shared.rig is not None:
                print(f"----- the proxy's last lines\n{cls.shared.rig.proxy.log(40)}", file=sys.stderr)
            cls.tearDownClass()
        return result

    def connection(self, protocol: int = 2, **options: Any) -> RawConnection:
        """Closed when the test ends."""
        made = self.enterContext(RawConnection(self.place.port, **options))
        if protocol != 2:
            made.ask("HELLO", protocol)
        return made

    def connections(self, count: int, protocol: int = 2) -> list[RawConnection]:
        return [self.connection(protocol) for _ in range(count)]

    def client(self, **options: Any) -> redis.Redis:
        return connect(self.place.port, password=self.password or None, **options)

    def do(self, *commands: tuple) -> list[Any]:
        """Commands on a helper connection (database 0, RESP2), one after the other; their answers."""
        if self._helper is None:
            self._helper = self.connection()
        return [self._helper.ask(*words) for words in commands]

    def heard(self) -> None:
        """What other connections have sent until now has been read, and has found what is there or is waiting.

        A server reads its connections in the order in which they became readable, and the second question travels the
        way that theirs did."""
        self.do(("PING",), ("EXISTS", "no such key"), ("EXISTS", "no such key"))

    def assert_silent(self, *connections: RawConnection) -> None:
        """None of them has an answer, after all that was sent until now has been heard."""
        self.heard()
        ready = select.poll()
        for connection in connections:
            ready.register(connection.socket, select.POLLIN)
        answered = len(ready.poll(0))
        self.assertEqual(answered, 0, f"{answered} of {len(connections)} connections have an answer")

    def wait_on(self, *words: Any, protocol: int = 2) -> RawConnection:
        """A connection that has sent these words and waits."""
        waiter = self.connection(protocol)
        waiter.send(encode(*words))
        self.assert_silent(waiter)
        return waiter
