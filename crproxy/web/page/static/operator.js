// Keeps the operator's page up to date: the server sends each part that has changed, as it made it. Without this the page
// is as it was when it was loaded.
const AGAIN = 15000; // milliseconds until it is tried again where the server has refused

const live = document.getElementById("live");

function show(name, html) {
  const place = document.getElementById(name);
  // What somebody is using stays as it is.
  if (!place || place.contains(document.activeElement)) return;
  const open = [...place.querySelectorAll("details")].map((one) => one.open);
  place.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  place.querySelectorAll("details").forEach((one, number) => (one.open = open[number] ?? one.open));
}

function follow() {
  const source = new EventSource(document.body.dataset.events);
  source.addEventListener("open", () => (live.textContent = live.dataset.live));
  source.addEventListener("part", (event) => {
    const part = JSON.parse(event.data);
    show(part.id, part.html);
  });
  source.addEventListener("error", () => {
    live.textContent = live.dataset.lost;
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, AGAIN);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
}

follow();
addEventListener("pageshow", (event) => event.persisted && follow());
