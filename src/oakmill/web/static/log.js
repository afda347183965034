// A job's log: lines come in batches, are searched and filtered, and followed as long as one wants.

const TERMINAL = /\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]/g;

export class Log {
  constructor(section) {
    this.section = section;
    this.box = section.querySelector("[data-lines]");
    this.list = this.box.querySelector("ol");
    this.count = section.querySelector("[data-count]");
    this.follow = section.querySelector("[data-follow]");
    this.search = section.querySelector("[data-search]");
    this.hits = section.querySelector("[data-hits]");
    this.waiting = [];
    section.querySelector("[data-kinds]").addEventListener("change", (event) => { this.box.dataset.show = event.target.value; });
    this.search.addEventListener("input", () => this.find());
    this.search.addEventListener("keydown", (event) => { if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1); });
    this.follow.addEventListener("change", () => this.toEnd());
    // Who scrolls up wants to read; who comes back to the end follows again.
    this.box.addEventListener("wheel", (event) => { if (event.deltaY < 0) this.follow.checked = false; }, { passive: true });
    section.querySelector("[data-first]")?.addEventListener("click", (event) => this.earlier(event));
    this.toEnd();
  }

  // Lines are gathered until the browser draws: thousands come at once when a page joins late.
  add(line) {
    if (!this.waiting.length) requestAnimationFrame(() => this.flush());
    this.waiting.push(line);
  }

  flush() {
    this.list.querySelector(".none")?.remove();
    this.list.append(this.drawn(this.waiting));
    this.count.textContent = this.waiting.at(-1).number.toLocaleString("en").replaceAll(",", "\u202f");
    this.waiting = [];
    this.box.classList.toggle("long", this.list.children.length > 2000);
    this.toEnd();
  }

  drawn(lines) {
    const piece = document.createDocumentFragment();
    const wanted = this.search.value.toLowerCase();
    for (const line of lines) {
      const item = document.createElement("li");
      item.className = line.kind === "log" ? "tool" : line.kind;
      item.dataset.number = line.number;
      item.dataset.stage = line.stage;
      item.textContent = (line.kind === "finished" ? `${line.stage} took ` : "") + line.text.replace(TERMINAL, "");
      if (wanted && item.textContent.toLowerCase().includes(wanted)) item.classList.add("hit");
      piece.append(item);
    }
    return piece;
  }

  toEnd() { if (this.follow.checked) this.box.scrollTop = this.box.scrollHeight; }

  find() {
    const wanted = this.search.value.toLowerCase();
    for (const item of this.list.children) {
      item.classList.toggle("hit", Boolean(wanted) && item.textContent.toLowerCase().includes(wanted));
      item.classList.remove("current");
    }
    this.at = -1;
    this.next(1);
  }

  next(step) {
    const found = [...this.list.querySelectorAll(".hit")];
    found[this.at]?.classList.remove("current");
    this.at = found.length ? (this.at + step + found.length) % found.length : -1;
    this.hits.textContent = this.search.value ? `${this.at + 1} of ${found.length}` : "";
    if (this.at < 0) return;
    this.follow.checked = false;
    found[this.at].classList.add("current");
    found[this.at].scrollIntoView({ block: "nearest" });
  }

  async earlier(event) {
    event.preventDefault();
    const first = Number(event.target.dataset.first), lines = [];
    for (let last = 0; last < first - 1;) {
      const limit = Math.min(500, first - 1 - last);
      const answer = await fetch(`/api/v1/jobs/${this.section.dataset.logOf}/log?after=${last}&limit=${limit}`);
      const { items } = await answer.json();
      if (!items.length) break;
      lines.push(...items);
      last = items.at(-1).number;
    }
    this.follow.checked = false;
    this.list.prepend(this.drawn(lines));
    this.box.classList.toggle("long", this.list.children.length > 2000);
    event.target.closest("[data-earlier]").remove();
  }
}
