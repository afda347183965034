// A calibration set of one's own: a zip is dropped or chosen, named after its file, sent, and its page opened.

import { upload } from "./resumable.js";

const form = document.querySelector("[data-new-set]");
const zone = form.querySelector(".drop");
const [chooser, name] = [form.elements.file, form.elements.name];
const [bar, words, wrong] = ["progress", "[data-words]", ".field-error"].map((what) => form.querySelector(what));
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

function chosen(file) {
  zone.querySelector("b").textContent = `${file.name}, ${megabytes(file.size)} MB`;
  if (!name.value) name.value = file.name.replace(/\.zip$/i, "");
  form.querySelector("button.primary").disabled = false;
}

for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => (event.preventDefault(), zone.classList.add("over")));
for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  chooser.files = event.dataTransfer.files;
  if (chooser.files.length) chosen(chooser.files[0]);
});
chooser.addEventListener("change", () => chooser.files.length && chosen(chooser.files[0]));

// On its own page next; or, where it was wanted for a conversion, in that form, and chosen.
async function come(id) {
  if (!form.dataset.fillsImages) return location.assign(`/datasets/${id}`);
  await htmx.ajax("GET", `${form.dataset.fillsImages}?chosen=${id}`, { target: "#images", swap: "outerHTML" });
  form.closest("dialog").close();
  document.querySelector("#convert-form").dispatchEvent(new Event("change", { bubbles: true }));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file, button] = [chooser.files[0], form.querySelector("button.primary")];
  [wrong.textContent, button.disabled, bar.hidden, bar.max] = ["", true, false, file.size];
  const started = performance.now();
  const watch = (sent) => {
    const rate = sent / ((performance.now() - started) / 1000);
    bar.value = sent;
    words.textContent = `${megabytes(sent)} of ${megabytes(file.size)} MB, ${megabytes(rate)} MB/s`;
    if (sent >= file.size) words.textContent = `${megabytes(file.size)} MB have come; every image is looked at now`;
  };
  try {
    const made = await upload(file, { kind: "dataset", name: name.value }, watch);
    await come(made.dataset_id);
  } catch (error) {
    [wrong.textContent, button.disabled, bar.hidden, words.textContent] = [error.message, false, true, ""];
  }
});
