"""How fast a server replies to the prompt for scores, and how well, by how it is asked for JSON."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qttrag.generators.openai import OpenAIGenerator
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import Capabilities
from qttrag.prompts import Prompts, TagPrompt
from qttrag.taggers.verdicts import SCHEMA, parse
from qttrag.types import Completion, Decoding, Lang, Message

SLOWER = 1.5  # times, from which on a faster form is worth a setting
_DECODING = Decoding(max_tokens=64, schema=SCHEMA)
_PAIRS = (  # one good and three bad translations into English
    (Lang("fi"), "Kahvila avataan kello yhdeksän.", "The café opens at nine o'clock."),
    (Lang("de"), "Die Brücke wurde 1932 gebaut.", "The bridge was destroyed in 1923."),
    (Lang("fr"), "Le musée est fermé le lundi.", "Museum it close Monday the."),
    (Lang("es"), "El río nace en los Andes.", "The river rises."),
)


class ReplyForm(NamedTuple):
    """A way to ask for JSON: what a request becomes by `capabilities`. `without`: the names of those that are false."""

    name: str
    capabilities: Capabilities
    without: Sequence[str]


FORMS = (
    ReplyForm("JSON schema", Capabilities(), ()),
    ReplyForm("JSON object", Capabilities(json_schema=False), ("json_schema",)),
    ReplyForm("prompt alone", Capabilities(json_schema=False, json_object=False), ("json_schema", "json_object")),
)


@dataclass(frozen=True)
class Measured:
    """What one form costs. `seconds`: the median of a reply. `readable`: how many of the `asked` replies were."""

    form: ReplyForm
    seconds: float
    readable: int
    asked: int

    def __str__(self) -> str:
        return f"{self.form.name} {self.seconds:.2g} s ({self.readable} of {self.asked} readable)"


def forms_of(capabilities: Capabilities) -> list[ReplyForm]:
    """Return the forms that a server accepts; the first is the one that it gets without a further setting."""
    if not capabilities.extra_fields:
        return [FORMS[-1]]
    accepted = [capabilities.json_schema, capabilities.json_object, True]
    return [form for form, is_accepted in zip(FORMS, accepted, strict=True) if is_accepted]


async def measure(generator: OpenAIGenerator, server: Server, prompts: Prompts) -> list[Measured]:
    """Ask a server to score translations in each form that it accepts, in turn, and return what each form costs.

    Raises:
        StageError: the server did not reply."""
    prompt, forms = prompts.tag(Lang("en")), forms_of(server.capabilities)
    asked = [prompt.messages(original, translation, lang) for lang, original, translation in _PAIRS]
    await _timed(generator, server, asked[0], forms[0])  # else only the first form pays for the prompt's beginning
    replies = [[await _timed(generator, server, messages, form) for form in forms] for messages in asked]
    return [_summary(form, of_form, prompt) for form, of_form in zip(forms, zip(*replies, strict=True), strict=True)]


def fastest(measured: Sequence[Measured]) -> Measured:
    """Return the fastest of the forms that gave the most readable replies."""
    most = max(each.readable for each in measured)
    return min((each for each in measured if each.readable == most), key=lambda each: each.seconds)


def is_good(measured: Sequence[Measured]) -> bool:
    """Return whether replies in the first form are readable, and no other form is much better."""
    first, best = measured[0], fastest(measured)
    return 0 < first.readable == best.readable and first.seconds < SLOWER * best.seconds


def advice(measured: Sequence[Measured]) -> str:
    """Return the costs of the forms, and the setting to choose, for people."""
    costs, best = ", ".join(map(str, measured)), fastest(measured)
    if not best.readable:
        return f"{costs}; translations stay unscored: use a model that follows the prompt"
    if is_good(measured):
        return f"{costs}; {measured[0].form.name} is used"
    setting = ", ".join(f"{name}: false" for name in best.form.without)
    return f"{costs}; {best.form.name} is better: set `accepts: {{{setting}}}` for this generator"


class _Reply(NamedTuple):
    seconds: float
    completion: Completion


async def _timed(generator: OpenAIGenerator, server: Server, messages: list[Message], form: ReplyForm) -> _Reply:
    request = form.capabilities.adapt(generator.request(messages, _DECODING))
    start = time.perf_counter()
    completion = await generator.complete_at(server, request)
    return _Reply(time.perf_counter() - start, completion)


def _summary(form: ReplyForm, replies: Sequence[_Reply], prompt: TagPrompt) -> Measured:
    whole = [reply.completion.text for reply in replies if not reply.completion.cut]
    readable = [text for text in whole if parse(text, prompt.names).scores is not None]
    return Measured(form, statistics.median(reply.seconds for reply in replies), len(readable), len(replies))
