"""The settings that all kinds of datasets share. A kind is one file: a subclass with more settings and a reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from qttrag.evaluation.datasets.questions import Question


class DatasetSettings(BaseModel, ABC):
    """A dataset of a suite. A subclass sets `kind: Literal["NAME"] = "NAME"`.

    `langs`: the languages to read. `expected`: the number of questions that a language should have.
    `qrels`: a TREC file with the relevance of passages; "{lang}" in its name stands for the language.
    `SIGNED`: names of boolean and text settings that signatures state."""

    model_config = ConfigDict(extra="forbid")
    SIGNED: ClassVar[tuple[str, ...]] = ()

    kind: str
    langs: list[str] = Field(min_length=1)
    expected: dict[str, int] = Field(default={})
    qrels: str | None = None

    @abstractmethod
    def read(self, lang: str, left_out: Counter[str]) -> Iterator[Question]:
        """Yield the questions in `lang`, and count in `left_out`, by cause, the records that are skipped.

        Raises:
            ConfigError: a file is missing and cannot be downloaded.
            InputError: a record is invalid; the message names the file and the line."""
