"""The models and collections that a deployment names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from qttrag import resources
from qttrag.application.factory import Builder, StageSettings, stage_settings
from qttrag.config.deployment import Deployment
from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes import collection as indexes
from qttrag.indexes import recipe as recipes
from qttrag.models import hub, inventory, single_file
from qttrag.models.inventory import NamedModel, PulledModel
from qttrag.prompts import Prompts
from qttrag.protocols import VectorStore

_SINGLE_FILES = {"llama_cpp": single_file.GGUF, "fasttext": single_file.FASTTEXT}  # kinds whose models are one file


def named_models(file: Path, deployment: Deployment) -> list[NamedModel]:
    """Return the models of a deployment, and the encoders of recipes that it searches and that are not built yet.

    The encoder of a built index is not listed: searches use the retriever's. `file`: the file of the deployment.

    Raises:
        ConfigError: an unknown kind, or an invalid recipe."""
    models = [model for stage in stage_settings(deployment) for model in _of_stage(file, stage)]
    return models + [encoder for name in collection_names(deployment) if (encoder := _of_recipe(name))]


def collection_names(deployment: Deployment) -> list[str]:
    """Return the names of the built indexes that a deployment searches, without repeats and without other stores."""
    return list(dict.fromkeys(name for stage in stage_settings(deployment) for name in _built_indexes(stage)))


def other_stores(deployment: Deployment) -> list[VectorStore]:
    """Return the stores of a deployment that are not built indexes on this machine; nothing is opened."""
    specs = [stage.spec for stage in stage_settings(deployment) if stage.stage == "store"]
    builder = Builder(deployment, Prompts(), None)
    return [builder.build("store", spec) for spec in specs if spec.get("kind") != "faiss_folder"]


def centred_collections(deployment: Deployment) -> list[str]:
    """Return the names of the built indexes whose languages' means a deployment subtracts, without repeats."""
    centred = (stage for stage in stage_settings(deployment) if stage.spec.get("transform") == "centre")
    return list(dict.fromkeys(name for stage in centred for name in _built_indexes(stage)))


def pull(
    file: Path, deployment: Deployment, *, pin: bool, begin: Callable[[NamedModel], None] = lambda named: None
) -> Iterator[PulledModel]:
    """Download the models of a deployment as `inventory.pull` does; built indexes name the revisions in use."""
    in_use: dict[str, str] = {}
    for name in collection_names(deployment):
        in_use |= _built_with(name)
    return inventory.pull(named_models(file, deployment), pin=pin, revisions_in_use=in_use, begin=begin)


def _built_indexes(stage: StageSettings) -> Iterator[str]:
    for collection in stage.spec.get("collections", []):
        if isinstance(collection, str):
            yield collection
        elif isinstance(collection, dict) and collection.get("kind") == "faiss_folder" and "name" in collection:
            yield str(collection["name"])


def _of_stage(file: Path, stage: StageSettings) -> Iterator[NamedModel]:
    spec, place, kind = stage.spec, ".".join(stage.keys), str(stage.spec.get("kind"))
    if "model" in spec:
        revision = spec.get("revision")
        urls = spec.get("base_url", kind)
        is_served = "base_url" in stage.takes or "revision" not in stage.takes
        served = ", ".join([urls] if isinstance(urls, str) else map(str, urls)) if is_served else None
        listing = "languages" if spec.get("api") == "libretranslate" else "models"
        named = NamedModel(place, kind, str(spec["model"]), revision, file, stage.keys, served=served, listing=listing)
        yield replace(named, form=_SINGLE_FILES.get(kind), file_name=spec.get("file"))
        if is_served and "revision" in stage.takes:  # texts are truncated here, by the tokenizer of that revision
            yield NamedModel(place, "tokenizer", str(spec["model"]), revision, file, stage.keys, weights=False)
    models = spec.get("models")
    for name, named in models.items() if isinstance(models, dict) else ():
        model = named if isinstance(named, dict) else {"model": named}
        yield NamedModel(
            f"{place}.models.{name}",
            kind,
            str(model.get("model")),
            model.get("revision"),
            file,
            (*stage.keys, "models", str(name)),
            takes_revision=model is named,
        )
    if tokenizer := spec.get("tokenizer"):
        yield NamedModel(
            place, "tokenizer", str(tokenizer), None, file, stage.keys, takes_revision=False, weights=False
        )


def _of_recipe(name: str) -> NamedModel | None:
    try:
        indexes.find(name)
        return None
    except CollectionError:
        pass
    try:
        file = resources.find("indexes", name, what="recipe")
    except ConfigError:  # neither an index nor a recipe; a search reports it
        return None
    encoder = recipes.load(file).encoder
    return NamedModel(f"index {name}", "encoder", encoder.model, encoder.revision, file, ("encoder",))


def _built_with(name: str) -> dict[str, str]:
    """Return {model: commit} of the encoder of a built collection; empty if it is not built or not of the hub."""
    try:
        manifest = indexes.find(name).manifest
    except CollectionError:
        return {}
    commit = manifest.encoder_revision
    return {str(manifest.recipe["encoder"]["model"]): commit} if hub.COMMIT.fullmatch(commit) else {}
