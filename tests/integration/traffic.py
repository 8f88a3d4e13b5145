"""Load: redis-py clients in a few processes that write and read hot keys together, each checking its own writes.

Every client mixes all the shapes of shapes.py on hot keys that all clients share (alone, in pipelines and in
transactions) with operations on private keys, whose every answer it knows in advance: read your writes, counters,
orders. An answer that a real server would not give, a lost connection, or a wrong answer on a private key is kept and
told at the end.
"""
from __future__ import annotations

import array
import random
import time
import traceback
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Sequence

import redis

from admin import wait_until
from client_processes import ClientProcesses, fork, total_of
from harness import connect
from shapes import EXPECTED_ERROR, Filler
from stores import touch_words

KEPT_MESSAGES = 20  # per process and kind


@dataclass(frozen=True)
class LoadSpec:
    port: int
    clients: int = 20
    processes: int = 2
    hot_keys: int = 200
    short_lifetimes: bool = True
    writes: bool = True           # on hot keys; private keys are always written
    think_ms: float = 2.0         # of each client between two operations: leaves the machine to the servers
    survive_errors: bool = False  # go on after lost connections and refusals (the primary is going to be hurt)
    whole_databases: bool = True  # client 0 also flushes database 5
    filled_keys: int = 0          # also read, and now and then write, so many keys made by stores.fill
    seed: int = 1


