"use strict";
// Text from passages and models goes into the page as text nodes only, never as markup.

const byId = (id) => document.getElementById(id);
const KEPT = "qttrag.history", MOST = 50;
const SCORES = [["semantic", "meaning"], ["grammar", "grammar"], ["fluency", "fluency"]];
let running = null;

function make(tag, properties = {}, ...children) {
  const { dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function headers() {
  const key = byId("key").value;
  return { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) };
}

async function problem(response) {
  const told = await response.json().catch(() => ({}));
  const after = response.headers.get("retry-after");
  const message = told.error?.message ?? `HTTP ${response.status}`;
  return new Error(response.status === 429 && after && !message.includes("again in") ? `${message}; try again in ${after} s` : message);
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let kept = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    kept += value;
    for (let end; (end = kept.indexOf("\n\n")) >= 0; kept = kept.slice(end + 2)) {
      const lines = kept.slice(0, end).split("\n");
      const named = (name) => lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length)).join("\n");
      const data = named("data: ");
      if (data) yield { kind: named("event: "), data: JSON.parse(data) };  // keep-alive comments have no data
    }
  }
}

class Column {
  constructor(strategy) {
    this.strategy = strategy;
    this.text = "";
    this.answer = make("p", { className: "answer", dir: "auto" });
    this.notes = make("ul", { className: "notes", hidden: true });
    this.passages = make("ol", { className: "passages" });
    this.times = make("div");
    this.element = make("article", { ariaLabel: strategy, dataset: { state: "working" } },
      make("h2", { textContent: strategy }), this.answer, this.notes, this.times, this.passages);
  }

  async ask(wanted, signal) {
    try {
      const body = JSON.stringify({ ...wanted, strategy: this.strategy, stream: true });
      const response = await fetch("/v1/ask", { method: "POST", headers: headers(), body, signal });
      if (!response.ok) throw await problem(response);
      for await (const { kind, data } of events(response)) this.take(kind, data);
      if (this.element.dataset.state === "working") throw new Error("the connection broke before the answer was complete");
    } catch (error) {
      this.fail(error.name === "AbortError" ? "stopped" : error.message);
    }
  }

  take(kind, data) {
    if (kind === "piece") {
      this.text += data.text;
      this.answer.textContent = this.text;
    } else if (kind === "restarted") {
      this.text = "";
      this.answer.textContent = "";
    } else if (kind === "error") {
      throw new Error(data.error.message);
    } else if (kind === "end") {
      this.end(data);
    } else {
      this.show(data.passages);
    }
  }

  show(passages) {
    this.passages.replaceChildren(...passages.map((passage) => this.card(passage)));
  }

  card(passage) {
    const side = (label, lang, text) => make("p", { lang, dir: "auto" }, make("span", { className: "label", textContent: label, dir: "ltr", lang: "en" }), text);
    const critical = passage.critical_errors.map(({ kind, original }) => original.length ? `${kind}: ${original.join(", ")}` : kind);
    const flags = [...passage.flags, ...critical].map((flag) => make("span", { className: "flag", textContent: flag }));
    const moved = passage.retrieved_rank ? `found at rank ${passage.retrieved_rank}, reranked to ${passage.n}` : "";
    const title = passage.title ? ` ${passage.title}` : "";
    return make("li", { id: this.anchor(passage.n), tabIndex: -1 },
      make("h3", {}, `[${passage.n}]`, make("bdi", { lang: passage.lang, textContent: title }), " ",
        make("small", { textContent: `${passage.lang} · ${moved} · score ${passage.score.toFixed(3)}` }), ...flags),
      make("div", { className: "sides" },
        side(passage.translation === null ? "original" : `original (${passage.lang})`, passage.lang, passage.text),
        passage.translation === null ? null : side("translation", this.lang ?? "", passage.translation),
        passage.refined === null ? null : side("rewritten", this.lang ?? "", passage.refined)),
      passage.scores ? this.scores(passage.scores) : null,
      passage.unscored ? make("p", { className: "faint", textContent: `no scores: ${passage.unscored}` }) : null);
  }

  scores(scores) {
    return make("dl", { className: "scores" }, ...SCORES.filter(([key]) => scores[key] !== null).flatMap(([key, name]) => [
      make("dt", { textContent: name }),
      make("dd", {}, make("meter", { min: 0, max: 5, low: 2.5, high: 3.5, optimum: 5, value: scores[key], ariaLabel: `${name} ${scores[key].toFixed(1)} of 5` })),
      make("dd", { textContent: scores[key].toFixed(1) }),
    ]));
  }

  anchor(n) { return `${this.strategy}-${n}`; }

  end(data) {
    this.lang = data.lang;
    this.answer.lang = data.lang;
    this.show(data.passages);
    const known = new Set(data.passages.map((passage) => passage.n));
    this.answer.replaceChildren(...data.answer.split(/(\[\d+\])/).map((part) => {
      const n = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
      return known.has(n) ? this.citation(n, part) : part;
    }));
    const found = data.citations.how === "found" ? data.citations.passages : [];
    for (const n of found) this.answer.append(" ", this.citation(n, `[${n}]`));
    if (!data.answer) this.answer.append(make("span", { className: "faint", textContent: "(no answer)" }));
    const notes = [...(data.abstained ? ["the passages do not hold the answer"] : []), ...data.trace.notes];
    this.notes.hidden = !notes.length;
    this.notes.replaceChildren(...notes.map((note) => make("li", { textContent: note })));
    if (data.degraded.length) this.element.dataset.state = "degraded";
    this.time(data.trace.seconds);
    if (this.element.dataset.state === "working") this.element.dataset.state = "done";
  }

