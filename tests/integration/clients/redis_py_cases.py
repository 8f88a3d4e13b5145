#!/usr/bin/python3
"""What applications do with redis-py: `redis_py_cases.py PORT [PART]` runs it against whatever listens there.

The server must send keyspace notifications (notify-keyspace-events KEA) and must not be a cluster.
"""
from __future__ import annotations

import os
import time

import redis
from redis.exceptions import (ConnectionError, ExecAbortError, LockError, LockNotOwnedError, NoScriptError,
                              RedisClusterException, ResponseError, WatchError)

import redis_py_waiting_cases  # noqa: F401, its cases run first
from cases import PATIENCE, PORT, Together, case, client, equal, eventually, main, raises


@case
def everyday_commands() -> None:
    with client(decode_responses=True) as r:
        assert r.ping()
        assert r.set("py:cache", "page", ex=100) and 0 < r.ttl("py:cache") <= 100
        equal(r.set("py:cache", "other", nx=True), None)
        equal(r.getex("py:cache", px=50_000), "page")
        assert 0 < r.pttl("py:cache") <= 50_000
        equal(r.hset("py:session", mapping={"user": "7", "name": "Zoë"}), 2)
        equal(r.hgetall("py:session"), {"user": "7", "name": "Zoë"})
        equal([r.incr("py:counter"), r.incrby("py:counter", 5), r.decr("py:counter")], [1, 6, 5])
        equal(r.incrbyfloat("py:float", 0.5), 0.5)
        r.zadd("py:board", {"ann": 3, "bob": 1.5, "eve": 2})
        equal(r.zrange("py:board", 0, -1, desc=True, withscores=True), [("ann", 3.0), ("eve", 2.0), ("bob", 1.5)])
        equal(r.zincrby("py:board", 10, "bob"), 11.5)
        r.sadd("py:tags", "a", "b", "c")
        assert r.spop("py:tags") in "abc" and r.scard("py:tags") == 2
        r.rpush("py:list", *range(10))
        equal(r.lrange("py:list", 0, 2) + [r.lpop("py:list"), r.rpop("py:list")], ["0", "1", "2", "0", "9"])
        r.geoadd("py:geo", (13.4, 52.5, "berlin", 2.35, 48.85, "paris"))
        equal(r.geosearch("py:geo", member="paris", radius=900, unit="km", sort="ASC"), ["paris", "berlin"])
        r.pfadd("py:visitors", *range(100))
        assert 95 <= r.pfcount("py:visitors") <= 105
        equal(r.bitfield("py:bits").incrby("u8", 0, 250).incrby("u8", 0, 10).execute(), [250, 4])
        equal(r.mget("py:cache", "py:none", "py:counter"), ["page", None, "5"])
        equal([r.rename("py:list", "py:renamed"), r.exists("py:list", "py:renamed"), r.type("py:renamed")],
              [True, 1, "list"])
        equal(sorted(r.sort("py:renamed", desc=True, start=0, num=2)), ["7", "8"])
        equal(r.copy("py:renamed", "py:copied"), True)
        equal(r.delete("py:renamed", "py:copied", "py:none"), 2)


@case
def pipelines() -> None:
    with client() as r:
        pipe = r.pipeline(transaction=False)
        for number in range(1000):
            pipe.set(f"py:pipe:{number}", number).get(f"py:pipe:{number}")
        equal(pipe.execute(), [each for number in range(1000) for each in (True, b"%d" % number)])
        answers = r.pipeline(transaction=False).set("py:text", "x").incr("py:text").get("py:text").execute(False)
        equal([answers[0], type(answers[1]), answers[2]], [True, ResponseError, b"x"])
        raises(ResponseError, "not an integer", r.pipeline(transaction=False).incr("py:text").execute)


