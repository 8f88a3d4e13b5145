"""Runs cases against a plain server and against a proxy, and tells every difference.

A Differential holds both, and the stores behind the proxy. After each case it waits until the proxy has nothing on its
way, then requires the same digest of the proxy's stores and of the plain server. It owns its control connections, no
server. `refused` names commands that the proxy is meant to refuse: those are asked of the proxy alone.
"""
from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterator, Optional

import redis

from admin import wait_until
from cases import RULE_OF, Case, Step
from harness import RedisServer
from reply_tree import Tree, TreeConnection, agree, show
from resp import encode
from stores import difference, stream_state

PATIENCE_S = 8.0  # for a frame that must come, or an answer that must change
MOST_PER_CASE = 6  # differences that are told of one case
_MOST_AT_ONCE = 60  # commands of a pipeline: few enough for their replies to fit the socket's buffers
_NOT_YET = re.compile(rb"^ERR '([\w|-]+)' is refused: ")
_BROKEN = ("closed", "silence")


def refusal(tree: Tree) -> str:
    """The command that the proxy refuses in this reply, or nothing."""
    match = _NOT_YET.match(tree[1]) if tree[0] == "-" else None
    return match[1].decode() if match else ""


@dataclass
class Difference:
    """What two servers answered differently, or how their stores differ after a case."""
    case: str
    step: str
    wanted: str
    got: str
    protocol: int
    refused: str = ""  # the proxy refused this command, which is not among those that it should

    def __str__(self) -> str:
        where = f"[{self.case}] RESP{self.protocol}: {self.step[:160]}"
        return f"{where}\n      server: {self.wanted}\n      proxy:  {self.got}"


