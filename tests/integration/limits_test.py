"""Every limit of [limits] that a client, a store or an operator can reach: what happens then, and that the status says so.

Clients in this file often don't read: their receive buffers are made small, so that the kernel takes little for them."""
from __future__ import annotations

import socket
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

from admin import wait_until
from harness import HOST, CrossfadeTest, Rig, main
from resp import Closed, ErrorReply, RawConnection, encode
from traffic import raw_client

MIB = 1 << 20
NO_REPAIR = "[repair]\nenabled = false\n"


def limits(**values: Any) -> str:
    return "[limits]\n" + "".join(f"{name} = {value!r}\n".replace("'", '"') for name, value in values.items())


class SlowReader(RawConnection):
    """A client whose kernel takes as little as it may."""

    def __init__(self, port: int):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(60)
        self.socket.connect((HOST, port))
        self._unread = b""


class Sender(threading.Thread):
    """Sends for as long as anybody takes it; then says whether all of it was taken."""

    def __init__(self, connection: RawConnection, data: bytes):
        super().__init__(daemon=True)
        self.connection, self.data, self.sent = connection, data, False
        self.start()

    def run(self) -> None:
        try:
            self.connection.send(self.data)
            self.sent = True
        except OSError:
            pass


class LimitsCase(CrossfadeTest):
    def limit(self, rig: Rig, name: str) -> dict:
        return rig.admin.status()["limits"][name]

    def wait_reached(self, rig: Rig, name: str, times: int = 1) -> dict:
        return wait_until(lambda: (found := self.limit(rig, name))["reached"] >= times and found, 30, f"{name} reached")

    def assert_others_served(self, rig: Rig) -> None:
        with raw_client(rig.proxy.port, socket_timeout=20) as client:
            self.assertEqual(client.execute_command("SET", "other", "v"), b"OK")
            self.assertEqual(client.execute_command("GET", "other"), b"v")

    def open(self, rig: Rig, kind: type[RawConnection] = RawConnection) -> RawConnection:
        """A connection that lasts as long as the test."""
        connection = kind(rig.proxy.port)
        connection.socket.settimeout(60)
        self.addCleanup(connection.close)
        return connection

    def served(self, rig: Rig) -> bool:
        """Is a new client let in, and answered?"""
        try:
            with RawConnection(rig.proxy.port, timeout=5) as client:
                return client.ask("SET", "other", "v") == b"OK"
        except (Closed, OSError):
            return False

    def assert_closed(self, connection: RawConnection) -> None:
        try:
            connection.until_closed()
        except socket.timeout:
            self.fail("the connection was not closed")