@case
def transactions() -> None:
    with client() as r:
        equal(r.pipeline().set("py:tx", 1).incr("py:tx").expire("py:tx", 50).get("py:tx").execute(),
              [True, 2, True, b"2"])
        answers = r.pipeline().rpush("py:tx:list", 1).incr("py:tx:list").llen("py:tx:list").execute(False)
        equal([answers[0], type(answers[1]), answers[2]], [1, ResponseError, 1])
        assert "WRONGTYPE" in str(answers[1]), answers
        pipe = r.pipeline().set("py:tx", "never")
        pipe.execute_command("SET", "py:tx")  # refused when it is queued: the whole block is
        raises(ResponseError, "wrong number of arguments", pipe.execute)
        equal(r.get("py:tx"), b"2")
        with client(single_connection_client=True) as raw:
            raw.execute_command("MULTI")
            raises(ResponseError, "unknown command", lambda: raw.execute_command("NOSUCH"))
            raises(ExecAbortError, "Transaction discarded because of previous errors.",
                   lambda: raw.execute_command("EXEC"))
            raw.execute_command("MULTI")
            equal(raw.execute_command("APPEND", "py:tx", "never"), b"QUEUED")
            raw.execute_command("DISCARD")
            raises(ResponseError, "EXEC without MULTI", lambda: raw.execute_command("EXEC"))
        equal(r.get("py:tx"), b"2")


@case
def watch_without_lost_updates() -> None:
    tries = [0]

    def count() -> None:
        with client() as mine:
            for _ in range(40):
                def add(pipe: redis.client.Pipeline) -> None:
                    tries[0] += 1
                    now = int(pipe.get("py:watched") or 0)
                    pipe.multi()
                    pipe.set("py:watched", now + 1)
                mine.transaction(add, "py:watched")

    with Together(*[count] * 6):
        pass
    with client() as r:
        equal(r.get("py:watched"), b"240")
    assert tries[0] > 240, "no two clients ever met: nothing was shown"


@case
def watch_says_what_happened() -> None:
    with client() as r, client() as other, r.pipeline() as pipe:
        r.set("py:w", 1)
        pipe.watch("py:w", "py:w2")
        equal(pipe.get("py:w"), b"1")
        other.set("py:w2", "changed")
        pipe.multi()
        pipe.set("py:w", 2)
        raises(WatchError, "Watched variable changed", pipe.execute)
        equal(r.get("py:w"), b"1")
        pipe.watch("py:w")
        other.set("py:w", 3)
        pipe.unwatch()
        pipe.multi()
        pipe.incr("py:w")
        equal(pipe.execute(), [4])
        pipe.watch("py:gone")
        other.set("py:gone", 1, px=1)
        other.set("py:w", 5)  # of no concern
        eventually(lambda: not other.exists("py:gone"), "a key of a millisecond expires")
        pipe.multi()
        pipe.incr("py:w")
        raises(WatchError, "Watched variable changed", pipe.execute)


@case
def scripts() -> None:
    with client() as r:
        limit = r.register_script("local n = redis.call('INCRBY', KEYS[1], ARGV[1]) "
                                  "if n > tonumber(ARGV[2]) then return {n, 'over'} end return {n, 'fine'}")
        equal([limit(keys=["py:rate"], args=[2, 3]), limit(keys=["py:rate"], args=[2, 3])], [[2, b"fine"], [4, b"over"]])
        equal(r.script_exists(limit.sha), [True])
        r.script_flush()
        equal(r.script_exists(limit.sha), [False])
        raises(NoScriptError, "No matching script", lambda: r.evalsha(limit.sha, 1, "py:rate", 1, 9))
        equal(limit(keys=["py:rate"], args=[1, 9]), [5, b"fine"])  # loads it again by itself
        r.script_flush()
        pipe = r.pipeline()
        pipe.set("py:rate", 0)
        limit(keys=["py:rate"], args=[7, 9], client=pipe)
        equal(pipe.execute(), [True, [7, b"fine"]])
        equal(r.eval("return {1, 'two', false, {3}}", 0), [1, b"two", None, [3]])
        raises(ResponseError, "on purpose", lambda: r.eval("redis.call('SET', KEYS[1], 'kept') "
                                                          "return redis.error_reply('ERR on purpose')", 1, "py:kept"))
        equal(r.get("py:kept"), b"kept")
        raises(ResponseError, "WRONGTYPE", lambda: r.eval("return redis.call('LPUSH', KEYS[1], 1)", 1, "py:kept"))
        equal(r.execute_command("EVAL_RO", "return redis.call('GET', KEYS[1])", 1, "py:kept"), b"kept")
        loaded = r.script_load("return ARGV[1]")
        equal(r.evalsha(loaded, 0, b"\x00\xff"), b"\x00\xff")


