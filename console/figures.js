// Figures as text, and counters as rates. Pure: no page, no clock. Numbers are written in one way everywhere, so that
// two people on the phone read the same.

const NONE = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);
const grouped = (value, digits = 0) => value.toLocaleString("en-US", { maximumFractionDigits: digits });

export const count = (value) => (known(value) ? grouped(value) : NONE);
export const percent = (value) => (known(value) ? `${grouped(value, 2)} %` : NONE);
export const perSecond = (value) => (known(value) ? `${grouped(value, value < 10 ? 1 : 0)}/s` : NONE);
export const yesno = (value) => (value === true ? "yes" : value === false ? "no" : NONE);
export const text = (value) => (value === undefined || value === null || value === "" ? NONE : String(value));

export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; ++unit) value /= 1024;
  return `${grouped(value, unit ? 1 : 0)} ${units[unit]}`;
}

export function micros(value) {
  if (!known(value)) return NONE;
  return value < 1000 ? `${grouped(value)} µs` : ms(value / 1000);
}

export function ms(value) {
  if (!known(value)) return NONE;
  if (value < 10_000) return `${grouped(value, value < 100 ? 2 : 0)} ms`;
  return `${grouped(value / 1000, 1)} s`;
}

// "3 d 4 h", "5 min 2 s": the two largest units.
export function duration(value) {
  if (!known(value)) return NONE;
  let rest = Math.round(value / 1000);
  const parts = [];
  for (const [name, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole > 0 || (name === "s" && parts.length === 0)) parts.push(`${whole} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

// Local time; the date only when it isn't today's.
export function moment(atMs, nowMs = Date.now()) {
  if (!known(atMs)) return NONE;
  const two = (number) => String(number).padStart(2, "0");
  const at = new Date(atMs);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  if (at.toDateString() === new Date(nowMs).toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

export const formats = { count, percent, perSecond, yesno, text, bytes, micros, ms, duration };

// The value at "a.b.c", or undefined.
export function at(object, path) {
  return path
    .split(".")
    .reduce((value, name) => (value === null || value === undefined ? undefined : value[name]), object);
}

// How many replies a store has given: all that the lane has had from it, or, of a proxy that doesn't tell, the commands
// that the counters know of.
export function replies(status, side) {
  const told = at(status, `backends.${side}.replies`);
  if (told) return told.reads + told.writes;
  const writes = status.primary === side ? status.writes.total : status.writes.followed;
  return status.reads[side] + writes;
}

// Growth per second between two statuses, by the proxy's own clock; null when it was started anew in between.
export function rates(before, now) {
  const seconds = before ? (now.uptime_ms - before.uptime_ms) / 1000 : 0;
  if (!(seconds > 0)) return null;
  const rate = (side) => {
    const grown = replies(now, side) - replies(before, side);
    const moved = before.primary !== now.primary && !at(now, `backends.${side}.replies`); // the counters are of roles
    return grown < 0 || moved ? null : grown / seconds;
  };
  return { old: rate("old"), new: rate("new") };
}

// What the plots show: so many points, the oldest goes. A gap (null) is drawn as one.
export class History {
  constructor(limit = 300) {
    this.limit = limit;
    this.points = [];
  }

  add(atMs, status, perSecondOf) {
    const latency = (side) => (at(status, `backends.${side}.state`) === "up" ? status.backends[side].latency_us : {});
    this.push({
      at: atMs,
      ops: perSecondOf ?? { old: null, new: null },
      p50: { old: latency("old").p50 ?? null, new: latency("new").p50 ?? null },
      p99: { old: latency("old").p99 ?? null, new: latency("new").p99 ?? null },
      lag: status.lag.ms,
      dirty: status.dirty.keys,
    });
  }

  // Nothing was heard for a while.
  gap(atMs) {
    const none = { old: null, new: null };
    if (this.points.length) this.push({ at: atMs, ops: none, p50: none, p99: none, lag: null, dirty: null });
  }

  push(point) {
    this.points.push(point);
    if (this.points.length > this.limit) this.points.splice(0, this.points.length - this.limit);
  }
}
