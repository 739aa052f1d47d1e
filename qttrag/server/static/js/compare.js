// What differs between the answers of several strategies: their words, and the passages that only one of them saw.

import { make } from "./dom.js";
import { t } from "./i18n.js";

/** Two answers agree if they are the same words: without citations, case, punctuation and spaces. */
export const normalised = (answer) =>
  answer.normalize("NFKC").toLowerCase().replace(/\[\d+\]/g, "").replace(/[\p{P}\p{S}\s]+/gu, " ").trim();

/** Mark the finished answers of a question. `summary`: the element for the sentence about all of them. */
export function markDifferences(views, summary) {
  const finished = views.filter((view) => view.data);
  if (views.length < 2) return;
  for (const view of finished) {
    const same = finished.filter((other) => other !== view && normalised(other.data.answer) === normalised(view.data.answer));
    view.setComparison(finished.length < 2 ? null : badgeOf(same));
    markPassages(view, finished);
  }
  summary.textContent = finished.length < 2 ? "" : agreement(finished);
  summary.hidden = finished.length < 2;
}

function badgeOf(same) {
  return same.length
    ? make("span", { className: "badge good", textContent: t("compare.same_as", { names: same.map((view) => view.strategy).join(", ") }) })
    : make("span", { className: "badge doubtful", textContent: t("compare.alone") });
}

function agreement(finished) {
  const sizes = new Map();
  for (const { data } of finished) sizes.set(normalised(data.answer), (sizes.get(normalised(data.answer)) ?? 0) + 1);
  const most = Math.max(...sizes.values());
  return most === 1 ? t("compare.all_differ") : t("compare.agree", { n: most, all: finished.length });
}

function markPassages(view, finished) {
  const others = finished.filter((other) => other !== view);
  const seen = new Set(others.flatMap((other) => other.data.passages.map((passage) => passage.passage_id)));
  for (const item of view.element.querySelectorAll(".passages > li")) {
    const isAlone = others.length > 0 && !seen.has(item.dataset.passage);
    item.classList.toggle("alone", isAlone);
    item.querySelector(".badge.alone")?.remove();
    if (isAlone) item.querySelector(".badges").append(make("span", { className: "badge alone", textContent: t("compare.only_here") }));
  }
}
