"""A TCP relay between the proxy and one store, which can be slow, silent, broken, or lie.

    relay = Relay(store.port)           # already accepts
    proxy.new_url = relay.url
    relay.set(delay=0.2)                # each direction; also rate=1 (bytes a second), reading=False, blackhole=True
    relay.heal()                        # all of that is over; what was held back flows on, what lost bytes is cut
    relay.cut()                         # every connection ends now, with a reset
    relay.refuse() / relay.accept()     # new connections are refused / taken
    relay.inject(b"+more\r\n")          # into what the store has said to the proxy's lane
    relay.answer("SPOP", b"-NOPERM …")  # this command, by the relay itself, in its turn; forget_answers()

One thread, which dies with the process. It remembers nothing of a connection that has ended.
"""
from __future__ import annotations

import re
import selectors
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Optional

from harness import HOST
from resp import encode

MOST_HELD = 1 << 18  # bytes of one direction; then its source is not read any more
HEAD = re.compile(rb"\*(\d+)\r\n")
BULK = re.compile(rb"\$(\d+)\r\n")


@dataclass
class Manners:
    """How bytes are treated, in both directions."""

    delay: float = 0.0       # seconds
    rate: float = 0.0        # bytes a second; 0: as fast as they come
    reading: bool = True
    blackhole: bool = False  # what the proxy sends is taken and thrown away, and nothing comes back


@dataclass
class Direction:
    """Bytes on their way from one socket to the other."""

    source: socket.socket
    sink: socket.socket
    held: deque = field(default_factory=deque)  # (when it may leave, bytes)
    size: int = 0
    next_byte_at: float = 0.0
    unparsed: bytes = b""   # to the store: the beginning of a command. From it: the beginning of an answer to exchange
    ended: bool = False     # the source has said its last

    def hold(self, data: bytes, at: float) -> None:
        if data:
            self.held.append((at, data))
            self.size += len(data)


class Pair:
    """One connection of the proxy's, and the one to the store that it stands for."""

    def __init__(self, client: socket.socket, store: socket.socket):
        self.up = Direction(client, store)
        self.down = Direction(store, client)
        self.exchanges: deque[tuple[bytes, bytes]] = deque()  # what the store will say, and what the proxy gets instead
        self.is_lane = False  # it has asked for TIME: only the lane does
        self.lost = False     # something was thrown away: it can only end

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.up.source, self.up.sink


