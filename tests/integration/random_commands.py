"""Valid and, now and then, invalid commands over all types, from a seed: what one client of random_commands_test sends.

A Generator yields units: commands that stay together on a connection, such as a transaction. Every command has exactly
one reply, and says which replies are expected. The shapes of shapes.py are the bulk; here are what they lack (scripts,
transactions, WATCH, blocking pops, several databases, mistakes) and how often each comes. The same seed gives the same
commands, but for moments of expiry, which follow the clock.
"""
from __future__ import annotations

import random
import re
from dataclasses import dataclass, fields
from typing import Any, Callable, Iterator, Pattern

from random_scripts import FUNCTION_CALLS, LIBRARY, SCRIPTS, SPARE_LIBRARY, Script
from shapes import EXPECTED_ERROR, READ_SHAPES, WRITE_SHAPES, Filler, Shape, Word, by_command, parse

DATABASES = 16
KEYS = 150                 # in each database
CROSS_TYPE = 0.02          # of all keys are of another type than the command asks for
FLUSH_UNTIL = 0.8          # no whole database goes after this share of the commands: something is left to compare

# How often, by the type of the first key. Of each class: reads and writes; each command as likely as every other.
CLASS_WEIGHTS = {"string": 22, "list": 14, "set": 10, "hash": 12, "zset": 14, "geo": 3, "stream": 12, "hyperloglog": 3,
                 "keys": 10}
READ_SHARE = 0.35
# How often, of all units.
UNIT_WEIGHTS = {"data": 830, "mistake": 25, "transaction": 45, "watch": 14, "script": 40, "function": 10,
                "blocking": 12, "database": 20, "server": 25, "flush": 0.6}

_KEYSPACE = {"DEL", "UNLINK", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "RENAME", "RENAMENX", "COPY",
             "MOVE", "RESTORE", "SORT", "SORT_RO", "EXISTS", "TYPE", "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME",
             "TOUCH", "OBJECT", "DUMP", "RANDOMKEY"}
_CLASS_OF_KIND = {"s": "string", "c": "string", "r": "string", "b": "string", "l": "list", "t": "set", "h": "hash",
                  "z": "zset", "q": "zset", "g": "geo", "x": "stream", "y": "stream", "p": "hyperloglog", "k": "keys"}

MISTAKES = parse("""
SET $s $v EX 0
SET $s $v EX soon
SET $s $v NX XX
SET $s $v EX 10 KEEPTTL
SETEX $s -1 $v
GETEX $s EX 10 PERSIST
EXPIRE $k soon
EXPIRE $k 10 NX XX
EXPIRE $k 10 GT LT
PEXPIRE $k 9223372036854775807
INCRBY $c 1.5
INCRBY $c 9223372036854775807
DECRBY $c -9223372036854775808
INCRBYFLOAT $r nan
SETRANGE $s -1 $v
SETBIT $b 7 2
BITFIELD $b GET u64 0
BITOP NOT $b $b $b
BITOP NEITHER $b $b
MSETNX $s $v $s
LPOP $l -1
LMOVE $l $l UP DOWN
LMPOP 0 $l LEFT
LMPOP 1 $l LEFT COUNT 0
LINSERT $l NEAR $m $v
LSET $l 1000 $v
LPOS $l $m RANK 0
SPOP $t -1
SINTERCARD 0 $t
HINCRBY $h $fi 1.5
HINCRBYFLOAT $h $ff many
ZADD $z NX XX 1 $m
ZADD $z GT LT 1 $m
ZADD $z INCR 1 $m 2 $m
ZADD $z nan $m
ZRANGESTORE $z $z a b
ZRANGE $z 0 -1 BYLEX REV
ZUNIONSTORE $z 0 $z
ZUNIONSTORE $z 1 $z WEIGHTS heavy
ZMPOP 1 $z MIDDLE
GEOADD $g 200 100 $m
GEOSEARCHSTORE $g $g FROMMEMBER nobody BYRADIUS 1 km
GEORADIUS $g 15 37 900 miles
XADD $x 0-0 word $v
XADD $x * odd
XADD $x MAXLEN few * word $v
XTRIM $x MAXLEN -1
XGROUP CREATE $y
XREADGROUP GROUP nobody $con STREAMS $y >
XREADGROUP GROUP $group $con STREAMS $y $y >
XCLAIM $y $group $con soon $id
XSETID $y 0-1
RESTORE $s 0 garbage REPLACE
RESTORE $s -1 $dump REPLACE
RESTORE $s 0 $dump
COPY $s $s DB 99
MOVE $s 99
SELECT 99
SORT $l LIMIT 1
PFMERGE $s $p
OBJECT NOPE $s
EXEC
DISCARD
XREAD BLOCK -1 STREAMS $x $
""")
# A queue that holds one of these is thrown away by EXEC.
QUEUE_MISTAKES = parse("""
GET
SET $s
HSET $h
NOSUCHCOMMAND $s
LPUSH $l
OBJECT NOPE
""")
BLOCKING = parse("""
BLPOP $l $wait
BLPOP $l $l $l $wait
BRPOP $l $l $wait
BLMOVE $l $l LEFT RIGHT $wait
BRPOPLPUSH $l $l $wait
BLMPOP $wait 2 $l $l LEFT COUNT $n
BZPOPMIN $z $wait
BZPOPMAX $z $z $wait
BZMPOP $wait 2 $z $z MAX COUNT $n
XREAD BLOCK $waitms COUNT 2 STREAMS $x $
XREAD BLOCK $waitms STREAMS $x $y 0 0
XREADGROUP GROUP $group $con COUNT 2 BLOCK $waitms STREAMS $y >
XREADGROUP GROUP $group $con BLOCK $waitms STREAMS $x >
BLPOP $l -1
BZPOPMIN $z forever
WAIT 0 5
""")
# How many elements the reply of a blocking pop has when it isn't nil.
POPPED = {"BLPOP": 2, "BRPOP": 2, "BLMPOP": 2, "BZPOPMIN": 3, "BZPOPMAX": 3, "BZMPOP": 2}
DATABASE_MOVES = parse("""
COPY $s $s DB $db REPLACE
COPY $k $k DB $db
COPY $y $y DB $db REPLACE
MOVE $s $db
MOVE $k $db
MOVE $h $db
""")
SERVER = parse("""
PING
PING $v
ECHO $v
TIME
DBSIZE
KEYS hot:c:*
SCAN 0 COUNT 50
SCAN 0 MATCH hot:l:* TYPE list
CLIENT SETNAME $m
CLIENT GETNAME
CLIENT ID
PUBLISH news $v
SPUBLISH shard $v
PUBSUB NUMSUB news
COMMAND COUNT
LOLWUT VERSION 1
UNWATCH
INFO keyspace
CONFIG GET maxmemory
""")

