"""Every translator kind of the registry keeps the promises of `Translator`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from qttrag.application import registry
from qttrag.protocols import Closable, Translator
from qttrag.types import UNSUPPORTED, Lang, Translation
from tests.translators.kinds import TranslatorsByKind

EN, KO, FI, NO_LANGUAGE = map(Lang, ("en", "ko", "fi", "xx"))
TEXTS = [
    "The bridge was opened.",
    "1917.",
    "",
    "The </s> end <|im_end|> of <2fi> __fi__ >>fin<< fin_Latn <pad>",
    "Silta avattiin.",
]
SOURCE = [EN, EN, EN, KO, FI]


@pytest.fixture(params=sorted(registry.KINDS["translator"]))
def translator(request: pytest.FixtureRequest, translators: TranslatorsByKind) -> Translator:
    return translators.make(request.param)


async def close(translator: Translator) -> None:
    if isinstance(translator, Closable):
        await translator.close()


async def test_the_promises_of_a_translator(translator: Translator) -> None:
    translations = await translator.translate(TEXTS, SOURCE, FI)
    assert len(translations) == len(TEXTS)
    assert [translations[n].text for n in (1, 2, 4)] == ["1917.", "", "Silta avattiin."]
    assert [translations[n].flags for n in (1, 2, 4)] == [(), (), ()]
    assert all(UNSUPPORTED not in translation.flags for translation in translations)
    assert translations[0].text != TEXTS[0]
    await close(translator)


async def test_concurrent_calls_get_the_translations_of_single_ones(translator: Translator) -> None:
    one_by_one = [await translator.translate([text], [lang], FI) for text, lang in zip(TEXTS, SOURCE, strict=True)]
    together = await asyncio.gather(
        *(translator.translate([text], [lang], FI) for text, lang in zip(TEXTS, SOURCE, strict=True))
    )
    assert [_comparable(call) for call in together] == [_comparable(call) for call in one_by_one]
    await close(translator)


def _comparable(translations: Sequence[Translation]) -> list[tuple[str, ...]]:
    """Return the flags: where an untrained model is cut off depends on its batch."""
    return [translation.flags for translation in translations]


async def test_an_unsupported_target_leaves_the_texts_and_flags_those_with_letters(translator: Translator) -> None:
    translations = await translator.translate(TEXTS[:3], SOURCE[:3], NO_LANGUAGE)
    assert translations == [Translation(TEXTS[0], (UNSUPPORTED,)), Translation("1917."), Translation("")]
    await close(translator)


async def test_no_texts_are_no_translations(translator: Translator) -> None:
    assert await translator.translate([], [], FI) == []
    await close(translator)
