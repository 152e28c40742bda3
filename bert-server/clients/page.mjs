// Drives a browser through the page of a running server: types, clicks, uses the keyboard, and looks.
//
//     bert serve --port 8080 &
//     npm install --no-save playwright-core
//     node bert-server/clients/page.mjs http://127.0.0.1:8080 [SCREENSHOT_FOLDER]
//
// Takes the built-in models. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url = "http://127.0.0.1:8080", screenshots] = process.argv.slice(2);
if (screenshots) await mkdir(screenshots, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
let pages = 0;

async function open(options) {
  const page = await (await browser.newContext(options)).newPage();
  page.on("pageerror", error => assert.fail(`${error}`));
  page.on("console", message => assert(message.type() !== "error" || /40[14]/.test(message.text()), message.text()));
  page.on("request", request => assert(request.url().startsWith(url), `it asks elsewhere: ${request.url()}`));
  await page.goto(url);
  await page.getByText("Answered by english-mlm").waitFor();
  return page;
}

async function shot(page) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `page-${pages++}.png`), fullPage: true });
}

async function answer(page) {
  const answer = page.getByRole("status");
  await answer.getByText(/ ms$/).waitFor();
  return answer.innerText();
}

const page = await open({ viewport: { width: 900, height: 1000 } });
await page.getByLabel("A text with [MASK]").fill("Paris is the [MASK] of France.");
await page.getByRole("button", { name: "Ask", exact: true }).click();
assert.equal((await answer(page)).match(/0\.\d{4}/g).length, 8);
assert((await page.getByLabel("Program", { exact: true }).innerText()).includes("curl 'http"));
for (const [language, part] of [["python", "urllib.request"], ["rust", "AnyTask::load"]]) {
  await page.getByLabel("Language").selectOption(language);
  assert((await page.getByLabel("Program", { exact: true }).innerText()).includes(part));
}
await shot(page);

// The keyboard alone.
await page.getByRole("tab", { name: "Fill mask" }).focus();
await page.keyboard.press("ArrowRight");
assert.equal(await page.locator("[role=tab][aria-selected=true]").innerText(), "Entities");
await page.getByLabel("A text", { exact: true }).fill("😀 Barack Obama <b>was</b> born in Hawaii.");
await page.keyboard.press("Control+Enter");
await answer(page);
const marks = await page.getByRole("status").locator("mark").allInnerTexts();
assert(marks.some(mark => /Hawaii\s*LOC/.test(mark)) && marks.some(mark => mark.includes("Barack Obama")), `${marks}`);
assert((await page.getByRole("status").innerText()).includes("<b>was</b>"), "a text is not markup");
await shot(page);

await page.getByRole("tab", { name: "Sentiment" }).click();
await page.getByRole("button", { name: /^Example 1/ }).click();
assert.match(await answer(page), /positive[\s\S]*0\.99/);
await page.getByRole("tab", { name: "Similarity" }).click();
await page.getByRole("button", { name: "Ask", exact: true }).click();
assert.match(await answer(page), /cosine/);
await page.getByRole("tab", { name: "Answer" }).click();
await page.getByText("No model here does this task.").waitFor();
await page.getByRole("button", { name: "Ask", exact: true }).click();
await page.getByRole("status").getByText("no model here does answer").waitFor();

const phone = await open({ viewport: { width: 360, height: 740 }, colorScheme: "dark", isMobile: true, hasTouch: true });
await phone.getByRole("button", { name: /^Example 2/ }).tap();
await answer(phone);
const wide = await phone.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
assert(!wide, "it is wider than a phone");
await shot(phone);

await browser.close();
console.log("the page works");
