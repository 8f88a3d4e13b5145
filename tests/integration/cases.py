"""The notation of the cases of every_command_test.py, and its reader.

    == a title [flags]          begins a case: an empty store, new connections
    SET k "two words\\r\\n"       one command; "…" knows \\xHH, \\r, \\n, \\t, \\" and \\\\
    2> GET k                    by the case's second connection (third, …)
    ~unordered SORT s BY x      compared by this rule of reply_tree.py instead of the command's own (RULE_OF)
    *3 SUBSCRIBE a b c          so many frames are awaited; *0 none. Without it one, or one per channel
    < or 2< *2                  no command: only the frames
    id:= CLIENT ID              the answer becomes $id, on either side its own, in later lines of the case
    until(:1) GET k             asked again until the answer shows so; null stands for each of the nulls
    # a comment. A line that ends with a backslash goes on in the next

In words without quotes: {now+9} and {ms+9000} are the clock in seconds or milliseconds, {x*500} is 500 times x,
m{1..9} is m1 to m9 as nine words, and {1..9}|m{} is eighteen: 1 m1 2 m2 …

Flags: `random` (what the case leaves behind depends on chance or on the clock, so only the proxy's two stores must be
equal, not the plain server's), `diverges` (the secondary may answer otherwise, and is repaired), `noisy` (frames that
nobody waits for may come), `resp2` and `resp3` (the case makes sense in one protocol only).
"""
from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Iterator, Mapping

_TITLE = re.compile(r"^== (.+?)(?: \[([\w ]+)\])?$")
_PREFIX = re.compile(r"(?:(?P<connection>\d)>|~(?P<rule>near \d+|\w+)|\*(?P<frames>\d+)|(?P<capture>\w+):=|"
                     r"until\((?P<until>.*?)\))(?:\s+|$)")
_ONLY_READ = re.compile(r"^(?:(\d))?<(?: ~(\w+))?(?: \*(\d+))?$")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPE = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|(.))', re.DOTALL)
_CLOCK = re.compile(r"\{(now|ms)([+-]\d+)?\}")
_TIMES = re.compile(r"\{(.)\*(\d+)\}")
_RANGE = re.compile(r"\{(-?\d+)\.\.(-?\d+)\}")
_MANY_FRAMES = ("subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe")

# The rule of each command whose answers may differ between two servers that hold the same; all others are exact.
RULE_OF: dict[str, str] = {name: rule for rule, names in {
    "unordered": "smembers sinter sunion sdiff spop keys hkeys hvals pubsub|channels pubsub|shardchannels command|list "
                 "module|list acl|users acl|cat georadius_ro acl|list",
    "pairs": "hgetall config|get",
    "deep": "command command|info command|docs function|list acl|getuser",
    "scan": "scan sscan",
    "scanpairs": "hscan zscan",
    "shape": "srandmember randomkey hrandfield zrandmember time lastsave object|idletime object|freq memory|usage dump "
             "client|id acl|genpass function|dump",
    "kind": "info lolwut memory|doctor memory|malloc-stats memory|stats latency|doctor latency|graph latency|histogram "
            "latency|latest latency|history slowlog|get slowlog|len acl|log",
    "volatile": "hello xinfo|stream xinfo|groups xinfo|consumers",
    "pending": "xpending",
    "clients": "client|list client|info",
    "near 3": "ttl expiretime",
    "near 3000": "pttl pexpiretime",
}.items() for name in names.split()}


@dataclass(frozen=True)
class Step:
    """One line of a case."""
    text: str
    words: tuple[bytes, ...]  # empty: only frames are read. b"$name" with `refers` is filled in for each side
    connection: int = 1
    rule: str = ""
    frames: int = 1
    capture: str = ""
    until: str = ""
    refers: frozenset[int] = frozenset()

    def name(self, containers: frozenset[str]) -> str:
        """The command's name as COMMAND gives it: lower case, container|subcommand."""
        if not self.words:
            return ""
        first = self.words[0].decode("utf-8", "replace").lower()
        if first in containers and len(self.words) > 1:
            return f"{first}|{self.words[1].decode('utf-8', 'replace').lower()}"
        return first

    def filled(self, captured: Mapping[str, bytes]) -> list[bytes]:
        return [captured[word[1:].decode()] if i in self.refers else word for i, word in enumerate(self.words)]


@dataclass
class Case:
    title: str
    flags: frozenset[str]
    steps: list[Step] = field(default_factory=list)

    def runs_in(self, protocol: int) -> bool:
        return f"resp{5 - protocol}" not in self.flags


def read_cases(text: str) -> list[Case]:
    """All cases of a module. A line that makes no sense is a ValueError that names it."""
    cases: list[Case] = []
    captured: set[str] = set()
    for line in text.replace("\\\n", "").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("=="):
            title = _TITLE.match(line)
            if not title:
                raise ValueError(f"not a title: {line}")
            cases.append(Case(title[1], frozenset((title[2] or "").split())))
            captured = set()
            continue
        step = _read_step(line, captured)
        cases[-1].steps.append(step)
        captured |= {step.capture} - {""}
    return cases


def _read_step(line: str, captured: set[str]) -> Step:
    only_read = _ONLY_READ.match(line)
    if only_read:
        return Step(line, (), int(only_read[1] or 1), only_read[2] or "", int(only_read[3] or 1))
    options: dict[str, str] = {}
    rest = line
    while match := _PREFIX.match(rest):
        options.update({name: value for name, value in match.groupdict().items() if value is not None})
        rest = rest[match.end():]
    words = tuple(_words(rest))
    if not words:
        raise ValueError(f"no command: {line}")
    refers = frozenset(i for i, word in enumerate(words) if word[:1] == b"$" and word[1:].decode() in captured)
    many = words[0].decode("utf-8", "replace").lower() in _MANY_FRAMES
    frames = int(options["frames"]) if "frames" in options else max(1, len(words) - 1) if many else 1
    return Step(line, words, int(options.get("connection", 1)), options.get("rule", ""), frames,
                options.get("capture", ""), options.get("until", ""), refers)


def _words(text: str) -> Iterator[bytes]:
    for quoted, plain in _WORD.findall(text):
        if plain:
            yield from _expanded(plain)
        else:
            yield unescaped(quoted)


def unescaped(text: str) -> bytes:
    plain = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]) if m[1] else plain.get(m[2], m[2]), text.encode())


def _expanded(word: str) -> Iterator[bytes]:
    clock = {"now": int(time.time()), "ms": int(time.time() * 1000)}
    word = _CLOCK.sub(lambda m: str(clock[m[1]] + int(m[2] or 0)), word)
    word = _TIMES.sub(lambda m: m[1] * int(m[2]), word)
    numbers = _RANGE.search(word)
    if not numbers:
        yield word.encode()
        return
    for number in range(int(numbers[1]), int(numbers[2]) + 1):
        for part in _RANGE.sub("{}", word).split("|"):
            yield part.replace("{}", str(number)).encode()
