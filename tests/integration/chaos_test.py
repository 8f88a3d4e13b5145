"""A short chaos run, and that its judges can tell when something is lost."""
import os
import random
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

CHAOS = Path(__file__).resolve().parent.parent / "chaos"
sys.path.insert(0, str(CHAOS))

from cells import KINDS, Ending, check_endings  # noqa: E402
from clients import Clients, check_jobs  # noqa: E402
from faults import Windows  # noqa: E402
from harness import LONG, CrossfadeTest, RedisServer, Rig, crossfade_binary, main  # noqa: E402
from resp import RawConnection, encode  # noqa: E402

SECONDS = 600 if LONG else 25


class ChaosTest(CrossfadeTest):
    def test_nothing_is_lost(self) -> None:
        seed = os.environ.get("CROSSFADE_SEED", str(random.randrange(10**6)))
        command = [sys.executable, str(CHAOS / "chaos.py"), "--minutes", str(SECONDS / 60), "--seed", seed,
                   "--binary", crossfade_binary()]
        self.assertEqual(subprocess.run(command, timeout=SECONDS + 500, check=False).returncode, 0,
                         f"replay with CROSSFADE_SEED={seed}")


class JudgesTest(CrossfadeTest):
    """The same load on a plain server, which loses nothing until the test takes something away."""

    def load(self, server: RedisServer) -> Any:
        clients = Clients(server.port, seed=7, count=6, processes=1, think_ms=0.5)
        with server.client() as client:
            client.set("payload", "a restored value")
            clients.payload = client.dump("payload")
        clients.start()
        try:
            deadline = time.monotonic() + 60
            while clients.operations < 5000 and time.monotonic() < deadline:
                time.sleep(0.05)
            return clients.stop()
        finally:
            clients.kill()

    def complaints(self, server: RedisServer, record: Any) -> list[str]:
        with RawConnection(server.port) as store:
            def ask(requests: list) -> list:
                store.send(b"".join(encode(*words) for words in requests))
                return [store.reply() for _ in requests]
            return check_endings(record.endings, ask, "store") + check_jobs(record.jobs, ask, "store")

    def test_each_loss_is_noticed(self) -> None:
        rig: Rig = self.rig(start=False)
        server = rig.old.start()
        record = self.load(server)
        self.assertEqual((record.troubles, record.wrong, record.lost, record.unknown), ([], [], 0, 0))
        self.assertGreater(record.acknowledged, 500)
        self.assertEqual(self.complaints(server, record), [])
        held = {kind.kind: self.last(record.endings, kind.kind) for kind in KINDS}  # type: ignore[attr-defined]
        with server.client() as client:
            client.incr(held["counter"].keys[0])
            client.append(held["text"].keys[0], "x")
            client.rpop(held["log"].keys[0])
            client.rpush(held["list"].keys[0], "again")
            client.hset(held["hash"].keys[0], "f0", "older")
            client.sadd(held["set"].keys[0], "stranger")
            client.zincrby(held["zset"].keys[0], 1, "m0")
            client.xtrim(held["stream"].keys[0], maxlen=1, approximate=False)
            client.set(held["pair"].keys[0], "both")
            client.set(held["together"].keys[0], "half of a transaction")
            jobs = [jobs for jobs in record.jobs if jobs.moves and len(jobs.pushed) > 3][0]
            client.lpop(jobs.done_key)
            client.rpush(jobs.done_key, sorted(jobs.pushed)[-1])
        lines = self.complaints(server, record)
        for kind in held.keys() - {"fleeting"}:
            self.assertTrue(any(f":{kind}" in line for line in lines), f"{kind} unnoticed: {lines}")
        self.assertTrue(any("lacks 1 acknowledged" in line for line in lines), lines)
        self.assertTrue(any("jobs twice" in line for line in lines), lines)

    def last(self, endings: list[Ending], kind: str) -> Ending:
        """With something in it."""
        return [ending for ending in endings if ending.kind == kind and ending.states[0]][-1]

    def test_only_what_the_driver_broke_excuses(self) -> None:
        windows = Windows()
        before = time.monotonic() - 1
        self.assertFalse(windows.excuse(before, time.monotonic()))
        window = windows.open("kill -9")
        begin = time.monotonic()
        self.assertTrue(windows.excuse(begin, begin + 1))
        windows.close_healed_before(begin + 5, begin + 5)
        self.assertFalse(windows.all_closed(), "closed before it was healed")
        windows.healed(window)
        windows.close_healed_before(begin + 5, begin + 5)
        self.assertTrue(windows.all_closed())
        self.assertTrue(windows.excuse(begin + 4.9, begin + 6), "asked in it, answered after it")
        self.assertFalse(windows.excuse(begin + 5.1, begin + 6))
        self.assertFalse(windows.excuse(before, before + 0.5))


if __name__ == "__main__":
    main()