class Relay:
    def __init__(self, target: int):
        self.target = target
        self._manners = Manners()
        self._answers: dict[bytes, bytes] = {}
        self._pairs: list[Pair] = []
        self._tokens = 0
        self.accepted = 0
        self._orders: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._listener: Optional[socket.socket] = None
        self.port = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    # --- for tests, from any thread; each is done when it returns ---------------------------------------------------

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def set(self, **manners: object) -> None:
        self._order(lambda: [setattr(self._manners, name, value) for name, value in manners.items()])

    def heal(self) -> None:
        def heal() -> None:
            self._manners = Manners()
            for pair in [pair for pair in self._pairs if pair.lost]:
                self._end(pair, reset=True)
            for pair in self._pairs:
                for way in (pair.up, pair.down):
                    way.held = deque((0.0, data) for _, data in way.held)
                    way.next_byte_at = 0.0
        self._order(heal)

    def cut(self) -> None:
        self._order(lambda: [self._end(pair, reset=True) for pair in list(self._pairs)])

    def refuse(self) -> None:
        def refuse() -> None:
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
        self._order(refuse)

    def accept(self) -> None:
        self._order(lambda: None if self._listener is not None else self._listen())

    def inject(self, data: bytes) -> int:
        """Returns into how many connections."""
        lanes: list[Pair] = []

        def inject() -> None:
            lanes.extend(pair for pair in self._pairs if pair.is_lane)
            for pair in lanes:
                pair.down.hold(data, 0.0)
        self._order(inject)
        return len(lanes)

    def answer(self, command: str, reply: bytes) -> None:
        """RESP bytes. Inside MULTI the command is queued, and fails so when it is run."""
        self._order(lambda: self._answers.update({command.lower().encode(): reply}))

    def forget_answers(self) -> None:
        self._order(self._answers.clear)

    def stop(self) -> None:
        self._order(self._stop)
        self._thread.join(10)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _order(self, act: Callable[[], object]) -> None:
        done = threading.Event()
        self._orders.append((act, done))
        self._wake_writer.send(b"!")
        assert done.wait(20), "the relay does not listen"

    # --- its own thread ---------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, self.port))
        listener.listen(64)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _stop(self) -> None:
        for pair in list(self._pairs):
            self._end(pair, reset=False)
        if self._listener is not None:
            self._listener.close()
        self._thread_ends = True

    _thread_ends = False
    _now = 0.0  # one moment for each round: what is due in _watch's eyes must not be later in _pause's

    def _run(self) -> None:
        self._wake_reader.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        while not self._thread_ends:
            ready = {key.fileobj: events for key, events in self._selector.select(self._pause())}
            self._now = time.monotonic()
            if self._wake_reader in ready:
                self._wake_reader.recv(4096)
            while self._orders:
                act, done = self._orders.popleft()
                act()
                done.set()
            if self._listener is not None and self._listener in ready:
                self._take_connection()
            for pair in list(self._pairs):
                self._serve(pair, ready)

    def _pause(self) -> Optional[float]:
        """Until something held back may leave. What might already have left waits for its sink (_watch)."""
        due = [max(way.held[0][0], way.next_byte_at) for pair in self._pairs for way in (pair.up, pair.down)
               if way.held]
        later = [at for at in due if at > self._now]
        return max(0.0, min(later) - time.monotonic()) if later else None

    def _take_connection(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self.accepted += 1
        store = socket.socket()
        try:
            store.connect((HOST, self.target))
        except OSError:
            reset(client)
            return
        for one in (client, store):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append(Pair(client, store))
        self._watch(self._pairs[-1])

    def _end(self, pair: Pair, reset: bool) -> None:
        self._pairs.remove(pair)
        for one in pair.sockets:
            try:
                self._selector.unregister(one)
            except KeyError:
                pass
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()

    def _serve(self, pair: Pair, ready: dict) -> None:
        try:
            for way in (pair.up, pair.down):
                if ready.get(way.source, 0) & selectors.EVENT_READ:
                    self._read(pair, way)
            for way in (pair.up, pair.down):
                self._write(way)
            if any(way.ended and not way.held for way in (pair.up, pair.down)):
                return self._end(pair, reset=False)
        except OSError:
            return self._end(pair, reset=True)
        self._watch(pair)

    def _watch(self, pair: Pair) -> None:
        """Asks the selector for what can be done now, and for nothing else: a busy loop would starve the machine."""
        for way, back in ((pair.up, pair.down), (pair.down, pair.up)):
            # A direction's source is the sink of the other.
            hears = self._manners.reading and not (self._manners.blackhole and way is pair.down)
            events = selectors.EVENT_READ if hears and way.size < MOST_HELD and not way.ended else 0
            if back.held and max(back.held[0][0], back.next_byte_at) <= self._now and not self._manners.blackhole:
                events |= selectors.EVENT_WRITE
            try:
                self._selector.modify(way.source, events) if events else self._selector.unregister(way.source)
            except KeyError:
                if events:
                    self._selector.register(way.source, events)

    def _read(self, pair: Pair, way: Direction) -> None:
        try:
            data = way.source.recv(1 << 16)
        except BlockingIOError:
            return
        if not data:
            way.ended = True
        if self._manners.blackhole:
            pair.lost = pair.lost or bool(data)
            return
        at = time.monotonic() + self._manners.delay if self._manners.delay else 0.0
        way.hold(self._requests(pair, data) if way is pair.up else self._replies(pair, data), at)

    def _write(self, way: Direction) -> None:
        while way.held and not self._manners.blackhole:
            now = time.monotonic()
            at, data = way.held[0]
            if max(at, way.next_byte_at) > now:
                return
            rate = self._manners.rate
            try:
                sent = way.sink.send(data[:1] if rate else data)
            except BlockingIOError:
                return
            way.size -= sent
            if rate:
                way.next_byte_at = now + sent / rate
            if sent == len(data):
                way.held.popleft()
            else:
                way.held[0] = (at, data[sent:])

    # --- answers of its own -----------------------------------------------------------------------------------------
    # A scripted command reaches the store as an ECHO of a token; where that comes back, the reply is put in its place.

    def _requests(self, pair: Pair, data: bytes) -> bytes:
        data = pair.up.unparsed + data
        out, at = [], 0
        while (end := command_end(data, at)) > 0:
            name = command_name(data, at)
            pair.is_lane = pair.is_lane or name == b"time"
            reply = self._answers.get(name)
            if reply is None:
                out.append(data[at:end])
            else:
                self._tokens += 1
                token = b"relayed-%08d" % self._tokens
                pair.exchanges.append((b"$%d\r\n%s\r\n" % (len(token), token), reply))
                out.append(encode("ECHO", token))
            at = end
        pair.up.unparsed = data[at:]
        return b"".join(out)

    def _replies(self, pair: Pair, data: bytes) -> bytes:
        data, pair.down.unparsed = pair.down.unparsed + data, b""
        out = []
        while pair.exchanges:
            said, instead = pair.exchanges[0]
            before, found, rest = data.partition(said)
            if not found:
                keep = next((n for n in range(min(len(said) - 1, len(data)), 0, -1) if said.startswith(data[-n:])), 0)
                pair.down.unparsed = data[len(data) - keep:]
                data = data[:len(data) - keep]
                break
            out += [before, instead]
            data = rest
            pair.exchanges.popleft()
        return b"".join(out) + data


def reset(one: socket.socket) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def command_end(data: bytes, at: int) -> int:
    """Where the command that begins at `at` ends; 0 while it is not whole."""
    head = HEAD.match(data, at)
    if head is None:
        return 0
    position = head.end()
    for _ in range(int(head[1])):
        bulk = BULK.match(data, position)
        if bulk is None:
            return 0
        position = bulk.end() + int(bulk[1]) + 2
        if position > len(data):
            return 0
    return position


def command_name(data: bytes, at: int) -> bytes:
    head = HEAD.match(data, at)
    bulk = BULK.match(data, head.end())
    return data[bulk.end():bulk.end() + int(bulk[1])].lower()
