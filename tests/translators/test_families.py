"""M2M100, MADLAD-400 and Marian on tiny models with random weights and the files of the real checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from qttrag.application import registry
from qttrag.errors import ConfigError
from qttrag.translators import m2m100, madlad, marian
from qttrag.translators.families import ModelFamily
from qttrag.translators.tokenization import PretrainedTokenizer
from qttrag.types import UNSUPPORTED, Lang, Translation
from tests import tiny_models
from tests.texts import sentences
from tests.translators.engines import outputs

EN, KO, FI, HE = map(Lang, ("en", "ko", "fi", "he"))
FAMILIES = {"m2m100": m2m100.M2M100, "madlad": madlad.MADLAD, "marian": marian.MARIAN}
CONTROLS = {
    "m2m100": ["</s>", "__ko__", "<pad>", "<s>", "<unk>"],
    "madlad": ["</s>", "<2ko>", "<2fi>", "<s>", "<unk>"],
    "marian": [">>fin<<", ">>kor<<", "</s>", "<pad>"],
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_models.make_m2m100(folder / "m2m100")
    tiny_models.make_m2m100(folder / "m2m100-without-codes", lists_codes=False)
    tiny_models.make_madlad(folder / "madlad")
    tiny_models.make_marian(folder / "marian", "en", "ko")
    tiny_models.make_marian(folder / "marian-tags", "en", "ko", tags=[">>fin<<", ">>kor<<"], seed=11)
    return folder


def engines(name: str, folder: Path) -> tuple[Any, Any]:
    """Return the translators of a checkpoint on CTranslate2 and on transformers, both greedy in float32."""
    family = name.split("-")[0]
    path, settings = str(folder / name), {"device": "cpu", "beam_size": 1}
    if family == "marian":
        return (
            marian._OnCTranslate2(path, compute_type="float32", **settings),  # type: ignore[arg-type]
            marian._OnTransformers(path, **settings),  # type: ignore[arg-type]
        )
    one, other = (registry.resolve("translator", kind) for kind in (family, f"{family}_transformers"))
    return one(path, compute_type="float32", **settings), other(path, **settings)


def tokenizer(name: str, folder: Path) -> PretrainedTokenizer:
    family: ModelFamily = FAMILIES[name.split("-")[0]]
    opened = family.tokenizer(folder / name)
    assert isinstance(opened, PretrainedTokenizer)
    return opened


NAMES = ["m2m100", "m2m100-without-codes", "madlad", "marian", "marian-tags"]


@pytest.mark.parametrize("name", NAMES)
async def test_both_engines_give_the_same_tokens_under_greedy_search(name: str, checkpoints: Path) -> None:
    texts = [*sentences("en", 20), "Ωmega ✂ unknown", ">>fin<< a </s> <2ko>"]
    first, second = [await outputs(engine, texts, EN, KO) for engine in engines(name, checkpoints)]
    assert first == second
    assert len({token for output in first for token in output.tokens}) > 20


@pytest.mark.parametrize("name", ["m2m100", "madlad", "marian-tags"])
async def test_the_target_language_reaches_the_model(name: str, checkpoints: Path) -> None:
    engine, _ = engines(name, checkpoints)
    korean, finnish = [await engine.translate(sentences("en", 5), [EN] * 5, target) for target in (KO, FI)]
    assert all(a.text != b.text for a, b in zip(korean, finnish, strict=True))


@pytest.mark.parametrize(
    ("name", "before", "first"),
    [
        ("m2m100", ("__en__",), ("__ko__",)),
        ("m2m100-without-codes", ("__en__",), ("__ko__",)),
        ("madlad", ("<2ko>",), ()),
        ("marian", (), ()),
        ("marian-tags", (">>kor<<",), ()),
    ],
)
def test_the_codes_of_the_languages(
    name: str, before: tuple[str, ...], first: tuple[str, ...], checkpoints: Path
) -> None:
    codes = tokenizer(name, checkpoints)
    assert (codes.source_code(EN, KO), codes.target_code(KO)) == (before, first)


def test_a_model_may_know_a_language_by_another_code(checkpoints: Path) -> None:
    assert tokenizer("madlad", checkpoints).source_code(EN, HE) == ("<2iw>",)
    assert tokenizer("m2m100", checkpoints).target_code(Lang("nb")) == ("__no__",)


@pytest.mark.parametrize(("name", "unknown"), [("m2m100", "war"), ("madlad", "th"), ("marian-tags", "th")])
def test_a_target_that_is_not_in_the_vocabulary_is_not_known(name: str, unknown: str, checkpoints: Path) -> None:
    codes = tokenizer(name, checkpoints)
    with pytest.raises(ConfigError, match="does not know"):
        (codes.source_code(EN, Lang(unknown)), codes.target_code(Lang(unknown)))


@pytest.mark.parametrize(("name", "unknown"), [("m2m100", "war"), ("madlad", "th"), ("marian-tags", "th")])
async def test_a_target_that_the_model_does_not_know_leaves_the_text_and_flags_it(
    name: str, unknown: str, checkpoints: Path
) -> None:
    translations = await engines(name, checkpoints)[0].translate(["a bridge", "1917"], [EN, EN], Lang(unknown))
    assert translations == [Translation("a bridge", (UNSUPPORTED,)), Translation("1917")]


@pytest.mark.parametrize("name", ["m2m100", "m2m100-without-codes", "madlad", "marian", "marian-tags"])
def test_special_tokens_in_a_text_are_letters(name: str, checkpoints: Path) -> None:
    controls = set(CONTROLS[name.split("-")[0]]) - {"<unk>"}
    for text in (">>fin<< the end </s> of <2ko> __ko__ <pad> <s>", "</s>", "<2fi>.", "a<s>b"):
        (tokens,) = tokenizer(name, checkpoints).encode([text])
        assert not controls & set(tokens)
        assert len(tokens) > 2


@pytest.mark.parametrize("name", NAMES)
def test_ordinary_sentences_survive_the_tokenizer(name: str, checkpoints: Path) -> None:
    opened = tokenizer(name, checkpoints)
    for text in sentences("en", 5):
        assert opened.decode(opened.encode([text])[0]) == text


def test_the_tokens_of_a_sentence_are_those_of_the_library(checkpoints: Path) -> None:
    from transformers import AutoTokenizer

    for name, tag in (("m2m100", "__en__"), ("marian", None)):
        library: Any = AutoTokenizer.from_pretrained(checkpoints / name)
        for text in sentences("en", 5):
            ids = library(text).input_ids
            (tokens,) = tokenizer(name, checkpoints).encode([text])
            assert library.convert_ids_to_tokens(ids) == [*filter(None, [tag]), *tokens, "</s>"]


def test_each_family_and_engine_has_its_own_identity(checkpoints: Path) -> None:
    identities = [engine.identity.split(":")[0] for name in FAMILIES for engine in engines(name, checkpoints)]
    assert identities == [kind for family in FAMILIES for kind in (family, f"{family}_transformers")]


def test_another_sentencepiece_model_is_another_identity(checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "marian"
    shutil.copytree(checkpoints / "marian", folder)
    before = marian._OnCTranslate2(str(folder), device="cpu").identity
    shutil.copy(folder / "source.spm", folder / "target.spm")
    assert marian._OnCTranslate2(str(folder), device="cpu").identity != before
