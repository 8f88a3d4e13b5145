"""Who the admin port answers: other sites' pages, no token, a wrong one and bodies without end are refused, and nothing
has changed then; streams leave room for plain requests. As a browser on the operator's machine would try it, too."""
from __future__ import annotations

import http.client
import http.server
import json
import socket
import threading
import time
from typing import Any, Iterator, Optional

from admin import wait_until
from browser import Browser
from harness import HOST, CrossfadeTest, Rig, main

TOKEN = "correct-horse-battery-staple"
TURN_READS = {"reads_new": 33}
MEBI = 1 << 20

# What a page of another site can have a browser do without asking first: forms, images, fetch without CORS.
EVIL_PAGE = """<!doctype html><title>evil</title><iframe name="sink"></iframe>
<form id="form" method="POST" enctype="text/plain" target="sink" action="http://%(admin)s/api/v1/flip">
<input name='{"to": "new", "cold": true, "max_pause_ms": 500, "x' value='y"}'></form>
<script>
const tried = [];
const attempt = (name, promise) => promise.then((r) => tried.push(name + " " + r.type + " " + r.status),
                                                () => tried.push(name + " failed"));
const url = (path) => "http://%(admin)s" + path;
window.done = Promise.all([
  attempt("simple", fetch(url("/api/v1/flip"), {method: "POST", mode: "no-cors", body: '{"to": "new", "cold": true}'})),
  attempt("preflighted", fetch(url("/api/v1/routing"), {method: "PATCH", headers: {"content-type": "application/json"},
                                                        body: '{"reads_new": 33}'})),
  attempt("read", fetch(url("/api/v1/status"))),
  attempt("events", fetch(url("/api/v1/events"))),
  new Promise((resolve) => { const image = new Image(); image.onerror = resolve; image.src = url("/api/v1/preflight"); }),
]).then(() => { document.getElementById("form").submit(); return tried; });
</script>"""


