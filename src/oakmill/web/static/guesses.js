// What the names of a model's files suggest: its name, its variant, and the format; the hub looks at the bytes itself.

const TYPES = { xml: "IR", bin: "IR", tflite: "TFLITE", pt: "PYTORCH", pth: "PYTORCH", torchscript: "PYTORCH" };
const ENDING = /(\.tar)?\.[a-z0-9_]+$/i;
const SIZE = /[-_ ]?(\d{2,4})x(\d{2,4})/;

const ending = (name) => name.split(".").pop().toLowerCase();

export function typeOf(files) {
  const known = files.map((file) => TYPES[ending(file.name)]).filter(Boolean);
  const isOnnx = files.some((file) => ending(file.name) === "onnx");
  return isOnnx || !known.length ? "ONNX" : known[0];
}

export function guessed(files) {
  const weights = /\.(bin|data|weights|onnx_data)$/i;
  const model = files.find((file) => !weights.test(file.name)) ?? files[0];
  const stem = model.name.replace(ENDING, "");
  const found = stem.match(SIZE);
  return {
    name: stem.replace(SIZE, "").replace(/[-_]+$/, "") || stem,
    variant: found ? `${found[1]}x${found[2]}` : "default",
  };
}
