"""Queue workers: producers and blocked consumers while the primary is flipped: each job is handled exactly once.

8 producers, 8 consumers; 5,000 jobs, or with CROSSFADE_LONG=1 the 50,000 that the issue names; flips every 300 ms.
"""
import threading
import time
from collections import Counter
from typing import Any, Callable

from admin import wait_until
from either import EitherTest
from harness import LONG, main
from resp import RawConnection, encode

PRODUCERS = CONSUMERS = 8
JOBS = 50_000 if LONG else 5_000
PAUSE = 0.0005 if LONG else 0.005  # of a producer after each job, so that there are flips meanwhile, and empty queues
STOP = b"stop"
Taken = list[tuple[Any, bytes]]  # what done() needs to know, and the job


def require(condition: bool, what: str, answer: Any) -> None:
    if not condition:
        raise AssertionError(f"{what} answered {answer!r}")


class ListQueue:
    """RPUSH and BLPOP. Every second consumer waits for ever, the others with a short timeout, again and again."""
    in_order = True               # a consumer sees the jobs of one producer in their order
    prepare: tuple[tuple, ...] = ()
    clear: tuple[tuple, ...] = ()  # what a worked-off queue leaves behind

    def put(self, connection: RawConnection, job: bytes) -> None:
        answer = connection.ask("RPUSH", "queue", job)
        require(isinstance(answer, int) and answer > 0, "RPUSH", answer)

    def take(self, connection: RawConnection, number: int) -> Taken:
        answer = connection.ask("BLPOP", "urgent", "queue", "0" if number % 2 else "0.05")
        if answer is None and number % 2 == 0:
            return []
        require(isinstance(answer, list) and answer[0] == b"queue", "BLPOP", answer)
        return [(None, answer[1])]

    def done(self, connection: RawConnection, number: int, token: Any) -> None:
        """The job is handled."""


class TransactionQueue(ListQueue):
    """Jobs put by EXEC, taken by BRPOP in RESP3."""
    clear = (("DEL", "produced"),)

    def put(self, connection: RawConnection, job: bytes) -> None:
        connection.send(encode("MULTI") + encode("INCR", "produced") + encode("LPUSH", "queue", job) + encode("EXEC"))
        answer = [connection.reply() for _ in range(4)][3]
        require(isinstance(answer, list) and all(isinstance(item, int) for item in answer), "EXEC", answer)

    def take(self, connection: RawConnection, number: int) -> Taken:
        answer = connection.ask("BRPOP", "queue", "urgent", 0)
        require(isinstance(answer, list) and answer[0] == b"queue", "BRPOP", answer)
        return [(None, answer[1])]


class SeveralQueue(ListQueue):
    """BLMPOP of up to three."""

    def take(self, connection: RawConnection, number: int) -> Taken:
        answer = connection.ask("BLMPOP", 0, 2, "urgent", "queue", "LEFT", "COUNT", 3)
        require(isinstance(answer, list) and answer[0] == b"queue", "BLMPOP", answer)
        return [(None, job) for job in answer[1]]


class ReliableQueue(ListQueue):
    """A job stays in the consumer's own list until it has been handled, and LREM takes it from there."""
    words: tuple = ("BLMOVE", "queue", "@", "LEFT", "RIGHT", 0)

    def take(self, connection: RawConnection, number: int) -> Taken:
        own = f"working:{number}"
        job = connection.ask(*(own if word == "@" else word for word in self.words))
        require(isinstance(job, bytes), self.words[0], job)
        at_work = connection.ask("LRANGE", own, 0, -1)
        require(at_work == [job], f"LRANGE of the jobs at work, {job!r},", at_work)
        return [(job, job)]

    def done(self, connection: RawConnection, number: int, token: Any) -> None:
        removed = connection.ask("LREM", f"working:{number}", 1, token)
        require(removed == 1, "LREM", removed)


class OldReliableQueue(ReliableQueue):
    words = ("BRPOPLPUSH", "queue", "@", 0)

    def put(self, connection: RawConnection, job: bytes) -> None:
        answer = connection.ask("LPUSH", "queue", job)
        require(isinstance(answer, int) and answer > 0, "LPUSH", answer)


class PriorityQueue(ListQueue):
    in_order = False

    def put(self, connection: RawConnection, job: bytes) -> None:
        answer = connection.ask("ZADD", "queue", b"inf" if job == STOP else job.split(b":")[1], job)
        require(answer == 1, "ZADD", answer)

    def take(self, connection: RawConnection, number: int) -> Taken:
        answer = connection.ask("BZPOPMIN", "urgent", "queue", 0)
        require(isinstance(answer, list) and answer[0] == b"queue", "BZPOPMIN", answer)
        return [(None, answer[1])]


