"""What the driver of the chaos run does to the three processes, and when the clients may blame it.

A fault is a generator: it does its harm, yields for how long, and takes it back. So two can overlap. While the primary
or the proxy is broken by the driver, a window is open in which clients may get errors. It closes when the status says
that the primary is up again, and not before. What only takes time (a stopped process, a slow network) opens none, and
neither does anything that happens to the secondary.
"""
from __future__ import annotations

import http.client
import random
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Generator, Iterator, Optional

import redis

from admin import AdminError
from harness import Rig
from wire import Relay

Fault = Generator[float, None, None]
UNREACHABLE = (OSError, http.client.HTTPException, AdminError)
HEALTHY_SECONDS = 0.5  # the status must have said for so long that the primary is up before a window closes
MARGIN_SECONDS = 0.3


class Windows:
    """When the primary or the proxy was broken by the driver."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[dict] = []  # begin; healed: when the driver took it back; end

    def open(self, why: str) -> dict:
        span = {"why": why, "begin": time.monotonic() - 0.01, "healed": None, "end": None}
        with self._lock:
            self._spans.append(span)
        return span

    def healed(self, span: dict) -> None:
        span["healed"] = time.monotonic()

    def close_healed_before(self, moment: float, at: float) -> None:
        with self._lock:
            for span in self._spans:
                if span["end"] is None and span["healed"] is not None and span["healed"] <= moment:
                    span["end"] = at

    def all_closed(self) -> bool:
        with self._lock:
            return all(span["end"] is not None for span in self._spans)

    def excuse(self, since: float, at: float) -> bool:
        with self._lock:
            return any(span["begin"] <= at and (span["end"] is None or since <= span["end"]) for span in self._spans)

    def seconds(self) -> float:
        """In how many seconds at least one was open."""
        total, until = 0.0, 0.0
        with self._lock:
            for span in sorted(self._spans, key=lambda span: span["begin"]):
                end = span["end"] or time.monotonic()
                total += max(0.0, end - max(span["begin"], until))
                until = max(until, end)
        return total


class World:
    """The processes, their relays, and who watches them."""

    def __init__(self, rig: Rig, relays: dict[str, Relay], say: Callable[[str], None]):
        self.rig, self.relays, self.say = rig, relays, say
        self.windows = Windows()
        self.counts: dict[str, int] = {}
        self.primary = "old"
        self.flipping = False
        self.ending_proxy = False   # the driver is ending it, so its end is no surprise
        self.dead: Optional[str] = None  # the proxy has ended by itself
        self.peak_mib = 0.0
        self.totals: dict[str, float] = {}  # counters of the status, over all lives of the proxy
        self.mismatches: list[str] = []
        self._told_mismatches = 0
        self._life: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def status(self, timeout: float = 2.0) -> dict:
        return self.rig.admin.call("GET", "/api/v1/status", timeout=timeout)

    def role(self, side: str) -> str:
        return "primary" if side == self.primary else "secondary"

    @contextmanager
    def broken(self, who: str, why: str) -> Iterator[None]:
        """For what breaks connections, or answers, of `who`: "old", "new" or "proxy"."""
        excused = who == "proxy" or self.flipping or who == self.primary
        span = self.windows.open(why) if excused else None
        try:
            yield
        finally:
            if span is not None:
                self.windows.healed(span)

    def _watch(self) -> None:
        healthy_since: Optional[float] = None
        while not self._stop.wait(0.05):
            begin = time.monotonic()
            if not self.ending_proxy and not self.rig.proxy.running and not self.ending_proxy:
                self.dead = self.dead or f"the proxy has ended by itself, with {self.rig.proxy.popen.returncode}"
                return
            try:
                status = self.status()
            except UNREACHABLE:
                healthy_since = None
                continue
            self._note(status)
            self._look_at_mismatches(status)
            if status["backends"][self.primary]["state"] != "up":
                healthy_since = None
                continue
            healthy_since = healthy_since or begin
            if begin - healthy_since >= HEALTHY_SECONDS:
                self.windows.close_healed_before(begin - HEALTHY_SECONDS, time.monotonic() + MARGIN_SECONDS)
            if any("crossfade resync" in line for line in status["attention"]):
                self._operate()

    def _operate(self) -> None:
        """The primary came back as another process, with all that it had: an operator who knows that says so."""
        try:
            self.rig.admin.call("POST", "/api/v1/resync", {}, timeout=5)
        except UNREACHABLE:
            return
        self.count("resyncs")
        self.say("operator: resync, the primary has kept its data")

    def _note(self, status: dict) -> None:
        self.primary = status["primary"]
        flat = {"repaired keys": status["dirty"]["repaired"], "copies failed": status["dirty"]["copies_failed"],
                "dirty overflows": status["dirty"]["overflows"], "queue overflows": status["lag"]["overflows"],
                "writes": status["writes"]["total"], "writes followed": status["writes"]["followed"],
                "writes diverged": status["writes"]["diverged"],
                "unknown outcomes": status["writes"]["unknown_outcomes"],
                "reads compared": status["reads"]["compared"], "reads mismatched": status["reads"]["mismatched"],
                "reads of the secondary": status["reads"]["new" if self.primary == "old" else "old"],
                "settle differed": status["settle"]["differed"], "pops given back": status["clients"]["given_back"]}
        for name, value in flat.items():
            self.totals[name] = self.totals.get(name, 0) + max(0, value - self._life.get(name, 0))
        self._life = flat
        try:
            for line in Path(f"/proc/{self.rig.proxy.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_mib = max(self.peak_mib, int(line.split()[1]) / 1024)
        except OSError:
            pass  # it is being restarted

    def _look_at_mismatches(self, status: dict) -> None:
        """A confirmed one means that a key differed and the proxy didn't know."""
        if status["reads"]["mismatched"] <= self._told_mismatches:
            return
        self._told_mismatches = status["reads"]["mismatched"]
        try:
            line = str(self.rig.admin.mismatches()[0])
        except UNREACHABLE:
            line = "a mismatch, of which the proxy can't be asked any more"
        self.mismatches.append(line)
        self.say(f"MISMATCH: {line}")

    def proxy_begins_anew(self) -> None:
        self._life = {}
        self._told_mismatches = 0


