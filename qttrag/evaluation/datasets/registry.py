"""The kinds of datasets by name, each imported only when it is used.

Other packages add kinds by entry points in the group "qttrag.dataset": `my_format = "my_package:MyDataset"`, a subclass
of `DatasetSettings`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError

from qttrag.errors import unknown
from qttrag.evaluation import extensions
from qttrag.evaluation.datasets.settings import DatasetSettings

KINDS: Mapping[str, str] = {
    "belebele": "qttrag.evaluation.datasets.belebele:BelebeleDataset",
    "jsonl": "qttrag.evaluation.datasets.jsonl:JsonlDataset",
    "mintaka": "qttrag.evaluation.datasets.mintaka:MintakaDataset",
    "mkqa": "qttrag.evaluation.datasets.mkqa:MkqaDataset",
    "squad": "qttrag.evaluation.datasets.squad:SquadDataset",
    "topics": "qttrag.evaluation.datasets.topics:TopicsDataset",
    "xor_tydi": "qttrag.evaluation.datasets.xor_tydi:XorTydiDataset",
}


def kinds() -> dict[str, str]:
    """Return "module:class" by kind: those of this package and those of installed packages."""
    return {**extensions.declared("qttrag.dataset"), **KINDS}


def settings_class(kind: str) -> type[DatasetSettings]:
    """Return the settings of a kind.

    Raises:
        KeyError: there is no such kind.
        ConfigError: its module cannot be imported."""
    loaded: type[DatasetSettings] = extensions.load(kinds()[kind], f"dataset kind '{kind}'")
    return loaded


def parse(value: Any) -> Any:
    """Return a mapping with a `kind` as the settings of that kind; other values are returned unchanged.

    Raises:
        ValidationError: the kind is missing or unknown, or a setting is invalid."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind is None:
        raise _invalid_kind({"type": "missing", "loc": ("kind",), "input": value})
    if kind not in (known := kinds()):
        cause = ValueError(unknown("dataset kind", kind, known))
        raise _invalid_kind({"type": "value_error", "loc": ("kind",), "input": kind, "ctx": {"error": cause}})
    return settings_class(kind).model_validate(value)


def _invalid_kind(detail: Any) -> ValidationError:
    return ValidationError.from_exception_data("dataset", [detail])


AnyDataset = Annotated[SerializeAsAny[DatasetSettings], BeforeValidator(parse)]
"""The settings of a dataset of any kind, as a field of a pydantic model."""


def reference_signature(settings: Mapping[str, Any]) -> str:
    """Return the source of a dataset's references, for signatures: "format:mkqa|aliases:no", "...|yesno:native".

    Of a kind that is no longer installed, its name alone."""
    kind = str(settings["kind"])
    signed = settings_class(kind).SIGNED if kind in kinds() else ()
    return "".join([f"format:{kind}", *(f"|{name.replace('_', '')}:{_signed(settings.get(name))}" for name in signed)])


def official_signature(settings: Mapping[str, Any]) -> str:
    """Return the source of the references of official measures, for signatures."""
    return f"format:{settings['kind']}|references:official"


def _signed(value: object) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"
