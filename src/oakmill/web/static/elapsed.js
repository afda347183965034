// Times that run: what has begun and not ended counts its seconds; the job's own also in the page's title.

export function span(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const name = document.title.split(" · ").slice(1).join(" · ");

function tick() {
  for (const item of document.querySelectorAll("[data-since]")) {
    const text = span(Math.max(0, (Date.now() - new Date(item.dataset.since)) / 1000));
    item.textContent = text;
    if (item.dataset.title) document.title = `${item.dataset.title} ${text} · ${name}`;
  }
}

tick();
setInterval(tick, 1000);
