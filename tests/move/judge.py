"""Are two stores equal: values, lifetimes, and all that streams remember beside their entries.

For stores at rest. DEBUG DIGEST tells whether all values are equal in one question, and DEBUG DIGEST-VALUE which are not.
Neither tells when a key expires, nor what groups a stream has: these are asked for key by key.
"""
from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Any, Iterator

from admin import wait_until
from harness import HOST
from resp import ErrorReply, Word, encode

TEMPORARY = b"__crossfade:copy:"
_AT_ONCE = 2000             # questions before their answers are read
_SCAN_COUNT = 5000
_KEPT_LINES = 40
_QUIET_MS = 90_000          # no key may end in so long: time for all the comparisons
_XINFO_NUMBERS = (b"length", b"last-generated-id", b"max-deleted-entry-id", b"entries-added", b"recorded-first-entry-id")
_GROUP_NUMBERS = (b"last-delivered-id", b"entries-read", b"lag", b"pel-count")


class Store:
    """A connection for many questions."""

    def __init__(self, port: int, timeout: float = 180.0):
        self._socket = socket.create_connection((HOST, port), timeout=timeout)
        self._file = self._socket.makefile("rb", buffering=1 << 18)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *words: Word) -> Any:
        return self.ask_all([words])[0]

    def send(self, *words: Word) -> None:
        self._socket.sendall(encode(*words))

    def ask_all(self, requests: list) -> list[Any]:
        answers = []
        for begin in range(0, len(requests), _AT_ONCE):
            part = requests[begin:begin + _AT_ONCE]
            self._socket.sendall(b"".join(encode(*words) for words in part))
            answers += [self.reply() for _ in part]
        return answers

    def reply(self) -> Any:
        line = self._file.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"$":
            return None if text == b"-1" else self._file.read(int(text) + 2)[:-2]
        if kind == b":":
            return int(text)
        if kind == b"+":
            return text
        if kind == b"*":
            return None if text == b"-1" else [self.reply() for _ in range(int(text))]
        if kind == b"-":
            return ErrorReply(text.decode(errors="replace"))
        raise AssertionError(f"not a reply: {line!r}")

    def databases(self) -> list[int]:
        return [int(line[2:line.index(b":")]) for line in self.ask("INFO", "keyspace").splitlines()
                if line.startswith(b"db")]

    def scan(self, database: int, *options: Word) -> Iterator[list[bytes]]:
        """Each key at least once."""
        self.ask("SELECT", database)
        cursor: Any = b"0"
        while True:
            cursor, keys = self.ask("SCAN", cursor, "COUNT", _SCAN_COUNT, *options)
            if keys:
                yield keys
            if cursor == b"0":
                return

    def lifetimes(self, database: int) -> dict[bytes, int]:
        """When each key expires, in ms; -1: never. Those that end during the look are left out."""
        times: dict[bytes, int] = {}
        for keys in self.scan(database):
            self._socket.sendall(b"".join([b"*2\r\n$11\r\nPEXPIRETIME\r\n$%d\r\n%s\r\n" % (len(key), key) for key in keys]))
            times.update(zip(keys, [int(self._file.readline()[1:]) for _ in keys]))
        return {key: at for key, at in times.items() if at != -2}

    def digests(self, database: int, keys: list[bytes]) -> dict[bytes, bytes]:
        self.ask("SELECT", database)
        found: dict[bytes, bytes] = {}
        for begin in range(0, len(keys), 500):
            part = keys[begin:begin + 500]
            found.update(zip(part, self.ask("DEBUG", "DIGEST-VALUE", *part)))
        return found


@dataclass
class Verdict:
    keys: int = 0
    with_lifetime: int = 0
    worst_gap_ms: int = 0            # between the two moments at which a key expires
    streams: int = 0
    pending: int = 0                 # entries of their groups
    digest: str = ""
    lines: list[str] = field(default_factory=list)  # what differs
    differing: int = 0

    def differs(self, line: str) -> None:
        self.differing += 1
        if len(self.lines) < _KEPT_LINES:
            self.lines.append(line)

    def text(self) -> str:
        more = f"\n  and {self.differing - len(self.lines)} more" if self.differing > len(self.lines) else ""
        return "\n".join(self.lines) + more


def compare(old_port: int, new_port: int, gap_ms: int) -> Verdict:
    """REQUIRES: nothing is written. Waits until no key is about to end."""
    verdict = Verdict()
    with Store(old_port) as old, Store(new_port) as new:
        for database in sorted({*old.databases(), *new.databases()}):
            one, two = (_lifetimes_at_rest(store, database) for store in (old, new))
            _compare_lifetimes(verdict, one, two, database, gap_ms)
        old.send("DEBUG", "DIGEST")
        new.send("DEBUG", "DIGEST")  # takes long: both at once
        digests = [store.reply().decode() for store in (old, new)]
        verdict.digest = digests[0]
        if digests[0] != digests[1]:
            verdict.differs(f"the digests are {digests[0]} and {digests[1]}")
            for database in old.databases():
                _compare_values(verdict, old, new, database)
        for database in old.databases():
            _compare_streams(verdict, old, new, database, gap_ms)
    return verdict


