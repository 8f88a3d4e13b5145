// Every control as an action for the dialog (dialog.js): what it says before it does anything, how it is undone, and the
// request. Pure but for the download: each is made from the latest status.

import { otherSide } from "./advice.js";
import { percent } from "./figures.js";

const capital = (word) => word[0].toUpperCase() + word.slice(1);

const routing = (title, verb, body, cli, says, back, done, extra = {}) => ({
  title,
  verb,
  done: () => done,
  ...extra,
  plan: (values) => ({
    says,
    back,
    cli: typeof cli === "function" ? cli(values) : cli,
    method: "PATCH",
    path: "api/v1/routing",
    body: typeof body === "function" ? body(values) : body,
  }),
});

export function setReads(status, value) {
  const secondary = otherSide(status.primary);
  const says = [
    `New answers ${percent(value)} of the reads from now on; it answers ${percent(status.reads_new)} now. Writes are not touched.`,
  ];
  if (status.split === "key") says.push("It is always the same keys: raising the percentage only adds some.");
  if (status.primary === "old" && value > status.reads_new)
    says.push(`Reads of dirty keys, and those that ${secondary} answers too late, go to the primary all the same.`);
  const cold = [{ name: "cold", type: "checkbox", label: "although new is not synced (a cache that may start empty)" }];
  return routing(
    `Reads from new: ${percent(value)}`,
    `Set to ${percent(value)}`,
    (values) => (values.cold ? { reads_new: value, cold: true } : { reads_new: value }),
    (values) => `crossfade reads ${value}${values.cold ? " --cold" : ""}`,
    says,
    `set it to ${percent(status.reads_new)} again; it counts at once.`,
    `New answers ${percent(value)} of the reads now.`,
    status.synced === "yes" || value <= status.reads_new ? {} : { fields: cold },
  );
}

export function setCompare(status, value) {
  return routing(
    `Compare reads: ${percent(value)}`,
    `Set to ${percent(value)}`,
    { compare: value },
    `crossfade compare ${value}`,
    [
      `${percent(value)} of the reads are asked of both stores at one logical instant, and their answers are compared; ${percent(status.compare)} are now. Clients get the same answer as before, and don’t wait for the comparison. Both stores answer more reads.`,
    ],
    `set it to ${percent(status.compare)} again.`,
    `${percent(value)} of the reads are compared now.`,
  );
}

const ACK = {
  primary:
    "A write’s answer waits for the primary alone. Nothing that happens to the secondary can change or delay it.",
  both: "A write’s answer waits for both stores. If the secondary refuses it or is late, the client gets an error, although the primary has applied the write. Clients feel every slowness of the secondary.",
};
const SECONDARY = {
  follow:
    "The secondary gets every write that the primary accepts. If it missed some, it is not synced until everything has been copied, which replaces what it holds.",
  journal:
    "Nothing is sent to the secondary any more. Written keys are remembered, so that a snapshot of the primary can be loaded there.",
  replica:
    "The secondary is told to replicate from the primary (REPLICAOF). It must be empty. Clients wait for some milliseconds.",
  off: "Nothing is sent to the secondary, and nothing is remembered: it is not synced any more. Going back to follow copies everything.",
};
const SPLIT = {
  key: "Which store answers a read is chosen by its key: always the same keys are read from new.",
  random: "Which store answers a read is chosen anew for each read.",
};
const ON_MISS = {
  nil: "When new has no such key, the client gets nil.",
  primary:
    "When new has no such key, the primary is asked, its answer is given, and the key is copied. Reads may then be shifted although new is not synced.",
};

function choice(title, name, word, texts) {
  return (status, value) =>
    routing(
      `${title}: ${value}`,
      `Set to ${value}`,
      { [name]: value },
      `crossfade ${word} ${value}`,
      [texts[value], `Now it is ${status[name]}.`],
      `set it to ${status[name]} again.${name === "secondary" && status.secondary === "follow" && value !== "follow" ? " Everything is copied then, unless a snapshot or the replication has brought it." : ""}`,
      `${title}: ${value} now.`,
      { warn: value === "off" },
    );
}

export const setAck = choice("Acknowledged by", "ack", "ack", ACK);
export const setSecondary = choice("Secondary", "secondary", "secondary", SECONDARY);
export const setSplit = choice("Split", "split", "split", SPLIT);
export const setOnMiss = choice("On a miss", "on_miss", "on-miss", ON_MISS);

export function setCold(status, value) {
  const cold = value === "true";
  return routing(
    `New may start empty: ${cold ? "yes" : "no"}`,
    "Set it",
    { cold },
    cold ? `crossfade reads ${status.reads_new} --cold` : undefined,
    [
      cold
        ? "You say that new may lack what was there before, as a cache may: reads may be shifted, and roles swapped, although it is not synced. What new lacks is nil to those who read it there."
        : "New must be synced before more reads are shifted to it. Reads that are shifted already stay.",
    ],
    "say the other here.",
    `New may start empty: ${cold ? "yes" : "no"}.`,
    { warn: cold },
  );
}

