#!/usr/bin/python3
"""The parsers beside hiredis's reader, and the whole proxy beside twemproxy, in one run.

What counts is the proxy's own CPU time per request: user + system from /proc/PID/stat, divided by the requests. On a
shared machine it repeats within about 10 %, while throughput moves by a factor; so rounds are interleaved, medians
are taken, and ratios are what to quote. Every server is started here, on free ports of the loopback, and ended here.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
KEYS = 100_000

# Modes of Crossfade, as [routing] has them.
MODES = {
    "one store": 'secondary = "off"\n',
    "following": 'secondary = "follow"\n',
    "compare 10%": 'secondary = "follow"\ncompare = 10\n',
}


class Load:
    """`mix` is GETs and SETs 10:1, otherwise only SETs. The goals are shares of twemproxy's CPU (PERFORMANCE.md)."""

    def __init__(self, name, clients, pipeline, mix, requests, value_bytes=64, goals=None, in_quick=False):
        self.name, self.clients, self.pipeline, self.mix = name, clients, pipeline, mix
        self.requests, self.value_bytes, self.goals, self.in_quick = requests, value_bytes, goals or {}, in_quick


LOADS = [
    Load("50 clients, GET:SET 10:1", 50, 1, True, 200_000, goals={"one store": 0.85, "following": 0.95}, in_quick=True),
    Load("50 clients, SET", 50, 1, False, 200_000, goals={"one store": 0.85, "following": 1.10}, in_quick=True),
    Load("50 clients, pipeline 16, 10:1", 50, 16, True, 1_000_000, goals={"one store": 0.50, "following": 0.60},
         in_quick=True),
    Load("50 clients, pipeline 16, SET", 50, 16, False, 1_000_000, goals={"one store": 0.50, "following": 0.85},
         in_quick=True),
    Load("500 clients, GET:SET 10:1", 500, 1, True, 200_000, goals={"one store": 0.80, "following": 0.90}),
    Load("50 clients, 1 KiB, 10:1", 50, 1, True, 200_000, value_bytes=1024),
    Load("50 clients, 64 KiB, 10:1", 50, 1, True, 20_000, value_bytes=65536,
         goals={"one store": 0.90, "following": 1.50}),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Servers:
    """The processes of this run, each ended by its own handle."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.processes = []

    def start(self, name, command):
        log = open(self.directory / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)
        log.close()
        self.processes.append((name, process))
        return process

    def log_of(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def stop(self):
        for _, process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what, check, process, log, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{what} ended at its start with status {process.returncode}:\n{log()}")
        result = check()
        if result:
            return result
        time.sleep(0.02)
    sys.exit(f"{what} did not come up within {seconds} s:\n{log()}")


def answers(port):
    """Does something there answer GET?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
            s.sendall(b"*2\r\n$3\r\nGET\r\n$7\r\nnothing\r\n")
            return s.recv(64).startswith(b"$")
    except OSError:
        return False


def start_redis(servers, name, arguments=()):
    port = free_port()
    process = servers.start(name, ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                                   "--appendonly", "no", "--dir", str(servers.directory), *arguments])
    wait_for(name, lambda: answers(port), process, lambda: servers.log_of(name))
    return port


def start_twemproxy(servers, store):
    port, stats = free_port(), free_port()
    config = servers.directory / "nutcracker.yml"
    config.write_text(f"""alpha:
  listen: 127.0.0.1:{port}
  hash: fnv1a_64
  distribution: ketama
  redis: true
  auto_eject_hosts: false
  server_connections: 1
  backlog: 1024
  servers:
   - 127.0.0.1:{store}:1
""")
    process = servers.start("nutcracker", ["nutcracker", "-c", str(config), "-a", "127.0.0.1", "-s", str(stats)])
    wait_for("nutcracker", lambda: answers(port), process, lambda: servers.log_of("nutcracker"))
    return process.pid, port


