"""The console in a real browser, against a real proxy between real stores, under load.

What the page shows is held against what the API answers; what it does, against what the proxy then is. Nothing that the
page does may reach another host, break its own content policy, or end up as an error in the browser's console. The
pictures are in build/console/pictures.
"""
from __future__ import annotations

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import urlsplit

from admin import wait_until
from browser import Browser, program
from harness import HOST, CrossfadeTest, Rig, free_port, main
from traffic import Load, LoadSpec

TOKEN = "a-token-for-the-console"
LOGIC = Path(__file__).resolve().parents[1] / "console"
NOT_HERE = (404, 405, 501)  # a proxy without that part: the browser notes such answers as errors
OTHER_PARTS = ("/api/v1/audit", "/api/v1/flip", "/api/v1/ramp")


RAMP = {"state": "running", "steps": [1, 5, 25], "every_ms": 600_000, "step": 2, "reads_new": 5, "step_since_ms": 1,
        "next_step_in_ms": 480_000, "reason": "",
        "guardrails": [{"name": "mismatch_rate", "value": 0.0123, "limit": 0.001, "samples": 1234, "state": "tripped"},
                       {"name": "p99", "value": None, "limit": 2, "samples": 0, "state": "no_data"}]}
DECISIONS = [{"at_ms": 1, "decision": "start", "reads_new": 1, "reason": "asked for", "figures": {}},
             {"at_ms": 2, "decision": "advance", "reads_new": 5, "reason": "all is well", "figures": {}}]
AUDIT = [{"at_ms": 1, "who": "token ci@127.0.0.1", "what": "reads", "from": "0", "to": "25", "outcome": "refused",
          "reason": "not synced"}, {"at_ms": 0, "who": "proxy", "what": "start", "outcome": "done"}]
CHECKS = {"to": "new", "ready": False, "checks": [{"name": "new is writable", "ok": True, "reason": ""},
                                                  {"name": "subscribers", "ok": False, "reason": "3 are not moved yet"}]}


def written(value: Any, form: str) -> str | None:
    """As the page writes it; None: it is not held against anything (it changes while we look)."""
    if form in ("", "text"):
        return str(value) if value not in (None, "") else "–"
    if form == "count":
        return f"{value:,}"
    if form == "percent":
        return f"{value:g} %"
    if form == "yesno":
        return "yes" if value else "no"
    if form == "bytes" and value < 1024:
        return f"{value} B"
    if form == "ms" and value == 0:
        return "0 ms"
    return None


