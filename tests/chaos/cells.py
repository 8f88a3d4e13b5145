"""What one client writes to keys that only it writes, and what these must then hold: a record of what was acknowledged.

A Cell is a key, or a few, with a state that follows from the acknowledged operations. Every operation is chosen so that
its reply and its effect are known beforehand. An operation without an answer may have happened or not: then the cell is
finished, with both states as its ending, and the client goes on with new keys. So no later write can hide what became
of it, also when it reaches the store late.
"""
from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from resp import ErrorReply, Word

Request = list[Word]


@dataclass
class Operation:
    cell: "Cell"
    requests: list[Request]          # more than one: a transaction
    after: Any                       # the cell's state once it has happened
    replies: list[Any]               # what is answered then
    is_read: bool = False


@dataclass
class Ending:
    """The states in which a cell may be found at the end."""
    kind: str
    keys: list[str]
    states: list[Any] = field(default_factory=list)


def plain(value: Any) -> Any:
    """A reply without the difference between RESP2 and RESP3, and between numbers and their text."""
    if isinstance(value, ErrorReply):
        return value
    if isinstance(value, dict):
        return sorted((plain(key), plain(item)) for key, item in value.items())
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return b"%d" % int(value) if value == int(value) else repr(value).encode()
    if isinstance(value, int):
        return b"%d" % value
    return value.encode() if isinstance(value, str) else value


class Cell:
    """A kind of cell: how to change it, and how to read it. `state` is what its reads must say, after plain()."""

    kind = ""
    names = ("",)  # of its keys, behind the prefix

    def __init__(self, prefix: str, rng: random.Random):
        self.rng, self.keys = rng, [f"{prefix}:{self.kind}{name}" for name in self.names]
        self.state: Any = self.empty()
        self.count = 0

    def empty(self) -> Any:
        return None

    def reads(self) -> list[Request]:
        """What tells the state: the list of the plain replies."""
        return [["GET", key] for key in self.keys]

    def change(self) -> Operation:
        raise NotImplementedError

    def shown(self, state: Any) -> list[Any]:
        """The plain replies to reads() in this state."""
        return [state]

    def look(self) -> Operation:
        requests = self.reads()
        return Operation(self, requests, self.state, self.shown(self.state), is_read=True)

    def word(self) -> bytes:
        self.count += 1
        return b"w%d.%d" % (self.count, self.rng.randrange(1000))


class Counter(Cell):
    kind = "counter"

    def empty(self) -> Any:
        return 0

    def shown(self, state: int) -> list[Any]:
        return [b"%d" % state if state else None]

    def change(self) -> Operation:
        by = self.rng.randrange(1, 10)
        return Operation(self, [["INCRBY", self.keys[0], by]], self.state + by, [self.state + by])


class Text(Cell):
    kind = "text"

    def change(self) -> Operation:
        word = self.word()
        if self.state is not None and len(self.state) < 200 and self.rng.random() < 0.3:
            after = self.state + word
            return Operation(self, [["APPEND", self.keys[0], word]], after, [len(after)])
        if self.state is not None and self.rng.random() < 0.1:
            return Operation(self, [["DEL", self.keys[0]]], None, [1])
        lifetime = self.rng.choice(((), ("EX", 5000), ("PX", 5_000_000)))
        return Operation(self, [["SET", self.keys[0], word, *lifetime]], word, [b"OK"])


class Log(Cell):
    """Only ever appended to."""
    kind = "log"

    def empty(self) -> Any:
        return ()

    def reads(self) -> list[Request]:
        return [["LRANGE", self.keys[0], 0, -1]]

    def shown(self, state: tuple) -> list[Any]:
        return [list(state)]

    def change(self) -> Operation:
        words = [self.word() for _ in range(self.rng.randrange(1, 3))]
        after = self.state + tuple(words)
        return Operation(self, [["RPUSH", self.keys[0], *words]], after, [len(after)])


class Queue(Log):
    """Pushed and popped."""
    kind = "list"

    def change(self) -> Operation:
        if len(self.state) > 12 or (self.state and self.rng.random() < 0.4):
            return Operation(self, [["LPOP", self.keys[0]]], self.state[1:], [self.state[0]])
        return super().change()


class Hash(Cell):
    kind = "hash"

    def empty(self) -> Any:
        return {}

    def reads(self) -> list[Request]:
        fields = [b"f%d" % number for number in range(8)]
        return [["HMGET", self.keys[0], *fields], ["HLEN", self.keys[0]]]

    def shown(self, state: dict) -> list[Any]:
        return [[state.get(b"f%d" % number) for number in range(8)], b"%d" % len(state)]

    def change(self) -> Operation:
        name, word = b"f%d" % self.rng.randrange(8), self.word()
        if name in self.state and self.rng.random() < 0.3:
            after = {key: value for key, value in self.state.items() if key != name}
            return Operation(self, [["HDEL", self.keys[0], name]], after, [1])
        return Operation(self, [["HSET", self.keys[0], name, word]], {**self.state, name: word},
                         [int(name not in self.state)])


class Members(Cell):
    kind = "set"

    def empty(self) -> Any:
        return frozenset()

    def reads(self) -> list[Request]:
        return [["SMISMEMBER", self.keys[0], *(b"m%d" % number for number in range(12))], ["SCARD", self.keys[0]]]

    def shown(self, state: frozenset) -> list[Any]:
        return [[b"%d" % (b"m%d" % number in state) for number in range(12)], b"%d" % len(state)]

    def change(self) -> Operation:
        member = b"m%d" % self.rng.randrange(12)
        if member in self.state:
            return Operation(self, [["SREM", self.keys[0], member]], self.state - {member}, [1])
        return Operation(self, [["SADD", self.keys[0], member]], self.state | {member}, [1])


