// Drives a browser through the page and compares what it answers with what the command answers on the CPU.
//
//     node test/browser.mjs MODEL_FOLDER BERT_COMMAND [SCREENSHOT_FOLDER]
//
// MODEL_FOLDER is a checkpoint that is not in parts. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

const [model, command, screenshots] = process.argv.slice(2);
assert(model && command, "usage: node browser.mjs MODEL_FOLDER BERT_COMMAND [SCREENSHOT_FOLDER]");

const TEXTS = [
  "The capital of France is [MASK].",
  "She [MASK] the door and [MASK] in.",
  "Ünder the [MASK] — 🙂 naïve café",
  `It was a long story. ${"The road went on and on. ".repeat(8)}At last they reached the [MASK].`,
];
const TOLERANCE = 1e-4;
const TIMEOUT = 300_000; // a GPU that is played by a program, on a machine that may be busy
const FLAGS = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const TYPES = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wasm": "application/wasm" };
const SITE = new URL("..", import.meta.url).pathname;
/** What is wrong with the folders beside the good one: a file's name to the status and body it gets. */
const LIES = {
  "no-weights": { "model.safetensors": [404, "Not Found"] },
  "no-tokenizer": { "tokenizer.json": [404, ""], "vocab.txt": [200, "<!doctype html>Home", "text/html"] },
  "no-config": { "config.json": [404, ""] },
  "bad-config": { "config.json": [200, "{"] },
  "bad-weights": { "model.safetensors": [200, "These are no weights."] },
  "broken-server": { "model.safetensors": [500, ""] },
};

/** Serves the page, the model under /models/good/, and the lies. */
const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
  const [, kind, name] = path.match(/^\/models\/([^/]+)\/([^/]+)$/) ?? [];
  const lie = LIES[kind]?.[name];
  if (lie) {
    const [status, body, type = "application/octet-stream"] = lie;
    response.writeHead(status, { "content-type": type }).end(body);
    return;
  }
  const file = kind ? join(model, name) : join(SITE, path === "/" ? "index.html" : path);
  const length = await stat(file).then((found) => (found.isFile() ? found.size : undefined), () => undefined);
  if (length === undefined) {
    response.writeHead(404).end();
    return;
  }
  const type = TYPES[extname(file)] ?? "application/octet-stream";
  response.writeHead(200, { "content-type": type, "content-length": length });
  const cut = kind === "cut-off" && name === "model.safetensors";
  let sent = 0;
  for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) {
    if (response.destroyed) return;
    if (cut && sent > length / 2) return response.destroy();
    response.write(piece);
    sent += piece.length;
    if (length > 4 << 20) await sleep(5); // so that there is a progress to be seen
  }
  response.end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const profile = await mkdtemp(join(tmpdir(), "bert-web-"));
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launchPersistentContext(profile, {
  executablePath,
  headless: true,
  chromiumSandbox: false,
  args: FLAGS,
  viewport: { width: 900, height: 900 },
});
try {
  const version = browser.browser()?.version() ?? "";
  console.log(`Chromium ${version} on SwiftShader, ${model}`);
  await answersAreThoseOfTheCommand();
  await whatIsMissingIsNamed();
  await aBrowserWithoutWebGpuUsesTheCpu();
  await aLostGpuIsTold();
  console.log("ok");
} finally {
  await browser.close();
  server.close();
  await rm(profile, { recursive: true, force: true });
}

/** A new page on a model, with what its progress bar shows collected from the start. */
async function open(kind, prepare) {
  const page = await browser.newPage();
  page.setDefaultTimeout(TIMEOUT);
  page.on("console", (message) => message.type() === "warning" && console.log(`  browser: ${message.text()}`));
  await page.addInitScript(() => {
    globalThis.shares = [];
    addEventListener("DOMContentLoaded", () => {
      const bar = document.querySelector("progress");
      const note = () => bar.hasAttribute("value") && globalThis.shares.push(bar.value);
      new MutationObserver(note).observe(bar, { attributeFilter: ["value"] });
    });
  });
  if (prepare) await page.addInitScript(prepare);
  await page.goto(`${origin}/?model=models/${kind}/`);
  return page;
}

