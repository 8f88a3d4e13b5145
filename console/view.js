// A status, and what else the API tells, on the page. Text goes in as text, never as markup: key names are anybody's.

import { hintFor, nextStep, otherSide, sentence, wayBack } from "./advice.js";
import { at, bytes, count, duration, formats, micros, moment, ms, percent, perSecond, text } from "./figures.js";

const $ = (id) => document.getElementById(id);

// A percent sign stays on the line of its number.
export function put(element, value) {
  const text = value.replaceAll(" %", "\u00a0%");
  if (element.textContent !== text) element.textContent = text;
}

// A word with its colour; the word says it, the colour only helps.
function putState(element, word, state) {
  put(element, word);
  element.dataset.state = state;
}

function element(name, content, className) {
  const made = document.createElement(name);
  if (content instanceof Node) made.append(content);
  else made.textContent = content;
  if (className) made.className = className;
  return made;
}

// Rows are made anew only when they say something else: a selection in them survives.
function putRows(box, rows, make) {
  const key = JSON.stringify(rows);
  if (box.dataset.rows === key) return;
  box.dataset.rows = key;
  box.replaceChildren(...rows.map(make));
}

function pairs(box, entries) {
  putRows(box, entries, ([name, value]) => {
    const row = document.createElement("div");
    row.append(element("dt", name), element("dd", value));
    return row;
  });
}

export function makeStores() {
  for (const side of ["old", "new"]) {
    const card = $("store").content.firstElementChild.cloneNode(true);
    card.id = `store-${side}`;
    card.querySelector(".name").textContent = side;
    card.classList.add("live");
    $("stores").append(card);
  }
}

const STATES = { up: "good", connecting: "wait", loading: "wait", down: "bad" };

function showStore(status, side, rate) {
  const card = $(`store-${side}`);
  const find = (name) => card.querySelector(`.${name}`);
  const store = status.backends[side];
  const primary = status.primary === side;
  card.classList.toggle("primary", primary);
  putState(find("role"), primary ? "PRIMARY" : `secondary: ${status.secondary}`, primary ? "main" : "plain");
  put(find("who"), `${store.product ? `${store.product} ${store.version}` : "not identified yet"}, ${store.address}`);
  putState(find("up"), text(store.state), STATES[store.state] ?? "bad");
  const breaker =
    store.breaker && store.breaker.state !== "closed"
      ? `Left alone by the breaker (${store.breaker.state}): ${store.breaker.reason}`
      : "";
  const late =
    store.breaker && store.breaker.state === "closed" && store.breaker.reads === "open"
      ? `Reads are kept away: ${store.breaker.reads_reason}`
      : "";
  put(find("trouble"), store.error || breaker || late);
  put(find("ops"), perSecond(rate));
  put(find("p50"), micros(at(store, "latency_us.p50")));
  put(find("p99"), micros(at(store, "latency_us.p99")));
  put(find("reads"), count(status.reads[side]));
  put(find("owed"), count(store.replies_owed));
  put(
    find("clock"),
    Math.abs(store.clock_offset_ms ?? 0) < 1
      ? "as here"
      : `${ms(Math.abs(store.clock_offset_ms))} ${store.clock_offset_ms > 0 ? "ahead" : "behind"}`,
  );
}

function showAttention(status) {
  const lines = status.attention ?? [];
  putRows($("attention"), lines, (line) => {
    const item = element("li", element("span", line, "line"));
    const hint = hintFor(line);
    if (hint) item.append(element("span", `What to do: ${hint}`, "hint"));
    return item;
  });
  $("attention-none").hidden = lines.length > 0;
  $("attention-panel").classList.toggle("alarm", lines.length > 0);
}

function showSteps(status, labels) {
  const next = nextStep(status);
  put($("next-say"), next.say);
  $("next-do").hidden = !next.act;
  $("next-do").dataset.act = next.act ?? "";
  if (next.act) put($("next-do"), labels[next.act] ?? "Do it…");
  const back = wayBack(status);
  put($("back-say"), back.say);
  $("flip-back").hidden = !back.flip;
}

// told: as GET /api/v1/flip has it; null until the proxy has answered for a flip to `to`.
export function showChecks(to, told) {
  for (const box of [$("checks"), $("confirm-checks")]) {
    putRows(box, told?.checks ?? [], (check) => mark(check.ok, check.name.replaceAll("_", " "), check.ok ? check.found : check.reason));
  }
  put($("checks-note"), checksNote(to, told));
  $("flip").classList.toggle("main", told !== null && told.ready);
  put($("flip"), `Flip to ${to}…`);
}

