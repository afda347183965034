// Quick conversion: a model is dropped, with images or without; it is sent at once, and what was found of it is shown.

import { guessed, typeOf } from "./guesses.js";
import { presets } from "./presets.js";
import { upload } from "./resumable.js";
import { dropped, row, staying, watcher } from "./sending.js";
import { zipped } from "./zipped.js";

const IMAGE = /\.(jpe?g|png|bmp|webp|tiff?|ppm|pgm|npy|raw)$/i;
const MOST = 2000; // files of one zip without the longer fields

const page = document.querySelector("[data-quick]");
const part = (name) => page.querySelector(`[data-${name}]`);
const [zone, chooser, lines] = [page.querySelector(".drop"), page.querySelector("#files"), part("list").querySelector("tbody")];

async function asked(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: { "HX-Request": "true" } });
  const text = await answer.text();
  if (!answer.ok) throw new Error(new DOMParser().parseFromString(text, "text/html").body.innerText.trim());
  return text;
}

async function send(file, purpose) {
  const line = row(file);
  part("list").hidden = false;
  lines.append(line);
  try {
    const made = await upload(file, purpose, watcher(line, file));
    line.querySelector("progress").value = 1;
    line.cells[4].textContent = "here";
    return made;
  } catch (error) {
    line.cells[4].textContent = "refused";
    throw error;
  }
}

async function sendModel(files) {
  if (!page.dataset.instance) {
    const body = new URLSearchParams({ ...guessed(files), file: files[0].name, type: typeOf(files) });
    page.dataset.instance = JSON.parse(await asked("/quick", { method: "POST", body })).instance_id;
  }
  const purpose = { kind: "instance", instance_id: page.dataset.instance };
  for (const file of files) await send(file, purpose);
}

async function sendImages(files) {
  const zip = files.find((file) => /\.zip$/i.test(file.name));
  if (!zip && files.length > MOST) throw new Error(`These are ${files.length} images: pack them as a zip, or choose ${MOST} at most.`);
  const packed = zip ?? (await zipped(files, `${files.length} images.zip`));
  const made = await send(packed, { kind: "file", parameter: "quantization_data" });
  page.dataset.images = made.reference;
  part("notes").hidden = !made.notes.length;
  part("notes").replaceChildren(...made.notes.map((words) => Object.assign(document.createElement("p"), { textContent: words })));
}

// A model that was refused leaves nothing behind: the next file begins anew.
async function forget(error) {
  part("wrong").textContent = error.message;
  if (page.dataset.whole || !page.dataset.instance || !error.isRefusal) return;
  const body = new URLSearchParams({ instance: page.dataset.instance });
  const gone = await fetch("/quick/withdrawn", { method: "POST", body, headers: { "HX-Request": "true" } });
  if (gone.ok) delete page.dataset.instance;
}

async function show() {
  if (!page.dataset.instance) return;
  const address = `/quick/${page.dataset.instance}${page.dataset.images ? `?images=${page.dataset.images}` : ""}`;
  part("found").innerHTML = await asked(address);
  presets(part("found"));
  history.replaceState(null, "", address); // a reload comes back to this model
  if (!part("found").querySelector("form")) return;
  zone.classList.add("slim");
  [page.dataset.whole, part("words").textContent] = ["yes", page.dataset.images ? "Other images" : "Add images, which calibrate INT8"];
}

async function choose(chosen) {
  const files = [...chosen];
  const isImage = (file) => IMAGE.test(file.name) || /\.zip$/i.test(file.name);
  const [images, model] = [files.filter(isImage), files.filter((file) => !isImage(file))];
  part("wrong").textContent = "";
  zone.setAttribute("aria-busy", "true");
  try {
    if (page.dataset.whole && model.length) throw new Error("This page has its model. Open Quick conversion again for another.");
    if (model.length) await staying(() => sendModel(model));
    if (images.length) await staying(() => sendImages(images));
    await show();
  } catch (error) {
    await forget(error);
  }
  if (images.length && !page.dataset.instance && !part("wrong").textContent) part("words").textContent = "The images are here. Now the model's file";
  zone.removeAttribute("aria-busy");
  chooser.value = ""; // the same file again is a change, too
}

dropped(zone, choose);
chooser.addEventListener("change", () => chooser.files.length && choose(chooser.files));
