"""Reading /metrics as Prometheus does, and a real Prometheus that does it: for metrics_test.py."""
from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Iterable, Optional

from admin import AdminError, wait_until
from harness import HOST, Process, free_port

ROOT = Path(__file__).resolve().parents[2]
ALERTS = ROOT / "conf/alerts.yml"
DASHBOARD = ROOT / "conf/grafana-dashboard.json"

Labels = frozenset[tuple[str, str]]
Key = tuple[str, Labels]

_SAMPLE = re.compile(r'^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')
_NAME = re.compile(r"\b((?:crossfade|process)_[a-z0-9_]+)\b")


def labels(**values: str) -> Labels:
    return frozenset(values.items())


class Metrics:
    """One scrape, parsed strictly: what can't be read, or is there twice, is an AssertionError."""

    def __init__(self, text: str):
        self.text = text
        self.types: dict[str, str] = {}
        self.help: dict[str, str] = {}
        self.samples: dict[Key, float] = {}
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                {"HELP": self.help, "TYPE": self.types}[kind][name] = rest
                continue
            match = _SAMPLE.match(line)
            assert match, f"not a sample: {line!r}"
            pairs = _LABEL.findall(match[2] or "")
            key = (match[1], frozenset(pairs))
            assert len(pairs) == len(dict(pairs)) == (match[2] or "").count('="'), line
            assert key not in self.samples, f"twice: {line}"
            self.samples[key] = float(match[3])

    def get(self, name: str, **values: str) -> float:
        return self.samples[name, labels(**values)]

    def family(self, name: str) -> dict[Labels, float]:
        return {found: value for (sample, found), value in self.samples.items() if sample == name}

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


def names_in(text: str) -> set[str]:
    """The metrics that a query, or a text, speaks of."""
    return set(_NAME.findall(text))


def run_promtool(*args: str, given: Optional[str] = None) -> tuple[int, str]:
    """Exit status and everything that it said."""
    done = subprocess.run(["promtool", *args], input=given, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


class Prometheus(Process):
    """Debian's prometheus with data of its own, scraping one admin port several times a second."""

    def __init__(self, directory: Path, target: str, token: str, rules: Iterable[str]):
        super().__init__("prometheus", directory)
        self.address = f"{HOST}:{free_port()}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        (directory / "scrape-token").write_text(token + "\n")
        config: dict[str, Any] = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "rule_files": list(rules),
            "scrape_configs": [{"job_name": "crossfade", "static_configs": [{"targets": [target]}],
                                "scrape_interval": "500ms", "scrape_timeout": "500ms",
                                "authorization": {"credentials_file": str(directory / "scrape-token")}}]}
        self.config = directory / "prometheus.yml"
        self.config.write_text(json.dumps(config))  # which is YAML too

    def start(self) -> "Prometheus":
        self.spawn(["prometheus", f"--config.file={self.config}", f"--web.listen-address={self.address}",
                    f"--storage.tsdb.path={self.log_path.parent / 'prometheus.data'}", "--log.level=warn"])
        wait_until(lambda: self._answers(), 60, "prometheus is ready")
        return self

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"prometheus ended at once:\n{self.log(20)}")
        with self._opener.open(f"http://{self.address}/-/ready", timeout=10) as response:
            return response.status == 200

    def api(self, path: str, **query: str) -> Any:
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with self._opener.open(url, timeout=30) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise AdminError(error.code, error.read().decode(errors="replace")) from error
        assert answer["status"] == "success" and not answer.get("warnings"), answer
        return answer["data"]

    def query(self, expression: str) -> dict[Key, float]:
        """An instant query's vector, without the labels that scraping adds."""
        found: dict[Key, float] = {}
        for item in self.api("query", query=expression)["result"]:
            kept = {name: value for name, value in item["metric"].items()
                    if name not in ("__name__", "instance", "job")}
            found[item["metric"].get("__name__", ""), labels(**kept)] = float(item["value"][1])
        return found

    def firing(self) -> set[str]:
        return {alert["labels"]["alertname"] for alert in self.api("alerts")["alerts"] if alert["state"] == "firing"}
