// Refreshes the overview every ten seconds. Without this script the page shows the same, as of
// when it was loaded.
"use strict";
const main = document.getElementById("main");
async function refresh() {
  if (location.pathname !== "/" || document.hidden || main.contains(document.activeElement)) return;
  try {
    const response = await fetch("/", { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(response.status);
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    main.replaceChildren(...fresh.getElementById("main").childNodes);
    document.title = fresh.title;
  } catch {
    document.title = "moverisd: no answer";
    const level = document.getElementById("level");
    if (level) {
      level.textContent = "no answer";
      level.parentElement.className = "judgement failing";
    }
  }
}
setInterval(refresh, 10000);