def start_crossfade(servers, binary, mode, old, new):
    name = "crossfade-" + mode.replace(" ", "-").replace("%", "")
    config = servers.directory / f"{name}.toml"
    config.write_text("[routing]\n" + MODES[mode])
    state = servers.directory / f"{name}.state"
    state.mkdir()
    process = servers.start(name, [binary, "run", "--old", f"redis://127.0.0.1:{old}",
                                   "--new", f"redis://127.0.0.1:{new}",
                                   "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                                   "--state", str(state), "--config", str(config)])

    def ready():
        for line in servers.log_of(name).splitlines():
            if "ready listen=" in line:
                words = line.split("ready listen=")[1].split()
                return int(words[0].rsplit(":", 1)[1]), words[1].split("admin=")[1]
        return None

    port, admin = wait_for(name, ready, process, lambda: servers.log_of(name))
    wait_for(name, lambda: answers(port), process, lambda: servers.log_of(name))
    return process.pid, port, admin


def followed(admin):
    """What a proxy says of its writes: cheap figures are worth nothing if the secondary didn't get them."""
    with urllib.request.urlopen(f"http://{admin}/api/v1/status", timeout=5) as answer:
        status = json.load(answer)
    kept = {"writes": ("total", "followed", "diverged"), "reads": ("compared", "mismatched"), "dirty": ("keys",)}
    return {group: {name: status[group][name] for name in names} for group, names in kept.items()}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def redis_benchmark(port, command, clients, load, requests):
    return subprocess.Popen(["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-t", command, "-c", str(clients),
                             "-n", str(requests), "-P", str(load.pipeline), "-d", str(load.value_bytes),
                             "-r", str(KEYS if load.value_bytes < 65536 else 1000), "--csv"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def drive(port, load, requests):
    """Runs the load once. Returns how many requests it made and the seconds it took."""
    sets = requests // 11 if load.mix else requests
    set_clients = max(1, load.clients // 11) if load.mix else load.clients
    runs = [redis_benchmark(port, "set", set_clients, load, sets)]
    if load.mix:
        runs.append(redis_benchmark(port, "get", load.clients - set_clients, load, requests - sets))
    start = time.monotonic()
    for run in runs:
        out, err = run.communicate()
        if run.returncode != 0 or '"SET"' not in out and '"GET"' not in out:
            sys.exit(f"redis-benchmark failed with status {run.returncode}: {out}{err}")
    return requests, time.monotonic() - start


def measure(targets, loads, rounds, scale):
    """{load: {target: [(CPU µs per request, ops/s)]}}, targets interleaved within each round."""
    results = {load.name: {name: [] for name in targets} for load in loads}
    for number in range(rounds):
        for load in loads:
            for name, (pid, port) in targets.items():
                before = cpu_seconds(pid) if pid else 0
                requests, seconds = drive(port, load, max(1000, int(load.requests * scale)))
                used = cpu_seconds(pid) - before if pid else 0
                results[load.name][name].append((used / requests * 1e6, requests / seconds))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr)
    return results


def summarize(results, loads):
    rows = []
    for load in loads:
        by_target = results[load.name]
        twemproxy = [cpu for cpu, _ in by_target.get("twemproxy", [])]
        for name, samples in by_target.items():
            cpu = statistics.median(sample[0] for sample in samples)
            # Each round's ratio is of two runs beside each other.
            ratios = [sample[0] / peer for sample, peer in zip(samples, twemproxy) if peer > 0]
            has_cpu = name != "direct"
            rows.append({"load": load.name, "target": name, "cpu_us_per_request": round(cpu, 3) if has_cpu else None,
                         "ops_per_second": round(statistics.median(sample[1] for sample in samples)),
                         "ratio": round(statistics.median(ratios), 3) if ratios and has_cpu else None,
                         "goal": load.goals.get(name)})
    return rows


def print_proxy_table(rows):
    print(f"\n{'load':32} {'target':14} {'CPU µs/req':>10} {'ops/s':>9} {'× twemproxy':>12} {'goal':>6}")
    last = None
    for row in rows:
        load = row["load"] if row["load"] != last else ""
        last = row["load"]
        cpu = "–" if row["cpu_us_per_request"] is None else f"{row['cpu_us_per_request']:.2f}"
        ratio = "–" if row["ratio"] is None else f"{row['ratio']:.2f}"
        goal = "" if row["goal"] is None else f"{row['goal']:.2f}"
        print(f"{load:32} {row['target']:14} {cpu:>10} {row['ops_per_second']:>9,} {ratio:>12} {goal:>6}")


def run_parsers(binary, quick):
    out = subprocess.run([binary, "--benchmark_format=json", f"--benchmark_min_time={0.1 if quick else 0.5}",
                          "--benchmark_repetitions=3", "--benchmark_report_aggregates_only=true",
                          "--benchmark_enable_random_interleaving=true"],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    rows = []
    for run in sorted(json.loads(out)["benchmarks"], key=lambda run: run["family_index"]):
        if run.get("aggregate_name") != "median":
            continue
        kind, shape, reader = run["run_name"].split("/")[:3]
        rows.append({"input": f"{kind}, {shape.replace('_', ' ')}", "reader": reader,
                     "mb_per_second": round(run["bytes_per_second"] / 1e6),
                     "messages_per_second": round(run["items_per_second"])})
    return rows


def print_parser_table(rows):
    hiredis = {row["input"]: row["messages_per_second"] for row in rows if row["reader"] == "hiredis"}
    print(f"{'parser: input':32} {'reader':14} {'MB/s':>10} {'messages/s':>13} {'× hiredis':>10}")
    last = None
    for row in rows:
        name = row["input"] if row["input"] != last else ""
        last = row["input"]
        ratio = row["messages_per_second"] / hiredis[row["input"]]
        print(f"{name:32} {row['reader']:14} {row['mb_per_second']:>10,} {row['messages_per_second']:>13,} "
              f"{ratio:>10.2f}")


def run_proxies(args, directory):
    servers = Servers(directory)
    try:
        old = start_redis(servers, "old")
        targets = {"direct": (None, old)}
        admins = {}
        if shutil.which("nutcracker"):
            targets["twemproxy"] = start_twemproxy(servers, old)
        else:
            print("nutcracker (twemproxy) is not installed: no ratios", file=sys.stderr)
        if os.access(args.binary, os.X_OK):
            for mode in list(MODES)[:2] if args.quick else MODES:
                # Stores of its own for each: a proxy is the only writer of its two.
                stores = [start_redis(servers, f"{side}-{mode.replace(' ', '-')}") for side in ("old", "new")]
                *targets[mode], admins[mode] = start_crossfade(servers, args.binary, mode, *stores)
        else:
            print(f"{args.binary} is not built: twemproxy only", file=sys.stderr)
        loads = [load for load in LOADS if load.in_quick] if args.quick else LOADS
        rounds = args.rounds or (1 if args.quick else 5)
        rows = summarize(measure(targets, loads, rounds, 0.25 if args.quick else 1.0), loads)
        return rows, {mode: followed(admin) for mode, admin in admins.items()}
    finally:
        servers.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "build/release/crossfade"), help="crossfade to measure")
    parser.add_argument("--parser-binary", default=str(ROOT / "build/release/parser_benchmark"))
    parser.add_argument("--quick", action="store_true", help="one round, fewer loads and requests: under a minute")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of every load (5, with --quick 1)")
    parser.add_argument("--only", choices=["parser", "proxy"], help="one half")
    parser.add_argument("--json", metavar="FILE", help="the figures, also as JSON")
    args = parser.parse_args()
    args.binary = os.path.abspath(args.binary)
    result = {"machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}, "quick": args.quick}
    if args.only != "proxy":
        if os.access(args.parser_binary, os.X_OK):
            result["parser"] = run_parsers(args.parser_binary, args.quick)
            print_parser_table(result["parser"])
        else:
            print(f"{args.parser_binary} is not built: no parser figures", file=sys.stderr)
    if args.only != "parser":
        with tempfile.TemporaryDirectory(prefix="crossfade-bench-") as directory:
            result["proxy"], result["crossfade"] = run_proxies(args, directory)
        print_proxy_table(result["proxy"])
        for mode, said in result["crossfade"].items():
            print(f"crossfade, {mode}: {json.dumps(said)}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
