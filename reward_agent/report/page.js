"use strict";
// Hover: what a point of a chart says. Everything that it says is in the tables as well.
const tip = document.getElementById("tip");
function show(event) {
  const mark = event.target.closest("[data-tip]");
  if (!mark) { tip.hidden = true; return; }
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
  const y = event.clientY - box.height - 12;
  tip.style.left = Math.max(8, x) + "px";
  tip.style.top = (y < 8 ? event.clientY + 16 : y) + "px";
}
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { button.textContent = "Select and copy by hand"; }
  });
}
for (const button of document.querySelectorAll("button[data-hides]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = document.getElementById(button.dataset.hides);
    shown.hidden = !shown.hidden;
    button.textContent = shown.hidden ? "Show the animation" : "Hide the animation";
  });
}
// A link to a candidate opens it.
function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}
window.addEventListener("hashchange", openTarget);
openTarget();
// A printed page shows what a click would open.
window.addEventListener("beforeprint", () => {
  for (const item of document.querySelectorAll("details:not(.long)")) item.open = true;
});
