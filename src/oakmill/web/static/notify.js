// A notification of the browser's when a job ends, for whoever wants one; the wish is kept for the jobs that come.

import { toast } from "./app.js";

const WISH = "oakmill:notify";

function wished() {
  try { return localStorage.getItem(WISH) === "yes"; } catch { return false; } // a browser may keep nothing
}

function keep(wish) {
  try { localStorage.setItem(WISH, wish ? "yes" : "no"); } catch { /* then it is asked again */ }
}

async function allowed() {
  if (Notification.permission === "default") return (await Notification.requestPermission()) === "granted";
  return Notification.permission === "granted";
}

// Shows the checkbox, as it was left; browsers have notifications on secure addresses alone.
export function offer(label) {
  const box = label.querySelector("input");
  label.hidden = false;
  if (!("Notification" in window) || !isSecureContext) {
    box.disabled = true;
    label.title = "Browsers tell of jobs over HTTPS and on this computer alone";
    return;
  }
  box.checked = wished() && Notification.permission === "granted";
  box.addEventListener("change", async () => {
    if (box.checked && !(await allowed())) {
      box.checked = false;
      toast("This browser does not allow notifications of this page");
    }
    keep(box.checked);
  });
}

export function tell(label, title, body) {
  const wanted = label.querySelector("input").checked;
  label.hidden = true;
  if (!wanted) return;
  try {
    const note = new Notification(title, { body, tag: location.pathname, icon: document.querySelector("link[rel=icon]").href });
    note.addEventListener("click", () => { window.focus(); note.close(); });
  } catch { // phones have them for installed apps alone
    toast(`${title}. ${body}`);
  }
}
