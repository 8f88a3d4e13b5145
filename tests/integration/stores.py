"""What is in a store: filling one with every type of key, and saying how two differ.

Clients are made by a function that takes db=N (RedisServer.client), since a store has several databases.
"""
from __future__ import annotations

import random
import time
from typing import Any, Callable, Iterator

import redis

ClientMaker = Callable[..., redis.Redis]
TYPES = ("string", "list", "set", "hash", "zset", "stream", "hyperloglog", "integer", "binary", "with ttl")


def fill(client: redis.Redis, count: int, seed: int = 1, prefix: str = "have:") -> dict[str, int]:
    """`count` keys, a tenth of each of TYPES. Lifetimes are an hour and more. Returns how many of each type."""
    rng = random.Random(seed)
    made = dict.fromkeys(TYPES, 0)
    pipe = client.pipeline(transaction=False)
    for number in range(count):
        kind = TYPES[number % len(TYPES)]
        made[kind] += 1
        _make_key(pipe, kind, f"{prefix}{kind.replace(' ', '_')}:{number}", rng)
        if number % 500 == 499:
            pipe.execute()
    pipe.execute()
    return made


def _make_key(pipe: Any, kind: str, key: str, rng: random.Random) -> None:
    size = rng.choice((1, 3, 10, 10, 200 if rng.random() < 0.1 else 20))
    words = [f"word{rng.randrange(1000)}" for _ in range(size)]
    if kind == "string":
        pipe.set(key, " ".join(words))
    elif kind == "list":
        pipe.rpush(key, *words)
    elif kind == "set":
        pipe.sadd(key, *([rng.randrange(10**6) for _ in words] if rng.random() < 0.3 else words))
    elif kind == "hash":
        pipe.hset(key, mapping={f"field{i}": word for i, word in enumerate(words)})
    elif kind == "zset":
        pipe.zadd(key, {word: rng.choice((rng.randrange(100), rng.uniform(-1e3, 1e3))) for word in words})
    elif kind == "stream":
        for i, word in enumerate(words):
            pipe.execute_command("XADD", key, f"{1000 + i}-{i}", "word", word)
        pipe.execute_command("XGROUP", "CREATE", key, "workers", "0")
        pipe.execute_command("XREADGROUP", "GROUP", "workers", "alice", "COUNT", "2", "STREAMS", key, ">")
        pipe.execute_command("XGROUP", "CREATE", key, "late", "$")
    elif kind == "hyperloglog":
        pipe.pfadd(key, *words)
    elif kind == "integer":
        pipe.set(key, rng.randrange(-10**12, 10**12))
    elif kind == "binary":
        pipe.set(key.encode() + bytes((0, 255, 13, 10, rng.randrange(256))), rng.randbytes(size * 10))
    elif kind == "with ttl":
        pipe.set(key, words[0], px=rng.randrange(3600_000, 10 * 3600_000))


def touch_words(number: int, rng: random.Random, write: bool, prefix: str = "have:") -> list[Any]:
    """A command that reads, or writes, key `number` of those that fill made."""
    kind = TYPES[number % len(TYPES)]
    if kind == "binary":  # its name is known to fill alone
        kind, number = "string", number - TYPES.index("binary")
    key = f"{prefix}{kind.replace(' ', '_')}:{number}"
    word = f"word{rng.randrange(1000)}"
    if write:
        return {"string": ["APPEND", key, "!"], "list": ["RPUSH", key, word], "set": ["SADD", key, word],
                "hash": ["HSET", key, "field0", word], "zset": ["ZADD", key, number, word],
                "stream": ["XADD", key, "*", "word", word], "hyperloglog": ["PFADD", key, word],
                "integer": ["INCR", key], "with ttl": ["SET", key, word, "KEEPTTL"]}[kind]
    return {"string": ["GET", key], "list": ["LRANGE", key, 0, -1], "set": ["SMEMBERS", key], "hash": ["HGETALL", key],
            "zset": ["ZRANGE", key, 0, -1, "WITHSCORES"], "stream": ["XRANGE", key, "-", "+"],
            "hyperloglog": ["PFCOUNT", key], "integer": ["GET", key], "with ttl": ["TTL", key]}[kind]


