"""Recipes: what one collection is built from. YAML files in `indexes/`, read by `qttrag index build`."""

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
from qttrag.documents.limits import DocumentLimits
from qttrag.encoders import prefixes
from qttrag.errors import ConfigError, InputError
from qttrag.text.languages import language

# Settings of `encoder:` that change vectors only by rounding; excluded from digest and build fingerprint.
PLACEMENT_SETTINGS = {"device", "batch_tokens", "servers"}


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Fields(_Settings):
    """The names of the fields id, title, text and language in the source. TSV columns are id, text, title."""

    id: str = "id"
    title: str = "title"
    text: str = "text"
    lang: str = "lang"


class Source(_Settings):
    """Where records come from. `path`: files or globs, relative to the recipe; lines may be gzipped (`*.jsonl.gz`).

    Kind `kilt` is the KILT knowledge source, JSON lines with lists of paragraphs. Kind `hub` is a data set of Parquet
    files on the Hugging Face hub: `dataset` owner/name, `path` in it, `revision` its commit; files are downloaded one
    at a time and deleted after reading. Kind `folder`: the documents in a folder (PDF, Word, slides, tables, web pages,
    books, Markdown, text, e-mail) and in the folders below it. `clean`: drop those parts of Wikipedia's text that
    contain no sentence. `limits`: of reading one document."""

    kind: Literal["jsonl", "parquet", "tsv", "arrow", "kilt", "hub", "folder"]
    path: str | list[str]
    dataset: str | None = Field(default=None, pattern=r"^[^/\s]+/[^/\s]+$")
    revision: str | None = None
    clean: bool = False
    fields: Fields = Fields()
    limits: DocumentLimits = Field(
        default=DocumentLimits(), exclude_if=lambda limits: limits == DocumentLimits()
    )  # keeps older digests valid

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "hub" and self.dataset is None:
            raise ValueError("kind hub needs `dataset: owner/name`; add it")
        if self.kind != "hub" and (self.dataset or self.revision):
            raise ValueError(f"`dataset:` and `revision:` are settings of kind hub; remove them from kind {self.kind}")
        if self.kind == "folder" and not isinstance(self.path, str) and len(self.path) != 1:
            raise ValueError("kind folder has one `path`; make a recipe for each folder")
        if self.kind == "folder" and (self.clean or self.fields != Fields()):
            raise ValueError("`clean:` and `fields:` are settings of records; remove them from kind folder")
        return self

    @property
    def paths(self) -> list[str]:
        return [self.path] if isinstance(self.path, str) else self.path


class Chunking(_Settings):
    """How texts are cut into passages: `size` words, or characters in languages written without spaces.

    `overlap`: number of sentences of a passage that the next one repeats; passages then end at sentences. 0 cuts at
    exactly `size` words, as for the paper's collections. `enabled: false`: each record is one passage."""

    enabled: bool = True
    size: int = Field(default=100, ge=10)
    unit: Literal["auto", "words", "characters"] = "auto"
    overlap: int = Field(default=0, ge=0)


