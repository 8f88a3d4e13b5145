"""Commands of later versions and of modules before servers that lack them, and when claimed entries were delivered."""
import time

import redis

from harness import CrossfadeTest, Rig, main
from resp import ErrorReply, RawConnection
from traffic import raw_client

# One of each kind: writes, copying writes with what is asked beside them, reads, reads of the primary, both.
NEWER = (("MSETEX", 1, "k", "v", "EX", 5), ("INCREX", "k"), ("DELEX", "k"), ("DELIFEQ", "k", "v"), ("DIGEST", "k"),
         ("HEXPIRE", "h", 5, "FIELDS", 1, "f"), ("HSETEX", "h", "EX", 5, "FIELDS", 1, "f", "v"),
         ("HTTL", "h", "FIELDS", 1, "f"), ("HGETEX", "h", "EX", 5, "FIELDS", 1, "f"),
         ("HGETDEL", "h", "FIELDS", 1, "f"), ("HPERSIST", "h", "FIELDS", 1, "f"), ("XDELEX", "x", "ACKED", "IDS", 1, "1-1"),
         ("XCFGSET", "x", "IDMP-MAXSIZE", 9), ("LMOVEM", "l", "m", "LEFT", "LEFT"), ("SUNIONCARD", 1, "s"),
         ("ARSET", "a", 0, "v"), ("ARLEN", "a"), ("JSON.SET", "j", "$", 1), ("JSON.NUMINCRBY", "j", "$", 1),
         ("JSON.GET", "j"), ("BF.ADD", "b", "x"), ("BF.EXISTS", "b", "x"), ("CF.ADD", "c", "x"),
         ("TS.ADD", "t", "*", 1), ("TS.MADD", "t", "*", 1), ("TS.INCRBY", "t", 1), ("VCARD", "v"),
         ("VADD", "v", "VALUES", 1, "0.5", "e"),
         ("FT.CREATE", "i", "SCHEMA", "f", "TEXT"), ("FT.SEARCH", "i", "*"), ("HOTKEYS", "GET"), ("CLUSTERSCAN", 0))
NEWER_OPTIONS = (("SET", "k", "v", "IFEQ", "old"), ("SET", "k", "v", "IFDEQ", "0" * 16, "GET"),
                 ("XADD", "x", "IDMP", "p", "i", "*", "f", "v"), ("XADD", "x", "DELREF", "MAXLEN", 5, "*", "f", "v"),
                 ("XTRIM", "x", "MAXLEN", "~", 5, "ACKED"), ("ZRANK", "z", "m", "WITHSCORE"),
                 ("XREADGROUP", "GROUP", "g", "c", "CLAIM", 5, "STREAMS", "x", ">"))
LAG_SECONDS = 2.0


class NewerTest(CrossfadeTest):
    def test_what_the_primary_lacks_it_says_itself_and_nothing_follows(self) -> None:
        rig = self.rig()
        with rig.old.client() as old:
            if not old.info("server")["redis_version"].startswith("7.0."):
                self.skipTest("the servers may know these commands")
        connection = self.enterContext(RawConnection(rig.proxy.port))
        self.assertEqual(connection.ask("SET", "k", "old"), b"OK")
        for words in NEWER + NEWER_OPTIONS:
            with self.subTest(command=words):
                answer = connection.ask(*words)
                self.assertIsInstance(answer, ErrorReply)
                self.assertRegex(answer, "^ERR (unknown command|unknown subcommand|syntax error|wrong number|Invalid stream ID|value is)")
                self.assertEqual(connection.ask("PING"), b"PONG")
        self.assertEqual(connection.ask("GET", "k"), b"old")
        status = self.assert_converged(rig)
        self.assert_no_divergence(status)
        self.assertEqual(status["writes"]["not_followed"], 0, status)

    def idle_ms(self, server: redis.Redis) -> dict[bytes, int]:
        pending = server.xpending_range("x", "g", "-", "+", 10)
        return {entry["message_id"]: entry["time_since_delivered"] for entry in pending}

    def claim_behind_a_lag(self, rig: Rig, *words: str) -> None:
        """Sends a claim while the secondary is stopped, and expects equal times of delivery when it has caught up."""
        client = raw_client(rig.proxy.port)
        rig.new.pause()
        claimed = client.execute_command(*words)
        self.assertTrue(claimed)
        time.sleep(LAG_SECONDS)
        rig.new.resume()
        self.assert_no_divergence(self.assert_converged(rig))
        with rig.old.client() as old, rig.new.client() as new:
            before, after = self.idle_ms(old), self.idle_ms(new)
            self.assertEqual(before.keys(), after.keys())
            for entry_id, idle in before.items():
                self.assertLess(abs(idle - after[entry_id]), LAG_SECONDS * 500, f"{words}: {before} {after}")

    def test_a_lag_makes_claimed_entries_no_younger(self) -> None:
        rig = self.rig()
        client = rig.proxy.client()
        client.execute_command("XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")
        for number in range(1, 4):
            client.execute_command("XADD", "x", f"{number}-0", "f", "v")
        client.execute_command("XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")
        self.assert_converged(rig)
        self.claim_behind_a_lag(rig, "XCLAIM", "x", "g", "d", "0", "1-0", "2-0", "3-0")
        self.claim_behind_a_lag(rig, "XCLAIM", "x", "g", "c", "0", "1-0", "2-0", "3-0", "IDLE", "9000", "JUSTID")
        self.claim_behind_a_lag(rig, "XAUTOCLAIM", "x", "g", "d", "0", "0")


if __name__ == "__main__":
    main()
