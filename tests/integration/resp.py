"""RESP over a plain socket: for tests that send what no client library would, and read byte by byte what comes back."""
from __future__ import annotations

import socket
from typing import Any, Union

from harness import HOST

Word = Union[str, bytes, int, float]


class ErrorReply(str):
    """An error that the server answered, without the leading '-'."""


class Closed(Exception):
    """The peer has closed the connection."""


def encode(*words: Word) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class RawConnection:
    """One connection. Replies of RESP2 and RESP3: bytes, int, float, bool, None, list, dict, set or ErrorReply."""

    def __init__(self, port: int, timeout: float = 15.0):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, *words: Word) -> Any:
        self.send(encode(*words))
        return self.reply()

    def reply(self) -> Any:
        return self.raw_reply()[0]

    def raw_reply(self) -> tuple[Any, bytes]:
        """The next reply, and the bytes that it was made of."""
        line = self._line()
        kind, text = line[:1], line[1:-2]
        if kind in b"+":
            return text, line
        if kind in b"-":
            return ErrorReply(text.decode(errors="replace")), line
        if kind in b":(":
            return int(text), line
        if kind == b",":
            return float(text), line
        if kind == b"#":
            return text == b"t", line
        if kind == b"_":
            return None, line
        if kind in b"$=!":
            if int(text) < 0:
                return None, line
            body = self._exactly(int(text) + 2)
            return (ErrorReply(body[:-2].decode()) if kind == b"!" else body[:-2]), line + body
        if kind in b"*~>%":
            return self._aggregate(kind, int(text), line)
        raise AssertionError(f"not a reply: {line!r}")

    def _aggregate(self, kind: bytes, count: int, raw: bytes) -> tuple[Any, bytes]:
        if count < 0:
            return None, raw
        items = []
        for _ in range(count * 2 if kind == b"%" else count):
            item, data = self.raw_reply()
            items.append(item)
            raw += data
        if kind == b"%":
            return dict(zip(items[::2], items[1::2])), raw
        return (set(items) if kind == b"~" else items), raw

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed(f"with {self._unread!r} left over")
        self._unread += data

    def _line(self) -> bytes:
        while b"\r\n" not in self._unread:
            self._more()
        end = self._unread.index(b"\r\n") + 2
        line, self._unread = self._unread[:end], self._unread[end:]
        return line

    def _exactly(self, count: int) -> bytes:
        if len(self._unread) < count:
            parts = [self._unread]
            have = len(self._unread)
            while have < count:
                self._unread = b""
                self._more()
                parts.append(self._unread)
                have += len(self._unread)
            self._unread = b"".join(parts)
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    def until_closed(self, most: int = 1 << 24) -> bytes:
        """All that comes until the peer closes; socket.timeout when it does not."""
        data = self._unread
        self._unread = b""
        while len(data) < most:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionError:
                break
            if not more:
                break
            data += more
        return data
