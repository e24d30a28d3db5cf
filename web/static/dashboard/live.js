"use strict";
// Loads the page again every few seconds and replaces only the parts that differ, so nothing flickers or jumps.
(() => {
  const PAUSE_MS = 4000;
  const box = document.getElementById("live");
  const state = document.getElementById("live-state");
  const parts = document.querySelectorAll("[data-live]");
  if (!box || !parts.length) return;
  box.checked = sessionStorage.getItem("live") !== "no";
  box.addEventListener("change", () => sessionStorage.setItem("live", box.checked ? "yes" : "no"));

  // Who reads a part with the keyboard, or marks its text, is not disturbed.
  const inUse = (part) => part.contains(document.activeElement) || (getSelection() || {}).type === "Range";

  const replace = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || inUse(part) || next.innerHTML === part.innerHTML) continue;
      const scrolled = [...part.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
      part.replaceChildren(...next.childNodes);
      part.querySelectorAll(".scroll").forEach((each, at) => { each.scrollLeft = scrolled[at] || 0; });
    }
  };

  const refresh = async () => {
    if (box.checked && !document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (answer.redirected) return location.reload();
        if (!answer.ok) throw new Error(String(answer.status));
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
        state.textContent = "";
      } catch {
        state.textContent = "No answer now; trying again.";
      }
    }
    setTimeout(refresh, PAUSE_MS);
  };
  setTimeout(refresh, PAUSE_MS);
})();