class ClientLimitsTest(LimitsCase):
    def test_every_limit_has_a_figure(self) -> None:
        rig = self.rig(start=False).start()
        shown = rig.admin.status()["limits"]
        sample = tomllib.loads((Path(__file__).resolve().parents[2] / "conf/crossfade.toml").read_text())
        self.assertEqual(set(shown), set(sample["limits"]))
        for name, figures in shown.items():
            self.assertLessEqual({"limit", "used", "reached"}, set(figures), name)
            self.assertEqual(figures["reached"], 0, name)

    def test_clients(self) -> None:
        rig = self.rig(config=limits(clients=3))
        kept = [self.open(rig) for _ in range(3)]
        for connection in kept:
            self.assertEqual(connection.ask("PING"), b"PONG")
        with RawConnection(rig.proxy.port) as refused:
            self.assertEqual(refused.reply(), "ERR max number of clients reached")
            self.assert_closed(refused)
        self.assertEqual(self.limit(rig, "clients")["reached"], 1)
        kept.pop().close()
        wait_until(lambda: self.served(rig), 20, "room for another client")

    def test_client_input(self) -> None:
        rig = self.rig(config=limits(client_input="256KiB"))
        with RawConnection(rig.proxy.port) as whole, RawConnection(rig.proxy.port) as too_much:
            self.assertEqual(whole.ask("SET", "k", b"x" * 200_000), b"OK")
            too_much.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n")
            sender = Sender(too_much, b"x" * 2 * MIB)
            self.assert_closed(too_much)
            sender.join(10)
            self.assertEqual(whole.ask("STRLEN", "k"), 200_000)
        figures = self.limit(rig, "client_input")
        self.assertEqual(figures["reached"], 1)
        self.assertEqual(figures["used"], 0)

    def test_client_output(self) -> None:
        rig = self.rig(config=limits(client_output="64KiB"))
        with raw_client(rig.proxy.port) as client:
            client.execute_command("SET", "k", b"x" * 100_000)
        with SlowReader(rig.proxy.port) as reader:
            sender = Sender(reader, encode("GET", "k") * 400)
            self.wait_reached(rig, "client_output")
            # The kernel takes more and more for the client, and may empty a full buffer once more; then it takes no more.
            wait_until(lambda: self.limit(rig, "client_output")["used"] > 64 << 10, 30, "the output kept for the client")
            self.assert_others_served(rig)
            self.assertLess(self.limit(rig, "client_output")["used"], 8 * MIB, "40 MB were asked for")
            for _ in range(400):
                self.assertEqual(len(reader.reply()), 100_000)
            sender.join(10)
            self.assertTrue(sender.sent)

    def test_client_pipeline(self) -> None:
        rig = self.rig(config=limits(client_pipeline=10))
        with RawConnection(rig.proxy.port) as client:
            self.assertEqual(client.ask("SET", "n", 0), b"OK")
            rig.old.pause()
            client.send(encode("INCR", "n") * 100)
            figures = self.wait_reached(rig, "client_pipeline")
            self.assertEqual(figures["used"], 10)
            rig.old.resume()
            self.assertEqual([client.reply() for _ in range(100)], list(range(1, 101)))

    def test_transaction(self) -> None:
        rig = self.rig(config=limits(transaction="64KiB"))
        with RawConnection(rig.proxy.port) as client:
            self.assertEqual(client.ask("MULTI"), b"OK")
            self.assertEqual(client.ask("SET", "k", b"x" * 40_000), b"QUEUED")
            self.assertGreater(self.limit(rig, "transaction")["used"], 40_000)
            self.assertRegex(client.ask("SET", "k", b"x" * 40_000), "limits.transaction")
            self.assertRegex(client.ask("EXEC"), "^EXECABORT")
            self.assertEqual(client.ask("EXISTS", "k"), 0)
        self.assertEqual(self.limit(rig, "transaction")["reached"], 1)

    def test_subscriber_output(self) -> None:
        rig = self.rig(config=limits(subscriber_output="256KiB"))
        with SlowReader(rig.proxy.port) as subscriber, raw_client(rig.proxy.port) as publisher:
            subscriber.send(encode("SUBSCRIBE", "c"))
            self.assertEqual(subscriber.reply()[0], b"subscribe")

            def publish() -> bool:
                publisher.execute_command("PUBLISH", "c", b"x" * 200_000)
                return self.limit(rig, "subscriber_output")["reached"] == 1

            wait_until(publish, 60, "the subscriber is dropped")
            self.assert_closed(subscriber)
        self.assert_others_served(rig)

    def test_private_connections(self) -> None:
        rig = self.rig(config=limits(private_connections=2))
        watchers = [self.open(rig) for _ in range(3)]
        answers = [watcher.ask("WATCH", "k") for watcher in watchers]
        self.assertEqual(answers[:2], [b"OK", b"OK"])
        self.assertIsInstance(answers[2], ErrorReply)
        self.assertEqual(self.limit(rig, "private_connections"), {"limit": 2, "used": 2, "reached": 1})

    def test_admin_connections(self) -> None:
        rig = self.rig(config=limits(admin_connections=4))
        port = int(rig.admin.address.rsplit(":", 1)[1])
        idle = [socket.create_connection((HOST, port), timeout=10) for _ in range(4)]
        wait_until(lambda: self.told_503(port), 10, "a connection too many is told so")
        for connection in idle:
            connection.close()
        self.wait_reached(rig, "admin_connections")
        self.assert_others_served(rig)

    def told_503(self, port: int) -> bool:
        with socket.create_connection((HOST, port), timeout=10) as refused:
            return refused.recv(100).startswith(b"HTTP/1.1 503")


class StoreLimitsTest(LimitsCase):
    def test_the_primarys_queue_in_bytes(self) -> None:
        """The primary stops: what its clients send is bounded, as a direct connection's buffers would fill up."""
        rig = self.rig(config=limits(primary_queue="8MiB", client_pipeline=1000) + NO_REPAIR)
        before = rig.proxy.resident_mib()
        rig.old.pause()
        clients = [self.open(rig) for _ in range(8)]
        senders = [Sender(client, encode("SET", f"k{number}", b"x" * MIB) * 40) for number, client in enumerate(clients)]
        figures = self.wait_reached(rig, "primary_queue")
        self.assertIn("limits.primary_queue", str(rig.admin.status()["attention"]))
        self.assertLess(figures["used"], 12 * MIB, "of the 320 MB that are being sent")
        grown = rig.proxy.resident_mib() - before
        self.say(f"8 clients send 320 MiB to a stopped primary: {figures['used'] / MIB:.1f} MiB are in flight, "
                 f"the proxy has grown by {grown:.0f} MiB")
        self.assertLess(grown, 120)
        rig.old.resume()
        for client, sender in zip(clients, senders):
            self.assertEqual([client.reply() for _ in range(40)], [b"OK"] * 40)
            sender.join(20)
            self.assertTrue(sender.sent)
        self.assertLess(self.limit(rig, "primary_queue")["peak"], 12 * MIB)
        self.assert_others_served(rig)

    def test_the_primarys_queue_in_commands(self) -> None:
        rig = self.rig(config=limits(primary_commands=100))
        rig.old.pause()
        clients = [self.open(rig) for _ in range(20)]
        for number, client in enumerate(clients):
            client.send(encode("INCR", f"n{number}") * 50)
        figures = self.wait_reached(rig, "primary_commands")
        self.assertLessEqual(figures["used"], 110)
        rig.old.resume()
        for client in clients:
            self.assertEqual([client.reply() for _ in range(50)], list(range(1, 51)))
        self.assertLessEqual(self.limit(rig, "primary_commands")["peak"], 110)
        self.assert_converged(rig)

    def test_the_secondarys_queue(self) -> None:
        rig = self.rig(config=limits(secondary_queue="4MiB") + '[breaker]\nenabled = false\n')  # it may be first
        rig.new.pause()
        with raw_client(rig.proxy.port) as client:
            wait_until(lambda: client.execute_command("SET", "k", b"x" * MIB) == b"OK" and
                       self.limit(rig, "secondary_queue")["reached"] > 0, 60, "the queue overflows")
        self.assertIn("does not keep up", str(rig.admin.status()["attention"]))
        rig.new.resume()
        self.assert_converged(rig)