export function flip(status, to, dryRun) {
  const from = status.primary;
  const back = to === "old" && from === "new";
  return {
    title: dryRun ? `Dry run: flip to ${to}` : back ? "Flip back to old" : `Flip to ${to}`,
    verb: dryRun ? "Try it" : `Flip to ${to}`,
    fields: [
      {
        name: "max_pause_ms",
        type: "number",
        label: "Clients are held for at most",
        value: 500,
        min: 1,
        max: 60000,
        hint: "ms",
      },
      { name: "cold", type: "checkbox", label: `although ${to} is not synced (a cache that may start empty)` },
    ].filter((field) => field.name !== "cold" || status.synced !== "yes"),
    plan: (values) => ({
      says: dryRun
        ? [
            `All but the swap: up to 5 s of waiting until no key is dirty and the lag is small, then clients are held for at most ${values.max_pause_ms} ms until everything has drained. Nothing changes.`,
          ]
        : [
            `${capital(to)} becomes the primary: writes go there first from now on, and ${from} follows it.`,
            `For up to 5 s traffic goes on until no key is dirty and the lag is small. Then clients are held for at most ${values.max_pause_ms} ms; they see no error. If that is not enough, nothing has changed.`,
            `Reads are not touched: new answers ${percent(status.reads_new)} of them before and after.`,
          ],
      back: dryRun
        ? ""
        : `flip to ${from}, by one button here. ${capital(from)} follows, so nothing that is written meanwhile is lost.`,
      cli: `crossfade flip ${to}${dryRun ? " --dry-run" : ""}${values.max_pause_ms === 500 ? "" : ` --max-pause ${values.max_pause_ms}`}${values.cold ? " --cold" : ""}`,
      method: "POST",
      path: "api/v1/flip",
      body: {
        to,
        max_pause_ms: values.max_pause_ms,
        ...(dryRun ? { dry_run: true } : {}),
        ...(values.cold ? { cold: true } : {}),
      },
    }),
    stays: (answer) => (dryRun ? [`It would flip: clients would have been held for ${answer.pause_ms} ms.`] : null),
    done: (answer) =>
      dryRun
        ? `Dry run: it would flip to ${to}.`
        : `Flipped: ${answer.primary} is primary now (clients were held for ${answer.pause_ms} ms).`,
  };
}

const job = (title, verb, method, path, body, cli, says, back, done, extra = {}) => ({
  title,
  verb,
  plan: () => ({ says: [says], back, cli, method, path, body }),
  done: () => done,
  ...extra,
});

export function startBackfill(status) {
  const from = status.primary;
  const to = otherSide(from);
  return {
    title: "Start a backfill",
    verb: "Start it",
    warn: true,
    fields: [
      {
        name: "rate",
        type: "number",
        label: "At most",
        value: "",
        hint: "keys per second; empty: what the configuration says",
      },
    ],
    plan: (values) => ({
      says: [
        `Every key of ${from} is copied to ${to}, in order with the writes, while clients go on. Keys that ${to} has and ${from} lacks are removed from ${to}.`,
      ],
      back: "cancel it; what was copied stays.",
      cli: `crossfade backfill start${values.rate ? ` --rate ${values.rate}` : ""}`,
      method: "POST",
      path: "api/v1/backfill",
      body: values.rate ? { keys_per_second: values.rate } : {},
    }),
    done: () => "The backfill has begun.",
  };
}

export const pauseBackfill = () =>
  job(
    "Pause the backfill",
    "Pause it",
    "PATCH",
    "api/v1/backfill",
    { paused: true },
    "crossfade backfill pause",
    "Nothing more is copied until it is resumed, also over a restart of the proxy. Writes follow as before.",
    "resume it.",
    "The backfill is paused.",
  );
export const resumeBackfill = () =>
  job(
    "Resume the backfill",
    "Resume it",
    "PATCH",
    "api/v1/backfill",
    { paused: false },
    "crossfade backfill resume",
    "It goes on where it stopped.",
    "pause it.",
    "The backfill goes on.",
  );
export const cancelBackfill = () =>
  job(
    "Cancel the backfill",
    "Cancel the backfill",
    "DELETE",
    "api/v1/backfill",
    undefined,
    "crossfade backfill cancel",
    "It ends, and the stores are not synced. What was copied stays.",
    "start another one, from the beginning.",
    "The backfill is cancelled.",
    { warn: true },
  );

export function startVerify(status) {
  const to = otherSide(status.primary);
  return {
    title: "Verify",
    verb: "Start it",
    fields: [
      { name: "repair", type: "checkbox", label: `repair: copy what differs from ${status.primary} to ${to}` },
      { name: "sample", type: "number", label: "Share of the keys", value: 100, min: 0.01, max: 100, hint: "%" },
    ],
    plan: (values) => ({
      says: [
        values.sample < 100
          ? `${percent(values.sample)} of the keys of both stores are compared, always the same ones.`
          : "Every key of both stores is compared, each at one logical instant, while clients go on.",
        values.repair
          ? `What differs is replaced on ${to} by what ${status.primary} has, and compared again.`
          : "It changes nothing.",
      ],
      back: values.repair ? "none: what was repaired stays as the primary has it." : "cancel it.",
      cli: `crossfade verify${values.repair ? " --repair" : ""}${values.sample < 100 ? ` --sample ${values.sample}` : ""}`,
      method: "POST",
      path: "api/v1/verify",
      body: { repair: values.repair, sample: values.sample },
    }),
    done: () => "The verification has begun.",
  };
}

