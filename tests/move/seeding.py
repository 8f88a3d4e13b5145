"""Fills a store with keys of every type in all of its 16 databases, fast: commands in bulk, without replies.

A key's name says its kind and number: the kinds are those of shapes.py, so that a Filler knows what can be done with
each. Values come from a few dozen variants of each kind, with the key's number in them, so that a value which came to
another key's name shows.
"""
from __future__ import annotations

import itertools
import multiprocessing
import random
import struct
import time
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Union

import redis

from harness import die_with_parent
from resp import RawConnection, encode

_fork = multiprocessing.get_context("fork")
DATABASES = 16
SHARES = {"s": 26, "c": 10, "r": 4, "b": 5, "l": 13, "t": 11, "h": 13, "z": 10, "q": 2, "g": 2, "x": 1, "y": 1, "p": 2}
VARIANTS = 48
EXPIRING = 0.3          # of all keys
_CHUNK_BYTES = 1 << 18
_EVAL_STEP = 50_000     # elements in one script: no longer than a breath

BIG_HASH, BIG_LIST, BIG_STREAM, BIG_STRING = "big:hash", "big:list", "big:stream", "big:string"
GROUPS = ("workers", "readers", "late")


@dataclass(frozen=True)
class Sizes:
    keys: int
    hash_mb: int
    list_items: int
    stream_entries: int
    pending: int

    @staticmethod
    def of(keys: int) -> "Sizes":
        """What the issue names for a million keys, and in proportion, within sense, for fewer."""
        scale = min(1.0, keys / 1_000_000)
        return Sizes(keys, max(4, int(200 * scale)), max(100_000, int(5_000_000 * scale)), max(5_000, int(60_000 * scale)),
                     max(1_000, int(10_000 * scale)))