async function shoot(page, name) {
  if (!screenshots) return;
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

/** What the status line says once it says something that matches. */
async function status(page, pattern) {
  const outcome = page.locator("#status").filter({ hasText: pattern }).or(page.locator("#error:visible"));
  await outcome.first().waitFor();
  const failed = await page.locator("#error:visible").allTextContents();
  assert.deepEqual(failed, [], "the page shows an error");
  return page.locator("#status").textContent();
}

async function answersAreThoseOfTheCommand() {
  const page = await open("good");
  await page.locator("#loading").waitFor();
  await page.waitForFunction(() => globalThis.shares.length > 8);
  await shoot(page, "loading");
  console.log(`  ${await status(page, /^Ready/)}`);

  const shares = await page.evaluate(() => globalThis.shares);
  const weights = shares.slice(shares.lastIndexOf(Math.min(...shares)));
  assert(weights.length > 4, `the bar moved ${weights.length} times`);
  assert(weights.every((share, i) => share <= 1 && (i === 0 || share >= weights[i - 1])), `the bar went back: ${weights}`);
  assert.equal(weights.at(-1), 1);
  console.log(`  the progress bar moved ${shares.length} times`);

  await answersAgree(page);

  await page.locator("#text").fill("Nothing to find.");
  await page.locator("#question button").click();
  const error = page.locator("#error:visible");
  await error.waitFor();
  assert.match(await error.textContent(), /the text has no \[MASK\]/);
  await page.close();
}

/** What a page that is ready answers is what the command answers. */
async function answersAgree(page) {
  const flags = ["fill-mask", "--model", model, "--device", "cpu", "--precision", "f32", "--jsonl"];
  const lines = execFileSync(command, [...flags, ...TEXTS], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const expected = lines.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(expected.length, TEXTS.length);
  let worst = 0;
  for (const [index, text] of TEXTS.entries()) {
    await page.locator("#text").fill(text);
    await page.locator("#question button").click();
    const said = await status(page, /^Answered/);
    const tables = page.locator("#answers table");
    assert.equal(await tables.count(), expected[index].masks.length, text);
    for (const [mask, { candidates }] of expected[index].masks.entries()) {
      const rows = tables.nth(mask).locator("tbody tr");
      const words = await rows.locator("th").allTextContents();
      const sequences = await rows.locator("td:last-child").allTextContents();
      const scores = await rows.locator("data").evaluateAll((all) => all.map((data) => Number(data.value)));
      assert.deepEqual(words, candidates.map((candidate) => candidate.token_str), text);
      assert.deepEqual(sequences, candidates.map((candidate) => candidate.sequence), text);
      scores.forEach((score, i) => {
        worst = Math.max(worst, Math.abs(score - candidates[i].score));
      });
    }
    console.log(`  ${said}: ${text.slice(0, 60)}`);
    await shoot(page, `answer-${index + 1}`);
    // The next status must be a new one.
    await page.locator("#status").evaluate((line) => line.replaceChildren());
  }
  console.log(`  largest difference of a score: ${worst.toExponential(1)}`);
  assert(worst <= TOLERANCE);
}

async function whatIsMissingIsNamed() {
  const cases = {
    "no-weights": /There is no model\.safetensors or .* or pytorch_model\.bin\.index\.json at http.*\/no-weights\//,
    "no-tokenizer": /\/no-tokenizer\/ holds no tokenizer/,
    "no-config": /There is no config\.json at http.*\/no-config\//,
    "bad-config": /config\.json is not a model configuration: EOF/,
    "bad-weights": /bad-weights\/model\.safetensors is not a usable safetensors file: the header should take/,
    "broken-server": /Cannot fetch http.*\/broken-server\/model\.safetensors: the server answers 500/,
    "cut-off": /The connection was lost while fetching \S*cut-off\/model\.safetensors/,
  };
  for (const [kind, pattern] of Object.entries(cases)) {
    const page = await open(kind);
    const error = page.locator("#error:visible");
    await error.waitFor();
    const text = await error.textContent();
    console.log(`  ${kind}: ${text}`);
    assert.match(text, pattern);
    assert(await page.locator("#text").isDisabled());
    if (kind === "no-weights") {
      await shoot(page, "missing-file");
      // The page goes on: another folder loads.
      await page.locator("#address").fill("http://");
      await page.locator("#load").click();
      await error.filter({ hasText: "http:// is not the address of a folder" }).waitFor();
      await page.locator("#address").fill("models/good");
      await page.locator("#load").click();
      await status(page, /^Ready/);
    }
    await page.close();
  }
}

async function aBrowserWithoutWebGpuUsesTheCpu() {
  const withoutGpu = () => Object.defineProperty(Navigator.prototype, "gpu", { get: () => undefined });
  const refusing = () => { GPU.prototype.requestAdapter = async () => null; };
  for (const [prepare, why] of [[withoutGpu, /no WebGPU/], [refusing, /no graphics adapter/]]) {
    const page = await open("good", prepare);
    const ready = await status(page, /^Ready/);
    console.log(`  ${ready}`);
    assert.match(ready, why);
    assert.match(ready, /cpu/);
    await answersAgree(page);
    await page.close();
  }
}

async function aLostGpuIsTold() {
  const page = await open("good", () => {
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      globalThis.device = await request.apply(this, args);
      return globalThis.device;
    };
  });
  await status(page, /^Ready/);
  await page.evaluate(() => globalThis.device.destroy());
  await page.locator("#question button").click();
  const error = page.locator("#error:visible");
  await error.waitFor();
  console.log(`  lost: ${await error.textContent()}`);
  assert.match(await error.textContent(), /the device was lost/);
  await page.locator("#load").click();
  await status(page, /^Ready/);
  await page.locator("#question button").click();
  await status(page, /^Answered/);
  await page.close();
}
