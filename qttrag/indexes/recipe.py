"""A recipe: what one collection is made of. YAML in `indexes/`, read by `qttrag index build`."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from qttrag import config, resources
from qttrag.errors import ConfigError, InputError, unknown


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fields(_Part):
    """The names that id, title, text and language have in the source. TSV has no names: id, text, title."""

    id: str = "id"
    title: str = "title"
    text: str = "text"
    lang: str = "lang"


class Source(_Part):
    """Where records come from. `path`: files or globs beside the recipe."""

    kind: Literal["jsonl", "parquet", "tsv"]
    path: str | list[str]
    fields: Fields = Fields()


class Chunking(_Part):
    """How texts become passages: `size` words, or characters in languages written without spaces.

    `overlap`: so many sentences of a passage are repeated at the start of the next, and passages end with
    sentences; 0 cuts at `size` exactly, as the paper's collections do. `enabled: false` takes records as they are."""

    enabled: bool = True
    size: int = Field(default=100, ge=10)
    unit: Literal["auto", "words", "characters"] = "auto"
    overlap: int = Field(default=0, ge=0)


class EncoderSettings(_Part):
    """The encoder of passages; questions are encoded by the same one, with its own prefix where it wants one (e5)."""

    model: str
    revision: str | None = None
    device: str = "auto"
    max_tokens: int = Field(default=256, ge=8)
    batch_tokens: int = Field(default=16_384, ge=8)
    query_prefix: str = ""
    passage_prefix: str = ""


class Recipe(_Part):
    """One collection. `lang`: the language of all its records, or null to read each record's own.

    `faiss`: a FAISS factory string; `shard_rows`: vectors in one file of the built index."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    source: Source
    lang: str | None = None
    chunking: Chunking = Chunking()
    encoder: EncoderSettings
    faiss: str = "Flat"
    shard_rows: int = Field(default=500_000, ge=1)

    @field_validator("lang")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        from qttrag.languages import language

        try:
            return None if value is None else language(value).code
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def digest(self) -> str:
        """Return what changes when a setting does that the built index depends on."""
        settings = self.model_dump(mode="json", exclude={"encoder": {"device", "batch_tokens"}})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def load(value: str | Path) -> Recipe:
    """Return the recipe in the file `value`, or of that name in `indexes/`; its paths made absolute.

    Raises:
        ConfigError: no such file, an unknown key, a value of the wrong type."""
    path = resources.find("indexes", str(value), what="recipe")
    data = {"name": path.stem, **config.read_yaml(path)}
    try:
        recipe = Recipe(**data)
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error
    given = recipe.source.path if isinstance(recipe.source.path, list) else [recipe.source.path]
    beside = glob.escape(str(path.parent.resolve()))  # the folder's own brackets are no pattern
    absolute = [os.path.normpath(os.path.join(beside, Path(each).expanduser())) for each in given]  # noqa: PTH118
    model = config.beside(recipe.encoder.model, path.parent)
    return recipe.model_copy(
        update={
            "source": recipe.source.model_copy(update={"path": absolute}),
            "encoder": recipe.encoder.model_copy(update={"model": model}),
        }
    )


def _explain(error: ValidationError, path: Path) -> str:
    first = config.complaint(error)
    part: type[BaseModel] = Recipe
    for name in first["loc"][:-1]:
        inner = part.model_fields[str(name)].annotation if str(name) in part.model_fields else None
        part = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else part
    if first["type"] == "extra_forbidden":
        return f"{path}: {unknown('key', str(first['loc'][-1]), part.model_fields)}"
    return config.explain(error, str(path), part.model_fields)
