"""Every write command of Redis 7.0 that neither blocks nor runs a script, in many argument shapes, and the reads.

One line is one shape. $name is filled in by a Filler: keys by type ($s string, $c integer, $r float, $b bits, $l list,
$t set, $h hash, $z sorted set, $q sorted set of one score (ranges by lex are unspecified for others, and differ by
chance between servers), $g geo, $x stream with ids by the server, $y stream with ids by the client,
$p hyperloglog, $k any of them), and values. Shapes are meant to succeed often, not always: a command that the server
refuses is a test as well.
"""
from __future__ import annotations

import random
import re
import time
from typing import Callable, Sequence, Union

Word = Union[str, bytes, int]

WRITES = """
SET $s $v
SET $s $v EX $sec
SET $s $v PX $ms
SET $s $v EXAT $at
SET $s $v PXAT $atms
SET $s $v PXAT $pastms
SET $s $v KEEPTTL
SET $s $v NX
SET $s $v XX
SET $s $v GET
SET $s $v NX GET
SET $s $v XX GET
SET $s $v NX EX $sec
SET $s $v EX $sec GET
SET $s $v XX KEEPTTL GET
set $s $v px $ms xx
SET $c $int
SET $r $float
SETEX $s $sec $v
PSETEX $s $ms $v
SETNX $s $v
GETSET $s $v
GETDEL $s
GETEX $s
GETEX $s EX $sec
GETEX $s PX $ms
GETEX $s EXAT $at
GETEX $s PXAT $atms
GETEX $s PXAT $pastms
GETEX $s PERSIST
MSET $s $v
MSET $s $v $c $int $s $v
MSETNX $s $v
MSETNX $s $v $s $v
INCR $c
DECR $c
INCRBY $c $int
DECRBY $c $int
INCRBYFLOAT $r $float
INCRBYFLOAT $r 3.0e2
INCRBYFLOAT $c $int
APPEND $s $v
SETRANGE $s $off $v
SETBIT $b $off 0
SETBIT $b $off 1
BITFIELD $b GET u8 $off
BITFIELD $b SET u8 $off $n
BITFIELD $b INCRBY i5 $off $n
BITFIELD $b OVERFLOW FAIL INCRBY u2 0 3 GET u2 0 OVERFLOW SAT INCRBY i8 #2 100
BITOP AND $b $b $b
BITOP OR $b $b $b $s
BITOP XOR $b $b $b
BITOP NOT $b $b
PFADD $p
PFADD $p $m $m
PFMERGE $p $p
PFMERGE $p $p $p
PFCOUNT $p
PFCOUNT $p $p
DEL $k
DEL $k $k
UNLINK $k
UNLINK $k $k $k
EXPIRE $k $sec
EXPIRE $k $sec NX
EXPIRE $k $sec XX
EXPIRE $k $sec GT
EXPIRE $k $sec LT
EXPIRE $s -1
PEXPIRE $k $ms
PEXPIRE $k $ms XX
EXPIREAT $k $at
EXPIREAT $k $at GT
EXPIREAT $s $past
PEXPIREAT $k $atms
PEXPIREAT $k $atms NX
PERSIST $k
RENAME $s $s
RENAME $l $l
RENAME $t $t
RENAME $h $h
RENAME $z $z
RENAME $y $y
RENAMENX $s $s
RENAMENX $l $l
RENAMENX $h $h
COPY $s $s
COPY $s $s REPLACE
COPY $h $h REPLACE
COPY $z $z REPLACE
COPY $y $y REPLACE
COPY $s $s DB 1 REPLACE
MOVE $l 1
MOVE $s 1
RESTORE $s 0 $dump
RESTORE $s 0 $dump REPLACE
RESTORE $s $ms $dump REPLACE
RESTORE $s $atms $dump REPLACE ABSTTL
RESTORE $s $pastms $dump REPLACE ABSTTL
RESTORE $s 0 $dump REPLACE IDLETIME 10
RESTORE $s 0 $dump REPLACE FREQ 5
SORT $l ALPHA STORE $l
SORT $t ALPHA DESC LIMIT 0 5 STORE $l
SORT $z BY nosort STORE $l
SORT $t BY hot:c:* GET # GET hot:c:* ALPHA STORE $l
LPUSH $l $v
LPUSH $l $v $v $v
RPUSH $l $v
RPUSH $l $v $m
LPUSHX $l $v
RPUSHX $l $v $v
LSET $l $i $v
LREM $l $i $m
LREM $l 0 $m
LTRIM $l 0 30
LTRIM $l $i -1
LINSERT $l BEFORE $m $v
LINSERT $l AFTER $m $v
LPOP $l
LPOP $l $n
LPOP $l 0
RPOP $l
RPOP $l $n
LMPOP 1 $l LEFT
LMPOP 2 $l $l RIGHT COUNT $n
LMOVE $l $l LEFT RIGHT
LMOVE $l $l RIGHT RIGHT
RPOPLPUSH $l $l
SADD $t $m
SADD $t $m $m $m
SADD $t $int
SREM $t $m
SREM $t $m $m
SMOVE $t $t $m
SPOP $t
SPOP $t $n
SPOP $t 0
SPOP $t 1000
SINTERSTORE $t $t $t
SUNIONSTORE $t $t $t
SDIFFSTORE $t $t $t $t
HSET $h $f $v
HSET $h $f $v $f $v $fi $int
HMSET $h $f $v $f $v
HSETNX $h $f $v
HDEL $h $f
HDEL $h $f $f $fi
HINCRBY $h $fi $int
HINCRBYFLOAT $h $ff $float
ZADD $z $score $m
ZADD $z $score $m $score $m $score $m
ZADD $z NX $score $m
ZADD $z XX CH $score $m
ZADD $z GT $score $m
ZADD $z LT CH $score $m $score $m
ZADD $z INCR $float $m
ZADD $z XX INCR $int $m
ZINCRBY $z $float $m
ZREM $z $m
ZREM $z $m $m
ZREMRANGEBYRANK $z 0 $n
ZREMRANGEBYRANK $z -3 -2
ZREMRANGEBYSCORE $z ($score $score
ZREMRANGEBYSCORE $z -inf -900
ZADD $q 0 $m 0 $m 0 $m
ZREMRANGEBYLEX $q [$m ($m
ZPOPMIN $z
ZPOPMIN $z $n
ZPOPMAX $z
ZPOPMAX $z $n
ZMPOP 1 $z MIN
ZMPOP 2 $z $z MAX COUNT $n
ZRANGESTORE $z $z 0 5
ZRANGESTORE $z $z -inf +inf BYSCORE LIMIT 0 9
ZRANGESTORE $z $z 0 -1 REV
ZRANGESTORE $q $q [m1 + BYLEX LIMIT 0 20
ZUNIONSTORE $z 2 $z $z
ZUNIONSTORE $z 2 $z $z WEIGHTS 1 2 AGGREGATE MAX
ZINTERSTORE $z 2 $z $t AGGREGATE MIN
ZDIFFSTORE $z 2 $z $z
GEOADD $g $lon $lat $m
GEOADD $g NX CH $lon $lat $m $lon $lat $m
GEORADIUS $g 15 37 900 km STORE $g
GEORADIUS $g 15 37 900 km ASC COUNT 5 STOREDIST $z
GEORADIUSBYMEMBER $g $m 500 km STORE $g
GEOSEARCHSTORE $g $g FROMLONLAT 15 37 BYRADIUS 900 km
GEOSEARCHSTORE $z $g FROMMEMBER $m BYBOX 900 900 km STOREDIST
XADD $x * word $v
XADD $x * word $v count $int
XADD $x MAXLEN ~ 100 * word $v
XADD $x MAXLEN ~ 10 LIMIT 50 * word $v
XADD $x MAXLEN = 20 * word $v
XADD $x NOMKSTREAM * word $v
XADD $y $id word $v
XADD $y $ms0-* word $v
XADD $y MINID = $id 40-1 word $v
XTRIM $x MAXLEN ~ 50
XTRIM $x MAXLEN 10
XTRIM $y MINID $id
XDEL $y $id
XDEL $y $id $id $id
XACK $y $group $id
XACK $y $group $id $id $id $id
XSETID $y 99-1
XSETID $y 99-1 ENTRIESADDED 500 MAXDELETEDID 1-1
XGROUP CREATE $y $group 0 MKSTREAM
XGROUP CREATE $y $group $ ENTRIESREAD 3
XGROUP CREATE $x $group $ MKSTREAM
XGROUP SETID $y $group 0
XGROUP SETID $y $group $id
XGROUP CREATECONSUMER $y $group $con
XGROUP DELCONSUMER $y $group $con
XGROUP DESTROY $y $group
XREADGROUP GROUP $group $con STREAMS $y >
XREADGROUP GROUP $group $con COUNT 2 NOACK STREAMS $y >
XREADGROUP GROUP $group $con COUNT $n STREAMS $x >
XREADGROUP GROUP $group $con COUNT 3 STREAMS $y 0
XCLAIM $y $group $con 0 $id $id $id
XCLAIM $y $group $con 0 $id $id FORCE JUSTID
XCLAIM $y $group $con 0 $id IDLE 1000 RETRYCOUNT 3
XCLAIM $y $group $con 0 $id $id TIME $pastms LASTID $id
XAUTOCLAIM $y $group $con 0 0
XAUTOCLAIM $y $group $con 0 - COUNT 2 JUSTID
"""

