"""Models by the place that names them: where they are on this machine, downloads, and pinned commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from qttrag.errors import ConfigError
from qttrag.models import hub, loading, revisions, single_file


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model and the place that names it: the mapping under `keys` in `file`; `place` is its name for people.

    `served`: base URLs of its servers, separated by ", "; None for a model in this process. `takes_revision`:
    its kind has a setting `revision:`. `weights`: False if only its tokenizer is used.
    `listing`: the path at which a server lists what it has. `form`: the format of a model that is one file, which has
    the name `file_name` in a folder or repository; None: a folder of safetensors."""

    place: str
    kind: str
    model: str
    revision: str | None
    file: Path
    keys: tuple[str, ...]
    served: str | None = None
    takes_revision: bool = True
    weights: bool = True
    listing: str = "models"
    form: single_file.FileFormat | None = None
    file_name: str | None = None

    @property
    def missing(self) -> bool:
        """Whether it is a model of the hub and is not completely in the local cache."""
        on_hub = not self.served and loading.is_hub_name(self.model)
        if on_hub and self.form:
            return not hub.has_file(self.model, self.file_name, self.revision)
        return on_hub and hub.cached(self.model, self.revision, weights=self.weights) is None

    def locate(self) -> loading.LocatedModel:
        """Return where it is on this machine; download nothing.

        Raises:
            ConfigError: it is not on this machine, or the folder is not a model."""
        if self.form:
            return single_file.locate(
                self.place, self.model, self.form, file=self.file_name, revision=self.revision, local_only=True
            )
        return loading.locate(
            self.place, self.model, revision=self.revision, model_types=(), local_only=True, weights=self.weights
        )


class PulledModel(NamedTuple):
    """The result of pulling one model. `path` and `revision` are None for a served one.

    `pinned`: whether the file names the commit now; None if the model has none or pins were not requested."""

    named: NamedModel
    state: Literal["served", "folder", "present", "fetched"]
    path: Path | None = None
    revision: str | None = None
    pinned: bool | None = None


def bytes_on_disk(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def pull(
    models: Sequence[NamedModel],
    *,
    pin: bool,
    revisions_in_use: Mapping[str, str],
    begin: Callable[[NamedModel], None] = lambda named: None,
) -> Iterator[PulledModel]:
    """Download the models in order; yield each when it is complete and, with `pin`, its commit is in its file.

    With `pin`, one name is one set of weights: a model without a revision takes that of another place with the same
    name, then that in `revisions_in_use` (by model), then the hub's main. `begin` is called before each model.

    Raises:
        ConfigError: a model is unavailable; those before it have been downloaded."""
    commits: dict[str, str] = {}
    if pin:
        commits = {**revisions_in_use, **{model.model: model.revision for model in reversed(models) if model.revision}}
    for model in models:
        begin(model)
        if model.served:
            yield PulledModel(model, "served")
        elif not loading.is_hub_name(model.model):
            yield PulledModel(model, "folder", *model.locate())
        else:
            path, new = _fetch(model, model.revision or commits.get(model.model))
            commits.setdefault(model.model, path.name)
            pinned = _pin(model, path.name) if pin and model.takes_revision else None
            yield PulledModel(model, "fetched" if new else "present", path, path.name, pinned)


def _fetch(model: NamedModel, revision: str | None) -> hub.Fetched:
    if model.form:
        new = replace(model, revision=revision).missing
        located = single_file.locate(model.place, model.model, model.form, file=model.file_name, revision=revision)
        return hub.Fetched(hub.snapshot(located.path, str(model.file_name)), new)
    if revision and hub.COMMIT.fullmatch(revision):  # a commit never changes: no need to ask the hub
        with suppress(ConfigError):
            return hub.Fetched(replace(model, revision=revision).locate().path, new=False)
    fetched = hub.fetch(model.place, model.model, revision, weights=model.weights)
    replace(model, revision=fetched.path.name).locate()  # raises if the download is not a model
    return fetched


def _pin(model: NamedModel, commit: str) -> bool:
    return model.revision == commit or revisions.pin(model.file, model.keys, model.model, commit)
