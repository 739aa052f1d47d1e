"""Tokenizers are those of transformers, loaded without its models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qttrag.models import tokenizers

TEXTS = ["Helsinki on Suomen pääkaupunki.", "서울의 인구는?", "A bridge of 1937, <pad> and </s>."]


@pytest.mark.parametrize("name", ["encoder", "llama", "nllb", "reranker"])
def test_a_tokenizer_equals_that_of_transformers(tiny: Path, name: str) -> None:
    from transformers import AutoTokenizer

    own, other = tokenizers.load(tiny / name), AutoTokenizer.from_pretrained(tiny / name)
    assert type(own) is type(other)
    assert own.special_tokens_map == other.special_tokens_map
    assert [own(text) for text in TEXTS] == [other(text) for text in TEXTS]


def test_without_a_class_in_its_settings_the_model_decides(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path / "copy"
    shutil.copytree(tiny / "encoder", folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings.pop("tokenizer_class")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert type(tokenizers.load(folder)) is type(AutoTokenizer.from_pretrained(folder))


def test_an_encoder_and_a_tokenizer_load_without_the_models_of_transformers(tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qttrag.models import tokenizers; "
        "from qttrag.encoders.sentence_transformers import SentenceTransformersKind; "
        f"SentenceTransformersKind({str(tiny / 'encoder')!r}, device='cpu').load(); "
        f"tokenizers.load(Path({str(tiny / 'llama')!r})); assert 'transformers.activations' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
