// Signs in by what stands behind # in the address, which no server is sent, and leaves nothing of it in the history.

const token = location.hash.slice(1);
if (token) {
  history.replaceState(null, "", location.pathname + location.search);
  const form = document.querySelector("[data-sign-in]");
  form.elements.link.value = token;
  form.elements.key.required = false;
  form.submit();
}
