"""The values of all measures for the answers of a run. No models are needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from qttrag.errors import InputError
from qttrag.evaluation.answers import AnswerRecord
from qttrag.evaluation.datasets.documents import as_judged
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.metrics import AnswerCase, PassageMatch, QuestionSet, answer_recall, retrieval
from qttrag.evaluation.metrics.cost import charged_seconds
from qttrag.evaluation.metrics.registry import Values, evaluate
from qttrag.evaluation.metrics.unscored import causes
from qttrag.evaluation.runs import judging, search_cache, support
from qttrag.evaluation.runs.answer_files import Cell, latest
from qttrag.evaluation.runs.folder import References, Run
from qttrag.evaluation.runs.verdicts import Key
from qttrag.runtime.cache import Cache

StageSeconds = Mapping[str, float | None]


@dataclass(frozen=True)
class ScoredCell:
    """The answers of a cell with the values of all measures, by question id. `failed`: the errors by question id.
    `references`: the sources of the references, for signatures. `seconds`: those charged by stage, by question id.
    `judges`: notes on the judges of the run."""

    cell: Cell
    lang: str
    references: References
    answers: Mapping[str, AnswerRecord]
    values: Mapping[str, Values]
    failed: Mapping[str, str]
    seconds: Mapping[str, StageSeconds] = field(default_factory=dict)
    judges: Sequence[str] = ()

    @property
    def degraded(self) -> list[str]:
        """Return the ids of the questions whose answers lack something because a stage was unavailable."""
        return [question_id for question_id, answer in self.answers.items() if answer.degraded]

    @property
    def causes(self) -> Counter[str]:
        """Return how many translations have no quality scores, by cause."""
        return causes(self.answers.values())


def score(run: Run) -> list[ScoredCell]:
    """Return all cells of a run, scored.

    Raises:
        InputError: the run has no answers, or one of its files is damaged."""
    cells = run.cells()
    if not cells:
        raise InputError(f"the run in {run.folder} has no answers yet; resume it: qttrag eval run {run.name}")
    cache = search_cache.store(run.folder)
    try:
        question_sets = {
            row: QuestionSet(run.kind(row), run.questions(row)) for row in dict.fromkeys(cell.dataset for cell in cells)
        }
        matches = _RankingMatches(cache)
        records = {cell: latest(cell.file(run.folder)) for cell in cells}
        seconds = _charged(records)
        judged, supported = judging.read(run), support.read(run)
        verdicts = _Verdicts(judged[1], supported[1])
        scored = [
            _score(run, cell, question_sets[cell.dataset], matches, records[cell], seconds[cell], verdicts)
            for cell in cells
        ]
        judges = [note for note in (judging.note(*judged), support.note(*supported)) if note]
        return [replace(cell, judges=judges) for cell in scored]
    finally:
        cache.close()


class _Verdicts(NamedTuple):
    right: judging.Verdicts
    support: Mapping[Key, support.Support]


def _charged(records: Mapping[Cell, Mapping[str, AnswerRecord]]) -> dict[Cell, dict[str, StageSeconds]]:
    """Return the seconds that are charged to each answer, given all answers of the run."""
    asked: dict[tuple[str, str], list[tuple[Cell, AnswerRecord]]] = defaultdict(list)
    for cell, answers in records.items():
        for question_id, record in answers.items():
            asked[cell.dataset, question_id].append((cell, record))
    charged: dict[Cell, dict[str, StageSeconds]] = {cell: {} for cell in records}
    for (_, question_id), answered in asked.items():
        for (cell, _), seconds in zip(answered, charged_seconds([record for _, record in answered]), strict=True):
            charged[cell][question_id] = seconds
    return charged


def _score(
    run: Run,
    cell: Cell,
    question_set: QuestionSet,
    matches: _RankingMatches,
    records: Mapping[str, AnswerRecord],
    seconds: Mapping[str, StageSeconds],
    verdicts: _Verdicts,
) -> ScoredCell:
    questions = {question.question_id: question for question in question_set.questions}
    if strange := records.keys() - questions.keys():
        raise InputError(
            f"{cell.file(run.folder)} answers '{min(strange)}', which is not a question of '{cell.dataset}'"
        )
    answers = {question_id: record for question_id, record in records.items() if not record.failed}
    answered = [questions[question_id] for question_id in answers]
    retrieval_figures = _retrieval(answered, answers)
    values = {}
    for question in answered:
        record = answers[question.question_id]
        case = AnswerCase(
            question,
            record,
            question_set,
            ranked=matches.of(question, record),
            retrieval=retrieval_figures.get(question.question_id),
            stage_seconds=seconds[question.question_id],
            judged=verdicts.right.get(Key(cell, question.question_id, record.text or "")),
            support=verdicts.support.get(support.key(cell, record)) if verdicts.support else None,
        )
        values[question.question_id] = evaluate(case)
    failed = {question_id: str(record.error) for question_id, record in records.items() if record.failed}
    lang = question_set.questions[0].lang
    charged = {question_id: seconds[question_id] for question_id in answers}
    return ScoredCell(cell, lang, run.references(cell.dataset), answers, values, failed, charged)


def _retrieval(questions: Sequence[Question], answers: Mapping[str, AnswerRecord]) -> dict[str, dict[str, float]]:
    """Return the figures of the rankings of judged questions."""
    searched = [q for q in questions if q.judgements and answers[q.question_id].search is not None]
    judged = {q.question_id: q.judgements for q in searched}
    rankings = {i: [passage.passage_id for passage in answers[i].ranking] for i in judged}
    return retrieval.by_query(judged, as_judged(rankings, judged)) if judged else {}


class _RankingMatches:
    """Which passages of a search contain the answer, computed once for all strategies and generators."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._matches: dict[tuple[str, str], dict[str, PassageMatch]] = {}

    def of(self, question: Question, record: AnswerRecord) -> list[PassageMatch] | None:
        """Return the matches of a ranking, best first; None if the texts of its passages are unavailable."""
        if record.search is None:
            return None
        key = (question.lang + question.question_id, record.search)
        if key not in self._matches:
            passages = search_cache.passages(self._cache, record.search)
            self._matches[key] = {i: answer_recall.match(p.content, p.lang, question) for i, p in passages.items()}
        matches = self._matches[key]
        return [matches[passage.passage_id] for passage in record.ranking] if matches or not record.ranking else None
