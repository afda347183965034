// A list's filters take effect as they are chosen, and stand in the address without those that say nothing.

for (const form of document.querySelectorAll("[data-filters]")) {
  for (const button of form.querySelectorAll("[data-without-script]")) button.hidden = true;

  form.addEventListener("change", (event) => {
    if (event.target.type !== "search") form.requestSubmit();
  });

  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name);
  });
}
