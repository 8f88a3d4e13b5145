"""Replies as trees that keep their RESP type, and the rules by which two of them count as the same.

A tree is (kind, value). The kind is the type's byte ("+", "-", ":", "$", "*", "%", "~", ",", "#", "=", "(", ">"), or
"null" with the way it was written ("$-1", "*-1", "_"), or "closed" or "silence" where no reply came. An aggregate's
value is the list of its trees, a map's keys and values in turn. So a map differs from a flat array, and each null from
the others, which is what a client library would notice.
"""
from __future__ import annotations

import re
import socket
from typing import Any, Callable

from resp import Closed, RawConnection

Tree = tuple[str, Any]
_AGGREGATES = "*%~>"


class TreeConnection(RawConnection):
    """One connection whose replies are trees."""

    def tree(self) -> Tree:
        """The next frame: a reply or a push. Never raises for a peer that closes or is silent."""
        try:
            return self._next_tree()
        except Closed:
            return ("closed", b"")
        except socket.timeout:
            return ("silence", b"")

    def ask_tree(self, data: bytes) -> Tree:
        self.send(data)
        return self.tree()

    def _next_tree(self) -> Tree:
        line = self._line()
        kind, text = chr(line[0]), line[1:-2]
        if kind in "+-,#(":
            return (kind, text)
        if kind == ":":
            return (kind, int(text))
        if kind == "_" or text == b"-1":
            return ("null", line[:-2].decode())
        if kind in "$=!":
            return (kind, self._exactly(int(text) + 2)[:-2])
        if kind in _AGGREGATES:
            count = int(text) * (2 if kind == "%" else 1)
            return (kind, [self._next_tree() for _ in range(count)])
        raise AssertionError(f"not a reply: {line!r}")


def show(tree: Tree, most: int = 400) -> str:
    """For a person to read: +OK, :1, $"text", *[…], %{…}."""
    text = _show(tree)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _show(tree: Tree) -> str:
    kind, value = tree
    if kind in _AGGREGATES:
        return f"{kind}[{', '.join(_show(child) for child in value)}]"
    if kind == "null":
        return value
    if kind == ":":
        return f":{value}"
    text = repr(value)[2:-1]
    return f'{kind}"{text}"' if kind in "$=" else f"{kind}{text}"


# ---- what may differ ----

# What two servers say differently of equal things; the values after these names are not compared.
_VOLATILE_NAMES = {b"id", b"idle", b"inactive", b"seen-time", b"active-time", b"radix-tree-keys", b"radix-tree-nodes",
                   b"delivery-time", b"run_id", b"duration_ms", b"age-seconds", b"entry-id", b"timestamp-created",
                   b"timestamp-last-updated", b"client-info"}
_A_MOMENT_MS = 10**12  # integers from here on are times of the clock
_VOLATILE_CLIENT_FIELDS = re.compile(
    rb"\b(id|addr|laddr|fd|age|idle|qbuf|qbuf-free|argv-mem|multi-mem|rbs|rbp|obl|oll|omem|tot-mem|events|redir)=\S*")


def _sorted(trees: list[Tree]) -> list[Tree]:
    return sorted(trees, key=repr)


def _pairs(tree: Tree) -> Tree:
    kind, value = tree
    if kind not in _AGGREGATES or len(value) % 2:
        return tree
    return (kind, sorted(zip(value[::2], value[1::2]), key=repr))


def _unordered(tree: Tree) -> Tree:
    return (tree[0], _sorted(tree[1])) if tree[0] in _AGGREGATES else tree


def _deep(tree: Tree) -> Tree:
    """Neither the order of arrays nor of maps counts, at any depth."""
    kind, value = tree
    if kind not in _AGGREGATES:
        return tree
    children = [_deep(child) for child in value]
    return (kind, sorted(zip(children[::2], children[1::2]), key=repr) if kind == "%" else _sorted(children))


def _scan(order: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
    def normal(tree: Tree) -> Tree:
        kind, value = tree
        return (kind, [value[0], order(value[1])]) if kind == "*" and len(value) == 2 else tree
    return normal


def _shape(tree: Tree) -> Tree:
    kind, value = tree
    if kind in _AGGREGATES:
        return (kind, [_shape(child) for child in value])
    return (kind, value if kind == "null" else b"")


def _volatile(tree: Tree) -> Tree:
    """What follows a volatile name, and every moment, is set to zero."""
    kind, value = tree
    if kind == ":" and value >= _A_MOMENT_MS:
        return (kind, 0)
    if kind not in _AGGREGATES:
        return tree
    children = [_volatile(child) for child in value]
    for i in range(1, len(children)):
        name_kind, name = children[i - 1]
        if name_kind in ("$", "+") and name in _VOLATILE_NAMES:
            children[i] = (children[i][0], 0)
    return (kind, children)


def _pending(tree: Tree) -> Tree:
    """XPENDING's entries without their idle time, the third element."""
    kind, value = tree
    if kind != "*":
        return tree
    return (kind, [(child[0], child[1][:2] + child[1][3:]) if child[0] == "*" and len(child[1]) == 4 else child
                   for child in value])


# CLIENT SETINFO's, which the proxy shows with every server, and servers only since 7.2.
_NEWER_CLIENT_FIELDS = re.compile(rb" lib-(name|ver)=\S*")


def _clients(tree: Tree) -> Tree:
    """CLIENT LIST and INFO without what belongs to one connection or one moment; the order does not count."""
    kind, value = tree
    if kind not in "$=":
        return tree
    lines = [_NEWER_CLIENT_FIELDS.sub(b"", _VOLATILE_CLIENT_FIELDS.sub(rb"\1=", line)) for line in value.splitlines()]
    return (kind, sorted(lines))


# By name: what is left of a tree to compare. An error is always compared as it stands.
RULES: dict[str, Callable[[Tree], Tree]] = {
    "exact": lambda tree: tree,
    "unordered": _unordered,
    "pairs": _pairs,  # flat pairs, or a map, in any order
    "deep": _deep,
    "scan": _scan(_unordered),
    "scanpairs": _scan(_pairs),
    "shape": _shape,  # types and lengths
    "kind": lambda tree: (tree[0], b""),
    "either": lambda tree: ("any", b""),  # anything but an error
    "volatile": _volatile,
    "pending": _pending,
    "clients": _clients,
}


def agree(rule: str, wanted: Tree, got: Tree) -> bool:
    """Is `got` the same answer as `wanted`? `rule` is one of RULES, or "near N": integers may differ by up to N."""
    if "-" in (wanted[0], got[0]) or "closed" in (wanted[0], got[0]) or "silence" in (wanted[0], got[0]):
        return wanted == got
    if rule.startswith("near "):
        return _near(wanted, got, int(rule[5:]))
    return RULES[rule](wanted) == RULES[rule](got)


def _near(wanted: Tree, got: Tree, tolerance: int) -> bool:
    if wanted[0] != got[0]:
        return False
    if wanted[0] in _AGGREGATES:
        return len(wanted[1]) == len(got[1]) and all(_near(*both, tolerance) for both in zip(wanted[1], got[1]))
    if wanted[0] != ":" or min(wanted[1], got[1]) < 0:
        return wanted == got
    return abs(wanted[1] - got[1]) <= tolerance
