"""Llama in plain torch completes prompts as transformers does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qttrag.generators import shared_prefix
from qttrag.generators.causal_models import CausalModel, PlainLlama, TransformersModel, load
from qttrag.generators.streaming import Streamer
from qttrag.models import llama
from qttrag.types import Decoding

PROMPTS = [[*range(40), 7, 8, 90, 14], [*range(40), 9], [*range(40), 300, 12, 10]]
SETTINGS: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.3, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    "dtype": "float32",
}  # fmt: skip


class Tokens:
    """A row of a batch that keeps the numbers of its tokens."""

    def __init__(self, length: int) -> None:
        self.ids: list[int] = []
        self._length = length
        self.ended = False

    @property
    def done(self) -> bool:
        return self.ended or len(self.ids) == self._length

    def put(self, token: int, end_tokens: list[int]) -> None:
        self.ids.append(token)
        self.ended = token in end_tokens


@pytest.fixture(scope="module", params=["llama", "llama-3-theta", "qwen2"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CausalModel, CausalModel]:
    """Return one model twice: in plain torch, and with transformers."""
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(4)
    makers: dict[str, Callable[[], Any]] = {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SETTINGS)),
        "llama-3-theta": lambda: LlamaForCausalLM(
            LlamaConfig(**SETTINGS, head_dim=16, attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
                        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0})
        ),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SETTINGS, tie_word_embeddings=True)),
    }  # fmt: skip
    made = makers[request.param]().eval()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)  # they begin as zeros
    folder = tmp_path_factory.mktemp("model")
    made.save_pretrained(folder)
    plain = load(folder, "cpu", "float32")
    assert isinstance(plain, PlainLlama)
    return plain, TransformersModel(AutoModelForCausalLM.from_pretrained(folder).eval())


def completed(
    model: CausalModel, prompts: list[list[int]], decoding: Decoding, *, share: bool = True, processors: Any = ()
) -> list[list[int]]:
    rows = [Tokens(decoding.max_tokens) for _ in prompts]
    longest = max(map(len, prompts))
    torch.manual_seed(11)  # of sampling
    with torch.inference_mode():
        prefix = shared_prefix.of_batch(model, prompts) if share else shared_prefix.SharedPrefix(0, None)
        ids, attention = zip(*(prefix.padded(prompt, longest, 2) for prompt in prompts), strict=True)
        streamer = Streamer(rows, model.end_tokens)  # type: ignore[arg-type]
        model.complete(ids, attention, prefix.cache, decoding, processors, streamer, pad=2)
    return [row.ids for row in rows]


@pytest.mark.parametrize("share", [False, True], ids=["padded", "shared beginning"])
@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(max_tokens=24),
        Decoding(max_tokens=24, repetition_penalty=1.3),
        Decoding(max_tokens=24, temperature=0.9),
        Decoding(max_tokens=24, temperature=0.9, top_p=0.6),
    ],
    ids=["greedy", "penalised", "sampled", "nucleus"],
)
def test_completions_are_those_of_transformers(
    pair: tuple[CausalModel, CausalModel], decoding: Decoding, share: bool
) -> None:
    plain, other = (completed(model, PROMPTS, decoding, share=share) for model in pair)
    assert plain == other
    assert len({tuple(row) for row in plain}) == len(PROMPTS)


def test_processors_see_the_tokens_and_logits_that_they_see_in_transformers(
    pair: tuple[CausalModel, CausalModel],
) -> None:
    def seen(model: CausalModel) -> list[tuple[Any, Any]]:
        steps: list[tuple[Any, Any]] = []

        def keep(tokens: Any, scores: Any) -> Any:
            steps.append((tokens.clone(), scores.clone()))
            return scores

        completed(model, PROMPTS, Decoding(max_tokens=8), processors=[keep])
        return steps

    for (tokens, scores), (others, other_scores) in zip(*map(seen, pair), strict=True):
        assert tokens.tolist() == others.tolist()
        torch.testing.assert_close(scores, other_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "gemma"},
        {"auto_map": {"AutoModel": "code.Model"}},
        {"quantization_config": {"quant_method": "awq"}},
        {"hidden_act": "gelu"},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}},
        {"num_hidden_layers": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_architecture_is_left_to_transformers(tiny: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    config = json.loads((tiny / "llama" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    (tmp_path / "model.safetensors").symlink_to((tiny / "llama" / "model.safetensors").resolve())
    assert llama.unsupported(tiny / "llama") is None
    assert llama.unsupported(tmp_path) is not None


def test_a_plain_llama_loads_without_the_models_of_transformers(tiny: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qttrag.generators.causal_models import load; "
        f"load(Path({str(tiny / 'llama')!r}), 'cpu', 'float32'); assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