def kind_counts(keys: int) -> dict[str, int]:
    """How many keys of each kind are in each database."""
    total = sum(SHARES.values())
    return {kind: max(1, keys * share // total // DATABASES) for kind, share in SHARES.items()}


def key_name(kind: str, number: int) -> bytes:
    """Every seventh is binary."""
    return b"%s:%d" % (kind.encode(), number) + (b"\0\r\n\xff" if number % 7 == 3 else b"")


# ---- values ----

class _Mark:
    """Stands for something in a template that is another for each key."""


KEY, NUMBER = _Mark(), _Mark()
Template = list[tuple[bytes, bytes, bool]]  # for each command: before the key, behind it, and whether the number ends it


def _compile(commands: list[list[Any]]) -> Template:
    made = []
    for words in commands:
        numbered = words[-1] is NUMBER
        at = words.index(KEY)
        head, tail = words[:at], words[at + 1:len(words) - numbered]
        made.append((b"*%d\r\n" % len(words) + _bulks(head), _bulks(tail), numbered))
    return made


def _bulks(words: list[Any]) -> bytes:
    return encode(*words).split(b"\r\n", 1)[1] if words else b""


def _bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def _length(rng: random.Random, variant: int) -> int:
    """Of a collection: mostly small, some that outgrow the compact encodings."""
    return 700 if variant == 0 else 200 if variant in (1, 2) else rng.randrange(1, 25)


def _string(rng: random.Random, variant: int) -> list[list[Any]]:
    if variant < 3:
        return [["SET", KEY, ""]]
    if variant < 6:
        return [["SET", KEY, rng.randbytes(rng.randrange(1, 80))]]
    if variant == 6:
        return [["SET", KEY, rng.randbytes(8000)], ["APPEND", KEY, NUMBER]]
    return [["SET", KEY, "value " + "word " * rng.randrange(20)], ["APPEND", KEY, NUMBER]]


def _bits(rng: random.Random, variant: int) -> list[list[Any]]:
    far = [["SETBIT", KEY, 100_001, 1]] if variant == 0 else []
    return [["BITFIELD", KEY, "SET", "u32", 8 * rng.randrange(20), NUMBER]] + far


def _list(rng: random.Random, variant: int) -> list[list[Any]]:
    items = [rng.choice((f"m{rng.randrange(40)}", rng.randrange(10**9), "", b"\r\n\0", "x" * rng.randrange(40)))
             for _ in range(_length(rng, variant))]
    return [["RPUSH", KEY, *items, NUMBER]]


def _set(rng: random.Random, variant: int) -> list[list[Any]]:
    length = _length(rng, variant)
    if variant % 3 == 0:  # integers alone: their own encoding, up to 512
        return [["SADD", KEY, *(rng.randrange(-10**6, 10**12) for _ in range(length)), NUMBER]]
    return [["SADD", KEY, *(f"m{rng.randrange(40 + 2 * length)}" for _ in range(length)), NUMBER]]


def _hash(rng: random.Random, variant: int) -> list[list[Any]]:
    fields = list(itertools.chain.from_iterable(
        (f"f{i}", rng.choice((rng.randrange(10**6), "v" * rng.randrange(90), rng.randbytes(9), "")))
        for i in range(_length(rng, variant))))
    return [["HSET", KEY, *fields, "int0", rng.randrange(1000), "float0", repr(rng.uniform(-9, 9)), "number", NUMBER]]


def _zset(rng: random.Random, variant: int) -> list[list[Any]]:
    special: list[Any] = ["inf", "most", "-inf", "least", "0.1", "tenth", "-0", "zero", repr(1 / 3), "third", "1e300",
                          "huge", "5e-324", "tiny"] if variant % 6 == 1 else []
    # Any pattern of bits that is a number: what comes out must be the same to the last one.
    scores = [struct.unpack("d", struct.pack("Q", rng.randrange(1 << 62)))[0] if rng.random() < 0.3
              else rng.randrange(-1000, 1000) for _ in range(_length(rng, variant))]
    pairs = itertools.chain.from_iterable((repr(score), f"m{i}") for i, score in enumerate(scores))
    return [["ZADD", KEY, *special, *pairs, rng.uniform(-1, 1), NUMBER]]


def _same_scores(rng: random.Random, _: int) -> list[list[Any]]:
    pairs = itertools.chain.from_iterable((0, f"m{rng.randrange(40)}") for _ in range(rng.randrange(1, 20)))
    return [["ZADD", KEY, *pairs, 0, NUMBER]]


def _places(rng: random.Random, _: int) -> list[list[Any]]:
    places = itertools.chain.from_iterable((f"{rng.uniform(10, 20):.5f}", f"{rng.uniform(30, 44):.5f}", f"m{i}")
                                           for i in range(rng.randrange(1, 12)))
    return [["GEOADD", KEY, *places, "13.361389", "38.115556", NUMBER]]


def _stream(rng: random.Random, variant: int, ids: str) -> list[list[Any]]:
    """Also emptied ones, never written ones, groups, consumers without work, pending entries that came several times."""
    if variant % 12 == 0:
        return [["XADD", KEY, "5-5", "number", NUMBER], ["XDEL", KEY, "5-5"]]
    if variant % 12 == 1:
        return [["XGROUP", "CREATE", KEY, "group0", "$", "MKSTREAM"]]
    length = 120 if variant == 2 else rng.randrange(1, 15)
    made: list[list[Any]] = [["XADD", KEY, ids % i, "word", "w" * rng.randrange(30), "number", NUMBER]
                             for i in range(1, length + 1)]
    if variant % 3 == 0:
        return made
    made += [["XGROUP", "CREATE", KEY, "group0", "0"], ["XGROUP", "CREATECONSUMER", KEY, "group0", "idle"],
             ["XREADGROUP", "GROUP", "group0", "consumer0", "COUNT", rng.randrange(1, 9), "STREAMS", KEY, ">"],
             ["XCLAIM", KEY, "group0", "consumer1", 0, ids % 1, "RETRYCOUNT", 7, "TIME", 1_600_000_000_000]]
    if variant % 4 == 1:
        made += [["XGROUP", "CREATE", KEY, b"bin\0\r\n", ids % 1], ["XDEL", KEY, ids % 1]]
    return made


def _hyperloglog(rng: random.Random, variant: int) -> list[list[Any]]:
    return [["PFADD", KEY, *(rng.randrange(10**9) for _ in range(4000 if variant == 0 else 12)), NUMBER]]


_MAKERS = {
    "s": _string, "b": _bits, "l": _list, "t": _set, "h": _hash, "z": _zset, "q": _same_scores, "g": _places,
    "c": lambda rng, _: [["SET", KEY, rng.randrange(-10**12, 10**12)], ["INCRBY", KEY, NUMBER]],
    "r": lambda rng, _: [["SET", KEY, f"{rng.uniform(-1e3, 1e3):.6f}"]],
    "x": lambda rng, variant: _stream(rng, variant, "1700000000000-%d"),
    "y": lambda rng, variant: _stream(rng, variant, "%d-1"),
    "p": _hyperloglog,
}


# ---- all of it ----

def _lifetime_ms(rng: random.Random, horizon_s: float) -> int:
    """From 50 ms to a year. None ends between the horizon and a quarter of an hour: then nothing dies while the stores
    are being compared."""
    choice = rng.random()
    if choice < 0.08:
        return rng.choice((50, 500, 3000))
    if choice < 0.45:
        return int(rng.uniform(0, horizon_s) * 1000)
    if choice < 0.8:
        return rng.randrange(1_500_000, 9_000_000)
    return 24 * 3_600_000 if choice < 0.9 else 365 * 24 * 3_600_000


def _commands(database: int, counts: dict[str, int], seed: int, horizon_s: float) -> Iterator[bytes]:
    yield encode("SELECT", database)
    for kind, count in counts.items():
        rng = random.Random(f"{seed} {kind}")  # the same variants everywhere
        templates = [_compile(_MAKERS[kind](rng, variant)) for variant in range(VARIANTS)]
        rng = random.Random(f"{seed} {kind} {database}")
        for number in range(count):
            key, digits = _bulk(key_name(kind, number)), _bulk(b"%d" % (number * DATABASES + database))
            for head, tail, numbered in templates[number % VARIANTS]:
                yield head + key + tail + (digits if numbered else b"")
            if rng.random() < EXPIRING:
                yield b"*3\r\n$7\r\nPEXPIRE\r\n" + key + _bulk(b"%d" % _lifetime_ms(rng, horizon_s))


def _fill(port: int, databases: range, keys: int, seed: int, horizon_s: float) -> None:
    die_with_parent()
    with RawConnection(port, timeout=120) as store:
        store.send(encode("CLIENT", "REPLY", "OFF"))
        for database in databases:
            parts, size = [], 0
            for command in _commands(database, kind_counts(keys), seed, horizon_s):
                parts.append(command)
                size += len(command)
                if size > _CHUNK_BYTES:
                    store.send(b"".join(parts))
                    parts, size = [], 0
            store.send(b"".join(parts))
        store.send(encode("CLIENT", "REPLY", "ON") + encode("PING"))
        assert [store.reply(), store.reply()] == [b"OK", b"PONG"]


def _in_steps(client: redis.Redis, key: str, count: int, body: str, extra: Union[str, int] = "") -> None:
    for begin in range(0, count, _EVAL_STEP):
        client.eval(f"for i = ARGV[1], ARGV[2] do {body} end", 1, key, begin + 1, min(count, begin + _EVAL_STEP), extra)


def make_big_keys(client: redis.Redis, sizes: Sizes) -> None:
    """In database 0, by the server itself: through a socket it would take far longer."""
    _in_steps(client, BIG_HASH, sizes.hash_mb * 10_000,
              "redis.call('HSET', KEYS[1], 'field:' .. i, string.rep('v', 80) .. i)")
    _in_steps(client, BIG_LIST, sizes.list_items, "redis.call('RPUSH', KEYS[1], 'item ' .. i)")
    _in_steps(client, BIG_STREAM, sizes.stream_entries,
              "redis.call('XADD', KEYS[1], i .. '-1', 'text', string.rep('x', 150), 'number', i)")
    run = client.execute_command
    for group in GROUPS[:2]:
        run("XGROUP", "CREATE", BIG_STREAM, group, "0")
    run("XGROUP", "CREATE", BIG_STREAM, GROUPS[2], "$")
    run("XGROUP", "CREATECONSUMER", BIG_STREAM, GROUPS[2], "idle")
    for number in range(4):
        run("XREADGROUP", "GROUP", GROUPS[0], f"worker {number}", "COUNT", sizes.pending // 5, "STREAMS", BIG_STREAM, ">")
    rest = sizes.pending - sizes.pending // 5 * 4
    run("XREADGROUP", "GROUP", GROUPS[1], b"reader\0", "COUNT", rest, "STREAMS", BIG_STREAM, ">")
    run("XDEL", BIG_STREAM, "3-1", "4-1", f"{rest}-1")
    client.setrange(BIG_STRING, 2 << 20, "the end")


def seed_store(server: Any, sizes: Sizes, seed: int, horizon_s: float) -> tuple[int, float, float]:
    """Fills a RedisServer. Returns how many keys it holds, the MB of them, and the seconds that it took."""
    begin = time.monotonic()
    children = [_fork.Process(target=_fill, args=(server.port, range(half, DATABASES, 2), sizes.keys, seed, horizon_s))
                for half in (0, 1)]
    for child in children:
        child.start()
    with server.client(socket_timeout=120) as client:
        make_big_keys(client, sizes)
        for child in children:
            child.join(600)
            assert child.exitcode == 0, f"seeding has failed with {child.exitcode}"
        errors = client.info("errorstats")
        assert not errors, f"seeding was refused something: {errors}"
        keys = sum(entry["keys"] for entry in client.info("keyspace").values())
        return keys, memory_mb(client), time.monotonic() - begin


def memory_mb(client: redis.Redis, peak: bool = False) -> float:
    found: Optional[int] = client.info("memory")["used_memory_peak" if peak else "used_memory_dataset"]
    return (found or 0) / 1e6