# --- the proxy -----------------------------------------------------------------------------------------------------

def end_proxy(world: World, rng: random.Random, number: int = signal.SIGKILL, flip: bool = False) -> Fault:
    down = rng.choice((0.0, 0.0, rng.uniform(0, 1.5)))
    what = "kill -9" if number == signal.SIGKILL else "SIGTERM"
    other = "new" if world.primary == "old" else "old"
    wait = rng.uniform(0, 0.03)
    world.say(f"{what} proxy{f', {wait * 1000:.0f} ms into a flip' if flip else ''}, down for {down:.1f} s")
    world.count(f"{what} proxy")
    with world.broken("proxy", what):
        flipper = threading.Thread(target=_flip_quietly, args=(world, other), daemon=True)
        if flip:
            world.flipping = True
            flipper.start()
            time.sleep(wait)
        world.ending_proxy = True
        world.rig.proxy.end(number, timeout=20)
        yield down
        world.proxy_begins_anew()
        world.rig.proxy.start()
        world.ending_proxy = False
        if flip:
            flipper.join(30)
            world.primary = world.status(10)["primary"]
            world.flipping = False
            world.say(f"  {world.primary} is primary after the flip that was cut off")


def _flip_quietly(world: World, to: str) -> None:
    try:
        world.rig.admin.flip_answer(to, max_pause_ms=2000)
    except UNREACHABLE:
        pass


def stop_process(world: World, rng: random.Random, who: str) -> Fault:
    seconds = rng.uniform(0.2, 2.5)
    world.say(f"SIGSTOP {who if who == 'proxy' else f'{who} ({world.role(who)})'} for {seconds:.1f} s")
    world.count(f"stops of {who}")
    process = world.rig.proxy if who == "proxy" else world.rig.server(who)
    process.pause()
    yield seconds
    process.resume()


# --- the stores ----------------------------------------------------------------------------------------------------

def kill_store(world: World, rng: random.Random, side: str) -> Fault:
    down = rng.choice((0.0, rng.uniform(0, 1.5)))
    world.say(f"kill -9 {side} ({world.role(side)}), down for {down:.1f} s")
    world.count(f"kill -9 {side}")
    with world.broken(side, "kill -9"):
        world.rig.server(side).kill()
        yield down
        world.rig.server(side).start()


def fill_store(world: World, rng: random.Random, side: str) -> Fault:
    seconds = rng.uniform(0.3, 1.5)
    world.say(f"{side} ({world.role(side)}) is full for {seconds:.1f} s")
    world.count(f"fills of {side}")
    with world.broken(side, "full"):
        with world.rig.server(side).client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1mb")
        yield seconds
        empty_store(world, side)


