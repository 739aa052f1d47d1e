"""Translation with a model for each pair of languages, and through English where a pair has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.protocols import Startable, Translator
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.text.languages import language
from qttrag.translators import checks
from qttrag.translators.grouping import by_group, untranslated
from qttrag.types import UNSUPPORTED, Lang, Translation

PIVOT = Lang("en")


class PairedModel(BaseModel):
    """The model of a pair of languages, where its revision is set."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    revision: str | None = None


class Pair(NamedTuple):
    source: Lang
    target: Lang


class Engine(Protocol):
    def __call__(self, model: str, *, revision: str | None) -> Translator:
        """Return a translator with a model; nothing is loaded."""
        ...


class PairTranslator:
    """Translates with the model of a pair, or with two models through English.

    A model that several pairs name is loaded once; each loads on its first use, or in `start`.
    Counts: those of the models; pivoted: texts that were translated through English."""

    def __init__(self, models: Mapping[str, str | PairedModel], engine: Engine) -> None:
        if not models:
            raise ConfigError("translator: `models:` is empty; name a model by pair, e.g. `models: {ko-en: ...}`")
        by_model: dict[PairedModel, Translator] = {}
        self._by_pair: dict[Pair, Translator] = {}
        for name, named in models.items():
            model = PairedModel(model=named) if isinstance(named, str) else named
            if model not in by_model:
                by_model[model] = engine(model.model, revision=model.revision)
            self._by_pair[_pair(name)] = by_model[model]
        self._translators = list(by_model.values())

    @property
    def identity(self) -> str:
        pairs = sorted(self._by_pair.items())
        return "|".join(f"{pair.source}-{pair.target}={translator.identity}" for pair, translator in pairs)

    async def start(self) -> None:
        await gather_or_cancel(each.start() for each in self._translators if isinstance(each, Startable))

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        async def run(steps: tuple[Pair, ...], own: list[str], langs: list[Lang]) -> list[Translation]:
            same = langs[0] == target
            trace.count("same_language", len(own) * same)
            trace.count("pivoted", len(own) * (len(steps) > 1))
            translations = [untranslated(text, supported=same or bool(steps)) for text in own]
            for step in steps:
                translations = await self._step(step, own, translations)
            return translations

        return await by_group(texts, source, lambda lang: self._steps(lang, target), run)

    def _steps(self, source: Lang, target: Lang) -> tuple[Pair, ...]:
        """Return the pairs to translate by, in order; none for the same language or one without a model."""
        pivoted = (Pair(source, PIVOT), Pair(PIVOT, target))
        for steps in ((Pair(source, target),), pivoted):
            if all(pair in self._by_pair for pair in steps):
                return steps
        return ()

    async def _step(self, pair: Pair, texts: Sequence[str], before: Sequence[Translation]) -> list[Translation]:
        after = await self._by_pair[pair].translate(
            [translation.text for translation in before], [pair.source] * len(before), pair.target
        )
        return [_both(*of_text) for of_text in zip(texts, before, after, strict=True)]


def _both(text: str, first: Translation, second: Translation) -> Translation:
    """Return the translation of a text after two steps, with the flags of both."""
    flags = {*first.flags, *second.flags}
    if UNSUPPORTED in flags:
        return Translation(text, (UNSUPPORTED,))
    return Translation(second.text, tuple(flag for flag in checks.FLAGS if flag in flags))


def _pair(name: str) -> Pair:
    """Return the pair that "ko-en" means; a code may have a hyphen of its own."""
    parts = name.split("-")
    for n in range(1, len(parts)):
        try:
            pair = Pair(language("-".join(parts[:n])).code, language("-".join(parts[n:])).code)
        except InputError:
            continue
        if pair.source != pair.target:
            return pair
    raise ConfigError(
        f"translator: `models: {{{name}: ...}}` is not a pair of two languages; write the codes of source and target "
        "with a hyphen, e.g. `ko-en` (`qttrag languages` lists them)"
    )
