"""For tests of the report: traffic that counts itself, and a reader of its page."""
from __future__ import annotations

import html.parser
import re
from collections import Counter
from typing import Any, Optional

from harness import CrossfadeTest, Rig


class Record:
    """Sends commands through the proxy, and counts what a proxy must have counted."""

    def __init__(self, rig: Rig):
        self.rig = rig
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.read_prefixes: Counter[str] = Counter()
        self.written_prefixes: Counter[str] = Counter()

    def read(self, *words: Any) -> Any:
        self.reads[str(words[0]).lower()] += 1
        self.read_prefixes[self.prefix(words[1])] += 1
        return self.send(*words)

    def write(self, *words: Any) -> Any:
        self.writes[str(words[0]).lower()] += 1
        self.written_prefixes[self.prefix(words[1])] += 1
        return self.send(*words)

    def send(self, *words: Any) -> Any:
        return self.client.execute_command(*words)

    def connect(self) -> "Record":
        self.client = self.rig.proxy.client()
        return self

    @staticmethod
    def prefix(key: str) -> str:
        return key.split(":")[0] + ":" if ":" in key else "(none)"

    def traffic(self, rounds: int) -> None:
        for number in range(rounds):
            self.write("SET", f"user:{number % 20}", f"value {number}")
            self.write("HSET", f"cart:{number % 10}", "field", number)
            self.read("GET", f"user:{number % 20}")
            self.read("GET", f"have:string:{number % 20}")
            self.read("HGETALL", f"cart:{number % 10}")
            self.read("STRLEN", "plain")
            self.read("DUMP", "dumped:1")  # each server has its own bytes: neither the command nor the prefix counts


class Page(html.parser.HTMLParser):
    """Reads a page as a browser would: its text, a line for each piece, and whatever would fetch or run something."""

    FETCHING = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "source", "base", "form", "use"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.evil: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        if tag in self.FETCHING:
            self.evil.append(tag)
        for name, value in attributes:
            if name.startswith("on") or name in ("src", "srcset", "style", "action") or "//" in (value or ""):
                self.evil.append(f"{tag} {name}={value}")
            if name == "href" and not (value or "").startswith("#"):
                self.evil.append(f"{tag} {name}={value}")
            if name == "id":
                self.ids.append(value or "")
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, Optional[str]]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.evil.append(f"</{tag}> where it doesn't belong")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style" and re.search(r"url\(|@import", data):
            self.evil.append(data)
        if data.strip():
            self.pieces.append(data.strip())

    @staticmethod
    def check(test: CrossfadeTest, text: str) -> str:
        page = Page()
        page.feed(text)
        page.close()
        test.assertEqual(page.evil, [])
        test.assertEqual(page.open, [])
        test.assertEqual(len(page.ids), len(set(page.ids)))
        return "\n".join(page.pieces).replace("\xa0", " ") + "\n"