export const cancelVerify = () =>
  job(
    "Cancel the verification",
    "Cancel the verification",
    "DELETE",
    "api/v1/verify",
    undefined,
    "crossfade verify cancel",
    "It ends without a result.",
    "start another one, from the beginning.",
    "The verification is cancelled.",
  );

// "1, 5,25" as numbers; null when it is something else.
export function parseSteps(text) {
  const steps = String(text)
    .split(",")
    .map((part) => (part.trim() === "" ? NaN : Number(part)));
  return steps.every((step) => step > 0 && step <= 100) ? steps : null;
}

export function startRamp(status) {
  return {
    title: "Start a ramp",
    verb: "Start it",
    fields: [
      { name: "steps", type: "text", label: "Steps", value: "1, 5, 25, 50, 100", hint: "% of the reads" },
      { name: "minutes", type: "number", label: "Each for", value: 10, min: 0.01, hint: "minutes" },
    ],
    plan: (values) => {
      const steps = parseSteps(values.steps);
      return {
        says: [
          steps
            ? `New answers ${steps.map((step) => percent(step)).join(", then ")} of the reads, each for ${values.minutes} minutes, as long as every guardrail holds. It begins at once; now it is ${percent(status.reads_new)}.`
            : "The steps must be percentages, with commas between them.",
          "When a guardrail trips, reads go back to 0 % by themselves. Without enough figures it waits.",
        ],
        back: "abort it: reads go back to 0 %.",
        cli: `crossfade ramp start --steps ${(steps ?? []).join(",")} --every ${values.minutes}m`,
        method: "POST",
        path: "api/v1/ramp",
        body: { steps: steps ?? [], every_ms: Math.round(values.minutes * 60_000) },
      };
    },
    done: () => "The ramp has begun.",
  };
}

export const pauseRamp = () =>
  job(
    "Pause the ramp",
    "Pause it",
    "PATCH",
    "api/v1/ramp",
    { paused: true },
    "crossfade ramp pause",
    "Reads stay at the present step until it is resumed. Guardrails are still watched.",
    "resume it.",
    "The ramp is paused.",
  );
export const resumeRamp = () =>
  job(
    "Resume the ramp",
    "Resume it",
    "PATCH",
    "api/v1/ramp",
    { paused: false },
    "crossfade ramp resume",
    "It goes on from the present step.",
    "pause it.",
    "The ramp goes on.",
  );
export const abortRamp = () =>
  job(
    "Abort the ramp",
    "Abort the ramp",
    "DELETE",
    "api/v1/ramp",
    undefined,
    "crossfade ramp abort",
    "The ramp ends, and reads from new go to 0 %, at once.",
    "start another one.",
    "The ramp is aborted: new answers no reads now.",
    { warn: true },
  );

export const reload = () =>
  job(
    "Reload the configuration",
    "Reload it",
    "POST",
    "api/v1/reload",
    {},
    "crossfade reload",
    "The configuration file is read again. If it has a mistake, nothing changes, and each mistake is shown. What was changed at runtime stays.",
    "put the file back and reload again.",
    "The configuration was read again.",
    {
      stays: (answer) => {
        const line = ({ key, from, to, reason }) =>
          `${key}: ${from} → ${to}${reason ? ` — not taken over: ${reason}` : ""}`;
        const lines = [...answer.changed.map(line), ...answer.kept.map(line)];
        return lines.length ? lines : ["Nothing in it has changed."];
      },
    },
  );

export const resync = (status) =>
  job(
    "Resync",
    "Resync",
    "POST",
    "api/v1/resync",
    {},
    "crossfade resync",
    `You say that ${status.primary}, as it is now, is right. Everything is copied from it to ${otherSide(status.primary)}, and what only ${otherSide(status.primary)} has is removed there. If ${status.primary} has lost data, don’t: the other store may be the last good copy.`,
    "none, once the copying has begun.",
    "Everything is being copied from the primary.",
    { warn: true },
  );

const EXTENSIONS = { html: "html", json: "json", markdown: "md" };

export function report(api, format) {
  const name = `crossfade-report.${EXTENSIONS[format]}`;
  return job(
    "Download the report",
    "Download",
    "GET",
    `api/v1/report?format=${format}`,
    undefined,
    `crossfade report --format ${format} --out ${name}`,
    `The report of the migration so far, with its verdict, is made and downloaded as ${name}. It changes nothing.`,
    "",
    `The report was downloaded as ${name}.`,
    {
      run: async (plan) => {
        await api.download(plan.path, name);
        return {};
      },
    },
  );
}
