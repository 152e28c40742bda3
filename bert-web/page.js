// The page: fetches a checkpoint folder, hands it to the program, and shows what that answers.

import init, { Filler, Folder, Processor } from "./pkg/bert_web.js";
import { fetchFolder } from "./fetch.js";

const at = (id) => document.getElementById(id);

let filler; // the loaded model
let onCpu = false; // whether it computes on the CPU, where nothing else happens meanwhile
let loading; // the AbortController of a load that is under way

at("model").addEventListener("submit", (event) => {
  event.preventDefault();
  if (loading) loading.abort();
  else load(at("address").value.trim());
});

at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  answer(at("text").value);
});

at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("question").requestSubmit();
});

const asked = new URLSearchParams(location.search).get("model");
at("address").value = asked ?? "model/";
if (asked) load(asked);

async function load(address) {
  loading = new AbortController();
  at("load").textContent = "Cancel";
  at("ask").disabled = true;
  at("answers").replaceChildren();
  say("");
  progress("Starting");
  at("loading").hidden = false;
  filler?.free();
  filler = undefined;
  const start = performance.now();
  let processor, folder;
  try {
    await init();
    processor = await Processor.open();
    onCpu = processor.noGpu !== undefined;
    folder = new Folder(address);
    await fetchFolder(folder, address, { progress, signal: loading.signal });
    at("load").disabled = true;
    progress("Loading the model");
    await painted();
    const given = folder;
    folder = undefined; // the program frees it
    filler = await Filler.load(processor, given);
    at("mask").textContent = filler.mask;
    at("ask").disabled = false;
    const why = processor.noGpu ? `, which is slower than a GPU: ${noGpu(processor.noGpu)}` : "";
    say(`Ready in ${seconds(start)}, on ${processor.name}${why}`);
    at("text").focus();
  } catch (error) {
    folder?.free();
    if (loading.signal.aborted) say("Cancelled");
    else fail(error);
  } finally {
    processor?.free(); // the model keeps hold of it
    loading = undefined;
    at("loading").hidden = true;
    at("load").textContent = "Load";
    at("load").disabled = false;
  }
}

/** Why there is no GPU, in words that help. */
function noGpu(reason) {
  if (!isSecureContext) return "WebGPU needs a page over https, or from localhost";
  if (!navigator.gpu) return "this browser has no WebGPU, or it is switched off";
  return reason;
}

async function answer(text) {
  at("ask").disabled = true;
  at("load").disabled = true; // which would free what computes
  say("Computing");
  if (onCpu) await painted();
  const start = performance.now();
  try {
    const { masks, truncated } = JSON.parse(await filler.fill(text));
    at("answers").replaceChildren(...masks.map(table));
    const cut = truncated ? "; the text is longer than the input of the model, so its end was cut" : "";
    say(`Answered in ${seconds(start)}${cut}`);
  } catch (error) {
    at("answers").replaceChildren();
    fail(error);
  } finally {
    at("ask").disabled = false;
    at("load").disabled = false;
    at("text").focus();
  }
}

/** The candidates for a mask, best first. */
function table({ candidates }, index) {
  const rows = candidates.map(({ token_str, score, sequence }) => {
    const percent = element("data", `${(100 * score).toFixed(1)} %`);
    percent.value = score;
    const meter = element("meter");
    meter.value = score;
    meter.ariaHidden = "true";
    const word = element("th", token_str);
    word.scope = "row";
    const cell = element("td", meter, percent);
    cell.className = "score";
    return element("tr", word, cell, element("td", sequence));
  });
  const heads = ["Word", "Probability", "Text"].map((title) => {
    const head = element("th", title);
    head.scope = "col";
    return head;
  });
  return element(
    "table",
    element("caption", `Mask ${index + 1}`),
    element("thead", element("tr", ...heads)),
    element("tbody", ...rows),
  );
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

/** Shows how far a load has come: `share` from 0 to 1, or nothing where that is not known. */
function progress(words, share) {
  at("file").textContent = words;
  if (share === undefined) at("progress").removeAttribute("value");
  else at("progress").value = share;
}

function say(words) {
  at("error").hidden = true;
  at("status").textContent = words;
}

function fail(error) {
  console.error(error);
  at("status").textContent = "";
  const broken = error instanceof WebAssembly.RuntimeError;
  at("error").textContent = broken ? `The program stopped (${error.message}); reload the page` : error.message;
  at("error").hidden = false;
}

const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** Waits until what was changed is on the screen. */
const painted = () => new Promise((resolve) => setTimeout(resolve, 50));