class ConsoleTest(CrossfadeTest):
    @contextlib.contextmanager
    def browsing(self, rig: Rig, url: str = "", tolerated: tuple[str, ...] = (), **options: Any) -> Iterator[Browser]:
        """A browser at the console; afterwards it has done nothing that it must not."""
        absent = [path for path in OTHER_PARTS if rig.admin.request("GET", path)[0] in NOT_HERE]
        with Browser() as browser:
            browser.open(url or f"http://{rig.admin.address}/", **options)
            yield browser
            heard = browser.do("heard")
        self.assertEqual(heard["errors"], [])
        self.assertEqual(heard["violations"], [])
        hosts = {urlsplit(request).netloc for request in heard["requests"] if not request.startswith("blob:")}
        self.assertEqual(hosts, {rig.admin.address})
        excused = (*absent, *tolerated)
        said = [entry for entry in heard["console"]
                if not any(urlsplit(entry["url"]).path == path for path in excused)]
        self.assertEqual(said, [])

    def start_rest(self, rig: Rig) -> None:
        rig.new.start()
        rig.proxy.start()
        rig.wait_up("old", "new")

    def live(self, browser: Browser) -> None:
        browser.wait_text("#link-state", "live")

    def confirmed(self, browser: Browser, control: str) -> str:
        """What the dialog of this control said before it did it."""
        browser.click(control)
        sentence = browser.text("#confirm-says")
        self.assertGreater(len(sentence), 30)
        browser.click("#confirm-do")
        return sentence

    # ---- figures ----

    def test_the_figures_are_the_apis(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        rig.admin.routing(compare=50, reads_new=10)
        with self.browsing(rig) as browser:
            self.live(browser)
            with Load(LoadSpec(port=rig.proxy.port, clients=8)) as load:
                load.wait_operations(2000)
                # Under load they are between two answers.
                before = rig.admin.status()
                browser.wait_text('[data-f="writes.total"]', lambda text: number(text) > before["writes"]["total"])
                shown = number(browser.text('[data-f="writes.total"]'))
                self.assertLessEqual(shown, rig.admin.status()["writes"]["total"])
                browser.wait_text("#store-old .ops", lambda text: number(text.removesuffix("/s")) > 10)
                browser.wait_text("#store-new .ops", lambda text: number(text.removesuffix("/s")) > 10)
                result = load.stop()
            self.assertTrue(result.clean, result.complaints())
            rig.admin.wait_settled()
            wait_until(lambda: self.equal_figures(rig, browser) > 25, 30, "the page shows what the API answers")
            self.say(f"{self.equal_figures(rig, browser)} figures are equal")
            causes = {cause: count for cause, count in rig.admin.status()["dirty"]["marked"].items() if count}
            for cause, count in causes.items():
                self.assertIn(f"{cause.replace('_', ' ')}\n{count:,}", browser.text("#causes"))

    def equal_figures(self, rig: Rig, browser: Browser) -> int:
        """How many figures are the API's; AssertionError when one isn't."""
        shown = browser.evaluate(
            "[...document.querySelectorAll('[data-f]')].map((e) => [e.dataset.f, e.dataset.as ?? '', e.textContent])")
        status = rig.admin.status()
        compared = 0
        for path, form, text in shown:
            value: Any = status
            for name in path.split("."):
                value = value[name]
            expected = written(value, form)
            if expected is not None:
                self.assertEqual(text, expected, path)
                compared += 1
        for side in ("old", "new"):
            store = status["backends"][side]
            card = browser.text(f"#store-{side}")
            for expected in (f"{store['product']} {store['version']}, {store['address']}", store["state"],
                             f"Reads answered\n{status['reads'][side]:,}", f"p50\n{micros(store['latency_us']['p50'])}",
                             f"p99\n{micros(store['latency_us']['p99'])}"):
                self.assertIn(expected, card)
                compared += 1
            self.assertEqual("PRIMARY" in card, status["primary"] == side)
        return compared

    def test_a_seeded_mismatch_appears(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        rig.admin.routing(compare=100)
        with rig.proxy.client() as client, rig.new.client() as new, self.browsing(rig) as browser:
            self.live(browser)
            client.set("session:<b>17</b>", "what the application wrote")
            rig.admin.wait_settled()
            new.set("session:<b>17</b>", "what somebody else wrote")
            self.assertEqual(client.get("session:<b>17</b>"), b"what the application wrote")
            mismatch = wait_until(rig.admin.mismatches, 10, "the mismatch is counted")[0]
            row = browser.wait_text("#mismatches", "session:")
            for expected in ("session:<b>17</b>", "get", mismatch["digests"]["old"], mismatch["digests"]["new"]):
                self.assertIn(expected, row)
            self.assertNotEqual(mismatch["digests"]["old"], mismatch["digests"]["new"])
            self.assertEqual(browser.wait_text('[data-f="reads.mismatched"]', "1"), "1")

    # ---- controls ----

    def test_reads_are_raised_and_the_refused_is_explained(self) -> None:
        rig = self.rig(start=False)
        rig.old.start()
        with rig.old.client() as old:
            old.set("was", "here before")
        self.start_rest(rig)
        with self.browsing(rig, tolerated=("/api/v1/routing",)) as browser:
            self.live(browser)
            browser.wait_text("#attention", "not synced")
            browser.fill("#reads-value", 50)
            self.assertIn("50 %", self.confirmed(browser, "#reads-set"))
            refusal = browser.wait_text("#confirm-refused", "Refused: ")
            self.assertIn("run a backfill", refusal)
            self.assertEqual(rig.admin.status()["reads_new"], 0)
            browser.click("#confirm-cancel")

            self.assertIn("removed from new", self.confirmed(browser, "#backfill-start"))
            browser.wait_text("#backfill-state", "done")
            browser.wait_text("#attention-panel", "Nothing needs attention")
            self.confirmed(browser, "#verify-start")
            browser.wait_text("#verify-state", "done")
            self.assertIn("Equal\n1", browser.text("#verify-counts"))

            self.confirmed(browser, "#reads-set")
            wait_until(lambda: rig.admin.status()["reads_new"] == 50, 10, "new answers half of the reads")
            browser.wait_text('[data-f="reads_new"]', "50 %")
            for knob, value in (("ack", "both"), ("split", "random"), ("on_miss", "primary")):
                browser.do("choose", selector=f"#{knob}-value", value=value)
                self.confirmed(browser, f"#{knob}-set")
                browser.wait_text(f'output[data-f="{knob}"]', value)
                self.assertEqual(rig.admin.status()[knob], value)

    def test_a_flip_under_load_is_done_and_undone(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        with Load(LoadSpec(port=rig.proxy.port, clients=6, think_ms=5)) as load, self.browsing(rig) as browser:
            load.wait_everybody()
            self.live(browser)
            browser.wait_text("#checks", "ok")
            self.confirmed(browser, "#flip-dry")
            browser.wait_text("#confirm-result", "It would flip")
            browser.click("#confirm-cancel")
            self.assertEqual(rig.admin.status()["primary"], "old")

            self.assertIn("New becomes the primary", self.confirmed(browser, "#flip"))
            browser.wait_text("#sentence", "new is primary")
            self.assertEqual(rig.admin.status()["primary"], "new")
            browser.wait_text("#store-new .role", "PRIMARY")
            browser.wait_text("#store-old .role", "secondary")
            self.assertIn("Old becomes the primary", self.confirmed(browser, "#flip-back"))
            browser.wait_text("#sentence", "old is primary")
            status = rig.admin.status()
            self.assertEqual((status["primary"], [flip["to"] for flip in status["flips"]]), ("old", ["new", "old"]))
            browser.wait_text("#timeline", lambda text: text.count("flip") >= 2)
            result = load.stop()
        self.assertTrue(result.clean, result.complaints())
        self.assert_converged(rig)

    # ---- trouble ----

    def test_a_stopped_store_is_said(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        with self.browsing(rig) as browser:
            self.live(browser)
            rig.new.kill()
            browser.wait_text("#store-new .up", "down")
            lines = browser.wait_text("#attention", "the secondary (new")
            self.assertIn("No client is harmed", lines)
            browser.wait_text("#next-say", "Bring new back")
            browser.wait_text("#checks", "not yet")
            rig.new.start()
            browser.wait_text("#store-new .up", "up")

    def test_a_lost_connection_is_shown_and_heals(self) -> None:
        rig = self.rig(start=False)
        rig.proxy.admin_listen = f"{HOST}:{free_port()}"
        rig.start_connected()
        rig.admin.wait_synced()
        lost = ("/api/v1/events", "/api/v1/status", *OTHER_PARTS)
        with self.browsing(rig, tolerated=lost) as browser:
            self.live(browser)
            rig.proxy.kill()
            banner = browser.wait_text("#lost", "Connection lost")
            self.assertIn("The figures are those of", banner)
            self.assertEqual(browser.text("#link-state"), "connection lost")
            self.assertIn("stale", browser.evaluate("document.body.className"))
            browser.picture("lost")
            rig.proxy.start()
            rig.wait_up("old", "new")
            with rig.proxy.client() as client:
                for i in range(5):
                    client.set(f"after:{i}", i)
            self.live(browser)
            self.assertNotIn("stale", browser.evaluate("document.body.className"))
            self.assertEqual(browser.evaluate("document.getElementById('lost').hidden"), True)
            rig.admin.wait_settled()
            wait_until(lambda: self.equal_figures(rig, browser) > 25, 30, "the page shows what the new proxy answers")
            # A proxy that hangs is lost too, though its connection is not.
            rig.proxy.pause()
            browser.wait_text("#lost", "said nothing")
            rig.proxy.resume()
            self.live(browser)

    # ---- looks ----

    def test_axe_finds_nothing_serious_and_pictures_are_made(self) -> None:
        config = "[backfill]\nkeys_per_second = 50\n"
        rig = self.rig(config=config, start=False)
        rig.old.start()
        with rig.old.client() as old:
            for i in range(3000):
                old.set(f"was:{i}", i)
        self.start_rest(rig)
        with Load(LoadSpec(port=rig.proxy.port, clients=6, think_ms=5)) as load, self.browsing(rig) as browser:
            load.wait_everybody()
            self.live(browser)
            rig.admin.start_backfill()
            browser.wait_text("#backfill-state", "running")
            browser.wait_text("#store-old .ops", "/s")
            browser.do("scheme", scheme="light")
            self.look(browser, "light-backfill")
            rig.admin.call("PATCH", "/api/v1/backfill", {"keys_per_second": 100_000})
            rig.admin.wait_synced()
            rig.admin.routing(compare=100, reads_new=25)
            with rig.proxy.client() as client, rig.new.client() as new:
                for i in range(3):
                    client.set(f"seeded:{i}", "right")
                    wait_until(lambda: new.get(f"seeded:{i}") == b"right", 10, "it has followed")
                    new.set(f"seeded:{i}", "wrong")
                    client.get(f"seeded:{i}")
            browser.wait_text("#mismatches", "seeded:")
            rig.admin.flip("new")
            browser.wait_text("#sentence", "new is primary")
            time.sleep(5)  # something for the plots to show
            self.look(browser, "light")
            browser.do("scheme", scheme="dark")
            self.look(browser, "dark")
            browser.click("#flip-back")
            self.look(browser, "dark-dialog", full=False)
            browser.click("#confirm-cancel")
            browser.do("size", width=360, height=760)
            self.look(browser, "phone-dark")
            browser.do("scheme", scheme="light")
            self.look(browser, "phone")
            wide = browser.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 360, "nothing sticks out of a phone's page")
            load.stop()

    def look(self, browser: Browser, name: str, full: bool = True) -> None:
        # The theme's colours are there once the plots have been drawn with them.
        browser.picture(name, full)
        found = browser.do("axe")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        self.assertEqual(serious, [], f"{name}: axe-core")
        self.say(f"{name}: axe-core finds {len(found)} lesser things: {[one['id'] for one in found]}")

    def test_it_can_be_used_by_keyboard(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        with self.browsing(rig) as browser:
            self.live(browser)
            browser.do("press", key="Tab")
            self.assertEqual(browser.evaluate("document.activeElement.textContent"), "Skip to the figures")
            reached = []
            for _ in range(60):
                browser.do("press", key="Tab")
                reached.append(browser.evaluate("document.activeElement.id"))
                if reached[-1] == "reads-set":
                    break
            self.assertEqual(reached[-1], "reads-set", reached)
            browser.do("press", key="Enter")
            self.assertTrue(browser.evaluate("document.getElementById('confirm').open"))
            self.assertEqual(browser.evaluate("document.activeElement.id"), "confirm-cancel")
            browser.do("press", key="Escape")
            self.assertFalse(browser.evaluate("document.getElementById('confirm').open"))
            self.assertEqual(browser.evaluate("document.activeElement.id"), "reads-set", "the focus is where it was")

    def test_the_theme_can_be_chosen(self) -> None:
        rig = self.rig()
        colour = "getComputedStyle(document.body).backgroundColor"
        with self.browsing(rig) as browser:
            self.live(browser)
            light = browser.evaluate(colour)
            browser.do("scheme", scheme="dark")
            dark = browser.evaluate(colour)
            self.assertNotEqual(light, dark)
            browser.click("#theme")
            self.assertEqual((browser.text("#theme"), browser.evaluate(colour)), ("Theme: light", light))
            browser.do("reload")
            self.live(browser)
            self.assertEqual(browser.evaluate(colour), light, "it is remembered")

    # ---- parts that a proxy may lack, as their contracts have them ----

    def test_ramp_audit_checks_and_report_are_shown(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        status = rig.admin.status() | {"ramp": RAMP}
        with self.browsing(rig, tolerated=("/api/v1/events", "/api/v1/ramp")) as browser:
            # Without a stream the page asks again and again.
            for path, answer in (("/api/v1/status", status), ("/api/v1/audit", {"entries": AUDIT}),
                                 ("/api/v1/flip", CHECKS), ("/api/v1/ramp", RAMP | {"decisions": DECISIONS})):
                browser.do("fulfil", path=path, body=answer)
            browser.do("fulfil", path="/api/v1/events", status=503, body={"error": "too many streams"})
            browser.do("fulfil", path="/api/v1/report", type="text/html", body="<!doctype html><p>PASS")
            browser.do("reload")
            self.live(browser)
            shown = browser.wait_text("#ramp-say", "new answers 5 %")
            self.assertIn("next decision in 8 min", shown)
            self.assertIn("tripped mismatch_rate: 0.0123, at most 0.001 (1,234 samples)",
                          browser.wait_text("#guardrails", "mismatch_rate").replace("\n", " "))
            self.assertIn("no data", browser.text("#guardrails"))
            self.assertIn("advance, 5 %: all is well", browser.evaluate("document.getElementById('decisions').textContent"))
            entry = browser.wait_text("#timeline", "token ci@127.0.0.1")
            self.assertIn("refused: not synced", entry)
            checks = browser.wait_text("#checks", "subscribers")
            self.assertIn("not yet", checks)
            browser.click("#flip")
            self.assertIn("3 are not moved yet", browser.wait_text("#confirm-checks", "subscribers"))
            browser.click("#confirm-cancel")

            browser.do("heard")
            self.confirmed(browser, "#ramp-pause")
            self.confirmed(browser, "#ramp-abort")
            asked = [(one["method"], one["body"]) for one in browser.do("heard")["fulfilled"]
                     if one["path"] == "/api/v1/ramp" and one["method"] != "GET"]
            self.assertEqual(asked, [("PATCH", '{"paused":true}'), ("DELETE", None)])

            browser.click("#report-get")
            self.assertIn("It changes nothing", browser.text("#confirm-says"))
            path = rig.directory / "report.html"
            self.assertEqual(browser.do("download", selector="#confirm-do", path=str(path)), "crossfade-report.html")
            self.assertIn("PASS", path.read_text())

    def test_the_checks_of_these_tests_see_what_they_look_for(self) -> None:
        rig = self.rig()
        with Browser() as browser:
            browser.open(f"http://{rig.admin.address}/")
            self.live(browser)
            browser.evaluate("document.body.setAttribute('style', 'color: red')")
            browser.evaluate(f"fetch('http://{HOST}:1/').catch(() => 0)")
            browser.evaluate("setTimeout(() => { throw new Error('on purpose'); })")
            browser.evaluate("document.getElementById('theme').removeAttribute('id'); const i = new Image();"
                             " i.src = 'icon.svg'; document.body.append(i)")
            self.assertIn("image-alt", [one["id"] for one in browser.do("axe")])
            heard = browser.do("heard")
        self.assertRegex(" ".join(heard["violations"]), "style-src.*connect-src")
        self.assertRegex(" ".join(heard["errors"]), "on purpose")
        self.assertTrue(heard["console"])

    # ---- the token ----

    def test_a_token_is_asked_for_and_kept_in_the_tab(self) -> None:
        rig = self.rig(start=False)
        (rig.directory / "token").write_text(TOKEN)
        rig.proxy.config_path.write_text(f'[admin]\ntoken_file = "{rig.directory}/token"\n')
        rig.proxy.token = TOKEN
        rig.start_connected()
        asked = ("/api/v1/events",)  # 401 is an error to the browser
        with self.browsing(rig, tolerated=asked) as browser:
            wait_until(lambda: browser.evaluate("document.getElementById('token').open"), 20, "it asks for the token")
            self.assertEqual(browser.text("#sentence"), "Waiting for the first figures.")
            browser.fill("#token-value", "wrong")
            browser.do("press", key="Enter")
            browser.wait_text("#token-refused", "does not accept")
            browser.fill("#token-value", TOKEN)
            browser.do("press", key="Enter")
            self.live(browser)
            browser.do("reload")
            self.live(browser)
            stored = browser.evaluate("JSON.stringify([localStorage, document.cookie, location.href])")
            self.assertNotIn(TOKEN, stored)
            browser.fill("#compare-value", 10)
            self.confirmed(browser, "#compare-set")
            wait_until(lambda: rig.admin.status()["compare"] == 10, 10, "the control has the token too")
            browser.click("#forget-token")
            wait_until(lambda: browser.evaluate("document.getElementById('token').open"), 20, "it asks again")


class LogicTest(CrossfadeTest):
    def test_what_needs_no_page(self) -> None:
        """The pure parts of the console, by Node's own test runner."""
        files = sorted(str(path) for path in LOGIC.glob("*.test.mjs"))
        self.assertGreater(len(files), 2)
        done = subprocess.run([program("node", "nodejs"), "--test", *files], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout[-4000:] + done.stderr[-2000:])


def number(text: str) -> float:
    return float(text.replace(",", "")) if text.strip("–  ") else 0.0


def micros(value: int) -> str:
    return f"{value} µs" if value < 1000 else f"{round(value / 1000, 2):,.2f}".rstrip("0").rstrip(".") + " ms"


if __name__ == "__main__":
    main()
