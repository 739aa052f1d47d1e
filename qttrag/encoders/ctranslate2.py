"""Encoders on CTranslate2, in this process: BERT, RoBERTa and XLM-R on a CPU in int8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qttrag.encoders.tokens import dimensions, tokenised
from qttrag.errors import ConfigError
from qttrag.models import bert
from qttrag.models.bert import ComputeType
from qttrag.models.loading import LocatedModel, failed
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "retriever"
_POOLINGS = ("cls", "mean")


class CTranslate2Encoder:
    """A loaded encoder; vectors are unit vectors. Queries and passages may be of different dtypes: `revision`
    identifies the checkpoint, not what it was rounded to."""

    device = "cpu"

    def __init__(
        self,
        model: str,
        located: LocatedModel,
        *,
        max_tokens: int,
        compute_type: ComputeType = "int8",
        truncate_dim: int | None = None,
    ) -> None:
        """Load the model.

        Raises:
            ConfigError: the checkpoint cannot run here, or has fewer than `truncate_dim` dimensions."""
        if reason := unsupported(located.path):
            raise ConfigError(f"{_STAGE}: {located.path} cannot run in int8: {reason}; set `dtype: float32`")
        from transformers import AutoTokenizer

        config = json.loads((located.path / "config.json").read_text(encoding="utf-8"))
        self.max_tokens = max_tokens
        self.dim = dimensions(int(config["hidden_size"]), truncate_dim, model)
        self.info = EncoderInfo(model, located.revision, self.dim, max_tokens)
        self._means = _pooling(located.path) == "mean"
        self._tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
        self._bert = bert.Bert(_STAGE, located, compute_type)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, before it is cut."""
        ids = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(row) for row in ids]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `max_tokens`."""
        return tokenised(self._tokenizer, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`."""
        return Prepared({"rows": [text.ids for text in tokens]})

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim), in the order of the batch.

        Raises:
            StageError: the model failed."""
        import numpy as np

        rows = prepared.features["rows"]
        try:
            states = self._bert.hidden_states(rows)
        except Exception as error:
            raise failed(_STAGE, error) from error
        if self._means:
            pooled = np.stack([state[: len(row)].mean(axis=0) for state, row in zip(states, rows, strict=True)])
        else:
            pooled = states[:, 0]
        vectors = pooled[:, : self.dim]
        unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim). Texts are cut to `max_tokens`.

        Raises:
            StageError: the model failed."""
        return self.encode_prepared(self.prepare(self.tokenise(texts)))


def unsupported(folder: Path) -> str | None:
    """Return why a sentence-transformers folder cannot run on CTranslate2; None if it can."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    names = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return f"it has the modules {', '.join(names)}, not Transformer, Pooling and Normalize"
    if _pooling(folder) not in _POOLINGS:
        return f"it has a pooling other than {' and '.join(_POOLINGS)}"
    if _read(folder / "sentence_bert_config.json").get("do_lower_case"):
        return "it lowers the case of texts before its tokenizer"
    own = _read(folder / "config_sentence_transformers.json")
    if own.get("default_prompt_name"):
        return f"it has the default prompt '{own['default_prompt_name']}'"
    return bert.unsupported(folder)


def _pooling(folder: Path) -> str | None:
    """Return the pooling of an encoder: "cls", "mean", another name, or None for several at once."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    path = next((module["path"] for module in modules if str(module["type"]).endswith(".Pooling")), None)
    config = {} if path is None else _read(folder / path / "config.json")
    prefix = "pooling_mode_"  # in files of sentence-transformers before 6: a flag for each mode
    modes = [config["pooling_mode"]] if "pooling_mode" in config else []
    modes += [name.removeprefix(prefix) for name, is_on in config.items() if name.startswith(prefix) and is_on is True]
    named = {"cls_token": "cls", "mean_tokens": "mean"}
    return named.get(str(modes[0]), str(modes[0])) if len(modes) == 1 else None


def _read(file: Path) -> dict[str, Any]:
    """Return the settings in a file, none if it does not exist."""
    settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return settings
