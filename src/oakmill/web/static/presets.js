// Values of mean, scale and colours with a click: a preset's, or those that mend what was found.

const NEUTRAL = { mean_values: 0, scale_values: 1 };

function fill(tensor, name, values) {
  const field = tensor.querySelector(`[name$=".${name}"]`);
  const isNothing = values.every((value) => value === NEUTRAL[name]);
  field.value = isNothing ? "" : values.join(", ");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function channelwise(tensor, text) {
  const values = text ? text.split(", ").map(Number) : [];
  const isBgr = tensor.querySelector('[name$=".encoding_from"]').value === "BGR";
  if (values.length === 1) return Array(Number(tensor.dataset.channels)).fill(values[0]);
  return isBgr ? values.reverse() : values;
}

// Also in a form that a page fetches later, and hands over.
export function presets(within) {
  for (const select of within.querySelectorAll("[data-preset]")) {
    const tensor = select.closest("[data-channels]");
    select.hidden = false;
    select.addEventListener("change", (event) => {
      event.stopPropagation();
      if (!select.value) return;
      const { mean, scale } = select.selectedOptions[0].dataset;
      fill(tensor, "mean_values", channelwise(tensor, mean));
      fill(tensor, "scale_values", channelwise(tensor, scale));
    });
  }
}

presets(document);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-values]");
  if (!button) return;
  const tensor = button.closest("[data-channels]");
  for (const [name, values] of Object.entries(JSON.parse(button.dataset.values))) fill(tensor, name, [values].flat());
});
