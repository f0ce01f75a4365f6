// What the page does while one types, and copying. Everything else works without it: the form is answered by the server,
// and what to type comes from there in either case.
const PAUSE = 140; // milliseconds without a key until the server is asked
const SHOWN = 1800; // milliseconds that a button says what it did

const form = document.getElementById("convert");
const input = document.getElementById("image");
const answer = document.getElementById("answer");
const ways = document.getElementById("ways");
const notes = document.getElementById("notes");
const mistake = document.getElementById("mistake");
const status = document.getElementById("status");
const language = document.getElementById("language");

document.documentElement.classList.add("script");

let asked = new AbortController();
let timer;

// A name may be broken behind its slashes where a line is too short for it.
function breakable(text) {
  return text.split(/(?<=\/)/).flatMap((part, number) => (number ? [document.createElement("wbr"), part] : [part]));
}

function show(found) {
  ways.replaceChildren(
    ...found.lines.map((line) => {
      const way = document.getElementById(`way-${line.kind}`).content.cloneNode(true);
      const [before, host, after] = line.parts;
      const mark = document.createElement("mark");
      mark.textContent = host;
      way.querySelector("[data-text]").replaceChildren(before, mark, ...breakable(after));
      return way;
    }),
  );
  notes.replaceChildren(
    ...found.notes.map((text) => {
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = text;
      return note;
    }),
  );
  mistake.textContent = found.mistake;
  mistake.hidden = found.mistake === "";
  ways.hidden = found.lines.length === 0;
  answer.hidden = mistake.hidden && ways.hidden;
  if (found.mistake === "") input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
  status.textContent = found.status;
}

// The address, and the link to the other language, keep what was pasted.
function remember(text) {
  for (const [url, keep] of [[new URL(location), (to) => history.replaceState(null, "", to)], [new URL(language.href), (to) => (language.href = to)]]) {
    if (text === "") url.searchParams.delete("image");
    else url.searchParams.set("image", text);
    keep(url.href);
  }
}

async function convert() {
  clearTimeout(timer);
  asked.abort();
  asked = new AbortController();
  const text = input.value;
  const fields = new URLSearchParams({ image: text, lang: document.documentElement.lang.slice(0, 2) });
  try {
    const response = await fetch(`/convert?${fields}`, { signal: asked.signal });
    if (!response.ok) throw new Error(response.statusText);
    show(await response.json());
    remember(text);
  } catch (error) {
    // Without an answer to show, the form still has one. A question that was overtaken needs none.
    if (error.name !== "AbortError") form.dataset.fallback = "";
  }
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(convert, PAUSE);
});

form.addEventListener("submit", (event) => {
  if ("fallback" in form.dataset) return;
  event.preventDefault();
  convert();
});

// A whole file: sent as it is, so that it comes back with its own ends of lines. Without an answer the form says why.
const whole = document.getElementById("rewrite-form");

function note(text) {
  const made = document.createElement("p");
  made.className = "note";
  made.textContent = text;
  return made;
}

function showWhole(found) {
  const wrong = document.getElementById("rewrite-mistake");
  wrong.textContent = found.mistake;
  wrong.hidden = found.mistake === "";
  document.getElementById("rewrite-result").hidden = found.mistake !== "";
  document.getElementById("rewrite-count").textContent = found.status;
  document.querySelector("#rewrite-result [data-text]").textContent = found.text;
  document.getElementById("rewrite-notes").replaceChildren(...[found.unread, ...found.kept].filter(Boolean).map(note));
  document.getElementById("rewritten").hidden = false;
  status.textContent = found.status;
}

whole.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new URLSearchParams({ lang: document.documentElement.lang.slice(0, 2), form: whole.elements.form?.value ?? "" });
  try {
    const response = await fetch(`/rewrite?${fields}`, {
      method: "POST",
      headers: { "Accept": "application/json", "Content-Type": "text/plain; charset=utf-8" },
      body: whole.elements.text.value,
    });
    if (!response.ok) throw new Error(response.statusText);
    showWhole(await response.json());
  } catch {
    showWhole({ mistake: whole.dataset.failed, status: whole.dataset.failed, text: "", unread: "", kept: [] });
  }
});

for (const example of document.querySelectorAll("[data-example]")) {
  example.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    input.value = example.textContent;
    input.focus();
    convert();
  });
}

// Where the clipboard is not offered, as on plain http, the older command still is.
async function copy(source) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      // Refused: try the other way.
    }
  }
  const selection = getSelection();
  selection.selectAllChildren(source);
  return document.execCommand("copy");
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const done = await copy(button.closest("li, figure").querySelector("[data-text]"));
  const label = button.querySelector("[data-label]");
  button.dataset.label ??= label.textContent;
  label.textContent = done ? button.dataset.copied : button.dataset.failed;
  button.classList.toggle("done", done);
  status.textContent = label.textContent;
  clearTimeout(button.timer);
  button.timer = setTimeout(() => {
    label.textContent = button.dataset.label;
    button.classList.remove("done");
  }, SHOWN);
});
