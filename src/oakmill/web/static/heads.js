// Names of classes with a click: those of the file, a known set's, or a file's from this computer.

function fill(field, text) {
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fills]");
  if (button) fill(document.querySelector(button.dataset.fills), button.dataset.text);
});

for (const input of document.querySelectorAll("[data-reads]")) {
  input.closest("[hidden]")?.removeAttribute("hidden");
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (file) fill(document.querySelector(input.dataset.reads), (await file.text()).trim());
    input.value = "";
  });
}