@case
def functions() -> None:
    code = ("#!lua name=pylib\nredis.register_function('pypush', function(keys, args) "
            "return redis.call('RPUSH', keys[1], unpack(args)) end)\n"
            "redis.register_function{function_name='pylook', callback=function(keys) "
            "return redis.call('LRANGE', keys[1], 0, -1) end, flags={'no-writes'}}")
    with client() as r:
        equal(r.execute_command("FUNCTION LOAD", code), b"pylib")
        raises(ResponseError, "already exists", lambda: r.execute_command("FUNCTION LOAD", code))
        equal(r.fcall("pypush", 1, "py:fun", "a", "b"), 2)
        equal(r.fcall_ro("pylook", 1, "py:fun"), [b"a", b"b"])
        raises(ResponseError, "with write flag", lambda: r.fcall_ro("pypush", 1, "py:fun", "c"))
        assert b"pylib" in str(r.function_list("pylib")).encode()
        r.function_delete("pylib")
        raises(ResponseError, "Function not found", lambda: r.fcall("pypush", 1, "py:fun", "a"))


@case
def locks() -> None:
    inside, most, total = [0], [0], [0]

    def work() -> None:
        with client() as mine:
            for _ in range(10):
                with mine.lock("py:lock", timeout=PATIENCE, blocking_timeout=PATIENCE, sleep=0.002):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    total[0] += 1
                    time.sleep(0.001)
                    inside[0] -= 1

    with Together(*[work] * 5):
        pass
    equal((most[0], total[0]), (1, 50))
    with client() as r, client() as other:
        lock = r.lock("py:lock2", timeout=10)
        assert lock.acquire(blocking=False) and lock.locked() and lock.owned()
        assert not other.lock("py:lock2", timeout=10, blocking_timeout=0.1).acquire()
        assert lock.extend(20) and 10_000 < r.pttl("py:lock2") <= 30_000
        assert lock.reacquire() and r.pttl("py:lock2") <= 10_000
        r.set("py:lock2", "stolen")
        raises(LockNotOwnedError, "no longer owned", lock.release)
        raises(LockError, "Cannot release an unlocked lock", lock.release)
        equal(r.get("py:lock2"), b"stolen")


@case
def scan_iterators() -> None:
    with client(decode_responses=True) as r:
        names = {f"py:scan:{number}" for number in range(1500)}
        r.mset(dict.fromkeys(names, "x"))
        equal(set(r.scan_iter(match="py:scan:*", count=100)), names)
        fields = {f"f{number}": str(number) for number in range(1000)}
        r.hset("py:bighash", mapping=fields)
        equal(dict(r.hscan_iter("py:bighash")), fields)
        r.sadd("py:bigset", *fields)
        equal(set(r.sscan_iter("py:bigset", match="f1*")), {name for name in fields if name.startswith("f1")})
        r.zadd("py:bigzset", {name: int(number) for name, number in fields.items()})
        equal(dict(r.zscan_iter("py:bigzset")), {name: float(number) for name, number in fields.items()})
        equal(sorted(r.scan_iter(match="py:big*", _type="HASH")), ["py:bighash"])
        equal(len(r.keys("py:scan:1*")), 611)


@case
def big_and_binary_values() -> None:
    everything = bytes(range(256))
    big = os.urandom(1 << 20) * 8
    with client() as r:
        r.set(everything, big)
        assert r.get(everything) == big and r.strlen(everything) == len(big)
        r.hset("py:binary", everything, b"\r\n$-1\r\n")
        equal(r.hgetall("py:binary"), {everything: b"\r\n$-1\r\n"})
        r.set("py:empty", b"")
        equal(r.get("py:empty"), b"")
        payload = r.dump("py:binary")
        r.restore("py:restored", 60_000, payload, replace=True)
        equal(r.hgetall("py:restored"), {everything: b"\r\n$-1\r\n"})
        r.delete(everything)


