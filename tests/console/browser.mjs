// A browser that tests/integration/browser.py holds by a string: one JSON command a line comes in, one JSON answer a
// line goes out, {"value": …} or {"error": …}. What the page says unasked (console, errors, violations of its policy,
// requests) is kept until `heard` asks for it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const TIMEOUT_MS = 20_000;
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});
let page = null;
let heard = nothing();

function nothing() {
  return { errors: [], console: [], violations: [], requests: [], fulfilled: [] };
}

const commands = {
  // A tab of its own, with nothing remembered.
  async open({ url, width = 1440, height = 1000, scheme = "light" }) {
    await page?.context().close();
    heard = nothing();
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: scheme,
      acceptDownloads: true,
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(TIMEOUT_MS);
    page = await context.newPage();
    page.on(
      "console",
      (message) =>
        ["error", "warning"].includes(message.type()) &&
        heard.console.push({ text: message.text(), url: message.location().url }),
    );
    page.on("pageerror", (error) => heard.errors.push(String(error.stack ?? error)));
    page.on("request", (request) => heard.requests.push(request.url()));
    await page.exposeFunction("tellViolation", (text) => heard.violations.push(text));
    await page.addInitScript(() =>
      document.addEventListener("securitypolicyviolation", (event) =>
        window.tellViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`),
      ),
    );
    const response = await page.goto(url);
    return response.headers();
  },
  scheme: ({ scheme }) => page.emulateMedia({ colorScheme: scheme }),
  size: ({ width, height }) => page.setViewportSize({ width, height }),
  // From now on this is the answer to that path, instead of the server's; the requests that it was given are kept.
  fulfil: ({ path, status = 200, body, type = "application/json" }) =>
    page.route(
      (url) => url.pathname === path,
      (route) => {
        heard.fulfilled.push({ path, method: route.request().method(), body: route.request().postData() });
        return route.fulfill({
          status,
          contentType: type,
          body: typeof body === "string" ? body : JSON.stringify(body),
        });
      },
    ),
  click: ({ selector }) => page.click(selector),
  fill: ({ selector, value }) => page.fill(selector, value),
  choose: ({ selector, value }) => page.selectOption(selector, value),
  press: ({ key }) => page.keyboard.press(key),
  text: async ({ selector }) => (await page.innerText(selector)).replaceAll("\u00a0", " "),
  evaluate: ({ code }) => page.evaluate(code),
  reload: () => page.reload().then(() => null),
  async download({ selector, path }) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    await download.saveAs(path);
    return download.suggestedFilename();
  },
  shot: ({ path, full = true }) => page.screenshot({ path, fullPage: full }).then(() => null),
  // What axe-core finds, of WCAG 2 and of best practice, in few words.
  async axe() {
    await page.evaluate(axeSource);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return violations.map(({ id, impact, help, nodes }) => ({
      id,
      impact,
      help,
      nodes: nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary}`),
    }));
  },
  heard() {
    const all = heard;
    heard = nothing();
    return all;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[command.do](command)) ?? null };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
