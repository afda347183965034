// Presets of mean and scale: a choice fills both fields of its input, with a value for each channel.

const PRESETS = {
  none: [[0], [1]],
  unit: [[0], [255]],
  imagenet: [[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]],
  signed: [[127.5], [127.5]],
};
const NEUTRAL = { mean_values: 0, scale_values: 1 };

function spread(values, channels) {
  return values.length === 1 ? Array(channels).fill(values[0]) : values;
}

function fill(tensor, name, values) {
  const field = tensor.querySelector(`input[name$=".${name}"]`);
  const isNothing = values.every((value) => value === NEUTRAL[name]);
  field.value = isNothing ? "" : values.join(", ");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

for (const select of document.querySelectorAll("[data-preset]")) {
  const tensor = select.closest("[data-channels]");
  const channels = Number(tensor.dataset.channels);
  select.hidden = false;
  if (channels !== 3) select.querySelector('[value="imagenet"]').remove();

  select.addEventListener("change", (event) => {
    event.stopPropagation();
    const chosen = PRESETS[select.value];
    if (!chosen) return;
    fill(tensor, "mean_values", spread(chosen[0], channels));
    fill(tensor, "scale_values", spread(chosen[1], channels));
  });
}