@dataclass
class LoadResult:
    operations: int = 0
    checks: int = 0                                       # answers on private keys that were known in advance
    errors: list[str] = field(default_factory=list)       # unexpected error replies
    disconnects: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)        # private keys that did not hold what their client wrote
    error_count: int = 0
    disconnect_count: int = 0
    wrong_count: int = 0
    latencies_us: dict[int, array.array] = field(default_factory=dict)  # by phase, of single commands

    def add(self, other: "LoadResult") -> None:
        for name in ("operations", "checks", "error_count", "disconnect_count", "wrong_count"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("errors", "disconnects", "wrong"):
            getattr(self, name).extend(getattr(other, name)[:KEPT_MESSAGES])
        for phase, samples in other.latencies_us.items():
            self.latencies_us.setdefault(phase, array.array("I")).extend(samples)

    def percentile_ms(self, percent: float, phase: int = 0) -> float:
        samples = sorted(self.latencies_us.get(phase, ()))
        return samples[min(len(samples) - 1, int(len(samples) * percent / 100))] / 1000 if samples else float("nan")

    @property
    def clean(self) -> bool:
        return not (self.error_count or self.disconnect_count or self.wrong_count)

    def complaints(self) -> str:
        parts = [f"{self.error_count} unexpected errors, {self.disconnect_count} lost connections, "
                 f"{self.wrong_count} wrong answers"]
        return "\n  ".join(parts + self.errors[:8] + self.disconnects[:8] + self.wrong[:8])


class Load:
    """`with Load(spec) as load: …; result = load.stop()`. Start it from the main thread."""

    def __init__(self, spec: LoadSpec):
        self.spec = spec
        self._stop = fork.Event()
        self._phase = fork.Value("i", 0)
        self._operations = fork.Array("q", spec.clients, lock=False)
        self._children = ClientProcesses(spec.processes, self._make, self._total)
        self._result: Optional[LoadResult] = None

    def start(self) -> "Load":
        with connect(self.spec.port) as client:  # a payload for RESTORE
            client.set("load:payload", "a restored value")
            self._payload = client.dump("load:payload")
        self._children.start()
        return self

    @property
    def operations(self) -> int:
        """So far."""
        return sum(self._operations)

    def wait_operations(self, more: int, timeout: float = 60.0) -> None:
        goal, deadline = self.operations + more, time.monotonic() + timeout
        while self.operations < goal:
            if time.monotonic() > deadline:
                raise AssertionError(f"the load stands still: {more} operations not done in {timeout:g} s")
            time.sleep(0.02)

    def wait_everybody(self, timeout: float = 60.0) -> None:
        """Each client has connected and done something."""
        wait_until(lambda: all(self._operations), timeout, "each client has done something")

    def phase(self, number: int) -> None:
        """Latencies from now on count under this number."""
        self._phase.value = number

    def stop(self, timeout: float = 60.0) -> LoadResult:
        """Ends the clients, each after a last look at its private keys."""
        if self._result is None:
            self._stop.set()
            self._result = total_of(LoadResult(), self._children.results(timeout))
        return self._result

    def __enter__(self) -> "Load":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._children.kill()

    def _make(self, number: int) -> list[_Worker]:
        return [_Worker(self.spec, client, self._payload, self._stop, self._phase, self._operations)
                for client in range(number, self.spec.clients, self.spec.processes)]

    @staticmethod
    def _total(workers: Sequence[_Worker]) -> LoadResult:
        return total_of(LoadResult(), (worker.result for worker in workers))


def raw_client(port: int, **options: Any) -> redis.Redis:
    """One connection, and answers as the server gave them."""
    client = connect(port, single_connection_client=True, **options)
    client.response_callbacks.clear()
    return client


class _Worker:
    """One client. Runs in a thread of its own."""

    def __init__(self, spec: LoadSpec, number: int, payload: bytes, stop: Any, phase: Any, operations: Any):
        self.spec, self.number, self.stop, self.phase, self.operations = spec, number, stop, phase, operations
        self.result = LoadResult()
        self.rng = random.Random(f"{spec.seed} {number}")
        self.filler = Filler(self.rng, payload, spec.hot_keys, spec.short_lifetimes)
        self.client: redis.Redis = raw_client(spec.port)
        self.own = Own(self.client, self.rng, f"own:{number}:")

    def run(self) -> None:
        jobs: list[tuple[int, Callable[[], None]]] = [(30, self.own_step), (15, self.hot_read)]
        if self.spec.writes:
            jobs += [(35, self.hot_write), (12, self.hot_pipeline), (6, self.hot_transaction)]
            if self.spec.whole_databases and self.number == 0:
                jobs.append((2, self.whole_database))
        if self.spec.filled_keys:
            jobs.append((30, self.touch_filled))
        weights, acts = [weight for weight, _ in jobs], [act for _, act in jobs]
        while not self.stop.is_set():
            self.guarded(self.rng.choices(acts, weights)[0])
            self.operations[self.number] += 1
            if self.spec.think_ms:
                time.sleep(self.rng.uniform(0, 2 * self.spec.think_ms) / 1000)
        self.guarded(self.last_look)
        self.result.operations = self.operations[self.number]
        self.result.checks = self.own.checks

    def guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except WrongAnswer as wrong:
            self.note("wrong", f"client {self.number}: {wrong}")
            self.own.forget()
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self.note("disconnect", f"client {self.number}: {type(error).__name__}: {error}")
            self.own.forget()
            time.sleep(0.05)
        except redis.ResponseError as error:
            self.note("error", f"client {self.number}: {act.__name__}: {error}")
            self.own.forget()
            if self.spec.survive_errors:
                time.sleep(0.02)
        except Exception:  # a mistake in this file: told, not swallowed
            self.note("error", traceback.format_exc())
            self.own.forget()

    def note(self, kind: str, text: str) -> None:
        messages = getattr(self.result, {"wrong": "wrong", "disconnect": "disconnects", "error": "errors"}[kind])
        setattr(self.result, kind + "_count", getattr(self.result, kind + "_count") + 1)
        if len(messages) < KEPT_MESSAGES:
            messages.append(text)

    def timed(self, *words: Any) -> Any:
        begin = time.perf_counter()
        try:
            return self.client.execute_command(*words)
        finally:
            phase = self.phase.value
            samples = self.result.latencies_us.setdefault(phase, array.array("I"))
            samples.append(min(int((time.perf_counter() - begin) * 1e6), 2**32 - 1))

    def hot_write(self) -> None:
        self.one(self.filler.write())

    def hot_read(self) -> None:
        self.one(self.filler.read())

    def touch_filled(self) -> None:
        number = self.rng.randrange(self.spec.filled_keys)
        self.one(touch_words(number, self.rng, write=self.spec.writes and self.rng.random() < 0.1))

    def one(self, words: list) -> None:
        try:
            self.timed(*words)
        except redis.ResponseError as error:
            self.expect_fitting(words, error)

    def expect_fitting(self, words: list, answer: Any) -> None:
        if isinstance(answer, redis.ResponseError) and not EXPECTED_ERROR.search(str(answer)):
            self.note("error", f"client {self.number}: {str(words)[:120]}: {answer}")
            self.own.forget()

    def hot_pipeline(self, transaction: bool = False, most: int = 12) -> None:
        requests = [self.filler.write() if self.rng.random() < 0.8 else self.filler.read()
                    for _ in range(self.rng.randrange(2, most))]
        pipe = self.client.pipeline(transaction=transaction)
        for words in requests:
            pipe.execute_command(*words)
        for words, answer in zip(requests, pipe.execute(raise_on_error=False)):
            self.expect_fitting(words, answer)

    def hot_transaction(self) -> None:
        self.hot_pipeline(transaction=True, most=6)

    def whole_database(self) -> None:
        with raw_client(self.spec.port, db=5) as client:
            client.set(f"flushed:{self.rng.randrange(10)}", "gone soon")
            client.execute_command(self.rng.choice(("FLUSHDB", "FLUSHDB ASYNC")))
            client.rpush("kept:list", "a", "b")
            client.execute_command("LTRIM", "kept:list", 0, 9)

    def own_step(self) -> None:
        self.own.step()

    def last_look(self) -> None:
        self.own.verify_all()


class WrongAnswer(Exception):
    """A private key did not hold what its only writer put there."""


class Own:
    """One client's private keys, with a model of what they hold. Every answer must be what the model says."""

    def __init__(self, client: redis.Redis, rng: random.Random, prefix: str):
        self.client, self.rng, self.prefix = client, rng, prefix
        self.checks = 0
        self.known = False  # false: the model and the keys may differ, for a request had no answer
        self.counter = 0
        self.text: Optional[bytes] = None
        self.items: list[bytes] = []
        self.fields: dict[bytes, bytes] = {}
        self.members: set[bytes] = set()
        self.scores: dict[bytes, int] = {}
        self.steps = (self.count, self.write_text, self.push_and_pop, self.write_fields, self.members_step,
                      self.scores_step, self.stream_step, self.pipelined, self.transaction, self.delete_text)

    def forget(self) -> None:
        """After a lost connection: the keys are deleted before the next step, for their contents are unknown."""
        self.known = False

    def step(self) -> None:
        if not self.known:
            self.start_afresh()
        self.rng.choice(self.steps)()

    def start_afresh(self) -> None:
        self.run("DEL", *(self.key(name) for name in ("counter", "text", "list", "hash", "set", "zset", "stream")))
        self.counter, self.text = 0, None
        self.items, self.fields, self.members, self.scores = [], {}, set(), {}
        self.known = True

    def key(self, name: str) -> str:
        return self.prefix + name

    def run(self, *words: Any) -> Any:
        return self.client.execute_command(*words)

    def expect(self, what: str, got: Any, wanted: Any) -> None:
        self.checks += 1
        if got != wanted:
            raise WrongAnswer(f"{self.prefix}{what}: got {got!r}, wanted {wanted!r}")

    def word(self) -> bytes:
        return b"w%d" % self.rng.randrange(10**6)

    def count(self) -> None:
        by = self.rng.randrange(1, 10)
        self.counter += by
        self.expect("counter INCRBY", self.run("INCRBY", self.key("counter"), by), self.counter)
        self.expect("counter GET", self.run("GET", self.key("counter")), b"%d" % self.counter)

    def write_text(self) -> None:
        before, self.text = self.text, self.word()
        lifetime = self.rng.choice(((), ("EX", 5000), ("PX", 5_000_000), ("KEEPTTL",)))
        self.expect("text SET", self.run("SET", self.key("text"), self.text, "GET", *lifetime), before)
        self.expect("text GET", self.run("GET", self.key("text")), self.text)
        self.expect("text STRLEN", self.run("STRLEN", self.key("text")), len(self.text))

    def delete_text(self) -> None:
        self.expect("text DEL", self.run("DEL", self.key("text")), int(self.text is not None))
        self.text = None
        self.expect("text gone", self.run("GET", self.key("text")), None)
        self.expect("text SETNX", self.run("SETNX", self.key("text"), b"again"), 1)
        self.text = b"again"

    def push_and_pop(self) -> None:
        items = [self.word() for _ in range(self.rng.randrange(1, 4))]
        self.items += items
        self.expect("list RPUSH", self.run("RPUSH", self.key("list"), *items), len(self.items))
        while len(self.items) > 20 or self.rng.random() < 0.5 and self.items:
            self.expect("list LPOP", self.run("LPOP", self.key("list")), self.items.pop(0))
        self.expect("list LRANGE", self.run("LRANGE", self.key("list"), 0, -1), self.items)

    def write_fields(self) -> None:
        name, value = b"f%d" % self.rng.randrange(12), self.word()
        self.expect("hash HSET", self.run("HSET", self.key("hash"), name, value), int(name not in self.fields))
        self.fields[name] = value
        flat = self.run("HGETALL", self.key("hash"))
        self.expect("hash HGETALL", dict(zip(flat[::2], flat[1::2])), self.fields)

    def members_step(self) -> None:
        member = b"m%d" % self.rng.randrange(20)
        self.expect("set SADD", self.run("SADD", self.key("set"), member), int(member not in self.members))
        self.members.add(member)
        if len(self.members) > 10:
            popped = self.run("SPOP", self.key("set"))
            self.expect("set SPOP", popped in self.members, True)
            self.members.remove(popped)
        self.expect("set SMEMBERS", set(self.run("SMEMBERS", self.key("set"))), self.members)

    def scores_step(self) -> None:
        member, by = b"m%d" % self.rng.randrange(10), self.rng.randrange(-5, 6)
        self.scores[member] = self.scores.get(member, 0) + by
        self.expect("zset ZINCRBY", int(self.run("ZINCRBY", self.key("zset"), by, member)), self.scores[member])
        in_order = [name for score, name in sorted((score, name) for name, score in self.scores.items())]
        self.expect("zset ZRANGE", self.run("ZRANGE", self.key("zset"), 0, -1), in_order)

    def stream_step(self) -> None:
        word = self.word()
        entry = self.run("XADD", self.key("stream"), "MAXLEN", "~", 500, "*", "word", word)
        self.expect("stream XRANGE", self.run("XRANGE", self.key("stream"), entry, entry), [[entry, [b"word", word]]])

    def pipelined(self) -> None:
        """Several commands in one packet: answered in order, each seeing those before it."""
        self.text, self.counter = self.word(), self.counter + 3
        pipe = self.client.pipeline(transaction=False)
        for words in (("SET", self.key("text"), self.text), ("GET", self.key("text")), ("PING",),
                      ("INCRBY", self.key("counter"), 3), ("ECHO", "here"), ("GET", self.key("counter"))):
            pipe.execute_command(*words)
        self.expect("pipeline", pipe.execute(),
                    [b"OK", self.text, b"PONG", self.counter, b"here", b"%d" % self.counter])

    def transaction(self) -> None:
        self.text, self.counter = self.word(), self.counter + 1
        pipe = self.client.pipeline(transaction=True)
        for words in (("SET", self.key("text"), self.text), ("INCR", self.key("counter")), ("GET", self.key("text"))):
            pipe.execute_command(*words)
        self.expect("transaction", pipe.execute(), [b"OK", self.counter, self.text])
        self.expect("after it", self.run("MGET", self.key("text"), self.key("counter")),
                    [self.text, b"%d" % self.counter])

    def verify_all(self) -> None:
        if not self.known:
            return
        self.expect("counter", int(self.run("GET", self.key("counter")) or 0), self.counter)
        self.expect("text", self.run("GET", self.key("text")), self.text)
        self.expect("list", self.run("LRANGE", self.key("list"), 0, -1), self.items)
        self.expect("set", set(self.run("SMEMBERS", self.key("set"))), self.members)
        flat = self.run("HGETALL", self.key("hash"))
        self.expect("hash", dict(zip(flat[::2], flat[1::2])), self.fields)
