"""`./run move` in small: a store of every type of key moves under 20 writing clients, in each of the four ways."""
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

MOVE = Path(__file__).resolve().parent.parent / "move"
sys.path.insert(0, str(MOVE))

from harness import LONG, CrossfadeTest, crossfade_binary, main  # noqa: E402
from judge import compare  # noqa: E402
from move import Move, Plan  # noqa: E402
from seeding import Sizes, seed_store  # noqa: E402

KEYS = 100_000 if LONG else 20_000
BEFORE_SECONDS = 15.0 if LONG else 1.0


class MoveTest(CrossfadeTest):
    def move(self, **way: Any) -> None:
        seed = int(os.environ.get("CROSSFADE_SEED", str(random.randrange(10**6))))
        plan = Plan(keys=KEYS, seed=seed, before_s=BEFORE_SECONDS, **way)
        self.assertTrue(Move(plan, crossfade_binary()).run(), f"replay with CROSSFADE_SEED={seed}")

    def test_by_a_backfill(self) -> None:
        self.move()

    def test_without_restore(self) -> None:
        self.move(restore=False)

    def test_over_a_kill(self) -> None:
        self.move(kill=True)

    def test_by_a_snapshot(self) -> None:
        self.move(snapshot=True)


class JudgeTest(CrossfadeTest):
    """A store and its copy are equal, until one thing after the other is changed."""

    CHANGES = {
        b"s:9": lambda new: new.append("s:9", "!"),
        b"l:9": lambda new: new.lmove("l:9", "l:9", "RIGHT", "LEFT"),
        b"h:9": lambda new: new.hincrby("h:9", "int0", 1),
        b"z:1": lambda new: new.zadd("z:1", {"third": 0.3333333333333334}),
        b"t:9": lambda new: new.sadd("t:9", "one more"),
        b"s:11": lambda new: new.delete("s:11"),
        b"risen": lambda new: new.set("risen", "from the dead"),
        b"l:11": lambda new: new.persist("l:11"),
        b"l:12": lambda new: new.pexpire("l:12", 3_603_000),
        b"l:13": lambda new: new.pexpire("l:13", 3_600_000),
        b"one": lambda new: new.xack("one", "group", "1-1"),
        b"two": lambda new: new.xgroup_createconsumer("two", "group", "another"),
        b"three": lambda new: new.xgroup_setid("three", "group", "1-1"),
        b"four": lambda new: new.xclaim("four", "group", "reader", 0, ["1-1"], retrycount=9),
        b"five": lambda new: new.execute_command("XSETID", "five", "99-9"),
        b"six": lambda new: new.xgroup_destroy("six", "group"),
    }

    def fill(self, old: Any) -> None:
        for key in ("l:11", "l:12"):
            old.pexpire(key, 3_600_000)
        old.persist("l:13")
        for key in ("one", "two", "three", "four", "five", "six"):
            old.xadd(key, {"a": "b"}, id="1-1")
            old.xadd(key, {"a": "b"}, id="1-2")
            old.xgroup_create(key, "group", "0")
            old.xreadgroup("group", "reader", {key: ">"})
        for key in self.CHANGES:
            if key[:2] in (b"s:", b"h:", b"z:", b"t:", b"l:") and key not in (b"l:11", b"l:12"):
                old.persist(key)

    def test_each_difference_is_noticed(self) -> None:
        rig = self.rig(start=False)
        sizes = Sizes(4000, 1, 1000, 200, 50)
        seed_store(rig.old.start(), sizes, 3, 0.1)
        with rig.old.client(db=3) as old:
            self.fill(old)
            old.save()
        shutil.copy(rig.old.directory / "dump.rdb", rig.new.directory / "dump.rdb")
        rig.new.start()
        same = compare(rig.old.port, rig.new.port, 10)
        self.assertEqual(same.lines, [])
        self.assertGreater(same.keys, 3000)
        self.assertGreater(same.with_lifetime, 300)
        self.assertGreater(same.pending, 50)
        with rig.new.client(db=3) as new:
            for change in self.CHANGES.values():
                change(new)
        found = compare(rig.old.port, rig.new.port, 10)
        for key in self.CHANGES:
            self.assertTrue(any(f"db3 {key!r}" in line for line in found.lines), f"{key!r} unnoticed:\n{found.text()}")
        strange = [line for line in found.lines if not any(f"db3 {key!r}" in line for key in self.CHANGES)]
        self.assertEqual(len(strange), 1, strange)  # the digests


if __name__ == "__main__":
    main()
