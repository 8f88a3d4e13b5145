"""An application can't tell that it isn't talking to its server: every command and subcommand that a real server lists,
in many argument shapes, asked of a plain server and of the proxy, in RESP2 and in RESP3.

The replies must be the same by the command's rule (cases.RULE_OF), types and error texts included, and after each case
the proxy's two stores and the plain server must hold the same. A command of COMMAND without a case is a failure.
CROSSFADE_CASES=TEXT runs only the cases whose title, or module, contains TEXT.
"""
import os
import time
import unittest
from types import ModuleType
from typing import Optional

import cases_bits
import cases_blocking
import cases_cluster
import cases_connection
import cases_databases
import cases_functions
import cases_geo
import cases_hashes
import cases_keyspace
import cases_lists
import cases_pubsub
import cases_scripts
import cases_server
import cases_sets
import cases_streams
import cases_strings
import cases_transactions
import cases_wrong_types
import cases_zsets
from cases import Case, read_cases
from differential import Difference, Differential
from harness import CrossfadeTest, RedisServer, main
from reply_tree import TreeConnection, agree, show
from resp import encode

MODULES = (cases_strings, cases_bits, cases_keyspace, cases_databases, cases_lists, cases_sets, cases_hashes,
           cases_zsets, cases_geo, cases_streams, cases_transactions, cases_blocking, cases_pubsub, cases_scripts,
           cases_functions, cases_connection, cases_server, cases_cluster)
ONLY = os.environ.get("CROSSFADE_CASES", "")

# What the proxy refuses, by design and without admin_commands: "ERR 'name' is refused: REASON". Never asked of the
# plain server, which some of these would end.
REFUSED = frozenset("""
    bgrewriteaof bgsave save shutdown debug config|set config|rewrite config|resetstat
    module|load module|loadex module|unload pfdebug pfselftest
    acl|setuser acl|deluser acl|load acl|save
    failover replicaof slaveof psync sync replconf
    migrate restore-asking script|debug
""".split())

# What it refuses only between MULTI and EXEC: "ERR 'name' is refused inside MULTI: REASON". A server queues these.
REFUSED_INSIDE_MULTI = frozenset("""
    auth hello monitor client|info client|kill client|list client|pause client|reply client|tracking client|unblock
    client|unpause subscribe psubscribe ssubscribe unsubscribe punsubscribe sunsubscribe script|kill function|kill
""".split())

# Commands of COMMAND that no case can drive, each with its reason. There is none.
EXCLUDED: dict[str, str] = {}

# One key of each type, and one that is missing: what each line of cases_wrong_types meets.
KEYS_OF_EACH_TYPE = """
SET k:string v
RPUSH k:list 1 2
SADD k:set 1
HSET k:hash f v
ZADD k:zset 1 a
XADD k:stream 1-1 f v
"""
NOT_IN_A_TRANSACTION = ("WATCH", "SSUBSCRIBE", "SUNSUBSCRIBE")  # what these answer there is no element of EXEC's
TYPES = ("string", "list", "set", "hash", "zset", "stream", "missing")


class Table:
    """What the server's COMMAND lists: name → arity, and which commands name keys."""

    def __init__(self, server: RedisServer):
        self.arity: dict[str, int] = {}
        self.with_keys: set[str] = set()
        with server.client() as client:
            connection = client.connection_pool.get_connection("COMMAND")
            connection.send_command("COMMAND")
            entries = connection.read_response()
        containers = set()
        for entry in entries:
            if entry[9]:
                containers.add(entry[0].decode())
                self.arity[entry[0].decode()] = entry[1]
            for row in entry[9] or [entry]:
                name = row[0].decode()
                self.arity[name] = row[1]
                if row[8]:
                    self.with_keys.add(name)
        self.containers = frozenset(containers)
        self.names = self.arity.keys() - containers | {"command"}  # COMMAND alone is a command as well

    def wrong_arity(self, name: str) -> list[str]:
        """The command with an argument too few, and one too many where there is a most."""
        words = name.upper().split("|")
        counts = [abs(self.arity[name]) - 1] + ([self.arity[name] + 1] if self.arity[name] > 0 else [])
        return [" ".join(words + ["a"] * (count - len(words))) for count in counts if count >= len(words)]


