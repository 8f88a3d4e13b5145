"""Random commands of every kind from eight clients: afterwards both stores are equal, no compared read was a mismatch,
and no client was told what a server would not have said.

The seed is printed; CROSSFADE_SEED=N replays it. CROSSFADE_WITHOUT=scripts,watch leaves features out (see
random_commands.Features).
"""
from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
import socket
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from admin import wait_until
from harness import HOST, LONG, CrossfadeTest, Rig, die_with_parent, main
from random_commands import CLASS_WEIGHTS, Command, Features, Generator
from random_scripts import LIBRARY, SPARE_LIBRARY
from resp import encode
from stores import contents, difference, expiry_gaps

SEED = int(os.environ.get("CROSSFADE_SEED", random.SystemRandom().randrange(2**32)))
COMMANDS = 200_000 if LONG else 40_000
CONFIG = """
# What the clock writes differs when a second begins in between, and its reply does not tell. Functions' bodies are not
# looked at.
[[script]]
name = "clock"
mode = "copy"
"""
FEATURES = Features.without(os.environ.get("CROSSFADE_WITHOUT", ""))
CLIENTS = 8
DEPTHS = (1, 1, 2, 5, 20, 50)  # commands in one pipeline
SILENCE = 40.0                 # seconds without an answer that count as a hang
KEPT = 12                      # complaints, of each client

_fork = multiprocessing.get_context("fork")


class Lost(Exception):
    """The connection ended in the middle of the answers."""


class Replies:
    """Reads replies from a socket's file: bytes, int, float, bool, None, str or list (flat for maps). Errors are kept
    apart, also those inside arrays."""

    def __init__(self, file: BinaryIO):
        self.file = file
        self.errors: list[str] = []

    def next(self) -> Any:
        self.errors = []
        return self._reply()

    def _reply(self) -> Any:
        line = self.file.readline()
        if line[-2:] != b"\r\n":
            raise Lost(f"after {line!r}")
        kind, text = line[:1], line[1:-2]
        if kind == b"$" or kind == b"=":
            size = int(text)
            if size < 0:
                return None
            data = self.file.read(size + 2)
            if len(data) != size + 2:
                raise Lost(f"in a string of {size} bytes")
            return data[:-2]
        if kind == b"+":
            return text
        if kind == b":" or kind == b"(":
            return int(text)
        if kind == b"-":
            self.errors.append(text.decode(errors="replace"))
            return self.errors[-1]
        if kind == b"*" or kind == b"~":
            return [self._reply() for _ in range(int(text))] if text != b"-1" else None
        if kind == b"%":
            return [self._reply() for _ in range(2 * int(text))]
        if kind == b",":
            return float(text)
        if kind == b"_":
            return None
        if kind == b"#":
            return text == b"t"
        raise Lost(f"{line[:60]!r} is no reply that was asked for")


@dataclass
class Outcome:
    """What one client, or all, have seen."""
    commands: Counter = field(default_factory=Counter)  # by class
    accepted: Counter = field(default_factory=Counter)  # by class: no error in the reply
    errors: Counter = field(default_factory=Counter)    # by first word
    nil_exec: int = 0
    complaints: list[str] = field(default_factory=list)
    complaint_count: int = 0

    def add(self, other: "Outcome") -> None:
        self.commands += other.commands
        self.accepted += other.accepted
        self.errors += other.errors
        self.nil_exec += other.nil_exec
        self.complaints += other.complaints
        self.complaint_count += other.complaint_count

    def note(self, command: Command, reply: Any, errors: list[str]) -> None:
        self.commands[command.kind] += 1
        self.accepted[command.kind] += not errors
        self.errors.update(text.split(" ", 1)[0] for text in errors)
        self.nil_exec += command.reply == "perhaps" and reply is None
        complaint = command.complaint(reply, errors)
        if complaint:
            self.complain(f"{b' '.join(map(_bytes, command.words))[:160]!r}: {complaint}")

    def complain(self, text: str) -> None:
        self.complaint_count += 1
        if len(self.complaints) < KEPT:
            self.complaints.append(text)


