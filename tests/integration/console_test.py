"""The console in a real browser, against a real proxy between real stores, under load.

What the page shows is held against what the API answers; what it does, against what the proxy then is. Nothing that the
page does may reach another host, break its own content policy, or end up as an error in the browser's console. The
pictures are in build/console/pictures.
"""
from __future__ import annotations

import time
from typing import Any

from admin import wait_until
from browser import Browser, ConsoleCase
from harness import HOST, Rig, free_port, main
from traffic import Load, LoadSpec


def written(value: Any, form: str) -> str | None:
    """As the page writes it; None: it is not held against anything (it changes while we look)."""
    if value in (None, ""):
        return "–"
    if form in ("", "text"):
        return str(value)
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


class ConsoleTest(ConsoleCase):
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
            equal = wait_until(lambda: self.equal_figures(rig, browser), 30, "the page shows what the API answers")
            self.say(f"{equal} figures are equal")
            self.assertGreater(equal, 25)

    def equal_figures(self, rig: Rig, browser: Browser) -> int:
        """How many figures are the API's; AssertionError when one isn't."""
        shown = browser.evaluate(
            "[...document.querySelectorAll('[data-f]')].map((e) =>"
            " [e.dataset.f, e.dataset.as ?? '', e.textContent.replaceAll('\\u00a0', ' ')])")
        status = rig.admin.status()
        compared = 0
        for path, form, text in shown:
            value: Any = status
            for name in path.split("."):
                value = value.get(name)
            expected = written(value, form)
            if expected is not None:
                self.assertEqual(text, expected, path)
                compared += 1
        for cause, count in status["dirty"]["marked"].items():
            if count:
                self.assertIn(f"{cause.replace('_', ' ')}\n{count:,}", browser.text("#causes"))
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
        lost = ("/api/v1/events", "/api/v1/status", "/api/v1/audit", "/api/v1/flip", "/api/v1/ramp")
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

def number(text: str) -> float:
    return float(text.replace(",", "")) if text.strip("–  ") else 0.0


def micros(value: int) -> str:
    return f"{value} µs" if value < 1000 else f"{round(value / 1000, 2):,.2f}".rstrip("0").rstrip(".") + " ms"


if __name__ == "__main__":
    main()
