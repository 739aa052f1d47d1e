"""Vote: answers reached in several languages agree more often where they are right (cf. CLSP, arXiv:2310.14799)."""

from collections.abc import Sequence

from qttrag import trace
from qttrag.pipeline.stages import Stages
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.strategies.pivot_answer import pivot_answer
from qttrag.strategies.qtt_rag import qtt_rag
from qttrag.text.languages import language
from qttrag.text.matching import similarity
from qttrag.types import Answer, Event, Query


async def vote(query: Query, stages: Stages, *, langs: list[str] | None = None) -> Answer:
    """Answer in the language of the question and through each of `langs`; the one most like the others is the answer.

    `langs`: by default English. Answers that abstain have no vote unless they are the majority; among equals the first
    wins, the language of the question before `langs`. The answers are noted; nothing is streamed before the vote."""
    own = stages.muted("piece", "restarted")
    codes = [code for code in dict.fromkeys(language(lang).code for lang in langs or ["en"]) if code != query.lang]
    silent = stages.muted("ranked", "translated", "tagged", "refined", "piece", "restarted")
    answers = await gather_or_cancel([qtt_rag(query, own), *(pivot_answer(query, silent, pivot=c) for c in codes)])
    with stages.trace.stage("vote"):
        winner = _elected(answers)
        trace.count("agreeing", sum(_agree(winner, answer) for answer in answers))
        for lang, answer in zip([query.lang, *codes], answers, strict=True):
            trace.note(f"the answer through {lang}: {answer.text}")
    stages.emit(Event("piece", text=winner.text))
    return winner


def _elected(answers: Sequence[Answer]) -> Answer:
    abstaining = [answer for answer in answers if answer.abstained]
    voters = abstaining if 2 * len(abstaining) > len(answers) else [a for a in answers if not a.abstained] or answers
    return max(voters, key=lambda answer: sum(similarity(answer.text, other.text) for other in voters))


def _agree(one: Answer, other: Answer) -> bool:
    return one.abstained == other.abstained and (one.abstained or similarity(one.text, other.text) >= 0.5)
