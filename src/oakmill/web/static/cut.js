// Marks the nodes that a conversion cuts off in Netron's drawing, which comes from this server too.

const NAMES = new Set(JSON.parse(document.querySelector("[data-cut]")?.dataset.cut ?? "[]"));
const GONE = "#d4503e";
const TRIES = 240;
const WAIT = 500;

function mark(drawing) {
  let marked = 0;
  for (const node of drawing.querySelectorAll('g[id^="node-name-"]')) {
    if (!NAMES.has(node.id.slice("node-name-".length))) continue;
    node.dataset.gone = "yes";
    for (const path of node.querySelectorAll(".node-item path")) path.style.fill = GONE;
    marked += 1;
  }
  return marked;
}

function follow(frame, tries = TRIES) {
  const drawing = frame.contentDocument;
  const is_drawn = drawing && mark(drawing) > 0;
  if (!is_drawn && tries > 0) setTimeout(() => follow(frame, tries - 1), WAIT);
}

function begin() {
  const frame = document.querySelector("iframe.netron");
  if (frame && NAMES.size) follow(frame);
}

begin();