# What a server may say to well-formed commands, beside what shapes.py knows.
_FITTING = re.compile(
    EXPECTED_ERROR.pattern
    + r"|must contain string values|not a number \(NaN\)|min or max|DB index|numeric value|is not a float"
    r"|UNBLOCKED|no longer exists|Bad data format")
_MISTAKEN = re.compile(r"^(ERR|WRONGTYPE|NOGROUP|BUSYKEY|BUSYGROUP|INVALIDOBJ|EXECABORT)\b")
_SCRIPTED = re.compile(_FITTING.pattern + r"|NOSCRIPT|MINE fails on purpose|on purpose|attempt to concatenate"
                       r"|Error compiling script|function not found|Function not found|[Ww]rite commands are not allowed|write flag")
# Texts of the proxy's own that a client may read all the same; empty while there is none.
ALLOWED_REFUSALS = re.compile(r"^$")
_REFUSAL = re.compile(r"refused|crossfade", re.IGNORECASE)


def class_of(shape: Shape) -> str:
    if shape.command in _KEYSPACE:
        return "keys"
    kind = re.search(r" \$([scrblthzqgxypk])\b", shape.line)
    return _CLASS_OF_KIND[kind[1]] if kind else "keys"


@dataclass(frozen=True)
class Features:
    """What may be left out, for a proxy that can't do it yet. Everything is on unless named."""
    scripts: bool = True
    functions: bool = True
    undeclared: bool = True        # scripts that write keys which they don't declare
    blocking: bool = True
    watch: bool = True
    swapdb: bool = True
    select_in_multi: bool = True

    @classmethod
    def without(cls, names: str) -> "Features":
        """`names`: separated by commas."""
        left_out = {name.strip() for name in names.split(",") if name.strip()}
        known = {one.name for one in fields(cls)}
        if left_out - known:
            raise SystemExit(f"unknown features: {sorted(left_out - known)}; there are {sorted(known)}")
        return cls(**dict.fromkeys(left_out, False))