class StreamQueue(ListQueue):
    prepare = (("XGROUP", "CREATE", "queue", "workers", "$", "MKSTREAM"),)
    clear = (("XGROUP", "DESTROY", "queue", "workers"), ("DEL", "queue"))

    def put(self, connection: RawConnection, job: bytes) -> None:
        answer = connection.ask("XADD", "queue", "*", "job", job)
        require(isinstance(answer, bytes) and b"-" in answer, "XADD", answer)

    def take(self, connection: RawConnection, number: int) -> Taken:
        answer = connection.ask("XREADGROUP", "GROUP", "workers", f"worker{number}", "COUNT", 2, "BLOCK",
                                0 if number % 2 else 50, "STREAMS", "queue", ">")
        if answer is None and number % 2 == 0:
            return []
        require(isinstance(answer, list) and answer[0][0] == b"queue", "XREADGROUP", answer)
        return [(entry, fields[1]) for entry, fields in answer[0][1]]

    def done(self, connection: RawConnection, number: int, token: Any) -> None:
        connection.send(encode("XACK", "queue", "workers", token) + encode("XDEL", "queue", token))
        answers = [connection.reply(), connection.reply()]
        require(answers == [1, 1], "XACK and XDEL", answers)


class QueueTest(EitherTest):
    def guarded(self, role: str, act: Callable[..., None], *arguments: Any) -> threading.Thread:
        """A running thread, whose failure is kept: it cannot fail the test."""
        def run() -> None:
            try:
                act(*arguments)
            except BaseException as failure:
                self.wrong.append(f"{role}: {type(failure).__name__}: {failure}")
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def produce(self, queue: ListQueue, number: int, connection: RawConnection) -> None:
        for count in range(number, JOBS, PRODUCERS):
            queue.put(connection, b"%d:%d" % (number, count))
            time.sleep(PAUSE)

    def consume(self, queue: ListQueue, number: int, connection: RawConnection) -> None:
        """Until it gets a STOP."""
        while True:
            for token, job in queue.take(connection, number):
                if job != STOP:
                    self.handled[number].append(job)
                queue.done(connection, number, token)
                if job == STOP:
                    return

    def work(self, queue: ListQueue, protocol: int = 2) -> None:
        """All jobs go through the queue, with flips meanwhile; then they are counted."""
        self.do(*queue.prepare)
        self.wrong: list[str] = []
        self.handled: list[list[bytes]] = [[] for _ in range(CONSUMERS)]
        began, flips = time.monotonic(), self.place.flips
        consumers = [self.guarded(f"consumer {number}", self.consume, queue, number,
                                  self.connection(protocol, timeout=60)) for number in range(CONSUMERS)]
        with self.place.flipping():
            producers = [self.guarded(f"producer {number}", self.produce, queue, number, self.connection(timeout=60))
                         for number in range(PRODUCERS)]
            for thread in producers:
                thread.join(600)
            wait_until(lambda: self.wrong or self.count() >= JOBS, 60, "all jobs handled")
        for left in range(CONSUMERS - 1, -1, -1):  # one at a time: who takes several must not take two of them
            queue.put(self.connection(), STOP)
            wait_until(lambda: self.wrong or sum(thread.is_alive() for thread in consumers) <= left, 30,
                       f"all but {left} consumers have ended")
        self.assertEqual(self.wrong, [])
        self.say(f"{JOBS} jobs in {time.monotonic() - began:.1f} s, {self.place.flips - flips} flips; "
                 f"each consumer had {[len(jobs) for jobs in self.handled]}")
        self.check(queue)

    def count(self) -> int:
        return sum(map(len, self.handled))

    def check(self, queue: ListQueue) -> None:
        """Every job once, in order where that can be said; nothing left on either store."""
        times = Counter(job for jobs in self.handled for job in jobs)
        wanted = {b"%d:%d" % (count % PRODUCERS, count) for count in range(JOBS)}
        self.assertEqual(sorted(wanted - times.keys())[:10], [], "jobs never handled")
        self.assertEqual(sorted(times.keys() - wanted)[:10], [], "jobs that nobody made")
        self.assertEqual([item for item in times.items() if item[1] != 1][:10], [], "jobs handled more than once")
        if queue.in_order:
            for jobs in self.handled:
                for producer in range(PRODUCERS):
                    mine = [int(job.split(b":")[1]) for job in jobs if job.startswith(b"%d:" % producer)]
                    self.assertEqual(mine, sorted(mine), f"producer {producer}'s jobs came in another order")
        self.do(*queue.clear)
        if self.place.rig is not None:
            self.assert_converged(self.place.rig)
        for store in self.place.stores:
            with store.client() as client:
                self.assertEqual((client.dbsize(), client.keys("*")), (0, []), store.name)

    def test_blpop(self) -> None:
        self.work(ListQueue())

    def test_brpop_of_what_transactions_push(self) -> None:
        self.work(TransactionQueue(), protocol=3)

    def test_blmpop(self) -> None:
        self.work(SeveralQueue())

    def test_blmove_and_lrem(self) -> None:
        self.work(ReliableQueue())

    def test_brpoplpush_and_lrem(self) -> None:
        self.work(OldReliableQueue())

    def test_bzpopmin(self) -> None:
        self.work(PriorityQueue())

    def test_xreadgroup_and_xack(self) -> None:
        self.work(StreamQueue())


if __name__ == "__main__":
    main()
