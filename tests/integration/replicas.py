"""What the tests of the replication method share: new is a replica of old, under the proxy."""
from __future__ import annotations

from typing import Any

from admin import AdminError
from harness import HOST, LONG, CrossfadeTest, RedisServer, Rig
from stores import fill

AT_ONCE = ("--repl-diskless-sync-delay", "0")  # no waiting for further replicas
OFF = '[routing]\nsecondary = "off"\n'  # so that new stays empty until it is a replica
KEYS = 20_000 if LONG else 3000
PAUSE_MS = 5000  # of a flip that must succeed, however slow the machine is


class ReplicationTest(CrossfadeTest):
    def rig_with_data(self, **options: Any) -> Rig:
        """old holds keys before the proxy comes; new is empty."""
        rig = self.rig(start=False, config=OFF, old_args=AT_ONCE, new_args=AT_ONCE, **options)
        rig.old.start()
        with rig.old.client() as old:
            fill(old, KEYS)
        rig.new.start()
        return rig

    def begin(self, rig: Rig) -> Rig:
        rig.proxy.start()
        rig.proxy.listen, rig.proxy.admin_listen = f"{HOST}:{rig.proxy.port}", rig.admin.address
        rig.wait_up("old", "new")
        return rig

    def replicate(self, rig: Rig, **options: Any) -> dict:
        rig.admin.routing(secondary="replica", **options)
        return self.wait_streaming(rig)

    def wait_streaming(self, rig: Rig) -> dict:
        return rig.admin.wait_status(lambda status: status["secondary"] == "replica" and status["synced"] == "yes"
                                     and status["replication"]["state"] == "streaming", 30, "the replica is in step")

    def refused(self, rig: Rig, **settings: Any) -> str:
        with self.assertRaises(AdminError) as raised:
            rig.admin.routing(**settings)
        self.assertEqual(raised.exception.status, 409, raised.exception)
        return raised.exception.reason

    def assert_nothing_was_copied(self, status: dict) -> None:
        self.assertEqual((status["synced"], status["dirty"]["overflows"], status["backfill"]["keys_done"]),
                         ("yes", 0, 0), status)

    def link(self, server: RedisServer) -> tuple[str, str]:
        with server.client() as client:
            info = client.info("replication")
        return info["role"], info.get("master_link_status", "")

    def as_user(self, server: RedisServer, rules: str) -> str:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "crossfade", "on", ">word", "~*", "&*", "+@all", *rules.split())
        return f"redis://crossfade:word@{HOST}:{server.port}"
