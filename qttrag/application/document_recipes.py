"""The recipes of collections of documents that need no file: with the encoder of a deployment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qttrag.config.deployment import Deployment, Spec
from qttrag.config.yaml_files import explain
from qttrag.errors import ConfigError
from qttrag.indexes.recipe import Chunking, EncoderSettings, Recipe, Source

_CHUNKING = Chunking(overlap=1)  # passages end at sentences
_OF_SERVERS = ("api_key_env", "batch", "in_flight", "timeout", "retries")


def folder_recipe(folder: Path, deployment: Deployment) -> Recipe:
    """Return the recipe of a folder of documents, named after it, with the encoder of a deployment.

    Raises:
        ConfigError: the folder's name gives no name of an index, or the deployment has no encoder for recipes."""
    name = re.sub(r"[^a-z0-9_-]+", "-", folder.name.lower()).strip("_-")
    if not name:
        raise ConfigError(f"{folder}: its name gives no valid name of an index; rename it, or write a recipe")
    return documents_recipe(name, folder, deployment)


def documents_recipe(name: str, folder: Path, deployment: Deployment) -> Recipe:
    """Return the recipe of a collection of documents, with the encoder of a deployment."""
    source = Source(kind="folder", path=str(folder))
    return Recipe(name=name, source=source, chunking=_CHUNKING, encoder=recipe_encoder(deployment), faiss="auto")


def recipe_encoder(deployment: Deployment) -> EncoderSettings:
    """Return the encoder of a deployment's retriever as the settings of a recipe.

    Raises:
        ConfigError: it has none, or one with settings that no recipe has."""
    spec = _encoder_spec(deployment.retriever)
    if spec is None:
        raise ConfigError("the deployment's retriever has no `encoder:`, with which documents could be encoded")
    try:
        return EncoderSettings(**_as_recipe(spec))
    except ValidationError as error:
        where = "the encoder of the deployment cannot encode documents"
        raise ConfigError(explain(error, where, EncoderSettings.model_fields)) from error


def _encoder_spec(spec: Spec) -> Spec | None:
    """Return the first encoder's settings in those of a retriever, which may contain others."""
    if isinstance(encoder := spec.get("encoder"), dict):
        return encoder
    nested = (_encoder_spec(value) for value in spec.values() if isinstance(value, dict))
    return next((found for found in nested if found is not None), None)


def _as_recipe(spec: Spec) -> dict[str, Any]:
    """Return the settings of an encoder kind as a recipe names them: those of servers are apart."""
    if "base_url" not in spec:
        return spec
    urls = spec["base_url"]
    servers = {name: spec[name] for name in _OF_SERVERS if name in spec}
    servers |= {"urls": [urls] if isinstance(urls, str) else urls, "model": spec.get("served_as")}
    others = {name: value for name, value in spec.items() if name not in ("base_url", "served_as", *_OF_SERVERS)}
    return {**others, "servers": servers}
