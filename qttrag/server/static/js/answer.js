// The answer of one strategy to one question: its state, its text as it streams, its citations and passages.

import { actions } from "./actions.js";
import { announce, button, make } from "./dom.js";
import { seconds, t } from "./i18n.js";
import { explanation } from "./options.js";
import { openPassage, passageList } from "./passages.js";
import { call, events, ServiceError, untilReady } from "./service.js";
import { Stages, timing } from "./stages.js";

let views = 0;

export class AnswerView {
  /** `turn`: {question, settings, answers}. `earlier`: the turns before it, as the service takes them. `onChange`: is
      called when the answer is complete or has failed. */
  constructor(turn, strategy, earlier, onChange) {
    Object.assign(this, { turn, strategy, earlier, onChange, number: ++views, data: null, abort: null });
    this.stages = new Stages(strategy);
    this.state = make("div", { className: "state" });
    this.comparison = make("p", { className: "comparison", hidden: true });
    this.answer = make("div", { className: "answer", dir: "auto" });
    this.below = make("div");  // citations, notes, actions
    this.sources = make("section", { className: "sources", hidden: true });
    this.element = make("article", { ariaLabel: strategy },
      make("h3", {}, make("code", { textContent: strategy }), " ", explanation(strategy)),
      this.comparison, this.state, this.answer, this.below, this.sources);
  }

  get isRunning() { return this.abort !== null; }

  stop() { this.abort?.abort(); }

  async run() {
    this.abort = new AbortController();
    this.clear();
    try {
      await this.ask(this.abort.signal);
    } catch (error) {
      this.fail(error);
    } finally {
      this.abort = null;
      this.onChange();
    }
  }

  clear() {
    this.data = null;
    this.text = "";
    this.sources.hidden = true;
    for (const part of [this.answer, this.below, this.sources]) part.replaceChildren();
    this.stages.begin();
    this.setState("asking", this.stages.element, button(t("stop"), () => this.stop(), { className: "stop" }));
    announce(this.stages.current);
  }

  setState(state, ...content) {
    this.element.dataset.state = state;
    this.state.replaceChildren(...content);
    this.state.hidden = !content.length;
  }

  async ask(signal) {
    const response = await this.whenReady(signal);
    for await (const { kind, data } of events(response)) this.take(kind, data);
    if (!this.data) throw new ServiceError("network");
  }

  async whenReady(signal) {
    const { lang, style, collections } = this.turn.settings;
    const json = {
      question: this.turn.question, strategy: this.strategy, stream: true, earlier: this.earlier,
      ...(lang ? { lang } : {}), ...(style ? { answer_style: style } : {}), ...(collections ? { collections } : {}),
    };
    for (;;) {
      try {
        return await call("/v1/ask", { method: "POST", json, signal });
      } catch (error) {
        if (error.code !== "not_ready") throw error;
        await this.wait(signal);
      }
    }
  }

  async wait(signal) {
    const line = make("p");
    this.setState("loading", line, button(t("stop"), () => this.stop(), { className: "stop" }));
    await untilReady((sentence) => {
      if (line.textContent !== sentence) announce(sentence);
      line.textContent = sentence;
    }, signal);
    this.clear();
  }

  take(kind, data) {
    if (kind === "error") throw new ServiceError(data.error.code, data.error.message, data.error);
    if (kind === "end") return this.complete(data);
    if (kind === "restarted") this.text = "";
    if (kind === "piece") this.text += data.text;
    if (kind === "restarted" || kind === "piece") this.answer.textContent = this.text;
    if (data.passages) this.showPassages(data.passages);
    if (kind !== "restarted") this.report(this.stages.reach(kind, data.passages));
  }

  report(now) {
    if (this.reported !== now) announce(now);
    this.reported = now;
  }

  /** Show a whole answer: one that has just ended, or one that was kept. */
  complete(data) {
    this.data = data;
    this.setState(data.degraded.length ? "degraded" : "done");
    this.answer.lang = data.lang;
    this.answer.replaceChildren(...this.cited(data));
    if (!data.answer) this.answer.append(make("span", { className: "faint", lang: "", textContent: t("no_answer") }));
    this.below.replaceChildren(...this.found(data), ...notes(data), actions(this.turn, data), timing(this.strategy, data.trace.seconds));
    this.showPassages(data.passages);
  }

  cited({ answer, passages }) {
    const known = new Set(passages.map((passage) => passage.n));
    return answer.split(/(\[\d+\])/).map((part) => {
      const n = Number(/^\[(\d+)\]$/.exec(part)?.[1]);
      return known.has(n) ? this.citation(n) : part;
    });
  }

  found({ citations }) {
    if (citations.how !== "found") return [];
    return [make("p", { className: "found" }, `${t("supported_by")} `, ...citations.passages.flatMap((n) => [this.citation(n), " "]))];
  }

  citation(n) {
    return button(`[${n}]`, () => openPassage(this.sources, this.anchor(n)), { className: "citation", ariaLabel: t("citation", { n }) });
  }

  anchor(n) { return `passage-${this.number}-${n}`; }

  showPassages(passages) {
    const open = new Set([...this.sources.querySelectorAll("details[open]")].map((element) => element.id));
    const list = passageList(passages, (n) => this.anchor(n));
    for (const element of list.querySelectorAll("details")) element.open = open.has(element.id);
    this.sources.replaceChildren(make("h4", { textContent: `${t("sources")} (${passages.length})` }), list);
    this.sources.hidden = !passages.length;
  }

  setComparison(badge) {
    this.comparison.replaceChildren(...(badge ? [badge] : []));
    this.comparison.hidden = !badge;
  }

  fail(error) {
    this.answer.replaceChildren();
    const again = button(t("retry"), () => this.run(), { className: "retry" });
    if (error.name === "AbortError") return this.end("stopped", make("p", { textContent: t("states.stopped") }), again);
    const { sentence = t("errors.other"), retryAfter = null, status = 0, message } = error;
    const line = make("p", { textContent: sentence });
    if (status === 429) return this.countDown(line, again, retryAfter ?? 1);
    const theirs = make("p", { className: "faint", lang: "en", dir: "ltr", textContent: message });
    return this.end("failed", line, ...(message ? [theirs] : []), again);
  }

  end(state, line, ...more) {
    this.setState(state, line, ...more);
    announce(line.textContent);
  }

  countDown(line, again, left) {
    const time = make("p", { className: "countdown" });
    this.end("busy", line, time, again);
    const tick = () => {
      again.disabled = left > 0;
      time.textContent = left > 0 ? t("states.again_in", { time: seconds(left) }) : t("states.again_now");
      if (left > 0) setTimeout(tick, 1000);
      else announce(time.textContent);
      left -= 1;
    };
    tick();
  }

  /** Show that this answer was not kept: it had not ended. */
  missing() { this.end("stopped", make("p", { textContent: t("states.not_kept") }), button(t("retry"), () => this.run(), { className: "retry" })); }
}

function notes(data) {
  const own = [data.abstained && t("notes.abstained"), data.language_check === "wrong" && t("notes.wrong_language"), data.finish_reason === "length" && t("notes.cut")];
  const items = [...own.filter(Boolean).map((note) => make("li", { textContent: note })),
    ...data.trace.notes.map((note) => make("li", { lang: "en", dir: "auto", textContent: note }))];
  return items.length ? [make("ul", { className: "notes" }, ...items)] : [];
}
