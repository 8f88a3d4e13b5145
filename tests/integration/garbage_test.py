"""Whatever arrives on either port: an error or a closed connection, and nobody else is hurt."""
import os
import random
import socket
import threading
import time
from typing import Optional

from admin import wait_until
from harness import LONG, CrossfadeTest, Rig, main
from resp import Closed, ErrorReply, RawConnection, encode

SEED = int(os.environ.get("CROSSFADE_SEED", random.SystemRandom().randrange(2**32)))
ROUNDS = 2000 if LONG else 300


class Bystander:
    """A client that goes on asking, in a thread of its own, and whose answers must stay right and come in time."""

    def __init__(self, port: int):
        self.slowest = 0.0
        self.asked = 0
        self.failure: Optional[BaseException] = None
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Bystander":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            with RawConnection(self._port) as connection:
                start = connection.ask("INCRBY", "bystander", 0)
                while not self._stop.wait(0.005):
                    begin = time.monotonic()
                    answer = connection.ask("INCR", "bystander")
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    self.asked += 1
                    assert answer == start + self.asked, f"got {answer!r}, wanted {start + self.asked}"
        except BaseException as failure:  # shown by the test; a thread cannot fail it
            self.failure = failure


class GarbageTest(CrossfadeTest):
    def setUp(self) -> None:
        self.the_rig = self.rig()
        self.bystander = Bystander(self.the_rig.proxy.port)
        self.enterContext(self.bystander)
        self.resident_before = self.the_rig.proxy.resident_mib()

    def tearDown(self) -> None:
        """After each test: the proxy lives, its memory is bounded, the bystander is unhurt, the stores agree."""
        rig = self.the_rig
        self.assertTrue(rig.proxy.running, rig.proxy.log(20))
        before = self.bystander.asked
        wait_until(lambda: self.bystander.asked > before or self.bystander.failure, 20, "the bystander's next answer")
        self.bystander.__exit__()
        if self.bystander.failure is not None:
            raise self.bystander.failure
        self.say(f"bystander: {self.bystander.asked} answers, slowest {self.bystander.slowest * 1000:.0f} ms; "
                 f"resident {self.resident_before:.0f} → {rig.proxy.resident_mib():.0f} MiB")
        self.assertLess(self.bystander.slowest, 10)
        self.assertLess(rig.proxy.resident_mib(), 200)
        self.assert_converged(rig)

    def connection(self, **options) -> RawConnection:
        return self.enterContext(RawConnection(self.the_rig.proxy.port, **options))

    def assert_refused(self, data: bytes, wanted: str = "") -> bytes:
        """The bytes are answered with a protocol error, and the connection is closed."""
        with RawConnection(self.the_rig.proxy.port) as connection:
            try:
                connection.send(data)
            except ConnectionError:
                pass  # closed before it had read everything
            answer = connection.until_closed()
        self.assertTrue(not answer or answer.startswith(b"-"), f"{data[:60]!r}: {answer[:200]!r}")
        if wanted and (answer or len(data) < 1000):  # a reset, for what was left unread, may overtake the answer
            self.assertIn(wanted, answer.decode(errors="replace"), data[:60])
        return answer

    def admin_socket(self) -> socket.socket:
        host, port = self.the_rig.admin.address.rsplit(":", 1)
        connection = socket.create_connection((host, int(port)), timeout=20)
        self.addCleanup(connection.close)
        return connection

    def admin_answer(self, data: bytes, patience: float = 15.0, read_most: int = 1 << 20) -> bytes:
        """What the admin port answers to these bytes, until it closes or says nothing more for `patience` seconds."""
        with self.admin_socket() as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.settimeout(patience)
                while len(answer) < read_most:
                    more = connection.recv(1 << 16)
                    if not more:
                        break
                    answer += more
            except OSError:  # closed on us, or nothing more to say
                pass
            return answer


