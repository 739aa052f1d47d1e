"""A translator of another model family is one file: here M2M100 and MADLAD-400, registered by entry points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qttrag.application import registry
from qttrag.protocols import TranslationTokenizer
from qttrag.translators.segments import LoadedModel, ModelInput, ModelOutput
from qttrag.types import Lang, Translation
from tests import tiny_models
from tests.texts import sentences

EN, KO, FI, TH = map(Lang, ("en", "ko", "fi", "th"))
FAMILIES = ["m2m100", "madlad"]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_models.make_m2m100(folder / "m2m100")
    tiny_models.make_t5(folder / "madlad")
    return folder


def translator(kind: str, checkpoints: Path, **settings: Any) -> Any:
    folder = checkpoints / kind.removesuffix("_transformers")
    return registry.resolve("translator", kind)(str(folder), device="cpu", beam_size=1, **settings)


def inputs(tokenizer: TranslationTokenizer, target: Lang) -> list[ModelInput]:
    codes = tokenizer.source_code(EN, target), tokenizer.target_code(target)
    return [ModelInput(*codes, tokens) for tokens in tokenizer.encode(sentences("en", 20))]


@pytest.mark.parametrize("family", FAMILIES)
async def test_both_engines_give_the_same_tokens_under_greedy_search(family: str, checkpoints: Path) -> None:
    outputs: list[list[ModelOutput]] = []
    for engine in (
        translator(family, checkpoints, compute_type="float32"),
        translator(f"{family}_transformers", checkpoints),
    ):
        model: LoadedModel = await engine._loaded.get()
        outputs.append(await model.batcher.map(inputs(model.tokenizer, KO)))
    assert outputs[0] == outputs[1]
    assert len({token for output in outputs[0] for token in output.tokens}) > 50


@pytest.mark.parametrize("family", FAMILIES)
async def test_the_target_language_reaches_the_model(family: str, checkpoints: Path) -> None:
    engine = translator(family, checkpoints, compute_type="float32")
    korean, finnish = [await engine.translate(sentences("en", 5), [EN] * 5, target) for target in (KO, FI)]
    assert all(a.text != b.text for a, b in zip(korean, finnish, strict=True))


def test_m2m100_has_codes_before_the_source_and_before_the_output(checkpoints: Path) -> None:
    from tests.extensions.m2m100 import tokenizer

    m2m100 = tokenizer(checkpoints / "m2m100")
    assert (m2m100.source_code(EN, KO), m2m100.target_code(KO)) == (("__en__",), ("__ko__",))


def test_madlad_has_a_tag_of_the_target_before_the_source(checkpoints: Path) -> None:
    from tests.extensions.madlad import tokenizer

    madlad = tokenizer(checkpoints / "madlad")
    assert (madlad.source_code(EN, KO), madlad.target_code(KO)) == (("<2ko>",), ())


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_target_that_the_model_does_not_know_leaves_the_text_and_flags_it(
    family: str, checkpoints: Path
) -> None:
    translations = await translator(family, checkpoints).translate(["a bridge"], [EN], TH)
    assert translations == [Translation("a bridge", ("unsupported",))]


def test_each_family_and_engine_has_its_own_identity(checkpoints: Path) -> None:
    kinds = [*FAMILIES, *(f"{family}_transformers" for family in FAMILIES)]
    identities = [translator(kind, checkpoints).identity for kind in kinds]
    assert [identity.split(":")[0] for identity in identities] == kinds
