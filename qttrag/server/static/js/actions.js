// What a reader does with an answer: copy it, save it, share its question, and say whether it is good.

import { announce, button, make, thumb } from "./dom.js";
import { t } from "./i18n.js";
import { linkTo, offered } from "./options.js";
import { call } from "./service.js";

/** Return the buttons under an answer. */
export function actions(turn, data) {
  const votes = offered()?.feedback ? feedback(turn, data) : [];
  return make("div", { className: "actions" },
    copying("actions.copy", () => data.answer),
    copying("actions.link", () => linkTo(turn.question, turn.settings)),
    button(t("actions.markdown"), () => save("answer.md", "text/markdown", markdown(turn, data))),
    button("JSON", () => save("answer.json", "application/json", JSON.stringify(data, null, 2)), { ariaLabel: t("actions.json") }),
    ...votes);
}

function copying(key, text) {
  const element = button(t(key), async () => {
    element.textContent = t((await copy(text())) ? "actions.copied" : "actions.not_copied");
    announce(element.textContent);
    setTimeout(() => { element.textContent = t(key); }, 2000);
  });
  return element;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* only pages of https and localhost have it */ }
  const field = make("textarea", { value: text, className: "unseen" });
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const plain = (text) => text.replace(/([\\`*_{}[\]<>#|])/g, "\\$1");  // passages must not become markup elsewhere, either
const quote = (text) => plain(text).split("\n").map((line) => `   > ${line}`).join("\n");

export function markdown(turn, data) {
  const sources = data.passages.map((passage) => {
    const place = [passage.lang, passage.file, passage.page && t("facts.page_n", { n: passage.page })].filter(Boolean).join(", ");
    return `${passage.n}. **${plain(passage.title || passage.passage_id)}** (${plain(place)})\n\n${quote(passage.translation ?? passage.text)}`;
  });
  return [`# ${plain(turn.question)}`, plain(data.answer), `## ${t("sources")}`, ...sources, ""].join("\n\n");
}

function feedback(turn, data) {
  const place = make("div", { className: "opinion" });
  const vote = (value) => {
    const element = button("", () => openForm(place, value, turn, data), { ariaLabel: t(`feedback.${value}`), title: t(`feedback.${value}`) });
    element.append(thumb(value));
    return element;
  };
  return [vote("up"), vote("down"), place];
}

function openForm(place, vote, turn, data) {
  const comment = make("textarea", { rows: 2, maxLength: 2000, dir: "auto", ariaLabel: t("feedback.comment"), placeholder: t("feedback.comment") });
  const form = make("form", {}, make("strong", { textContent: t(`feedback.${vote}`) }), comment,
    make("p", { className: "faint", textContent: t("feedback.what") }),
    make("div", { className: "buttons" }, make("button", { type: "submit", textContent: t("feedback.send") }), button(t("cancel"), () => place.replaceChildren())));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { strategy, lang, answer, request_id: id } = data;
    const opinion = { vote, comment: comment.value, question: turn.question, answer, strategy, lang, request_id: id };
    const told = await call("/v1/feedback", { method: "POST", json: opinion }).then(() => t("feedback.thanks"), (error) => error.sentence);
    place.replaceChildren(make("p", { textContent: told }));
    announce(told);
  });
  place.replaceChildren(form);
  comment.focus();
}
