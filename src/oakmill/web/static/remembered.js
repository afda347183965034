// What was typed into a form is there again after Export and Back, or a reload: the browser's history keeps it.

const form = document.querySelector("[data-remembers]");
const chosen = (field) => (field.type === "checkbox" || field.type === "radio" ? field.checked : field.value);

function remember() {
  const typed = [...form.elements].filter((field) => field.name && field.type !== "file").map((field) => [field.name, chosen(field)]);
  history.replaceState({ ...history.state, typed }, "");
}

function recall(typed) {
  const fields = [...form.elements].filter((field) => field.name && field.type !== "file");
  if (fields.length !== typed.length || fields.some((field, at) => field.name !== typed[at][0])) return; // another form
  for (const [at, field] of fields.entries()) {
    if (chosen(field) === typed[at][1]) continue;
    if (typeof typed[at][1] === "boolean") field.checked = typed[at][1];
    else field.value = typed[at][1];
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

if (history.state?.typed) recall(history.state.typed);
for (const type of ["input", "change"]) form.addEventListener(type, remember);