class Party:
    """One side of a case: its connections and what it captured."""

    def __init__(self, port: int, protocol: int):
        self.port, self.protocol = port, protocol
        self.captured: dict[str, bytes] = {}
        self._connections: dict[int, TreeConnection] = {}

    def connection(self, number: int) -> TreeConnection:
        if number not in self._connections:
            connection = self._connections[number] = TreeConnection(self.port, PATIENCE_S)
            if self.protocol == 3:
                connection.ask_tree(encode("HELLO", "3"))
        return self._connections[number]

    def send(self, steps: list[Step]) -> None:
        """All of them at once; they are of one connection."""
        connection = self.connection(steps[0].connection)
        try:
            connection.send(b"".join(encode(*step.filled(self.captured)) for step in steps if step.words))
        except OSError:  # closed by the peer: the reader says so
            pass

    def frames(self, step: Step) -> list[Tree]:
        connection = self.connection(step.connection)
        frames: list[Tree] = []
        while len(frames) < step.frames and not (frames and frames[-1][0] in ("-", *_BROKEN)):
            frames.append(connection.tree())
        if step.until:
            self._repeat(step, connection, frames)
        if step.capture:
            value = frames[0][1] if frames else b""
            self.captured[step.capture] = value if isinstance(value, bytes) else str(value).encode()
        return frames

    def _repeat(self, step: Step, connection: TreeConnection, frames: list[Tree]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while step.until not in (show(frames[-1]), frames[-1][0]) and time.monotonic() < deadline:
            time.sleep(0.005)
            frames[-1] = connection.ask_tree(encode(*step.filled(self.captured)))

    def leftovers(self) -> list[str]:
        """What still comes after RESET's own reply was asked for: nothing but that reply should."""
        left = []
        for number, connection in sorted(self._connections.items()):
            try:
                connection.send(encode("RESET"))
            except OSError:
                continue
            frame = connection.tree()
            while frame not in (("+", b"RESET"),) and frame[0] not in _BROKEN:
                left.append(f"{number}> {show(frame, 120)}")
                frame = connection.tree()
            left += [f"{number}> {frame[0]}"] if frame[0] in _BROKEN else []
        return left

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


@dataclass
class Store:
    """A server whose contents are compared."""
    server: RedisServer
    client: redis.Redis = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.server.client(single_connection_client=True)

    def state(self, functions: bool) -> tuple[Any, dict]:
        """The digest with what it leaves out (streams' groups, functions), and every key's moment of expiry."""
        streams, expiries = {}, {}
        for number in [int(name[2:]) for name in self.client.info("keyspace")]:
            self.client.execute_command("SELECT", number)
            keys = sorted(self.client.keys())  # also makes expired ones go
            pipe = self.client.pipeline(transaction=False)
            for key in keys:
                pipe.execute_command("PEXPIRETIME", key).type(key)
            answers = pipe.execute()
            for key, expiry, kind in zip(keys, answers[::2], answers[1::2]):
                expiries[number, key] = expiry
                if kind == b"stream":
                    streams[number, key] = stream_state(self.client, key)
        self.client.execute_command("SELECT", 0)
        listed = self.client.execute_command("FUNCTION LIST WITHCODE") if functions else None
        return (self.client.execute_command("DEBUG DIGEST"), streams, _in_order(listed)), expiries


class Differential:
    """`settle` waits until the proxy's stores have all; None where a second plain server stands for the proxy."""

    def __init__(self, plain: RedisServer, proxy_port: int, behind: list[RedisServer], containers: frozenset[str],
                 refused: frozenset[str] = frozenset(), settle: Optional[Callable[[], dict]] = None,
                 pipelined: bool = False):
        self.plain, self.behind = Store(plain), [Store(server) for server in behind]
        self.proxy_port, self.containers, self.refused, self.settle = proxy_port, containers, refused, settle
        self.commands, self.pipelined = 0, pipelined
        self._controls = {port: TreeConnection(port, 30) for port in (plain.port, proxy_port)}
        self._diverged = 0

    def close(self) -> None:
        for connection in self._controls.values():
            connection.close()
        for store in (self.plain, *self.behind):
            store.client.close()

    def run(self, case: Case, protocol: int) -> list[Difference]:
        if not case.runs_in(protocol):
            return []
        for connection in self._controls.values():
            connection.ask("FLUSHALL")
        parties = Party(self.plain.server.port, protocol), Party(self.proxy_port, protocol)
        try:
            found = self._steps(case, protocol, *parties)
            if "noisy" not in case.flags and not any(difference.refused for difference in found):
                left = [party.leftovers() for party in parties]
                if left[0] != left[1]:
                    found.append(Difference(case.title, "frames that nobody waited for", f"{left[0]}", f"{left[1]}",
                                            protocol))
        finally:
            for party in parties:
                party.close()
        return found[:MOST_PER_CASE] + self._stores_differ(case, protocol, bool(found))

    def _steps(self, case: Case, protocol: int, server: Party, proxy: Party) -> list[Difference]:
        found: list[Difference] = []
        for steps in self._batches(case):
            self.commands += sum(bool(step.words) for step in steps)
            name = steps[0].name(self.containers)
            if name in self.refused:
                found += self._refused(case, steps[0], name, protocol, proxy)
                continue
            for party in (server, proxy):
                party.send(steps)
            replies = [[party.frames(step) for step in steps] for party in (server, proxy)]
            for step, wanted, got in zip(steps, *(map(_pushes_last, frames) for frames in replies)):
                rule = step.rule or RULE_OF.get(step.name(self.containers), "exact")
                if len(wanted) == len(got) and all(agree(rule, *both) for both in zip(wanted, got)):
                    continue
                refused = next(filter(None, map(refusal, got)), "")
                found.append(Difference(case.title, step.text, " | ".join(map(show, wanted)),
                                        " | ".join(map(show, got)), protocol, refused))
                if found[-1].refused or any(frame[0] in _BROKEN for frame in wanted + got):
                    return found  # what follows differs for that reason only
        return found

    def _batches(self, case: Case) -> Iterator[list[Step]]:
        """The steps that are sent at once: each alone, or, pipelined, those that need not wait for one another."""
        batch: list[Step] = []
        for step in case.steps:
            alone = (not self.pipelined or step.connection != 1 or not step.words or step.frames != 1 or step.until
                     or step.capture or step.name(self.containers) in self.refused)
            if batch and (alone or len(batch) == _MOST_AT_ONCE):
                yield batch
                batch = []
            if alone:
                yield [step]
            else:
                batch.append(step)
        if batch:
            yield batch

    def _refused(self, case: Case, step: Step, name: str, protocol: int, proxy: Party) -> list[Difference]:
        if self.settle is None:
            return []
        proxy.send([step])
        got = proxy.frames(step)
        if got and refusal(got[0]) in (name, name.split("|")[0]):
            return []
        return [Difference(case.title, step.text, f"-ERR '{name}' is refused: …", " | ".join(map(show, got)), protocol)]

    def _stores_differ(self, case: Case, protocol: int, failed: bool) -> list[Difference]:
        found = []
        if self.settle is not None:
            try:
                writes = self.settle()["writes"]
            except AssertionError as error:
                return [Difference(case.title, "the stores never settled", "", str(error), protocol)]
            diverged = writes["diverged"] + writes["refused_by_secondary"]
            if diverged != self._diverged and "diverges" not in case.flags:
                found.append(Difference(case.title, "writes that the secondary answered differently", "0",
                                        str(diverged - self._diverged), protocol))
            self._diverged = diverged
        stores = list(self.behind)
        if "random" not in case.flags and not failed:
            stores.append(self.plain)
        functions = any(step.words and step.words[0].lower() in (b"function", b"fcall") for step in case.steps)
        for other in stores[1:]:
            text = self._difference(stores[0], other, functions)
            if text:
                found.append(Difference(case.title, f"what {stores[0].server.name} and {other.server.name} hold",
                                        "the same", "\n" + text, protocol))
        return found

    def _difference(self, one: Store, two: Store, functions: bool) -> str:
        """Nothing, or how two stores differ, after a moment in which expired keys may go."""
        last: list[Any] = []

        def equal() -> bool:
            last[:] = [one.state(functions), two.state(functions)]
            return last[0][0] == last[1][0] and _same_expiries(last[0][1], last[1][1])
        try:
            wait_until(equal, 2.0, "equal stores")
            return ""
        except AssertionError:
            return difference(one.server.client, two.server.client) or f"      {last[0]}\n      {last[1]}"


def _pushes_last(frames: list[Tree]) -> list[Tree]:
    """RESP3's pushes are out of band: their order counts, and that of the replies, but not the one among the other."""
    return sorted(frames, key=lambda frame: frame[0] == ">")


def _in_order(listed: Any) -> str:
    """A nested list without its order: libraries and functions are listed as a hash table has them."""
    return f"[{sorted(map(_in_order, listed))}]" if isinstance(listed, list) else repr(listed)


def _same_expiries(one: dict, two: dict, tolerance_ms: int = 4000) -> bool:
    return one.keys() == two.keys() and all(
        abs(one[key] - two[key]) <= tolerance_ms and (one[key] < 0) == (two[key] < 0) for key in one)
