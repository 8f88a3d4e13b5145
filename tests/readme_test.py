#!/usr/bin/python3
"""The README's tables say what the program says: every refused command with its reason, what may not stand between MULTI
and EXEC, every setting with its default, every command of the command line. Needs no server."""
import json
import os
import re
import subprocess
import tomllib
import unittest
from pathlib import Path
from typing import Any, Iterator

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BINARY = os.environ.get("CROSSFADE_BINARY") or str(ROOT / "build/release/crossfade")


def crossfade(*args: str) -> str:
    return subprocess.run([BINARY, *args], check=True, capture_output=True, text=True, timeout=30).stdout


def section(title: str) -> str:
    """What stands between this heading and the next of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no heading {title!r}"
    return found.group(1)


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables, without their heads."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class RefusedCommandsTest(unittest.TestCase):
    maxDiff = None

    def test_the_table_is_the_programs(self) -> None:
        told = {}
        for cell, admin, reason in rows(section("Refused")):
            self.assertIn(admin, ("yes", "no"))
            for name in names(cell):
                self.assertNotIn(name, told, "is in two rows")
                told[name] = ("admin" if admin == "yes" else "refused", reason)
        known = {entry["command"]: (entry["handling"], entry["reason"])
                 for entry in json.loads(crossfade("commands", "--refused", "--json"))}
        self.assertGreater(len(known), 50)
        differing = sorted(name for name in {*told, *known} if told.get(name) != known.get(name))
        self.assertEqual({name: told.get(name, "not in the README") for name in differing},
                         {name: known.get(name, "not refused") for name in differing})

    def test_each_reason_has_one_row(self) -> None:
        reasons = [reason for _, _, reason in rows(section("Refused"))]
        self.assertCountEqual(reasons, set(reasons))

    def test_what_is_refused_inside_multi(self) -> None:
        told = [name for cell, in rows(section("Refused inside MULTI")) for name in names(cell)]
        known = [entry["command"] for entry in json.loads(crossfade("commands", "--not-in-multi", "--json"))]
        self.assertGreater(len(known), 5)
        self.assertCountEqual(told, known)


class SettingsTest(unittest.TestCase):
    maxDiff = None

    def test_every_setting_of_the_sample_has_its_row_and_default(self) -> None:
        told = {}
        for cell, default, _ in rows(section("Configuration")):
            for name in names(cell):
                self.assertNotIn(name, told, "is in two rows")
                told[name] = default.strip("`")
            if cell.startswith("`[["):  # of a list, in which there is nothing to begin with
                for name in names(cell):
                    self.assertEqual(told.pop(name), "none", cell)
        known = dict(self.settings(tomllib.loads((ROOT / "conf/crossfade.toml").read_text(encoding="utf-8"))))
        self.assertGreater(len(known), 30)
        self.assertEqual(told, known)

    def test_every_list_of_the_sample_has_its_row(self) -> None:
        sample = re.findall(r"^# (\[\[\w+\]\])\n((?:# \w+ = .*\n)+)", (ROOT / "conf/crossfade.toml").read_text(), re.M)
        known = {head: re.findall(r"^# (\w+) =", lines, re.MULTILINE) for head, lines in sample}
        told = {names(cell)[0]: names(cell)[1:] for cell, _, _ in rows(section("Configuration")) if "[[" in cell}
        self.assertTrue(known)
        self.assertEqual(told, known)

    def settings(self, table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from self.settings(value, f"{prefix}{key}.")
            elif key == "url":  # the sample has examples
                yield prefix + key, "none"
            else:
                yield prefix + key, json.dumps(value).strip('"') or "empty"


class CommandLineTest(unittest.TestCase):
    def test_every_command_is_in_the_table(self) -> None:
        told = [name.split()[1] for cell, _ in rows(section("Commands")) for name in names(cell)]
        known = re.findall(r"^  ([\w-]+) ", crossfade("--help").split("Subcommands:")[1], re.MULTILINE)
        self.assertIn("run", known)
        self.assertCountEqual(told, known)

    def test_every_option_of_run_is_in_its_row(self) -> None:
        row, = [cell for cell, _ in rows(section("Commands")) if cell.startswith("`crossfade run")]
        known = re.findall(r"^  (--[\w-]+) ", crossfade("run", "--help"), re.MULTILINE)
        self.assertTrue(known)
        self.assertCountEqual(re.findall(r"--[\w-]+", row), known)


if __name__ == "__main__":
    unittest.main()
