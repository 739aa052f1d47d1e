"""Translates an answer whose language is not the one asked for."""

from __future__ import annotations

from dataclasses import replace

from qttrag import trace
from qttrag.errors import StageError
from qttrag.pipeline import citations
from qttrag.pipeline.language_support import report_unsupported
from qttrag.protocols import Translator
from qttrag.types import UNSUPPORTED, Answer, Lang


async def translate_text(translator: Translator, text: str, source: Lang, target: Lang) -> str:
    """Return the translation of an answer's text; "" if there is none, with a note of the cause.

    Raises:
        StageError: the translator failed."""
    (translation,) = await translator.translate([text], [source], target)
    if UNSUPPORTED in translation.flags:
        report_unsupported([source], target, effect="the answer is not translated")
        return ""
    if translation.flags:
        trace.note(f"the answer's translation is doubtful: {', '.join(translation.flags)}")
    return "" if "empty" in translation.flags else translation.text


async def translate_answer(translator: Translator, answer: Answer, target: Lang, *, degrade: bool) -> Answer:
    """Return the answer in `target` with its markers; unchanged, with a note, where it cannot be translated.

    Raises:
        StageError: the translator failed, and not `degrade`."""
    try:
        text = await translate_text(translator, citations.check(answer.text, {}).bare, answer.lang, target)
    except StageError as error:
        if not degrade:
            raise
        trace.note_degraded("the answer is not translated", error)
        return answer
    if not text:
        return answer
    cited = answer.citations
    markers = f" [{', '.join(map(str, cited.passages))}]" if cited.how == "marked" else ""
    return replace(answer, text=text + markers, lang=target)
