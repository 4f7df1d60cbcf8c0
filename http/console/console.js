// Times: how long ago, kept up to date, and exactly on hover, in UTC and in the
// reader's own time. The server writes the same words, so without a script only
// the reader's own time is missing.
"use strict";

const ago = (seconds) => {
  const suffix = seconds < 0 ? " from now" : " ago";
  const s = Math.abs(seconds);
  if (s < 5) return "just now";
  if (s < 60) return Math.floor(s) + " s" + suffix;
  if (s < 3600) return Math.floor(s / 60) + " min" + suffix;
  if (s < 48 * 3600) return Math.floor(s / 3600) + " h" + suffix;
  return Math.floor(s / 86400) + " days" + suffix;
};

const showTimes = () => {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const utc = at.toISOString().replace("T", " ").replace("Z", " UTC");
    const local = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    const title = utc + "\n" + local;
    const text = ago((Date.now() - at) / 1000);
    if (element.title !== title) element.title = title;
    if (element.textContent !== text) element.textContent = text;
  }
};

// "All of this page", over the boxes of the entries.
const bindBoxes = () => {
  const all = document.querySelector("input[data-all]");
  if (!all) return;
  const boxes = [...document.querySelectorAll("input[name=id]")];
  all.hidden = false;
  all.addEventListener("change", () => boxes.forEach((box) => { box.checked = all.checked; }));
  boxes.forEach((box) => box.addEventListener("change", () => {
    all.checked = boxes.every((one) => one.checked);
    all.indeterminate = !all.checked && boxes.some((one) => one.checked);
  }));
};

document.addEventListener("DOMContentLoaded", () => {
  showTimes();
  bindBoxes();
  setInterval(showTimes, 1000);
  // A page that has stopped being live must say so.
  const stale = document.getElementById("stale");
  document.addEventListener("htmx:sse:error", () => { stale.hidden = false; });
  document.addEventListener("htmx:sse:after:connection", () => { stale.hidden = true; });
  // A live part arrives with the server's words.
  document.addEventListener("htmx:after:swap", showTimes);
});
