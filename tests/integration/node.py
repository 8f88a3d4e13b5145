"""Node.js programs of tests, with their libraries: installed by `npm ci` in a directory under build/, once, from whatever
registry npm is configured for."""
from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

NPM_TIMEOUT = 240


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if not path:
        raise AssertionError(f"{name} is missing: install the package {package} (./run test does)")
    return path


def install(source: Path, installed: Path) -> Path:
    """`installed`, with the programs of `source` and their libraries; nothing is fetched when they are there already."""
    npm = program("npm", "npm")
    installed.mkdir(parents=True, exist_ok=True)
    with open(installed / "install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two presets' tests may run at once
        for path in (*source.glob("*.json"), *source.glob("*.mjs")):
            shutil.copy(path, installed)
        wanted = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
        stamp = installed / "node_modules" / "installed.sha256"
        if not stamp.exists() or stamp.read_text() != wanted:
            done = subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=installed,
                                  capture_output=True, text=True, timeout=NPM_TIMEOUT)
            if done.returncode != 0:
                raise AssertionError(f"npm ci in {installed} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
            stamp.write_text(wanted)
    return installed