READS = """
GET $s
GET $c
MGET $s $s $c $r
STRLEN $s
GETRANGE $s 0 -2
SUBSTR $s 0 3
GETBIT $b $off
BITCOUNT $b
BITCOUNT $b 0 -1 BIT
BITPOS $b 1
BITFIELD_RO $b GET u8 0
LCS $s $s
LCS $s $s LEN
EXISTS $k $k
TYPE $k
TTL $k
PTTL $k
EXPIRETIME $k
PEXPIRETIME $k
TOUCH $k
OBJECT ENCODING $k
DUMP $s
RANDOMKEY
SORT $l ALPHA
SORT_RO $t ALPHA DESC
SORT $t BY nosort
LRANGE $l 0 -1
LLEN $l
LINDEX $l $i
LPOS $l $m
SMEMBERS $t
SCARD $t
SISMEMBER $t $m
SMISMEMBER $t $m $m
SINTER $t $t
SUNION $t $t
SDIFF $t $t
SINTERCARD 2 $t $t
SRANDMEMBER $t 2
SSCAN $t 0
HGET $h $f
HMGET $h $f $f
HGETALL $h
HKEYS $h
HVALS $h
HLEN $h
HEXISTS $h $f
HSTRLEN $h $f
HRANDFIELD $h 2 WITHVALUES
HSCAN $h 0
ZCARD $z
ZCOUNT $z -inf +inf
ZLEXCOUNT $q - [$m
ZSCORE $z $m
ZMSCORE $z $m $m
ZRANK $z $m
ZREVRANK $z $m
ZRANGE $z 0 -1 WITHSCORES
ZREVRANGE $z 0 5
ZRANGEBYSCORE $z -inf $score WITHSCORES
ZREVRANGEBYSCORE $z +inf $score LIMIT 0 5
ZRANGEBYLEX $q [$m +
ZUNION 2 $z $z WITHSCORES
ZINTER 2 $z $z
ZDIFF 2 $z $z WITHSCORES
ZINTERCARD 2 $z $z LIMIT 3
ZRANDMEMBER $z 3 WITHSCORES
GEODIST $g $m $m km
GEOPOS $g $m $m
GEOHASH $g $m
GEOSEARCH $g FROMLONLAT 15 37 BYRADIUS 900 km WITHCOORD WITHDIST
GEORADIUS_RO $g 15 37 900 km ASC
XLEN $x
XRANGE $y - +
XREVRANGE $x + - COUNT 3
XREAD COUNT 3 STREAMS $x $y 0 0
XPENDING $y $group
XINFO STREAM $y
XINFO GROUPS $y
"""

