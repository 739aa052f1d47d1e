"""The models that a deployment names: where they are on this machine, fetching them, and holding on to one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from qttrag import resources
from qttrag.application import factory as building
from qttrag.application.factory import Placed
from qttrag.config.deployment import Deployment
from qttrag.errors import CollectionError, ConfigError
from qttrag.indexes import collection as search
from qttrag.indexes import recipe as recipes
from qttrag.models import hub, loading
from qttrag.models import revisions as pinning


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model by the place that names it: the mapping under `keys` in `file`, called `place` in words.

    `served`: the servers that have it, else None. `pins`: its kind takes a `revision:`. `weights`: not its tokenizer
    alone."""

    place: str
    kind: str
    model: str
    revision: str | None
    file: Path
    keys: tuple[str, ...]
    served: str | None = None
    pins: bool = True
    weights: bool = True

    @property
    def missing(self) -> bool:
        """Whether it is a model of the hub that the local cache lacks, or has in part."""
        on_hub = not self.served and loading.is_hub_name(self.model)
        return on_hub and hub.cached(self.model, self.revision, weights=self.weights) is None

    def locate(self) -> loading.LocatedModel:
        """Return where it is; nothing is fetched.

        Raises:
            ConfigError: it is not on this machine, or not a model."""
        return loading.locate(
            self.place, self.model, revision=self.revision, model_types=(), local_only=True, weights=self.weights
        )


class Pulled(NamedTuple):
    """What became of one model. `path` and `revision` are None of a served one.

    `pinned`: the file names the commit, now or already; None where there is none to name."""

    named: NamedModel
    state: Literal["served", "folder", "present", "fetched"]
    path: Path | None = None
    revision: str | None = None
    pinned: bool | None = None


def named(file: Path, deployment: Deployment) -> list[NamedModel]:
    """Return the models of a deployment, and the encoders of recipes that it searches and that are not built yet.

    Searching a built index takes no encoder but the retriever's, which the deployment names. `file`: its own.

    Raises:
        ConfigError: an unknown kind, or a recipe is not as it must be."""
    found = [model for stage in building.placed(deployment) for model in _of_stage(file, stage)]
    return found + [encoder for name in collections(deployment) if (encoder := _of_recipe(name))]


def collections(deployment: Deployment) -> list[str]:
    """Return the names of the built indexes that a deployment searches, each once; other stores are not among them."""
    return list(dict.fromkeys(name for stage in building.placed(deployment) for name in _built_indexes(stage)))


def _built_indexes(stage: Placed) -> Iterator[str]:
    for collection in stage.spec.get("collections", []):
        if isinstance(collection, str):
            yield collection
        elif isinstance(collection, dict) and collection.get("kind") == "faiss_folder" and "name" in collection:
            yield str(collection["name"])


def bytes_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def pull(
    file: Path, deployment: Deployment, *, pin: bool, begin: Callable[[NamedModel], None] = lambda named: None
) -> Iterator[Pulled]:
    """Fetch the models that a deployment names; yield each when it is there and, with `pin`, its commit is written.

    With `pin` a model without a revision takes that of another place which names it, or the commit that a built
    index was encoded with, before the hub's main: one name is one set of weights. `begin` is told what comes next.

    Raises:
        ConfigError: a model is not to be had; those before it are there."""
    models = named(file, deployment)
    agreed: dict[str, str] = {}
    if pin:
        for name in collections(deployment):
            agreed |= _built_with(name)
        agreed |= {model.model: model.revision for model in reversed(models) if model.revision}
    for model in models:
        begin(model)
        if model.served:
            yield Pulled(model, "served")
        elif not loading.is_hub_name(model.model):
            yield Pulled(model, "folder", *model.locate())
        else:
            path, new = _fetch(model, model.revision or agreed.get(model.model))
            agreed.setdefault(model.model, path.name)
            written = _pin(model, path.name) if pin and model.pins else None
            yield Pulled(model, "fetched" if new else "present", path, path.name, written)


def _fetch(model: NamedModel, revision: str | None) -> hub.Fetched:
    if revision and hub.COMMIT.fullmatch(revision):  # what a commit stands for never changes: no need to ask the hub
        with suppress(ConfigError):
            return hub.Fetched(replace(model, revision=revision).locate().path, new=False)
    fetched = hub.fetch(model.place, model.model, revision, weights=model.weights)
    replace(model, revision=fetched.path.name).locate()  # says if it is no model
    return fetched


def _pin(model: NamedModel, commit: str) -> bool:
    return model.revision == commit or pinning.pin(model.file, model.keys, model.model, commit)


def _of_stage(file: Path, stage: Placed) -> Iterator[NamedModel]:
    spec, place, kind = stage.spec, ".".join(stage.keys), str(stage.spec.get("kind"))
    if "model" in spec:
        revision = spec.get("revision")
        urls = spec.get("base_url", kind)
        is_served = "base_url" in stage.takes or "revision" not in stage.takes
        served = ", ".join([urls] if isinstance(urls, str) else map(str, urls)) if is_served else None
        yield NamedModel(place, kind, str(spec["model"]), revision, file, stage.keys, served=served)
        if is_served and "revision" in stage.takes:  # texts are cut here by the tokenizer of that revision
            yield NamedModel(place, "tokenizer", str(spec["model"]), revision, file, stage.keys, weights=False)
    if tokenizer := spec.get("tokenizer"):
        yield NamedModel(place, "tokenizer", str(tokenizer), None, file, stage.keys, pins=False, weights=False)


def _of_recipe(name: str) -> NamedModel | None:
    try:
        search.find(name)
        return None
    except CollectionError:
        pass
    try:
        file = resources.find("indexes", name, what="recipe")
    except ConfigError:  # not built and not to be built from here; searching says so
        return None
    encoder = recipes.load(file).encoder
    return NamedModel(f"index {name}", "encoder", encoder.model, encoder.revision, file, ("encoder",))


def _built_with(name: str) -> dict[str, str]:
    """Return the commit of the encoder by its name, of a collection that is built with one of the hub."""
    try:
        manifest = search.find(name).manifest
    except CollectionError:
        return {}
    commit = manifest.encoder_revision
    return {str(manifest.recipe["encoder"]["model"]): commit} if hub.COMMIT.fullmatch(commit) else {}
