"""Sequence classification of pairs of texts on transformers alone; a cross-encoder's model has one label."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qttrag.encoders.pooled_transformer import unsupported_transformer

MODEL_TYPES = frozenset({"bert", "camembert", "distilbert", "modernbert", "mpnet", "roberta", "xlm-roberta"})
"""Architectures whose scores are tested to equal those of sentence-transformers."""

_SETTINGS = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


def unsupported(path: Path) -> str | None:
    """Return why the cross-encoder in a folder needs the package sentence-transformers; None: it does not."""
    modules = path / "modules.json"
    if modules.is_file():
        types = [module["type"].rsplit(".", 1)[-1] for module in json.loads(modules.read_text(encoding="utf-8"))]
        if types != ["Transformer"]:
            return f"its modules are {', '.join(types)}"
    return unsupported_transformer(path, MODEL_TYPES, _SETTINGS)


class PairClassifier:
    """A loaded model of pairs, such as a cross-encoder. `tokenizer`: the model's own."""

    def __init__(self, path: Path, *, device: str, max_tokens: int, dtype: str | None = None) -> None:
        """Load the model. `dtype` None: the checkpoint's own."""
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        chosen = {} if dtype is None else {"dtype": dtype}
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            path, use_safetensors=True, local_files_only=True, **chosen
        )
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        self._model = model.to(device).eval()
        self._device = device
        self._max_tokens = max_tokens

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return the one raw output for each (question, passage), cut to `max_tokens` from its longer part."""
        return [score for (score,) in self.logits(pairs)]

    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Return the raw output for each pair, one number per label, shape (pairs, labels); pairs are cut as above."""
        import torch

        first, second = zip(*pairs, strict=True)
        features = self.tokenizer(
            list(first), list(second), padding=True, truncation=True, max_length=self._max_tokens,
            return_tensors="pt", verbose=False,
        )  # fmt: skip
        with torch.inference_mode():
            logits = self._model(**features.to(self._device)).logits
        rows: list[list[float]] = logits.float().tolist()
        return rows
