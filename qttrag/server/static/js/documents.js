// Documents of the collections that take some: add files, see how far they are, list and delete them.

import { button, byId, make, show } from "./dom.js";
import { bytes, has, languageName, t, when } from "./i18n.js";
import { call } from "./service.js";

const LOOK_MS = 500;  // between two looks at a job
const HAS_ENDED = ["done", "failed"];
let watched = 0;  // the number of the job that is shown

/** Offer the dialog if a collection takes documents. */
export async function showDocuments() {
  const takers = await collections();
  byId("open-documents").hidden = !takers.length;
  if (!takers.length) return;
  byId("collection").replaceChildren(...takers.map((name) => make("option", { value: name, textContent: name })));
  byId("collection").addEventListener("change", list);
  byId("open-documents").addEventListener("click", () => { byId("documents").showModal(); list(); });
  byId("files").addEventListener("change", () => add(byId("files").files));
  acceptDrops(byId("drop"));
}

async function collections() {
  try {
    const { collections: all } = await (await call("/v1/collections")).json();
    return all.filter((each) => each.documents).map((each) => each.name);
  } catch {
    return [];  // a service without the route
  }
}

function acceptDrops(place) {
  const mark = (isOver) => (event) => { event.preventDefault(); place.classList.toggle("over", isOver); };
  place.addEventListener("dragover", mark(true));
  place.addEventListener("dragleave", mark(false));
  place.addEventListener("drop", (event) => { mark(false)(event); add(event.dataTransfer.files); });
}

const path = (...parts) => ["/v1/collections", byId("collection").value, ...parts].map((part, n) => (n ? encodeURIComponent(part) : part)).join("/");

async function add(files) {
  if (!files.length) return;
  const body = new FormData();
  for (const file of files) body.append("files", file);
  const job = ++watched;
  showJob({ state: "sending", files: [...files].map(({ name }) => ({ name, state: "waiting" })) });
  const isDone = await reporting(async () => {
    const { job: id } = await (await call(path("documents"), { method: "POST", body })).json();
    await watch(path("jobs", id), job);
  });
  if (isDone) await list(); else byId("job").hidden = true;
  byId("files").value = "";
}

async function watch(address, number) {
  for (; number === watched; await new Promise((resolve) => setTimeout(resolve, LOOK_MS))) {
    const job = await (await call(address)).json();
    if (number === watched) showJob(job);
    if (HAS_ENDED.includes(job.state)) return;
  }
}

function showJob({ state, done, total, files }) {
  byId("job").hidden = false;
  byId("job").dataset.state = state;
  byId("job-state").textContent = t(`documents.states.${state}`);
  const progress = byId("job-progress");
  if (total) Object.assign(progress, { max: total, value: done }); else progress.removeAttribute("value");
  progress.hidden = HAS_ENDED.includes(state);
  byId("job-files").replaceChildren(...files.map(fileRow));
}

function fileRow({ name, state, passages, error }) {
  const problem = error && (has(`documents.problems.${error.code}`) ? t(`documents.problems.${error.code}`) : error.message);
  const told = problem ?? (passages ? t("documents.passages", { n: passages }) : "");
  return make("li", { dataset: { state } }, make("bdi", { textContent: name }), " ",
    make("span", { className: "badge", textContent: t(`documents.files.${state}`) }), " ",
    make("span", { className: "faint", dir: "auto", textContent: told }));
}

async function list() {
  await reporting(async () => {
    const { documents } = await (await call(path("documents"))).json();
    const rows = documents.length ? documents.map(documentRow) : [make("li", { className: "faint", textContent: t("documents.none") })];
    byId("document-list").replaceChildren(...rows);
  });
}

function documentRow({ id, name, bytes: size, pages, passages, languages, added }) {
  const facts = [bytes(size), pages && t("documents.pages", { n: pages }), t("documents.passages", { n: passages }),
    languages?.map((code) => languageName(code)).join(", "), added && when(typeof added === "number" ? added * 1000 : added)];
  const remove = async () => {
    if (!confirm(t("documents.confirm", { name }))) return;
    if (await reporting(() => call(path("documents", id), { method: "DELETE" }))) await list();
  };
  return make("li", {}, make("div", {}, make("bdi", { textContent: name }),
    make("div", { className: "faint", textContent: facts.filter(Boolean).join(" · ") })),
    button(t("documents.delete"), remove, { ariaLabel: t("documents.delete_named", { name }) }));
}

/** Do something, and show its error in the dialog. Return whether it succeeded. */
async function reporting(work) {
  show(byId("documents-problem"), "");
  try {
    await work();
    return true;
  } catch (error) {
    show(byId("documents-problem"), error.sentence ?? t("errors.other"));
    return false;
  }
}
