"""ACL users: each connection is its user's, what the server allows it holds, whoever else speaks through the proxy."""
import unittest
from typing import Any

from admin import wait_until
from either import DIRECT, EitherTest
from harness import RedisServer, main
from resp import ErrorReply, RawConnection, encode

WRONGPASS = "WRONGPASS invalid username-password pair or user is disabled."
NO_KEY = "NOPERM this user has no permissions to access one of the keys used as arguments"
NO_CHANNEL = "NOPERM this user has no permissions to access one of the channels used as arguments"
NO_COMMAND = "NOPERM this user has no permissions to run the '{}' command"
ABORTED = "EXECABORT Transaction discarded because of previous errors."
USERS: dict[str, tuple[str, ...]] = {
    "ann": ("on", ">ann's", "~a:*", "+@all", "-@dangerous", "-rename", "&news:*"),
    "bob": ("on", ">bob's", "~b:*", "%R~a:*", "+@all", "-@scripting", "allchannels"),
    "reader": ("on", ">reader's", "~*", "+@read", "+@connection"),
    "off": ("off", ">off's", "~*", "+@all")}
# One connection's commands and answers.
CONVERSATION: tuple[tuple[tuple, Any], ...] = (
    (("ACL", "WHOAMI"), b"default"), (("AUTH", "ann", "bad"), WRONGPASS), (("AUTH", "off", "off's"), WRONGPASS),
    (("AUTH", "nobody", "x"), WRONGPASS), (("AUTH", "a", "b", "c"), "ERR syntax error"),
    (("AUTH",), "ERR wrong number of arguments for 'auth' command"),
    (("AUTH", "pw"), "ERR AUTH <password> called without any password configured for the default user. Are you sure "
     "your configuration is correct?"), (("ACL", "WHOAMI"), b"default"),
    (("AUTH", "ann", "ann's"), b"OK"), (("ACL", "WHOAMI"), b"ann"), (("SET", "a:1", "x"), b"OK"),
    (("GET", "a:1"), b"x"),
    (("SET", "b:1", "x"), NO_KEY), (("GET", "b:1"), NO_KEY), (("MSET", "a:1", "x", "b:1", "y"), NO_KEY),
    (("BLPOP", "a:none", "b:none", 0), NO_KEY), (("WATCH", "b:1"), NO_KEY),
    (("FLUSHALL",), NO_COMMAND.format("flushall")), (("CONFIG", "GET", "save"), NO_COMMAND.format("config|get")),
    (("KEYS", "*"), NO_COMMAND.format("keys")), (("RENAME", "a:1", "a:2"), NO_COMMAND.format("rename")),
    (("CLIENT", "LIST"), NO_COMMAND.format("client|list")),
    (("CLIENT", "KILL", "ID", 1), NO_COMMAND.format("client|kill")),
    (("EVAL", "return redis.call('GET', KEYS[1])", 1, "b:1"), NO_KEY),
    (("EVAL", "return redis.call('GET', KEYS[1])", 1, "a:1"), b"x"),
    (("SUBSCRIBE", "secret"), NO_CHANNEL), (("PSUBSCRIBE", "news:*", "*"), NO_CHANNEL),
    (("PUBLISH", "secret", "m"), NO_CHANNEL), (("PUBLISH", "news:1", "m"), 0),
    (("MULTI",), b"OK"), (("SET", "b:1", "x"), NO_KEY), (("SET", "a:1", "never"), b"QUEUED"), (("EXEC",), ABORTED),
    (("MULTI",), b"OK"), (("SET", "a:1", "y"), b"QUEUED"), (("INCR", "a:n"), b"QUEUED"), (("EXEC",), [b"OK", 1]),
    (("AUTH", "ann", "bad"), WRONGPASS), (("ACL", "WHOAMI"), b"ann"), (("GET", "a:1"), b"y"),
    (("AUTH", "bob", "bob's"), b"OK"), (("GET", "a:1"), b"y"), (("SET", "a:1", "z"), NO_KEY),
    (("SET", "b:1", "x"), b"OK"),
    (("EVAL", "return 1", 0), NO_COMMAND.format("eval")), (("COPY", "a:1", "b:2"), 1), (("COPY", "b:1", "a:2"), NO_KEY),
    (("AUTH", "reader", "reader's"), b"OK"), (("MGET", "a:1", "b:1", "b:2"), [b"y", b"x", b"y"]),
    (("SET", "a:1", "z"), NO_COMMAND.format("set")), (("MULTI",), NO_COMMAND.format("multi")),
    (("BLPOP", "l", 1), NO_COMMAND.format("blpop")), (("SUBSCRIBE", "c"), NO_COMMAND.format("subscribe")),
    (("AUTH", "default", "anything"), b"OK"), (("ACL", "WHOAMI"), b"default"), (("DEL", "a:1", "b:1", "b:2", "a:n"), 4),
    (("AUTH", "bob", "bob's"), b"OK"), (("RESET",), b"RESET"), (("ACL", "WHOAMI"), b"default"),
)