class ApplicationPortTest(GarbageTest):
    def test_random_bytes(self) -> None:
        print(f"    CROSSFADE_SEED={SEED}", flush=True)
        rng = random.Random(SEED)
        pieces = [b"*", b"$", b"\r\n", b"-1", b"3", b"SET", b"GET", b"*3\r\n$3\r\nSET\r\n", b"$5\r\n", b"\x00", b'"',
                  b"99999999999999999999", b"%", b"~", b">", b"PING\r\n"]
        for _ in range(ROUNDS):
            if rng.random() < 0.5:
                data = rng.randbytes(rng.randrange(1, 400))
            else:
                data = b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 30)))
            with RawConnection(self.the_rig.proxy.port) as connection:
                try:
                    connection.send(data)
                    if rng.random() < 0.3:
                        connection.socket.settimeout(0.02)
                        connection.socket.recv(4096)
                except (ConnectionError, socket.timeout):
                    pass

    def test_protocol_errors_are_named(self) -> None:
        self.assert_refused(b"*1\r\n$-5\r\n", "Protocol error")
        self.assert_refused(b"*2\r\n$3\r\nGET\r\n$-5\r\nabc\r\n", "Protocol error")
        self.assert_refused(b"*1\r\n:1\r\n", "Protocol error")
        self.assert_refused(b"*99999999999\r\n", "Protocol error")
        self.assert_refused(b"*abc\r\n", "Protocol error")
        self.assert_refused(b"*1\r\n$99999999999\r\n", "Protocol error")
        self.assert_refused(b"*1\r\n$600000000\r\n", "Protocol error")
        self.assert_refused(b"x" * 70_000, "Protocol error")
        self.assert_refused(b"*1\r\n$" + b"1" * 70_000, "Protocol error")

    def test_what_came_before_a_protocol_error_is_answered(self) -> None:
        connection = self.connection()
        connection.send(encode("SET", "k", "v") + encode("GET", "k") + b"*1\r\n$-5\r\n" + encode("SET", "k", "not me"))
        self.assertEqual(connection.reply(), b"OK")
        self.assertEqual(connection.reply(), b"v")
        self.assertIsInstance(connection.reply(), ErrorReply)
        with self.assertRaises(Closed):
            connection.reply()
        self.assertEqual(self.connection().ask("GET", "k"), b"v")

    def test_a_million_of_nothing(self) -> None:
        """Room is taken for what has come, not for what was announced."""
        connections = [self.connection() for _ in range(50)]
        for connection in connections:
            connection.send(b"*1000000\r\n")
        for connection in connections[:25]:
            connection.send(b"$3\r\nSET\r\n$536870000\r\nnot much")
        time.sleep(0.5)
        self.assertLess(self.the_rig.proxy.resident_mib(), 150)
        self.assertEqual(self.connection().ask("PING"), b"PONG")

    def test_truncated_commands(self) -> None:
        whole = encode("SET", "truncated", "value") + encode("MULTI") + encode("INCR", "truncated:2")
        for length in range(1, len(whole)):
            with RawConnection(self.the_rig.proxy.port) as connection:
                connection.send(whole[:length])
        connection = self.connection()
        wait_until(lambda: connection.ask("GET", "truncated") == b"value", 10, "the whole SETs are carried out")
        self.assertIsNone(connection.ask("GET", "truncated:2"))

    def test_one_byte_at_a_time(self) -> None:
        connection = self.connection()
        for byte in encode("SET", "slow", "value") + b"GET slow\r\n":
            connection.send(bytes((byte,)))
        self.assertEqual(connection.reply(), b"OK")
        self.assertEqual(connection.reply(), b"value")

    def test_ten_thousand_pings_and_a_close(self) -> None:
        for _ in range(5):
            with RawConnection(self.the_rig.proxy.port) as connection:
                connection.send(encode("PING") * 10_000)
        connection = self.connection()
        threading.Thread(target=connection.send, args=(encode("PING") * 10_000,), daemon=True).start()
        for _ in range(10_000):
            self.assertEqual(connection.reply(), b"PONG")

    def test_ten_thousand_writes_and_a_close(self) -> None:
        with RawConnection(self.the_rig.proxy.port) as connection:
            for _ in range(100):
                connection.send(encode("INCR", "pipelined and gone") * 100)

    def test_http_on_the_application_port(self) -> None:
        self.assert_refused(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nSET a b\r\n")
        self.assert_refused(b"GET / HTTP/1.1\r\nHost: localhost:6400\r\n\r\n")
        self.assertEqual(self.connection().ask("EXISTS", "a", "/"), 0)

    def test_tls_hello_on_the_application_port(self) -> None:
        with RawConnection(self.the_rig.proxy.port) as connection:
            connection.send(bytes.fromhex("16030100c8010000c40303") + random.Random(1).randbytes(190) + b"\r\n\r\n")
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.until_closed()
        self.assertTrue(all(line.startswith(b"-") for line in answer.splitlines() if line), answer)

    def test_a_client_that_asks_for_320_mib_and_reads_nothing(self) -> None:
        greedy, other = self.connection(timeout=60), self.connection()
        value = b"x" * (1 << 20)
        other.ask("SET", "big", value)
        greedy.send(encode("GET", "big") * 320)
        highest = 0.0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            highest = max(highest, self.the_rig.proxy.resident_mib())
            self.assertEqual(other.ask("PING"), b"PONG")
            self.assertEqual(other.ask("STRLEN", "big"), len(value))
            time.sleep(0.05)
        self.say(f"highest {highest:.0f} MiB resident")
        self.assertLess(highest, 200)
        for _ in range(320):
            self.assertEqual(greedy.reply(), value)
        self.assertEqual(greedy.ask("PING"), b"PONG")

    def test_many_connections_that_say_nothing(self) -> None:
        idle = [self.connection() for _ in range(500)]
        self.assertEqual(self.connection().ask("PING"), b"PONG")
        wait_until(lambda: self.the_rig.admin.status()["clients"]["connected"] >= 500, 10, "500 clients counted")
        for connection in idle:
            connection.close()
        wait_until(lambda: self.the_rig.admin.status()["clients"]["connected"] < 10, 20, "they are gone")

    def test_reset_connections(self) -> None:
        """RST in the middle of requests and replies."""
        for number in range(200):
            connection = RawConnection(self.the_rig.proxy.port)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.send((encode("SET", f"reset:{number}", "x" * 1000) + encode("GET", "reset:0")) * 20)
            connection.close()


class ClientLimitTest(CrossfadeTest):
    def test_the_client_limit_is_told(self) -> None:
        rig = self.rig(config="[limits]\nclients = 5\n")
        with_room = [self.enterContext(RawConnection(rig.proxy.port)) for _ in range(5)]
        for connection in with_room:
            self.assertEqual(connection.ask("PING"), b"PONG")
        with RawConnection(rig.proxy.port) as too_many:
            self.assertRegex(too_many.until_closed().decode(), "^-ERR max number of clients reached")
        with_room.pop().close()
        wait_until(lambda: self.pings(rig), 10, "room for one again")

    def pings(self, rig: Rig) -> bool:
        with RawConnection(rig.proxy.port) as connection:
            try:
                return connection.ask("PING") == b"PONG"
            except Closed:
                return False


class AdminPortTest(GarbageTest):
    def assert_admin_well(self) -> None:
        self.assertEqual(self.the_rig.admin.status()["primary"], "old")

    def test_random_bytes(self) -> None:
        print(f"    CROSSFADE_SEED={SEED}", flush=True)
        rng = random.Random(SEED)
        words = [b"GET ", b"POST ", b"/api/v1/status", b" HTTP/1.1", b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"-1",
                 b"Transfer-Encoding: chunked\r\n", b"ffffffffffffffff\r\n", b"%00", b"%zz", b"\x00", b"Host: x\r\n"]
        for _ in range(ROUNDS):
            data = rng.randbytes(rng.randrange(1, 300)) if rng.random() < 0.5 else \
                b"".join(rng.choice(words) for _ in range(rng.randrange(1, 15)))
            answer = self.admin_answer(data, patience=0.03)
            self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 "), answer[:100])
        self.assert_admin_well()

    def test_huge_head_and_huge_body(self) -> None:
        answer = self.admin_answer(b"GET /api/v1/status HTTP/1.1\r\nX: " + b"x" * 1_000_000)
        self.assertRegex(answer[:40].decode() or "HTTP/1.1 431", r"^HTTP/1.1 (431|400)")
        answer = self.admin_answer(b"GET /api/v1/status HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n")
        self.assertRegex(answer[:40].decode() or "HTTP/1.1 431", r"^HTTP/1.1 (431|400)")
        answer = self.admin_answer(b"POST /api/v1/flip HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
                                   + b"x" * 3_000_000)
        self.assertRegex(answer[:40].decode() or "HTTP/1.1 413", r"^HTTP/1.1 413")
        self.assert_admin_well()

    def test_half_requests_then_close(self) -> None:
        whole = b'PATCH /api/v1/routing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n{"compare": 100} '
        for length in range(len(whole)):
            with self.admin_socket() as connection:
                connection.sendall(whole[:length])
        self.assert_admin_well()
        self.assertEqual(self.the_rig.admin.status()["compare"], 0)

    def test_slow_senders_are_cut_off_and_hold_up_nobody(self) -> None:
        slow = [self.admin_socket() for _ in range(100)]
        for connection in slow:
            connection.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost:")
        self.assert_admin_well()
        deadline = time.monotonic() + 40
        closed = False
        while not closed and time.monotonic() < deadline:
            try:
                slow[0].sendall(b"x")
                slow[0].settimeout(0.5)
                closed = not slow[0].recv(4096) or True  # a 408, or the end
            except socket.timeout:
                continue
            except OSError:
                closed = True
        self.assertTrue(closed, "a request that never ends was never cut off")
        self.assert_admin_well()

    def test_resp_on_the_admin_port(self) -> None:
        answer = self.admin_answer(encode("PING"), patience=3)
        self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 400"), answer[:100])
        self.assert_admin_well()

    def test_bad_bodies_are_refused_with_a_reason(self) -> None:
        cases: list[tuple[str, str, object]] = [
            ("PATCH", "/api/v1/routing", {"reads_new": 101}), ("PATCH", "/api/v1/routing", {"reads_new": -1}),
            ("PATCH", "/api/v1/routing", {"reads_new": "many"}), ("PATCH", "/api/v1/routing", {"ack": "nobody"}),
            ("PATCH", "/api/v1/routing", {"unknown": 1}), ("PATCH", "/api/v1/routing", []),
            ("PATCH", "/api/v1/routing", {"secondary": None}), ("POST", "/api/v1/flip", {"to": 1}),
            ("POST", "/api/v1/flip", {"to": "new", "max_pause_ms": "soon"}),
            ("POST", "/api/v1/flip", {"to": "new", "unknown": True}),
            ("POST", "/api/v1/flip", {"to": "new", "max_pause_ms": -1}),
        ]
        for method, path, body in cases:
            with self.subTest(path=path, body=body):
                code, answer = self.the_rig.admin.request(method, path, body)
                self.assertEqual(code, 400, answer)
                self.assertTrue(answer["error"], answer)
        head = b"PATCH /api/v1/routing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        for body in (b"{", b"\xff\xfe", b"[" * 100_000, b'{"compare": 1e999}', b'{"compare": 10} trailing'):
            answer = self.admin_answer(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400"), (body[:30], answer[:200]))
        status = self.the_rig.admin.status()
        self.assertEqual((status["compare"], status["reads_new"], status["primary"]), (0, 0, "old"))

    def test_unknown_paths_and_methods(self) -> None:
        for method, path, wanted in (("GET", "/nothing", 404), ("GET", "/api/v1/nothing", 404),
                                     ("DELETE", "/api/v1/status", 405), ("GET", "/api/v1/routing", 405)):
            code, answer = self.the_rig.admin.request(method, path)
            self.assertEqual(code, wanted, (method, path, answer))
            self.assertTrue(answer["error"])

    def test_many_requests_on_one_connection(self) -> None:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        with self.admin_socket() as connection:
            connection.sendall(request * 50)
            answer = b""
            while answer.count(b"HTTP/1.1 200") < 50:
                more = connection.recv(1 << 16)
                self.assertTrue(more, f"closed after {answer.count(b'HTTP/1.1 200')} answers")
                answer += more


del GarbageTest  # only its subclasses have tests

if __name__ == "__main__":
    main()