def _bytes(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


class RandomClient:
    """One connection that sends a generator's commands in pipelines of many depths, and judges each reply."""

    def __init__(self, port: int, number: int, payload: bytes, commands: int, features: Features):
        self.port, self.number, self.commands = port, number, commands
        self.generator = Generator(f"{SEED} {number}", payload, commands, features)
        self.depths = random.Random(f"{SEED} depth {number}")  # its own, or the depth would change the commands
        self.outcome = Outcome()

    def run(self) -> Outcome:
        try:
            with socket.create_connection((HOST, self.port), timeout=SILENCE) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection.makefile("rb", 1 << 16) as file:
                    self._talk(connection, Replies(file))
        except Exception:  # whatever it is, the test tells it
            self.outcome.complain(f"client {self.number}: {traceback.format_exc(limit=3)}")
        return self.outcome

    def _talk(self, connection: socket.socket, replies: Replies) -> None:
        batch = self.generator.begin(resp3=self.number % 2 == 1)
        units = self.generator.units()
        sent = 0
        while sent < self.commands:
            depth = self.depths.choice(DEPTHS)
            while len(batch) < depth:
                batch += next(units)
            connection.sendall(b"".join(encode(*command.words) for command in batch))
            for place, command in enumerate(batch):
                try:
                    reply = replies.next()
                except (OSError, Lost) as error:
                    waiting = [b" ".join(map(_bytes, each.words))[:100] for each in batch[place:place + 3]]
                    raise Lost(f"{error!r} after {sent + place} commands, when these waited: {waiting}") from error
                self.outcome.note(command, reply, replies.errors)
            sent += len(batch)
            batch = []


def run_clients(port: int, payload: bytes, commands: int, features: Features) -> Outcome:
    """`commands` in all, from CLIENTS processes at once."""
    def work(number: int, pipe: Any) -> None:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        pipe.send(RandomClient(port, number, payload, commands // CLIENTS, features).run())
        pipe.close()

    children = []
    for number in range(CLIENTS):
        mine, theirs = _fork.Pipe(duplex=False)
        child = _fork.Process(target=work, args=(number, theirs), daemon=True)
        child.start()
        theirs.close()
        children.append((child, mine))
    total = Outcome()
    for child, pipe in children:
        try:
            total.add(pipe.recv())  # a hang ends in the client itself, after SILENCE
        except EOFError:
            total.complain("a client's process died")
        child.join(10)
    return total


class RandomCommandsTest(CrossfadeTest):
    def prepare(self, rig: Rig, port: int) -> bytes:
        """The functions are there, and a payload for RESTORE."""
        print(f"seed {SEED}", flush=True)
        with rig.old.client() as client:
            client.set("payload", "a restored value")
            payload = client.dump("payload")
            client.delete("payload")
        if FEATURES.functions:
            with rig.old.client() if port == rig.old.port else rig.proxy.client() as client:
                for library in (LIBRARY, SPARE_LIBRARY):
                    client.execute_command("FUNCTION LOAD", "REPLACE", library)
        return payload

    def report(self, outcome: Outcome) -> None:
        self.say(f"{outcome.commands.total()} commands: "
                 + ", ".join(f"{name} {count}" for name, count in outcome.commands.most_common()))
        self.say(f"{outcome.errors.total()} error replies: "
                 + ", ".join(f"{name} {count}" for name, count in outcome.errors.most_common(12))
                 + f"; {outcome.nil_exec} transactions broken by their WATCH")

    def assert_no_complaint(self, outcome: Outcome) -> None:
        self.assertEqual(outcome.complaint_count, 0, f"seed {SEED}: " + "\n  ".join(outcome.complaints[:30]))

    def assert_every_class_was_accepted(self, outcome: Outcome) -> None:
        """Commands that always fail would prove nothing."""
        never = [kind for kind in outcome.commands
                 if not outcome.accepted[kind] and kind not in ("mistake", "exec aborted", "script failing")]
        self.assertEqual(never, [], f"seed {SEED}: never accepted")
        self.assertLessEqual(set(CLASS_WEIGHTS), set(outcome.commands))

    def test_a_server_alone_takes_them(self) -> None:
        """What the generator expects of replies is what a real server gives."""
        rig = self.rig(start=False)
        rig.old.start()
        outcome = run_clients(rig.old.port, self.prepare(rig, rig.old.port), COMMANDS // 2, Features())
        self.report(outcome)
        self.assert_no_complaint(outcome)
        self.assert_every_class_was_accepted(outcome)
        self.assertGreater(outcome.nil_exec, 0, "no WATCH was ever broken")
        with rig.old.client() as client:
            self.assertGreater(len(client.info("keyspace")), 8, "too few databases are in use")

    def test_both_stores_are_equal_after_random_commands(self) -> None:
        rig = self.rig(config=CONFIG)
        rig.admin.routing(compare=100)
        outcome = run_clients(rig.proxy.port, self.prepare(rig, rig.proxy.port), COMMANDS, FEATURES)
        self.report(outcome)
        self.figures(rig)
        self.assert_no_complaint(outcome)
        self.assert_every_class_was_accepted(outcome)
        status = self.assert_equal_in_the_end(rig)
        self.assertEqual(status["reads"]["mismatched"], 0, f"seed {SEED}: {rig.admin.mismatches()[:10]}")
        # A script that names no keys and differs makes everything dirty for a while: nothing is compared then.
        self.assertGreater(status["reads"]["compared"], COMMANDS // 50)
        self.assertEqual(status["synced"], "yes", status)

    def figures(self, rig: Rig) -> None:
        status = rig.admin.status()
        writes, reads = status["writes"], status["reads"]
        self.say("writes: " + ", ".join(f"{name} {writes[name]}" for name in sorted(writes)))
        self.say(f"reads: compared {reads['compared']}, mismatched {reads['mismatched']}, fallback {reads['fallback']}")
        told = Counter(re.findall(r"event=write_diverged command=(\S+) .*secondary_answered=(.*)", rig.proxy.log()))
        for (command, answer), count in told.most_common(12):
            self.say(f"diverged: {command} {count} times, the secondary answered {answer}")
        causes = {name: count for name, count in status["dirty"].get("marked", {}).items() if count}
        self.say(f"dirty, by cause: {causes}, repaired {status['dirty'].get('repaired')}")

    def assert_equal_in_the_end(self, rig: Rig) -> dict:
        """Drained, repaired, re-checked, and equal in all that a digest sees and in the groups of streams."""
        status = rig.admin.wait_settled(120)

        def equal() -> bool:  # what a re-check repairs takes as long as its keys must be quiet
            old, new = rig.digests()
            return old == new and contents(rig.old.client) == contents(rig.new.client)
        try:
            wait_until(equal, 30, "equal stores", pause=0.5)
        except AssertionError:
            self.fail(f"seed {SEED}: the stores differ, with status {rig.admin.status()}:\n"
                      + difference(rig.old.client, rig.new.client))
        self.assertNotEqual(rig.old.digest(), "0" * 40, "nothing was left to compare")
        gaps = expiry_gaps(rig.old.client, rig.new.client)
        self.say(f"{len(gaps)} keys with a lifetime, largest difference {gaps[0][0] if gaps else 0} ms")
        self.assertLess(gaps[0][0], 5000, f"seed {SEED}: {gaps[:5]}")
        return rig.admin.status() if status["synced"] == "yes" else status


if __name__ == "__main__":
    main()
