// The console: what the proxy tells goes to the page (view.js, plots.js), what a person asks for goes through the dialog
// (dialog.js, with actions.js and jobs.js) to the proxy (api.js).

import * as actions from "./actions.js";
import { otherSide } from "./advice.js";
import { Api } from "./api.js";
import { Confirm } from "./dialog.js";
import { History, moment, percent, rates } from "./figures.js";
import * as jobs from "./jobs.js";
import { Plots } from "./plots.js";
import {
  makeStores,
  put,
  showChecks,
  showMismatches,
  showPlotFigures,
  showRamp,
  showStatus,
  showTimeline,
} from "./view.js";

const $ = (id) => document.getElementById(id);
const THEMES = ["system", "light", "dark"];
const CHECKS_MS = 2000;

let status = null; // the latest
let statusAt = 0;
let flipTold = null; // what GET /api/v1/flip answered last
let rampDetails = null;
let seenMismatched = -1;
let seenRamp = "";
let lostTimer = 0;

const history = new History();
makeStores();
const plots = new Plots();

const api = new Api({
  status: onStatus,
  event: (name) => name === "audit" && fetchTimeline(),
  gap: () => {
    seenMismatched = -1;
    fetchTimeline();
  },
  live: onLive,
  lost: onLost,
  token: askToken,
});
const confirm = new Confirm(api, (sentence) => {
  say(sentence);
  refresh();
});

function say(sentence) {
  put($("said"), sentence);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put($("said"), ""), 8000);
}

// ---- what comes ----

function onStatus(next) {
  const rate = rates(status, next);
  const before = status;
  status = next;
  statusAt = Date.now();
  if (!before) fillKnobs();
  document.body.classList.remove("waiting");
  history.add(statusAt, status, rate);
  showStatus(status, rate, LABELS);
  showPlotFigures(status, rate);
  plots.draw(history.points, statusAt);
  showFlip();
  showRamp(status.ramp, rampDetails);
  if (before && before.primary !== status.primary) say(`The primary is ${status.primary} now.`);
  if (before?.primary !== status.primary) fetchChecks();
  if (before && before.version !== status.version) say("The proxy has another version now: load this page again.");
  if (status.reads.mismatched !== seenMismatched) fetchMismatches();
  const ramp = JSON.stringify([status.ramp?.state, status.ramp?.step]);
  if (status.ramp && ramp !== seenRamp) fetchRamp(ramp);
}

// What a control would set is at first what is set.
function fillKnobs() {
  for (const name of ["reads_new", "compare", "ack", "secondary", "split", "on_miss", "cold"]) {
    $(`${name === "reads_new" ? "reads" : name}-value`).value = String(status[name]);
  }
}

// Asks for what belongs beside the status. What can't be had now comes with the next gap.
async function beside(path, show) {
  if ($("token").open) return;
  try {
    show(await api.call("GET", path));
  } catch {
    // the stream tells that the proxy can't be reached
  }
}

async function fetchMismatches() {
  seenMismatched = status.reads.mismatched;
  await beside("api/v1/mismatches?limit=50", showMismatches);
}

async function fetchRamp(key) {
  seenRamp = key;
  await beside("api/v1/ramp", (told) => {
    rampDetails = told;
    showRamp(told, told);
  });
}

const fetchTimeline = () => beside("api/v1/audit", showTimeline);

async function fetchChecks() {
  if (!document.hidden && status) {
    await beside("api/v1/flip", (told) => {
      flipTold = told;
      showFlip();
    });
  }
}

// After a flip the list is that of the flip that has been, until the proxy is asked again.
function showFlip() {
  const to = otherSide(status.primary);
  showChecks(to, flipTold?.to === to ? flipTold : null);
}
setInterval(fetchChecks, CHECKS_MS);

async function refresh() {
  try {
    onStatus(await api.call("GET", "api/v1/status"));
    await fetchChecks();
    if (status.ramp) await fetchRamp("");
  } catch {
    // the stream tells it
  }
}

// ---- the connection ----

function onLive() {
  $("link-state").dataset.state = "good";
  put($("link-state"), "live");
  if ($("lost").hidden) return;
  clearInterval(lostTimer);
  $("lost").hidden = true;
  put($("lost-text"), "");
  document.body.classList.remove("stale");
  history.gap(Date.now());
  say("Connected again.");
}

