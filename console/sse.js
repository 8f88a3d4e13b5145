// Server-sent events as they come from fetch(), in pieces of any size (EventSource can't send a token). By the HTML
// standard, section 9.2.6; `retry` is ignored. Pure.

export class EventParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
    this.lastId = "";
    this.clear();
  }

  clear() {
    this.event = "message";
    this.data = [];
  }

  feed(piece) {
    this.rest += piece;
    for (;;) {
      const end = /\r\n|\n|\r/.exec(this.rest);
      // A carriage return at the very end may be half of a line's end.
      if (!end || (end[0] === "\r" && end.index === this.rest.length - 1)) return;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      this.line(line);
    }
  }

  line(line) {
    if (line === "") {
      if (this.data.length) this.onEvent({ id: this.lastId, event: this.event, data: this.data.join("\n") });
      return this.clear();
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.event = value;
    if (name === "data") this.data.push(value);
    if (name === "id") this.lastId = value;
  }
}

// How long to wait before attempt number `attempt` (from 1): doubling, with some chance in it so that many pages don't
// come back in one moment.
export function backoffMs(attempt, chance = Math.random()) {
  const longest = Math.min(500 * 2 ** (attempt - 1), 10_000);
  return Math.round(longest * (0.75 + 0.25 * chance));
}
