"""One model for each pair of languages, and English between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.named_models import named_models
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError
from qttrag.trace import Trace
from qttrag.translators.marian import MarianTransformersTranslator, MarianTranslator
from qttrag.translators.pairs import PairedModel, PairTranslator
from qttrag.types import UNSUPPORTED, Lang, Translation
from tests import tiny_models
from tests.texts import sentences

EN, KO, FI, TH = map(Lang, ("en", "ko", "fi", "th"))


class Model:
    """Writes its name around every text; flags: those of its translations."""

    def __init__(self, name: str, flags: tuple[str, ...] = ()) -> None:
        self.identity = name
        self.flags = flags

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        return [Translation(f"{self.identity}({text})", self.flags) for text in texts]


def translator(models: Mapping[str, str | PairedModel], **flags: tuple[str, ...]) -> PairTranslator:
    return PairTranslator(models, lambda model, revision: Model(model, flags.get(model, ())))


async def test_a_pair_with_a_model_is_translated_by_it() -> None:
    engine = translator({"ko-en": "A", "en-fi": "B", "ko-fi": "C"})
    assert await engine.translate(["x"], [KO], FI) == [Translation("C(x)")]


async def test_a_pair_without_a_model_is_translated_through_english() -> None:
    trace = Trace()
    with trace.stage("t"):
        translations = await translator({"ko-en": "A", "en-fi": "B"}).translate(["x", "y"], [KO, EN], FI)
    assert translations == [Translation("B(A(x))"), Translation("B(y)")]
    assert trace.counts == {"t.pivoted": 1}


async def test_the_flags_of_both_steps_are_kept() -> None:
    engine = translator({"ko-en": "A", "en-fi": "B"}, A=("cut",), B=("loop",))
    assert [t.flags for t in await engine.translate(["x"], [KO], FI)] == [("loop", "cut")]


async def test_a_text_without_a_path_is_returned_with_a_flag_and_the_others_are_translated() -> None:
    translations = await translator({"ko-en": "A"}).translate(["x", "y", "1917"], [TH, KO, TH], EN)
    assert translations == [Translation("x", (UNSUPPORTED,)), Translation("A(y)"), Translation("1917")]


async def test_a_step_that_its_model_does_not_support_leaves_the_text() -> None:
    engine = translator({"ko-en": "A", "en-fi": "B"}, B=(UNSUPPORTED,))
    assert await engine.translate(["x"], [KO], FI) == [Translation("x", (UNSUPPORTED,))]


async def test_a_text_in_the_target_language_is_returned_unchanged() -> None:
    assert await translator({"ko-en": "A"}).translate([" x "], [EN], EN) == [Translation(" x ")]


def test_a_model_of_several_pairs_is_opened_once() -> None:
    opened: list[str] = []

    def engine(model: str, *, revision: str | None) -> Model:
        opened.append(f"{model}@{revision}")
        return Model(model)

    PairTranslator({"en-fi": "M", "en-ko": "M", "ko-en": PairedModel(model="M", revision="v2")}, engine)
    assert opened == ["M@None", "M@v2"]


def test_the_identity_has_the_models_of_all_pairs_in_any_order() -> None:
    assert translator({"ko-en": "A", "en-fi": "B"}).identity == translator({"en-fi": "B", "ko-en": "A"}).identity
    assert translator({"ko-en": "A"}).identity != translator({"ko-en": "B"}).identity
    assert translator({"ko-en": "A"}).identity != translator({"fi-en": "A"}).identity


@pytest.mark.parametrize("pair", ["en", "ko_fi", "ko-xx", "en-en", "-en"])
def test_a_name_that_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(ConfigError, match="is not a pair of two languages"):
        translator({pair: "A"})


async def test_a_code_of_a_pair_may_have_a_hyphen() -> None:
    engine = translator({"zh-Hant-en": "A", "en-ace-Arab": "B"})
    assert await engine.translate(["x"], [Lang("zh-Hant")], Lang("ace-Arab")) == [Translation("B(A(x))")]


def test_no_pairs_are_refused() -> None:
    with pytest.raises(ConfigError, match="`models:` is empty"):
        translator({})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | PairedModel]:
    root = tmp_path_factory.mktemp("marian")
    tiny_models.make_marian(root / "ko-en", "ko", "en")
    tiny_models.make_marian(root / "en-fi", "en", "fi")
    return {"ko-en": str(root / "ko-en"), "en-fi": PairedModel(model=str(root / "en-fi"))}


async def test_two_marian_models_translate_through_english(folders: dict[str, str | PairedModel]) -> None:
    settings: dict[str, Any] = {"device": "cpu", "beam_size": 1}
    on_ctranslate2 = MarianTranslator(folders, compute_type="float32", **settings)
    texts = sentences("ko", 4)
    pivoted = await on_ctranslate2.translate(texts, [KO] * 4, FI)
    assert pivoted == await MarianTransformersTranslator(folders, **settings).translate(texts, [KO] * 4, FI)
    english = [translation.text for translation in await on_ctranslate2.translate(texts, [KO] * 4, EN)]
    finnish = await on_ctranslate2.translate(english, [EN] * 4, FI)
    assert [t.text for t in pivoted] == [t.text for t in finnish]
    assert "cut" in pivoted[0].flags  # random weights never end


def deployment(models: object) -> Deployment:
    return Deployment.model_validate(
        {
            "retriever": {"kind": "bm25", "collections": []},
            "reranker": {"kind": "none"},
            "generator": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1/v1"},
            "translator": {"kind": "marian", "models": models},
        }
    )


def test_each_model_of_a_pair_is_named_for_download_and_pins() -> None:
    spec = {"ko-en": {"model": "o/ko-en", "revision": "v1"}, "en-fi": "o/en-fi"}
    named = [n for n in named_models(Path("d.yaml"), deployment(spec)) if n.place.startswith("translator")]
    assert [(n.place, n.model, n.revision, n.keys, n.takes_revision) for n in named] == [
        ("translator.models.ko-en", "o/ko-en", "v1", ("translator", "models", "ko-en"), True),
        ("translator.models.en-fi", "o/en-fi", None, ("translator", "models", "en-fi"), False),
    ]
