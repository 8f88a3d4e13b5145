// The jobs (backfill, verification, ramp) and the rest of what operators ask for, as actions for the dialog: as in
// actions.js.

import { otherSide } from "./advice.js";
import { percent } from "./figures.js";

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
        `Every key of ${from} is copied to ${to}, in order with the writes, while clients go on. Keys that ${to} ` +
          `has and ${from} lacks are removed from ${to}.`,
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
  const compare = { name: "compare", type: "number", label: "Compare", value: 100, max: 100, hint: "% of the reads" };
  return {
    title: "Start a ramp",
    verb: "Start it",
    fields: [
      { name: "steps", type: "text", label: "Steps", value: "1, 5, 25, 50, 100", hint: "% of the reads" },
      { name: "minutes", type: "number", label: "Each for", value: 10, min: 0.01, hint: "minutes" },
      ...(status.compare > 0 ? [] : [compare]),
    ],
    plan: (values) => {
      const steps = parseSteps(values.steps);
      const every = Number.isInteger(values.minutes) ? `${values.minutes}m` : `${Math.round(values.minutes * 60)}s`;
      const also = values.compare > 0 ? { compare: values.compare } : {};
      return {
        says: [
          steps
            ? `New answers ${steps.map((step) => percent(step)).join(", then ")} of the reads, each for ` +
              `${values.minutes} minutes, as long as every guardrail holds. It begins at once; now it is ` +
              `${percent(status.reads_new)}.`
            : "The steps must be percentages, with commas between them.",
          "When a guardrail trips, reads go back to 0 % by themselves. Without enough figures it waits.",
          ...(also.compare
            ? [`${percent(also.compare)} of the reads are compared from now on: a ramp needs that.`]
            : []),
        ],
        back: "abort it: reads go back to 0 %.",
        cli: `crossfade ramp start --steps ${(steps ?? []).join(",")} --every ${every}${also.compare ? ` --compare ${also.compare}` : ""}`,
        method: "POST",
        path: "api/v1/ramp",
        body: { steps: steps ?? [], every_ms: Math.round(values.minutes * 60_000), ...also },
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
    "The configuration file is read again. If it has a mistake, nothing changes, and each mistake is shown. What " +
      "was changed at runtime stays.",
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
    `You say that ${status.primary}, as it is now, is right. Everything is copied from it to ` +
      `${otherSide(status.primary)}, and what only ${otherSide(status.primary)} has is removed there. If ` +
      `${status.primary} has lost data, don’t: the other store may be the last good copy.`,
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
