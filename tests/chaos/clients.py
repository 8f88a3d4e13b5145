"""The load of the chaos run: clients in RESP2 and RESP3, each with its own record of what was acknowledged.

A client mixes private cells (cells.py: alone, in pipelines, in transactions, written and read back), every command
shape on hot keys that all share, and jobs that one client pushes and another waits for with a blocking move or pop. What
goes wrong for it is kept with its time, so that the driver can tell whose fault it was: an error reply from when it was
asked, a lost connection from the last answer on it.
"""
from __future__ import annotations

import random
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Optional, Sequence

from admin import wait_until
from cells import KINDS, Cell, Ending, Operation, agrees, plain, told
from client_processes import ClientProcesses, fork, total_of
from resp import Closed, ErrorReply, RawConnection, encode
from shapes import EXPECTED_ERROR, Filler

ANSWER_SECONDS = 30.0     # longer than any fault lasts
CHANGES_OF_A_CELL = 120   # then it is left in peace, under a new name: quiet keys must survive as well
PAUSE_AFTER_REFUSAL = 0.02


@dataclass
class Trouble:
    """What a client got instead of its answer."""
    since: float
    at: float
    text: str


@dataclass
class Jobs:
    """One queue: what was pushed, and what a consumer has popped from it (nothing, where it moves)."""
    key: str
    done_key: str
    moves: bool
    pushed: set[bytes] = field(default_factory=set)
    perhaps_pushed: set[bytes] = field(default_factory=set)
    popped: list[bytes] = field(default_factory=list)
    perhaps_popped: int = 0  # pops without an answer


