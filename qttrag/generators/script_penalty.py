"""A soft penalty on tokens in other scripts than an answer's, while it is generated (after SCD, arXiv:2511.09984)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from qttrag.errors import ConfigError
from qttrag.text.scripts import scripts_of

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from qttrag.generators.streaming import RowStream


_KEPT = 8  # biases, each of the size of the vocabulary; the answers of a service are in few sets of scripts


class PenaltySettings(NamedTuple):
    """`penalty`: subtracted from the logits of tokens that have a letter of another script than the completion's; 0:
    none. `after`: the first tokens of a completion, which have no penalty."""

    penalty: float
    after: int

    @property
    def identity(self) -> str:
        """What they add to a generator's identity: nothing, where there is no penalty."""
        return f":script_penalty={self.penalty:g}:{self.after}" if self.penalty else ""

    def checked(self, kind: str, *, thinking: bool) -> PenaltySettings:
        """Return the settings.

        Raises:
            ConfigError: they are out of range, or would also penalise the reasoning of a model."""
        if self.penalty < 0 or self.after < 0:
            raise ConfigError(
                f"generator kind '{kind}': `script_penalty: {self.penalty:g}` and `script_penalty_after: {self.after}` "
                f"must be at least 0"
            )
        if self.penalty and thinking:
            raise ConfigError(
                f"generator kind '{kind}': `script_penalty: {self.penalty:g}` would also apply to the reasoning of "
                f"`thinking: true`, which may be in another language; set one of the two"
            )
        return self


class ScriptPenalty:
    """The penalty for the vocabulary of one model.

    `texts`: returns the text of each token; "" for a token that is not text. A token that is only a part of a character
    has no script and no penalty."""

    def __init__(self, settings: PenaltySettings, texts: Callable[[], Sequence[str]]) -> None:
        self.settings = settings
        self._texts = texts
        self.bias = lru_cache(maxsize=_KEPT)(self._bias)

    @cached_property
    def _scripts(self) -> list[frozenset[str]]:
        return [frozenset(scripts_of(text)) for text in self._texts()]

    def _bias(self, scripts: tuple[str, ...]) -> NDArray[np.float32] | None:
        """Return what to add to the logits of a completion in `scripts`, shape (vocabulary,); None: nothing."""
        import numpy as np

        if not self.settings.penalty or not scripts:
            return None
        foreign = np.fromiter((not own.issubset(scripts) for own in self._scripts), dtype=bool)
        return np.where(foreign, -self.settings.penalty, 0).astype(np.float32)


def add(bias: Any, logits: Any) -> bool:
    """Add a bias to logits, in place; return whether that changed the most likely token. Both arrays or both tensors.

    Logits after the end of `bias` are of no token."""
    before = int(logits.argmax())
    logits[: len(bias)] += bias[: len(logits)]
    return int(logits.argmax()) != before


class BatchPenalty:
    """A logits processor for transformers: adds `biases[n]` to the logits of row n after its first `after` tokens."""

    def __init__(self, rows: Sequence[RowStream], biases: Sequence[Any], *, after: int, prompt_length: int) -> None:
        import torch

        self._rows = [
            (n, row, torch.from_numpy(bias))
            for n, (row, bias) in enumerate(zip(rows, biases, strict=True))
            if bias is not None
        ]
        self._first = prompt_length + after

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        if input_ids.shape[1] >= self._first:
            for n, row, bias in self._rows:
                if not row.done:
                    row.steered += add(bias.to(scores), scores[n])
        return scores
