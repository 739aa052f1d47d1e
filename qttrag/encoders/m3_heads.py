"""The two linear layers of BGE-M3 beside its vectors: learned weights of tokens, and a vector for each token.

Both read the last hidden states, so that one pass of the model gives all three (M3-Embedding, arXiv:2402.03216). They
are files in the model's folder, each with the tensors `weight` and `bias`: `sparse_linear.safetensors` and
`colbert_linear.safetensors`. The hub has them as `sparse_linear.pt` and `colbert_linear.pt`, which are pickles and are
not read: unpickling has run code of the file before, also with `weights_only=True`. docs/guides/encoders.md converts
them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from qttrag.errors import ConfigError, first_line
from qttrag.types import TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Head = Literal["sparse_linear", "colbert_linear"]


class M3Heads(NamedTuple):
    """The layers of a loaded encoder, torch modules on its device; None: its folder has no such file."""

    sparse_linear: Any
    colbert_linear: Any


def exist(folder: Path) -> bool:
    """Return whether the folder of a model has one of the layers."""
    return any((folder / f"{head}.safetensors").is_file() for head in M3Heads._fields)


def load(folder: Path, *, like: Any) -> M3Heads:
    """Return the layers in the files of a model's folder. `like`: hidden states of the model, whose last size, device
    and type the layers get.

    Raises:
        ConfigError: a file is damaged, or its layer has another size."""
    hidden = like.shape[-1]
    return M3Heads(
        _linear(folder / "sparse_linear.safetensors", (1, hidden), like),
        _linear(folder / "colbert_linear.safetensors", (None, hidden), like),
    )


def _linear(path: Path, shape: tuple[int | None, int], like: Any) -> Any:
    if not path.is_file():
        return None
    import torch
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        weight, bias = tensors["weight"], tensors["bias"]
    except Exception as error:  # safetensors raises an error of its own
        raise ConfigError(f"{path}: no linear layer ({first_line(error)}); convert it again") from error
    if weight.ndim != 2 or weight.shape != (shape[0] or len(weight), shape[1]) or bias.shape != (len(weight),):
        raise ConfigError(
            f"{path}: a layer of shape {tuple(weight.shape)}, not {shape[0] or 'n'} x {shape[1]}: of another model"
        )
    with torch.device("meta"):
        layer = torch.nn.Linear(weight.shape[1], len(weight))
    layer.load_state_dict({"weight": weight.to(like), "bias": bias.to(like)}, assign=True)
    return layer.requires_grad_(requires_grad=False)


def token_weights(layer: Any, hidden: Any, ids: Any, special: frozenset[int]) -> TokenWeights:
    """Return the weight of each token of each text: the largest of its places, without special tokens and zeros.

    `hidden`: last hidden states, shape (texts, places, size); `ids`: shape (texts, places), padding among `special`."""
    import numpy as np
    import torch

    by_place = torch.relu(layer(hidden)).squeeze(-1).float().cpu().numpy()
    numbers = ids.cpu().numpy()
    counted = (by_place > 0) & ~np.isin(numbers, list(special))
    rows, places = np.nonzero(counted)
    tokens, weights = numbers[rows, places], by_place[rows, places]
    order = np.lexsort((-weights, tokens, rows))
    rows, tokens, weights = rows[order], tokens[order], weights[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (tokens[1:] != tokens[:-1])
    counts = np.bincount(rows[first], minlength=len(numbers))
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return TokenWeights(starts, tokens[first].astype(np.int32), weights[first].astype(np.float32))


def token_vectors(layer: Any, hidden: Any, mask: Any) -> list[NDArray[np.float32]]:
    """Return the unit vectors of the tokens of each text but the first (`<s>`), float32, shape (tokens - 1, dim).

    `mask`: shape (texts, places), 1 for tokens and 0 for padding, which is on the right."""
    import torch

    vectors = torch.nn.functional.normalize(layer(hidden).float(), dim=-1).cpu().numpy()
    lengths = mask.sum(dim=1).tolist()
    return [of_text[1:length] for of_text, length in zip(vectors, lengths, strict=True)]
