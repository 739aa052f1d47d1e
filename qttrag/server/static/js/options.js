// The settings of a question: the form under "Options", and links that carry a question with its settings.

import { byId, make } from "./dom.js";
import { has, languageName, t } from "./i18n.js";

let choices = null;

export const offered = () => choices;

/** Fill the form with what the deployment offers (`/v1/choices`). */
export function offer(all) {
  choices = all;
  const languages = all.languages.map(({ code, name }) => ({ code, name: languageName(code, name) }));
  languages.sort((one, other) => one.name.localeCompare(other.name));
  byId("lang").append(...languages.map(({ code, name }) => make("option", { value: code, textContent: name })));
  rows("strategies").replaceChildren(...all.strategies.map(strategyRow));
  rows("collections").replaceChildren(...all.collections.map((name) => row({ type: "checkbox", value: name, checked: true }, name)));
  byId("collections").hidden = all.collections.length < 2;
  byId("question").maxLength = all.longest_question;
  byId("compare").addEventListener("change", () => setComparing(byId("compare").checked));
  byId("options").addEventListener("change", describe);
  setSettings({});
}

const rows = (id) => byId(id).querySelector(".rows");
const inputs = (id) => [...rows(id).querySelectorAll("input")];
const checked = (id) => inputs(id).filter((input) => input.checked).map((input) => input.value);

function row(properties, ...label) {
  return make("label", {}, make("input", properties), make("span", {}, ...label));
}

function strategyRow(name) {
  return row({ type: "radio", name: "strategy", value: name }, make("code", { textContent: name }), " ", explanation(name));
}

/** Return an element that explains a strategy: in the reader's language, or in the words of the package it comes from. */
export function explanation(name) {
  const key = `strategies.${name}`;
  return has(key) ? make("span", { textContent: t(key) })
    : make("span", { lang: "en", dir: "auto", textContent: choices?.explanations[name] ?? "" });
}

function setComparing(isComparing) {
  const [first] = checked("strategies");
  for (const input of inputs("strategies")) {
    input.checked = input.checked && (isComparing || input.value === first);  // before its type: a radio button unchecks others
    input.type = isComparing ? "checkbox" : "radio";
  }
  byId("compare").checked = isComparing;
}

export function settings() {
  const collections = checked("collections");
  return {
    strategies: checked("strategies"),
    lang: byId("lang").value,
    style: byId("style").value,
    collections: collections.length < inputs("collections").length ? collections : null,
  };
}

/** Set the form; what is missing gets the deployment's default. Return the names that this deployment does not have. */
export function setSettings({ strategies = [], lang = "", style = "", collections = null }) {
  const missing = [...strategies.filter((name) => !choices.strategies.includes(name)),
    ...(collections ?? []).filter((name) => !choices.collections.includes(name))];
  const known = strategies.filter((name) => choices.strategies.includes(name));
  const chosen = known.length ? known : [choices.strategy];
  setComparing(chosen.length > 1);
  for (const input of inputs("strategies")) input.checked = chosen.includes(input.value);
  const some = (collections ?? []).filter((name) => choices.collections.includes(name));
  for (const input of inputs("collections")) input.checked = !some.length || some.includes(input.value);
  byId("lang").value = lang;
  byId("style").value = style;
  if (byId("lang").value !== lang) byId("lang").value = "";
  if (byId("style").value !== style) byId("style").value = "";
  describe();
  return missing;
}

/** Return what keeps these settings from being asked, in words, or "". */
export function obstacle({ strategies, collections }) {
  if (!strategies.length) return t("problems.no_strategy");
  return collections && !collections.length ? t("problems.no_collection") : "";
}

function describe() {
  const { strategies, lang, style, collections } = settings();
  const parts = [strategies.join(", "), lang && languageName(lang), style && t(`options.styles.${style}`), collections?.join(", ")];
  byId("chosen").replaceChildren(...parts.filter(Boolean).map((part) => make("bdi", { className: "chip", textContent: part })));
}

/** Return a link that fills in the question with its settings. */
export function linkTo(question, { strategies, lang, style, collections }) {
  const link = new URLSearchParams({ q: question, s: strategies.join(",") });
  if (lang) link.set("l", lang);
  if (style) link.set("a", style);
  for (const name of collections ?? []) link.append("c", name);
  return `${location.origin}${location.pathname}#${link}`;
}

/** Return {question, settings} of such a link, or null. */
export function fromLink(hash) {
  const link = new URLSearchParams(hash.slice(1));
  if (!link.has("q")) return null;
  const strategies = (link.get("s") ?? "").split(",").filter(Boolean), collections = link.getAll("c");
  return {
    question: link.get("q"),
    settings: { strategies, lang: link.get("l") ?? "", style: link.get("a") ?? "", collections: collections.length ? collections : null },
  };
}