class Answers:
    """One HTTP exchange by hand, so that every header is ours."""

    def __init__(self, rig: Rig):
        self.host, port = rig.admin.address.rsplit(":", 1)
        self.port = int(port)

    def ask(self, method: str, path: str, headers: Optional[dict[str, str]] = None, body: Any = None
            ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            data = json.dumps(body) if body is not None else None
            connection.putrequest(method, path, skip_host="host" in (headers or {}), skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data.encode() if data is not None else None)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def status(self, method: str, path: str, headers: Optional[dict[str, str]] = None, body: Any = None) -> int:
        return self.ask(method, path, headers, body)[0]


class Events:
    """GET /api/v1/events, read as it comes."""

    def __init__(self, rig: Rig, token: str = ""):
        self.connection = http.client.HTTPConnection(*rig.admin.address.rsplit(":", 1), timeout=10)
        self.connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {token}"} if token else {})
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def __iter__(self) -> Iterator[dict[str, Any]]:
        event: dict[str, Any] = {}
        for line in self.response:
            text = line.decode().rstrip("\n")
            if not text:
                yield event
                event = {}
            else:
                name, _, value = text.partition(": ")
                event[name] = json.loads(value) if name == "data" else value

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class SecurityTest(CrossfadeTest):
    def with_token(self) -> Rig:
        rig = self.rig(start=False)
        (rig.directory / "token").write_text(TOKEN)
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{rig.directory}/token"\n')
        rig.proxy.token = TOKEN
        rig.start_connected()
        return rig

    def assert_unchanged(self, rig: Rig) -> None:
        status = rig.admin.status()
        self.assertEqual((status["primary"], status["reads_new"], status["backfill"]["state"]), ("old", 0, "idle"))

    # ---- other sites ----

    def test_other_sites_are_refused(self) -> None:
        rig = self.rig()
        asked = Answers(rig)
        for method, path, body in (("PATCH", "/api/v1/routing", TURN_READS), ("POST", "/api/v1/flip", {"to": "new"}),
                                   ("POST", "/api/v1/backfill", {}), ("DELETE", "/api/v1/backfill", None),
                                   ("POST", "/api/v1/resync", None), ("GET", "/api/v1/status", None),
                                   ("GET", "/api/v1/preflight", None), ("GET", "/api/v1/events", None)):
            for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                            {"sec-fetch-site": "same-site"}, {"origin": f"http://{HOST}:1"},
                            {"host": "evil.example"}, {"host": f"evil.example:{asked.port}",
                                                       "origin": f"http://evil.example:{asked.port}"}):
                with self.subTest(call=f"{method} {path}", headers=headers):
                    status, answer, text = asked.ask(method, path, headers, body)
                    self.assertEqual(status, 403, text)
                    self.assertNotIn("access-control-allow-origin", answer)
        self.assert_unchanged(rig)
        own = {"origin": f"http://{rig.admin.address}", "content-type": "application/json"}
        self.assertEqual(asked.status("PATCH", "/api/v1/routing", own, TURN_READS), 200)
        self.assertEqual(asked.status("PATCH", "/api/v1/routing", own | {"content-type": "text/plain"}, TURN_READS), 415)
        self.assertEqual(rig.admin.status()["reads_new"], 33)

    def test_a_page_of_another_site_in_a_real_browser(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        page = (EVIL_PAGE % {"admin": rig.admin.address}).encode()

        class Evil(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: Any) -> None:
                pass

        with http.server.ThreadingHTTPServer((HOST, 0), Evil) as server, Browser() as browser:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser.open(f"http://{HOST}:{server.server_port}/")
            tried = browser.evaluate("window.done")
            server.shutdown()
        self.assertEqual(sorted(tried), ["events failed", "preflighted failed", "read failed", "simple failed"])
        time.sleep(1)  # for the form, whose answer nobody sees
        self.assert_unchanged(rig)

    def test_the_page_cannot_be_framed_and_says_where_from_it_loads(self) -> None:
        rig = self.rig()
        asked = Answers(rig)
        for path in ("/", "/console.js", "/console.css", "/chart.js", "/icon.svg"):
            status, headers, text = asked.ask("GET", path)
            self.assertEqual(status, 200, path)
            policy = headers["content-security-policy"]
            for part in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'",
                         "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
                self.assertIn(part, policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual((headers["x-content-type-options"], headers["x-frame-options"], headers["referrer-policy"],
                              headers["cache-control"]), ("nosniff", "DENY", "no-referrer", "no-cache"))
            again, headers, empty = asked.ask("GET", path, {"if-none-match": headers["etag"]})
            self.assertEqual((again, empty), (304, b""))
            self.assertEqual(asked.ask("GET", path, {"if-none-match": '"other"'})[2], text)
        self.assertEqual(asked.status("POST", "/"), 405)
        self.assertEqual(asked.ask("GET", "/api/v1/status")[1]["x-content-type-options"], "nosniff")

    # ---- tokens ----

    def test_without_the_token_only_the_page_itself(self) -> None:
        rig = self.with_token()
        asked = Answers(rig)
        wrong = ["", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer {TOKEN.upper()}",
                 f"bearer{TOKEN}", f"Basic {TOKEN}", TOKEN, "Bearer " + "x" * 8000]
        for method, path in (("GET", "/api/v1/status"), ("GET", "/api/v1/events"), ("PATCH", "/api/v1/routing"),
                             ("POST", "/api/v1/flip"), ("DELETE", "/api/v1/backfill"), ("GET", "/api/v1/nothing")):
            self.assertEqual(asked.status(method, path, {}, TURN_READS if method == "PATCH" else None), 401)
            for value in wrong:
                with self.subTest(call=f"{method} {path}", authorization=value[:60]):
                    status, headers, text = asked.ask(method, path, {"authorization": value})
                    self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"))
                    self.assertNotIn(TOKEN.encode(), text)
        self.assertEqual(asked.status("GET", f"/api/v1/status?token={TOKEN}"), 401, "a token in an address ends in logs")
        for path in ("/", "/console.js", "/healthz", "/readyz"):
            self.assertEqual(asked.status("GET", path), 200, path)
        self.assert_unchanged(rig)
        # Behind a reverse proxy, under any name.
        through = {"authorization": f"Bearer {TOKEN}", "host": "fade.example", "origin": "https://fade.example",
                   "content-type": "application/json"}
        self.assertEqual(asked.status("PATCH", "/api/v1/routing", through, TURN_READS), 200)
        self.assertEqual(asked.status("PATCH", "/api/v1/routing", through | {"origin": "https://evil.example"}, {}), 403)
        self.assertNotIn(TOKEN, rig.proxy.log())

    # ---- bodies ----

    def test_ten_megabytes_are_refused_unread(self) -> None:
        rig = self.rig()
        head = f"PATCH /api/v1/routing HTTP/1.1\r\nHost: {rig.admin.address}\r\nContent-Type: application/json\r\n"
        before = rig.proxy.resident_mib()
        for framing, piece in ((f"Content-Length: {10 * MEBI}\r\n\r\n", b" " * 65536),
                               ("Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n")):
            with self.subTest(framing=framing.strip()), socket.create_connection(
                    tuple(rig.admin.address.rsplit(":", 1)), timeout=20) as peer:
                peer.sendall((head + framing).encode())
                sent = 0
                answer = b""
                if "chunked" not in framing:
                    answer = peer.recv(4096)  # before a byte of the body was sent
                while not answer and sent < 10 * MEBI:
                    peer.sendall(piece)
                    sent += 65536
                    peer.setblocking(False)
                    try:
                        answer = peer.recv(4096)
                    except BlockingIOError:
                        pass
                    peer.settimeout(20)
                self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:200])
                self.assertLess(sent, 8 * MEBI)
        self.assertLess(rig.proxy.resident_mib() - before, 8)
        self.assert_unchanged(rig)

    # ---- streams ----

    def test_events_tell_the_status_every_second(self) -> None:
        rig = self.with_token()
        stream = Events(rig, TOKEN)
        self.assertEqual(stream.status, 200)
        self.assertEqual(stream.response.getheader("content-type"), "text/event-stream")
        begin = time.monotonic()
        events = []
        for event in stream:
            events.append(event)
            if len(events) == 2:
                rig.admin.routing(compare=17)
            if len(events) == 6:  # one of them tells of the change
                break
        self.assertLess(time.monotonic() - begin, 20)
        numbers = [int(event["id"]) for event in events]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + 6)), "every one has the next number")
        self.assertLessEqual({event["event"] for event in events}, {"status", "audit"})
        events = [event for event in events if event["event"] == "status"]
        self.assertEqual((events[0]["data"]["compare"], events[-1]["data"]["compare"]), (0, 17))
        self.assertEqual(events[-1]["data"].keys(), rig.admin.status().keys())
        uptimes = [event["data"]["uptime_ms"] for event in events]
        self.assertLess(max(b - a for a, b in zip(uptimes[1:], uptimes[2:])), 4000, uptimes)
        rig.proxy.end()
        self.assertLess(len(list(stream)), 20, "a stream ends when the proxy does")
        stream.close()

    def test_streams_leave_room(self) -> None:
        rig = self.rig(config="[limits]\nadmin_connections = 8\n")
        streams = []

        def open_one() -> int:
            streams.append(Events(rig))
            return streams[-1].status
        self.assertEqual([open_one() for _ in range(4)], [200] * 4)
        self.assertEqual(open_one(), 503)
        self.assertEqual(rig.admin.status()["limits"]["admin_connections"]["streams"], 4)
        streams[0].close()
        wait_until(lambda: open_one() == 200, 10, "there is room again")
        for stream in streams:
            stream.close()


if __name__ == "__main__":
    main()
