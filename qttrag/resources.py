"""The folders that users edit (prompts, indexes, server, eval), and the folders for built indexes, results, caches."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qttrag.errors import ConfigError, InputError, unknown

_NO_DEPLOYMENTS = {"compose", "prometheus", "vllm"}  # other YAML files in server/
FOLDERS = ("prompts", "indexes", "server", "eval")
_DEMO = "demo"  # files whose names begin so are in the checkout only, like the models that they name
DEFAULT_DEPLOYMENT = "laptop"
_PACKAGE = Path(__file__).parent
_BUILT = "built"
_RESULTS = "results"


def _places(name: str) -> list[Path]:
    places = []
    if home := os.environ.get("QTTRAG_HOME"):
        places.append(Path(home).expanduser() / name)
    places.append(_PACKAGE / "_resources" / name)
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        places.append(_PACKAGE.parent / name)
    return places


def folder(name: str) -> Path:
    """Return the folder `name`: $QTTRAG_HOME/name, or the package's own, or the checkout's.

    A folder with nothing but built indexes or results is skipped.

    Raises:
        ConfigError: none of these exists."""
    for place in _places(name):
        if place.is_dir() and [path.name for path in place.iterdir()] not in ([_BUILT], [_RESULTS]):
            return place
    raise ConfigError(
        f"no folder '{name}' in any of: {', '.join(map(str, _places(name)))}; "
        "set QTTRAG_HOME to a folder from `qttrag init DIR`, or reinstall qttrag"
    )


def is_packaged(path: Path) -> bool:
    """Return whether a file belongs to the installed package and should not be edited."""
    return path.resolve().is_relative_to((_PACKAGE / "_resources").resolve())


def find(name: str, value: str, *, what: str) -> Path:
    """Return the YAML file for `value`: a path, or the name of a file in the folder `name`.

    Names are searched in $QTTRAG_HOME, then in the package, then in the checkout.

    Raises:
        ConfigError: there is no such file."""
    path = Path(value).expanduser()
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        raise ConfigError(f"no {what} file '{value}'; check the path")
    places = _places(name)
    known: dict[str, Path] = {}
    for place in reversed(places):
        known |= {file.stem: file for file in place.glob("*.yaml")}
    if value in known:
        return known[value]
    if value.startswith(_DEMO) and not any(name.startswith(_DEMO) for name in known):
        raise ConfigError(
            f"no {what} '{value}': the demo and its models are in the source checkout, not in the installed package; "
            f"run qttrag there after `make demo`, or set QTTRAG_HOME to that checkout, which has {name}/{value}.yaml"
        )
    searched = ", ".join(map(str, places))
    names = known.keys() - _NO_DEPLOYMENTS
    raise ConfigError(unknown(what, value, names, way_out=f"or give the path of a YAML file; searched: {searched}"))


def built_folder() -> Path:
    """Return the folder of built indexes: $QTTRAG_HOME/indexes/built, the checkout's, or in the user's data folder."""
    return _writable("indexes") / _BUILT


def results_folder() -> Path:
    """Return the folder of evaluation runs: $QTTRAG_HOME/eval/results, the checkout's, or in the user's data folder."""
    return _writable("eval") / _RESULTS


def _writable(name: str) -> Path:
    """Return the folder `name` that qttrag may write to."""
    if home := os.environ.get("QTTRAG_HOME"):
        return Path(home).expanduser() / name
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return _PACKAGE.parent / name
    import platformdirs

    return Path(platformdirs.user_data_dir("qttrag")) / name


def cache_folder() -> Path:
    """Return the folder of caches and converted models: $QTTRAG_HOME/cache or the user's cache folder."""
    if home := os.environ.get("QTTRAG_HOME"):
        return Path(home).expanduser() / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("qttrag"))


def copy_out(destination: Path) -> list[Path]:
    """Copy the four folders to `destination` for editing; return the new folders.

    Raises:
        InputError: one of them exists already; nothing is copied."""
    targets = {name: destination / name for name in FOLDERS}
    existing = [str(path) for path in targets.values() if path.exists()]
    if existing:
        raise InputError(f"{', '.join(existing)}: exists already; choose another folder or move it away")
    sources = {name: folder(name) for name in FOLDERS}
    for name, target in targets.items():
        shutil.copytree(sources[name], target, ignore=shutil.ignore_patterns(_BUILT, _RESULTS, "__pycache__"))
    return list(targets.values())
