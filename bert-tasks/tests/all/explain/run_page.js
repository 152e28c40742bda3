"use strict";
// Runs the script of a page with as much of a document as it asks for, and presses everything that can be pressed.
const fs = require("fs");
const html = fs.readFileSync(process.argv[2], "utf8");
const elements = new Map();
class Element {
  constructor(tag) {
    Object.assign(this, { tag, children: [], listeners: {}, attributes: {}, style: {}, tBodies: [], textContent: "" });
    this.classList = { toggle() {} };
  }
  setAttribute(name, value) {
    if (/NaN|undefined/.test(String(value))) throw new Error(`${this.tag} ${name} is ${value}`);
    this.attributes[name] = value;
    if (name === "id") elements.set(value, this);
  }
  append(...children) { this.children.push(...children); }
  replaceChildren(...children) { this.children = children; }
  addEventListener(kind, listener) { this.listeners[kind] = listener; }
  getBoundingClientRect() { return { left: 0, top: 0, width: 100, height: 100 }; }
  createTHead() { return (this.head ??= new Element("thead")); }
  createTBody() { const body = new Element("tbody"); this.tBodies.push(body); return body; }
  insertRow() { const row = new Element("tr"); this.append(row); return row; }
  insertCell() { const cell = new Element("td"); this.append(cell); return cell; }
  getContext() {
    return {
      createImageData: (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) }),
      putImageData() {},
      fillRect() {},
    };
  }
}
for (const [, attributes, text] of html.matchAll(/<(?:script|[a-z0-9]+)((?: [^>]*)?\sid="[^"]+"[^>]*)>([^<]*)/g)) {
  const id = /\sid="([^"]+)"/.exec(attributes)[1];
  const element = new Element(id);
  element.textContent = text;
  elements.set(id, element);
}
global.document = {
  getElementById: (id) => elements.get(id) ?? null,
  createElement: (tag) => new Element(tag),
  createElementNS: (_, tag) => new Element(tag),
  createDocumentFragment: () => new Element("fragment"),
  documentElement: new Element("html"),
};
global.getComputedStyle = () => ({ getPropertyValue: () => "1, 2, 3" });
global.matchMedia = () => ({ addEventListener() {} });
global.Option = class extends Element {};
const script = /<script>\n([\s\S]*?)<\/script>/.exec(html)[1];
const start = Date.now();
new Function(script)();
const press = (element) => {
  for (const [kind, listener] of Object.entries(element.listeners)) {
    const keys = kind === "keydown" ? ["Enter", "ArrowDown", "ArrowRight", "Tab"] : [undefined];
    for (const key of keys) listener({ key, preventDefault() {}, target: { value: "0" }, clientX: 50, clientY: 99 });
  }
  for (const child of element.children) if (child instanceof Element) press(child);
};
const drawn = (element) => 1 + element.children.reduce((sum, child) => sum + (child instanceof Element ? drawn(child) : 0), 0);
let all = 0;
for (const element of [...elements.values()]) {
  all += drawn(element);
  if (!process.argv.includes("--draw-only")) press(element);
}
if (all < 20) throw new Error(`the page drew ${all} elements`);
const said = ["cell", "head-title", "head-note", "detail-title", "detail-note"].map((id) => elements.get(id)?.textContent);
if (/NaN|undefined/.test(said.join())) {
  throw new Error("something is not a number");
}
console.log(`${all} elements, ${Date.now() - start} ms`);
