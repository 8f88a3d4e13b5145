// What to do next, how to go back, and what a line of attention asks for: decided from a status alone. Pure. The proxy
// decides again, and by more; this only saves a person the way to the README.

import { at, count, percent } from "./figures.js";

export const otherSide = (side) => (side === "old" ? "new" : "old");

const isUp = (status, side) => at(status, `backends.${side}.state`) === "up";
const answersAll = (status) => status.reads_new >= 100;
const following = (status) => status.secondary === "follow";

// {say, act?}: `act` names a control (actions.js) that does it.
export function nextStep(status) {
  const primary = status.primary;
  const secondary = otherSide(primary);
  const lines = status.attention ?? [];
  if (status.stopping) return { say: "The proxy is stopping. Nothing is to be done here." };
  if (!isUp(status, primary)) {
    return {
      say:
        `The primary (${primary}) can’t be reached: clients get errors. Bring it back, the proxy reconnects by ` +
        `itself. If it is gone for good: crossfade flip ${secondary} --force makes ${secondary} the primary, and ` +
        `names what is lost.`,
    };
  }
  if (lines.some((line) => line.includes("came back as another process"))) {
    return {
      say:
        "The primary was restarted, and may have lost data. If it has its data, resync; if not, crossfade flip " +
        "--force on the command line makes the secondary the primary.",
      act: "resync",
    };
  }
  if (!isUp(status, secondary)) {
    return {
      say: `Bring ${secondary} back. No client is harmed meanwhile: what is written becomes dirty, and is copied then.`,
    };
  }
  if (!following(status)) {
    return {
      say:
        `The secondary is set to ${status.secondary}: it does not get every write. Set it to follow when what ` +
        `was there before has been brought over.`,
      act: "secondary",
    };
  }
  if (status.synced === "copying" || status.dirty.overflowed) return { say: "Wait: everything is being copied." };
  const jobs = running(status);
  if (jobs) return { say: jobs };
  if (status.synced !== "yes" && !status.cold) {
    return {
      say: `Copy what was in ${primary} before the proxy came. The way back: cancel it; what was copied stays.`,
      act: "backfill-start",
    };
  }
  return afterSync(status, primary, secondary);
}

function running(status) {
  if (at(status, "backfill.state") === "running") return "Wait for the backfill.";
  if (at(status, "backfill.state") === "paused") return "The backfill is paused: resume it, or cancel it.";
  if (at(status, "verify.state") === "running") return "Wait for the verification.";
  if (["running", "holding"].includes(at(status, "ramp.state")))
    return "The ramp raises the reads by itself. Wait, or pause it.";
  if (at(status, "ramp.state") === "paused") return "The ramp is paused: resume it, or abort it.";
  if (at(status, "ramp.state") === "tripped" && status.reads_new === 0)
    return "The ramp tripped, and old answers every read again. Find out why, then start another one.";
  return "";
}

function afterSync(status, primary, secondary) {
  const verify = status.verify ?? {};
  if (verify.differing > (at(verify, "counts.repaired") ?? 0)) {
    return {
      say:
        `The last verification found ${count(verify.differing)} keys that differ. Find out who writes past the ` +
        `proxy, then verify with repair.`,
      act: "verify-start",
    };
  }
  if (status.reads.mismatched > 0 && !answersAll(status)) {
    return {
      say: `${count(status.reads.mismatched)} compared read${status.reads.mismatched === 1 ? "" : "s"} differed. Explain each one (below) before you go on.`,
    };
  }
  if (verify.state !== "done")
    return { say: "Verify: compare every key of both stores. It changes nothing.", act: "verify-start" };
  if (status.reads.compared === 0 && status.compare === 0) {
    return { say: "Ask both stores for every read, and compare. Clients wait for neither.", act: "compare" };
  }
  if (!answersAll(status)) {
    return {
      say:
        `New answers ${percent(status.reads_new)} of the reads. Raise it when the comparison has seen the ` +
        `application’s usual reads.`,
      act: "reads",
    };
  }
  if (primary === "old") return { say: "New answers every read. Try a dry run, then flip.", act: "flip-dry" };
  return {
    say: `New is the primary, and ${secondary} follows. Keep it so for as long as you want to be able to go back.`,
  };
}

// What undoes the present state, and whether the flip back is to be offered.
export function wayBack(status) {
  const reads = status.reads_new > 0 ? ` Then reads to 0 %, for new answers ${percent(status.reads_new)} of them.` : "";
  if (status.primary === "new")
    return {
      flip: true,
      say: `Flip back to old: nothing that was written meanwhile is lost, old has followed.${reads}`,
    };
  if (status.reads_new > 0) return { flip: false, say: "Reads to 0 %: old answers everything again, at once." };
  return {
    flip: false,
    say: "Old is the primary and answers every read: point the application at old, and you are back.",
  };
}

const HINTS = [
  [/^not synced \(no\)/, "Start a backfill, unless the line says that everything is copied again by itself."],
  [/^not synced \(copying\)/, "Nothing: it ends by itself."],
  [
    /^the secondary \(.*\) is (down|loading|connecting)/,
    "No client is harmed. Bring it back when you can; what was written meanwhile is copied then.",
  ],
  [
    /^the primary \(.*\) is (down|loading|connecting)/,
    "Bring it back; the proxy reconnects by itself. If it is gone for good: crossfade flip --force.",
  ],
  [
    /came back as another process/,
    "If it has its data: Resync. If it is empty or too old: crossfade flip --force makes the other store the primary.",
  ],
  [/^everything is dirty/, "Nothing: a sweep copies everything and begins by itself."],
  [/left alone by the breaker/, "Mend what the line names. The secondary is probed, and let back by itself."],
  [/^reads are kept away/, "Find out why it answers late. Writes follow as before."],
  [
    /does not keep up: its queue overflowed/,
    "Nothing at once. If it returns: the secondary, or the way to it, is too slow.",
  ],
  [/^the primary does not keep up/, "Look at the primary: clients wait as they would if they were connected to it."],
  [/^limits\.memory is reached/, "Nothing at once. If it returns: limits.memory.held in the status says who holds it."],
  [/is a replica of another server/, "REPLICAOF NO ONE on that store."],
  [/^new is primary, but reads_new is/, "Set reads from new to 100 %, if new is to answer them as well."],
  [/^cold: /, "If new should not lack it: start a backfill."],
  [/^the ramp tripped/, "Find out why (see its guardrails and the mismatches), then start another one."],
  [/^the ramp holds/, "More reads, or more of them compared; or wait."],
  [/^the last verification did not finish/, "Start it again."],
  [/the state directory has no room/, "Make room on the disk of the state directory, or raise limits.journal."],
];

// What to do about a line of the status's attention; empty when the line says it itself.
export function hintFor(line) {
  const found = HINTS.find(([pattern]) => pattern.test(line));
  return found ? found[1] : "";
}

// One sentence for the top of the page.
export function sentence(status) {
  const secondary = otherSide(status.primary);
  const synced = { yes: "synced", no: "NOT synced", copying: "being copied" }[status.synced] ?? status.synced;
  const does = {
    follow: `${secondary} follows, ${synced}`,
    journal: `${secondary} gets nothing, written keys are remembered`,
    replica: `${secondary} is its replica`,
    off: `${secondary} is off`,
  };
  return (
    `${status.primary} is primary; ${does[status.secondary] ?? status.secondary}; new answers ` +
    `${percent(status.reads_new)} of reads, ${percent(status.compare)} are compared.`
  );
}
