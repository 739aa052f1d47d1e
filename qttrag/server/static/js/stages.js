// The stages of a question as they happen, and afterwards how long each took.

import { make } from "./dom.js";
import { has, seconds, t } from "./i18n.js";

const LAST = "piece";  // the first words of the answer
const EVENTS = {  // of each strategy, in order; another package's strategy shows what has happened
  base: ["ranked", LAST],
  query_translation: ["ranked", LAST],
  cross_rag: ["ranked", "translated", LAST],
  dkm_rag: ["ranked", "translated", "refined", LAST],
  qtt_rag: ["ranked", "translated", "tagged", LAST],
  hard_filter: ["ranked", "translated", "tagged", LAST],
  pivot_answer: ["ranked", "translated", "tagged", LAST],
  vote: ["ranked", "translated", "tagged", LAST],
};

export class Stages {
  constructor(strategy) {
    this.expected = EVENTS[strategy] ?? [];
    this.element = make("ol", { className: "stages" });
    this.begin();
  }

  begin() {
    this.started = performance.now();
    this.past = [];
    this.render();
  }

  /** Note an event; return what happens now, in words. */
  reach(kind, passages) {
    if (!this.past.some((stage) => stage.kind === kind)) {
      this.past.push({ kind, after: (performance.now() - this.started) / 1000, n: passages?.length });
      this.render();
    }
    return this.current;
  }

  get current() {
    if (this.past.some(({ kind }) => kind === LAST)) return t("stages.now.piece");
    const next = this.expected.find((kind) => !this.past.some((stage) => stage.kind === kind));
    return t(`stages.now.${next ?? (this.past.length ? "other" : "ranked")}`);
  }

  render() {
    const done = this.past.filter(({ kind }) => kind !== LAST).map(({ kind, after, n }) =>
      make("li", { dataset: { state: "done" }, textContent: `${t(`stages.done.${kind}`, { n })} · ${seconds(after)}` }));
    this.element.replaceChildren(...done, make("li", { dataset: { state: "now" }, textContent: this.current }));
  }
}

/** Return how long each stage took, to unfold. `measured`: seconds by stage, as the service measured them. */
export function timing(strategy, measured) {
  const stages = Object.entries(measured).map(([name, value]) => [name, Math.max(0, value)]);
  const total = stages.reduce((sum, [, value]) => sum + value, 0);
  const bar = make("div", { className: "times", ariaHidden: "true" });
  const rows = stages.map(([name, value]) => {
    const part = make("span");
    part.style.flexGrow = value / (total || 1);
    bar.append(part);
    return make("li", { textContent: `${has(`parts.${name}`) ? t(`parts.${name}`) : name}: ${seconds(value)}` });
  });
  return make("details", { className: "timing" },
    make("summary", {}, `${t("took", { time: seconds(total) })} · `, make("code", { textContent: strategy })),
    bar, make("ul", {}, ...rows));
}
