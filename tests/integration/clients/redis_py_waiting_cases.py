"""What applications do with redis-py while they wait for somebody else: subscriptions, blocking pops, streams, asyncio.

redis_py_cases.py runs these too.
"""
from __future__ import annotations

import asyncio
import threading
import time

import redis
import redis.asyncio
from redis.exceptions import ResponseError

from cases import PATIENCE, PORT, Together, case, client, equal, eventually, raises


def messages(pubsub: redis.client.PubSub, count: int) -> list:
    """The next `count` messages, confirmations included, as (type, channel, data)."""
    got, deadline = [], time.monotonic() + PATIENCE
    while len(got) < count:
        message = pubsub.get_message(timeout=0.2)
        if message:
            got.append((message["type"], message["channel"], message["data"]))
        assert time.monotonic() < deadline, f"{len(got)} of {count} messages came: {got[-3:]}"
    return got


@case
def publish_and_subscribe() -> None:
    with client(decode_responses=True) as r, r.pubsub() as sub:
        sub.subscribe("py:news", "py:other")
        sub.psubscribe("py:n*")
        equal(messages(sub, 3), [("subscribe", "py:news", 1), ("subscribe", "py:other", 2), ("psubscribe", "py:n*", 3)])
        equal(r.publish("py:news", "hello"), 2)
        equal(sorted(messages(sub, 2)), [("message", "py:news", "hello"), ("pmessage", "py:news", "hello")])
        sub.punsubscribe("py:n*")
        equal(messages(sub, 1), [("punsubscribe", "py:n*", 2)])
        for number in range(300):
            r.publish("py:news", number)
        equal(messages(sub, 300), [("message", "py:news", str(number)) for number in range(300)])
        equal(dict(r.pubsub_numsub("py:news", "py:nobody")), {"py:news": 1, "py:nobody": 0})
        assert "py:other" in r.pubsub_channels("py:*")
        r.pipeline().set("py:p", 1).publish("py:other", "from a transaction").execute()
        equal(messages(sub, 1), [("message", "py:other", "from a transaction")])
        sub.ping()
        equal(messages(sub, 1), [("pong", None, "")])
        sub.unsubscribe()
        equal(sorted(messages(sub, 2))[0][:2], ("unsubscribe", "py:news"))
        equal(r.publish("py:news", "nobody hears"), 0)
        sub.subscribe("py:again")
        equal(messages(sub, 1), [("subscribe", "py:again", 1)])


@case
def subscriber_in_a_thread() -> None:
    heard: list = []
    with client() as r:
        sub = r.pubsub(ignore_subscribe_messages=True)
        sub.subscribe(**{"py:thread": lambda message: heard.append(message["data"])})
        thread = sub.run_in_thread(sleep_time=0.01, daemon=True)
        eventually(lambda: dict(r.pubsub_numsub("py:thread"))[b"py:thread"] == 1, "the subscription counts")
        for number in range(50):
            r.publish("py:thread", number)
        eventually(lambda: len(heard) == 50, "fifty messages")
        equal(heard, [b"%d" % number for number in range(50)])
        thread.stop()
        thread.join(PATIENCE)


@case
def keyspace_notifications() -> None:
    with client(decode_responses=True) as r, r.pubsub(ignore_subscribe_messages=True) as sub:
        sub.psubscribe("__keyspace@0__:py:event:*", "__keyevent@0__:expired")
        eventually(lambda: r.pubsub_numpat() >= 2, "the patterns count")
        r.set("py:event:1", "x")
        r.hset("py:event:2", "f", "v")
        r.delete("py:event:1")
        got = []
        while len(got) < 3:
            got += [each[1:] for each in messages(sub, 1) if each[1] != "__keyevent@0__:expired"]
        equal(got, [("__keyspace@0__:py:event:1", "set"), ("__keyspace@0__:py:event:2", "hset"),
                    ("__keyspace@0__:py:event:1", "del")])
        r.set("py:event:3", "x", px=20)
        while ("pmessage", "__keyevent@0__:expired", "py:event:3") not in messages(sub, 1):
            pass


