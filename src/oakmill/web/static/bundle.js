// A bundle is dropped or chosen, sent, and shown before anything of it comes in.

import { upload } from "./resumable.js";
import { dropped, size, staying } from "./sending.js";

const form = document.querySelector("[data-bundle]");
const [zone, bar, words, wrong, button] = [".drop", "progress", "[data-words]", ".field-error", "button.primary"].map((what) => form.querySelector(what));
const chooser = form.elements.file;

function chosen() {
  const file = chooser.files[0];
  if (file) zone.querySelector("b").textContent = `${file.name}, ${size(file.size)}`;
  button.disabled = !file;
}

dropped(zone, (files) => ((chooser.files = files), chosen()));
chooser.addEventListener("change", chosen);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = chooser.files[0];
  [wrong.textContent, button.disabled, bar.hidden, bar.max] = ["", true, false, file.size];
  const watch = (sent) => {
    bar.value = sent;
    words.textContent = sent < file.size ? `${size(sent)} of ${size(file.size)}` : `${size(file.size)} have come; every byte is checked now`;
  };
  try {
    const made = await staying(() => upload(file, { kind: "bundle" }, watch));
    location.assign(`/bundles/${made.reference}`);
  } catch (error) {
    [wrong.textContent, button.disabled, bar.hidden, words.textContent] = [error.message, false, true, ""];
  }
});