def keys_of(make: ClientMaker) -> Iterator[tuple[int, redis.Redis, list[bytes]]]:
    """Each database that holds keys, with a client for it and its keys in order."""
    with make() as client:
        numbers = [int(name[2:]) for name in client.info("keyspace")]
    for number in numbers:
        with make(db=number) as client:
            yield number, client, sorted(client.scan_iter(count=1000))


def contents(make: ClientMaker) -> dict[tuple[int, bytes], Any]:
    """Every key's logical value, by (database, key): independent of encodings and of the order in sets and hashes."""
    return {(number, key): value_of(client, key) for number, client, keys in keys_of(make) for key in keys}


def value_of(client: redis.Redis, key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"string":
        return client.get(key)
    if kind == b"list":
        return ("list", client.lrange(key, 0, -1))
    if kind == b"set":
        return ("set", sorted(client.smembers(key)))
    if kind == b"hash":
        return ("hash", sorted(client.hgetall(key).items()))
    if kind == b"zset":
        return ("zset", client.zrange(key, 0, -1, withscores=True))
    if kind == b"stream":
        return ("stream", client.execute_command("XRANGE ", key, "-", "+"), stream_state(client, key))
    return kind


def stream_state(client: redis.Redis, key: bytes) -> dict[bytes, Any]:
    """What a stream remembers beside its entries: last id, entries added, groups with their pending entries."""
    # A name that redis-py has no callback for, so that the answer comes as the server sent it.
    full = _pairs(client.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    groups = []
    for raw in full[b"groups"]:
        group = _pairs(raw)
        pending = sorted((entry[0], entry[1], entry[3]) for entry in group[b"pending"])
        consumers = sorted(_pairs(consumer)[b"name"] for consumer in group[b"consumers"])
        groups.append((group[b"name"], group[b"last-delivered-id"], pending, consumers))
    return {b"last": full[b"last-generated-id"], b"added": full[b"entries-added"],
            b"deleted": full[b"max-deleted-entry-id"], b"groups": sorted(groups)}


def _pairs(flat: list) -> dict:
    return dict(zip(flat[::2], flat[1::2]))


def difference(old: ClientMaker, new: ClientMaker, most: int = 12) -> str:
    """The keys on which two stores differ, with their values, for a person to read. Empty when none does."""
    lines = []
    one, two = contents(old), contents(new)
    for key in sorted(one.keys() | two.keys()):
        if one.get(key) != two.get(key):
            lines.append(f"  db{key[0]} {key[1]!r}\n    old: {_short(one.get(key))}\n    new: {_short(two.get(key))}")
    lines += [f"  db{number} {key!r} expires {text}" for number, key, text in _one_sided_expiry(old, new)]
    more = f"\n  and {len(lines) - most} more" if len(lines) > most else ""
    return "\n".join(lines[:most]) + more


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + f"… ({len(text)} characters)"


def expiry_times(make: ClientMaker) -> dict[tuple[int, bytes], int]:
    """PEXPIRETIME of every key: −1 without an expiry. Keys that expire while we look are left out."""
    times = {}
    for number, client, keys in keys_of(make):
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.execute_command("PEXPIRETIME", key)
        times.update(((number, key), at) for key, at in zip(keys, pipe.execute()) if at != -2)
    return times


def _one_sided_expiry(old: ClientMaker, new: ClientMaker) -> Iterator[tuple[int, bytes, str]]:
    one, two = expiry_times(old), expiry_times(new)
    for key in sorted(one.keys() & two.keys()):
        if (one[key] < 0) != (two[key] < 0):
            yield key[0], key[1], f"at {one[key]} on old and at {two[key]} on new"


def expiry_gaps(old: ClientMaker, new: ClientMaker) -> list[tuple[int, tuple[int, bytes]]]:
    """By how many milliseconds the expiry of each key differs, largest first; keys that only one side has or that only
    one side lets expire count as infinitely far apart. Keys about to expire (in a second) are left out."""
    one, two = expiry_times(old), expiry_times(new)
    soon = time.time() * 1000 + 1000
    gaps = []
    for key in one.keys() | two.keys():
        times = one.get(key), two.get(key)
        if any(at is not None and 0 <= at < soon for at in times) or times == (-1, -1):
            continue
        apart = 10**15 if None in times or -1 in times else abs(times[0] - times[1])
        gaps.append((apart, key))
    return sorted(gaps, reverse=True)
