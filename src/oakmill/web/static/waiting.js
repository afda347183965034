// A piece of a page that was waited for, and cannot be had, says why in its place.

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status < 400 || !event.detail.elt.matches("[data-waits]")) return;
  event.detail.shouldSwap = true;
  event.detail.isError = false;
  event.detail.selectOverride = ".notice";
});
