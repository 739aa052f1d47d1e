"""Bi-encoders of the sentence-transformers kind: texts to unit vectors."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag.errors import ConfigError, StageError
from qttrag.models import devices
from qttrag.models.loading import failed, locate, quiet
from qttrag.types import EncoderInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STAGE = "retriever"
Dtype = Literal["auto", "float32", "float16", "bfloat16"]


class Tokens(NamedTuple):
    """A text in as many tokens as the model reads. `cut`: it has more. `text`: without those."""

    text: str
    ids: list[int]
    cut: bool


class Prepared(NamedTuple):
    """Texts as an encoder takes them: for a model tensors by name, on the CPU, padded to the longest."""

    features: dict[str, Any]


class Encoder:
    """A loaded encoder. Pooling is the model's own (CLS for BGE-M3); vectors are normalised, so a dot is a cosine.

    `revision` tells this model's weights from others."""

    def __init__(
        self, model: str, *, revision: str | None, device: str, max_tokens: int, dtype: Dtype = "auto"
    ) -> None:
        """Load the model. `dtype` "auto": float16 on a GPU, which stored vectors have anyway, float32 on the CPU.

        Raises:
            ConfigError: the folder holds something that is not a sentence-transformers encoder."""
        located = locate(_STAGE, model, revision=revision, model_types=())
        _check(located.path)
        from sentence_transformers import SentenceTransformer

        quiet()
        self.revision = located.revision
        self.device = devices.pick(device)
        self.max_tokens = max_tokens
        try:
            loaded: Any = SentenceTransformer(
                str(located.path),
                device=self.device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": _dtype(dtype, self.device)},
            )
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as an encoder: {error}") from error
        loaded.max_seq_length = max_tokens
        loaded.eval()
        self.dim = int(loaded.get_embedding_dimension())
        self.info = EncoderInfo(model, self.revision, self.dim, max_tokens)
        self._model = loaded
        # `lengths` and `encode` run in different threads, and a tokenizer remembers how it was called last
        self._counter = copy.deepcopy(loaded.tokenizer)
        self._is_plain = self._counter.is_fast and self._pads_alike()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, uncut."""
        ids = self._counter(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(row) for row in ids]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the texts in tokens, cut to `max_tokens`. Not in another thread than `lengths` and `prepare`."""
        return tokenised(self._counter, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`, in another thread than that, if wanted."""
        if self._is_plain:
            return self._padded(tokens)
        return self._preprocessed([each.text for each in tokens])

    def _padded(self, tokens: Sequence[Tokens]) -> Prepared:
        padded = self._counter.pad({"input_ids": [each.ids for each in tokens]}, return_tensors="pt", verbose=False)
        return Prepared({**padded, "modality": "text"})

    def _preprocessed(self, texts: Sequence[str]) -> Prepared:
        return Prepared(self._model.preprocess(texts, prompt=self._model.prompts.get(self._model.default_prompt_name)))

    def _pads_alike(self) -> bool:
        """Say whether tokens need but padding: the model has no prompt or template of its own."""
        texts = ["One.", "Two, and more."]
        own, padded = self._preprocessed(texts).features, self._padded(self.tokenise(texts)).features
        return own.keys() == padded.keys() and all(str(own[key]) == str(padded[key]) for key in own)

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return what `encode` does of the texts that were prepared.

        Raises:
            StageError: the model failed."""
        import torch
        from sentence_transformers.util import batch_to_device

        try:
            with torch.inference_mode():
                features = batch_to_device(dict(prepared.features), torch.device(self.device))
                found = self._model(features)["sentence_embedding"][:, : self.dim]
                vectors: NDArray[np.float32] = torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise StageError(_STAGE, f"{self.device} has no room for a batch; lower `batch_tokens:`") from error
        except Exception as error:
            raise failed(_STAGE, error) from error
        return vectors

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim), of what `max_tokens` show of each text.

        Raises:
            StageError: the model failed."""
        try:
            vectors: NDArray[np.float32] = self._model.encode(
                list(texts),
                batch_size=len(texts),
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        except Exception as error:
            raise failed(_STAGE, error) from error
        return vectors.astype("float32")


def tokenised(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> list[Tokens]:
    """Return the texts in tokens, cut to `max_tokens`.

    Raises:
        ConfigError: the tokenizer is written in Python, and does not tell what it cuts."""
    if not tokenizer.is_fast:
        raise ConfigError(f"{_STAGE}: the encoder's tokenizer has no tokenizer.json; save it again with transformers 5")
    encodings = tokenizer(list(texts), truncation=True, max_length=max_tokens, verbose=False).encodings
    return [
        Tokens(_read(text, each.offsets) if each.overflowing else text, each.ids, bool(each.overflowing))
        for text, each in zip(texts, encodings, strict=True)
    ]


def _read(text: str, offsets: Sequence[tuple[int, int]]) -> str:
    """Return the beginning of a text that its tokens stand for; special ones stand for nothing, at (0, 0)."""
    return text[: max(end for _, end in offsets)]


def _dtype(dtype: Dtype, device: str) -> str:
    if dtype != "auto":
        return dtype
    return "float16" if device.startswith("cuda") else "float32"


def _check(path: Path) -> None:
    if not (path / "modules.json").is_file():
        kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
        raise ConfigError(
            f"{_STAGE}: {path} holds a '{kind}' model without modules.json, not a sentence-transformers encoder; "
            "set `model:` to one, or save yours with SentenceTransformer.save"
        )