@case
def blocking_pops() -> None:
    with client() as r, client() as other:
        began = time.monotonic()
        equal(r.blpop(["py:b1", "py:b2"], timeout=0.3), None)
        assert 0.25 < time.monotonic() - began < 5
        with Together(lambda: equal(r.blpop(["py:b1", "py:b2"], timeout=PATIENCE), (b"py:b2", b"job"))):
            most_likely_waits()
            other.rpush("py:b2", "job")
        other.rpush("py:b1", 1, 2, 3)
        equal([r.brpop("py:b1", timeout=1), r.blpop("py:b1", timeout=1)], [(b"py:b1", b"3"), (b"py:b1", b"1")])
        equal(r.blmove("py:b1", "py:done", 1, "LEFT", "RIGHT"), b"2")
        equal(r.brpoplpush("py:b1", "py:done", timeout=0.05), None)
        equal(r.execute_command("BLMPOP", 0.05, 1, "py:done", "LEFT", "COUNT", 5), [b"py:done", [b"2"]])
        other.zadd("py:bz", {"low": 1, "high": 2})
        equal([r.bzpopmin("py:bz", timeout=1), r.bzpopmax("py:bz", timeout=1)],
              [(b"py:bz", b"low", 1.0), (b"py:bz", b"high", 2.0)])
        with Together(lambda: equal(r.bzpopmin("py:bz", timeout=PATIENCE), (b"py:bz", b"late", 7.0))):
            most_likely_waits()
            other.zadd("py:bz", {"late": 7})
        read = Together(lambda: equal(r.xread({"py:bx": "$"}, block=int(PATIENCE * 1000))[0][1][0][1], {b"n": b"1"}))
        with read:  # "$" is the end of the stream when the server reads that: entries come until one is after it
            eventually(lambda: other.xadd("py:bx", {"n": 1}) and not read.threads[0].is_alive(), "the entry is read")
        equal(r.xread({"py:bx": "$"}, block=50), [])
        equal(r.wait(0, 10), 0)


def most_likely_waits() -> None:
    """Time for the other thread to block. The answers are the same when it comes late."""
    time.sleep(0.1)


@case
def blocked_clients_are_unblocked_and_leave() -> None:
    with client() as r, client(single_connection_client=True) as waiter:
        number = waiter.client_id()
        with Together(lambda: equal(waiter.blpop("py:never", timeout=PATIENCE), None)):
            eventually(lambda: r.client_unblock(number), "the client is blocked, and unblocked")
        with Together(lambda: raises(ResponseError, "UNBLOCKED client unblocked via CLIENT UNBLOCK",
                                     lambda: waiter.bzpopmin("py:never", timeout=PATIENCE))):
            eventually(lambda: r.client_unblock(number, error=True), "the client is blocked, and unblocked")
        equal(r.client_unblock(number), 0)
        waiter.connection.send_command("BLPOP", "py:left", 0)
        most_likely_waits()
        waiter.connection.disconnect()
        eventually(lambda: all(int(row["id"]) != number for row in r.client_list()), "the client is gone")
        r.rpush("py:left", "job")
        equal(r.lpop("py:left"), b"job")



@case
def queue_of_jobs() -> None:
    done: list = []
    jobs = [b"%d" % number for number in range(400)]

    def worker() -> None:
        with client() as mine:
            while (job := mine.blmove("py:jobs", "py:working", PATIENCE / 2)) != b"stop":
                mine.lrem("py:working", 1, job)
                done.append(job)

    with client() as r, Together(*[worker] * 4):
        for job in jobs:
            r.lpush("py:jobs", job)
        eventually(lambda: len(done) == len(jobs), "all jobs are done")
        r.lpush("py:jobs", *["stop"] * 4)
    equal(sorted(done), sorted(jobs))


