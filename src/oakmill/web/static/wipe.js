// Two drawings of one image become one, with a slider between them; a click shows it in full size.
// Without this they stand side by side.

let box;

function element(kind, name, text) {
  const made = document.createElement(kind);
  made.className = name;
  if (text) made.textContent = text;
  return made;
}

function slider(stage, words) {
  const range = element("input", "wipe-range");
  Object.assign(range, { type: "range", min: 0, max: 100, value: 50, step: 1 });
  range.setAttribute("aria-label", words);
  const move = () => {
    stage.style.setProperty("--at", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % float, ${100 - range.value} % converted`);
  };
  range.addEventListener("input", move);
  move();
  return range;
}

// The drawings lie one over the other; that of the right side is cut off at the slider.
function stageOf(drawings, names, words) {
  const stage = element("div", "wipe");
  stage.append(...drawings, element("span", "wipe-name", names[0]), element("span", "wipe-name right", names[1]));
  stage.append(element("span", "wipe-line"), slider(stage, words));
  return stage;
}

function open(figure, drawings, names, words) {
  if (!box) {
    box = element("dialog", "full");
    box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
    document.body.append(box);
  }
  const close = element("button", "button small", "Close");
  close.type = "button";
  close.addEventListener("click", () => box.close());
  const head = element("div", "dialog-head passport");
  head.append(element("h3", "break", figure.querySelector("h3")?.textContent), close);
  const inner = element("div", "dialog-body passport");
  const stage = stageOf(drawings.map((item) => item.cloneNode(true)), names, words);
  const { width, height } = drawings[0].viewBox.baseVal;
  stage.style.setProperty("--shape", width / height);
  inner.append(stage);
  const lists = figure.querySelector(".pair").cloneNode(true);
  inner.append(lists);
  box.setAttribute("aria-label", words);
  box.replaceChildren(head, inner);
  box.showModal();
}

function upgrade(figure) {
  const sides = [...figure.querySelectorAll(".pair > div")];
  const drawings = sides.map((side) => side.querySelector("svg.picture"));
  if (sides.length !== 2 || !drawings.every(Boolean)) return;
  const names = sides.map((side) => side.querySelector(".what").textContent.trim());
  const words = `${figure.querySelector("h3")?.textContent ?? "image"}: ${names.join(" against ")}`;
  const stage = stageOf(drawings, names, words);
  const larger = element("button", "button small wipe-open", "Full size");
  larger.type = "button";
  larger.setAttribute("aria-label", `Full size: ${words}`);
  larger.addEventListener("click", () => open(figure, drawings, names, words));
  stage.append(larger);
  stage.addEventListener("dblclick", () => open(figure, drawings, names, words));
  figure.querySelector(".pair").before(stage);
  figure.removeAttribute("data-wipe");
  figure.classList.add("wiped");
}

function upgradeAll(scope) {
  for (const figure of scope.querySelectorAll("[data-wipe]")) upgrade(figure);
}

upgradeAll(document);
document.addEventListener("htmx:load", (event) => upgradeAll(event.target.parentElement ?? document));
