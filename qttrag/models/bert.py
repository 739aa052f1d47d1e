"""BERT, RoBERTa and XLM-R on CTranslate2, on CPUs; once converted, without torch.

The checkpoint is read tensor by tensor, because CTranslate2's own converter needs the whole model in memory and does
not support transformers 5."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qttrag.errors import ConfigError, StageError
from qttrag.models import conversion, devices
from qttrag.models.loading import LocatedModel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ComputeType = Literal["int8", "float32"]

_FIRST_POSITIONS = {"bert": 0, "roberta": 2, "xlm-roberta": 2}
"""Rows of the position table before that of the first token, by architecture: fairseq's begin after the padding."""
_ACTIVATIONS = {"gelu": "GELU", "gelu_new": "GELUTanh", "relu": "RELU"}  # names in CTranslate2
_PREFIXES = ("", "bert.", "roberta.")  # of the encoder's tensors; a model with a head has one


class Tensors:
    """The tensors of a checkpoint, read one at a time. `prefix`: what precedes the names of the encoder's tensors."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        # names need no torch; tensors do, as NumPy has no bfloat16
        files: list[tuple[Path, Any]] = [
            (file, safe_open(str(file), "np")) for file in sorted(folder.glob("*.safetensors"))
        ]
        self._files: dict[str, Path] = {name: file for file, opened in files for name in list(opened.keys())}
        self._opened: dict[Path, Any] = {}
        word = "embeddings.word_embeddings.weight"
        self.prefix = next((prefix for prefix in _PREFIXES if prefix + word in self._files), "")

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        from safetensors import safe_open

        file = self._files[name]
        if file not in self._opened:
            self._opened[file] = safe_open(str(file), "pt")
        array: NDArray[np.float32] = self._opened[file].get_tensor(name).float().numpy()
        return array


def unsupported(folder: Path) -> str | None:
    """Return why a checkpoint cannot run here; None if it can. Only the beginnings of its weights' files are read."""
    config = _config(folder)
    if config.get("model_type") not in _FIRST_POSITIONS:
        return f"a '{config.get('model_type')}' model is none of {', '.join(_FIRST_POSITIONS)}"
    if config.get("hidden_act") not in _ACTIVATIONS:
        return f"the activation '{config.get('hidden_act')}' is none of {', '.join(_ACTIVATIONS)}"
    if config.get("position_embedding_type", "absolute") != "absolute":
        return f"positions are '{config['position_embedding_type']}', not absolute"
    tensors = Tensors(folder)
    needed = [name for layer in range(config["num_hidden_layers"]) for name in _layer_names(layer)]
    missing = [name for name in (*_EMBEDDINGS.values(), *needed) if f"{tensors.prefix}{name}.weight" not in tensors]
    return f"its weights have no '{missing[0]}.weight'" if missing else None


class Bert:
    """A loaded encoder without head. One thread at a time."""

    def __init__(self, stage: str, located: LocatedModel, compute_type: ComputeType) -> None:
        """Load the model; the first time, its weights are converted into the cache folder.

        Raises:
            ConfigError: the cache folder cannot be written, or CTranslate2 does not run on this machine.
            StageError: the converted model is damaged."""
        import ctranslate2

        folder = conversion.converted(
            stage, located, f"encoder-{compute_type}", lambda folder: _convert(located.path, folder, compute_type)
        )
        threads = 0 if "OMP_NUM_THREADS" in os.environ else devices.cores()  # 0: CTranslate2 reads that variable
        try:
            self._encoder = ctranslate2.Encoder(
                str(folder), device="cpu", compute_type=compute_type, intra_threads=threads
            )
        except ValueError as error:
            raise ConfigError(
                f"{stage}: CTranslate2 cannot run {located.path} in {compute_type} on this processor: {error}; set "
                "`dtype: float32`"
            ) from error
        except RuntimeError as error:
            raise StageError(
                stage, f"CTranslate2 cannot load {folder}: {error}; delete that folder, and it will be converted again"
            ) from error

    def hidden_states(
        self, rows: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None
    ) -> NDArray[np.float32]:
        """Return the last layer's output, float32, shape (len(rows), longest row, hidden size).

        `rows`: token ids with special tokens, without padding. Output past a row's end has no meaning. `types`: of the
        tokens, 0 or 1, for pairs of texts; None: all 0."""
        import numpy as np

        kinds = [list(row) for row in types] if types else [[0] * len(row) for row in rows]
        output = self._encoder.forward_batch([list(row) for row in rows], token_type_ids=kinds)
        return np.array(output.last_hidden_state, dtype=np.float32)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


_EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "types": "embeddings.token_type_embeddings",
    "positions": "embeddings.position_embeddings",
    "norm": "embeddings.LayerNorm",
}


def _layer_names(layer: int) -> list[str]:
    """Return the names of a layer's parts in a checkpoint: query, key, value, output, norm, inner, outer, norm."""
    attention = [f"attention.{part}" for part in ("self.query", "self.key", "self.value")]
    attention += ["attention.output.dense", "attention.output.LayerNorm"]
    parts = [*attention, "intermediate.dense", "output.dense", "output.LayerNorm"]
    return [f"encoder.layer.{layer}.{part}" for part in parts]


def _convert(checkpoint: Path, folder: Path, compute_type: ComputeType) -> None:
    config, tensors = _config(checkpoint), Tensors(checkpoint)
    spec = _empty(config)
    encoder = spec.encoder
    encoder.scale_embeddings = False
    at = tensors.prefix
    for part, name in zip(encoder.embeddings, ("words", "types"), strict=True):
        part.weight = tensors[f"{at}{_EMBEDDINGS[name]}.weight"]
    first = _FIRST_POSITIONS[config["model_type"]]
    encoder.position_encodings.encodings = tensors[f"{at}{_EMBEDDINGS['positions']}.weight"][first:]
    _set_norm(encoder.layernorm_embedding, tensors, at + _EMBEDDINGS["norm"])
    for number, layer in enumerate(encoder.layer):
        _set_layer(layer, tensors, [at + name for name in _layer_names(number)])
    # texts reach the model as numbers, so the tokens need no names of their own
    numbers = [str(n) for n in range(encoder.embeddings[0].weight.shape[0])]
    spec.register_vocabulary(numbers)
    spec.config.unk_token = numbers[0]
    spec.config.layer_norm_epsilon = config["layer_norm_eps"]
    spec.validate()
    spec.optimize(quantization=compute_type)
    folder.mkdir(parents=True)
    spec.save(str(folder))


def _empty(config: dict[str, Any]) -> Any:
    """Return CTranslate2's description of the model, without weights."""
    from ctranslate2.specs import common_spec, transformer_spec

    encoder = transformer_spec.TransformerEncoderSpec(
        config["num_hidden_layers"],
        config["num_attention_heads"],
        pre_norm=False,
        activation=common_spec.Activation[_ACTIVATIONS[config["hidden_act"]]],
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    return transformer_spec.TransformerEncoderModelSpec(encoder)


def _set_layer(layer: Any, tensors: Tensors, names: Sequence[str]) -> None:
    import numpy as np

    *attended, output, norm, inner, outer, last_norm = names
    attention = layer.self_attention
    attention.linear[0].weight = np.concatenate([tensors[f"{name}.weight"] for name in attended])
    attention.linear[0].bias = np.concatenate([tensors[f"{name}.bias"] for name in attended])
    for part, name in ((attention.linear[1], output), (layer.ffn.linear_0, inner), (layer.ffn.linear_1, outer)):
        part.weight, part.bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    _set_norm(attention.layer_norm, tensors, norm)
    _set_norm(layer.ffn.layer_norm, tensors, last_norm)


def _set_norm(part: Any, tensors: Tensors, name: str) -> None:
    part.gamma, part.beta = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