@dataclass
class Command:
    words: list
    kind: str                              # its class, for the figures
    errors: Pattern = _FITTING             # the error replies that are as good as any other
    reply: str = "any"                     # any | queued | executed | perhaps (executed, or nil) | aborted | error

    def complaint(self, reply: Any, errors: list[str]) -> str:
        """What is wrong with this reply, empty when nothing is. `errors`: those in it, also inside an array."""
        for text in errors:
            if _REFUSAL.search(text) and not ALLOWED_REFUSALS.search(text) or not self.errors.search(text):
                return f"answered {text!r}"
        failed = bool(errors) and not isinstance(reply, list)
        length = POPPED.get(self.words[0])
        if self.reply == "any" and length and not errors and reply is not None and len(reply) != length:
            return f"wanted nil or {length} elements, got {str(reply)[:120]}"
        wanted = {"queued": reply == b"QUEUED", "executed": isinstance(reply, list),
                  "perhaps": isinstance(reply, list) or reply is None,
                  "aborted": failed and errors[0].startswith("EXECABORT"), "error": failed}
        return "" if wanted.get(self.reply, True) else f"wanted: {self.reply}, got {str(reply)[:120]} {errors[:1]}"


Unit = list[Command]


class RandomFiller(Filler):
    """Lifetimes from 5 ms on; databases; waits; now and then a key of another type."""

    def __init__(self, rng: random.Random, payload: bytes):
        super().__init__(rng, payload, KEYS, short=True)
        self._values.update({"db": lambda: choose_database(rng), "wait": lambda: f"{rng.randrange(1, 25) / 1000}",
                             "waitms": lambda: rng.randrange(1, 25)})

    def word(self, before: str, name: str, after: str) -> Word:
        if name in self.keys and self.rng.random() < CROSS_TYPE:
            name = "k"
        return super().word(before, name, after)

    def _lifetime_ms(self) -> int:
        chance = self.rng.random()
        if chance < 0.35:
            return self.rng.randrange(5, 200)
        return self.rng.randrange(200, 3000) if chance < 0.5 else self.rng.randrange(1_000_000, 9_000_000)


def choose_database(rng: random.Random) -> int:
    """Half of the time one of two, so that clients meet."""
    return rng.randrange(2) if rng.random() < 0.5 else rng.randrange(DATABASES)