function checksNote(to, told) {
  if (told === null) return `The proxy is asked what a flip to ${to} would find.`;
  return told.ready
    ? `A flip to ${to} may begin. It checks again while it drains.`
    : `A flip to ${to} would wait for the above, or be refused.`;
}

function mark(ok, name, reason) {
  const item = element("li", element("span", ok ? "ok" : "not yet", `state`));
  item.firstChild.dataset.state = ok ? "good" : "bad";
  item.append(` ${name}${reason ? `: ${reason}` : ""}`);
  return item;
}

const JOB_STATES = {
  idle: "plain",
  running: "main",
  copying: "main",
  holding: "wait",
  paused: "wait",
  done: "good",
  failed: "bad",
  cancelled: "wait",
  tripped: "bad",
  aborted: "wait",
};

function showJob(name, state, say, progress, buttons) {
  putState($(`${name}-state`), state, JOB_STATES[state] ?? "plain");
  put($(`${name}-say`), say);
  const bar = $(`${name}-progress`);
  if (bar) {
    bar.hidden = progress === null;
    bar.value = progress ?? 0;
  }
  for (const [button, shown] of Object.entries(buttons)) $(`${name}-${button}`).hidden = !shown;
}

const left = (seconds) => (seconds >= 0 ? `, ${duration(seconds * 1000)} left` : "");

function showBackfill({
  state,
  why,
  keys_done,
  keys_total,
  keys_failed,
  bytes: copied,
  percent: done,
  keys_per_second,
  seconds_left,
  phase,
}) {
  const busy = state === "running" || state === "paused";
  const parts = [];
  if (state !== "idle")
    parts.push(
      `${count(keys_done)} of ${count(keys_total)} keys${done === undefined ? "" : `, ${percent(done)}`}, ${bytes(copied)}`,
    );
  if (state === "running")
    parts.push(
      `${phase === "tidying" ? "looking for keys to remove, " : ""}${perSecond(keys_per_second)}${left(seconds_left)}`,
    );
  if (keys_failed > 0) parts.push(`${count(keys_failed)} keys could not be copied`);
  if (why && !(busy && why === "asked for")) parts.push(why);
  if (state === "idle" && !why) parts.push("nothing was asked for yet");
  showJob("backfill", state, parts.join("; "), busy ? (done ?? 0) : null, {
    start: !busy,
    pause: state === "running",
    resume: state === "paused",
    cancel: busy,
  });
}

const VERIFY_COUNTS = [
  ["equal", "Equal"],
  ["value", "Differ in value"],
  ["ttl", "Differ in time to live"],
  ["type", "Differ in type"],
  ["missing_on_new", "Missing on new"],
  ["only_on_new", "Only on new"],
  ["repaired", "Repaired"],
  ["not_comparable", "Not comparable"],
  ["undecided", "Undecided"],
];

function showVerify(verify) {
  const { state, why, waiting_for, progress, keys_checked, counts } = verify;
  const running = state === "running";
  const parts = [];
  parts.push(state === "idle" ? "nothing was asked for yet" : `${count(keys_checked)} keys checked`);
  if (running)
    parts.push(
      waiting_for ? `waiting for ${waiting_for}` : `${perSecond(progress.per_second)}${left(progress.seconds_left)}`,
    );
  if (verify.ended_ms > 0 && !running) parts.push(`ended ${moment(verify.ended_ms)}`);
  if (why) parts.push(why);
  showJob(
    "verify",
    state,
    parts.join("; "),
    running ? (progress.total ? (100 * progress.done) / progress.total : 0) : null,
    { start: !running, cancel: running },
  );
  pairs(
    $("verify-counts"),
    counts
      ? VERIFY_COUNTS.filter(([name]) => name === "equal" || counts[name] > 0).map(([name, label]) => [
          label,
          count(counts[name]),
        ])
      : [],
  );
}

