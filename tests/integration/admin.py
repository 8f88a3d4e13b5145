"""Asking a running proxy, and waiting until something is true: the HTTP API of DESIGN.md, section 10.

Nothing here waits for a fixed time and then hopes: wait_until polls, and says what it waited for when it gives up.
"""
from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any, Callable, Optional, TypeVar

import redis

T = TypeVar("T")


class AdminError(Exception):
    """An answer of the admin API that is not 2xx."""

    def __init__(self, status: int, body: Any):
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body

    @property
    def reason(self) -> str:
        return str(self.body.get("reason") or self.body.get("error") or "") if isinstance(self.body, dict) else ""


def wait_until(predicate: Callable[[], T], timeout: float = 30.0, what: str = "", pause: float = 0.02) -> T:
    """Polls until the predicate is true and returns its value; AssertionError, with the last value, after `timeout`.

    Connection errors and failed assertions inside the predicate count as "not yet".
    """
    deadline = time.monotonic() + timeout
    last: Any = None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except (OSError, redis.RedisError, AssertionError, AdminError) as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or predicate}; last seen: {last!r}")
        time.sleep(pause)


class Admin:
    """The HTTP API of DESIGN.md, section 10."""

    def __init__(self, address: str, token: str = ""):
        self.address = address
        self.token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def request(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> tuple[int, Any]:
        """Status and body: JSON where it is, text where it is not."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return response.status, _decode(response.read())
        except urllib.error.HTTPError as error:
            return error.code, _decode(error.read())

    def call(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
        status, answer = self.request(method, path, body, timeout)
        if not 200 <= status < 300:
            raise AdminError(status, answer)
        return answer

    def status(self) -> dict:
        return self.call("GET", "/api/v1/status")

    def routing(self, **settings: Any) -> Any:
        return self.call("PATCH", "/api/v1/routing", settings)

    def flip(self, to: str, **options: Any) -> dict:
        """Raises AdminError when refused; flip_answer gives either answer."""
        return self.call("POST", "/api/v1/flip", {"to": to, **options}, timeout=60)

    def flip_answer(self, to: str, **options: Any) -> tuple[int, dict]:
        return self.request("POST", "/api/v1/flip", {"to": to, **options}, timeout=60)

    def resync(self) -> Any:
        return self.call("POST", "/api/v1/resync", {})

    def start_backfill(self) -> Any:
        return self.call("POST", "/api/v1/backfill", {})

    def backfill(self) -> dict:
        return self.call("GET", "/api/v1/backfill")

    def stop_backfill(self) -> Any:
        return self.call("DELETE", "/api/v1/backfill")

    def mismatches(self) -> list[dict]:
        return self.call("GET", "/api/v1/mismatches")["mismatches"]

    def settled(self) -> bool:
        """Nothing on its way to the secondary, and nothing known to differ."""
        status = self.status()
        return status["lag"]["slots"] == 0 and status["dirty"]["keys"] == 0 and not status["dirty"]["overflowed"]

    def wait_status(self, test: Callable[[dict], Any], timeout: float, what: str) -> dict:
        """The first status that passes the test."""
        def passing() -> Optional[dict]:
            status = self.status()
            return status if test(status) else None
        return wait_until(passing, timeout, what)

    def wait_settled(self, timeout: float = 60.0) -> dict:
        wait_until(self.settled, timeout, "no lag and no dirty key")
        return self.status()

    def wait_synced(self, timeout: float = 60.0) -> dict:
        wait_until(lambda: self.status()["synced"] == "yes" and self.settled(), timeout, "synced, without dirty keys")
        return self.status()


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
