// Waits for Netron's drawing, which comes from this server too, and marks something in it.

const TRIES = 240;
const WAIT = 500;

export function follow(frame, mark, tries = TRIES) {
  const drawing = frame.contentDocument;
  const isDrawn = drawing && mark(drawing) > 0;
  if (!isDrawn && tries > 0) setTimeout(() => follow(frame, mark, tries - 1), WAIT);
}
