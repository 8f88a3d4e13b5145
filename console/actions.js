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
    `New answers ${percent(value)} of the reads from now on; it answers ${percent(status.reads_new)} now. Writes ` +
      `are not touched.`,
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
      `${percent(value)} of the reads are asked of both stores at one logical instant, and their answers are ` +
        `compared; ${percent(status.compare)} are now. Clients get the same answer as before, and don’t wait for ` +
        `the comparison. Both stores answer more reads.`,
    ],
    `set it to ${percent(status.compare)} again.`,
    `${percent(value)} of the reads are compared now.`,
  );
}

const ACK = {
  primary:
    "A write’s answer waits for the primary alone. Nothing that happens to the secondary can change or delay it.",
  both:
    "A write’s answer waits for both stores. If the secondary refuses it or is late, the client gets an " +
    "error, although the primary has applied the write. Clients feel every slowness of the secondary.",
};
const SECONDARY = {
  follow:
    "The secondary gets every write that the primary accepts. If it missed some, it is not synced until " +
    "everything has been copied, which replaces what it holds.",
  journal:
    "Nothing is sent to the secondary any more. Written keys are remembered, so that a snapshot of the primary " +
    "can be loaded there.",
  replica:
    "The secondary is told to replicate from the primary (REPLICAOF). It must be empty. Clients wait for some " +
    "milliseconds.",
  off:
    "Nothing is sent to the secondary, and nothing is remembered: it is not synced any more. Going back to " +
    "follow copies everything.",
};
const SPLIT = {
  key: "Which store answers a read is chosen by its key: always the same keys are read from new.",
  random: "Which store answers a read is chosen anew for each read.",
};
const ON_MISS = {
  nil: "When new has no such key, the client gets nil.",
  primary:
    "When new has no such key, the primary is asked, its answer is given, and the key is copied. Reads may then " +
    "be shifted although new is not synced.",
};

function choice(title, name, word, texts) {
  return (status, value) =>
    routing(
      `${title}: ${value}`,
      `Set to ${value}`,
      { [name]: value },
      `crossfade ${word} ${value}`,
      [texts[value], `Now it is ${status[name]}.`],
      `set it to ${status[name]} ` +
        `again.${name === "secondary" && status.secondary === "follow" && value !== "follow" ? " Everything is copied then, unless a snapshot or the replication has brought it." : ""}`,
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
        ? "You say that new may lack what was there before, as a cache may: reads may be shifted, and roles " +
          "swapped, although it is not synced. What new lacks is nil to those who read it there."
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
    checks: true,
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
            `All but the swap: up to 5 s of waiting until no key is dirty and the lag is small, then clients are ` +
              `held for at most ${values.max_pause_ms} ms until everything has drained. Nothing changes.`,
          ]
        : [
            `${capital(to)} becomes the primary: writes go there first from now on, and ${from} follows it.`,
            `For up to 5 s traffic goes on until no key is dirty and the lag is small. Then clients are held for ` +
              `at most ${values.max_pause_ms} ms; they see no error. If that is not enough, nothing has changed.`,
            `Reads are not touched: new answers ${percent(status.reads_new)} of them before and after.`,
          ],
      back: dryRun
        ? ""
        : `flip to ${from}, by one button here. ${capital(from)} follows, so nothing that is written meanwhile is ` +
          `lost.`,
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