@dataclass
class Record:
    operations: int = 0
    acknowledged: int = 0  # writes on private keys and jobs
    verified: int = 0      # answers that were known beforehand
    lost: int = 0          # connections
    refused: int = 0       # error replies
    unknown: int = 0       # operations without an answer
    troubles: list[Trouble] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    jobs: list[Jobs] = field(default_factory=list)

    def add(self, other: "Record") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Client:
    """One connection at a time, in a thread of its own. Subclasses say what it does."""

    def __init__(self, port: int, seed: int, number: int, shared: Any):
        self.port, self.number, self.shared = port, number, shared
        self.rng = random.Random(f"{seed} {number}")
        self.resp3 = number % 2 == 1
        self.record = Record()
        self.connection: Optional[RawConnection] = None
        self.last_answer = time.monotonic()

    def run(self) -> None:
        while not self.shared.stop.is_set():
            if self.shared.pause.is_set():
                self.shared.idle[self.number] = 1
                time.sleep(0.02)
                continue
            self.shared.idle[self.number] = 0
            refused = self.record.refused
            try:
                self.connect_if_needed()
                self.step()
            except (Closed, OSError) as error:
                self.lost(error)
            except Exception:  # a mistake in this file: told, not swallowed
                self.record.wrong.append(traceback.format_exc())
                self.close()
                time.sleep(0.1)
            self.shared.operations[self.number] = self.record.operations
            time.sleep(self.rng.uniform(0, 2 * self.shared.think_ms) / 1000)
            if self.record.refused > refused:
                time.sleep(PAUSE_AFTER_REFUSAL)
        self.finish()
        self.close()

    def step(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """What is left to write down at the end."""

    def connect_if_needed(self) -> None:
        if self.connection is not None:
            return
        self.last_answer = time.monotonic()
        self.connection = RawConnection(self.port, timeout=ANSWER_SECONDS)
        if self.resp3:
            answer = self.connection.ask("HELLO", 3)
            if isinstance(answer, ErrorReply):
                raise Closed(f"HELLO 3: {answer}")
        self.last_answer = time.monotonic()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def lost(self, error: Exception) -> None:
        self.record.lost += 1
        self.trouble(self.last_answer, f"lost its connection: {type(error).__name__}: {str(error)[:200]}")
        self.close()
        time.sleep(0.05)

    def trouble(self, since: float, text: str) -> None:
        who = f"client {self.number} (RESP{3 if self.resp3 else 2})"
        self.record.troubles.append(Trouble(since, time.monotonic(), f"{who} {text}"))

    def send(self, requests: list[list]) -> float:
        begin = time.monotonic()
        self.connection.send(b"".join(encode(*words) for words in requests))
        return begin

    def reply(self, begin: float, request: list, expected_errors: bool = False) -> Any:
        answer = self.connection.reply()
        self.last_answer = time.monotonic()
        self.record.operations += 1
        if isinstance(answer, ErrorReply) and not (expected_errors and EXPECTED_ERROR.search(answer)):
            self.record.refused += 1
            self.trouble(begin, f"was answered {str(answer)[:200]!r} to {str(request)[:100]}")
        return answer


class Writer(Client):
    """Private cells and hot keys."""

    def __init__(self, port: int, seed: int, number: int, shared: Any):
        super().__init__(port, seed, number, shared)
        self.filler = Filler(self.rng, shared.payload, keys=150, short=True)
        self.made = 0
        self.changes: dict[str, int] = {}
        self.cells = [self.fresh(kind) for kind in KINDS for _ in range(2)]

    def fresh(self, kind: Any) -> Cell:
        self.made += 1
        return kind(f"own:{self.number}:{self.made}", self.rng)

    def step(self) -> None:
        self.rng.choices((self.single, self.pipeline, self.transaction, self.hot, self.hot_pipeline),
                         (25, 25, 12, 25, 13))[0]()

    def pick(self, most: int) -> list[Operation]:
        """Each of another cell: so what became of one without an answer doesn't depend on the others."""
        cells = self.rng.sample(self.cells, self.rng.randrange(1, most + 1))
        return [cell.look() if self.rng.random() < 0.3 else cell.change() for cell in cells]

    def single(self) -> None:
        self.carry_out(self.pick(1))

    def pipeline(self) -> None:
        self.carry_out(self.pick(10))

    def transaction(self) -> None:
        self.carry_out(self.pick(4), together=True)

    def carry_out(self, operations: list[Operation], together: bool = False) -> None:
        # One cell is several keys that only change together.
        plans = [(operation, self.framed(operation, together)) for operation in operations]
        requests = [request for _, framed in plans for request in framed]
        if together:
            requests = [["MULTI"], *requests, ["EXEC"]]
        begin = self.send(requests)
        done = 0
        try:
            if together:
                self.read_transaction(begin, operations)
                done = len(operations)
            else:
                for operation, framed in plans:
                    answers: Any = [self.reply(begin, request) for request in framed]
                    if framed[0] == ["MULTI"]:
                        answers = answers[-1]
                    self.settle(operation, answers)
                    done += 1
        finally:
            for operation in operations[done:]:
                self.doubt(operation)

    def framed(self, operation: Operation, together: bool) -> list[list]:
        if together or len(operation.requests) == 1:
            return operation.requests
        return [["MULTI"], *operation.requests, ["EXEC"]]

    def read_transaction(self, begin: float, operations: list[Operation]) -> None:
        requests = [request for operation in operations for request in operation.requests]
        for request in [["MULTI"], *requests]:
            self.reply(begin, request)
        answers = self.reply(begin, ["EXEC"])
        for operation in operations:
            count = len(operation.requests)
            part = answers if isinstance(answers, ErrorReply) else answers[:count]
            self.settle(operation, part)
            answers = answers if isinstance(answers, ErrorReply) else answers[count:]

    def settle(self, operation: Operation, answers: Any) -> None:
        """Answered: the cell has its new state, or, after an error, the one that it had."""
        cell = operation.cell
        if isinstance(answers, ErrorReply):
            return
        if any(isinstance(answer, ErrorReply) for answer in answers):
            if len(answers) > 1 and not operation.is_read:
                self.doubt(operation)  # in a transaction one of two may have been refused
            return
        got = told(cell, answers) if operation.is_read else [plain(answer) for answer in answers]
        # What is shown may have ended between the question and now: both are right.
        if not agrees(operation.replies, got) and not (operation.is_read and agrees(cell.shown(cell.state), got)):
            self.record.wrong.append(f"client {self.number}: {operation.requests} was answered {str(got)[:300]}, "
                                     f"expected {str(operation.replies)[:300]}")
            self.doubt(operation)
            return
        self.record.verified += len(answers)
        if operation.is_read:
            return
        cell.state = operation.after
        self.record.acknowledged += len(answers)
        self.changes[cell.keys[0]] = self.changes.get(cell.keys[0], 0) + 1
        if self.changes[cell.keys[0]] >= CHANGES_OF_A_CELL:
            self.end(cell, [cell.state])

    def doubt(self, operation: Operation) -> None:
        if operation.is_read:
            return
        self.record.unknown += 1
        self.end(operation.cell, [operation.cell.state, operation.after])

    def end(self, cell: Cell, states: list[Any]) -> None:
        self.record.endings.append(Ending(cell.kind, cell.keys, states))
        self.changes.pop(cell.keys[0], None)
        self.cells[self.cells.index(cell)] = self.fresh(type(cell))

    def finish(self) -> None:
        for cell in list(self.cells):
            self.end(cell, [cell.state])

    def hot(self) -> None:
        words = self.filler.write() if self.rng.random() < 0.7 else self.filler.read()
        self.reply(self.send([words]), words, expected_errors=True)

    def hot_pipeline(self) -> None:
        requests = [self.filler.write() if self.rng.random() < 0.8 else self.filler.read()
                    for _ in range(self.rng.randrange(2, 12))]
        begin = self.send(requests)
        for words in requests:
            self.reply(begin, words, expected_errors=True)


class Producer(Client):
    """Pushes jobs; from time to time to a new queue."""

    def step(self) -> None:
        jobs = self.shared.queues[self.number // 2 * 2]
        if len(jobs.pushed) > 200:
            jobs = self.new_queue()
        self.record.operations += 1
        job = b"job%d" % self.record.operations
        request = ["RPUSH", jobs.key, job]
        jobs.perhaps_pushed.add(job)
        answer = self.reply(self.send([request]), request)
        jobs.perhaps_pushed.discard(job)
        if not isinstance(answer, ErrorReply):
            jobs.pushed.add(job)
            self.record.acknowledged += 1

    def new_queue(self) -> Jobs:
        pair, queues = self.number // 2 * 2, self.shared.queues
        number = int(queues[pair].key.rsplit(":", 1)[1]) + 1
        self.record.jobs.append(queues[pair])
        queues[pair] = Jobs(f"jobs:{pair}:{number}", f"done:{pair}:{number}", number % 2 == 0)
        return queues[pair]

    def finish(self) -> None:
        self.record.jobs.append(self.shared.queues[self.number // 2 * 2])


class Consumer(Client):
    """Waits for them."""

    def step(self) -> None:
        jobs = self.shared.queues[self.number // 2 * 2]
        request = (["BLMOVE", jobs.key, jobs.done_key, "LEFT", "RIGHT", "0.5"] if jobs.moves
                   else ["BLPOP", jobs.key, "0.5"])
        jobs.perhaps_popped += 1
        answer = self.reply(self.send([request]), request)
        jobs.perhaps_popped -= 1
        if not jobs.moves and isinstance(answer, list):
            jobs.popped.append(answer[1])


@dataclass
class Shared:
    """What the clients of one process share."""
    stop: Any
    pause: Any
    idle: Any  # by client: does it keep still
    operations: Any
    think_ms: float
    payload: bytes
    queues: dict[int, Jobs]


class Clients:
    """All of them, in a few processes. Start it from the main thread, before any other thread."""

    def __init__(self, port: int, seed: int, count: int = 12, processes: int = 2, think_ms: float = 4.0,
                 payload: bytes = b""):
        self.port, self.seed, self.count, self.think_ms, self.payload = port, seed, count, think_ms, payload
        self.processes = processes
        self.stop_event, self.pause_event = fork.Event(), fork.Event()
        self._idle = fork.Array("b", count, lock=False)
        self._operations = fork.Array("q", count, lock=False)
        self._children = ClientProcesses(processes, self._make, self._record)

    def start(self) -> "Clients":
        self._children.start()
        return self

    @property
    def operations(self) -> int:
        return sum(self._operations)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """All of them have the answers to what they have asked, and ask nothing."""
        self.pause_event.set()
        try:
            wait_until(lambda: all(self._idle), ANSWER_SECONDS + 10, "all clients have their answers")
            yield
        finally:
            self.pause_event.clear()

    def stop(self, timeout: float = 90.0) -> Record:
        self.stop_event.set()
        return total_of(Record(), self._children.results(timeout))

    def kill(self) -> None:
        self._children.kill()

    @staticmethod
    def _record(clients: Sequence[Client]) -> Record:
        return total_of(Record(), (client.record for client in clients))

    def _make(self, number: int) -> list[Client]:
        shared = Shared(self.stop_event, self.pause_event, self._idle, self._operations, self.think_ms, self.payload, {})
        clients: list[Client] = []
        # Two by two, so that a producer and its consumer are in one process. Of six clients, two are such a pair.
        for pair in range(number * 2, self.count - 1, self.processes * 2):
            if pair % 6 == 4:
                shared.queues[pair] = Jobs(f"jobs:{pair}:0", f"done:{pair}:0", True)
                clients += [Producer(self.port, self.seed, pair, shared),
                            Consumer(self.port, self.seed, pair + 1, shared)]
            else:
                clients += [Writer(self.port, self.seed, client, shared) for client in (pair, pair + 1)]
        return clients


def check_jobs(all_jobs: list[Jobs], ask: Any, store: str) -> list[str]:
    """Each acknowledged job once: still there, moved, or popped."""
    wrong = []
    for jobs in all_jobs:
        waiting, done = ask([["LRANGE", jobs.key, 0, -1], ["LRANGE", jobs.done_key, 0, -1]])
        seen = waiting + done + jobs.popped
        missing = jobs.pushed - set(seen)
        if len(missing) > (0 if jobs.moves else jobs.perhaps_popped):
            wrong.append(f"{store}: {jobs.key} lacks {len(missing)} acknowledged jobs: {sorted(missing)[:5]}, "
                         f"with {jobs.perhaps_popped} pops without an answer")
        twice = sorted(job for job in set(seen) if seen.count(job) > 1)
        if twice:
            wrong.append(f"{store}: {jobs.key} has jobs twice: {twice[:5]}")
        strange = set(seen) - jobs.pushed - jobs.perhaps_pushed
        if strange:
            wrong.append(f"{store}: {jobs.key} holds jobs that nobody pushed: {sorted(strange)[:5]}")
    return wrong
