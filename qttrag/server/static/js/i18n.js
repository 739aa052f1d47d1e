// The texts of the interface in the reader's language, and names and numbers as that language writes them.

import { byId, make } from "./dom.js";

const NAMES = { en: "English", ko: "한국어", fi: "Suomi", zh: "中文", ja: "日本語", ar: "العربية", es: "Español" };
const KEPT = "qttrag.interface";

export const language = choose();
const numbers = `${language}-u-nu-latn`;  // the digits of citations
const names = new Intl.DisplayNames([language], { type: "language", fallback: "none" });
let texts = {};

function choose() {
  const wanted = [localStorage.getItem(KEPT), ...navigator.languages].map((tag) => tag?.split("-")[0].toLowerCase());
  return wanted.find((code) => code in NAMES) ?? "en";
}

const find = (key) => key.split(".").reduce((part, name) => part?.[name], texts);

export function t(key, values = {}) {
  return String(find(key) ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const has = (key) => typeof find(key) === "string";

export function languageName(code, fallback = code) {
  try { return names.of(code) ?? fallback; } catch { return fallback; }
}

export const score = (value) => value.toLocaleString(numbers, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function seconds(value) {
  const digits = value < 10 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString(numbers, { style: "unit", unit: "second", unitDisplay: "short", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function bytes(value) {
  const [unit, size] = value < 1e6 ? ["kilobyte", 1e3] : ["megabyte", 1e6];
  return (value / size).toLocaleString(numbers, { style: "unit", unit, maximumFractionDigits: 1 });
}

export const when = (time) => new Date(time).toLocaleString(numbers, { dateStyle: "medium", timeStyle: "short" });

export async function loadTexts() {
  texts = await (await fetch(`/page/locales/${language}.json`)).json();
  document.documentElement.lang = language;
  document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.ariaLabel = t(element.dataset.label);
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = t(element.dataset.placeholder);
  offerLanguages();
}

function offerLanguages() {
  const select = byId("interface");
  select.append(...Object.entries(NAMES).map(([code, name]) =>
    make("option", { value: code, lang: code, textContent: name, selected: code === language })));
  select.addEventListener("change", () => {
    localStorage.setItem(KEPT, select.value);
    location.reload();
  });
}
