// What every page does: the theme, copying, times in the reader's zone, messages.

const root = document.documentElement;

const dark = matchMedia("(prefers-color-scheme: dark)");
const ofSystem = () => (dark.matches ? "dark" : "light");
let follows = !root.dataset.theme;

function applyTheme(theme) {
  root.dataset.theme = theme;
  document.dispatchEvent(new CustomEvent("oakmill:theme", { detail: theme }));
}

// What the system has anyway is not chosen: the page goes on following the system.
function chooseTheme(theme) {
  follows = theme === ofSystem();
  document.cookie = `theme=${theme}; Path=/; Max-Age=${follows ? 0 : 31536000}; SameSite=Lax`;
  applyTheme(theme);
}

if (follows) root.dataset.theme = ofSystem();
dark.addEventListener("change", () => follows && applyTheme(ofSystem()));

export function toast(text) {
  document.querySelector(".toast")?.remove();
  const box = document.createElement("div");
  box.className = "toast";
  box.setAttribute("role", "status");
  box.textContent = text;
  document.body.append(box);
  setTimeout(() => box.remove(), 2600);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied");
  } catch {
    toast(copiedByHand(text) ? "Copied" : "This browser does not let the page copy; mark the text instead");
  }
}

// Pages over plain HTTP have no clipboard of their own, and must mark a text as a reader does.
function copiedByHand(text) {
  const box = document.createElement("textarea");
  box.value = text;
  box.className = "visually-hidden";
  (document.querySelector("dialog[open]") ?? document.body).append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  return done;
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-copy], [data-copy-of], [data-theme-switch], [data-opens], [data-closes]");
  if (!target) return;
  if (target.dataset.copy !== undefined) copy(target.dataset.copy || target.textContent.trim());
  if (target.dataset.copyOf) copy(document.querySelector(target.dataset.copyOf).textContent);
  if ("themeSwitch" in target.dataset) chooseTheme(root.dataset.theme === "dark" ? "light" : "dark");
  if (target.dataset.opens) document.querySelector(target.dataset.opens).showModal();
  if ("closes" in target.dataset) target.closest("dialog").close();
});

// What takes a while says so on its button, and is not asked for twice.
document.addEventListener("submit", (event) => {
  const busy = event.target.dataset.busy;
  if (!busy || event.defaultPrevented) return;
  const button = event.target.querySelector("button");
  button.disabled = true;
  button.textContent = busy;
});

function ago(date) {
  const seconds = (Date.now() - date) / 1000;
  const steps = [[60, "second", 1], [3600, "minute", 60], [86400, "hour", 3600], [2592000, "day", 86400]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [limit, unit, size] of steps) {
    if (Math.abs(seconds) < limit) return words.format(-Math.round(seconds / size), unit);
  }
  return date.toISOString().slice(0, 10);
}

export function freshen(scope = document) {
  for (const item of scope.querySelectorAll("time[datetime]")) {
    const date = new Date(item.dateTime);
    item.textContent = ago(date);
    item.title = date.toLocaleString();
  }
}

freshen();
setInterval(freshen, 30000);
document.addEventListener("htmx:load", (event) => freshen(event.target));
