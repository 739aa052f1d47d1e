"""Addresses of vector databases, as the command line takes them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import yaml

from qttrag.application.factory import open_store
from qttrag.config.deployment import Spec
from qttrag.errors import ConfigError
from qttrag.stores.versioned import VersionedCollection

_TLS = "+https"


def store_at(address: str, collection: str) -> VersionedCollection:
    """Return the store of a collection in the database at `address`.

    `milvus://HOST:PORT` is a server, `milvus+https://HOST` one with TLS, `milvus:FILE.db` a file, and `milvus:` the
    kind's default. Settings of the kind follow a question mark: `?index=IVF_RABITQ&index_options.nlist=4096`.

    Raises:
        ConfigError: an unknown kind or setting, or a store that cannot be written to."""
    store = open_store(settings_at(address, collection))
    if not isinstance(store, VersionedCollection):
        raise ConfigError(f"'{address}': collections cannot be exported to this kind; use milvus: or qdrant:")
    return store


def settings_at(address: str, collection: str) -> Spec:
    """Return the settings of a store at an address, as a deployment has them.

    Raises:
        ConfigError: the address has no kind."""
    kind, colon, rest = address.partition(":")
    if not colon:
        raise ConfigError(f"'{address}' is no address of a database; give e.g. milvus://HOST:19530 or qdrant:FOLDER")
    place, _, options = rest.partition("?")
    scheme = "https:" if kind.endswith(_TLS) else "http:"
    url = scheme + place if place.startswith("//") else place
    settings: dict[str, Any] = {"kind": kind.removesuffix(_TLS), "collection": collection}
    for name, value in [("url", url)] * bool(url) + parse_qsl(options):
        of, _, inner = name.rpartition(".")
        target = settings.setdefault(of, {}) if of else settings
        target[inner] = value if name == "url" else yaml.safe_load(value)
    return settings
