// A conversation on the page: its questions, oldest first, each with the answers of one or several strategies.

import { AnswerView } from "./answer.js";
import { markDifferences } from "./compare.js";
import { announce, make } from "./dom.js";
import { t } from "./i18n.js";
import { keep } from "./store.js";

const MOST_EARLIER = 10;  // questions that a follow-up is understood by

export class ConversationView {
  /** `kept`: the conversation as it is stored. `onChange`: is called when a question begins or ends. */
  constructor(kept, onChange) {
    this.kept = kept;
    this.onChange = onChange;
    this.views = [];
    this.element = make("div", { className: "conversation" });
    for (const turn of kept.turns) this.restore(turn);
  }

  get isRunning() { return this.views.some((view) => view.isRunning); }

  get newest() { return this.kept.turns.at(-1); }

  ask(question, settings) {
    const turn = { question, settings, answers: {} };
    const earlier = (strategy) => this.earlier(strategy);
    const added = this.add(turn, settings.strategies.map((strategy) => [strategy, earlier(strategy)]));
    this.kept.turns.push(turn);
    this.kept.time = Date.now();
    keep(this.kept);
    for (const view of added) view.run();
    this.onChange();
  }

  restore(turn) {
    const index = this.kept.turns.indexOf(turn);
    const views = this.add(turn, turn.settings.strategies.map((strategy) => [strategy, this.earlier(strategy, index)]));
    for (const view of views) {
      const data = turn.answers[view.strategy];
      if (data) view.complete(data); else view.missing();
    }
    markDifferences(views, views[0].summary);
  }

  add(turn, strategies) {
    const summary = make("p", { className: "agreement", hidden: true });
    const views = strategies.map(([strategy, earlier]) => new AnswerView(turn, strategy, earlier, () => this.ended(turn, views)));
    for (const view of views) view.summary = summary;
    this.views.push(...views);
    const columns = make("div", { className: "columns" }, ...views.map((view) => view.element));
    this.element.append(make("section", { className: views.length > 1 ? "turn compared" : "turn", ariaLabel: turn.question },
      make("h2", { dir: "auto", textContent: turn.question }), summary, columns));
    return views;
  }

  /** Return the turns before the one at `end` as the service takes them, in the answers of a strategy where it has some. */
  earlier(strategy, end = this.kept.turns.length) {
    return this.kept.turns.slice(0, end).slice(-MOST_EARLIER).flatMap(({ question, answers }) => {
      const answer = (answers[strategy] ?? Object.values(answers)[0])?.answer;
      return answer ? [{ role: "user", content: question }, { role: "assistant", content: answer }] : [];
    });
  }

  ended(turn, views) {
    for (const { strategy, data } of views) if (data) turn.answers[strategy] = data;
    keep(this.kept);
    markDifferences(views, views[0].summary);
    if (!views.some((view) => view.isRunning)) this.tell(views);
    this.onChange();
  }

  tell(views) {
    const [{ data }] = views;
    if (views.length === 1 && data) announce(`${t("states.done")} ${data.answer}`);
    else if (views.every((view) => view.data)) announce(t("states.all_done"));
  }

  scrollToNewest() { this.element.lastElementChild?.scrollIntoView({ block: "start" }); }
}