class Scores(Cell):
    kind = "zset"

    def empty(self) -> Any:
        return {}

    def reads(self) -> list[Request]:
        return [["ZMSCORE", self.keys[0], *(b"m%d" % number for number in range(8))], ["ZCARD", self.keys[0]]]

    def shown(self, state: dict) -> list[Any]:
        scores = [state.get(b"m%d" % number) for number in range(8)]
        return [[None if score is None else b"%d" % score for score in scores], b"%d" % len(state)]

    def change(self) -> Operation:
        member, by = b"m%d" % self.rng.randrange(8), self.rng.randrange(-5, 6)
        score = self.state.get(member, 0) + by
        return Operation(self, [["ZINCRBY", self.keys[0], by, member]], {**self.state, member: score}, [score])


class Stream(Log):
    """Entries with ids by the server, which only the values are remembered of."""
    kind = "stream"

    def reads(self) -> list[Request]:
        return [["XRANGE", self.keys[0], "-", "+"]]

    def change(self) -> Operation:
        word = self.word()
        return Operation(self, [["XADD", self.keys[0], "*", "word", word]], self.state + (word,), [ANYTHING])


class Pair(Cell):
    """A value that is renamed from one key to the other and back."""
    kind = "pair"
    names = (":a", ":b")

    def empty(self) -> Any:
        return (None, None)

    def shown(self, state: tuple) -> list[Any]:
        return list(state)

    def change(self) -> Operation:
        here = 0 if self.state[0] is not None else 1
        if self.state == (None, None) or self.rng.random() < 0.3:
            if self.state != (None, None) and self.rng.random() < 0.5:
                here = 1 - here
            word = self.word()
            after = tuple(word if index == here else value for index, value in enumerate(self.state))
            return Operation(self, [["SET", self.keys[here], word]], after, [b"OK"])
        after = (None, self.state[0]) if here == 0 else (self.state[1], None)
        return Operation(self, [["RENAME", self.keys[here], self.keys[1 - here]]], after, [b"OK"])


class Together(Cell):
    """Two keys that only transactions write: both have happened, or neither."""
    kind = "together"
    names = (":a", ":b")

    def empty(self) -> Any:
        return (None, 0)

    def shown(self, state: tuple) -> list[Any]:
        return [state[0], b"%d" % state[1] if state[1] else None]

    def change(self) -> Operation:
        word = self.word()
        return Operation(self, [["SET", self.keys[0], word], ["INCR", self.keys[1]]], (word, self.state[1] + 1),
                         [b"OK", self.state[1] + 1])


class Fleeting(Cell):
    """A value with an end. The state is (value, the millisecond at which it ends)."""
    kind = "fleeting"

    def shown(self, state: Any) -> list[Any]:
        if state is None:
            return [None]
        left_ms = state[1] - time.time() * 1000
        return [state[0]] if left_ms > 1000 else [None] if left_ms < -1000 else [ANYTHING]

    def change(self) -> Operation:
        word, at = self.word(), int(time.time() * 1000) + self.rng.choice((300, 3000, 30_000, 3_000_000))
        return Operation(self, [["SET", self.keys[0], word, "PXAT", at]], (word, at), [b"OK"])


class _Anything:
    """Equal to whatever was answered, but an error."""

    def __eq__(self, other: object) -> bool:
        return not isinstance(other, ErrorReply)

    def __repr__(self) -> str:
        return "anything"


ANYTHING = _Anything()
KINDS: tuple[Callable[[str, random.Random], Cell], ...] = (
    Counter, Text, Log, Queue, Hash, Members, Scores, Stream, Pair, Together, Fleeting)
BY_NAME = {kind.kind: kind for kind in KINDS}  # type: ignore[attr-defined]


def told(cell: Cell, replies: list[Any]) -> list[Any]:
    """The plain replies to cell.reads(), without the ids of a stream's entries."""
    replies = [plain(reply) for reply in replies]
    if isinstance(cell, Stream) and replies and isinstance(replies[0], list):
        return [[entry[1][1] for entry in replies[0]]]
    return replies


def agrees(wanted: list[Any], got: list[Any]) -> bool:
    """ANYTHING is on the wanted side, so that its opinion counts."""
    return len(wanted) == len(got) and all(plain(one) == two for one, two in zip(wanted, got))


def check_endings(endings: list[Ending], ask: Callable[[list[Request]], list[Any]], store: str) -> list[str]:
    """What a store holds against what was acknowledged: a line for each key that it lacks or holds wrongly."""
    wrong = []
    for begin in range(0, len(endings), 100):
        batch, requests, shapes = endings[begin:begin + 100], [], []
        for ending in batch:
            cell = BY_NAME[ending.kind]("", random.Random(0))
            cell.keys = ending.keys
            shapes.append((cell, len(cell.reads())))
            requests += cell.reads()
        replies = ask(requests)
        for ending, (cell, count) in zip(batch, shapes):
            got, replies = told(cell, replies[:count]), replies[count:]
            wanted = [cell.shown(state) for state in ending.states]
            if not any(agrees(one, got) for one in wanted):
                wrong.append(f"{store}: {ending.keys}: holds {str(got)[:300]}, acknowledged was "
                             f"{' or '.join(str(one)[:300] for one in wanted)}")
    return wrong