@case
def streams_with_groups() -> None:
    with client() as r:
        ids = [r.xadd("py:stream", {"n": number}) for number in range(10)]
        r.xgroup_create("py:stream", "workers", id="0")
        raises(ResponseError, "BUSYGROUP Consumer Group name already exists",
               lambda: r.xgroup_create("py:stream", "workers", id="0"))
        got = r.xreadgroup("workers", "ann", {"py:stream": ">"}, count=4)
        equal([entry for entry, _ in got[0][1]], ids[:4])
        equal(r.xack("py:stream", "workers", *ids[:2]), 2)
        pending = r.xpending("py:stream", "workers")
        equal((pending["pending"], pending["min"], pending["max"]), (2, ids[2], ids[3]))
        equal([row["message_id"] for row in r.xpending_range("py:stream", "workers", "-", "+", 10)], ids[2:4])
        claimed = r.xautoclaim("py:stream", "workers", "bob", min_idle_time=0, count=1)
        equal((claimed[0], [entry for entry, _ in claimed[1]]), (ids[3], [ids[2]]))
        equal(r.xclaim("py:stream", "workers", "bob", 0, [ids[3]], justid=True), [ids[3]])
        equal(r.xreadgroup("workers", "bob", {"py:stream": "0"})[0][1],
              [(ids[2], {b"n": b"2"}), (ids[3], {b"n": b"3"})])
        info = r.xinfo_groups("py:stream")[0]
        equal((info["name"], info["consumers"], info["pending"], info["last-delivered-id"]),
              (b"workers", 2, 2, ids[3]))
        equal(r.xtrim("py:stream", maxlen=5, approximate=False), 5)
        equal([entry for entry, _ in r.xrange("py:stream")], ids[5:])
        equal(r.xdel("py:stream", ids[5]), 1)
        raises(ResponseError, "No such key", lambda: r.xreadgroup("workers", "ann", {"py:nostream": ">"}))


@case
def stream_workers() -> None:
    done: list = []
    stop = threading.Event()

    def worker(name: str) -> None:
        with client() as mine:
            while not stop.is_set():
                for _, entries in mine.xreadgroup("g", name, {"py:tasks": ">"}, count=5, block=100):
                    for entry, fields in entries:
                        done.append(int(fields[b"n"]))
                        mine.xack("py:tasks", "g", entry)

    with client() as r:
        r.xgroup_create("py:tasks", "g", mkstream=True)
        with Together(*[lambda name=name: worker(name) for name in ("a", "b", "c")]):
            try:
                for number in range(200):
                    r.xadd("py:tasks", {"n": number}, maxlen=1000)
                eventually(lambda: len(done) >= 200, "all tasks are done")
            finally:
                stop.set()
        equal(sorted(done), list(range(200)))
        equal(r.xpending("py:tasks", "g")["pending"], 0)


@case
def asyncio_clients() -> None:
    async def use() -> None:
        r = redis.asyncio.Redis(host="127.0.0.1", port=PORT, decode_responses=True)
        await asyncio.gather(*[r.incr("py:async") for _ in range(100)])
        equal(await r.get("py:async"), "100")
        async with r.pipeline(transaction=True) as pipe:
            equal(await pipe.set("py:async:2", "a").append("py:async:2", "b").get("py:async:2").execute(),
                  [True, 2, "ab"])
        async with r.pubsub() as sub:
            await sub.subscribe("py:async:channel")
            equal((await sub.get_message(timeout=PATIENCE))["type"], "subscribe")
            await r.publish("py:async:channel", "hello")
            equal((await sub.get_message(timeout=PATIENCE))["data"], "hello")
        waiting = asyncio.create_task(r.blpop("py:async:list", timeout=PATIENCE))
        await r.rpush("py:async:list", "job")
        equal(await waiting, ("py:async:list", "job"))
        async with r.lock("py:async:lock", timeout=5):
            equal(await r.exists("py:async:lock"), 1)
        equal(await r.exists("py:async:lock"), 0)
        await r.close()

    asyncio.run(asyncio.wait_for(use(), 2 * PATIENCE))
