// The proxy's API as the page uses it: requests with the token, and the stream of events, which is begun again, with
// growing pauses, whenever it ends. The token is kept for this tab (sessionStorage), never longer.

import { EventParser, backoffMs } from "./sse.js";

const TOKEN = "crossfade-token";
const SILENCE_MS = 5000; // the status comes once a second
const HIDDEN_MS = 30_000; // a page that nobody looks at gives its connection back: browsers have six for a host
const POLL_MS = 2000; // where there is no stream to be had

export class ApiError extends Error {
  constructor(status, body) {
    super((body && (body.reason || body.error)) || `the proxy answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

export class Api {
  // on: {status(json), event(name, json), gap(), live(), lost({why, inMs}), token(wrong)}
  constructor(on) {
    this.on = on;
    this.attempt = 0;
    this.timer = 0;
    this.stop = null;
    this.lastId = null;
    document.addEventListener("visibilitychange", () => this.onVisibility());
  }

  get token() {
    return sessionStorage.getItem(TOKEN) ?? "";
  }

  set token(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
  }

  async fetch(method, path, body, signal) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return fetch(path, {
      method,
      headers,
      signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  // The JSON of a good answer. ApiError: it was refused; TypeError: nobody answered.
  async call(method, path, body) {
    const response = await this.fetch(method, path, body);
    const answer = await response.json().catch(() => null);
    if (response.status === 401) this.on.token(this.token !== "");
    if (!response.ok) throw new ApiError(response.status, answer);
    return answer;
  }

  async download(path, name) {
    const response = await this.fetch("GET", path);
    if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  // Begins, or begins again at once.
  start() {
    clearTimeout(this.timer);
    this.stop?.abort();
    this.run(new AbortController());
  }

  async run(stop) {
    this.stop = stop;
    let why = "the proxy has ended the connection";
    try {
      await this.listen(stop);
    } catch (error) {
      why = error instanceof ApiError ? error.message : "the proxy can’t be reached";
      if (stop.silent) why = "the proxy has said nothing for some seconds";
      if (error instanceof ApiError && error.status === 401) return this.on.token(this.token !== "");
    }
    if (this.stop !== stop) return; // somebody has begun again
    this.attempt += 1;
    const inMs = backoffMs(this.attempt);
    this.on.lost({ why, inMs });
    this.timer = setTimeout(() => this.start(), inMs);
  }

  async listen(stop) {
    const response = await this.withWatchdog(stop, () => this.fetch("GET", "api/v1/events", undefined, stop.signal));
    if (response.status === 503) return this.poll(stop);
    if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
    const parser = new EventParser((event) => this.take(event));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    this.lastId = null;
    for (;;) {
      const { done, value } = await this.withWatchdog(stop, () => reader.read());
      if (done) return;
      parser.feed(value);
    }
  }

  take({ id, event, data }) {
    const number = Number(id);
    if (this.lastId !== null && number !== this.lastId + 1) this.on.gap();
    if (this.lastId === null) this.on.gap(); // what happened before we listened
    this.lastId = number;
    this.good();
    if (event === "status") this.on.status(JSON.parse(data));
    else this.on.event(event, JSON.parse(data));
  }

  good() {
    this.attempt = 0;
    this.on.live();
  }

  async poll(stop) {
    this.on.gap();
    while (this.stop === stop) {
      const response = await this.withWatchdog(stop, () => this.fetch("GET", "api/v1/status", undefined, stop.signal));
      if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => null));
      const status = await response.json();
      this.good();
      this.on.status(status);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      this.on.gap();
    }
  }

  // What takes too long is given up.
  async withWatchdog(stop, work) {
    const timer = setTimeout(() => {
      stop.silent = true;
      stop.abort();
    }, SILENCE_MS);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }

  onVisibility() {
    clearTimeout(this.hiding);
    if (document.hidden) {
      this.hiding = setTimeout(() => {
        clearTimeout(this.timer);
        const stop = this.stop;
        this.stop = null;
        stop?.abort();
      }, HIDDEN_MS);
    } else if (this.stop === null) {
      this.start();
    }
  }
}
