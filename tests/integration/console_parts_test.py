"""More of the console in a real browser: keyboard and theme, the token, and the parts of a proxy whose answers are given
here as their contracts have them. Also that the checks of these tests see what they look for."""
from __future__ import annotations

import subprocess
from pathlib import Path

from admin import wait_until
from browser import Browser, ConsoleCase, program
from harness import HOST, CrossfadeTest, main
from traffic import Load, LoadSpec

TOKEN = "a-token-for-the-console"
LOGIC = Path(__file__).resolve().parents[1] / "console"
RAMP = {"state": "running", "steps": [1, 5, 25], "every_ms": 600_000, "step": 2, "reads_new": 5, "step_since_ms": 1,
        "next_step_in_ms": 480_000, "reason": "",
        "guardrails": [{"name": "mismatch_rate", "value": 0.0123, "limit": 0.001, "samples": 1234, "state": "tripped"},
                       {"name": "p99", "value": 0, "limit": 2, "samples": 0, "state": "no_data",
                        "text": "p99_ratio: 3 reads timed on old"}]}
DECISIONS = [{"at_ms": 2, "decision": "advance", "reads_new": 5, "reason": "all is well", "figures": {}},
             {"at_ms": 1, "decision": "start", "reads_new": 1, "reason": "asked for", "figures": {}}]
AUDIT = [{"at_ms": 1, "who": "token ci@127.0.0.1", "what": "reads", "from": "0", "to": "25", "outcome": "refused",
          "reason": "not synced"}, {"at_ms": 0, "who": "proxy", "what": "start", "outcome": "done"}]
CHECKS = {"to": "new", "ready": False, "checks": [
    {"name": "target_writable", "ok": True, "found": "it takes writes", "reason": ""},
    {"name": "subscribers", "ok": False, "found": "3", "reason": "3 are not moved yet"}]}


class ConsolePartsTest(ConsoleCase):
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

    # ---- answers that a real proxy gives late or seldom, as their contracts have them ----

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
            self.assertIn("no data p99_ratio: 3 reads timed on old", browser.text("#guardrails").replace("\n", " "))
            self.assertIn("advance, 5 %: all is well", browser.evaluate("document.getElementById('decisions').textContent"))
            entry = browser.wait_text("#timeline", "token ci@127.0.0.1")
            self.assertIn("refused: not synced", entry)
            checks = browser.wait_text("#checks", "subscribers")
            self.assertIn("not yet", checks)
            self.assertIn("target writable: it takes writes", checks)
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

    def test_the_real_report_is_downloaded(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        with self.browsing(rig) as browser:
            self.live(browser)
            for form, end, begin in (("html", "html", "<!doctype html>"), ("json", "json", "{"), ("markdown", "md", "#")):
                browser.do("choose", selector="#report-format", value=form)
                browser.click("#report-get")
                path = rig.directory / f"report.{end}"
                name = browser.do("download", selector="#confirm-do", path=str(path))
                self.assertEqual(name, f"crossfade-report.{end}")
                text = path.read_text()
                self.assertTrue(text.lower().startswith(begin), text[:100])
                self.assertIn("INSUFFICIENT", text)
                browser.wait_text("#said", name)

    def test_a_real_ramp_is_begun_and_aborted(self) -> None:
        rig = self.rig()
        rig.admin.wait_synced()
        load = Load(LoadSpec(port=rig.proxy.port, clients=4, think_ms=5))
        with load, self.browsing(rig, tolerated=("/api/v1/ramp",)) as browser:
            load.wait_everybody()
            self.live(browser)
            browser.click("#ramp-start")
            browser.fill("#confirm-steps", "0, 7")
            browser.click("#confirm-do")
            self.assertIn("Not done", browser.wait_text("#confirm-refused", "steps"))
            browser.fill("#confirm-steps", "7, 50")
            self.assertIn("7 %, then 50 %", browser.text("#confirm-says"))
            browser.click("#confirm-do")
            self.assertIn("step 1 of 7, 50 %", browser.wait_text("#ramp-say", "new answers 7 %"))
            browser.wait_text("#guardrails", "mismatch_rate")
            browser.wait_text('output[data-f="reads_new"]', "7 %")
            wait_until(lambda: "start, 7 %" in browser.evaluate("document.getElementById('decisions').textContent"), 10,
                       "the decision is listed")
            self.confirmed(browser, "#ramp-pause")
            browser.wait_text("#ramp-state", "paused")
            self.confirmed(browser, "#ramp-abort")
            browser.wait_text("#ramp-state", "aborted")
            self.assertEqual(rig.admin.status()["reads_new"], 0)
            load.stop()

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


if __name__ == "__main__":
    main()
