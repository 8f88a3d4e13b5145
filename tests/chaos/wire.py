"""A TCP relay in a process of its own, between a client and a server, which can hurt what passes through it.

It passes bytes on, later (delay), slowly (throttle), or not at all for a while (stall); it cuts connections, on both
sides or only on the near one, so that what it still holds reaches the server after the client has given up; it refuses
new ones. What it has accepted is delivered in order, or the connection is cut. Each relay belongs to the process that started it.
"""
from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
from collections import deque
from typing import Any, Optional

from harness import HOST, die_with_parent, free_port

_fork = multiprocessing.get_context("fork")
_HELD_BYTES = 1 << 20  # of one direction; beyond it the relay stops reading, as a network does


class Relay:
    """The handle. Every call returns once the relay has done it."""

    def __init__(self, name: str, target_port: int):
        self.name, self.port, self.target_port = name, free_port(), target_port
        self._pipe: Any = None
        self._child: Any = None

    def start(self) -> "Relay":
        self._pipe, theirs = _fork.Pipe()
        self._child = _fork.Process(target=_run, args=(self.port, self.target_port, theirs), daemon=True)
        self._child.start()
        theirs.close()
        self._pipe.recv()  # it listens
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._child = None

    def tell(self, **settings: Any) -> None:
        """delay_ms, bytes_per_second (0: no limit), stalled, refusing; cut="both" or "near"."""
        self._pipe.send(settings)
        if not self._pipe.poll(20):
            raise AssertionError(f"the relay {self.name} does not answer")
        self._pipe.recv()

    def heal(self) -> None:
        self.tell(delay_ms=0, bytes_per_second=0, stalled=False, refusing=False)


class _Settings:
    def __init__(self, target_port: int):
        self.target_port = target_port
        self.delay_ms = 0
        self.bytes_per_second = 0
        self.stalled = False
        self.refusing = False
        self.halves: set["_Half"] = set()


class _Half(asyncio.Protocol):
    """What comes from one of the two ends, on its way to the other."""

    def __init__(self, settings: _Settings, near: bool):
        self.settings, self.near = settings, near
        self.transport: Any = None
        self.other: Optional["_Half"] = None
        self.held: deque[tuple[float, bytes]] = deque()
        self.held_bytes = 0
        self.ended = False     # this end sends no more
        self.writable = True
        self.timer: Any = None
        self.budget_at = 0.0   # when the throttle lets the next bytes pass

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.settings.halves.add(self)
        if self.near:
            if self.settings.refusing:
                return transport.abort()
            asyncio.ensure_future(self._reach())
        return None

    async def _reach(self) -> None:
        far = _Half(self.settings, near=False)
        far.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, HOST, self.settings.target_port)
        except OSError:
            return self.transport.abort()
        self.other = far
        return self.pump()

    def data_received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.held.append((now + self.settings.delay_ms / 1000, data))
        self.held_bytes += len(data)
        if self.held_bytes > _HELD_BYTES:
            self.transport.pause_reading()
        self.pump()

    def pump(self) -> None:
        if self.other is None or self.other.transport is None:
            return
        loop = asyncio.get_running_loop()
        if self.other.transport.is_closing():
            self.held.clear()
        while self.held and self.other.writable and not self.settings.stalled:
            due = max(self.held[0][0], self.budget_at)
            if due > loop.time():
                return self.pump_at(due)
            data = self.held.popleft()[1]
            rate = self.settings.bytes_per_second
            if rate and len(data) > max(1, rate // 50):  # a fiftieth of a second's worth at a time
                rest = data[max(1, rate // 50):]
                data = data[:max(1, rate // 50)]
                self.held.appendleft((0, rest))
            if rate:
                self.budget_at = loop.time() + len(data) / rate
            self.held_bytes -= len(data)
            self.other.transport.write(data)
        if self.held_bytes <= _HELD_BYTES // 2 and not self.ended:
            self.transport.resume_reading()
        if self.ended and not self.held:
            self.other.transport.close()
        return None

    def pump_at(self, when: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_at(when, self.pump)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.other is not None:
            self.other.pump()

    def connection_lost(self, error: Optional[Exception]) -> None:
        self.ended = True
        self.settings.halves.discard(self)
        self.pump()


async def _serve(port: int, target_port: int, pipe: Any) -> None:
    loop = asyncio.get_running_loop()
    settings = _Settings(target_port)
    await loop.create_server(lambda: _Half(settings, near=True), HOST, port, backlog=512)
    pipe.send("listening")

    def on_command() -> None:
        wanted = pipe.recv()
        cut = wanted.pop("cut", "")
        for name, value in wanted.items():
            assert hasattr(settings, name), name
            setattr(settings, name, value)
        for half in list(settings.halves):
            if cut == "both":
                half.held.clear()
                half.transport.abort()
            elif cut == "near" and half.near:
                half.transport.abort()
            elif not cut:
                half.budget_at = 0.0
                half.pump()
        pipe.send("done")

    loop.add_reader(pipe.fileno(), on_command)
    await loop.create_future()


def _run(port: int, target_port: int, pipe: Any) -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(_serve(port, target_port, pipe))
