// Links that open in a dialog: the piece of the page is fetched when it is wanted; without this they are plain links.

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const dialog = document.querySelector(link.dataset.dialog);
  const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) return location.assign(elsewhere);
  dialog.innerHTML = await answer.text();
  if (!dialog.open) dialog.showModal();
});

// A click beside the dialog closes it.
document.addEventListener("click", (event) => {
  if (event.target instanceof HTMLDialogElement) event.target.close();
});