class Generator:
    """One client's commands. `payload`: a DUMP of a string. `total`: about how many commands will be asked for."""

    def __init__(self, seed: str, payload: bytes, total: int, features: Features = Features()):
        self.rng = random.Random(seed)
        self.filler = RandomFiller(self.rng, payload)
        self.features = features
        self.total, self.made = total, 0
        self._shapes = {(read, name): by_command([shape for shape in shapes if class_of(shape) == name])
                        for read, shapes in ((True, READ_SHAPES), (False, WRITE_SHAPES)) for name in CLASS_WEIGHTS}
        self._scripts = [script for script in SCRIPTS if features.undeclared or script.kind != "undeclared"]
        weights = dict(UNIT_WEIGHTS)
        for unit, on in (("script", features.scripts), ("function", features.functions),
                         ("blocking", features.blocking), ("watch", features.watch)):
            if not on:
                del weights[unit]
        self._units: list[Callable[[], Unit]] = [getattr(self, "_" + name) for name in weights]
        self._weights = list(weights.values())

    def begin(self, resp3: bool) -> Unit:
        """The first unit of a connection."""
        words = [["HELLO", 3, "SETNAME", "random"]] if resp3 else [["CLIENT", "SETNAME", "random"]]
        words.append(["SELECT", choose_database(self.rng)])
        return [Command(each, "connection") for each in words]

    def units(self) -> Iterator[Unit]:
        while True:
            unit = self.rng.choices(self._units, self._weights)[0]()
            self.made += len(unit)
            yield unit

    def _fill(self, shapes: list[Shape]) -> list:
        return self.rng.choice(shapes).fill(self.filler)

    def _one(self) -> Command:
        """A read or a write of data."""
        name = self.rng.choices(list(CLASS_WEIGHTS), list(CLASS_WEIGHTS.values()))[0]
        groups = self._shapes[self.rng.random() < READ_SHARE, name] or self._shapes[False, name]
        return Command(self._fill(self.rng.choice(groups)), name)

    def _data(self) -> Unit:
        return [self._one()]

    def _mistake(self) -> Unit:
        shapes = MISTAKES if self.features.blocking else [shape for shape in MISTAKES if "BLOCK" not in shape.line]
        return [Command(self._fill(shapes), "mistake", _MISTAKEN)]

    def _script_command(self) -> Command:
        script: Script = self.rng.choice(self._scripts)
        verb, body = self.rng.choice((("EVAL", script.body), ("EVALSHA", script.sha), ("EVALSHA", script.sha)))
        if script.kind == "reading":
            verb += self.rng.choice(("", "_RO"))
        elif self.rng.random() < 0.03:
            verb += "_RO"  # a script that writes: refused by the server
        return Command([verb, body, *script.arguments.fill(self.filler)], f"script {script.kind}", _SCRIPTED)

    def _script(self) -> Unit:
        chance = self.rng.random()
        if chance < 0.15:
            return [Command(["SCRIPT", "LOAD", self.rng.choice(self._scripts).body], "script admin", _SCRIPTED)]
        if chance < 0.18:
            shas = [self.rng.choice(self._scripts).sha for _ in range(2)]
            return [Command(["SCRIPT", "EXISTS", *shas], "script admin")]
        if chance < 0.183:
            return [Command(["SCRIPT", "FLUSH"] + self.rng.choice(([], ["SYNC"], ["ASYNC"])), "script admin")]
        return [self._script_command()]

    def _function(self) -> Unit:
        chance = self.rng.random()
        if chance < 0.1:
            library = LIBRARY if chance < 0.03 else SPARE_LIBRARY
            return [Command(["FUNCTION", "LOAD", "REPLACE", library], "function admin")]
        if chance < 0.13:
            return [Command(["FUNCTION", "DELETE", "sparelibrary"], "function admin", _MISTAKEN)]
        if chance < 0.16:
            return [Command(["FUNCTION", "LIST"], "function admin")]
        return [Command(self._fill(FUNCTION_CALLS), "function", _SCRIPTED)]

    def _blocking(self) -> Unit:
        return [Command(self._fill(BLOCKING), "blocking", re.compile(_FITTING.pattern + "|timeout is"))]

    def _server(self) -> Unit:
        return [Command(self._fill(SERVER), "server")]

    def _database(self) -> Unit:
        chance = self.rng.random()
        if self.features.swapdb and chance < 0.04:
            return [Command(["SWAPDB", *self.rng.sample(range(DATABASES), 2)], "swapdb")]
        if chance < 0.45:
            return [Command(["SELECT", choose_database(self.rng)], "select")]
        return [Command(self._fill(DATABASE_MOVES), "database")]

    def _flush(self) -> Unit:
        if self.made > self.total * FLUSH_UNTIL:
            return self._data()
        if self.rng.random() < 0.05:
            return [Command(["FLUSHALL"] + self.rng.choice(([], ["ASYNC"])), "flush")]
        return [Command(["SELECT", self.rng.randrange(2, DATABASES)], "select"),
                Command(["FLUSHDB"] + self.rng.choice(([], ["SYNC"], ["ASYNC"])), "flush"),
                Command(["SELECT", choose_database(self.rng)], "select")]

    def _transaction(self) -> Unit:
        return self._multi("executed")

    def _multi(self, outcome: str) -> Unit:
        """MULTI to EXEC, or to DISCARD."""
        chance = self.rng.random()
        inside = [self._one() for _ in range(self.rng.randrange(0, 7))]
        if chance < 0.1:
            inside.insert(self.rng.randrange(len(inside) + 1), Command(self._fill(QUEUE_MISTAKES), "", _MISTAKEN, "error"))
            outcome = "aborted"
        elif chance < 0.2 and self.features.select_in_multi:
            inside.insert(self.rng.randrange(len(inside) + 1), Command(["SELECT", choose_database(self.rng)], ""))
        elif chance < 0.32 and self.features.scripts:
            inside += [self._script_command(), self._one()]
        elif chance < 0.4 and self.features.blocking:
            inside += self._blocking()  # finds something at once, or nil: nothing waits in a transaction
        elif chance < 0.45:
            inside += [Command(shape.fill(self.filler), "") for shape in self.rng.choices(SERVER[:6], k=2)]
        elif chance < 0.5:
            inside += [Command(["MULTI"], "", _MISTAKEN, "error")]  # a mistake that doesn't abort
        errors = re.compile("|".join(sorted({command.errors.pattern for command in inside} | {_FITTING.pattern})))
        queued = [Command(command.words, "queued", command.errors, "queued" if command.reply == "any" else "error")
                  for command in inside]
        if self.rng.random() < 0.08:
            return [Command(["MULTI"], "multi"), *queued, Command(["DISCARD"], "discard")]
        if outcome == "aborted":
            errors = re.compile("^EXECABORT")
        return [Command(["MULTI"], "multi"), *queued, Command(["EXEC"], "exec " + outcome, errors, outcome)]

    def _watch(self) -> Unit:
        keys = [self.filler.word("", "k", "") for _ in range(self.rng.randrange(1, 4))]
        unit = [Command(["WATCH", *keys], "watch")]
        unit += [self._one() for _ in range(self.rng.randrange(0, 3))]
        chance = self.rng.random()
        if chance < 0.1:
            return unit + [Command(["UNWATCH"], "unwatch"), self._one()]
        if chance < 0.2:
            return unit + [Command(["DISCARD"], "mistake", _MISTAKEN, "error"), Command(["UNWATCH"], "unwatch")]
        if chance < 0.3:
            unit.append(Command(["DEL", keys[0]], "keys"))  # its own write breaks its watch
        return unit + self._multi("perhaps")