def arity_cases(table: Table) -> list[Case]:
    """Every command with a wrong number of arguments: alone, and in a transaction that it spoils."""
    made = []
    lines = [line for name in sorted(table.arity) if name not in REFUSED for line in table.wrong_arity(name)]
    for start in range(0, len(lines), 40):
        made.append(f"== wrong numbers of arguments, from {lines[start]}")
        made += lines[start:start + 40]
    for start in range(0, len(lines), 40):
        made.append(f"== wrong numbers of arguments in a transaction, from {lines[start]}")
        for line in lines[start:start + 40]:
            made += ["MULTI", line, "EXEC"]
    for name in sorted(table.containers):
        made += [f"== {name} with a subcommand that it lacks", f"{name.upper()} NOSUCH", f"{name} nosuch a b c"]
    return read_cases("\n".join(made))


def wrong_type_cases() -> list[Case]:
    """Each line with a key of every type; then all of these in one transaction, whose effects must be the same."""
    made = []
    for line in cases_wrong_types.LINES.strip().splitlines():
        setup = [*cases_wrong_types.SETUP.strip().splitlines(), *KEYS_OF_EACH_TYPE.strip().splitlines()]
        asked = [line.replace("{k}", f"k:{kind}") for kind in TYPES]
        made += [f"== every type: {line}", *setup, *asked]
        if not line.startswith(NOT_IN_A_TRANSACTION):
            made += [f"== in a transaction: {line}", *setup, "MULTI", *asked, "EXEC"]
    return read_cases("\n".join(made))


class EveryCommandTest(CrossfadeTest):
    plain: RedisServer

    def setUp(self) -> None:
        self.by_module = {self.module_name(module): read_cases(module.CASES) for module in MODULES}
        self.by_module["wrong types"] = wrong_type_cases()

    @staticmethod
    def module_name(module: ModuleType) -> str:
        return module.__name__.removeprefix("cases_")

    def server(self, directory: Optional[object] = None, name: str = "plain") -> RedisServer:
        server = RedisServer(name, directory or self.rigs_directory()).start()
        self.addCleanup(server.kill)
        return server

    def rigs_directory(self) -> object:
        return self.rig(start=False).directory

    def drive(self, differential: Differential, table: Table, protocol: int) -> None:
        """Runs all cases, says how each module fared, and fails with every difference."""
        found: list[Difference] = []
        try:
            for name, cases in (*self.by_module.items(), ("arity", arity_cases(table))):
                begin, before, asked = time.monotonic(), len(found), differential.commands
                for case in cases:
                    if ONLY in f"{name}: {case.title}":
                        found += differential.run(case, protocol)
                self.say(f"RESP{protocol} {name}: {len(cases)} cases, {differential.commands - asked} commands, "
                         f"{len(found) - before} differences, {time.monotonic() - begin:.1f} s")
        finally:
            differential.close()
        if not ONLY:
            self.assertGreater(differential.commands, 1500)
        if found:
            self.fail(explain(found))

    def through_the_proxy(self, protocol: int, pipelined: bool = False, **routing: object) -> dict:
        rig = self.rig()
        plain = self.server(rig.directory)
        if routing:
            rig.admin.routing(**routing)
        table = Table(plain)
        self.drive(Differential(plain, rig.proxy.port, [rig.old, rig.new], table.containers, REFUSED,
                                rig.admin.wait_settled, pipelined), table, protocol)
        status = rig.admin.status()
        self.assertEqual(status["reads"]["mismatched"], 0, rig.admin.mismatches()[:5])
        return status

    def test_in_resp2(self) -> None:
        self.through_the_proxy(2)

    def test_in_resp3(self) -> None:
        self.through_the_proxy(3)

    def pipelined_with_new(self, protocol: int) -> None:
        status = self.through_the_proxy(protocol, pipelined=True, reads_new=100, compare=100)
        if not ONLY:
            self.assertGreater(status["reads"]["new"], 500)
            self.assertGreater(status["reads"]["compared"], 500)

    def test_pipelined_in_resp2_when_new_answers_and_is_compared(self) -> None:
        self.pipelined_with_new(2)

    def test_pipelined_in_resp3_when_new_answers_and_is_compared(self) -> None:
        self.pipelined_with_new(3)

    def test_two_plain_servers_agree(self) -> None:
        """No case depends on chance or on timing: what the other tests find is the proxy's doing."""
        directory = self.rigs_directory()
        one, two = (self.server(directory, name) for name in ("plain", "other"))
        table = Table(one)
        for protocol, pipelined in ((2, False), (3, True)):
            self.drive(Differential(one, two.port, [two], table.containers, REFUSED, pipelined=pipelined), table,
                       protocol)

    def test_a_store_that_differs_is_found(self) -> None:
        directory = self.rigs_directory()
        one, two, three = (self.server(directory, name) for name in ("one", "two", "three"))
        differential = Differential(one, two.port, [two, three], Table(one).containers)
        self.addCleanup(differential.close)
        for line in ("SET k v", "XGROUP CREATE x g $ MKSTREAM",
                     r'FUNCTION LOAD "#!lua name=lib\nredis.register_function(\"f\", function() end)"'):
            found = differential.run(read_cases(f"== only two has it\n{line}")[0], 2)
            self.assertEqual([difference.step for difference in found], ["what two and three hold"], line)

    def test_what_is_refused_inside_multi_spoils_the_transaction(self) -> None:
        rig = self.rig()
        table = Table(rig.old)
        refused, odd = set(), {}
        with TreeConnection(rig.proxy.port) as connection:
            for name in sorted(table.names - REFUSED - {"multi", "exec", "discard", "watch", "quit", "reset"}):
                words = name.split("|") + ["1"] * (abs(table.arity[name]) - name.count("|") - 1)
                self.assertEqual(connection.ask_tree(encode("MULTI")), ("+", b"OK"))
                answer = connection.ask_tree(encode(*words))
                if answer == ("+", b"QUEUED"):
                    connection.ask_tree(encode("DISCARD"))
                    continue
                self.assertIn("EXECABORT", show(connection.ask_tree(encode("EXEC"))), name)
                if f"ERR '{name}' is refused inside MULTI: " in show(answer):
                    refused.add(name)
                else:
                    odd[name] = show(answer)
        self.assertEqual(odd, {}, "a server queues these")
        self.assertEqual(refused, REFUSED_INSIDE_MULTI)

    def test_every_command_has_a_case(self) -> None:
        table = Table(self.server())
        driven = {step.name(table.containers) for name, cases in self.by_module.items() if name != "wrong types"
                  for case in cases for step in case.steps}
        self.assertEqual(sorted(table.names - driven - EXCLUDED.keys()), [], "no case drives these")
        self.assertEqual(sorted(EXCLUDED.keys() & driven), [], "excluded, but a case drives them")
        typed = {step.name(table.containers) for case in self.by_module["wrong types"] for step in case.steps}
        self.assertEqual(sorted(table.with_keys - typed - EXCLUDED.keys() - REFUSED), [],
                         "these name keys, and were never asked of a key of another type")
        self.assertEqual(sorted(REFUSED - table.arity.keys()), [], "refused, but no server has it")


