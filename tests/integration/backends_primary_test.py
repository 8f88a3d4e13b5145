"""The primary is slow, silent, full, read-only, locked or mad: clients see what a direct connection would show them,
and the secondary gets what was accepted, and nothing else."""
import concurrent.futures
import shutil
import time
from typing import Any

import redis

from admin import wait_until
from harness import HOST, Rig, free_port, main
from resp import Closed, ErrorReply, RawConnection
from traffic import raw_client
from trouble import REPAIR, TroubleTest


class PrimaryTest(TroubleTest):
    def both(self, rig: Rig, *words: Any) -> tuple[Any, Any]:
        """What a client gets through the proxy, and then what it gets from the store itself."""
        answers = []
        for port in (rig.proxy.port, rig.old.port):
            with RawConnection(port) as connection:
                answers.append(connection.ask(*words))
        return answers[0], answers[1]

    def assert_verbatim(self, rig: Rig, code: str, *words: Any) -> None:
        proxied, direct = self.both(rig, *words)
        self.say(f"{words[0]}: {proxied}")
        self.assertIsInstance(direct, ErrorReply)
        self.assertTrue(direct.startswith(code), direct)
        self.assertEqual(proxied, direct)

    def assert_nothing_followed(self, rig: Rig) -> None:
        """Only what the primary has: refused writes have reached nobody."""
        status = self.assert_converged(rig)
        self.assertEqual(status["backends"]["new"]["breaker"]["opened"], 0)