# Whole databases: only for clients that have databases of their own.
WHOLE_DATABASE = ("FLUSHDB", "FLUSHALL")

# What a real server answers to shapes that do not fit what a key holds at that moment. Nothing else is expected.
EXPECTED_ERROR = re.compile(
    r"WRONGTYPE|BUSYKEY|BUSYGROUP|NOGROUP|INVALIDOBJ|no such key|not an integer|not a valid float|out of range|overflow"
    r"|equal or smaller|smaller than|requires the key to exist|could not decode requested zset member"
    r"|objects are the same|must be greater than 0-0|hash value is not|can't be converted into double"
    r"|not a valid HyperLogLog|would produce NaN")

_KINDS = {"s": 50, "c": 20, "r": 10, "b": 10, "l": 25, "t": 20, "h": 20, "z": 20, "q": 5, "g": 5, "x": 5, "y": 10,
          "p": 5}
_WORD = re.compile(r"^([(\[]?)\$([a-z0-9]+)(.*)$")


class Shape:
    """One line of the tables above, split once."""

    def __init__(self, line: str):
        self.line = line
        self.command = line.split()[0].upper()
        self._parts: list[Union[str, tuple[str, str, str]]] = []
        for word in line.split():
            match = _WORD.match(word)
            self._parts.append((match[1], match[2], match[3]) if match else word)

    def fill(self, filler: "Filler") -> list[Word]:
        return [part if isinstance(part, str) else filler.word(*part) for part in self._parts]


