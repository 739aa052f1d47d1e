"""Pivot answer: everything in the language that models know best, then the answer in the language of the question."""

from dataclasses import replace

from qttrag.pipeline.stages import Stages
from qttrag.text.languages import language
from qttrag.types import Answer, Event, Query


async def pivot_answer(query: Query, stages: Stages, *, pivot: str = "en") -> Answer:
    """Search, read scored translations and answer in `pivot`, then translate the answer.

    Nothing is streamed before the translation."""
    lang = language(pivot).code
    asked = replace(await stages.translate_query(query, lang), lang=lang)
    hidden = stages.muted("piece", "restarted")
    passages = await hidden.translate_and_tag(await hidden.search(asked), lang)
    answer = await hidden.answer(asked, passages, style="tagged")
    translated = await stages.translate_answer(answer, query.lang)
    stages.emit(Event("piece", text=translated.text))
    return translated
