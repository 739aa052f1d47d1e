"""Encoders in the format of sentence-transformers, in this process, e.g. BAAI/bge-m3."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from qttrag.encoders import m3_heads
from qttrag.encoders.ctranslate2 import CTranslate2Encoder, unsupported
from qttrag.encoders.m3_encoder import M3Encoder
from qttrag.encoders.pooled_transformer import PooledTransformer, Unsupported, pooling_of
from qttrag.encoders.tokens import dimensions, tokenised
from qttrag.errors import ConfigError, StageError
from qttrag.models import devices
from qttrag.models.loading import failed, locate, quiet
from qttrag.protocols import PassageEncoder, QueryEncoder
from qttrag.types import EncoderInfo, Prepared, Tokens

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_STAGE = "retriever"
Dtype = Literal["auto", "float32", "float16", "bfloat16"]


class SentenceTransformersKind:
    """Encoder kind `sentence_transformers`: a model in this process.

    `device`: one, or `auto` for a GPU if there is one; of several, queries use the first and builds use all.
    `dtype` auto: float16 on a GPU, float32 on the CPU. On the CPU, `auto` runs BERT, RoBERTa and XLM-R with CLS or mean
    pooling on CTranslate2, which is faster than torch and gives the same vectors; int8 runs the same models there in
    int8. The first load converts the checkpoint into the cache folder. float32: always on torch. `batch_tokens`:
    tokens in a batch, padding included. `truncate_dim`: as in the recipe of the indexes: the first dimensions of each
    vector are kept; null: all."""

    batch_texts: int | None = None

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str | list[str] = "auto",
        dtype: Dtype | Literal["int8"] = "auto",
        max_tokens: int = 256,
        batch_tokens: int = 16_384,
        truncate_dim: int | None = None,
    ) -> None:
        if not device:
            raise ConfigError("encoder kind 'sentence_transformers': `device: []` is empty; name a device, or auto")
        self.batch_tokens = batch_tokens
        self._model = model
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._max_tokens = max_tokens
        self._truncate_dim = truncate_dim
        self._loaded: QueryEncoder | None = None

    def load(self) -> QueryEncoder:
        """Load the encoder of queries, once: stages with equal settings share it."""
        if self._loaded is None:
            self._loaded = self._load(self._device if isinstance(self._device, str) else self._device[0])
        return self._loaded

    def load_for_passages(self) -> list[PassageEncoder]:
        return [self._load(device) for device in devices.every(self._device)]

    def _load(self, device: str) -> SentenceTransformersEncoder | M3Encoder | CTranslate2Encoder:
        if self._dtype in ("auto", "int8") and (encoder := self._on_ctranslate2(device)):
            return encoder
        if self._dtype == "int8":
            raise ConfigError(f"{_STAGE}: `dtype: int8` needs `device: cpu`, not '{device}'; on a GPU use float16")
        torch_encoder = SentenceTransformersEncoder(
            self._model,
            revision=self._revision,
            device=device,
            max_tokens=self._max_tokens,
            dtype=self._dtype,
            truncate_dim=self._truncate_dim,
        )
        folder = torch_encoder.folder
        return M3Encoder(torch_encoder, folder) if m3_heads.exist(folder) else torch_encoder

    def _on_ctranslate2(self, device: str) -> CTranslate2Encoder | None:
        """Return the encoder on CTranslate2; None: `device` is a GPU, or `dtype` is auto and the model needs torch."""
        if devices.pick(device) != "cpu":
            return None
        located = locate(_STAGE, self._model, revision=self._revision, model_types=())
        _check(located.path)
        is_auto = self._dtype == "auto"
        if is_auto and not runs_on_ctranslate2(located.path):
            return None
        return CTranslate2Encoder(
            self._model,
            located,
            max_tokens=self._max_tokens,
            compute_type="float32" if is_auto else "int8",
            truncate_dim=self._truncate_dim,
        )


def runs_on_ctranslate2(folder: Path) -> bool:
    """Return whether `dtype: auto` runs an encoder on CTranslate2 on a CPU; the layers of BGE-M3 need torch."""
    return not m3_heads.exist(folder) and unsupported(folder) is None


class SentenceTransformersEncoder:
    """A loaded encoder. Pooling is the model's own (CLS for BGE-M3); vectors are normalised: dot products are cosines.

    `revision` identifies the weights."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None,
        device: str,
        max_tokens: int,
        dtype: Dtype = "auto",
        truncate_dim: int | None = None,
    ) -> None:
        """Load the model. `dtype` "auto": float16 on a GPU, the precision of stored vectors, and float32 on the CPU.

        Raises:
            ConfigError: the folder holds no sentence-transformers encoder, or one with fewer than `truncate_dim`
                dimensions."""
        located = locate(_STAGE, model, revision=revision, model_types=())
        _check(located.path)
        quiet()
        self.folder = located.path
        self.revision = located.revision
        self.device = devices.pick(device)
        self.max_tokens = max_tokens
        try:
            self._model = _open(located.path, self.device, _dtype(dtype, self.device), max_tokens)
        except ModuleNotFoundError:  # its caller says how to install the package
            raise
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as an encoder: {error}") from error
        self.dim = dimensions(self._model.dim, truncate_dim, model)
        self.info = EncoderInfo(model, self.revision, self.dim, max_tokens)
        # `lengths` and `encode` run in different threads, and a tokenizer keeps the truncation of its last call
        self._counter = copy.deepcopy(self._model.tokenizer)
        self._is_plain = self._counter.is_fast and self._pads_alike()

    @property
    def special_tokens(self) -> frozenset[int]:
        """Return the numbers of the tokens that stand for no text, such as padding."""
        return frozenset(self._counter.all_special_ids)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, before it is cut."""
        ids = self._counter(list(texts), truncation=False, verbose=False)["input_ids"]
        return [len(row) for row in ids]

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text, cut to `max_tokens`. Called in the thread of `lengths` and `prepare`."""
        return tokenised(self._counter, texts, self.max_tokens)

    def prepare(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return a batch for `encode_prepared`, which may run in another thread."""
        if self._is_plain:
            return self._padded(tokens)
        return self.preprocessed([text.text for text in tokens])

    def _padded(self, tokens: Sequence[Tokens]) -> Prepared:
        """Return tokens as tensors. The tokenizer's own `pad` visits each token in Python."""
        import numpy as np
        import torch

        shape = (len(tokens), max(len(text.ids) for text in tokens))
        ids, mask = np.full(shape, self._counter.pad_token_id, np.int64), np.zeros(shape, np.int64)
        on_left = self._counter.padding_side == "left"
        for row, text in enumerate(tokens):
            places = slice(shape[1] - len(text.ids), None) if on_left else slice(len(text.ids))
            ids[row, places], mask[row, places] = text.ids, 1
        return Prepared({"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)})

    def preprocessed(self, texts: Sequence[str]) -> Prepared:
        """Return a batch of texts for `encode_prepared`, in the thread of `encode`."""
        return Prepared(self._model.preprocess(texts))

    def _pads_alike(self) -> bool:
        """Return whether padding is all that tokens need: the model has no prompt or template of its own."""
        texts = ["One.", "Two, and more."]
        own, padded = self.preprocessed(texts).features, self._padded(self.tokenise(texts)).features
        text = own.pop("modality", "text")  # of the package only
        return text == "text" and own.keys() == padded.keys() and all(str(own[key]) == str(padded[key]) for key in own)

    def encode_prepared(self, prepared: Prepared) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (number of texts, dim), in the order of the batch.

        Raises:
            StageError: the model failed."""
        return self.run(prepared, self.vectors)

    def vectors(self, features: dict[str, Any]) -> NDArray[np.float32]:
        """Return the unit vectors in what the model made of a batch."""
        import torch

        embeddings = features["sentence_embedding"][:, : self.dim]
        vectors: NDArray[np.float32] = torch.nn.functional.normalize(embeddings.float(), dim=1).cpu().numpy()
        return vectors

    def run(self, prepared: Prepared, read: Callable[[dict[str, Any]], T]) -> T:
        """Return what `read` reads from what the model made of a batch: torch tensors by name, among them
        `token_embeddings`, the last hidden states.

        Raises:
            StageError: the model failed."""
        import torch

        try:
            with torch.inference_mode():
                return read(self._model.outputs(prepared.features))
        except torch.OutOfMemoryError as error:
            raise StageError(_STAGE, f"{self.device} has no memory for a batch; lower `batch_tokens:`") from error
        except Exception as error:
            raise failed(_STAGE, error) from error

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, float32, shape (len(texts), dim). Texts are cut to `max_tokens`.

        Raises:
            StageError: the model failed."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), "float32")
        return self.encode_prepared(self.preprocessed(texts))


class _Model(Protocol):
    """What `SentenceTransformersEncoder` needs of a loaded model: `PooledTransformer` or `PackagedEncoder`."""

    tokenizer: Any
    dim: int

    def preprocess(self, texts: Sequence[str]) -> dict[str, Any]: ...

    def outputs(self, features: dict[str, Any]) -> dict[str, Any]: ...


class PackagedEncoder:
    """An encoder that the package sentence-transformers loads and runs, with any modules.

    `dim`: of its vectors. `tokenizer`: the model's own."""

    def __init__(self, path: Path, *, device: str, dtype: str, max_tokens: int) -> None:
        from sentence_transformers import SentenceTransformer

        loaded: Any = SentenceTransformer(
            str(path),
            device=device,
            local_files_only=True,
            model_kwargs={"use_safetensors": True, "dtype": dtype},
        )
        loaded.max_seq_length = max_tokens
        self.tokenizer: Any = loaded.tokenizer
        self.dim = int(loaded.get_embedding_dimension())
        self._model = loaded.eval()
        self._device = device

    def preprocess(self, texts: Sequence[str]) -> dict[str, Any]:
        """Return the input of `outputs`, with the model's own prompt."""
        own = self._model.prompts.get(self._model.default_prompt_name)
        return dict(self._model.preprocess(list(texts), prompt=own))

    def outputs(self, features: dict[str, Any]) -> dict[str, Any]:
        """Return what the modules make of a batch; see `PooledTransformer.outputs`."""
        from sentence_transformers.util import batch_to_device
        from torch import device

        outputs: dict[str, Any] = self._model(batch_to_device(dict(features), device(self._device)))
        return outputs


def _open(path: Path, device: str, dtype: str, max_tokens: int) -> _Model:
    """Load an encoder, with the package sentence-transformers only if it needs it."""
    pooling = pooling_of(path)
    if isinstance(pooling, Unsupported):
        _LOG.info("%s needs sentence-transformers: %s", path, pooling.reason)
        return PackagedEncoder(path, device=device, dtype=dtype, max_tokens=max_tokens)
    return PooledTransformer(path, pooling, device=device, dtype=dtype, max_tokens=max_tokens)


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