class MemoryTest(LimitsCase):
    """limits.memory is 32 MiB here: reading begins again at 28."""

    def test_unfinished_requests_do_not_hold_up_the_others_for_ever(self) -> None:
        rig = self.rig(config=limits(memory="32MiB"))
        hoarders = [self.open(rig) for _ in range(4)]
        for hoarder in hoarders:
            hoarder.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n")
        senders = [Sender(hoarder, b"x" * 12 * MIB) for hoarder in hoarders]
        figures = self.wait_reached(rig, "memory")
        self.assertGreater(figures["peak"], 28 * MIB)
        # The largest has gone by and by; then the others are read from again, and new ones are let in.
        wait_until(lambda: self.limit(rig, "memory")["clients_dropped"] >= 1, 30, "one is dropped")
        wait_until(lambda: self.served(rig), 60, "others are served again")
        figures = self.limit(rig, "memory")
        self.assertLess(figures["peak"], 34 * MIB)
        self.assertIn("event=memory_full", rig.proxy.log())
        self.assertIn("reason=limits.memory", rig.proxy.log())
        for hoarder in hoarders:
            hoarder.close()
        for sender in senders:
            sender.join(10)

    def test_new_clients_are_refused_meanwhile(self) -> None:
        rig = self.rig(config=limits(memory="32MiB", primary_queue="1GiB"))
        rig.old.pause()
        clients = [self.open(rig) for _ in range(4)]
        senders = [Sender(client, encode("SET", f"k{number}", b"x" * MIB) * 15) for number, client in enumerate(clients)]
        self.wait_reached(rig, "memory")
        with RawConnection(rig.proxy.port) as refused:
            self.assertRegex(refused.reply(), "limits.memory")
            self.assert_closed(refused)
        self.assertIn("limits.memory", str(rig.admin.status()["attention"]))
        self.assertLess(self.limit(rig, "memory")["used"], 40 * MIB)
        rig.old.resume()
        for client, sender in zip(clients, senders):
            self.assertEqual([client.reply() for _ in range(15)], [b"OK"] * 15)
            sender.join(20)
            self.assertTrue(sender.sent)
        figures = self.limit(rig, "memory")
        self.assertEqual(figures["clients_dropped"], 0, "waiting for the primary was enough")
        self.assert_others_served(rig)
        self.assert_converged(rig)

    def test_replies_that_nobody_reads(self) -> None:
        rig = self.rig(config=limits(memory="32MiB"))
        with raw_client(rig.proxy.port) as client:
            client.execute_command("SET", "k", b"x" * 8 * MIB)
        readers = [self.open(rig, SlowReader) for _ in range(30)]
        for reader in readers:
            reader.send(encode("GET", "k"))
        self.wait_reached(rig, "memory")
        wait_until(lambda: self.served(rig), 60, "others are served again")
        figures = self.limit(rig, "memory")
        self.say(f"30 clients asked for 240 MiB and read nothing: {figures['clients_dropped']} were dropped, peak "
                 f"{figures['peak'] / MIB:.1f} MiB of 32")
        self.assertGreater(figures["clients_dropped"], 0)
        self.assertLess(figures["peak"], 50 * MIB)

    def test_the_secondarys_backlog_goes_first(self) -> None:
        """I3: with the secondary stopped, and a queue for it that memory can't hold, no client notices anything."""
        rig = self.rig(config=limits(memory="32MiB", secondary_queue="1GiB"))
        rig.new.pause()
        slowest = 0.0
        with raw_client(rig.proxy.port, socket_timeout=20) as client:
            for number in range(60):
                begin = time.monotonic()
                self.assertEqual(client.execute_command("SET", f"k{number}", b"x" * MIB), b"OK")
                slowest = max(slowest, time.monotonic() - begin)
        figures = rig.admin.status()["limits"]
        self.say(f"60 MiB written with the secondary stopped: slowest SET {slowest * 1000:.0f} ms, peak "
                 f"{figures['memory']['peak'] / MIB:.1f} MiB of 32")
        self.assertGreaterEqual(figures["memory"]["reached"], 1)
        self.assertGreaterEqual(figures["secondary_queue"]["reached"], 1)
        self.assertEqual(figures["memory"]["clients_dropped"], 0)
        self.assertEqual(figures["clients"]["reached"], 0)
        self.assertLess(figures["memory"]["peak"], 40 * MIB)
        rig.new.resume()
        self.assert_converged(rig)


if __name__ == "__main__":
    main()
