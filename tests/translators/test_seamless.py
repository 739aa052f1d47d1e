"""SeamlessM4T's text part on a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qttrag.errors import ConfigError
from qttrag.translators import seamless
from qttrag.translators.seamless import SeamlessTransformersTranslator
from qttrag.types import UNSUPPORTED, Lang, Translation
from tests import tiny_models
from tests.texts import sentences
from tests.translators.engines import outputs

EN, KO, FI = map(Lang, ("en", "ko", "fi"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_seamless(tmp_path_factory.mktemp("seamless") / "model")


@pytest.fixture(scope="module")
def translator(checkpoint: Path) -> SeamlessTransformersTranslator:
    return SeamlessTransformersTranslator(str(checkpoint), device="cpu", beam_size=1)


@pytest.mark.parametrize(("target", "code"), [(KO, "kor"), (FI, "fin")])
async def test_translations_are_those_of_the_librarys_own_greedy_search(
    translator: SeamlessTransformersTranslator, checkpoint: Path, target: Lang, code: str
) -> None:
    import torch
    from transformers import AutoTokenizer, SeamlessM4TForTextToText

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint, src_lang="eng")
    model: Any = SeamlessM4TForTextToText.from_pretrained(checkpoint)
    model.generation_config.text_decoder_lang_to_code_id = {code: tokenizer.convert_tokens_to_ids(f"__{code}__")}
    texts = sentences("en", 5)
    for text, own in zip(texts, await outputs(translator, texts, EN, target), strict=True):
        inputs = tokenizer([text], return_tensors="pt")
        with torch.inference_mode():
            out = model.generate(**inputs, tgt_lang=code, num_beams=1, do_sample=False, max_new_tokens=12)
        expected = tokenizer.convert_ids_to_tokens(out[0, 2:])
        assert list(own.tokens[:12]) == expected[: len(own.tokens)]
        assert len(set(expected)) > 1


async def test_the_target_language_reaches_the_model(translator: SeamlessTransformersTranslator) -> None:
    korean, finnish = [await translator.translate(sentences("en", 5), [EN] * 5, target) for target in (KO, FI)]
    assert all(a.text != b.text for a, b in zip(korean, finnish, strict=True))


def test_chinese_has_a_code_for_each_script(checkpoint: Path) -> None:
    codes = seamless.tokenizer(checkpoint)
    assert codes.target_code(Lang("zh-Hant")) == ("__cmn_Hant__",)
    with pytest.raises(ConfigError, match="__cmn__"):
        codes.target_code(Lang("zh"))


async def test_a_language_that_the_model_does_not_know_leaves_the_text(
    translator: SeamlessTransformersTranslator,
) -> None:
    assert await translator.translate(["a bridge"], [EN], Lang("th")) == [Translation("a bridge", (UNSUPPORTED,))]


def test_special_tokens_in_a_text_are_letters(checkpoint: Path) -> None:
    for text in ("the end </s> of __kor__ <pad>", "</s>"):
        (tokens,) = seamless.tokenizer(checkpoint).encode([text])
        assert not {"</s>", "__kor__", "<pad>"} & set(tokens)
