// Marks the nodes that a conversion cuts off in Netron's drawing.

import { follow } from "./drawing.js";

const GONE = "#d4503e";

function mark(drawing, names) {
  let marked = 0;
  for (const node of drawing.querySelectorAll('g[id^="node-name-"]')) {
    if (!names.has(node.id.slice("node-name-".length))) continue;
    node.dataset.gone = "yes";
    for (const path of node.querySelectorAll(".node-item path")) path.style.fill = GONE;
    marked += 1;
  }
  return marked;
}

document.addEventListener("htmx:afterSwap", (event) => {
  const found = event.detail.elt.querySelector("[data-cut]");
  const frame = document.querySelector("iframe.netron");
  if (!found || !frame) return;
  const names = new Set(JSON.parse(found.dataset.cut));
  follow(frame, (drawing) => mark(drawing, names));
});
