"""What a script writes is repeated on the secondary, and proved to be equal only later. Until then whatever is made of
it is no better: the whole of it must be equal in the end.
"""
from __future__ import annotations

from harness import CrossfadeTest, Rig, main

# Each server answers it in its own way, and the reply does not tell.
OWN_WAY = "redis.call('SET', KEYS[1], redis.call('INFO', 'server')) return 1"


class SettleTest(CrossfadeTest):
    def assert_equal_in_the_end(self, rig: Rig, differed: int) -> None:
        self.assertNotEqual(*rig.digests(), "the script did the same on both: nothing is shown")
        self.assertEqual(*rig.equal_digests())
        status = rig.admin.wait_synced()
        self.assertEqual(status["writes"]["diverged"], 0)
        self.say(f"{status['settle']}")
        self.assertGreaterEqual(status["settle"]["differed"], differed)

    def test_copies_of_what_is_not_proved(self) -> None:
        rig = self.rig(config="[settle]\nquiet_ms = 300\n")
        client = rig.proxy.client()
        for number in range(20):
            client.eval(OWN_WAY, 1, f"source:{number}")
            client.execute_command("COPY", f"source:{number}", f"copy:{number}")
            client.execute_command("COPY", f"source:{number}", f"copy:{number}", "DB", 3)
            client.rename(f"copy:{number}", f"renamed:{number}")
            client.set(f"source:{number}", "what differed is gone from here")
        self.assert_equal_in_the_end(rig, 40)

    def test_in_a_transaction(self) -> None:
        rig = self.rig(config="[settle]\nquiet_ms = 300\n")
        client = rig.proxy.client()
        client.eval(OWN_WAY, 1, "source")
        with client.pipeline() as pipe:
            pipe.execute_command("COPY", "source", "copy")
            pipe.execute_command("MOVE", "source", 5)
            pipe.execute()
        self.assert_equal_in_the_end(rig, 2)

    def test_databases_that_are_swapped_meanwhile(self) -> None:
        rig = self.rig(config="[settle]\nquiet_ms = 300\n")
        client = rig.proxy.client()
        for number in range(20):
            client.eval(OWN_WAY, 1, f"source:{number}")
        client.execute_command("SWAPDB", 0, 4)
        self.assert_equal_in_the_end(rig, 20)


if __name__ == "__main__":
    main()
