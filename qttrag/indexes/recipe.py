"""A recipe: what one collection is made of. YAML in `indexes/`, read by `qttrag index build`."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qttrag import resources
from qttrag.config import yaml_files
from qttrag.errors import ConfigError, InputError, unknown

WHERE = {"device", "batch_tokens", "servers"}  # of `encoder:`, what no vector depends on but by rounding


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fields(_Part):
    """The names that id, title, text and language have in the source. TSV has no names: id, text, title."""

    id: str = "id"
    title: str = "title"
    text: str = "text"
    lang: str = "lang"


class Source(_Part):
    """Where records come from. `path`: files or globs beside the recipe; lines may be gzipped (`*.jsonl.gz`).

    Kind `kilt` is the KILT knowledge source, JSON lines with lists of paragraphs. Kind `hub` is Parquet in a data
    set of the Hugging Face hub: `dataset` owner/name, `path` in it, `revision` its commit; files are fetched one at
    a time and removed when they are read. `clean`: leave out of Wikipedia's text what has no sentence."""

    kind: Literal["jsonl", "parquet", "tsv", "arrow", "kilt", "hub"]
    path: str | list[str]
    dataset: str | None = Field(default=None, pattern=r"^[^/\s]+/[^/\s]+$")
    revision: str | None = None
    clean: bool = False
    fields: Fields = Fields()

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if self.kind == "hub" and self.dataset is None:
            raise ValueError("kind hub needs `dataset: owner/name`; add it")
        if self.kind != "hub" and (self.dataset or self.revision):
            raise ValueError(f"`dataset:` and `revision:` are of kind hub; remove them from kind {self.kind}")
        return self

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path


class Chunking(_Part):
    """How texts become passages: `size` words, or characters in languages written without spaces.

    `overlap`: so many sentences of a passage are repeated at the start of the next, and passages end with
    sentences; 0 cuts at `size` exactly, as the paper's collections do. `enabled: false` takes records as they are."""

    enabled: bool = True
    size: int = Field(default=100, ge=10)
    unit: Literal["auto", "words", "characters"] = "auto"
    overlap: int = Field(default=0, ge=0)


class Servers(_Part):
    """Servers that encode passages over `/v1/embeddings` (vLLM, TEI): `urls` as http://host:port/v1; none: in process.

    `model`: what they call it, if not as the recipe does. `batch`: texts in a request (TEI takes 32); `in_flight`:
    requests at a time to each; `timeout`: seconds; `retries`: each at the next server, after pauses of up to 5 s."""

    urls: list[Annotated[str, Field(pattern="^https?://")]] = []
    model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    batch: int = Field(default=32, ge=1)
    in_flight: int = Field(default=8, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    retries: int = Field(default=7, ge=0)


class EncoderSettings(_Part):
    """The encoder of passages; questions are encoded by the same one, with its own prefix where it wants one (e5).

    `device`: one, several, or auto: all GPUs there are, or the CPU. `dtype` auto: float16 on a GPU."""

    model: str
    revision: str | None = None
    device: str | Annotated[list[str], Field(min_length=1)] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_tokens: int = Field(default=256, ge=8)
    batch_tokens: int = Field(default=16_384, ge=8)
    query_prefix: str = ""
    passage_prefix: str = ""
    servers: Servers = Servers()


class Recipe(_Part):
    """One collection. `lang`: the language of all its records, or null to read each record's own.

    `faiss`: a FAISS factory string, or auto for one by the number of passages; `shard_rows`: about how many passages
    one file of the built index has, which is what a build that is killed does again at most."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    source: Source
    lang: str | None = None
    chunking: Chunking = Chunking()
    encoder: EncoderSettings
    faiss: str = "Flat"
    shard_rows: int = Field(default=100_000, ge=1)

    @field_validator("lang")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        from qttrag.text.languages import language

        try:
            return None if value is None else language(value).code
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def digest(self) -> str:
        """Return what changes when a setting does that the built index depends on."""
        settings = self.model_dump(mode="json", exclude={"encoder": WHERE})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def load(value: str | Path) -> Recipe:
    """Return the recipe in the file `value`, or of that name in `indexes/`; its paths made absolute.

    One that says `extends: NAME` has the settings of the recipe NAME under its own: of NAME.yaml beside it, or of that
    name in `indexes/`.

    Raises:
        ConfigError: no such file, an unknown key, a value of the wrong type."""
    path = resources.find("indexes", str(value), what="recipe")
    data = {"name": path.stem, **_extended(path)}
    try:
        recipe = Recipe(**data)
    except ValidationError as error:
        raise ConfigError(_explain(error, path)) from error
    paths = recipe.source.paths if recipe.source.kind == "hub" else _absolute(recipe.source.paths, path.parent)
    model = yaml_files.resolve_relative_paths(recipe.encoder.model, path.parent)
    return recipe.model_copy(
        update={
            "source": recipe.source.model_copy(update={"path": paths}),
            "encoder": recipe.encoder.model_copy(update={"model": model}),
        }
    )


def _extended(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the settings in a file over those of the file it extends; mappings are merged, all else replaced."""
    if path in above:
        raise ConfigError(f"{above[0]}: `extends:` goes in a circle ({', '.join(p.stem for p in above)})")
    data = yaml_files.read_yaml(path)
    name = data.pop("extends", None)
    if name is None:
        return data
    base = path.with_name(f"{name}.yaml")
    if not base.is_file():
        base = resources.find("indexes", str(name), what="recipe")
    return _over(_extended(base, (*above, path)), data)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _absolute(paths: list[str], folder: Path) -> list[str]:
    beside = glob.escape(str(folder.resolve()))  # the folder's own brackets are no pattern
    return [os.path.normpath(os.path.join(beside, Path(each).expanduser())) for each in paths]  # noqa: PTH118


def _explain(error: ValidationError, path: Path) -> str:
    first = yaml_files.complaint(error)
    part: type[BaseModel] = Recipe
    for name in first["loc"][:-1]:
        inner = part.model_fields[str(name)].annotation if str(name) in part.model_fields else None
        part = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else part
    if first["type"] == "extra_forbidden":
        return f"{path}: {unknown('key', str(first['loc'][-1]), part.model_fields)}"
    return yaml_files.explain(error, str(path), part.model_fields)