@case
def databases() -> None:
    with client(db=3) as three, client() as zero:
        three.set("py:db", "three")
        equal(zero.get("py:db"), None)
        zero.set("py:move", "me")
        assert zero.move("py:move", 3) and three.get("py:move") == b"me"
        assert three.copy("py:db", "py:copied", destination_db=4)
        with client(db=4) as four:
            equal(four.get("py:copied"), b"three")
            zero.swapdb(3, 4)
            equal([three.get("py:copied"), four.get("py:db")], [b"three", b"three"])
            four.flushdb()
            equal([four.dbsize(), three.dbsize()], [0, 1])
        raises(ResponseError, "DB index is out of range", lambda: client(db=99).ping())


@case
def about_the_connection() -> None:
    with client(client_name="py-named", single_connection_client=True) as r:
        equal(r.client_getname(), "py-named")
        own = r.client_id()
        assert any(int(row["id"]) == own and row["name"] == "py-named" for row in r.client_list()), r.client_list()
        equal((r.client_info()["id"], r.client_info()["name"]), (own, "py-named"))
        r.client_setname("py-renamed")
        equal(r.client_getname(), "py-renamed")
        answer = r.execute_command("HELLO", 2, "SETNAME", "py-hello")
        equal(dict(zip(answer[::2], answer[1::2]))[b"proto"], 2)
        equal(r.client_getname(), "py-hello")
        equal(r.echo("hi"), b"hi")
        assert r.info()["redis_version"] and r.info("server")["redis_mode"] == "standalone"
        r.set("py:size", "x" * 100)
        assert r.time()[0] > 1_700_000_000 and r.dbsize() > 0 and r.command_count() > 200
        equal(r.acl_whoami(), "default")
        assert "maxmemory" in r.config_get("maxmemory*")
        assert r.memory_usage("py:size") > 100 and r.object("encoding", "py:size") == b"raw"


@case
def reconnects_after_quit() -> None:
    with client() as r:
        equal(r.quit() if hasattr(r, "quit") else r.execute_command("QUIT"), True)

        def answers() -> bool:  # the first try may meet the closed connection
            try:
                return r.ping()
            except ConnectionError:
                return False
        eventually(answers, "a new connection")
        equal(r.set("py:after-quit", 1), True)


@case
def many_threads_share_a_pool() -> None:
    pool = redis.BlockingConnectionPool(host="127.0.0.1", port=PORT, max_connections=10, timeout=PATIENCE)
    shared = redis.Redis(connection_pool=pool)

    def work() -> None:
        for _ in range(50):
            shared.incr("py:pooled")
            shared.pipeline().rpush("py:pooled:list", 1).ltrim("py:pooled:list", 0, 9).execute()

    with Together(*[work] * 20):
        pass
    equal((shared.get("py:pooled"), shared.llen("py:pooled:list")), (b"1000", 10))
    pool.disconnect()


@case
def errors_have_their_types() -> None:
    with client() as r:
        r.set("py:string", "text")
        raises(ResponseError, "WRONGTYPE Operation against a key", lambda: r.lpush("py:string", 1))
        raises(ResponseError, "value is not an integer or out of range", lambda: r.incr("py:string"))
        raises(ResponseError, "unknown command", lambda: r.execute_command("NOSUCHCOMMAND", "x"))
        raises(ResponseError, "wrong number of arguments for 'get' command", lambda: r.execute_command("GET"))
        raises(ResponseError, "syntax error", lambda: r.execute_command("SET", "py:string", "v", "MAYBE"))
        raises(ResponseError, "no such key", lambda: r.rename("py:nothing", "py:x"))
        raises(ResponseError, "Target key name already exists", lambda: r.restore("py:string", 0, r.dump("py:string")))
        raises(NoScriptError, "No matching script", lambda: r.evalsha("0" * 40, 0))
    raises(ResponseError, "without any password configured", lambda: client(password="wrong").ping())


@case
def a_cluster_client_is_told() -> None:
    raises(RedisClusterException, "Cluster mode is not enabled on this node",
           lambda: redis.RedisCluster(host="127.0.0.1", port=PORT))
    with client() as r:
        raises(ResponseError, "This instance has cluster support disabled", lambda: r.execute_command("CLUSTER SLOTS"))
        equal(r.info("cluster")["cluster_enabled"], 0)


if __name__ == "__main__":
    main()
