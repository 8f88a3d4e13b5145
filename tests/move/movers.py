"""The application during a migration: clients that write, expire, delete and rename among the seeded keys all the time.

Most of them send every shape of shapes.py to keys of the fitting kind in one database after the other: alone, in
pipelines and in transactions. Two write to the large keys alone, and so wait while one of these is copied. A client
keeps what went wrong with its time (chaos/clients.py), how long each answer took, and which keys it has written.
"""
from __future__ import annotations

import array
import bisect
import itertools
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence

from admin import wait_until
from client_processes import ClientProcesses, fork, total_of
from clients import Client, Trouble
from resp import ErrorReply
from seeding import BIG_HASH, BIG_LIST, BIG_STREAM, BIG_STRING, DATABASES, GROUPS, Sizes, key_name, kind_counts
from shapes import EXPECTED_ERROR, Filler, Shape, Word, parse

ANSWER_SECONDS = 120.0   # who writes a large key waits while it is copied
STAY = 60                # operations in one database, then on to another
HOT = 0.3                # share of the commands that meet in a hundredth of the keys
BIG_WRITERS = 2
BEFORE, DURING, AFTER = range(3)  # the phases of a migration: latencies are kept apart, and keys written in AFTER are not

# Beside the shapes, where each command is as likely as any other: what ends and moves keys comes more often.
LIFE = parse("""
DEL $k
UNLINK $k $k
PEXPIRE $k $ms
PEXPIRE $k 50
EXPIRE $k $sec
PERSIST $k
SET $s $v PX 50
GETEX $s PX $ms
RENAME $s $s
RENAME $l $l
RENAME $t $t
RENAME $h $h
RENAME $z $z
RENAME $x $y
RENAMENX $s $k
COPY $l $l REPLACE
MOVE $k 1
""")


