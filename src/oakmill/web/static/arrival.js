// A model comes in: its files are chosen, it gets its place, and each file is sent with what is known of the sending.

import { guessed, typeOf } from "./guesses.js";
import { upload } from "./resumable.js";
import { dropped, row, staying, watcher } from "./sending.js";

const form = document.querySelector("[data-arrival]");
const part = (name) => form.querySelector(`[data-${name}]`);
const [zone, chooser, button] = [form.querySelector(".drop"), form.querySelector("#files"), part("go").firstElementChild];
let files = [];
// What is guessed anew from other files is what nobody wrote, and what the page did not come with.
const typed = new Set([...form.elements].filter((field) => field.value).map((field) => field.name));

function choose(chosen) {
  files = [...chosen];
  if (!files.length) return;
  part("list").hidden = part("go").hidden = false;
  part("list").querySelector("tbody").replaceChildren(...files.map(row));
  part("wrong").textContent = "";
  if (!part("names")) return;
  part("names").hidden = false;
  for (const [name, value] of Object.entries(guessed(files))) {
    const field = form.elements[name];
    if (field && !typed.has(name)) field.value = value;
  }
}

async function placed() {
  if (form.dataset.instance) return;
  const fields = new URLSearchParams(new FormData(form));
  fields.set("file", files[0].name);
  fields.set("type", typeOf(files));
  const answer = await fetch(form.action, { method: "POST", body: fields, headers: { "HX-Request": "true" } });
  if (!answer.ok) throw new Error(new DOMParser().parseFromString(await answer.text(), "text/html").body.innerText.trim());
  const made = await answer.json();
  form.dataset.instance = made.instance_id;
  history.replaceState(null, "", made.page); // a reload comes back to this upload
}

// What was refused leaves nothing behind: another file may have the same name, and the place is made for it anew.
async function withdrawn() {
  const body = new URLSearchParams({ instance: form.dataset.instance });
  const answer = await fetch(`${form.getAttribute("action")}/withdrawn`, { method: "POST", body, headers: { "HX-Request": "true" } });
  if (!answer.ok) return; // other files of it have come, and stay
  delete form.dataset.instance;
  history.replaceState(null, "", form.getAttribute("action"));
}

async function go() {
  await placed();
  const purpose = { kind: "instance", instance_id: form.dataset.instance };
  const lines = part("list").querySelectorAll("tbody tr");
  for (const [at, file] of files.entries()) {
    await upload(file, purpose, watcher(lines[at], file));
    lines[at].querySelector("progress").value = 1;
    lines[at].cells[4].textContent = "here";
  }
  const found = await fetch(`/instances/${purpose.instance_id}/detected`, { headers: { "HX-Request": "true" } });
  part("found").innerHTML = await found.text();
  const isWhole = Boolean(part("found").querySelector(".card"));
  part("go").hidden = true;
  if (isWhole) [zone.hidden, (part("names") ?? {}).hidden] = [true, true];
}

form.addEventListener("input", (event) => event.target.value ? typed.add(event.target.name) : typed.delete(event.target.name));
dropped(zone, choose);
chooser.addEventListener("change", () => choose(chooser.files));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  [button.disabled, part("wrong").textContent] = [true, ""];
  try {
    await staying(go);
  } catch (error) {
    part("wrong").textContent = error.message;
    if (error.isRefusal && form.getAttribute("action") && form.dataset.instance) await withdrawn();
  }
  button.disabled = false;
});
