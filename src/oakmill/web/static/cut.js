// Marks the nodes that a conversion cuts off in Netron's drawing, which comes from this server too.

const GONE = "#d4503e";
const TRIES = 240;
const WAIT = 500;

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

function follow(frame, names, tries = TRIES) {
  const drawing = frame.contentDocument;
  const isDrawn = drawing && mark(drawing, names) > 0;
  if (!isDrawn && tries > 0) setTimeout(() => follow(frame, names, tries - 1), WAIT);
}

document.addEventListener("htmx:afterSwap", (event) => {
  const found = event.detail.elt.querySelector("[data-cut]");
  const frame = document.querySelector("iframe.netron");
  if (found && frame) follow(frame, new Set(JSON.parse(found.dataset.cut)));
});
