"""Tokenizers of the transformers library, without its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qttrag.models import checkpoints


def load(folder: Path) -> Any:
    """Return what `AutoTokenizer.from_pretrained(folder)` returns.

    That builds the settings of the model to choose a class, and with them imports the code of models, which takes
    2 s. Where the tokenizer's own settings name the class, the type of the model is enough.

    Raises:
        OSError, ValueError: the folder has no tokenizer, or a damaged one."""
    from transformers import AutoTokenizer, PreTrainedConfig

    own = checkpoints.config(folder, "tokenizer_config.json")
    model = checkpoints.config(folder)
    if not own.get("tokenizer_class") or "auto_map" in own or not model.get("model_type"):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    config: Any = PreTrainedConfig()
    config.name_or_path = str(folder)
    for name in ("model_type", "model_name", "tokenizer_class"):  # all that the choice reads
        if name in model:
            setattr(config, name, model[name])
    return AutoTokenizer.from_pretrained(folder, config=config, local_files_only=True)
