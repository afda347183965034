// A form's fields follow each other: some are shown only when another says something; sliders say their value.

function says(form, name) {
  const field = form.elements[name];
  return field && (field.type === "checkbox" ? field.checked : field.value !== "");
}

function follow(form) {
  for (const item of form.querySelectorAll("[data-shown-when]")) {
    item.hidden = !says(form, item.dataset.shownWhen);
  }
  const precision = form.elements.target_precision;
  const isFloat = precision && precision.value.startsWith("FP");
  for (const name of ["quantization_data", "max_quantization_images"]) {
    const field = form.querySelector(`[name="${name}"]`)?.closest("#images, .field");
    if (field) field.hidden = Boolean(isFloat);
  }
}

for (const form of document.querySelectorAll("form")) {
  follow(form);
  form.addEventListener("input", (event) => {
    const output = event.target.dataset.says;
    if (output) form.querySelector(output).value = event.target.value;
    follow(form);
  });
}

document.addEventListener("click", (event) => {
  const flag = event.target.closest("[data-adds]");
  if (!flag) return;
  const field = document.querySelector(flag.dataset.to);
  field.value = `${field.value.trimEnd()} ${flag.dataset.adds} `.trimStart();
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// What a finding offers is filled into the form that one is in; elsewhere it is a link to a form that has it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-says-it]");
  const form = document.querySelector("#convert-form");
  if (!link || !form) return;
  event.preventDefault();
  for (const [name, value] of new URLSearchParams(link.dataset.saysIt)) {
    const field = form.elements[name];
    if (!field) return location.assign(link.href);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
});