class Servers(_Settings):
    """Servers that encode passages and questions (`/v1/embeddings`: vLLM, TEI). `urls`: http://host:port/v1; none: in
    this process.

    `model`: its name on the servers, if it differs from the recipe's. `batch`: texts per request (TEI accepts 32);
    `in_flight`: concurrent requests per server; `timeout`: seconds; `retries`: each on the next server, after a pause
    of up to 5 s."""

    urls: list[Annotated[str, Field(pattern="^https?://")]] = []
    model: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    batch: int = Field(default=32, ge=1)
    in_flight: int = Field(default=8, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    retries: int = Field(default=7, ge=0)


class EncoderSettings(_Settings):
    """The encoder of the passages. Questions are encoded by the same model.

    `kind`: an encoder kind of `qttrag kinds`; None: `openai` where there are `servers`, else `sentence_transformers`.
    `device`: one, several, or auto: all GPUs, else the CPU. `dtype` auto: float16 on a GPU; int8: on the CPU only.
    `query_prefix`, `passage_prefix`: precede every question and passage; if absent, those of the model where its name
    is known (`query: ` and `passage: ` for E5), else none.
    `truncate_dim`: the first dimensions of each vector are kept, at unit length, for models trained to allow that
    (Matryoshka); None: all.
    `query_fields`, `passage_fields`: further fields of requests to `servers`, e.g. {task: retrieval.passage}."""

    kind: str | None = Field(default=None, exclude_if=lambda kind: kind is None)  # keeps older digests valid
    model: str
    revision: str | None = None
    device: str | Annotated[list[str], Field(min_length=1)] = "auto"
    dtype: Literal["auto", "float32", "float16", "bfloat16", "int8"] = "auto"
    max_tokens: int = Field(default=256, ge=8)
    batch_tokens: int = Field(default=16_384, ge=8)
    query_prefix: str = ""
    passage_prefix: str = ""
    truncate_dim: int | None = Field(
        default=None, ge=1, exclude_if=lambda dim: dim is None
    )  # keeps older digests valid
    query_fields: dict[str, Any] = Field(default={}, exclude_if=lambda fields: not fields)
    passage_fields: dict[str, Any] = Field(default={}, exclude_if=lambda fields: not fields)
    servers: Servers = Servers()

    @model_validator(mode="before")
    @classmethod
    def _add_known_prefixes(cls, settings: Any) -> Any:
        if not isinstance(settings, dict) or not (known := prefixes.known(str(settings.get("model", "")))):
            return settings
        return {"query_prefix": known.query, "passage_prefix": known.passage, **settings}


class Recipe(_Settings):
    """One collection. `lang`: the language of all its records; None: each record has its own.

    `faiss`: a FAISS factory string, or auto to choose one by the number of passages. `shard_rows`: approximate number
    of passages per file of the built index, which is also the most that an interrupted build repeats. `sparse`: the
    weights that the encoder gives to the tokens of passages are stored, too, for retriever kind sparse (BGE-M3)."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    source: Source
    lang: str | None = None
    chunking: Chunking = Chunking()
    encoder: EncoderSettings
    faiss: str = "Flat"
    sparse: bool = Field(default=False, exclude_if=lambda sparse: not sparse)  # keeps older digests valid
    shard_rows: int = Field(default=100_000, ge=1)

    @field_validator("lang")
    @classmethod
    def _check_lang(cls, value: str | None) -> str | None:
        try:
            return None if value is None else language(value).code
        except InputError as error:
            raise ValueError(str(error)) from error

    @property
    def digest(self) -> str:
        """Return a SHA-256 of all settings that the built index depends on."""
        settings = self.model_dump(mode="json", exclude={"encoder": PLACEMENT_SETTINGS})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def load(value: str | Path) -> Recipe:
    """Return the recipe in the file `value`, or the recipe of that name in `indexes/`, with absolute paths.

    A recipe with `extends: NAME` overrides the settings of the recipe NAME: NAME.yaml in the same folder, or else in
    `indexes/`.

    Raises:
        ConfigError: no such file, an unknown key, a value of the wrong type."""
    path = resources.find("indexes", str(value), what="recipe")
    settings = {"name": path.stem, **_read_extended(path)}
    try:
        recipe = Recipe(**settings)
    except ValidationError as error:
        fields = yaml_files.fields_at(Recipe, yaml_files.complaint(error)["loc"])
        raise ConfigError(yaml_files.explain(error, str(path), fields)) from error
    paths = _paths(recipe.source, path.parent)
    model = yaml_files.resolve_relative_paths(recipe.encoder.model, path.parent)
    return recipe.model_copy(
        update={
            "source": recipe.source.model_copy(update={"path": paths}),
            "encoder": recipe.encoder.model_copy(update={"model": model}),
        }
    )


def _read_extended(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the settings in a file, merged over those of the file it extends."""
    if path in extended_by:
        names = ", ".join(file.stem for file in extended_by)
        raise ConfigError(f"{extended_by[0]}: circular `extends:` ({names}); remove one of them")
    settings = yaml_files.read_yaml(path)
    name = settings.pop("extends", None)
    if name is None:
        return settings
    base = path.with_name(f"{name}.yaml")
    if not base.is_file():
        base = resources.find("indexes", str(name), what="recipe")
    return yaml_files.merge_settings(_read_extended(base, (*extended_by, path)), settings, across_kinds=True)


def _paths(source: Source, folder: Path) -> list[str]:
    """Return the paths of a source, relative to `folder`, as absolute ones: patterns, or the name of a folder."""
    if source.kind == "hub":
        return source.paths
    if source.kind == "folder":
        return [str((folder / Path(path).expanduser()).resolve()) for path in source.paths]
    return _absolute(source.paths, folder)


def _absolute(paths: list[str], folder: Path) -> list[str]:
    base = glob.escape(str(folder.resolve()))  # brackets in the folder's own name are no pattern
    return [os.path.normpath(os.path.join(base, Path(path).expanduser())) for path in paths]  # noqa: PTH118
