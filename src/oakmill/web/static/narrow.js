// Narrows a list while one types: what does not hold all words is hidden, and the count says what is left.

for (const field of document.querySelectorAll("[data-narrow]")) {
  const list = document.querySelector(field.dataset.narrow);
  const count = document.querySelector("[data-narrowed]");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const item of list.children) {
      item.hidden = !words.every((word) => (item.dataset.words ?? "").includes(word));
      left += item.hidden ? 0 : 1;
    }
    count.textContent = left;
  });
}
