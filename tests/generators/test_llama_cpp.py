"""The settings of the generator on llama.cpp; tests/real runs it with a model."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.named_models import named_models
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError
from qttrag.generators.llama_cpp import LlamaCppGenerator
from qttrag.types import Decoding


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    return tmp_path / "m.gguf"


def test_the_identity_names_the_weights_and_thinking(file: Path) -> None:
    plain, thinking = (LlamaCppGenerator(str(file), thinking=on).identity for on in (False, True))
    assert plain.startswith("llama_cpp:")
    assert plain.endswith(":m.gguf")
    assert thinking == f"{plain}:thinking"


@pytest.mark.parametrize("setting", [{"context": 0}, {"threads": 0}, {"call_timeout": 0.0}])
def test_settings_out_of_range_are_refused(file: Path, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"`context: \d+` must be at least 1, `threads: \w+` at least 1 or null"):
        LlamaCppGenerator(str(file), **setting)


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is not None, reason="llama-cpp-python is installed")
async def test_without_the_package_the_error_says_what_to_install(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"'llama-cpp-python', which is not installed; pip install 'qttrag\[llama"):
        await LlamaCppGenerator(str(file)).complete([{"role": "user", "content": "?"}], Decoding())


def test_models_of_a_deployment_include_the_file(file: Path, tmp_path: Path) -> None:
    spec = {"kind": "llama_cpp", "model": str(tmp_path), "file": "m.gguf"}
    deployment = Deployment.model_validate({"retriever": {"kind": "bm25", "collections": []}, "generator": spec})
    (named,) = named_models(tmp_path / "d.yaml", deployment)
    assert named.locate().path == file
    assert not named.missing
