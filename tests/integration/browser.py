"""A headless Chromium for tests of the console: Debian's browser, driven by playwright-core (tests/console/browser.mjs)."""
from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

from admin import wait_until
from harness import CrossfadeTest, Rig, die_with_parent
from node import install, program

SOURCE = Path(__file__).resolve().parents[1] / "console"
INSTALLED = SOURCE.parents[1] / "build" / "console"
PICTURES = INSTALLED / "pictures"


class Browser:
    """`with Browser() as browser`. Each method is a command of browser.mjs; a failed one is an AssertionError."""

    def __enter__(self) -> "Browser":
        chromium = program("chromium", "chromium")
        driver = str(install(SOURCE, INSTALLED) / "browser.mjs")
        self._process = subprocess.Popen([program("node", "nodejs"), driver, chromium],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=INSTALLED,
                                         preexec_fn=die_with_parent, env={**os.environ, "HOME": str(INSTALLED)})
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # it ends the browser then
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def do(self, what: str, **arguments: Any) -> Any:
        self._process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the browser ended with {self._process.wait()} during {what}")
        answer = json.loads(line)
        if "error" in answer:
            raise AssertionError(f"{what} {arguments}: {answer['error']}")
        return answer["value"]

    def open(self, url: str, **options: Any) -> dict[str, str]:
        """The page's headers."""
        return self.do("open", url=url, **options)

    def click(self, selector: str) -> None:
        self.do("click", selector=selector)

    def fill(self, selector: str, value: object) -> None:
        self.do("fill", selector=selector, value=str(value))

    def text(self, selector: str) -> str:
        return self.do("text", selector=selector)

    def evaluate(self, code: str) -> Any:
        return self.do("evaluate", code=code)

    def wait_text(self, selector: str, passes: str | Callable[[str], Any], timeout: float = 30.0) -> str:
        """The text there, once it contains this, or passes."""
        test = passes if callable(passes) else lambda text: passes in text

        def there() -> str:
            text = self.text(selector)
            if not test(text):
                raise AssertionError(f"it says {text!r}")
            return text or " "
        return wait_until(there, timeout, f"{selector} says {passes!r}", pause=0.1)

    def picture(self, name: str, full: bool = True) -> None:
        PICTURES.mkdir(exist_ok=True)
        self.do("shot", path=str(PICTURES / f"{name}.png"), full=full)
        print(f"    picture: {PICTURES / name}.png", file=sys.stderr)


class ConsoleCase(CrossfadeTest):
    """A test of the console: what a page did that it must not is looked at when it closes."""

    @contextlib.contextmanager
    def browsing(self, rig: Rig, url: str = "", tolerated: tuple[str, ...] = (), **options: Any) -> Iterator[Browser]:
        """A browser at the console; afterwards it has done nothing that it must not."""
        with Browser() as browser:
            browser.open(url or f"http://{rig.admin.address}/", **options)
            yield browser
            heard = browser.do("heard")
        self.assertEqual(heard["errors"], [])
        self.assertEqual(heard["violations"], [])
        hosts = {urlsplit(request).netloc for request in heard["requests"] if not request.startswith("blob:")}
        self.assertEqual(hosts, {rig.admin.address})
        said = [entry for entry in heard["console"] if urlsplit(entry["url"]).path not in tolerated]
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
