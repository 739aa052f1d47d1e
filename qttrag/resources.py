"""Where the folders that people edit are: prompts, indexes, server, eval."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qttrag.errors import ConfigError, InputError, unknown

_NOT_OFFERED = {"compose", "prometheus", "vllm"}  # in server/, and no deployments
FOLDERS = ("prompts", "indexes", "server", "eval")
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

    One that holds nothing but built indexes, or results, is passed over.

    Raises:
        ConfigError: it is in none of these places."""
    for place in _places(name):
        if place.is_dir() and [path.name for path in place.iterdir()] not in ([_BUILT], [_RESULTS]):
            return place
    raise ConfigError(
        f"no folder '{name}' in any of: {', '.join(map(str, _places(name)))}; "
        "set QTTRAG_HOME to a folder made by `qttrag init DIR`, or install qttrag again"
    )


def is_packaged(path: Path) -> bool:
    """Say whether a file is one of the installed package's own, which are not for editing."""
    return path.resolve().is_relative_to((_PACKAGE / "_resources").resolve())


def find(name: str, value: str, *, what: str) -> Path:
    """Return the YAML file that `value` means: a path, or the name of a file in the folder `name`.

    A name is looked for in $QTTRAG_HOME, then in the package, then in the checkout.

    Raises:
        ConfigError: there is none."""
    path = Path(value).expanduser()
    if path.is_file():
        return path
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        raise ConfigError(f"no {what} file '{value}'; check the path")
    places = _places(name)
    known: dict[str, Path] = {}
    for place in reversed(places):
        known |= {found.stem: found for found in place.glob("*.yaml")}
    if value in known:
        return known[value]
    looked_in = ", ".join(map(str, places))
    offered = known.keys() - _NOT_OFFERED
    raise ConfigError(
        unknown(what, value, offered, way_out=f"or give the path of a YAML file; names are of {looked_in}")
    )


def built_folder() -> Path:
    """Return where built indexes are: $QTTRAG_HOME/indexes/built, the checkout's, or the user's data folder."""
    return _written("indexes") / _BUILT


def results_folder() -> Path:
    """Return where runs of suites are: $QTTRAG_HOME/eval/results, the checkout's, or the user's data folder."""
    return _written("eval") / _RESULTS


def _written(name: str) -> Path:
    """Return the folder `name` that may be written in."""
    if home := os.environ.get("QTTRAG_HOME"):
        return Path(home).expanduser() / name
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        return _PACKAGE.parent / name
    import platformdirs

    return Path(platformdirs.user_data_dir("qttrag")) / name


def cache_folder() -> Path:
    """Return where caches and converted models are: $QTTRAG_HOME/cache or the user's cache folder."""
    if home := os.environ.get("QTTRAG_HOME"):
        return Path(home).expanduser() / "cache"
    import platformdirs

    return Path(platformdirs.user_cache_dir("qttrag"))


def copy_out(destination: Path) -> list[Path]:
    """Copy the four folders to `destination` for editing; return the new folders.

    Raises:
        InputError: one of them is there already; nothing is copied then."""
    targets = {name: destination / name for name in FOLDERS}
    taken = [str(path) for path in targets.values() if path.exists()]
    if taken:
        raise InputError(f"{', '.join(taken)}: already there; choose another folder or move it away")
    sources = {name: folder(name) for name in FOLDERS}
    for name, target in targets.items():
        shutil.copytree(sources[name], target, ignore=shutil.ignore_patterns(_BUILT, _RESULTS, "__pycache__"))
    return list(targets.values())
