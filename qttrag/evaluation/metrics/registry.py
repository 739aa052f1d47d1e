"""Every measure by name: what it says of one answer, and the signature that goes with its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from qttrag.errors import ConfigError, unknown
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import answer_recall, bergen, cost, cross_lingual, entities, mkqa, xor_tydi
from qttrag.evaluation.metrics import language_neutral as fair
from qttrag.evaluation.metrics.answer_recall import Holds
from qttrag.evaluation.metrics.chrf import chrf
from qttrag.evaluation.metrics.language import in_language
from qttrag.evaluation.metrics.unscored import unscored
from qttrag.evaluation.metrics.wrong_language import wrong_of_right
from qttrag.evaluation.runs.records import Record
from qttrag.types import TaggedPassage

Unit = Literal["%", ""]


class Measure(NamedTuple):
    """A measure. `signature`: what it is exactly. `unit` "%": figures are shares, shown times 100.

    `less`: a lower figure is a better one."""

    signature: str
    unit: Unit = "%"
    less: bool = False


MEASURES: Mapping[str, Measure] = {
    "char3_bergen": Measure("char3|norm:bergen"),
    "char3_fair": Measure("char3|norm:nfkc|grams:string"),
    "f1_bergen": Measure("f1|norm:bergen"),
    "em_bergen": Measure("em|norm:bergen"),
    "match_bergen": Measure("match|norm:bergen"),
    "em_fair": Measure("em|norm:nfkc"),
    "match_fair": Measure("match|norm:nfkc|at:word-start"),
    "f1_official": Measure("f1|scorer:official"),
    "em_official": Measure("em|scorer:official"),
    "bleu_official": Measure("bleu4|chars|scorer:official"),
    "chrf": Measure("chrF2|best-reference|sacrebleu"),
    "correct_language": Measure("correct-language|script,fasttext|of:decided"),
    "wrong_language": Measure("right-in-wrong-language|match:nfkc|of:right", less=True),
    "answer_recall@1": Measure("answer-recall@1|read|match:nfkc"),
    "answer_recall@5": Measure("answer-recall@5|read|match:nfkc"),
    "answer_recall_native@5": Measure("answer-recall@5|read|match:nfkc|passages:native"),
    "answer_recall_foreign@5": Measure("answer-recall@5|read|match:nfkc|passages:foreign"),
    "answer_recall_found@50": Measure("answer-recall@50|found|match:nfkc"),
    "nDCG@10": Measure("nDCG@10|trec_eval"),
    "RR@10": Measure("RR@10|trec_eval"),
    "R@5": Measure("R@5|trec_eval"),
    "R@50": Measure("R@50|trec_eval"),
    "r_lang": Measure("r_lang|read", less=True),
    "unscored": Measure("unscored|of:translations", less=True),
    "entities_added": Measure("entities-added|of:refined", less=True),
    "prompt_tokens": Measure("prompt-tokens|per:question", "", less=True),
    "completion_tokens": Measure("completion-tokens|per:question", "", less=True),
    "calls": Measure("calls|llm|per:question", "", less=True),
    "translated": Measure("passages-translated|per:question", "", less=True),
    "kept": Measure("cache-hits|per:question", ""),
    "seconds": Measure("seconds|per:question|overlapping", "", less=True),
}

Values = dict[str, tuple[float, float]]
"""(over, under) by measure: see `qttrag.evaluation.statistics`. A measure that is not there cannot tell."""


def check(name: str) -> str:
    """Return the name of a measure.

    Raises:
        ConfigError: there is no such measure."""
    if name not in MEASURES:
        raise ConfigError(unknown("measure", name, MEASURES))
    return name


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer to be measured, and what only a look at all the answers, or into the store, can say of it.

    `kind`: the format of its dataset. `found`: the passages of the ranking,
    in its order, None where their texts are not to be had. `retrieval`: figures of the ranking, None without gold."""

    question: Question
    record: Record
    kind: str
    found: Sequence[Holds] | None = None
    retrieval: Mapping[str, float] | None = None
    common_words: frozenset[str] = frozenset()


def measure(answered: Answered) -> Values:
    """Return what every measure says of an answer that did not fail."""
    values: Values = {}
    for group in (_answer, _official, _language, _reading, _cost):
        values |= group(answered)
    for name, value in (answered.retrieval or {}).items():
        values[name] = (value, 1.0)
    return values


def _answer(a: Answered) -> Values:
    said, references = a.record.text or "", a.question.answers
    harness, ours = bergen.score(said, references), fair.score(said, references)
    found = {
        "char3_bergen": harness.char3, "f1_bergen": harness.f1, "em_bergen": harness.em, "match_bergen": harness.match,
        "char3_fair": ours.char3, "em_fair": ours.em, "match_fair": ours.match, "chrf": chrf(said, references),
    }  # fmt: skip
    return {name: (value, 1.0) for name, value in found.items()}


def _official(a: Answered) -> Values:
    said, references, lang = a.record.text or "", a.question.answers, a.question.lang
    scorers: dict[str, Callable[..., NamedTuple]] = {"xor_tydi": xor_tydi.score, "mkqa": mkqa.score}
    if a.kind not in scorers:
        return {}
    return {f"{name}_official": (v, 1.0) for name, v in scorers[a.kind](said, references, lang)._asdict().items()}


def _language(a: Answered) -> Values:
    values: Values = {}
    right = in_language(a.record.text or "", a.question.lang, a.question.answers)
    if right is not None:
        values["correct_language"] = (float(right), 1.0)
    wrong = wrong_of_right(a.record.text or "", a.question.answers, a.question.elsewhere)
    if a.question.elsewhere and wrong is not None:
        values["wrong_language"] = (float(wrong), 1.0)
    return values


def _reading(a: Answered) -> Values:
    context, question = a.record.context, a.question
    read = [_holds(passage, question) for passage in context]
    values: Values = {
        "answer_recall@1": (float(answer_recall.recall(read, 1)), 1.0),
        "answer_recall@5": (float(answer_recall.recall(read, 5)), 1.0),
        "answer_recall_native@5": (float(answer_recall.recall(read, 5, native=True)), 1.0),
        "answer_recall_foreign@5": (float(answer_recall.recall(read, 5, native=False)), 1.0),
    }
    if a.found is not None:
        values["answer_recall_found@50"] = (float(answer_recall.recall(a.found, 50)), 1.0)
    foreign, read_in_all = cross_lingual.foreign([p.passage.lang for p in context], question.lang, len(context))
    values["r_lang"] = (float(foreign), float(read_in_all))
    causes, tagged = unscored(context)
    values["unscored"] = (float(causes.total()), float(tagged))
    return values | _entities(a)


def _entities(a: Answered) -> Values:
    names = entities.entities(a.question.text, a.question.lang, a.common_words)
    told = [] if names is None else [added for p in a.record.context if (added := entities.added(names, p)) is not None]
    return {"entities_added": (float(sum(told)), float(len(told)))} if told else {}


def _cost(a: Answered) -> Values:
    return {name: (value, 1.0) for name, value in cost.cost(a.record.counts, a.record.seconds).items()}


def _holds(passage: TaggedPassage, question: Question) -> Holds:
    """Return whether what was read of a passage, in whatever language that was, holds the answer."""
    text = "\n".join(filter(None, (passage.reading_text, passage.refined)))
    return answer_recall.holds(text, passage.passage.lang, question.lang, question.answers, question.elsewhere)


def causes_of(records: Sequence[Record]) -> Counter[str]:
    """Return how many translations have no scores, by cause."""
    total: Counter[str] = Counter()
    for record in records:
        total += unscored(record.context)[0]
    return total
