"""Reference translations of passages, and how good a translation is against them: the scores of `tags: oracle`.

The file has one {"id", "lang", "text"} per line: `text` is passage `id`, title included, in `lang`. The quality of a
translation is its chrF against the reference (sacrebleu's chrF2, in [0, 1]); its oracle scores are five times that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from qttrag.errors import ConfigError, InputError
from qttrag.evaluation.metrics.chrf import chrf
from qttrag.text.languages import language
from qttrag.types import Lang, TaggedPassage

Texts = Mapping[tuple[str, str], str]
"""References by passage id and language."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)
    id: str
    lang: str
    text: str


class ReferenceOracle:
    """The quality of translations against references, by passage and language."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def __call__(self, passage: TaggedPassage, target: Lang) -> float | None:
        """Return the quality of a translation in [0, 1]; None without a reference, or without a translation."""
        reference = self._texts.get((passage.passage.passage_id, target))
        return None if reference is None or passage.translation is None else chrf(passage.translation, [reference])


def read(file: str) -> ReferenceOracle:
    """Return the oracle of a file.

    Raises:
        ConfigError: there is no such file. InputError: a line is no reference, or two are of one passage."""
    path = Path(file)
    if not path.is_file():
        raise ConfigError(f"`references: {file}`: no such file; give JSON lines with id, lang and text")
    texts: dict[tuple[str, str], str] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                each = _Line.model_validate(json.loads(line))
                key = (each.id, str(language(each.lang).code))
            except (ValueError, ValidationError) as error:
                raise InputError(f"{file}:{number}: no reference ({error}); it needs id, lang and text") from error
            if key in texts:
                raise InputError(f"{file}:{number}: a second reference of '{each.id}' in '{key[1]}'; remove one")
            texts[key] = each.text
    return ReferenceOracle(texts)


def digest(file: str) -> str:
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
