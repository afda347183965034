// Draws the edges of Netron's graph in the colour of what quantization does to their tensors.

import { follow } from "./drawing.js";

const PREFIX = "edge-";
const COLOURS = { ok: "#2f9e5b", warning: "#d9920a", error: "#d4503e" };

function mark(drawing, looks) {
  const marked = new Set();
  for (const edge of drawing.querySelectorAll(`path.edge-path[id^="${PREFIX}"]`)) {
    const name = edge.id.slice(PREFIX.length);
    if (!Object.hasOwn(looks, name)) continue;
    edge.dataset.damage = looks[name];
    edge.style.stroke = COLOURS[looks[name]];
    edge.style.strokeWidth = "2.5px";
    marked.add(name);
  }
  return marked.size;
}

function colour() {
  const told = document.querySelector("[data-damage]");
  const frame = document.querySelector("iframe.netron");
  if (!told || !frame) return;
  const looks = JSON.parse(told.dataset.damage);
  follow(frame, (drawing) => {
    const marked = mark(drawing, looks);
    const words = document.querySelector("[data-drawn]");
    if (marked && words) {
      words.textContent = `${marked} of ${Object.keys(looks).length} tensors are edges of the drawing, in these colours; the others came with the conversion, or are inputs and outputs.`;
    }
    return marked;
  });
}

colour();
document.addEventListener("htmx:afterSwap", colour);