def parse(text: str) -> list[Shape]:
    return [Shape(line) for line in text.splitlines() if line]


WRITE_SHAPES = parse(WRITES)
READ_SHAPES = parse(READS)


def by_command(shapes: Sequence[Shape]) -> list[list[Shape]]:
    groups: dict[str, list[Shape]] = {}
    for shape in shapes:
        groups.setdefault(shape.command, []).append(shape)
    return list(groups.values())


class Filler:
    """Chooses keys and values. `payload` is a DUMP of a string, for RESTORE. `short` also gives lifetimes that end
    while a test runs; without it every lifetime is longer than any test."""

    def __init__(self, rng: random.Random, payload: bytes, keys: int = 200, short: bool = False, prefix: str = "hot:"):
        self.rng = rng
        self.payload = payload
        self.short = short
        scale = keys / sum(_KINDS.values())
        self.keys = {kind: [f"{prefix}{kind}:{i}" for i in range(max(2, int(share * scale)))]
                     for kind, share in _KINDS.items()}
        self._any = [key for keys_of_kind in self.keys.values() for key in keys_of_kind]
        self._write_groups, self._read_groups = by_command(WRITE_SHAPES), by_command(READ_SHAPES)
        self._values: dict[str, Callable[[], Word]] = {
            "k": lambda: rng.choice(self._any),
            "v": self._value,
            "m": lambda: f"m{rng.randrange(40)}",
            "f": lambda: f"f{rng.randrange(15)}",
            "fi": lambda: f"int{rng.randrange(3)}",
            "ff": lambda: f"float{rng.randrange(3)}",
            "n": lambda: rng.randrange(1, 4),
            "i": lambda: rng.randrange(-5, 6),
            "int": lambda: rng.randrange(-1000, 1000),
            "off": lambda: rng.randrange(200),
            "float": lambda: f"{rng.uniform(-10, 10):.4f}",
            "score": lambda: rng.choice((rng.randrange(-1000, 1000), f"{rng.uniform(-1000, 1000):.6f}")),
            "lon": lambda: f"{rng.uniform(10, 20):.5f}",
            "lat": lambda: f"{rng.uniform(30, 44):.5f}",
            "id": lambda: f"{rng.randrange(1, 40)}-1",
            "ms0": lambda: rng.randrange(1, 40),
            "group": lambda: f"group{rng.randrange(2)}",
            "con": lambda: f"consumer{rng.randrange(3)}",
            "dump": lambda: self.payload,
            "sec": lambda: self._lifetime_ms() // 1000 + 1,
            "ms": self._lifetime_ms,
            "at": lambda: int(time.time()) + self._lifetime_ms() // 1000 + 1,
            "atms": lambda: int(time.time() * 1000) + self._lifetime_ms(),
            "past": lambda: int(time.time()) - rng.randrange(1, 1000),
            "pastms": lambda: int(time.time() * 1000) - rng.randrange(1000, 100_000),
        }

    def word(self, before: str, name: str, after: str) -> Word:
        value = self.rng.choice(self.keys[name]) if name in self.keys else self._values[name]()
        return f"{before}{value}{after}" if before or after else value

    def write(self) -> list[Word]:
        """Each command is as likely as every other, and so is each shape of it."""
        return self.rng.choice(self.rng.choice(self._write_groups)).fill(self)

    def read(self) -> list[Word]:
        return self.rng.choice(self.rng.choice(self._read_groups)).fill(self)

    def _value(self) -> Word:
        kind = self.rng.random()
        if kind < 0.7:
            return f"value{self.rng.randrange(10**6)}"
        if kind < 0.8:
            return f"m{self.rng.randrange(40)}"
        return self.rng.randbytes(self.rng.randrange(60)) if kind < 0.98 else b"x" * 3000

    def _lifetime_ms(self) -> int:
        if self.short and self.rng.random() < 0.5:
            return self.rng.randrange(20, 3000)
        return self.rng.randrange(1_000_000, 9_000_000)
