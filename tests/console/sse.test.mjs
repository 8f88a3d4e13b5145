// The parser of server-sent events, and how long is waited before the next attempt.
import assert from "node:assert/strict";
import test from "node:test";

import { EventParser, backoffMs } from "../../console/sse.js";

function parse(text, size = text.length) {
  const events = [];
  const parser = new EventParser((event) => events.push(event));
  for (let at = 0; at < text.length; at += size) parser.feed(text.slice(at, at + size));
  return events;
}

const STREAM =
  'id: 7\nevent: status\ndata: {"a": 1}\n\n: a comment\n\nid: 8\r\nevent: audit\r\ndata: one\r\ndata: two\r\n\r\ndata:x\r\rdata\n\n';

test("events are the same in any pieces", () => {
  const expected = [
    { id: "7", event: "status", data: '{"a": 1}' },
    { id: "8", event: "audit", data: "one\ntwo" },
    { id: "8", event: "message", data: "x" },
    { id: "8", event: "message", data: "" },
  ];
  for (let size = 1; size <= STREAM.length; ++size)
    assert.deepEqual(parse(STREAM, size), expected, `pieces of ${size}`);
});

test("what is not ended is no event", () => {
  assert.deepEqual(parse('id: 1\ndata: {"half": '), []);
  assert.deepEqual(parse("data: whole line\n"), []);
  assert.deepEqual(parse("event: status\n\n"), [], "without data");
});

test("only one space after the colon is not part of the value", () => {
  assert.equal(parse("data:  x: y\n\n")[0].data, " x: y");
});

test("pauses double up to a bound, and are never nothing", () => {
  for (const chance of [0, 0.5, 1]) {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 50].map((attempt) => backoffMs(attempt, chance));
    for (let i = 1; i < pauses.length; ++i) assert.ok(pauses[i] >= pauses[i - 1]);
    assert.ok(pauses[0] >= 375 && pauses.at(-1) <= 10_000 && pauses.at(-1) >= 7500);
  }
  assert.equal(backoffMs(2, 1), 1000);
});
