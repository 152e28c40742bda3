"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const { tokens, layers, small, size } = JSON.parse(byId("data").textContent);
  const count = tokens.length;
  // How many links of a head, and how many rows of the detail, are drawn.
  const LINKS = 500, ROWS = 16;

  const bytes = (id) => {
    const element = byId(id);
    if (!element) return null;
    const text = atob(element.textContent);
    const array = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) array[i] = text.charCodeAt(i);
    return array;
  };
  // Of the layer that was looked at last: pages of long texts are large.
  const kept = {};
  const ofLayer = (kind, layer) => {
    if (!kept[kind] || kept[kind].layer !== layer) kept[kind] = { layer, bytes: bytes(`${kind}-${layer}`) };
    return kept[kind].bytes;
  };
  const state = { layer: 0, head: 0, token: null, from: 0, to: 0 };
  const weights = () => ofLayer("weights", state.layer).subarray(state.head * count * count, (state.head + 1) * count * count);
  const weight = (byte) => (byte / 255) ** 2;
  const shown = (w) => (w < 0.0005 ? "0.000" : w.toFixed(3));
  const name = (token) => tokens[token][0] || "(empty)";
  const colour = () => getComputedStyle(document.documentElement).getPropertyValue("--first").split(",").map(Number);

  const paint = (canvas, width, height, byteAt) => {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const [red, green, blue] = colour();
    for (let i = 0; i < width * height; i++) {
      image.data[4 * i] = red;
      image.data[4 * i + 1] = green;
      image.data[4 * i + 2] = blue;
      image.data[4 * i + 3] = byteAt(i);
    }
    context.putImageData(image, 0, 0);
  };

  const element = (kind, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const buttons = [];
  const overview = () => {
    const grid = byId("overview"), pictures = bytes("pictures");
    const most = Math.max(...layers.map((layer) => layer.heads.length));
    grid.style.gridTemplateColumns = `auto repeat(${most}, 46px)`;
    grid.replaceChildren();
    buttons.length = 0;
    const label = (text) => {
      const span = document.createElement("span");
      span.textContent = text;
      grid.append(span);
    };
    label("");
    for (const head of layers[0].heads) label(head.head);
    let place = 0;
    layers.forEach((layer, l) => {
      label(`layer ${layer.layer}`);
      layer.heads.forEach((head, h) => {
        const start = place++ * small * small;
        const button = document.createElement("button");
        const canvas = document.createElement("canvas");
        paint(canvas, small, small, (i) => pictures[start + i]);
        button.type = "button";
        button.setAttribute("aria-label", `layer ${layer.layer}, head ${head.head}`);
        button.title = `layer ${layer.layer}, head ${head.head}`;
        button.append(canvas);
        button.addEventListener("click", () => choose(l, h));
        grid.append(button);
        buttons.push({ l, h, button });
      });
    });
  };

  // On a phone, both columns fit in its width.
  const narrow = document.documentElement.clientWidth < 640;
  const ROW = 20, LEFT = narrow ? 110 : 170, RIGHT = narrow ? 220 : 430, CHARS = narrow ? 12 : 20;
  const texts = [];
  const head = () => {
    const svg = byId("links"), width = RIGHT + LEFT, height = count * ROW + 8;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    // At its full size, whatever the width of the screen: a long one would become too small to read.
    svg.style.maxWidth = "none";
    svg.replaceChildren(element("g", { id: "lines" }));
    texts.length = 0;
    for (let i = 0; i < count; i++) {
      const kind = tokens[i][1] === null ? "token special" : tokens[i][1] === 1 ? "token pair" : "token";
      const y = i * ROW + 16, text = name(i).length > CHARS ? `${name(i).slice(0, CHARS)}…` : name(i);
      const left = element("text", { class: kind, x: LEFT - 8, y, "text-anchor": "end", tabindex: 0, role: "button" }, text);
      const toggle = () => {
        state.token = state.token === i ? null : i;
        lines();
        detail();
      };
      left.addEventListener("click", toggle);
      left.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          toggle();
        }
      });
      texts.push(left);
      svg.append(left, element("text", { class: kind, x: RIGHT + 8, y }, text));
    }
  };

  const lines = () => {
    const group = byId("lines"), map = weights();
    texts.forEach((text, i) => {
      text.classList.toggle("chosen", i === state.token);
      text.setAttribute("aria-pressed", i === state.token);
    });
    // The byte above which there are as many links as are drawn.
    const first = state.token === null ? 0 : state.token * count, last = state.token === null ? count * count : first + count;
    const counts = new Uint32Array(256);
    for (let i = first; i < last; i++) counts[map[i]]++;
    let least = 255, sum = counts[255];
    while (least > 12 && sum + counts[least - 1] <= LINKS) sum += counts[--least];
    const fragment = document.createDocumentFragment();
    let drawn = 0;
    for (let i = first; i < last && drawn < LINKS; i++) {
      if (map[i] < least) continue;
      drawn++;
      const from = Math.floor(i / count), to = i % count;
      fragment.append(element("line", {
        x1: LEFT, y1: from * ROW + 12, x2: RIGHT, y2: to * ROW + 12,
        stroke: `rgb(${colour()})`, "stroke-width": 2, "stroke-opacity": (map[i] / 255).toFixed(3), // the root, as everywhere
      }));
    }
    group.replaceChildren(fragment);
    const { layer } = layers[state.layer], number = layers[state.layer].heads[state.head].head;
    byId("head-title").textContent = `Layer ${layer}, head ${number}`;
    const whose = state.token === null ? "" : ` of “${name(state.token)}”`;
    byId("head-note").textContent = `Left looks at right. The ${drawn} strongest links${whose}, from ` +
      `${shown(weight(least))} on. Choose a token on the left to see its links alone.`;
  };

  const map = () => {
    const canvas = byId("map"), all = weights();
    paint(canvas, count, count, (i) => all[i]);
    canvas.style.aspectRatio = "1";
  };
  const cell = (from, to) => {
    state.from = Math.min(Math.max(from, 0), count - 1);
    state.to = Math.min(Math.max(to, 0), count - 1);
    const value = weight(weights()[state.from * count + state.to]);
    byId("cell").textContent = `${name(state.from)} (${state.from + 1}) looks at ${name(state.to)} (${state.to + 1}): ${shown(value)}`;
  };

  const detail = () => {
    const table = byId("detail"), all = weights();
    const words = tokens.findIndex((token) => token[1] !== null);
    const from = state.token === null ? Math.max(words, 0) : state.token;
    const scales = layers[state.layer].heads[state.head].scales;
    const order = [...Array(count).keys()].sort((a, b) => all[from * count + b] - all[from * count + a]).slice(0, ROWS);
    byId("detail-title").textContent = `What “${name(from)}” looks at most`;
    byId("detail-note").textContent = scales
      ? "A weight is the softmax of the score: the product of the query of the token that looks and the key of the one that " +
        "is looked at, over the root of their width. The strip shows the parts of that sum: blue ones add to it, orange ones take from it. Scores are rounded."
      : "The weights of one row of the map.";
    const header = table.createTHead();
    header.replaceChildren();
    const row = header.insertRow();
    for (const title of ["token", "weight", ...(scales ? ["score", "query times key"] : [])]) {
      const cell = document.createElement("th");
      cell.textContent = title;
      row.append(cell);
    }
    const body = table.tBodies[0] || table.createTBody();
    body.replaceChildren();
    const vectors = scales && new Int8Array(ofLayer("vectors", state.layer).buffer);
    const part = (which, token) => {
      const start = ((state.head * 2 + which) * count + token) * size;
      return vectors.subarray(start, start + size);
    };
    const products = order.map((to) => {
      if (!scales) return null;
      const query = part(0, from), key = part(1, to);
      return Array.from(query, (x, i) => (x * key[i] * scales[0] * scales[1]) / Math.sqrt(size));
    });
    const most = Math.max(1e-9, ...products.flat().map((x) => Math.abs(x)));
    const pair = ["--first", "--second"].map((key) => getComputedStyle(document.documentElement).getPropertyValue(key));
    order.forEach((to, i) => {
      const row = body.insertRow();
      row.insertCell().textContent = name(to);
      row.insertCell().textContent = shown(weight(all[from * count + to]));
      if (!scales) return;
      row.insertCell().textContent = products[i].reduce((sum, x) => sum + x, 0).toFixed(2);
      const canvas = document.createElement("canvas");
      canvas.className = "strip";
      canvas.width = size;
      canvas.height = 1;
      const context = canvas.getContext("2d");
      products[i].forEach((x, at) => {
        context.fillStyle = `rgba(${pair[x < 0 ? 1 : 0]}, ${(Math.abs(x) / most).toFixed(3)})`;
        context.fillRect(at, 0, 1, 1);
      });
      row.insertCell().append(canvas);
    });
  };

  const selects = () => {
    const fill = (id, values, chosen) => byId(id).replaceChildren(...values.map((value, i) => new Option(value, i, false, i === chosen)));
    fill("layer", layers.map((layer) => layer.layer), state.layer);
    fill("head", layers[state.layer].heads.map((head) => head.head), state.head);
  };
  const draw = () => {
    for (const { l, h, button } of buttons) button.setAttribute("aria-pressed", l === state.layer && h === state.head);
    selects();
    lines();
    map();
    detail();
  };
  function choose(layer, head) {
    state.layer = layer;
    state.head = head;
    draw();
  }
  byId("layer").addEventListener("change", (event) => choose(Number(event.target.value), state.head));
  byId("head").addEventListener("change", (event) => choose(state.layer, Number(event.target.value)));
  byId("map").addEventListener("pointermove", (event) => {
    const box = byId("map").getBoundingClientRect();
    cell(Math.floor(((event.clientY - box.top) / box.height) * count), Math.floor(((event.clientX - box.left) / box.width) * count));
  });
  byId("map").addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    cell(state.from + step[0], state.to + step[1]);
  });
  const all = () => {
    overview();
    head();
    draw();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  all();
})();
