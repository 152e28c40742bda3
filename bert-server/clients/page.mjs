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
  page.on("console", message => assert(message.type() !== "error" || /40[014]/.test(message.text()), message.text()));
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
await page.getByRole("tab", { name: "Polysemy" }).click();
await page.getByRole("button", { name: "Ask", exact: true }).click();
await answer(page);
// Four uses, each with each, and each marked in its sentence.
assert.equal(await page.getByRole("table").getByRole("cell").count(), 1 + 16);
assert.deepEqual(await page.getByRole("status").locator("mark").allInnerTexts(), ["bank1", "bank2", "bank3", "bank4"]);
const cosines = await page.getByRole("row").nth(1).getByRole("cell").allInnerTexts();
assert.equal(cosines[0], "1.00");
assert(Number(cosines[1]) > Number(cosines[2]), `the banks of a river and of a lake are alike: ${cosines}`);
await page.getByLabel("A word").fill("castle");
await page.keyboard.press("Enter");
await page.getByRole("status").getByText("none of the texts").waitFor();
await page.getByRole("button", { name: /^Example 1/ }).click();
await answer(page);
await shot(page);

await page.getByRole("tab", { name: "Attention" }).click();
await page.getByRole("button", { name: /^Example 1/ }).click();
await answer(page);
const links = () => page.getByRole("status").locator("svg line:visible").count();
const all = await links();
await page.getByRole("img", { name: /^it looks at / }).focus();
assert(await links() < all, "one token has fewer links than all");
await page.getByLabel("Head of layer").selectOption("2");
assert.notEqual(await links(), 0);
await shot(page);
await page.getByLabel("Layer, counted from 1").fill("99");
await page.keyboard.press("Enter");
await page.getByRole("status").getByText("no attention in a layer 99").waitFor();
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
for (const tab of ["Polysemy", "Attention"]) {
  await phone.getByRole("tab", { name: tab }).tap();
  await phone.getByRole("button", { name: /^Example 2/ }).tap();
  await answer(phone);
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert(!wide, `${tab} is wider than a phone`);
  await shot(phone);
}

// All paths, and one of them asked.
const docs = await (await browser.newContext({ viewport: { width: 900, height: 1000 } })).newPage();
docs.on("pageerror", error => assert.fail(`${error}`));
docs.on("request", request => assert(request.url().startsWith(url), `it asks elsewhere: ${request.url()}`));
await docs.goto(`${url}/docs`);
await docs.locator("summary", { hasText: "/v1/{task}" }).click();
await docs.locator("details[open]").getByRole("button", { name: "Send" }).click();
await docs.locator("details[open] pre").getByText("paris").waitFor();
await shot(docs);

await browser.close();
console.log("the pages work");
