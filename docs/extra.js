// A table that is wider than the screen is moved by keys, too; what stands beside code has a name.
let codes = 0;
new MutationObserver(() => {
  for (const frame of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
    frame.tabIndex = 0;
  }
  for (const nav of document.querySelectorAll(".md-code__nav:not([aria-label])")) {
    nav.ariaLabel = `Code ${++codes}`;
  }
}).observe(document.documentElement, { childList: true, subtree: true });