export function showRamp(ramp, details) {
  if (!ramp) {
    showJob("ramp", "not there", "this proxy has no ramp", null, {
      start: true,
      pause: false,
      resume: false,
      abort: false,
    });
    $("ramp-start").disabled = true;
    return;
  }
  const { state, steps, step, reads_new, next_step_in_ms, reason, guardrails } = ramp;
  const busy = ["running", "holding", "paused"].includes(state);
  const parts = [];
  if (state === "idle") parts.push("nothing was asked for yet");
  if (busy) parts.push(`new answers ${percent(reads_new)}; step ${step} of ${steps.join(", ")} %`);
  if (state === "running" && next_step_in_ms > 0) parts.push(`next decision in ${duration(next_step_in_ms)}`);
  if (reason) parts.push(reason);
  showJob("ramp", text(state), parts.join("; "), null, {
    start: !busy,
    pause: state === "running" || state === "holding",
    resume: state === "paused",
    abort: busy,
  });
  $("ramp-start").disabled = false;
  putRows($("guardrails"), guardrails ?? [], guardrail);
  $("decisions-box").hidden = !details?.decisions?.length;
  putRows($("decisions"), (details?.decisions ?? []).slice(0, 20), (one) =>
    element("li", `${moment(one.at_ms)} ${one.decision}, ${percent(one.reads_new)}: ${one.reason}`),
  );
}

const GUARD = { ok: ["ok", "good"], tripped: ["tripped", "bad"], no_data: ["no data", "wait"] };

function guardrail({ name, value, limit, samples, state, text: told }) {
  const [word, colour] = GUARD[state] ?? [state, "plain"];
  const item = element("li", element("span", word, "state"));
  item.firstChild.dataset.state = colour;
  const figure = (number) =>
    typeof number === "number" ? number.toLocaleString("en-US", { maximumSignificantDigits: 4 }) : "–";
  item.append(` ${told || `${name}: ${figure(value)}, at most ${figure(limit)} (${count(samples)} samples)`}`);
  return item;
}

export function showStatus(status, rate, labels) {
  for (const target of document.querySelectorAll("[data-f]")) {
    put(target, (formats[target.dataset.as] ?? formats.text)(at(status, target.dataset.f)));
  }
  put($("sentence"), sentence(status));
  document.title = `${status.primary} is primary${status.attention?.length ? ` (${status.attention.length})` : ""} – Crossfade`;
  for (const side of ["old", "new"]) showStore(status, side, rate?.[side]);
  showAttention(status);
  showSteps(status, labels);
  $("replication").hidden = status.secondary !== "replica";
  $("everything").hidden = !status.dirty.overflowed;
  const causes = Object.entries(status.dirty.marked ?? {}).filter(([, value]) => value > 0);
  pairs(
    $("causes"),
    causes.length ? causes.map(([name, value]) => [name.replaceAll("_", " "), count(value)]) : [["none so far", "0"]],
  );
  showBackfill(status.backfill);
  showVerify(status.verify);
  put(
    $("config-file"),
    status.config?.file ? `${status.config.file}, read ${moment(status.config.loaded_at_ms)}` : "no file",
  );
  $("resync").hidden = !(status.attention ?? []).some((line) => line.includes("crossfade resync"));
  $("reload").disabled = !status.config?.file;
  $("reload").title = status.config?.file ? "" : "the proxy was started without --config";
}

export function showMismatches({ mismatched, kept, mismatches }) {
  $("mismatch-none").hidden = mismatched > 0;
  $("mismatch-scroll").hidden = mismatches.length === 0;
  putRows($("mismatches"), mismatches, (one) =>
    row([
      moment(one.at_ms),
      one.command,
      element("td", element("code", one.key), "key"),
      String(one.db),
      element("code", one.digests.old),
      element("code", one.digests.new),
      one.primary,
    ]),
  );
  put(
    $("mismatch-more"),
    mismatched > 0
      ? `${count(mismatched)} in all, ${count(kept)} kept, the latest ${count(mismatches.length)} shown. Each was ` +
          `seen twice, the second time at one logical instant.`
      : "",
  );
}

function row(cells) {
  const made = document.createElement("tr");
  for (const cell of cells) made.append(cell.tagName === "TD" ? cell : element("td", cell));
  return made;
}

// entries: as GET /api/v1/audit has them.
export function showTimeline({ entries }) {
  $("timeline-none").hidden = entries.length > 0;
  $("timeline-scroll").hidden = entries.length === 0;
  putRows($("timeline"), entries, (one) =>
    row([
      moment(one.at_ms),
      text(one.who),
      text(one.what),
      text(one.from),
      text(one.to),
      `${text(one.outcome)}${one.reason ? `: ${one.reason}` : ""}`,
    ]),
  );
}

export function showPlotFigures(status, rate) {
  for (const side of ["old", "new"]) {
    put($(`plot-ops-${side}`), perSecond(rate?.[side]));
    put($(`plot-latency-${side}`), micros(status.backends[side].latency_us?.p99));
  }
  put($("plot-lag-now"), ms(status.lag.ms));
  put($("plot-dirty-now"), count(status.dirty.keys));
}
