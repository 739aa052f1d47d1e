// Elements. Text from passages, models and files becomes text nodes only, never markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const { dataset = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function button(text, onClick, properties = {}) {
  const element = make("button", { type: "button", textContent: text, ...properties });
  element.addEventListener("click", onClick);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const THUMB = "M7 10v11H3V10h4Zm2 11V10l4-8c1.7 0 2.6 1.2 2.3 2.8L14.6 8H20a1.9 1.9 0 0 1 1.9 2.3l-1.6 8.8A2.3 2.3 0 0 1 18 21H9Z";

export function thumb(vote) {
  const image = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  image.setAttribute("viewBox", "0 0 24 24");
  image.setAttribute("aria-hidden", "true");
  image.setAttribute("class", `thumb ${vote}`);
  path.setAttribute("d", THUMB);
  image.append(path);
  return image;
}

export function show(element, text) {  // an empty text hides the element
  element.textContent = text;
  element.hidden = !text;
}

export function announce(text) { byId("status").textContent = text; }

for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
}
