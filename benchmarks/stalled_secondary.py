#!/usr/bin/python3
"""What a secondary that stops for a minute costs the clients: latency, memory, and the time to catch up.

redis-benchmark writes through the proxy as fast as it can, three times: with all well, with the secondary stopped
(SIGSTOP), and from when it goes on until it has caught up. Prints p50, p99 and the proxy's peak memory (VmHWM, begun
anew for each part). Exit status 1 when the secondary does not catch up, when the stores differ then, or when the memory has
passed its limits.
"""
from __future__ import annotations

import argparse
import csv
import io
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass

from run import ROOT, Servers, start_crossfade, start_redis

KEYS = 100_000
CLIENTS = 20
DEBUG = ("--enable-debug-command", "local")
VALUE_BYTES = 100
CATCH_UP_SECONDS = 300
QUEUE_MIB = 64          # limits.secondary_queue, as it is by default
BYTES_OF_A_KEY = 400    # of a dirty one, with its places in the queues of repair
SLACK_MIB = 48          # the proxy itself, its clients, what the allocator keeps


@dataclass
class Part:
    name: str
    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float
    peak_mib: float

    def row(self) -> str:
        return (f"{self.name:28} {self.seconds:>7.1f} {self.requests:>10,} {self.requests / self.seconds:>9,.0f} "
                f"{self.p50_ms:>8.2f} {self.p99_ms:>8.2f} {self.peak_mib:>9.0f}")


def status_of(admin: str) -> dict:
    with urllib.request.urlopen(f"http://{admin}/api/v1/status", timeout=10) as answer:
        return json.load(answer)


def peak_mib(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    sys.exit("the proxy has ended")


def forget_peak(pid: int) -> None:
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")


def write_load(port: int, requests: int) -> dict:
    """One run of redis-benchmark: its row of figures."""
    out = subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", "set", "-c", str(CLIENTS),
                          "-n", str(requests), "-r", str(KEYS), "-d", str(VALUE_BYTES), "--csv"],
                         check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return next(csv.DictReader(io.StringIO(out.stdout)))


def measure(name: str, pid: int, port: int, requests: int) -> Part:
    forget_peak(pid)
    begin = time.monotonic()
    figures = write_load(port, requests)
    return Part(name, time.monotonic() - begin, requests, float(figures["p50_latency_ms"]),
                float(figures["p99_latency_ms"]), peak_mib(pid))


def caught_up(status: dict) -> bool:
    """At full load some slots are always on their way."""
    return (status["synced"] == "yes" and status["dirty"]["keys"] == 0 and not status["dirty"]["overflowed"]
            and status["lag"]["ms"] < 100)


def catch_up(pid: int, port: int, admin: str, rate: float) -> tuple[list[Part], float]:
    """Under the same load, in short parts, until the secondary is level. Returns the parts, and when it was."""
    parts, begin = [], time.monotonic()
    while time.monotonic() - begin < CATCH_UP_SECONDS:
        parts.append(measure("catching up", pid, port, max(2000, int(rate))))
        if caught_up(status_of(admin)):
            return parts, time.monotonic() - begin
    return parts, float("inf")


def together(parts: list[Part]) -> Part:
    """Of the short parts, the median of their latencies."""
    return Part("it catches up", sum(part.seconds for part in parts), sum(part.requests for part in parts),
                statistics.median(part.p50_ms for part in parts), statistics.median(part.p99_ms for part in parts),
                max(part.peak_mib for part in parts))


def digest(port: int) -> str:
    return subprocess.run(["redis-cli", "-p", str(port), "DEBUG", "DIGEST"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def wait_level(admin: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = status_of(admin)
        if caught_up(status) and status["lag"]["slots"] == 0:
            return True
        time.sleep(0.1)
    return False


def run(args: argparse.Namespace, directory: str) -> int:
    servers = Servers(directory)
    secondary = None
    try:
        old, new = start_redis(servers, "old", DEBUG), start_redis(servers, "new", DEBUG)
        secondary = next(process for name, process in servers.processes if name == "new")
        pid, port, admin = start_crossfade(servers, args.binary, "following", old, new)
        warm = write_load(port, 20_000)
        requests = int(float(warm["rps"]) * args.seconds)
        usual = measure("all is well", pid, port, requests)
        if not wait_level(admin, CATCH_UP_SECONDS):
            sys.exit("the secondary was not level before it was stopped")
        secondary.send_signal(signal.SIGSTOP)
        stopped = measure("the secondary is stopped", pid, port, requests)
        status = status_of(admin)
        secondary.send_signal(signal.SIGCONT)
        parts, seconds = catch_up(pid, port, admin, stopped.requests / stopped.seconds)
        level = wait_level(admin, CATCH_UP_SECONDS) if seconds < float("inf") else False
        equal = level and digest(old) == digest(new)
        limit = QUEUE_MIB + SLACK_MIB + status["dirty"]["keys"] * BYTES_OF_A_KEY / (1 << 20)
        report(usual, stopped, parts, status, seconds, limit, equal)
        peak = max(part.peak_mib for part in (usual, stopped, *parts))
        return 0 if equal and peak <= limit else 1
    finally:
        if secondary is not None and secondary.poll() is None:
            secondary.send_signal(signal.SIGCONT)
        servers.stop()


def report(usual: Part, stopped: Part, parts: list[Part], status: dict, seconds: float, limit: float,
           equal: bool) -> None:
    print(f"{'SET, 20 clients':28} {'seconds':>7} {'requests':>10} {'ops/s':>9} {'p50 ms':>8} {'p99 ms':>8} "
          f"{'peak MiB':>9}")
    for part in (usual, stopped, together(parts)):
        print(part.row())
    print(f"p99 of the worst of the {len(parts)} seconds of catching up: {max(part.p99_ms for part in parts):.2f} ms")
    print(f"at the end of the stop: {status['dirty']['keys']:,} dirty keys, {status['lag']['bytes'] / (1 << 20):.1f} "
          f"MiB in the queue, {status['lag']['overflows']} overflows of the queue")
    print(f"caught up under load within {seconds:.1f} s after it" if seconds < float("inf") else
          f"NOT caught up within {CATCH_UP_SECONDS} s")
    print(f"memory: the limits allow {limit:.0f} MiB; the stores are {'equal' if equal else 'NOT equal'} afterwards")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "build/release/crossfade"), help="crossfade to measure")
    parser.add_argument("--seconds", type=float, default=60, help="how long the secondary is stopped, about (60)")
    parser.add_argument("--quick", action="store_true", help="8 seconds")
    args = parser.parse_args()
    args.binary = os.path.abspath(args.binary)
    if args.quick:
        args.seconds = 8
    with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as directory:
        return run(args, directory)


if __name__ == "__main__":
    sys.exit(main())