def empty_store(world: World, side: str) -> None:
    try:
        with world.rig.server(side).client() as client:
            client.config_set("maxmemory", 0)
    except redis.RedisError:
        pass  # killed meanwhile: a setting made at runtime is forgotten then


# --- the network ---------------------------------------------------------------------------------------------------

def slow_network(world: World, rng: random.Random, who: str) -> Fault:
    seconds = rng.uniform(0.5, 3)
    settings: dict[str, Any] = rng.choice(({"delay_ms": rng.choice((5, 50, 200))}, {"stalled": True},
                                           {"bytes_per_second": rng.choice((20_000, 200_000))}))
    world.say(f"network of {_named(world, who)}: {settings} for {seconds:.1f} s")
    world.count(f"slow networks of {who}")
    world.relays[who].tell(**settings)
    yield seconds
    world.relays[who].heal()


def cut_network(world: World, rng: random.Random, who: str) -> Fault:
    """Nothing arrives, or what was sent arrives late: after the proxy has given the connection up."""
    seconds = rng.choice((0.0, 0.0, rng.uniform(0, 1.5)))
    late = rng.random() < 0.5
    world.say(f"network of {_named(world, who)}: cut{', what was on its way arrives late' if late else ''}, "
              f"refuses for {seconds:.1f} s")
    world.count(f"cuts of {who}")
    relay = world.relays[who]
    with world.broken(who, "cut"):
        if late:
            relay.tell(delay_ms=rng.choice((100, 300, 800)))
            time.sleep(0.5)
        relay.tell(refusing=seconds > 0)
        relay.tell(cut="near" if late else "both")
        relay.tell(delay_ms=0)  # the next connection is quicker than what is still on its way
        yield seconds
        relay.heal()


def _named(world: World, who: str) -> str:
    return "the clients" if who == "proxy" else f"{who} ({world.role(who)})"


# --- the operator --------------------------------------------------------------------------------------------------

def flip(world: World, rng: random.Random) -> Fault:
    to = "new" if world.primary == "old" else "old"
    world.flipping = True
    yield 0.0
    try:
        code, answer = world.rig.admin.flip_answer(to, max_pause_ms=rng.choice((100, 1000, 3000)))
        said = f"in {answer.get('pause_ms', 0):.1f} ms" if code == 200 else f"refused: {answer.get('reason', answer)}"
        world.count("flips" if code == 200 else "flips refused")
    except UNREACHABLE as error:
        said = f"not answered: {error}"
    try:
        world.primary = world.status(10)["primary"]
    except UNREACHABLE:
        pass
    world.flipping = False
    world.say(f"flip to {to}: {said}")


def turn_knobs(world: World, rng: random.Random) -> Fault:
    knobs = {"reads_new": rng.choice((0, 25, 100)), "compare": rng.choice((0, 30, 100))}
    yield 0.0
    try:
        world.rig.admin.call("PATCH", "/api/v1/routing", knobs, timeout=10)
        said = str(knobs)
        world.count("knobs turned")
    except AdminError as error:
        said = f"{knobs} refused: {error.reason}"
    except UNREACHABLE as error:
        said = f"{knobs} not answered: {error}"
    world.say(said)


# --- the choice ----------------------------------------------------------------------------------------------------

def choose(world: World, rng: random.Random, busy: str = "") -> tuple[str, Fault]:
    """Who is hurt, and how. Not `busy`; a flip overlaps with nothing."""
    who = rng.choices(("proxy", "old", "new", "operator"), (20, 27, 27, 26))[0]
    while who == busy or (busy and who == "operator"):
        who = rng.choices(("proxy", "old", "new"), (20, 27, 27))[0]
    if who == "operator":
        return who, rng.choices((flip, turn_knobs), (3, 2))[0](world, rng)
    if who == "proxy":
        number = rng.choices(range(6), (8, 3 if not busy else 0, 2, 3, 3, 3))[0]
        return who, (end_proxy(world, rng), end_proxy(world, rng, flip=True), end_proxy(world, rng, signal.SIGTERM),
                     stop_process(world, rng, who), slow_network(world, rng, who), cut_network(world, rng, who))[number]
    kind = rng.choices((kill_store, stop_process, fill_store, slow_network, cut_network), (7, 5, 4, 5, 6))[0]
    return who, kind(world, rng, who)
