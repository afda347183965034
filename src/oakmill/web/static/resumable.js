// Sends a file by the hub's resumable protocol: after a broken connection, or a reload, it goes on where it stopped.

const PIECE = 8 << 20;
const TRIES = 6;

async function asked(method, path, body) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  const answer = await fetch(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const said = [problem.detail ?? `The hub answered ${answer.status}.`, problem.remedy].filter(Boolean);
  const error = new Error(said.map((text) => (/[.!?]$/.test(text) ? text : `${text}.`)).join(" "));
  error.isRefusal = answer.status === 413 || answer.status === 422; // the file itself, whoever sends it again
  throw error;
}

function send(id, offset, piece, watch) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", `/api/v1/uploads/${id}`);
    request.setRequestHeader("Upload-Offset", offset);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => watch(offset + event.loaded);
    request.onload = () => (request.status === 204 ? resolve(Number(request.getResponseHeader("Upload-Offset"))) : reject(new Error(request.status)));
    request.onerror = () => reject(new Error("the connection broke"));
    request.send(piece);
  });
}

async function begun(file, purpose, key) {
  const known = localStorage.getItem(key);
  const there = known && (await fetch(`/api/v1/uploads/${known}`, { method: "HEAD" }).catch(() => null));
  if (there?.ok) return { id: known, offset: Number(there.headers.get("Upload-Offset")) };
  const made = await (await asked("POST", "/uploads", { name: file.name, size: file.size, purpose })).json();
  localStorage.setItem(key, made.id);
  return { id: made.id, offset: 0 };
}

// `watch(sent)` hears how many bytes have come; the answer says what became of the upload.
export async function upload(file, purpose, watch) {
  const key = `upload:${JSON.stringify(purpose)}:${file.name}:${file.size}:${file.lastModified}`;
  let { id, offset } = await begun(file, purpose, key);
  for (let tries = 0; offset < file.size; ) {
    try {
      if (tries) offset = Number((await asked("HEAD", `/uploads/${id}`)).headers.get("Upload-Offset"));
      if (offset < file.size) offset = await send(id, offset, file.slice(offset, offset + PIECE), watch);
      tries = 0;
    } catch (error) {
      if (++tries === TRIES) throw new Error(`The upload stopped: ${error.message}. Choose the file again, and it goes on.`);
      await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
    }
  }
  localStorage.removeItem(key);
  return (await asked("POST", `/uploads/${id}/complete`)).json();
}
