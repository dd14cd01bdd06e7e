// Asks for fresh figures and puts them in place; a reader who is not looking costs nothing.
"use strict";
(() => {
  const EVERY_MS = 2000;
  const SLOW_MS = 15000;
  const figures = document.getElementById("figures");
  const stale = document.getElementById("stale");
  let failures = 0;

  async function refresh() {
    if (!document.hidden) {
      try {
        const reply = await fetch(figures.dataset.address, { cache: "no-store" });
        if (!reply.ok) throw new Error(String(reply.status));
        const fresh = await reply.text();
        if (figures.innerHTML !== fresh) figures.innerHTML = fresh;
        failures = 0;
        if (stale.textContent) stale.textContent = "";
      } catch {
        failures += 1;
        if (failures > 1 && !stale.textContent) stale.textContent = stale.dataset.text;
      }
    }
    window.setTimeout(refresh, failures > 5 ? SLOW_MS : EVERY_MS);
  }

  window.setTimeout(refresh, EVERY_MS);
})();