function onLost({ why, inMs }) {
  const nextAt = Date.now() + inMs;
  $("link-state").dataset.state = "bad";
  put($("link-state"), "connection lost");
  document.body.classList.add("stale");
  $("lost").hidden = false;
  put(
    $("lost-text"),
    `Connection lost: ${why}. ${status ? `The figures are those of ${moment(statusAt)}.` : ""} This says nothing ` +
      `about the application’s clients.`,
  );
  clearInterval(lostTimer);
  const tell = () => {
    const seconds = Math.ceil((nextAt - Date.now()) / 1000);
    put($("lost-when"), seconds > 0 ? `The next attempt is in ${seconds} s.` : "Trying again…");
  };
  tell();
  lostTimer = setInterval(tell, 500);
}

$("lost-retry").addEventListener("click", () => api.start());

// ---- the token ----

function askToken(wrong) {
  $("link-state").dataset.state = "bad";
  put($("link-state"), "token needed");
  if (wrong) {
    put($("token-refused"), "The proxy does not accept this token.");
    api.token = "";
  }
  if (!$("token").open) $("token").showModal();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.token = $("token-value").value.trim();
  if (!api.token) return put($("token-refused"), "Enter the token.");
  $("token-value").value = "";
  put($("token-refused"), "");
  $("token").close();
  $("forget-token").hidden = false;
  api.start();
});
$("token").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
$("forget-token").hidden = !api.token;
$("forget-token").addEventListener("click", () => {
  api.token = "";
  location.reload();
});

// ---- the controls ----

const LABELS = {
  resync: "Resync…",
  secondary: "Set the secondary to follow…",
  "backfill-start": "Start a backfill…",
  "verify-start": "Verify…",
  compare: "Compare 100 % of the reads…",
  reads: "Raise the reads…",
  "flip-dry": "Dry run…",
};

// The next of the usual steps above what is.
const nextReads = () => [1, 5, 25, 50, 100].find((step) => step > status.reads_new) ?? 100;

const ACTS = {
  resync: () => jobs.resync(status),
  secondary: () => actions.setSecondary(status, "follow"),
  compare: () => actions.setCompare(status, 100),
  reads: () => actions.setReads(status, nextReads()),
  flip: () => actions.flip(status, otherSide(status.primary), false),
  "flip-dry": () => actions.flip(status, otherSide(status.primary), true),
  "flip-back": () => actions.flip(status, "old", false),
  "backfill-start": () => jobs.startBackfill(status),
  "backfill-pause": jobs.pauseBackfill,
  "backfill-resume": jobs.resumeBackfill,
  "backfill-cancel": jobs.cancelBackfill,
  "verify-start": () => jobs.startVerify(status),
  "verify-cancel": jobs.cancelVerify,
  "ramp-start": () => jobs.startRamp(status),
  "ramp-pause": jobs.pauseRamp,
  "ramp-resume": jobs.resumeRamp,
  "ramp-abort": jobs.abortRamp,
  reload: jobs.reload,
  "report-get": () => jobs.report(api, $("report-format").value),
  "reads-set": () => shareAction("reads-value", actions.setReads),
  "compare-set": () => shareAction("compare-value", actions.setCompare),
  "ack-set": () => actions.setAck(status, $("ack-value").value),
  "secondary-set": () => actions.setSecondary(status, $("secondary-value").value),
  "split-set": () => actions.setSplit(status, $("split-value").value),
  "on_miss-set": () => actions.setOnMiss(status, $("on_miss-value").value),
  "cold-set": () => actions.setCold(status, $("cold-value").value),
};

function shareAction(id, make) {
  const value = $(id).valueAsNumber;
  if (value >= 0 && value <= 100) return make(status, value);
  say(`Between ${percent(0)} and ${percent(100)}, please.`);
  return null;
}

function perform(name) {
  if (!status || document.body.classList.contains("stale")) {
    return say("There is no connection to the proxy: nothing can be asked of it now.");
  }
  const action = ACTS[name]();
  if (action) confirm.open(action);
}

for (const name of Object.keys(ACTS)) {
  const button = $(name);
  if (!button || button.id === "secondary") continue;
  button.addEventListener("click", () => perform(name));
}
for (const button of document.querySelectorAll(".knob button")) {
  button.setAttribute("aria-label", `Set ${button.parentElement.querySelector("label").textContent}…`);
}
$("next-do").addEventListener("click", () => perform($("next-do").dataset.act));

// ---- the theme ----

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  put($("theme"), `Theme: ${theme}`);
  plots.recolour();
}

let theme = localStorage.getItem("crossfade-theme") ?? "system";
applyTheme(THEMES.includes(theme) ? theme : "system");
$("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("crossfade-theme", theme);
  applyTheme(theme);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.recolour());

api.start();
