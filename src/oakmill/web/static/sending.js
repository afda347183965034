// Files on their way to the hub: where they are dropped, a line for each, and what is known of its sending.

export const size = (bytes) => (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const time = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`);

export function row(file) {
  const line = document.createElement("tr");
  line.innerHTML = '<td class="break"></td><td class="number"></td><td><progress max="1" value="0"></progress></td><td class="number"></td><td class="number"></td>';
  line.cells[0].textContent = file.name;
  line.cells[1].textContent = size(file.size);
  return line;
}

export function watcher(line, file) {
  const began = performance.now();
  let first = null;
  return (sent) => {
    first ??= sent;
    const rate = (sent - first) / ((performance.now() - began) / 1000);
    line.querySelector("progress").value = sent / file.size;
    line.cells[3].textContent = rate ? `${size(rate)}/s` : "";
    line.cells[4].textContent = sent >= file.size ? "checking" : rate ? time((file.size - sent) / rate) : "";
  };
}

// `take(files)` hears what is dropped on the zone.
export function dropped(zone, take) {
  for (const type of ["dragenter", "dragover"]) zone.addEventListener(type, (event) => (event.preventDefault(), zone.classList.add("over")));
  for (const type of ["dragleave", "drop"]) zone.addEventListener(type, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => (event.preventDefault(), take(event.dataTransfer.files)));
}

const stay = (event) => event.preventDefault();

// The browser asks before it leaves what is being sent.
export async function staying(work) {
  window.addEventListener("beforeunload", stay);
  try {
    return await work();
  } finally {
    window.removeEventListener("beforeunload", stay);
  }
}
