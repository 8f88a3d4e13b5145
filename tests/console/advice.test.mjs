// The next safe step, the way back, hints and checks, and what the controls would do, for statuses of every kind.
import assert from "node:assert/strict";
import test from "node:test";

import * as actions from "../../console/actions.js";
import * as jobs from "../../console/jobs.js";
import { hintFor, nextStep, sentence, wayBack } from "../../console/advice.js";

// A migration in which all is well, old is primary, and everything has been done but the flip.
const ready = (more = {}) => ({
  primary: "old",
  secondary: "follow",
  synced: "yes",
  synced_why: "",
  cold: false,
  reads_new: 100,
  compare: 100,
  split: "key",
  ack: "primary",
  on_miss: "nil",
  stopping: false,
  attention: [],
  dirty: { keys: 0, overflowed: false },
  reads: { compared: 50, mismatched: 0 },
  verify: { state: "done", differing: 0, counts: { repaired: 0 } },
  backfill: { state: "done" },
  backends: { old: { state: "up" }, new: { state: "up", breaker: { state: "closed" } } },
  ...more,
});
const backends = (old, fresh) => ({ old: { state: old }, new: { state: fresh } });

test("the next step goes through a migration in order", () => {
  const steps = [
    [{ synced: "no" }, "backfill-start"],
    [{ verify: { state: "idle" } }, "verify-start"],
    [{ compare: 0, reads: { compared: 0, mismatched: 0 }, reads_new: 0 }, "compare"],
    [{ reads_new: 25 }, "reads"],
    [{}, "flip-dry"],
    [{ primary: "new" }, undefined],
  ];
  for (const [more, act] of steps) assert.equal(nextStep(ready(more)).act, act, JSON.stringify(more));
});

test("what is wrong comes before what is next", () => {
  const says = (more, pattern, act) => {
    const step = nextStep(ready(more));
    assert.match(step.say, pattern);
    assert.equal(step.act, act);
  };
  says({ backends: backends("down", "up"), synced: "no" }, /primary \(old\) can’t be reached.*flip new --force/);
  says({ backends: backends("up", "down"), primary: "old" }, /Bring new back/);
  says({ backends: backends("up", "down"), primary: "new" }, /primary \(new\).*flip old --force/);
  says(
    { attention: ["the primary (old) came back as another process and may have lost data"] },
    /may have lost data/,
    "resync",
  );
  says({ secondary: "journal" }, /set to journal/, "secondary");
  says({ synced: "copying" }, /Wait/);
  says({ synced: "no", backfill: { state: "paused" } }, /paused/);
  says({ ramp: { state: "running" } }, /ramp/);
  says({ ramp: { state: "tripped" }, reads_new: 0 }, /tripped/);
  says({ verify: { state: "done", differing: 3, counts: { repaired: 1 } } }, /3 keys that differ/, "verify-start");
  says({ reads: { compared: 9, mismatched: 2 }, reads_new: 25 }, /2 compared reads differed/);
  says({ stopping: true }, /stopping/);
});

test("a cold new needs no backfill", () => {
  assert.equal(nextStep(ready({ synced: "no", cold: true, reads_new: 25 })).act, "reads");
});

test("the flip back is offered exactly while new is primary", () => {
  assert.equal(wayBack(ready()).flip, false);
  assert.equal(wayBack(ready({ primary: "new" })).flip, true);
  assert.match(wayBack(ready({ primary: "new", reads_new: 50 })).say, /reads to 0 %.*50 %/);
});

test("attention says what to do where the line doesn't", () => {
  assert.match(hintFor("the secondary (new, 127.0.0.1:1) is down: refused"), /No client is harmed/);
  assert.match(hintFor("not synced (no): at the first start old held 3 keys"), /backfill/);
  assert.equal(hintFor("something that only a later proxy says"), "");
});

test("the sentence says who is primary and whether the other is synced", () => {
  assert.equal(
    sentence(ready({ reads_new: 25 })),
    "old is primary; new follows, synced; new answers 25 % of reads, 100 % are compared.",
  );
  assert.match(sentence(ready({ synced: "no" })), /NOT synced/);
});

test("a control says the request that it makes", () => {
  const plan = actions.setReads(ready({ reads_new: 25 }), 50).plan({});
  assert.deepEqual(
    [plan.method, plan.path, plan.body, plan.cli],
    ["PATCH", "api/v1/routing", { reads_new: 50 }, "crossfade reads 50"],
  );
  assert.match(plan.says[0], /50 %.*25 % now/);
  assert.match(plan.back, /25 %/);
  const cold = actions.setReads(ready({ synced: "no", reads_new: 0 }), 10);
  assert.deepEqual(cold.plan({ cold: true }).body, { reads_new: 10, cold: true });
  assert.equal(actions.setReads(ready({ synced: "no" }), 0).fields, undefined, "lowering asks for nobody's leave");
});

test("every control says something, how it is undone, and what it sends", () => {
  const made = [
    actions.setCompare(ready(), 10),
    ...["primary", "both"].map((v) => actions.setAck(ready(), v)),
    ...["follow", "journal", "replica", "off"].map((v) => actions.setSecondary(ready(), v)),
    ...["key", "random"].map((v) => actions.setSplit(ready(), v)),
    ...["nil", "primary"].map((v) => actions.setOnMiss(ready(), v)),
    ...["true", "false"].map((v) => actions.setCold(ready(), v)),
    actions.flip(ready(), "new", false),
    jobs.startBackfill(ready()),
    jobs.pauseBackfill(),
    jobs.resumeBackfill(),
    jobs.cancelBackfill(),
    jobs.startVerify(ready()),
    jobs.cancelVerify(),
    jobs.startRamp(ready()),
    jobs.pauseRamp(),
    jobs.resumeRamp(),
    jobs.abortRamp(),
    jobs.reload(),
    jobs.resync(ready()),
  ];
  for (const action of made) {
    const values = Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.value]));
    const plan = action.plan(values);
    assert.ok(plan.says.length && plan.says.every((line) => line && !line.includes("undefined")), action.title);
    assert.ok(plan.back, action.title);
    assert.match(plan.path, /^api\/v1\//);
    assert.ok(["POST", "PATCH", "DELETE"].includes(plan.method) && action.verb && action.title);
  }
});

test("a flip asks for what was chosen", () => {
  const values = { max_pause_ms: 200 };
  assert.deepEqual(actions.flip(ready(), "new", false).plan(values).body, { to: "new", max_pause_ms: 200 });
  assert.deepEqual(actions.flip(ready(), "new", true).plan(values).body, {
    to: "new",
    max_pause_ms: 200,
    dry_run: true,
  });
  assert.match(actions.flip(ready({ primary: "new" }), "old", false).title, /back/);
});

test("a ramp compares, since it needs that", () => {
  const values = { steps: "10,100", minutes: 0.5, compare: 40 };
  const plan = jobs.startRamp(ready({ compare: 0 })).plan(values);
  assert.deepEqual(plan.body, { steps: [10, 100], every_ms: 30_000, compare: 40 });
  assert.equal(plan.cli, "crossfade ramp start --steps 10,100 --every 30s --compare 40");
  const { fields } = jobs.startRamp(ready());
  assert.ok(!fields.some((field) => field.name === "compare"), "they are compared already");
});

test("steps of a ramp are percentages", () => {
  assert.deepEqual(jobs.parseSteps("1, 5,25"), [1, 5, 25]);
  for (const bad of ["", "1,,2", "0", "101", "a"]) assert.equal(jobs.parseSteps(bad), null, bad);
});