class RulesTest(unittest.TestCase):
    """The rules themselves can tell what differs."""

    def test_what_differs_is_found(self) -> None:
        def array(*words: bytes, kind: str = "*") -> tuple:
            return (kind, [("$", word) for word in words])
        for rule, one, two, same in (
                ("exact", array(b"a", b"b"), array(b"b", b"a"), False),
                ("unordered", array(b"a", b"b"), array(b"b", b"a"), True),
                ("unordered", array(b"a", b"b"), array(b"b", b"b"), False),
                ("unordered", array(b"a"), array(b"a", kind="~"), False),
                ("pairs", array(b"a", b"1", b"b", b"2"), array(b"b", b"2", b"a", b"1"), True),
                ("pairs", array(b"a", b"1", b"b", b"2"), array(b"b", b"1", b"a", b"2"), False),
                ("shape", array(b"a"), array(b"b"), True), ("shape", array(b"a"), array(b"b", b"a"), False),
                ("shape", ("$", b"a"), ("null", "$-1"), False), ("exact", ("null", "$-1"), ("null", "*-1"), False),
                ("near 3", (":", 10), (":", 12), True), ("near 3", (":", 10), (":", 14), False),
                ("near 3", (":", -1), (":", 1), False), ("kind", ("-", b"ERR a"), ("-", b"ERR b"), False),
                ("volatile", array(b"id", b"1", b"n", b"1"), array(b"id", b"2", b"n", b"1"), True),
                ("volatile", array(b"id", b"1", b"n", b"1"), array(b"id", b"1", b"n", b"2"), False),
                ("kind", ("$", b"a"), ("silence", b""), False)):
            with self.subTest(rule=rule, one=one, two=two):
                self.assertEqual(agree(rule, one, two), same)


def explain(found: list[Difference]) -> str:
    """Every difference; refusals that were not meant are only counted, by command."""
    refused: dict[str, int] = {}
    for difference in found:
        if difference.refused:
            refused[difference.refused] = refused.get(difference.refused, 0) + 1
    lines = [str(difference) for difference in found if not difference.refused]
    if refused:
        lines.append("refused, and not in REFUSED: " + ", ".join(f"{name} ×{n}" for name, n in sorted(refused.items())))
    return f"{len(found)} differences\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
