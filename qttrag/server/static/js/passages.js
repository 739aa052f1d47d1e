// The passages of an answer: each folded to two lines with one badge, unfolding to original, translation and scores.
// The language of a translation is the strategy's choice and not in the answer: its text says lang="", unknown.

import { make } from "./dom.js";
import { has, languageName, score, t } from "./i18n.js";
import { offered } from "./options.js";

const CRITERIA = ["semantic", "grammar", "fluency"];
const GOOD = 3.5, DOUBTFUL = 2.5;  // below 3.5 the hard filter drops a translation

/** Return the list of passages. `anchor`: makes the id of a passage from its number. */
export function passageList(passages, anchor) {
  return make("ol", { className: "passages" }, ...passages.map((passage) => card(passage, anchor(passage.n))));
}

const level = (value) => (value >= GOOD ? "good" : value >= DOUBTFUL ? "doubtful" : "poor");
const badge = (kind, text, title = "") => make("span", { className: `badge ${kind}`, textContent: text, title });
const label = (group, name) => (has(`${group}.${name}`) ? t(`${group}.${name}`) : name);

function card(passage, id) {
  const read = passage.translation ?? passage.text;
  const readLang = passage.translation === null ? passage.lang : "";
  return make("li", { dataset: { passage: passage.passage_id } }, make("details", { id, className: "passage" },
    make("summary", {},
      make("span", { className: "line" },
        make("span", { className: "n", textContent: `[${passage.n}]` }), heading(passage), " ",
        make("span", { className: "badges" }, badge("plain", languageName(passage.lang)), qualityBadge(passage))),
      make("span", { className: "glimpse", lang: readLang, dir: "auto", textContent: read })),
    sides(passage), details(passage)));
}

function heading(passage) {
  return make("bdi", { className: "title", lang: passage.lang, textContent: passage.title || passage.file || passage.passage_id });
}

/** The one badge of a passage: an original, or how good its translation is. */
function qualityBadge(passage) {
  if (passage.flags.includes("unsupported")) return badge("doubtful", t("badges.untranslated"));
  if (passage.translation === null) return badge("original", t("badges.original"));
  const values = measured(passage).map(([, value]) => value);
  if (!values.length) return passage.unscored ? badge("doubtful", t("badges.unscored")) : badge("plain", t("badges.translated"));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const hasErrors = passage.critical_errors.length + passage.flags.length > 0;
  const kind = hasErrors && level(mean) === "good" ? "doubtful" : level(mean);
  const text = t("badges.quality", { score: score(mean) });
  return badge(kind, hasErrors ? `${text} ⚠` : text, t(`levels.${kind}`));
}

const measured = ({ scores }) => CRITERIA.filter((name) => typeof scores?.[name] === "number").map((name) => [name, scores[name]]);

function sides(passage) {
  const side = (name, code, text) => make("div", {},
    make("h5", { textContent: code ? `${t(`sides.${name}`)} · ${languageName(code)}` : t(`sides.${name}`) }),
    make("p", { lang: code, dir: "auto", textContent: text }));
  return make("div", { className: "sides" },
    side("original", passage.lang, passage.text),
    passage.translation === null ? null : side("translation", "", passage.translation),
    passage.refined === null ? null : side("rewritten", "", passage.refined));
}

function details(passage) {
  const facts = [...scoreFacts(passage), ...flagFacts(passage), ...placeFacts(passage)];
  return make("dl", { className: "facts" }, ...facts.map(([name, ...value]) =>
    make("div", {}, make("dt", { textContent: name }), make("dd", {}, ...value))));
}

function scoreFacts(passage) {
  const scores = measured(passage).map(([name, value]) => [t(`criteria.${name}`), badge(level(value), score(value), t(`levels.${level(value)}`)), " ", t("of_five")]);
  return passage.unscored ? [...scores, [t("badges.unscored"), make("bdi", { textContent: label("causes", passage.unscored) })]] : scores;
}

function flagFacts({ flags, critical_errors: errors }) {
  const texts = [...flags.map((flag) => [label("flags", flag), []]), ...errors.map(({ kind, original }) => [label("flags", kind), original])];
  const marks = texts.map(([text, words]) => make("span", { className: "badge poor" }, text,
    ...words.flatMap((word, n) => [n ? ", " : ": ", make("bdi", { textContent: word })])));
  return marks.length ? [[t("facts.defects"), ...marks]] : [];
}

function placeFacts(passage) {
  const facts = [];
  if (passage.file) facts.push([t("facts.file"), make("bdi", { textContent: passage.file })]);
  if (passage.page !== null && passage.page !== undefined) facts.push([t("facts.page"), String(passage.page)]);
  if (passage.headings?.length) facts.push([t("facts.section"), make("bdi", { textContent: passage.headings.join(" › ") })]);
  if (passage.retrieved_rank) facts.push([t("facts.rank"), rank(passage)]);
  facts.push([t("facts.score"), passage.score.toFixed(3)], [t("facts.id"), make("bdi", { textContent: passage.passage_id })]);
  return facts;
}

function rank({ retrieved_rank: before, n }) {
  return offered()?.reranks ? t("facts.reranked", { before, after: n }) : String(before);
}

/** Unfold a passage, mark it as the cited one and put the focus on it. */
export function openPassage(list, id) {
  for (const passage of list.querySelectorAll("details.passage")) {
    const isCited = passage.id === id;
    passage.classList.toggle("cited", isCited);
    if (!isCited) continue;
    passage.open = true;
    passage.scrollIntoView({ block: "nearest" });
    passage.querySelector("summary").focus({ preventScroll: true });
  }
}
