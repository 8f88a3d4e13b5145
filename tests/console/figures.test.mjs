// Figures as text, rates, the plots' history.
import assert from "node:assert/strict";
import test from "node:test";

import * as figures from "../../console/figures.js";

test("numbers are written in one way, and what is not known is not 0", () => {
  assert.equal(figures.count(0), "0");
  assert.equal(figures.count(1234567), "1,234,567");
  assert.equal(figures.percent(12.5), "12.5 %");
  assert.equal(figures.percent(100), "100 %");
  assert.equal(figures.bytes(1023), "1,023 B");
  assert.equal(figures.bytes(1536), "1.5 KiB");
  assert.equal(figures.bytes(64 * 2 ** 20), "64 MiB");
  assert.equal(figures.micros(380), "380 µs");
  assert.equal(figures.micros(1500), "1.5 ms");
  assert.equal(figures.ms(12_345), "12.3 s");
  assert.equal(figures.yesno(false), "no");
  assert.equal(figures.perSecond(4.25), "4.3/s");
  for (const format of Object.values(figures.formats)) {
    assert.equal(format(undefined), "–");
    assert.equal(format(null), "–");
  }
  assert.equal(figures.count(NaN), "–");
});

test("durations show their two largest units", () => {
  assert.equal(figures.duration(0), "0 s");
  assert.equal(figures.duration(59_400), "59 s");
  assert.equal(figures.duration(3_600_000), "1 h");
  assert.equal(figures.duration(90_061_000), "1 d 1 h");
});

test("a moment of another day has its date", () => {
  const now = new Date(2026, 1, 3, 14, 5, 6).getTime();
  assert.equal(figures.moment(now, now), "14:05:06");
  assert.equal(figures.moment(now - 86_400_000, now), "2026-02-02 14:05:06");
  assert.equal(figures.moment(0, now).length, "1970-01-01 00:00:00".length);
  assert.equal(figures.moment(undefined, now), "–");
});

test("a path that leads nowhere is undefined", () => {
  assert.equal(figures.at({ a: { b: 0 } }, "a.b"), 0);
  assert.equal(figures.at({ a: null }, "a.b.c"), undefined);
});

const status = (uptime_ms, oldReplies, newReplies, more = {}) => ({
  uptime_ms,
  primary: "old",
  lag: { ms: 1 },
  dirty: { keys: 2 },
  reads: { old: 0, new: 0 },
  writes: { total: 0, followed: 0 },
  backends: {
    old: { state: "up", latency_us: { p50: 5, p99: 9 }, replies: oldReplies },
    new: { state: "down", latency_us: { p50: 7, p99: 8 }, replies: newReplies },
  },
  ...more,
});

test("rates come from the proxy's own clock", () => {
  const before = status(1000, { reads: 10, writes: 5 }, { reads: 0, writes: 0 });
  const now = status(3000, { reads: 100, writes: 15 }, { reads: 1, writes: 0 });
  assert.deepEqual(figures.rates(before, now), { old: 50, new: 0.5 });
  assert.equal(figures.rates(null, now), null);
  assert.equal(figures.rates(now, before), null, "it was started anew");
  assert.equal(figures.rates(now, now), null);
});

test("a proxy that doesn't count replies is judged by its counters", () => {
  const of = (uptime_ms, old, followed) => ({
    ...status(uptime_ms),
    reads: { old, new: 4 },
    writes: { total: 10, followed },
  });
  assert.deepEqual(figures.rates(of(1000, 0, 0), of(2000, 7, 3)), { old: 7, new: 3 });
});

test("the history is bounded, and gaps and dead stores are holes in it", () => {
  const history = new figures.History(3);
  history.gap(1);
  assert.equal(history.points.length, 0);
  for (let second = 0; second < 5; ++second) history.add(second, status(second * 1000, {}, {}), null);
  history.gap(9);
  assert.equal(history.points.length, 3);
  assert.deepEqual(history.points.at(-2).p99, { old: 9, new: null });
  assert.deepEqual(history.points.at(-1), {
    at: 9,
    ops: { old: null, new: null },
    p50: { old: null, new: null },
    p99: { old: null, new: null },
    lag: null,
    dirty: null,
  });
});