class SeededFiller(Filler):
    """Shapes filled with the names of seeded keys, and which of them were written."""

    def __init__(self, rng: random.Random, payload: bytes, keys: int, share: float, phase: Any):
        super().__init__(rng, payload, short=True)
        self._phase = phase
        self.db = 0
        self.written: set[tuple[int, bytes]] = set()
        self.writes = 0  # how often
        self._share = share
        self._counts = kind_counts(keys)
        self._kinds = list(self._counts)
        self._sums = list(itertools.accumulate(self._counts.values()))
        self._writing = False

    def word(self, before: str, name: str, after: str) -> Word:
        kind = self._kinds[bisect.bisect(self._sums, self.rng.randrange(self._sums[-1]))] if name == "k" else name
        if kind not in self._counts:
            return super().word(before, name, after)
        most = max(2, int(self._counts[kind] * self._share))
        key = key_name(kind, self.rng.randrange(max(2, most // 100) if self.rng.random() < HOT else most))
        if self._writing and self._phase.value < AFTER:
            self.written.add((self.db, key))
            self.writes += 1
        return key

    def change(self) -> list[Word]:
        self._writing = True
        shape: Optional[Shape] = self.rng.choice(LIFE) if self.rng.random() < 0.3 else None
        words = shape.fill(self) if shape else self.write()
        while words[0] == "XREADGROUP" and words[-1] != ">":
            # Pending entries read once more count one delivery more, which servers don't tell their replicas either.
            words = self.write()
        if words[0] == "MOVE":
            self.written.add((1, words[1]))  # type: ignore[arg-type]
        if words[0] == "COPY" and "DB" in words:
            self.written.add((1, words[2]))  # type: ignore[arg-type]
        self._writing = False
        return words


@dataclass
class Record:
    operations: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)               # mistakes in this file
    latencies_us: dict[tuple[int, bool], array.array] = field(default_factory=dict)  # by phase, and of large keys or not
    written: set[tuple[int, bytes]] = field(default_factory=set)
    writes: int = 0                                              # how often one of them was

    def add(self, other: "Record") -> None:
        self.operations += other.operations
        self.troubles += other.troubles
        self.wrong += other.wrong
        self.written |= other.written
        self.writes += other.writes
        for key, samples in other.latencies_us.items():
            self.latencies_us.setdefault(key, array.array("I")).extend(samples)

    def latency(self, phase: int, big: bool = False) -> str:
        samples = sorted(self.latencies_us.get((phase, big), ()))
        if not samples:
            return "nothing measured"
        p50, p99 = (samples[len(samples) * percent // 100] / 1000 for percent in (50, 99))
        return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {samples[-1] / 1000:.1f} ms of {len(samples):,}"


@dataclass
class _Shared:
    """What the clients of one process share, as chaos/clients.py wants it."""
    stop: Any
    pause: Any
    phase: Any
    idle: Any
    operations: Any
    think_ms: float
    payload: bytes
    keys: int
    share: float


class _Timed(Client):
    """A client that measures."""

    big = False

    def __init__(self, port: int, seed: int, number: int, shared: _Shared):
        super().__init__(port, seed, number, shared)
        self.latencies: dict[tuple[int, bool], array.array] = {}
        self.db = 0

    def connect_if_needed(self) -> None:
        if self.connection is not None:
            return
        super().connect_if_needed()
        self.connection.socket.settimeout(ANSWER_SECONDS)
        self.exchange([["SELECT", self.db]])

    def written(self) -> tuple[set[tuple[int, bytes]], int]:
        """The keys, and how often one of them was."""
        raise NotImplementedError

    def exchange(self, requests: list[list]) -> None:
        begin = self.send(requests)
        for request in requests:
            answer = self.reply(begin, request, expected_errors=True)
            if request[0] == "EXEC" and isinstance(answer, list):
                for told in answer:
                    if isinstance(told, ErrorReply) and not EXPECTED_ERROR.search(told):
                        self.trouble(begin, f"was answered {str(told)[:200]!r} within {str(requests)[:300]}")
        samples = self.latencies.setdefault((self.shared.phase.value, self.big), array.array("I"))
        samples.append(int((time.monotonic() - begin) * 1e6))


class Mover(_Timed):
    """Everything among the seeded keys."""

    def __init__(self, port: int, seed: int, number: int, shared: _Shared):
        super().__init__(port, seed, number, shared)
        self.filler = SeededFiller(self.rng, shared.payload, shared.keys, shared.share, shared.phase)
        self.left = 0

    def step(self) -> None:
        if self.left == 0:
            self.left, self.db = STAY, self.rng.randrange(DATABASES)
            self.exchange([["SELECT", self.db]])
        self.left -= 1
        self.filler.db = self.db
        choice = self.rng.random()
        if choice < 0.6:
            self.exchange([self.words()])
        elif choice < 0.85:
            self.exchange([self.words() for _ in range(self.rng.randrange(2, 8))])
        else:
            self.exchange([["MULTI"], *(self.words() for _ in range(self.rng.randrange(1, 4))), ["EXEC"]])

    def written(self) -> tuple[set[tuple[int, bytes]], int]:
        return self.filler.written, self.filler.writes

    def words(self) -> list[Word]:
        return self.filler.change() if self.rng.random() < 0.9 else self.filler.read()


class BigWriter(_Timed):
    """Only the large keys, which are never taken away."""

    big = True

    def step(self) -> None:
        number = self.rng.randrange(10**9)
        small = self.rng.randrange(1, 5000)
        group, worker = self.rng.choice(GROUPS), f"worker {self.rng.randrange(6)}"
        requests: tuple[list, ...] = (
            ["HSET", BIG_HASH, f"field:{small}", f"new {number}", f"more:{number}", number],
            ["HDEL", BIG_HASH, f"field:{small}"], ["RPUSH", BIG_LIST, number], ["LPOP", BIG_LIST],
            ["LSET", BIG_LIST, small, f"set {number}"], ["XADD", BIG_STREAM, "*", "number", number],
            ["XREADGROUP", "GROUP", group, worker, "COUNT", 2, "STREAMS", BIG_STREAM, ">"],
            ["XACK", BIG_STREAM, group, *(f"{small + i}-1" for i in range(5))], ["XDEL", BIG_STREAM, f"{small}-1"],
            ["SETRANGE", BIG_STRING, small * 300, f"<{number}>"])
        self.exchange([self.rng.choice(requests)])
        time.sleep(0.02)

    def written(self) -> tuple[set[tuple[int, bytes]], int]:
        return {(0, name.encode()) for name in (BIG_HASH, BIG_LIST, BIG_STREAM, BIG_STRING)}, self.record.operations


class Movers:
    """All of them, in a few processes. Start it from the main thread, before any other thread."""

    def __init__(self, port: int, seed: int, sizes: Sizes, *, share: float = 1.0, payload: bytes = b"", count: int = 20,
                 processes: int = 2, think_ms: float = 12.0):
        self.port, self.seed, self.count, self.processes = port, seed, count, processes
        self._operations = fork.Array("q", count, lock=False)
        self._shared = _Shared(fork.Event(), fork.Event(), fork.Value("i", 0), fork.Array("b", count, lock=False),
                               self._operations, think_ms, payload, sizes.keys, share)
        self._children = ClientProcesses(processes, self._make, self._record)

    def start(self) -> "Movers":
        self._children.start()
        wait_until(lambda: all(self._operations), 60, "each client has done something")
        return self

    @property
    def operations(self) -> int:
        return sum(self._operations)

    def phase(self, number: int) -> None:
        """Latencies from now on count under this number."""
        self._shared.phase.value = number

    def stop(self) -> Record:
        self._shared.stop.set()
        return total_of(Record(), self._children.results(ANSWER_SECONDS + 30))

    def kill(self) -> None:
        self._children.kill()

    def _make(self, number: int) -> list[_Timed]:
        sys.setswitchinterval(0.0005)  # an answer that has come is measured soon
        return [(BigWriter if client < BIG_WRITERS else Mover)(self.port, self.seed, client, self._shared)
                for client in range(number, self.count, self.processes)]

    @staticmethod
    def _record(clients: Sequence[_Timed]) -> Record:
        return total_of(Record(), (Record(client.record.operations, client.record.troubles, client.record.wrong,
                                          client.latencies, *client.written()) for client in clients))
