// The proof of colours: an image of one's own is chosen or dropped, sent, and shown in its tiles.

const zone = document.querySelector("[data-image]");
const chooser = zone.querySelector("input");
const words = zone.querySelector("b");
const wrong = document.querySelector("#image-error");

async function send(file) {
  words.textContent = `${file.name}, ${(file.size / 1e6).toFixed(1)} MB: on its way`;
  wrong.textContent = "";
  const answer = await fetch(zone.dataset.image, { method: "POST", body: file, headers: { "HX-Request": "true" } });
  const where = answer.headers.get("HX-Redirect");
  if (where) return location.assign(where);
  words.textContent = "Drop an image here";
  const told = new DOMParser().parseFromString(await answer.text(), "text/html");
  wrong.textContent = [...told.querySelectorAll("p")].slice(0, 2).map((part) => part.textContent).join(" ");
}

chooser.addEventListener("change", () => chooser.files.length && send(chooser.files[0]));
for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => (event.preventDefault(), zone.classList.add("over")));
for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});