def _lifetimes_at_rest(store: Store, database: int) -> dict[bytes, int]:
    """Once every key that ends soon has ended; and the temporary ones, which a killed proxy leaves, as well."""
    while True:
        times = store.lifetimes(database)
        left = [key for key in times if key.startswith(TEMPORARY)]
        if left:
            _end_temporaries(store, left)
            continue
        now = time.time() * 1000
        soon = [at for at in times.values() if 0 <= at < now + _QUIET_MS]
        if not soon:
            return times
        time.sleep(max(0.05, (max(soon) - now) / 1000))


def _end_temporaries(store: Store, keys: list[bytes]) -> None:
    """They end by themselves within a minute, and are ended early here."""
    for key, left in zip(keys, store.ask_all([("PTTL", key) for key in keys])):
        assert left == -2 or 0 < left <= 60_000, f"the temporary key {key!r} lives for {left} ms"
    store.ask_all([("PEXPIRE", key, 1) for key in keys])
    wait_until(lambda: not any(store.ask_all([("EXISTS", key) for key in keys])), 10, "the temporary keys are gone")


def _compare_lifetimes(verdict: Verdict, one: dict[bytes, int], two: dict[bytes, int], database: int, gap_ms: int) -> None:
    verdict.keys += len(one)
    for key in one.keys() - two.keys():
        verdict.differs(f"db{database} {key!r} is missing on new; on old it expires at {one[key]}")
    for key in two.keys() - one.keys():
        verdict.differs(f"db{database} {key!r} is only on new, where it expires at {two[key]}: risen from the dead")
    for key in one.keys() & two.keys():
        if one[key] == two[key]:
            verdict.with_lifetime += one[key] >= 0
            continue
        if min(one[key], two[key]) < 0:
            verdict.differs(f"db{database} {key!r} expires at {one[key]} on old and at {two[key]} on new")
            continue
        verdict.with_lifetime += 1
        gap = abs(one[key] - two[key])
        verdict.worst_gap_ms = max(verdict.worst_gap_ms, gap)
        if gap > gap_ms:
            verdict.differs(f"db{database} {key!r} expires {two[key] - one[key]} ms later on new")


def _compare_values(verdict: Verdict, old: Store, new: Store, database: int) -> None:
    keys = [key for part in old.scan(database) for key in part]
    one, two = old.digests(database, keys), new.digests(database, keys)
    for key in keys:
        if one[key] != two[key]:
            kind = old.ask("TYPE", key).decode(), new.ask("TYPE", key).decode()
            values = [store.ask("DUMP", key) for store in (old, new)]
            verdict.differs(f"db{database} {key!r} ({kind[0]}, {kind[1]} on new) has another value: "
                            f"{str(values[0])[:200]} and {str(values[1])[:200]}")


def _compare_streams(verdict: Verdict, old: Store, new: Store, database: int, gap_ms: int) -> None:
    for keys in old.scan(database, "TYPE", "stream"):
        for begin in range(0, len(keys), 100):
            part = keys[begin:begin + 100]
            new.ask("SELECT", database)
            one, two = (store.ask_all([("XINFO", "STREAM", key, "FULL", "COUNT", 0) for key in part])
                        for store in (old, new))
            for key, first, second in zip(part, one, two):
                if isinstance(first, ErrorReply) or isinstance(second, ErrorReply):
                    verdict.differs(f"db{database} {key!r}: {first if isinstance(first, ErrorReply) else second}")
                    continue
                verdict.streams += 1
                _compare_stream(verdict, f"db{database} {key!r}", _pairs(first), _pairs(second), gap_ms)


def _pairs(flat: list) -> dict:
    return dict(zip(flat[::2], flat[1::2]))


def _groups(stream: dict) -> dict[bytes, tuple[tuple, dict[bytes, tuple]]]:
    """By name: the group's numbers with its consumers, and its pending entries."""
    groups = {}
    for raw in stream[b"groups"]:
        group = _pairs(raw)
        consumers = tuple(sorted(_pairs(consumer)[b"name"] for consumer in group[b"consumers"]))
        numbers = tuple(group[name] for name in _GROUP_NUMBERS)
        groups[group[b"name"]] = ((numbers, consumers), {entry[0]: tuple(entry[1:]) for entry in group[b"pending"]})
    return groups


def _compare_stream(verdict: Verdict, where: str, old: dict, new: dict, gap_ms: int) -> None:
    for name in _XINFO_NUMBERS:
        if old[name] != new[name]:
            verdict.differs(f"{where}: {name.decode()} is {old[name]!r} and {new[name]!r}")
    one, two = _groups(old), _groups(new)
    if one.keys() != two.keys():
        verdict.differs(f"{where} has the groups {sorted(one)} and {sorted(two)}")
    for group in one.keys() & two.keys():
        (numbers, pending), (others, other_pending) = one[group], two[group]
        if numbers != others:
            verdict.differs(f"{where}, group {group!r}: {numbers} and {others}")
        if pending.keys() != other_pending.keys():
            verdict.differs(f"{where}, group {group!r}: pending {str(pending)[:200]} and {str(other_pending)[:200]}")
        for entry in pending.keys() & other_pending.keys():
            verdict.pending += 1
            (consumer, at, times), (consumer2, at2, times2) = pending[entry], other_pending[entry]
            if (consumer, times) != (consumer2, times2) or abs(at - at2) > gap_ms:
                verdict.differs(f"{where}, group {group!r}, pending {entry!r}: {pending[entry]} and {other_pending[entry]}")