  citation(n, text) {
    const link = make("a", { href: `#${this.anchor(n)}`, textContent: text, ariaLabel: `passage ${n}` });
    link.addEventListener("click", (event) => {  // the address stays the question's
      event.preventDefault();
      const card = byId(this.anchor(n));
      for (const other of this.passages.children) other.classList.toggle("cited", other === card);
      card.scrollIntoView({ block: "nearest" });
      card.focus();
    });
    return link;
  }

  time(seconds) {
    const stages = Object.entries(seconds).map(([name, value]) => [name, Math.max(0, value)]);
    const total = stages.reduce((sum, [, value]) => sum + value, 0);
    const bar = make("div", { className: "times", ariaHidden: "true" });
    for (const [name, value] of stages) {
      const part = make("span", { title: `${name} ${value.toFixed(2)} s` });
      part.style.flexGrow = value / (total || 1);
      bar.append(part);
    }
    const words = stages.map(([name, value]) => `${name} ${value.toFixed(2)}`).join(" · ");
    this.times.replaceChildren(bar, make("small", { textContent: `${total.toFixed(2)} s: ${words}` }));
  }

  fail(message) {
    this.element.dataset.state = "failed";
    this.answer.replaceChildren(make("span", { className: "error", role: "alert", textContent: message }));
  }
}

const boxes = (id) => [...byId(id).querySelectorAll("input")];
const checked = (id) => boxes(id).filter((box) => box.checked).map((box) => box.value);

function fill(id, names, isChecked) {
  byId(id).replaceChildren(...names.map((name) =>
    make("label", {}, make("input", { type: "checkbox", value: name, checked: isChecked(name) }), ` ${name}`)));
}

async function ask() {
  const question = byId("question").value.trim();
  const chosen = checked("strategies"), collections = checked("collections");
  if (!question || running) return;
  if (!chosen.length || (boxes("collections").length && !collections.length)) {
    byId("status").textContent = `Choose at least one ${chosen.length ? "collection" : "strategy"}.`;
    return;
  }
  const lang = byId("lang").value, style = byId("style").value, some = collections.length < boxes("collections").length;
  const wanted = { question, ...(lang ? { lang } : {}), ...(style ? { answer_style: style } : {}), ...(some ? { collections } : {}) };
  const link = new URLSearchParams({ q: question, s: chosen.join(","), ...(lang ? { l: lang } : {}), ...(style ? { a: style } : {}) });
  if (some) for (const name of collections) link.append("c", name);
  history.replaceState(null, "", `#${link}`);
  remember(question, String(link));
  const columns = chosen.map((strategy) => new Column(strategy));
  byId("answers").replaceChildren(...columns.map((column) => column.element));
  running = new AbortController();
  working(true);
  await Promise.all(columns.map((column) => column.ask(wanted, running.signal)));
  running = null;
  working(false);
}

function working(yes) {
  byId("go").disabled = yes;
  byId("stop").hidden = !yes;
  byId("status").textContent = yes ? "Working …" : "Done.";
}

function past() {
  try { return JSON.parse(localStorage.getItem(KEPT)) ?? []; } catch { return []; }
}

function remember(question, link) {
  const rest = past().filter((each) => each.link !== link);
  try { localStorage.setItem(KEPT, JSON.stringify([{ question, link }, ...rest].slice(0, MOST))); } catch { /* no room: not kept */ }
  showPast();
}

function showPast() {
  const kept = past();
  byId("past").hidden = !kept.length;
  byId("history").replaceChildren(...kept.map(({ question, link }) =>
    make("li", {}, make("a", { href: `#${link}`, dir: "auto", textContent: question }))));
}

function fromLink() {
  const link = new URLSearchParams(location.hash.slice(1));
  if (!link.has("q")) return false;
  byId("question").value = link.get("q");
  byId("lang").value = link.get("l") ?? "";
  byId("style").value = link.get("a") ?? "";
  const wanted = new Set((link.get("s") ?? "").split(",")), named = new Set(link.getAll("c"));
  for (const box of boxes("strategies")) box.checked = wanted.has(box.value);
  const here = new Set(boxes("collections").map((box) => box.value));
  const missing = [...named].filter((name) => !here.has(name));
  for (const box of boxes("collections")) box.checked = !named.size || missing.length > 0 || named.has(box.value);
  if (missing.length) byId("status").textContent = `The link names collections that are not here: ${missing.join(", ")}.`;
  return !missing.length;
}

async function choices() {
  const response = await fetch("/v1/choices", { headers: headers() });
  if (!response.ok) {
    byId("status").textContent = (await problem(response)).message;
    return false;
  }
  const { strategies, strategy, collections, languages } = await response.json();
  fill("strategies", strategies, (name) => name === strategy);
  byId("which").hidden = collections.length < 2;
  fill("collections", collections, () => true);
  for (const { code, name } of languages) byId("lang").append(make("option", { value: code, textContent: `${name} (${code})` }));
  return true;
}

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
});
byId("stop").addEventListener("click", () => running?.abort());
byId("forget").addEventListener("click", () => { localStorage.removeItem(KEPT); showPast(); });
byId("key").addEventListener("change", () => { if (!byId("strategies").children.length) choices(); });
window.addEventListener("hashchange", () => { if (!running && fromLink()) ask(); });
showPast();
choices().then((known) => { if (known && fromLink()) ask(); });