class RefusingPrimaryTest(PrimaryTest):
    def test_readonly(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 20)
        with rig.old.client() as old:
            old.replicaof(HOST, free_port())
            for words in (("SET", "a", "1"), ("INCR", "b"), ("DEL", "key:1")):
                self.assert_verbatim(rig, "READONLY", *words)
            self.assertEqual(client.execute_command("GET", "key:3"), b"value 3")
            with RawConnection(rig.proxy.port) as connection:
                connection.ask("MULTI")
                connection.ask("SET", "a", "1")
                self.assertTrue(connection.ask("EXEC").startswith("EXECABORT"))
            old.replicaof("NO", "ONE")
        self.assertEqual(client.execute_command("SET", "a", "2"), b"OK")
        self.assert_nothing_followed(rig)

    def test_out_of_memory(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 20)
        with rig.old.client() as old:
            old.config_set("maxmemory-policy", "noeviction")
            old.config_set("maxmemory", "1mb")
            self.assert_verbatim(rig, "OOM", "SET", "a", "x")
            self.assert_verbatim(rig, "OOM", "LPUSH", "list", "x")
            self.assertEqual(client.execute_command("DEL", "key:1"), 1, "what frees memory is taken")
            old.config_set("maxmemory", 0)
        self.assertEqual(client.execute_command("SET", "a", "x"), b"OK")
        self.assert_nothing_followed(rig)

    def test_misconf(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 20)
        with rig.old.client() as old:
            old.config_set("save", "3600 1000000")
            shutil.rmtree(rig.old.directory)
            old.bgsave()
            wait_until(lambda: old.info("persistence")["rdb_last_bgsave_status"] == "err", 10, "a failed BGSAVE")
            self.assert_verbatim(rig, "MISCONF", "SET", "a", "x")
            self.assertEqual(client.execute_command("GET", "key:1"), b"value 1")
            old.config_set("stop-writes-on-bgsave-error", "no")
        self.assertEqual(client.execute_command("SET", "a", "x"), b"OK")
        self.assert_nothing_followed(rig)

    def test_one_command_not_permitted(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        client.execute_command("SADD", "set", *range(20))
        with rig.old.client() as old:
            old.execute_command("ACL SETUSER default -spop")
            self.assert_verbatim(rig, "NOPERM", "SPOP", "set")
            self.assertEqual(client.execute_command("SADD", "set", "more"), 1)
            old.execute_command("ACL SETUSER default +spop")
        self.assertIsNotNone(client.execute_command("SPOP", "set"))
        self.assert_nothing_followed(rig)

    def test_loading(self) -> None:
        """Libraries know LOADING by its code, and try again."""
        rig = self.rig(config=REPAIR, old_args=["--loading-process-events-interval-bytes", "1024"])
        client = raw_client(rig.proxy.port)
        for number in range(3000):
            client.execute_command("SET", f"key:{number}", b"x" * 100)
        self.assert_converged(rig)
        with rig.old.client() as old:
            old.save()
        rig.old.kill()
        rig.old.args += ["--key-load-delay", "1000"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            # The server is started here: it dies with the thread that started it.
            seen = pool.submit(lambda: wait_until(lambda: self.loading_answer(rig), 30, "LOADING"))
            rig.old.start()
            self.assertEqual(seen.result(), "LOADING Redis is loading the dataset in memory")
        rig.wait_up("old")
        rig.admin.resync()  # another process: people say that its data is right
        rig.admin.wait_synced()
        self.assertEqual(client.execute_command("GET", "key:7"), b"x" * 100)
        self.assert_converged(rig)

    def loading_answer(self, rig: Rig) -> str:
        with RawConnection(rig.proxy.port) as connection:
            answer = connection.ask("GET", "key:7")
        return answer if isinstance(answer, ErrorReply) and answer.startswith("LOADING") else ""

    def test_another_password(self) -> None:
        rig = self.rig(config=REPAIR)
        client = raw_client(rig.proxy.port)
        with rig.old.client() as old:
            old.config_set("requirepass", "an0ther")
            self.write(client, 20)  # a connection that is logged in stays so
            old.execute_command("CLIENT KILL TYPE normal SKIPME yes")

            def refused() -> str:
                with RawConnection(rig.proxy.port) as connection:
                    answer = connection.ask("GET", "key:1")
                return answer if "password" in str(answer) else ""
            self.say(wait_until(refused, 20, "an error that names the password"))
            self.assertEqual(rig.admin.request("GET", "/readyz")[0], 503)
            old.config_set("requirepass", "")
        rig.wait_up("old")
        self.assertEqual(raw_client(rig.proxy.port).execute_command("GET", "key:1"), b"value 1")
        self.assert_converged(rig)


class SlowPrimaryTest(PrimaryTest):
    def test_200_ms_away(self) -> None:
        rig, relay = self.relayed("old", config=REPAIR)
        client = raw_client(rig.proxy.port)
        relay.set(delay=0.2)
        times = self.write(client, 5)
        self.assertGreater(min(times), 390, "it takes as long as the primary does")
        pipe = client.pipeline(transaction=False)
        for number in range(100):
            pipe.set(f"piped:{number}", number)
        begin = time.monotonic()
        self.assertEqual(pipe.execute(), [b"OK"] * 100)
        self.assertLess(time.monotonic() - begin, 5, "and not longer: pipelines are one way there and back")
        relay.heal()
        self.assert_converged(rig)

    def test_one_byte_a_second(self) -> None:
        """A client's answer comes with the primary's; nothing breaks, and it goes on when the primary does."""
        rig, relay = self.relayed("old", config=REPAIR)
        with RawConnection(rig.proxy.port) as connection:
            self.assertEqual(connection.ask("SET", "key", "v"), b"OK")
            relay.set(rate=1.0)
            connection.socket.settimeout(1.5)
            with self.assertRaises(TimeoutError):
                connection.ask("GET", "key")
            relay.heal()
            connection.socket.settimeout(15)
            self.assertEqual(connection.reply(), b"v")
        self.assert_converged(rig)

    def test_half_open(self) -> None:
        """A hung primary hangs its clients until timeouts.response; then a write's connection ends, as when the store
        itself had ended it, and a read gets an error that says why."""
        rig, relay = self.relayed("old", config=REPAIR + '[timeouts]\nresponse = "1s"\nconnect = "300ms"\n')
        with RawConnection(rig.proxy.port) as writer, RawConnection(rig.proxy.port) as reader:
            self.assertEqual(writer.ask("SET", "key", "v"), b"OK")
            self.assertEqual(reader.ask("GET", "key"), b"v")
            relay.set(blackhole=True)
            begin = time.monotonic()
            answers = concurrent.futures.ThreadPoolExecutor(1)
            writing = answers.submit(self.end_of, writer)
            error = reader.ask("GET", "key")
            self.assertIs(writing.result(), Closed)
            answers.shutdown()
            self.say(f"after {time.monotonic() - begin:.1f} s: {error}")
            self.assertRegex(str(error), "^ERR crossfade: the primary .* is down")
            self.assertGreater(time.monotonic() - begin, 0.9)
            self.assertGreater(rig.admin.status()["writes"]["unknown_outcomes"], 0)
        relay.heal()
        rig.wait_up("old")
        self.assertEqual(raw_client(rig.proxy.port).execute_command("GET", "key"), b"v")
        self.assert_converged(rig)

    def end_of(self, writer: RawConnection) -> Any:
        try:
            return writer.ask("SET", "key", "lost on its way")
        except Closed as closed:
            return type(closed)

    def test_refused_and_cut(self) -> None:
        rig, relay = self.relayed("old", config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 5)
        relay.refuse()
        relay.cut()
        wait_until(lambda: rig.backend_state("old") == "down", 10, "down")
        for words in (("GET", "key:1"), ("SET", "key:1", "v")):
            begin = time.monotonic()
            with self.assertRaisesRegex(redis.ResponseError, r"^crossfade: the primary \(old, .*\) is down: "):
                client.execute_command(*words)
            self.assertLess(time.monotonic() - begin, 5, "told at once")
        relay.accept()
        rig.wait_up("old")
        self.write(client, 5)
        self.assert_converged(rig)


class MadPrimaryTest(PrimaryTest):
    def test_rubbish(self) -> None:
        """Whoever waits for a write's answer loses the connection; who waits for nothing notices nothing."""
        rig, relay = self.relayed("old", config=REPAIR)
        idle = raw_client(rig.proxy.port)
        self.write(idle, 5)
        for rubbish in (b"?what\r\n", b"$-7\r\n", b"\0" * 100):
            with RawConnection(rig.proxy.port) as writer:
                relay.set(delay=0.5)
                writer.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n")
                wait_until(lambda: rig.admin.status()["backends"]["old"]["replies_owed"] > 0, 10, "on its way")
                relay.inject(rubbish)
                with self.assertRaises(Closed):
                    writer.reply()
                relay.heal()
            rig.wait_up("old")
            self.write(idle, 5)
        self.assert_converged(rig)

    def test_one_reply_too_many(self) -> None:
        """Found out at once when nothing was asked: before any client has got another's answer."""
        rig, relay = self.relayed("old", config=REPAIR)
        client = raw_client(rig.proxy.port)
        self.write(client, 50)
        self.assert_converged(rig)
        overflows = rig.admin.status()["dirty"]["overflows"]
        self.assertEqual(relay.inject(b"+one too many\r\n"), 1)
        rig.admin.wait_status(lambda status: status["dirty"]["overflows"] > overflows, 20, "everything is dirty")
        rig.wait_up("old")
        self.write(client, 50)
        rig.admin.wait_synced()
        self.assert_converged(rig)


if __name__ == "__main__":
    main()
