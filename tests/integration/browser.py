"""A headless Chromium for tests of the console: Debian's browser, driven by playwright-core (tests/console/browser.mjs).

The Node libraries are installed by `npm ci` in build/console, once, from whatever registry npm is configured for.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

from admin import wait_until
from harness import CrossfadeTest, Rig, die_with_parent

SOURCE = Path(__file__).resolve().parents[1] / "console"
INSTALLED = SOURCE.parents[1] / "build" / "console"
PICTURES = INSTALLED / "pictures"
NPM_TIMEOUT = 240
NOT_HERE = (404, 405, 501)  # a proxy without that part: the browser notes such answers as errors
OTHER_PARTS = ("/api/v1/audit", "/api/v1/flip", "/api/v1/ramp")


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if not path:
        raise AssertionError(f"{name} is missing: install the package {package} (./run test does)")
    return path


def install() -> Path:
    """The directory with the driver and its libraries; nothing is fetched when they are already there."""
    npm = program("npm", "npm")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    with open(INSTALLED / "install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two presets' tests may run at once
        for path in (*SOURCE.glob("*.json"), *SOURCE.glob("*.mjs")):
            shutil.copy(path, INSTALLED)
        wanted = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
        stamp = INSTALLED / "node_modules" / "installed.sha256"
        if not stamp.exists() or stamp.read_text() != wanted:
            done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=INSTALLED,
                                  capture_output=True, text=True, timeout=NPM_TIMEOUT)
            if done.returncode != 0:
                raise AssertionError(f"npm ci in {INSTALLED} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
            stamp.write_text(wanted)
    return INSTALLED


class Browser:
    """`with Browser() as browser`. Each method is a command of browser.mjs; a failed one is an AssertionError."""

    def __enter__(self) -> "Browser":
        chromium = program("chromium", "chromium")
        self._process = subprocess.Popen([program("node", "nodejs"), str(install() / "browser.mjs"), chromium],
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
        self.do("shot", path=str(PICTURES / f"{name}.png"), full=full)
        print(f"    picture: {PICTURES / name}.png", file=sys.stderr)


class ConsoleCase(CrossfadeTest):
    """A test of the console: what a page did that it must not is looked at when it closes."""

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
