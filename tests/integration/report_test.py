#!/usr/bin/python3
"""The report: its verdict for good, bad and thin evidence, each figure recomputed from raw counters and from the test's
own record, over restarts and kills of the proxy, and the same in JSON, Markdown and HTML."""
from __future__ import annotations

import html
import json
import re
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Optional

from admin import AdminError, wait_until
from harness import CrossfadeTest, Rig, crossfade_binary, main
from reports import Page, Record

# What some hundred commands can show. Nothing is compared or copied but what the test asks for.
CONFIG = """
[settle]
share = 0
[verify]
keys_per_second = 50_000
[signoff]
min_compared = 300
mismatch_rate = 1
min_writes = 100
covered_after = 10
min_observed = "1ms"
min_timed = 100
p99_percent = 10_000
p99_fine = "10s"
error_rate = 1
"""
HOSTILE = b'<script src="http://evil.example/x">|`*\xff\n\x00:k'


class ReportTest(CrossfadeTest):
    # ---- help ----

    def report(self, rig: Rig, form: str = "json", **query: str) -> Any:
        extra = "".join(f"&{name}={value}" for name, value in query.items())
        return rig.admin.call("GET", f"/api/v1/report?format={form}{extra}")

    def cli(self, rig: Rig, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run([crossfade_binary(), "report", *words, "--admin", rig.admin.address], timeout=60,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def criterion(self, report: dict, name: str) -> dict:
        found, = [one for one in report["criteria"] if one["name"] == name]
        return found

    def open(self, report: dict) -> dict[str, str]:
        """The criteria that are not met, with what was found."""
        return {one["name"]: f"{one['verdict']}: {one['found']}" for one in report["criteria"]
                if one["verdict"] != "PASS"}

    def verify(self, rig: Rig) -> None:
        rig.admin.wait_settled()
        rig.admin.call("POST", "/api/v1/verify", {})
        wait_until(lambda: rig.admin.call("GET", "/api/v1/verify")["state"] == "done", 60, "a verification")

    def begin(self, config: str = CONFIG, compare: int = 100) -> tuple[Rig, Record]:
        """Old has keys, new is made equal by a backfill; reads are compared."""
        rig = self.rig(config=config, start=False)
        rig.old.start()
        rig.new.start()
        with rig.old.client() as client:
            for number in range(20):
                client.set(f"have:string:{number}", f"was there before {number}")
            client.set("plain", "text")
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.call("GET", "/api/v1/preflight", timeout=60)
        rig.admin.start_backfill()
        rig.admin.wait_synced()
        rig.admin.routing(compare=compare)
        return rig, Record(rig).connect()

    def rehearse(self, rig: Rig) -> None:
        for side in ("new", "old"):
            wait_until(lambda: rig.admin.flip(side, max_pause_ms=2000), 30, f"a flip to {side}")

    def finished(self, **options: Any) -> tuple[Rig, Record]:
        """A migration with all that a report demands."""
        rig, record = self.begin(**options)
        record.traffic(100)
        self.rehearse(rig)
        record.traffic(20)
        self.verify(rig)
        return rig, record

    # ---- verdicts ----

    def test_a_finished_migration_passes(self) -> None:
        rig, record = self.finished()
        report = self.report(rig)
        self.assertEqual(report["verdict"], "PASS", self.open(report))
        self.recompute(rig, report, record)
        with tempfile.TemporaryDirectory() as directory:
            for name, form in (("r.html", "html"), ("r.json", "json"), ("r.md", "markdown")):
                path = Path(directory) / name
                path.write_text("an older one")
                done = self.cli(rig, "--out", str(path))
                self.assertEqual((done.returncode, done.stderr), (0, ""), done)
                self.assertEqual(done.stdout, f"report: PASS; written to {path}\n")
                self.assertIn("PASS", path.read_text())
                self.assertEqual([entry.name for entry in Path(directory).iterdir()], [name])
                self.assertEqual(self.verdict_of(path.read_text(), form), "PASS")
                path.unlink()
            self.assertEqual(self.cli(rig, "--out", f"{directory}/unknown.xyz").returncode, 2)
            self.assertEqual(self.cli(rig, "--out", f"{directory}/no/such/r.html").returncode, 1)
        shown = self.cli(rig)
        self.assertEqual(shown.returncode, 0, shown)
        self.assertTrue(shown.stdout.startswith("# Migration report"), shown.stdout[:100])
        self.assertEqual(json.loads(self.cli(rig, "--json").stdout)["verdict"], "PASS")

    def verdict_of(self, text: str, form: str) -> str:
        if form == "json":
            return json.loads(text)["verdict"]
        mark = r'crossfade-verdict" content="(\w+)"' if form == "html" else r"\*\*Verdict: (\w+)\.\*\*"
        return re.search(mark, text)[1]

    def test_a_seeded_divergence_fails(self) -> None:
        rig, record = self.finished()
        with rig.new.client() as new:
            new.set("user:3", "somebody else's")
        record.read("GET", "user:3")
        rig.admin.wait_status(lambda s: s["reads"]["mismatched"] == 1, 10, "the mismatch")
        report = self.report(rig)
        self.assertEqual(report["verdict"], "FAIL")
        found = self.criterion(report, "mismatches")
        self.assertEqual((found["verdict"], found["figure"]), ("FAIL", 1), found)
        one, = report["mismatches"]["list"]
        self.assertEqual((one["key"], one["command"], one["db"]), ("user:3", "get", 0))
        self.assertNotEqual(one["digests"]["old"], one["digests"]["new"])
        self.assertNotIn("values", one)
        self.recompute(rig, report, record)
        self.assertEqual(self.cli(rig, "--json").returncode, 1)
        # Over a restart it is still known, and its repair makes nothing undone.
        rig.admin.wait_settled()
        rig.proxy.end(signal.SIGTERM)
        rig.proxy.start()
        rig.wait_up("old", "new")
        self.verify(rig)
        report = self.report(rig)
        self.assertEqual(set(self.open(report)) & {"mismatches", "verification"}, {"mismatches"}, self.open(report))
        self.assertEqual([one["key"] for one in report["mismatches"]["list"]], ["user:3"])

    def test_what_only_a_verification_finds_fails(self) -> None:
        rig, _ = self.finished()
        with rig.new.client() as new:
            new.set("have:string:5", "somebody else's")
        self.verify(rig)
        report = self.report(rig)
        self.assertEqual(report["verdict"], "FAIL")
        self.assertEqual(self.open(report).keys(), {"verification"}, self.open(report))
        self.assertEqual([one["key"] for one in report["differences"]["list"]], ["have:string:5"])

    def test_too_few_comparisons_are_insufficient(self) -> None:
        rig, record = self.finished(compare=0)
        report = self.report(rig)
        self.assertEqual(report["verdict"], "INSUFFICIENT", self.open(report))
        for name in ("comparisons", "mismatches", "mismatch_rate", "commands", "prefixes"):
            self.assertEqual(self.criterion(report, name)["verdict"], "INSUFFICIENT", name)
        self.assertIsNone(self.criterion(report, "mismatches")["figure"])
        self.assertIsNone(self.criterion(report, "mismatch_rate")["bound"])
        for form in ("html", "markdown"):
            self.assertNotIn("0 mismatched", self.report(rig, form))
        done = self.cli(rig)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("INSUFFICIENT", done.stdout)
        rig.admin.routing(compare=100)
        record.traffic(5)
        report = self.report(rig)
        found = self.criterion(report, "comparisons")
        self.assertEqual((found["figure"], found["verdict"]), (20, "INSUFFICIENT"), found)
        self.assertAlmostEqual(self.criterion(report, "mismatch_rate")["bound"], 300 / 20)

    def test_a_proxy_that_has_done_nothing_does_not_pass(self) -> None:
        rig = self.rig(config=CONFIG)
        report = self.report(rig)
        self.assertIn(report["verdict"], ("FAIL", "INSUFFICIENT"))
        for name in ("comparisons", "mismatches", "mismatch_rate", "divergence", "commands", "prefixes",
                     "verification", "read_latency", "error_rate", "rollback", "preflight"):
            self.assertNotEqual(self.criterion(report, name)["verdict"], "PASS", name)

    # ---- figures ----

    def recompute(self, rig: Rig, report: dict, record: Record, before: Optional[dict] = None) -> None:
        """Each figure from the raw counters of the status (and of runs before), and from what the test has sent."""
        status = rig.admin.status()
        all_, agreed = report["counters"]["all"], report["counters"]["agreed"]
        base = before or Counter()
        for name, of in {"reads_old": ("reads", "old"), "reads_new": ("reads", "new"),
                         "reads_compared": ("reads", "compared"), "reads_mismatched": ("reads", "mismatched"),
                         "reads_unconfirmed": ("reads", "unconfirmed"), "reads_expiring": ("reads", "expiring"),
                         "reads_not_comparable": ("reads", "not_comparable"),
                         "reads_fallback": ("reads", "fallback"), "writes_total": ("writes", "total"),
                         "writes_followed": ("writes", "followed"), "writes_diverged": ("writes", "diverged"),
                         "writes_refused": ("writes", "refused_by_secondary"),
                         "unknown_outcomes": ("writes", "unknown_outcomes"),
                         "clients_total": ("clients", "total")}.items():
            self.assertEqual(all_[name], base[name] + status[of[0]][of[1]], name)
            self.assertLessEqual(agreed[name], all_[name], name)
        reads, writes = sum(record.reads.values()), sum(record.writes.values())
        self.assertEqual((all_["reads_old"] + all_["reads_new"], all_["writes_total"]), (reads, writes))
        for table, read, written in (("commands", record.reads, record.writes),
                                     ("prefixes", record.read_prefixes, record.written_prefixes)):
            rows = {row["name"]: row for row in report["coverage"][table]["rows"]}
            self.assertEqual({name: row["reads"] for name, row in rows.items() if row["reads"]}, dict(read))
            self.assertEqual({name: row["writes"] for name, row in rows.items() if row["writes"]}, dict(written))
            self.assertEqual(sum(row["compared"] for row in rows.values()), all_["reads_compared"])
            self.assertEqual(sum(row["mismatched"] or 0 for row in rows.values()), all_["reads_mismatched"])
            counting = [row for row in rows.values() if row["comparable"]]
            self.assertEqual({name for name, row in rows.items() if row["reads"] and not row["comparable"]},
                             {"dump", "dumped:"} & set(rows))
            covered = [row for row in counting if row["agreed"]["compared"] >= max(1, min(10, row["comparable"]))]
            self.assertEqual((report["coverage"][table]["seen"], report["coverage"][table]["covered"]),
                             (len(counting), len(covered)))
            self.assertAlmostEqual(self.criterion(report, table)["figure"], 100 * len(covered) / len(counting))
        self.recompute_criteria(report, agreed, reads + writes)
        for side in ("old", "new"):
            for kind in ("reads", "writes"):
                self.recompute_latency(report["stores"][side]["latency_us"][kind])
        self.assertEqual([(flip["to"], flip["pause_ms"], flip["forced"]) for flip in report["flips"]],
                         [(flip["to"], flip["pause_ms"], flip["forced"]) for flip in status["flips"]])
        self.assertEqual(report["config"]["hash"], status["config"]["hash"])

    def recompute_criteria(self, report: dict, agreed: dict, requests: int) -> None:
        compared, mismatched = agreed["reads_compared"] - agreed["reads_expiring"], agreed["reads_mismatched"]
        self.assertEqual(self.criterion(report, "comparisons")["figure"], agreed["reads_compared"])
        rate = self.criterion(report, "mismatch_rate")
        self.assertEqual(rate["samples"], compared)
        self.assertAlmostEqual(rate["figure"], 100 * mismatched / compared)
        bound = 3 / compared if mismatched == 0 else self.exact_bound(mismatched, compared)
        self.assertAlmostEqual(rate["bound"], 100 * bound, 6)
        self.assertEqual(self.criterion(report, "divergence")["samples"], agreed["writes_followed"])
        errors = self.criterion(report, "error_rate")
        self.assertEqual(errors["samples"], requests)
        counted = sum(one["count"] for one in report["errors"] if one["counts"])
        self.assertAlmostEqual(errors["figure"], 100 * counted / requests)
        latency = [report["stores"][side]["latency_us"]["reads"] for side in ("old", "new")]
        self.assertAlmostEqual(self.criterion(report, "read_latency")["figure"],
                               100 * latency[1]["p99"] / latency[0]["p99"])
        worst = {one["verdict"] for one in report["criteria"]}
        self.assertEqual(report["verdict"],
                         "FAIL" if "FAIL" in worst else "INSUFFICIENT" if "INSUFFICIENT" in worst else "PASS")

    def exact_bound(self, hits: int, samples: int) -> float:
        """The share with which so few hits come once in twenty times, from the binomial's terms."""
        low, high = hits / samples, 1.0
        for _ in range(60):
            share = (low + high) / 2
            term = total = (1 - share) ** samples
            for k in range(1, hits + 1):
                term *= (samples - k + 1) / k * share / (1 - share)
                total += term
            low, high = (share, high) if total > 0.05 else (low, share)
        return high

    def recompute_latency(self, told: dict) -> None:
        self.assertEqual(told["count"], sum(count for _, count in told["buckets"]))
        if not told["count"]:
            self.assertIsNone(told["p99"])
            return
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            wanted = min(int(share * told["count"]), told["count"] - 1)
            for longest, count in told["buckets"]:
                if count > wanted:
                    self.assertEqual(told[name], longest, name)
                    break
                wanted -= count

    # ---- restarts ----

    def saved(self, rig: Rig) -> dict:
        return json.loads((rig.proxy.state_dir / "ledger.json").read_text())

    def all_counted(self, rig: Rig) -> dict:
        return self.report(rig)["counters"]["all"]

    def test_figures_reach_back_over_restarts_and_kills(self) -> None:
        rig, record = self.finished()
        before = self.all_counted(rig)
        wait_until(lambda: self.saved(rig)["counters"]["all"] == before, 20, "the figures on the disk")
        rig.proxy.kill()
        rig.proxy.start()
        rig.wait_up("old", "new")
        rig.admin.wait_synced()
        record.connect().traffic(30)
        report = self.report(rig)
        self.recompute(rig, report, record, before)
        self.assertEqual(report["verdict"], "FAIL")
        self.assertEqual(self.open(report).keys(), {"restarts"}, self.open(report))
        self.assertEqual((report["period"]["crashes"], len(report["period"]["runs"])), (1, 2))
        gap, = report["period"]["gaps"]
        self.assertFalse(gap["in_order"])
        self.assertIn("is missing in this report", self.report(rig, "html"))
        # An orderly end loses nothing, and needs no time to be written down.
        record.traffic(7)
        rig.admin.wait_settled()
        counted = self.all_counted(rig)
        rig.proxy.end(signal.SIGTERM)
        rig.proxy.start()
        rig.wait_up("old", "new")
        record.connect().traffic(3)
        report = self.report(rig)
        self.recompute(rig, report, record, counted)
        self.assertEqual((report["period"]["crashes"], len(report["period"]["runs"])), (1, 3))
        self.assertEqual([gap["in_order"] for gap in report["period"]["gaps"]], [False, True])
        self.assertEqual(len(report["verifications"]), 1)
        self.assertEqual(len(report["flips"]), 2)

    def test_a_torn_ledger_begins_anew_and_says_so(self) -> None:
        rig, record = self.finished()
        rig.proxy.end(signal.SIGTERM)
        path = rig.proxy.state_dir / "ledger.json"
        whole = path.read_text()
        path.write_text(whole[: len(whole) // 2])
        rig.proxy.start()
        rig.wait_up("old", "new")
        report = self.report(rig)
        self.assertEqual(report["period"]["lost_ledgers"], 1)
        self.assertEqual(self.criterion(report, "restarts")["verdict"], "FAIL")
        self.assertEqual(report["counters"]["all"]["reads_compared"], 0)
        self.assertEqual(self.criterion(report, "mismatches")["verdict"], "INSUFFICIENT")
        self.assertIn("could not be read", self.report(rig, "markdown"))
        self.assertEqual(path.with_name("ledger.json.unread").read_text(), whole[: len(whole) // 2])

    # ---- what is written ----

    def test_html_is_one_file_and_keys_are_only_text(self) -> None:
        rig, record = self.finished(config=CONFIG + "[mismatches]\nkeep_values = true\n")
        with rig.new.client() as new:
            record.client.set(HOSTILE, "a")
            rig.admin.wait_settled()
            new.set(HOSTILE, "<b>secret</b>")
        record.client.get(HOSTILE)
        rig.admin.wait_status(lambda s: s["reads"]["mismatched"] == 1, 10, "the mismatch")
        page = self.report(rig, "html")
        Page.check(self, page)
        self.assertNotIn("secret", page)
        self.assertIn("&lt;script src=", page)
        markdown = self.report(rig, "markdown")
        self.assertNotIn("<script", markdown)
        row, = [line for line in markdown.splitlines() if "evil.example" in line and "| get |" in line]
        self.assertEqual(len(re.findall(r"(?<!\\)\|", row)), 7, row)
        asked = self.report(rig, "html", values="true")
        Page.check(self, asked)
        self.assertIn("&lt;b&gt;secret&lt;/b&gt;", asked)
        self.assertIn("secret", json.dumps(self.report(rig, values="true")))
        self.assertNotIn("secret", json.dumps(self.report(rig)))

    def test_the_three_formats_say_the_same(self) -> None:
        rig, _ = self.finished()
        page, markdown, report = self.report(rig, "html"), self.report(rig, "markdown"), self.report(rig)
        plain = Page.check(self, page)
        unmarked = html.unescape(re.sub(r"\\(.)", r"\1", markdown)).replace("**", "")
        timeless = lambda one: one["name"] not in ("observation",)  # noqa: E731  (it goes on)
        for one in filter(timeless, report["criteria"]):
            for text in (one["title"], one["demands"], one["found"]):
                self.assertIn(text, plain)
                self.assertIn(text, unmarked)
        for table in ("commands", "prefixes"):
            for row in report["coverage"][table]["rows"]:
                cells = (row["name"], f"{row['reads']:,}", f"{row['writes']:,}", f"{row['compared']:,}")
                self.assertIn(" | ".join(cells), unmarked)
                self.assertIn("\n".join(cells), plain)
        for name, count in report["counters"]["all"].items():
            self.assertRegex(unmarked, rf"\| {name} \| {count:,} \|")
            self.assertIn(f"{name}\n{count:,}\n", plain)
        for text in (report["config"]["hash"], report["stores"]["old"]["address"]):
            self.assertIn(text, plain)
            self.assertIn(text, unmarked)
        self.assertNotIn("nan", re.sub(r"[a-z]nan|nan[a-z]", "", page.lower()))
        self.assertNotRegex(page, r"\binf\b")
        self.assertEqual(page.count("<svg"), 2)

    def test_credentials_are_in_no_report(self) -> None:
        rig = self.rig(config=CONFIG, password="s3cr3t-pass")
        for form in ("json", "html", "markdown"):
            text = self.report(rig, form)
            self.assertNotIn("s3cr3t", text if isinstance(text, str) else json.dumps(text))

    def test_what_a_store_does_not_tell_is_said(self) -> None:
        rig, _ = self.begin()
        rig.new.pause()
        try:
            report = self.report(rig)
        finally:
            rig.new.resume()
        self.assertIn("error", report["stores"]["new"]["info"])
        self.assertGreater(report["stores"]["old"]["info"]["used_memory"], 0)

    def test_wrong_questions_are_refused(self) -> None:
        rig = self.rig(config=CONFIG)
        for query in ("format=pdf", "values=yes"):
            with self.assertRaises(AdminError) as refused:
                rig.admin.call("GET", f"/api/v1/report?{query}")
            self.assertEqual(refused.exception.status, 400)
        self.assertEqual(rig.admin.request("POST", "/api/v1/report", {})[0], 405)


if __name__ == "__main__":
    main()