class UsersTest(EitherTest):
    def setUp(self) -> None:
        super().setUp()
        for store in self.place.stores:
            self.make_users(store, *USERS)

    def make_users(self, store: RedisServer, *names: str) -> None:
        """Straight on a store: the proxy refuses ACL SETUSER, and each store has users of its own."""
        with store.client() as client:
            for name in names:
                client.execute_command("ACL", "SETUSER", name, "reset", *USERS[name])

    def user(self, name: str, protocol: int = 2) -> RawConnection:
        connection = self.connection()
        self.assertNotIsInstance(connection.ask("HELLO", protocol, "AUTH", name, f"{name}'s"), ErrorReply)
        return connection

    def test_a_conversation(self) -> None:
        for protocol in (2, 3):
            connection = self.connection(protocol)
            for number, (words, wanted) in enumerate(CONVERSATION):
                self.assertEqual(connection.ask(*words), wanted, f"{number}: {words}")

    def test_the_conversation_in_one_packet(self) -> None:
        connection = self.connection()
        connection.send(b"".join(encode(*words) for words, _ in CONVERSATION))
        for number, (words, wanted) in enumerate(CONVERSATION):
            self.assertEqual(connection.reply(), wanted, f"{number}: {words}")

    def test_hello_with_auth(self) -> None:
        connection = self.connection()
        for words, wanted in (((3, "AUTH", "ann", "bad", "SETNAME", "x"), WRONGPASS),
                              ((3, "AUTH", "ann"), "ERR Syntax error in HELLO option 'AUTH'")):
            self.assertEqual(connection.ask("HELLO", *words), wanted)
            self.assertEqual([connection.ask("ACL", "WHOAMI"), connection.ask("CLIENT", "GETNAME")], [b"default", None])
            connection.send(encode("GET", "none"))
            self.assertEqual(connection.raw_reply()[1], b"$-1\r\n", "still RESP2")
        self.assertEqual(connection.ask("HELLO", 3, "AUTH", "ann", "ann's", "SETNAME", "x")[b"proto"], 3)
        self.assertEqual([connection.ask("ACL", "WHOAMI"), connection.ask("CLIENT", "GETNAME")], [b"ann", b"x"])
        self.assertIn(b" user=ann ", connection.ask("CLIENT", "INFO"))
        self.assertEqual(connection.ask("HELLO", 2, "AUTH", "bob", "bad"), WRONGPASS)
        self.assertEqual([connection.ask("ACL", "WHOAMI"), connection.ask("GET", "b:1")], [b"ann", NO_KEY])

    def test_a_script_stays_in_its_users_bounds(self) -> None:
        script = "redis.call('SET', KEYS[1], 'v'); return redis.call('GET', 'b:1')"
        answer = self.user("ann").ask("EVAL", script, 1, "a:s")
        self.assertRegex(answer, "The user executing the script can't access at least one of the keys")
        self.assertEqual(self.do(("GET", "a:s")), [b"v"], "what it did before stays")

    def test_users_interleaved_on_many_connections(self) -> None:
        """Each pipeline's replies are its own user's, however the users take turns."""
        names = ("ann", "bob", "reader", "default")
        connections = [(names[number % 4], self.connection(2 + number // 4 % 2)) for number in range(24)]
        for name, connection in connections:
            if name != "default":
                self.assertEqual(connection.ask("AUTH", name, f"{name}'s"), b"OK")
        self.do(("MSET", "a:k", "A", "b:k", "B"))
        no_set, no_eval = NO_COMMAND.format("set"), NO_COMMAND.format("eval")
        wanted = {"ann": [b"ann", b"A", NO_KEY, b"OK", NO_KEY, b"x", 4],
                  "bob": [b"bob", b"A", b"B", NO_KEY, b"OK", no_eval, 4],
                  "reader": [NO_COMMAND.format("acl|whoami"), b"A", b"B", no_set, no_set, no_eval, 4],
                  "default": [b"default", b"A", b"B", b"OK", b"OK", b"x", 4]}
        self.do(("MSET", "a:w", "x", "b:w", "x"))
        asked = (("ACL", "WHOAMI"), ("GET", "a:k"), ("GET", "b:k"), ("SET", "a:w", "x"), ("SET", "b:w", "x"),
                 ("EVAL", "return redis.call('GET', KEYS[1])", 1, "a:w"), ("DBSIZE",))
        for _ in range(30):
            for _, connection in connections:
                connection.send(b"".join(encode(*words) for words in asked))
            for name, connection in connections:
                self.assertEqual([connection.reply() for _ in asked], wanted[name], name)

    def test_blocked_subscribed_and_watching_users(self) -> None:
        waiter, subscriber, watcher = self.user("ann"), self.user("ann"), self.user("ann", 3)
        waiter.send(encode("BLPOP", "a:l", 0) + encode("ACL", "WHOAMI") + encode("GET", "b:1"))
        self.assertEqual(subscriber.ask("SUBSCRIBE", "news:1"), [b"subscribe", b"news:1", 1])
        self.assertEqual([watcher.ask("WATCH", "a:1"), watcher.ask("GET", "b:1"), watcher.ask("ACL", "WHOAMI")],
                         [b"OK", NO_KEY, b"ann"])
        self.assert_silent(waiter, subscriber)
        self.do(("RPUSH", "a:l", "e"), ("PUBLISH", "news:1", "m"))
        self.assertEqual([waiter.reply(), waiter.reply(), waiter.reply()], [[b"a:l", b"e"], b"ann", NO_KEY])
        self.assertEqual(subscriber.reply(), [b"message", b"news:1", b"m"])
        self.assertEqual([watcher.ask("MULTI"), watcher.ask("SET", "a:1", "v"), watcher.ask("EXEC")],
                         [b"OK", b"QUEUED", [b"OK"]])

    def test_kill_by_user(self) -> None:
        anns, bob = [self.user("ann") for _ in range(3)], self.user("bob")
        self.assertEqual(self.do(("CLIENT", "KILL", "USER", "ann")), [3])
        for ann in anns:
            self.assertEqual(ann.until_closed(), b"")
        self.assertEqual(bob.ask("ACL", "WHOAMI"), b"bob")

    def test_users_over_flips(self) -> None:
        ann, bob = self.user("ann"), self.user("bob")
        for number in range(4):
            self.assertEqual([ann.ask("SET", "a:1", number), ann.ask("GET", "b:1"), bob.ask("SET", "a:1", "x"),
                              bob.ask("GET", "a:1"), ann.ask("ACL", "WHOAMI")],
                             [b"OK", NO_KEY, NO_KEY, b"%d" % number, b"ann"])
            self.place.flip()

    @unittest.skipIf(DIRECT, "a server alone has no other")
    def test_a_user_missing_on_new_reads_from_the_primary(self) -> None:
        rig = self.place.rig
        if rig.admin.status()["primary"] != "old":
            self.place.flip()
        with rig.old.client() as old:
            old.execute_command("ACL", "SETUSER", "only-old", "reset", "on", ">only-old's", "~c:*", "+@all")
        connection, everyone = self.user("only-old"), self.connection()
        rig.admin.routing(reads_new=100)
        try:
            for number in range(50):
                key = f"c:{number}"
                self.assertEqual([connection.ask("SET", key, number), connection.ask("GET", key),
                                  connection.ask("GET", "a:1"), everyone.ask("GET", key)],
                                 [b"OK", b"%d" % number, NO_KEY, b"%d" % number])
        finally:
            rig.admin.routing(reads_new=0)
        status = self.assert_converged(rig)
        self.assertEqual(status["reads"]["mismatched"], 0)
        wait_until(lambda: rig.new.client().get("c:49") == b"49", 5, "its writes are followed all the same")


if __name__ == "__main__":
    main()
