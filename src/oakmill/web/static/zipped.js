// Several files as one zip, stored as they are: images are packed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte >>> 0;
});
const DAY = (1 << 5) | 1; // 1980-01-01: the same images make the same bytes

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function header(signature, fields) {
  const view = new DataView(new ArrayBuffer(4 + fields.reduce((sum, [size]) => sum + size, 0)));
  view.setUint32(0, signature, true);
  let at = 4;
  for (const [size, value] of fields) {
    size === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

// Of one name, the later files get a number, as folders that are chosen together may hold the same names.
function unlike(names) {
  const seen = new Map();
  return names.map((name) => {
    const times = seen.get(name) ?? 0;
    seen.set(name, times + 1);
    return times ? name.replace(/(\.\w+)?$/, `-${times}$1`) : name;
  });
}

export async function zipped(files, name) {
  const [parts, entries] = [[], []];
  let offset = 0;
  const names = unlike(files.map((file) => file.name));
  for (const [number, file] of files.entries()) {
    const label = new TextEncoder().encode(names[number]);
    const crc = crc32(new Uint8Array(await file.arrayBuffer()));
    // version, flags (UTF-8), stored, time, day, crc, sizes, lengths of the name and of nothing more
    const common = [[2, 20], [2, 0x800], [2, 0], [2, 0], [2, DAY], [4, crc], [4, file.size], [4, file.size], [2, label.length], [2, 0]];
    const local = header(0x04034b50, common);
    parts.push(local, label, file);
    entries.push(header(0x02014b50, [[2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), label);
    offset += local.byteLength + label.length + file.size;
  }
  const size = entries.reduce((sum, part) => sum + part.byteLength, 0);
  const count = files.length;
  const end = header(0x06054b50, [[2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]]);
  return new File([...parts, ...entries, end], name, { type: "application/zip", lastModified: 0 });
}
