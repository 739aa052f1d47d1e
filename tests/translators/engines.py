"""The tokens that a translator's model gives, for comparing two engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qttrag.translators.segments import LoadedModel, ModelInput, ModelOutput
from qttrag.types import Lang


async def outputs(translator: Any, texts: Sequence[str], source: Lang, target: Lang) -> list[ModelOutput]:
    """Return the output tokens of each text, as one input of the model."""
    model: LoadedModel = await translator._loaded.get()
    tokenizer = model.tokenizer
    codes = tokenizer.source_code(source, target), tokenizer.target_code(target)
    return await model.batcher.map([ModelInput(*codes, tokens) for tokens in tokenizer.encode(texts)])
