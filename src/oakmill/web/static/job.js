// A job's page follows its job: lines of the log as they come, and where it stands, drawn by the hub.

import { freshen } from "./app.js";
import { span } from "./elapsed.js";
import { Log } from "./log.js";
import { offer, tell } from "./notify.js";

const state = document.querySelector("#state");
const log = new Log(document.querySelector("[data-log-of]"));
const job = state.dataset.job, wish = document.querySelector("[data-notify]");
let last = Number(state.dataset.last), shown = "", due = false, beat;

async function draw() {
  due = false;
  const answer = await fetch(`/jobs/${job}/state`, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok) return; // the hub is away; the next beat asks again
  const text = await answer.text();
  // A form that somebody is in stays as it is until they are out.
  if (text === shown || state.querySelector("input:focus")) return;
  shown = text;
  const focused = document.activeElement?.id;
  const opened = [...state.querySelectorAll("details")].map((item) => item.open);
  state.innerHTML = text;
  state.querySelectorAll("details").forEach((item, place) => { item.open = opened[place] ?? item.open; });
  if (focused) document.getElementById(focused)?.focus();
  globalThis.htmx?.process(state);
  freshen(state);
}

function soon() {
  if (!due) setTimeout(draw, 400);
  due = true;
}

function lost(is) { for (const item of state.querySelectorAll("[data-lost]")) item.hidden = !is; }

function follow() {
  const events = new EventSource(`/api/v1/jobs/${job}/events?after=${last}`);
  events.addEventListener("open", () => lost(false));
  events.addEventListener("line", (event) => {
    const line = JSON.parse(event.data);
    if (line.number <= last) return;
    last = line.number;
    log.add(line);
  });
  events.addEventListener("job", soon);
  events.addEventListener("end", async (event) => {
    events.close();
    clearInterval(beat);
    await draw();
    tell(wish, `${state.querySelector(".badge").textContent.trim()}: ${wish.dataset.notify}`, state.querySelector(".failure h2, .result .stats")?.textContent.replace(/\s+/g, " ").trim() ?? "");
    document.title = document.title.replace(/^[^·]+/, `${state.querySelector(".badge").textContent.trim()} ${state.querySelector(".number")?.textContent ?? ""} `);
  });
  events.addEventListener("error", () => {
    lost(true);
    if (events.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(follow, 2000);
  });
}

if ("live" in state.dataset) {
  offer(wish);
  follow();
  beat = setInterval(soon, 5000 + Math.random() * 1000); // estimates change although nothing is told
}
