"""A tiny runner for cases that speak to one port: a server's or the proxy's, they can't tell.

`FILE.py PORT [PART]` runs every case of the file whose name contains PART, prints `ok NAME` or `FAILED NAME` with what
went wrong, and exits with 1 when one has failed. The Node cases have the same one in cases.mjs.
"""
from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import Any, Callable

import redis

PATIENCE = 20.0  # seconds for anything to become true
PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 0

_cases: list[Callable[[], None]] = []


def case(function: Callable[[], None]) -> Callable[[], None]:
    _cases.append(function)
    return function


def client(**options: Any) -> redis.Redis:
    options.setdefault("socket_timeout", PATIENCE)
    return redis.Redis(host="127.0.0.1", port=PORT, **options)


def equal(got: Any, wanted: Any) -> None:
    assert got == wanted, f"got {str(got)[:300]}, wanted {str(wanted)[:300]}"


def raises(kind: type, text: str, act: Callable[[], Any]) -> None:
    """The act ends with exactly this kind of error, and the error says this."""
    try:
        answer = act()
    except Exception as error:  # the type is what is looked at
        assert type(error) is kind and text in str(error), f"wanted {kind.__name__} {text!r}, got {error!r}"
        return
    raise AssertionError(f"wanted {kind.__name__} {text!r}, got the answer {answer!r}")


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.01)
    return value


class Together:
    """Threads whose errors are not lost. `with Together(f, g): …` waits for all at the end."""

    def __init__(self, *acts: Callable[[], None]):
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._run, args=(act,), daemon=True) for act in acts]

    def _run(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # raised again where it is waited for
            self.errors.append(error)

    def __enter__(self) -> "Together":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        deadline = time.monotonic() + 2 * PATIENCE
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self.errors:
            raise self.errors[0]
        if kind is None:
            assert not any(thread.is_alive() for thread in self.threads), "a thread still waits for an answer"


def main() -> None:
    if not PORT:
        raise SystemExit(f"usage: {sys.argv[0]} PORT [PART OF A NAME]")
    part = sys.argv[2] if len(sys.argv) > 2 else ""
    failed = 0
    for function in _cases:
        if part not in function.__name__:
            continue
        try:
            function()
            print(f"ok {function.__name__}", flush=True)
        except Exception as error:  # whatever it is, the case has failed
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            own = [f"{frame.name}:{frame.lineno}" for frame in place if "_cases.py" in frame.filename]
            print(f"FAILED {function.__name__}: {type(error).__name__}: {error} ({' > '.join(own)})", flush=True)
    sys.exit(1 if failed else 0)
