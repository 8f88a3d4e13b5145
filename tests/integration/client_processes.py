"""Many clients, a thread each, in a few processes: what every load is made of."""
from __future__ import annotations

import multiprocessing
import signal
import threading
from typing import Any, Callable, Iterable, Iterator, Sequence

from harness import die_with_parent

fork = multiprocessing.get_context("fork")


def total_of(total: Any, parts: Iterable[Any]) -> Any:
    """`total`, with each part added to it."""
    for part in parts:
        total.add(part)
    return total


class ClientProcesses:
    """Start them from the main thread, before any other thread."""

    def __init__(self, processes: int, clients_of: Callable[[int], Sequence[Any]], result_of: Callable[[Sequence[Any]], Any]):
        """`clients_of(i)` makes the clients of process i, each with a method `run` that ends by itself; `result_of` is
        called with them once all have ended. Both run in that process; the result is pickled."""
        self._processes, self._clients_of, self._result_of = processes, clients_of, result_of
        self._children: list[tuple[Any, Any]] = []

    def start(self) -> None:
        for number in range(self._processes):
            mine, theirs = fork.Pipe(duplex=False)
            child = fork.Process(target=self._process, args=(number, theirs), daemon=True)
            child.start()
            theirs.close()
            self._children.append((child, mine))

    def results(self, timeout: float) -> Iterator[Any]:
        """One from each process, as soon as it ends: AssertionError for whoever has not within `timeout` seconds."""
        while self._children:
            child, pipe = self._children[0]
            if not pipe.poll(timeout):
                raise AssertionError("a client has not ended: it waits for an answer that never came")
            result = pipe.recv()
            child.join(timeout)
            self._forget_first()
            yield result

    def kill(self) -> None:
        """Those that are still there."""
        while self._children:
            child, _ = self._children[0]
            child.kill()
            child.join()
            self._forget_first()

    def _forget_first(self) -> None:
        _, pipe = self._children.pop(0)
        pipe.close()

    def _process(self, number: int, pipe: Any) -> None:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        clients = self._clients_of(number)
        threads = [threading.Thread(target=client.run, daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pipe.send(self._result_of(clients))
        pipe.close()
