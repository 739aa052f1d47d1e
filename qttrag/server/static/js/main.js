// The page: what is asked where, the address, and the dialogs.

import { ConversationView } from "./conversation.js";
import { showDocuments } from "./documents.js";
import { announce, button, byId, make, show } from "./dom.js";
import { language, loadTexts, t, when } from "./i18n.js";
import { fromLink, obstacle, offer, offered, setSettings, settings } from "./options.js";
import { call, untilReady } from "./service.js";
import { conversation, conversations, forgetAll, newConversation } from "./store.js";

const opened = new Map();  // by id: going back to one that is being answered shows it so
let current = null;

function view(kept) {
  if (!opened.has(kept.id)) opened.set(kept.id, new ConversationView(kept, refresh));
  return opened.get(kept.id);
}

function ask(question = byId("question").value.trim(), chosen = settings()) {
  const problem = obstacle(chosen);
  show(byId("problem"), problem);
  if (problem) byId("options").open = true;
  if (!offered() || !question || problem || current?.isRunning) return;
  if (!current) {
    open(newConversation());
    history.pushState(null, "", `#t=${current.kept.id}`);
  }
  byId("question").value = "";
  if (matchMedia("(pointer: coarse)").matches) byId("question").blur();  // the keyboard on the screen would cover the answer
  byId("options").open = false;
  current.ask(question, chosen);
  current.scrollToNewest();
}

function open(kept) {
  current = kept && view(kept);
  byId("thread").replaceChildren(...(current ? [current.element] : []));
  show(byId("notice"), "");
  show(byId("problem"), "");
  refresh();
}

function refresh() {
  document.body.dataset.view = current ? "conversation" : "empty";
  byId("new").hidden = !current;
  byId("go").disabled = current?.isRunning ?? false;
  byId("question").placeholder = t(current ? "follow_up_placeholder" : "ask_placeholder");
  byId("examples").hidden = current !== null || !byId("examples").querySelector("li");
  document.title = current?.kept.turns.length ? `${current.kept.turns[0].question} · qttrag` : "qttrag";
}

/** Show what the address names: a kept conversation, a question with its settings, or nothing yet. */
function follow() {
  const id = new URLSearchParams(location.hash.slice(1)).get("t");
  const kept = id && (opened.get(id)?.kept ?? conversation(id));
  open(kept || null);
  if (id && !kept) show(byId("notice"), t("problems.not_here"));
  if (kept) setSettings(current.newest.settings);
  current?.scrollToNewest();
  const link = fromLink(location.hash);
  if (link) fillIn(link);
}

function fillIn({ question, settings: wanted }) {
  byId("question").value = question;
  const missing = setSettings(wanted);
  byId("options").open = missing.length > 0;
  show(byId("problem"), missing.length ? t("problems.missing", { names: missing.join(", ") }) : "");
  announce(t("filled_in"));
  byId("go").focus();
}

function start() {
  history.pushState(null, "", location.pathname);
  open(null);
  byId("question").focus();
}

function showExamples() {
  const all = offered().examples;
  const shown = (all[language] ?? Object.values(all).map(([first]) => first)).filter(Boolean).slice(0, 3);
  byId("examples").querySelector("ul").replaceChildren(...shown.map((question) =>
    make("li", {}, button(question, () => ask(question), { dir: "auto" }))));
}

function showHistory() {
  byId("kept").replaceChildren(...conversations().map(({ id, time, turns }) => {
    const link = make("a", { href: `#t=${id}` }, make("bdi", { textContent: turns[0].question }));
    link.addEventListener("click", () => byId("history").close());
    return make("li", {}, link, " ", make("span", { className: "faint", textContent: when(time) }));
  }));
  byId("forget").hidden = !byId("kept").children.length;
  byId("history").showModal();
}

function forget() {
  forgetAll();
  for (const [id, each] of opened) if (each !== current) opened.delete(id);
  byId("history").close();
}

function listen() {
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  byId("question").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;  // input methods confirm with Enter, too
    event.preventDefault();
    ask();
  });
  byId("new").addEventListener("click", start);
  byId("home").addEventListener("click", (event) => { event.preventDefault(); start(); });
  byId("open-history").addEventListener("click", showHistory);
  byId("forget").addEventListener("click", forget);
  window.addEventListener("popstate", follow);
}

async function reportLoading() {
  const banner = byId("loading");
  await untilReady((sentence) => {
    if (banner.textContent !== sentence) announce(sentence);
    show(banner, sentence);
  });
  if (!banner.hidden) announce(t("states.ready"));
  show(banner, "");
}

async function begin() {
  await loadTexts();
  listen();
  refresh();
  reportLoading();
  try {
    offer(await (await call("/v1/choices")).json());
  } catch (error) {
    show(byId("notice"), error.sentence);
    byId("notice").append(" ", button(t("retry"), () => location.reload()));
    return;
  }
  showExamples();
  follow();
  document.body.dataset.ready = "";
  await showDocuments();
}

begin();
