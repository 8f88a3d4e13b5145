#!/usr/bin/python3
"""Writes the seeds of the fuzz targets whose inputs are made, not collected, into tests/fuzz/corpus/. Run it again after a
target has changed how it reads its input; what libFuzzer found and somebody kept by hand is left alone."""
from __future__ import annotations

import json
import os
import sys
from typing import List, Sequence, Tuple, Union

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CORPUS = os.path.join(ROOT, "tests", "fuzz", "corpus")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import shapes  # noqa: E402


class Input:
    """What FuzzedDataProvider reads: strings from the front, numbers from the end."""

    def __init__(self) -> None:
        self.front = b""
        self.back: List[int] = []

    def text(self, text: Union[str, bytes]) -> Input:
        raw = text.encode() if isinstance(text, str) else text
        self.front += raw.replace(b"\\", b"\\\\") + b"\\ "
        return self

    def number(self, value: int, size: int = 1) -> Input:
        # The first byte that is taken is the highest.
        for i in reversed(range(size)):
            self.back.append(value >> (8 * i) & 255)
        return self

    def bytes(self) -> bytes:
        return self.front + bytes(reversed(self.back))


def write(target: str, name: str, content: bytes) -> None:
    directory = os.path.join(CORPUS, target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(content)


# ---- proxy_fuzz ----

COMMAND, RAW, ANSWER_SOME, ANSWER_ALL, ANSWER_AS, ANSWER_WITH, SAY = 0, 12, 13, 16, 18, 20, 21
CLOSE, CONNECT, RESTART, HANG, LEAVE, ADMIN, ADMIN_BODY, LARGE, PAUSE, CRASH = 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
Step = Union[Tuple[int, int], Tuple[int, int, Union[str, bytes, int]]]


def proxy_input(variant: int, stores: int, steps: Sequence[Step]) -> bytes:
    made = Input().number(variant, 2).number(stores)
    for step in steps:
        made.number(step[0]).number(step[1])
        if len(step) == 3:
            if isinstance(step[2], int):
                made.number(step[2])
            else:
                made.text(step[2])
    return made.bytes()


def filled(shape: str) -> str:
    """A shape of shapes.py with keys and values that are the same for all: only its form matters here."""
    words = []
    for word in shape.split():
        if word.startswith("$"):
            word = {"$at": "1800000000", "$atms": "1800000000000", "$past": "1500000000", "$pastms": "1500000000000",
                    "$sec": "100", "$ms": "100000", "$int": "7", "$float": "1.5", "$n": "2", "$i": "0", "$off": "3",
                    "$v": "v", "$m": "m"}.get(word, "k" if len(word) == 2 else "5-1" if "id" in word else "1")
        words.append(word)
    return " ".join(words)


def talk(*commands: str) -> List[Step]:
    return [(COMMAND, 0, command) for command in commands] + [(ANSWER_ALL, 0), (PAUSE, 3), (ANSWER_ALL, 0)]


def proxy_seeds() -> None:
    everything = [filled(line) for line in (shapes.WRITES + shapes.READS).split("\n") if line.strip()]
    for i, start in enumerate(range(0, len(everything), 16)):
        write("proxy_fuzz", f"shapes_{i:02}", proxy_input((0, 20, 34, 188)[i % 4], 12, talk(*everything[start:start + 16])))
    conversations = {
        "transaction": talk("MULTI", "SET k v", "SPOP k", "GET k", "SELECT 1", "EXEC"),
        "watch": talk("WATCH k") + talk("MULTI", "SPOP k", "XADD k * f v", "EXEC"),
        "blocking": talk("BLPOP k 0") + [(COMMAND, 1, "RPUSH k v"), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0)],
        "blocking_stream": talk("XREAD BLOCK 0 STREAMS k $") + [(PAUSE, 3), (ANSWER_ALL, 0), (LEAVE, 0)],
        "blocking_times_out": talk("BZPOPMIN k 0.05", "BLMOVE k l LEFT RIGHT 1") + [(PAUSE, 5), (ANSWER_ALL, 0)],
        "pubsub": talk("SUBSCRIBE c d", "PSUBSCRIBE p*") + [(COMMAND, 1, "PUBLISH c m"), (ANSWER_ALL, 0)]
        + talk("UNSUBSCRIBE c", "PUNSUBSCRIBE"),
        "monitor": talk("MONITOR") + [(SAY, 4, "+1.5 [0 1.2.3.4:5] \"get\" \"k\"\r\n"), (LEAVE, 0)],
        "hello_tracking": talk("HELLO 3", "CLIENT TRACKING ON", "GET k", "GET l") + [(COMMAND, 1, "SET k v"), (ANSWER_ALL, 0)]
        + talk("CLIENT TRACKING OFF"),
        "tracking_bcast": talk("HELLO 3 SETNAME x", "CLIENT TRACKING ON BCAST PREFIX k NOLOOP") + talk("MSET k v l v"),
        "users": talk("AUTH joe pw", "GET k", "SET k v", "HELLO 3 AUTH default secret", "ACL WHOAMI"),
        "connection": talk("CLIENT SETNAME n", "CLIENT ID", "CLIENT LIST", "CLIENT INFO", "CLIENT REPLY SKIP", "PING", "ECHO x",
                           "CLIENT NO-EVICT ON", "RESET", "COMMAND COUNT", "INFO", "QUIT"),
        "pause": talk("CLIENT PAUSE 100 WRITE", "GET k", "SET k v") + [(PAUSE, 5), (ANSWER_ALL, 0)] + talk("CLIENT UNPAUSE"),
        "scripts": talk("SCRIPT LOAD return_1", "EVAL return_redis.call('set',KEYS[1],1) 1 k",
                        "EVALSHA 0000000000000000000000000000000000000000 1 k", "FCALL f 1 k", "EVAL_RO return_1 0"),
        "errands": talk("WAIT 1 10", "SCRIPT KILL", "CONFIG SET a b", "DEBUG SLEEP 0", "SHUTDOWN"),
        "databases": talk("SELECT 1", "SET k v", "SWAPDB 0 1", "MOVE k 2", "COPY k l DB 3", "FLUSHDB", "FLUSHALL"),
        "modules": talk("PING") + talk("mod.set k v", "mod.get k", "mod.many k v l v", "JSON.SET k $ 1", "TS.ADD k * 1"),
        "flip": talk("SET k v") + [(ADMIN, 5), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0)] + talk("SET k w", "BLPOP l 0")
        + [(ADMIN, 6), (COMMAND, 1, "INCR k"), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0)],
        "flip_forced": talk("WATCH k", "SUBSCRIBE c") + [(COMMAND, 1, "SET k v"), (ADMIN, 8), (ANSWER_ALL, 0), (PAUSE, 4)],
        "flip_cold": [(ADMIN, 7), (ANSWER_ALL, 0), (ADMIN, 10), (ANSWER_ALL, 0), (ADMIN, 4), (ANSWER_ALL, 0)],
        "backfill": [(ADMIN, 2), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0), (ADMIN, 0)],
        "knobs": [(ADMIN, 11), (COMMAND, 0, "GET k"), (ADMIN, 12), (COMMAND, 0, "GET k"), (ANSWER_ALL, 0), (ADMIN, 13),
                  (COMMAND, 0, "SET k v"), (ANSWER_ALL, 0), (ADMIN, 14), (COMMAND, 0, "SET k v"), (ADMIN, 15), (ANSWER_ALL, 0)],
        "ack_both": [(ADMIN, 16), (COMMAND, 0, "SET k v"), (ANSWER_SOME, 0), (PAUSE, 5), (ANSWER_ALL, 0)],
        "shifted_reads": [(ADMIN, 11), (COMMAND, 0, "GET k"), (PAUSE, 4), (PAUSE, 4), (ANSWER_ALL, 0), (ADMIN, 16),
                          (COMMAND, 0, "HGETALL k"), (ANSWER_AS, 1, 5), (ANSWER_ALL, 0)],
        "mismatch": [(ADMIN, 12), (COMMAND, 0, "GET k"), (ANSWER_AS, 0, 10), (ANSWER_AS, 1, 11), (ANSWER_ALL, 0), (PAUSE, 5),
                     (ANSWER_ALL, 0), (ADMIN, 1)],
        "secondary_refuses": [(COMMAND, 0, "SET k v"), (ANSWER_AS, 0, 4), (ANSWER_AS, 1, 22), (PAUSE, 4), (ANSWER_ALL, 0)],
        "secondary_restarts": [(COMMAND, 0, "SET k v"), (ANSWER_SOME, 0), (RESTART, 1 + 2 + 4 + 64), (ANSWER_ALL, 0), (PAUSE, 5)],
        "primary_restarts": [(COMMAND, 0, "SET k v"), (COMMAND, 1, "GET k"), (RESTART, 2 + 4 + 64), (ANSWER_ALL, 0), (ADMIN, 4),
                             (ANSWER_ALL, 0)],
        "primary_breaks": [(COMMAND, 0, "SET k v"), (COMMAND, 1, "GET k"), (CLOSE, 0), (PAUSE, 2), (CONNECT, 0), (ANSWER_ALL, 0)],
        "primary_refuses": [(CLOSE, 0), (PAUSE, 2), (CONNECT, 2), (COMMAND, 0, "SET k v"), (COMMAND, 0, "GET k"), (PAUSE, 5)],
        "crash": [(COMMAND, 0, "SET k v"), (COMMAND, 1, "INCR l"), (ANSWER_SOME, 0), (CRASH, 0), (CONNECT, 0), (CONNECT, 1),
                  (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0)],
        "crash_full": [(CRASH, 3), (COMMAND, 0, "SET k v"), (ADMIN, 13), (ANSWER_ALL, 0), (COMMAND, 0, "SET l v"), (CRASH, 0),
                       (CRASH, 1)],
        "silent_secondary": talk("SET k v")[:1] + [(ANSWER_SOME, 0), (PAUSE, 6), (PAUSE, 6)],
        "rubbish": [(COMMAND, 0, "SET k v"), (ANSWER_WITH, 0, "hello"), (COMMAND, 1, "GET k"), (ANSWER_WITH, 0, "$5\r\nab")],
        "too_many": [(COMMAND, 0, "SET k v"), (ANSWER_WITH, 0, "+OK\r\n+OK\r\n:1\r\n"), (SAY, 1, "+OK\r\n"), (ANSWER_ALL, 0)],
        "pushes": [(COMMAND, 0, "SET k v"), (SAY, 0, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"), (ANSWER_ALL, 0)],
        "does_not_read": [(HANG, 0), (COMMAND, 0, "GET k"), (LARGE, 254), (COMMAND, 0, "GET k"), (LARGE, 254), (HANG, 0)],
        "large_write": [(COMMAND, 0, "SET k " + "v" * 300), (COMMAND, 0, "APPEND k " + "v" * 300), (ANSWER_SOME, 0), (LARGE, 33)],
        "inline": [(RAW, 0, "PING\r\nSET k \"a b\"\r\n\r\n"), (ANSWER_ALL, 0), (RAW, 0, "*1\r\n$4\r\nPI"), (RAW, 0, "NG\r\n")],
        "protocol_error": [(COMMAND, 0, "GET k"), (RAW, 0, "*1\r\n:1\r\n"), (ANSWER_ALL, 0)],
        "http": [(RAW, 0, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")],
        "preflight": [(ADMIN, 18)] + 12 * [(ANSWER_ALL, 0)] + [(PAUSE, 4), (ADMIN, 0)],
        "copies": [(ADMIN, 19)] + 4 * [(ANSWER_ALL, 0)] + [(PAUSE, 1), (ADMIN, 20)] + 4 * [(ANSWER_ALL, 0)] + [(PAUSE, 1)],
        "backfill_rests": [(ADMIN, 21), (ANSWER_ALL, 0), (ADMIN, 22), (PAUSE, 4), (CRASH, 0), (ANSWER_ALL, 0), (PAUSE, 4), (ADMIN, 23),
                           (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0), (ADMIN, 24)],
        "verify": [(ADMIN, 2), (ANSWER_ALL, 0), (PAUSE, 4), (ANSWER_ALL, 0), (ADMIN, 26)] + 6 * [(PAUSE, 3), (ANSWER_ALL, 0)]
        + [(ADMIN, 27), (ANSWER_ALL, 0), (ADMIN, 28), (ADMIN, 29), (ADMIN, 25), (PAUSE, 4)],
        "replica": [(ADMIN, 30)] + 4 * [(ANSWER_ALL, 0), (PAUSE, 4)] + [(ADMIN, 31), (ANSWER_ALL, 0), (PAUSE, 4), (ADMIN, 15)],
        "snapshot": [(ADMIN, 13), (COMMAND, 0, "SET k v"), (ANSWER_ALL, 0), (ADMIN, 32), (ANSWER_ALL, 0), (ADMIN, 33), (ANSWER_ALL, 0)],
        "admin_bodies": [(ADMIN_BODY, 2, '{"match": 5, "db": -1, "type": null}'), (ADMIN_BODY, 3, '{"paused": 1}'),
                         (ADMIN_BODY, 4, '{"sample": 0, "repair": "x", "keys_per_second": 1e99}'), (ADMIN_BODY, 5, '{"what": []}'),
                         (ADMIN_BODY, 6, '[]')],
        "admin_body": [(ADMIN_BODY, 1, '{"reads_new": 1e999, "compare": -1, "ack": 5}'), (ADMIN_BODY, 0, '{"to": "new"'),
                       (ADMIN_BODY, 0, '{"to": "old", "max_pause_ms": 99999999999999999999}')],
    }
    for i, (name, steps) in enumerate(conversations.items()):
        write("proxy_fuzz", name, proxy_input((0, 2, 20, 64 + 128)[i % 4] if "admin" not in name else 0, 12, steps))


# ---- hostile_store_fuzz ----

def hostile_seeds() -> None:
    well = "\1" * 60
    for name, head, said in (
            ("well", b"\0\x40\0", well), ("well_secondary", b"\1\x40\0", well), ("resp2", b"\0\xc0\0", well),
            ("no_handshake", b"\0\0\0", "%1\r\n$5\r\nproto\r\n:3\r\n$30\r\n# Server\r\nredis_version:7.0.15\r\n" + "\1" * 20),
            ("handshake_errors", b"\0\0\1", "-ERR no\r\n" * 8 + "\3" + "-NOAUTH Authentication required.\r\n" * 8),
            ("loading", b"\0\0\0", "-ERR no\r\n-LOADING Redis is loading\r\n" + "\3\1\1\1\1\1\1"),
            ("rubbish", b"\0\x40\3", "\1\1rubbish\r\n\1\1" + "\3" + well),
            ("huge", b"\0\x40\0", "*1048576\r\n\1*9999999999\r\n\3$536870912\r\n\3" + well),
            ("deep", b"\0\x40\0", "*1\r\n" * 60 + ":1\r\n\1\1"),
            ("extra", b"\0\x40\0", "+OK\r\n+OK\r\n:1\r\n" + well),
            ("silent", b"\0\x40\0", "\4\4\1\1\4"),
            ("hangs_up", b"\0\x40\0", "\1\1\0\2\1\1\1\1\1\1\1\0\3\1\1"),
            ("pushes", b"\0\x40\1", ">2\r\n+a\r\n+b\r\n" + well + ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n" + well),
            ("nested", b"\1\x40\5", "*2\r\n$1\r\n0\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n" * 6 + well),
            ("attributes", b"\0\x40\0", "|1\r\n+a\r\n+b\r\n+OK\r\n" * 4 + well),
            ("queued", b"\0\x40\0", well[:25] + "+QUEUED\r\n-ERR x\r\n*2\r\n+OK\r\n" + well)):
        write("hostile_store_fuzz", name, head + said.encode())


# ---- key_log_fuzz ----

def key_log_seeds() -> None:
    def appended(*names: str, tag: int = 1, many: bool = False) -> Input:
        return keys(Input(), *names, tag=tag, many=many)

    def keys(made: Input, *names: str, tag: int = 1, many: bool = False) -> Input:
        made.number(0).number(len(names))
        for name in names:
            made.text(name).number(0)
        for _ in names:
            made.number(3, 2)
        return made.number(tag).number(0 if many else 1)

    fresh = lambda: Input().number(0)  # noqa: E731
    write("key_log_fuzz", "append", keys(keys(fresh(), "a", "bb"), "c").number(13).number(0).bytes())
    write("key_log_fuzz", "erase", keys(keys(fresh(), "a"), "b").number(6).number(0).number(1).bytes())
    write("key_log_fuzz", "many", keys(fresh(), "a" * 60, "b" * 60, many=True).number(6).number(5).number(0).number(9).bytes())
    write("key_log_fuzz", "closed", keys(fresh(), "a").number(13).number(1).bytes())
    write("key_log_fuzz", "everything", keys(fresh(), "a").number(12).number(1).number(13).number(0).bytes())
    write("key_log_fuzz", "full", keys(keys(fresh(), "a", many=True).number(10), "b", many=True).number(13).number(0).bytes())
    write("key_log_fuzz", "clear", keys(fresh(), "a").number(11).number(14).bytes())
    torn = keys(fresh(), "a", "b").number(15).number(1).number(1).number(20, 2).text("\xff\xff")
    write("key_log_fuzz", "torn", torn.number(0).number(1).bytes())
    write("key_log_fuzz", "raw", Input().number(1).number(8192, 3).number(1).number(0).number(0, 2).text("CROSSFAD\0\0").bytes())


# ---- config_fuzz ----

def config_seeds() -> None:
    with open(os.path.join(ROOT, "conf", "crossfade.toml"), "rb") as file:
        sample = file.read()
    write("config_fuzz", "sample", b"\0" + sample)
    bare = b"".join(line + b"\n" for line in sample.split(b"\n") if line and not line.startswith(b"#"))
    write("config_fuzz", "bare", b"\0" + bare)
    backends = b'[backends]\nold.url = "redis://a:1"\nnew.url = "redis://u:p%40@[::1]:2"\n'
    for name, text in {
            "flags": b"redis://user:pass@host:1\n" + backends,
            "rules": backends + b'[[rule]]\nprefix = "a:"\nreads_new = 50\n[[rule]]\nprefix = "b"\ncompare = 1.5\non_miss = "nil"\n',
            "scripts": backends + b'[[script]]\nname = "f"\nmode = "copy"\n[scripts]\nmode = "verbatim"\n',
            "sizes": backends + b'[limits]\nsecondary_queue = "1GiB"\nclient_output = 4096\nscripts = "12MB"\n',
            "durations": backends + b'[timeouts]\nconnect = "1h"\nread = "100ms"\nack = "9999999999h"\n',
            "wrong_types": backends + b'[routing]\nreads_new = "5"\ncompare = 1979-05-27\nprimary = 1\nack = [1, {a = 2}]\n',
            "unknown": backends + b'[nothing]\na = 1\n[routing]\nb = 0x10\n"quoted key" = nan\n',
            "syntax": backends + b"[routing\nreads_new = = 5",
            "no_backends": b"[routing]\nreads_new = 1\n",
            "admin": backends + b'[admin]\naddress = "0.0.0.0:1"\ntoken_file = "/t"\n',
    }.items():
        write("config_fuzz", name, (b"\x3f" if name == "flags" else b"\0") + text)


# ---- http_fuzz ----

def http_seeds() -> None:
    for name, head, text in (
            ("get", b"\0\0", b"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:6401\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"),
            ("patch", b"\0\0", b"PATCH /api/v1/routing HTTP/1.1\r\nhost: localhost:6401\r\nauthorization: Bearer t\r\n"
             b"content-type: application/json\r\ncontent-length: 17\r\n\r\n{\"reads_new\": 25}"),
            ("delete", b"\5\1", b"DELETE /api/v1/backfill HTTP/1.1\r\nhost: x\r\n\r\n"),
            ("pipelined", b"\3\1", b"GET /1?a=b&c=%20+d HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.0\r\n\r\nGET /4 HTTP/1.1\r\n\r\n"),
            ("chunked", b"\0\5", b"POST /x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nt: v\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            ("both_lengths", b"\0\0", b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            ("two_lengths", b"\0\0", b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
            ("upgrade", b"\0\2", b"GET /chat HTTP/1.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nafter"),
            ("connect", b"\0\0", b"CONNECT example.com:443 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            ("absolute", b"\0\0", b"GET http://h:1/a?b HTTP/1.1\r\nconnection: close\r\n\r\n"),
            ("expect", b"\0\0", b"PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi"),
            ("folded", b"\0\0", b"GET / HTTP/1.1\r\na: b\r\n c\r\nA: d\r\nbad name: x\r\n\r\n"),
            ("http2", b"\0\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("bare_lf", b"\0\0", b"\r\n\r\nGET /%zz HTTP/1.1\n\n"),
            ("huge_length", b"\0\0", b"POST / HTTP/1.1\r\ncontent-length: 18446744073709551616\r\n\r\n"),
            ("response", b"\x80\0", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"),
            ("response_chunked", b"\x83\0", b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            ("response_to_end", b"\x80\0", b"HTTP/1.1 404 Not Found\r\n\r\nuntil the end"),
            ("response_none", b"\x80\0", b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")):
        write("http_fuzz", name, head + text)


# ---- server_info_fuzz, module_commands_fuzz ----

def info_seeds() -> None:
    time = b"\0*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n"
    for name, text in {
            "redis": b"# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef\r\nuptime_in_seconds:100\r\nloading:0\r\n"
            b"role:master\r\n# Keyspace\r\ndb0:keys=5,expires=1,avg_ttl=0\r\ndb3:keys=2,expires=0,avg_ttl=0\r\n",
            "valkey": b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.1\r\nrun_id:ff\r\nrole:slave\r\n",
            "dragonfly": b"redis_version:7.4.0\r\ndragonfly_version:df-v1.25.0\r\nuptime_in_seconds:4\r\nrole:master\r\n",
            "replica": b"role:slave\r\nmaster_host:::1\r\nmaster_port:6379\r\nmaster_link_status:up\r\nmaster_sync_in_progress:1\r\n"
            b"slave_repl_offset:99\r\nmaster_link_down_since_seconds:5\r\nmaster_replid:abc\r\n",
            "primary": b"role:master\r\nmaster_replid:abc\r\nmaster_repl_offset:9223372036854775807\r\n",
            "snapshot": b"loading:0\r\nrdb_last_save_time:1700000000\r\nrdb_last_bgsave_time_sec:12\r\ndb0:keys=5,expires=0",
            "snapshot_odd": b"rdb_last_save_time:9223372036854775807\r\nrdb_last_bgsave_time_sec:-1\r\n",
            "odd": b"redis_version:7\nuptime_in_seconds:-1\nuptime_in_seconds:9223372036854775807\ndb0:keys=9223372036854775807",
    }.items():
        write("server_info_fuzz", name, b"\1" + text + time)
    write("server_info_fuzz", "times", b"\3" + time + b"*2\r\n:1\r\n:2\r\n*2\r\n$20\r\n99999999999999999999\r\n$1\r\n1\r\n-ERR no\r\n")


def resp(value: object) -> bytes:
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(resp, value))
    text = str(value).encode()
    return text + b"\r\n" if text.startswith((b"+", b"-")) else b"$%d\r\n%s\r\n" % (len(text), text)


def module_seeds() -> None:
    get = ["get", 2, ["+readonly", "+fast"], 1, 1, 1, ["+@read"], [], [], []]
    module = [["mod.set", -3, ["+write", "+denyoom"], 1, 1, 1, [], [], [], []],
              ["mod.del", -2, ["+write"], 1, -1, 1, [], [], [], []],
              ["mod.pairs", -3, ["+write"], 1, -1, 2, [], [], [], []],
              ["mod.get", 2, ["+readonly"], 1, 1, 1, [], [], [], []],
              ["mod.moved", -2, ["+write", "+movablekeys"], 0, 0, 0, [], [], [], []],
              ["mod.admin", -1, ["+admin"], 0, 0, 0, [], [], [], []],
              ["mod.wait", -2, ["+write", "+blocking"], 1, 1, 1, [], [], [], []],
              ["mod", -2, [], 0, 0, 0, [], [], [], [["mod|sub", 3, ["+write"], 2, 2, 1, [], [], [], []]]]]
    write("module_commands_fuzz", "redis7", resp([get] + module))
    write("module_commands_fuzz", "redis6", resp([entry[:6] for entry in module]))
    write("module_commands_fuzz", "twice", resp([get]) + resp(module) + resp([get, module[0]]))
    odd = [["odd", 2, ["+write"], first, last, step] for first, last, step in
           ((1, -2147483648, 1), (2147483647, -1, 1), (-1, -1, 1), (1, 1 << 40, -1), (5, 1, 0), (1, -1, 2147483647))]
    write("module_commands_fuzz", "odd", b"".join(resp([entry, entry]) for entry in odd))
    write("module_commands_fuzz", "not_one", b"-ERR unknown command\r\n*1\r\n$-1\r\n*2\r\n*0\r\n*1\r\n$1\r\na\r\n")


# ---- store_answers_fuzz ----

def answer_seeds() -> None:
    info = ("redis_version:7.0.15\r\nrun_id:%s\r\nredis_mode:standalone\r\nrole:master\r\nused_memory:%d\r\nmaxmemory:%d\r\n"
            "maxmemory_policy:noeviction\r\ntotal_system_memory:99999999\r\nconnected_clients:5\r\nmaxclients:10\r\n"
            "db0:keys=3,expires=0,avg_ttl=0\r\ndb5:keys=%d,expires=0\r\n")
    most = (1 << 63) - 1
    calls = "cmdstat_get:calls=%d,usec=1\r\ncmdstat_GET:calls=%d\r\ncmdstat_%s:calls=30\r\ncmdstat_eval:calls=7,usec=1\r\n"
    settings = [reply for name, value in (("databases", "16"), ("maxmemory", "0"), ("maxmemory-policy", "allkeys-lru"),
                                          ("maxclients", "10000"), ("notify-keyspace-events", "Ex"))
                for reply in ([name, value], [name, ""])]
    users = ["user default on nopass sanitize-payload ~* &* +@all",
             "user ann on #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 ~a* -@all +get (~b* +set)"]
    lists = [[["name", "json", "ver", 1]], [], [["library_name", "lib", "engine", "LUA", "library_code", "#!lua name=lib"]], [],
             users, users[:1], "ann", "default"]

    def look(*numbers: int, command: str = "spop") -> List[object]:
        return [info % ("a", numbers[0], numbers[1], numbers[2]), info % ("b", 5, numbers[1], 2),
                calls % (numbers[2], numbers[2], command), "", *settings, *lists]
    # Each store is asked PING, HELLO twice and TIME before.
    for name, replies in (
            ("plain", look(1000, 2000, 5)),
            ("most", look(most, most, most)),
            ("odd_commands", look(1, 1, 1, command="quit|x")),
            ("late", look(1, 2, 3) + ["+late"]),
            ("keys", look(1, 2, 3) + ["+OK", "+OK", ["0", ["a", "b"]], "x", "+OK", 1, ["0", ["c"]], "+OK"]),
            ("lost", ["-LOST "] * 3)):
        write("store_answers_fuzz", "preflight_" + name, b"\0\x08\0" + b"".join(map(resp, replies)))
    write("store_answers_fuzz", "preflight_usual", b"\0\xff\xb2")
    for usual in range(100, 251, 30):
        for name, reply in (("lost", "-LOST "), ("refused", "-NOPERM no access to a key"), ("close", "+close")):
            write("store_answers_fuzz", "preflight_%s_%d" % (name, usual), bytes([0, usual, 0]) + resp(reply) * 3)
    write("store_answers_fuzz", "multi_refused", b"\0\x2c\0" + resp("-NOPERM multi") * 8)
    libraries = [["library_name", "a", "library_code", "1"], ["library_name", "b", "library_code", "2"]]
    write("store_answers_fuzz", "functions", b"\1\2\0" + b"".join(map(resp, (libraries, libraries[:1], "dump", "+OK", libraries, libraries))))
    write("store_answers_fuzz", "functions_by_load", b"\1\2\0" + b"".join(map(resp, (
        libraries, [], "-NOPERM dump", "+OK", "-ERR compile", libraries, libraries[:1]))))
    write("store_answers_fuzz", "users", b"\2\2\0" + b"".join(map(resp, (users, [], "ann", "default", "+OK"))))
    write("store_answers_fuzz", "users_refused", b"\2\2\0" + b"".join(map(resp, (
        users + ["user cut on #2d71 +@all"], ["user other on"], "x", "bob", "-ERR Error in ACL SETUSER modifier '#" + "2d" * 32 + "'"))))


# ---- windows_fuzz ----

def window_seeds() -> None:
    def texts(*items: str) -> List[str]:
        return list(items)
    page = [["0", texts("a", "1", "b", "2")]]
    for name, kind, replies in (
            ("string", 0, [250, "x" * 100, 250, "y" * 100, 250, "z" * 50]),
            ("list", 1, [3, texts("a", "b", "c")]),
            ("list_popped", 1, [40, texts(*"abcdefgh"), "+!lpop k", 39, texts(*"hijklmnop"), "+!lpush k x y", 41, texts(*"qrstu")]),
            ("list_unknown", 1, [40, texts(*"abcdefgh"), "+!sort k", 40, texts(*"hijklmnop")]),
            ("list_short", 1, [-9223372036854775808, texts("a"), 5, texts("a")]),
            ("set", 2, page + [2, [1, 1, 1, 1]]),
            ("set_one_by_one", 2, page + [2, "-ERR unknown command 'SMISMEMBER'", 2, 1, 1, 1, 1]),
            ("set_circle", 2, [["5", []], ["7", []], ["5", []]]),
            ("hash", 3, [["3", texts("a", "1")], 1, texts("1"), ["0", []], 1]),
            ("hash_expiry", 3 | 64, page + [2, texts("1", "2"), [1700000000000, -1], 2]),
            ("zset", 4, page + [2, texts("1", "2")]),
            ("stream", 5, [["length", 1], [["1-1", texts("f", "v")]], []]),
            ("stream_groups", 5, [["length", 0], [], [["name", "g"], ["name", "h"]], [["name", "c"]], [["1-1", "c", 5, 1]],
                                  "-NOGROUP no such group", []])):
        for flag in (0, 128):
            both = replies if flag else [reply for reply in replies for _ in (0, 1)]
            write("windows_fuzz", name + ("_alike" if flag else ""), bytes([kind | flag, 0x71]) + b"".join(map(resp, both)))


# ---- state_file_fuzz ----

def state_seeds() -> None:
    state = {"format": 1, "old": "a:1", "new": "b:2", "epoch": 2, "primary": "new", "secondary": "follow", "ack": "primary",
             "reads_new": 25.0, "compare": 100, "split": "key", "on_miss": "nil", "synced": True, "unsynced_why": "", "cold": False,
             "distrust": "", "keep_secondary": "", "instance": "abc",
             "flips": [{"at_ms": 1700000000000, "to": "new", "pause_ms": 1.5, "forced": False}],
             "identities": {"old": {"product": "redis", "run_id": "f", "started_ms": 1}, "new": {}}}
    variants = {"whole": state, "identities_list": {**state, "identities": []}, "identity_text": {**state, "identities": {"old": "x"}},
                "flips_number": {**state, "flips": 5}, "flips_text": {**state, "flips": ["x"]}, "large": {**state, "epoch": 1e300},
                "negative": {**state, "epoch": -1, "reads_new": -5}, "no_format": {**state, "format": "1"},
                "other_format": {**state, "format": 2}, "lacks": {"format": 1}, "list": [state], "null": None}
    for name, value in variants.items():
        write("state_file_fuzz", name, json.dumps(value).encode())
    write("state_file_fuzz", "cut", json.dumps(state).encode()[:100])
    write("state_file_fuzz", "deep", b"[" * 500)
    backfill = {"state": "paused", "why": "asked for", "match": "a*", "type": "hash", "db": 40000, "keys_per_second": 5,
                "bytes_per_second": 0, "secondary_side": False, "at_db": 1, "cursor": "17", "keys_done": 3, "keys_total": 9,
                "keys_rechecked": 0, "keys_failed": 1, "bytes": 77, "primary": "new", "run_id": "f", "server_started_ms": 1,
                "started_ms": 1700000000000, "ended_ms": 0, "resumed": 1}
    verify = {"state": "done", "why": "", "phase": "", "waiting_for": "", "started_ms": 1, "ended_ms": 2, "keys_checked": 3,
              "keys_total": 4, "windows": 5, "progress": {"done": 6, "total": 7, "per_second": 8.5, "seconds_left": -1},
              "options": {"repair": True, "sample": 50.5, "match": "a\\\\b\\x00", "db": -1, "keys_per_second": 9},
              "counts": {"equal": 1, "value": 2, "ttl": 3, "type": 4, "missing_on_new": 5, "only_on_new": 6, "not_comparable": 7,
                         "undecided": 6, "repaired": 8, "unconfirmed": 9, "left_out": 10},
              "undecided": {"busy": 1, "expiring": 2, "dirty": 3},
              "differences": [{"db": 0, "key": "k\\xff", "kind": "ttl", "repaired": True}, {"kind": "no"}, 5]}
    figures = {"elapsed_ms": 5000, "compared": 300, "mismatched": 2, "answered": 9, "failed": 1, "old_timed": 3, "new_timed": 4,
               "new_slow": 1, "old_p99_us": 255, "new_p99_us": 319, "lag_ms": 0.5, "dirty_keys": 7, "down_ms": 0}
    ramp = {"state": "running", "reason": "", "steps": [0.5, 25, 100], "every_ms": 600000, "limits": {"max_lag_ms": 5,
            "max_mismatch_rate": 0.01}, "step": 1, "counted": figures, "taken_over": False, "epoch": 3,
            "step_since_ms": 1700000000000, "started_ms": 1700000000000, "ended_ms": 0,
            "decisions": [{"number": 1, "at_ms": 1700000000000, "decision": "start", "reads_new": 0.5, "reason": "", "figures": figures}]}
    for name, value in {"ramp": ramp, "ramp_step": {**ramp, "step": 3}, "backfill": backfill, "backfill_lacks": {"state": "running"}, "backfill_cursor": {**backfill, "cursor": "x"},
                        "verify": verify, "verify_sample": {**verify, "options": {"sample": 0}}, "verify_idle": {"state": "idle"},
                        "verify_odd": {**verify, "ended_ms": 1e300, "keys_total": -1, "counts": [], "differences": {}}}.items():
        write("state_file_fuzz", name, json.dumps(value).encode())


if __name__ == "__main__":
    proxy_seeds()
    hostile_seeds()
    key_log_seeds()
    config_seeds()
    http_seeds()
    info_seeds()
    module_seeds()
    answer_seeds()
    window_seeds()
    state_seeds()
