// A tiny runner for cases that speak to one port: a server's or the proxy's, they can't tell.
//
// `node FILE.mjs PORT [PART]` runs every case of the file whose name contains PART, prints `ok NAME` or `FAILED NAME` with
// what went wrong, and exits with 1 when one has failed. cases.py is the same for Python.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

export const PATIENCE = 20_000; // milliseconds for anything to become true
export const port = Number(process.argv[2]);
const part = process.argv[3] ?? '';
const cases = [];

export { assert, sleep };
export const equal = (got, wanted) => assert.deepEqual(got, wanted);

export function test(name, act) {
  cases.push({ name, act });
}

// Polls until the condition holds, and returns its value.
export async function eventually(condition, what) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `not within ${PATIENCE} ms: ${what}`);
    await sleep(10);
  }
}

// The promise fails with an error of this name whose message contains the text.
export async function fails(promise, text, name) {
  let answer;
  try {
    answer = await promise;
  } catch (error) {
    assert.ok(String(error.message).includes(text), `wanted "${text}", got "${error.message}"`);
    if (name) assert.equal(error.constructor.name, name);
    return error;
  }
  assert.fail(`wanted the error "${text}", got the answer ${JSON.stringify(answer)}`);
}

async function within(milliseconds, act) {
  const abort = new AbortController();
  const late = sleep(milliseconds, null, { signal: abort.signal }).then(
    () => assert.fail(`not over within ${milliseconds} ms`), () => {});
  try {
    await Promise.race([act(), late]);
  } finally {
    abort.abort();
  }
}

function brief(error) {
  return String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 400);
}

export async function run() {
  if (!port) {
    console.error(`usage: node ${process.argv[1]} PORT [PART OF A NAME]`);
    process.exit(2);
  }
  let failed = 0;
  let current = '';
  process.on('unhandledRejection', (error) => {
    failed += 1;
    console.log(`FAILED ${current}: nobody looked at ${brief(error)}`);
  });
  for (const { name, act } of cases.filter((each) => each.name.includes(part))) {
    current = name;
    try {
      await within(2 * PATIENCE, act);
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${brief(error)}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
