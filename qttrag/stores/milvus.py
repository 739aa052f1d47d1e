"""Collections in Milvus: a server, a cluster, or a file of milvus-lite in this process."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from qttrag import resources
from qttrag.encoders import token_weights
from qttrag.errors import ConfigError, InputError, StageError, StageUnavailable, first_line, unknown
from qttrag.stores.database import SearchSettings, VersionMissing, place_fields, place_of
from qttrag.stores.versioned import VersionedCollection
from qttrag.types import Hit, Lang, Passage, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EFFORT = {"HNSW": "ef", "HNSW_SQ": "ef", "IVF_FLAT": "nprobe", "IVF_SQ8": "nprobe", "IVF_RABITQ": "nprobe"} | {
    "DISKANN": "search_list",
    "FLAT": None,
    "AUTOINDEX": "level",
}
_AT_LEAST_HITS = {"ef", "search_list"}  # which may not be smaller than the number of hits
_DEFAULT_EFFORT = {"ef": 128, "nprobe": 32, "search_list": 100, "level": 1}
_GRAPH_EFFORTS = (64, 128, 256, 512, 1024, 2048, 4096)
_EFFORTS = {"ef": _GRAPH_EFFORTS, "search_list": _GRAPH_EFFORTS, "nprobe": tuple(1 << n for n in range(2, 13))} | {
    "level": tuple(range(1, 11))
}
_LITE = ("FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8")
_MANIFEST = "qttrag.manifest"  # the property of a collection that has it
_BYTES = 65_535  # that Milvus stores of a string
_NOT_FOUND = {4, 100, 1600}  # collection (in older servers, in newer ones), alias
_INVALID = {5, 6, 1100, 1101}  # parameters, filters
_REFUSED = {16, 7, 1400, 1401}  # unauthenticated, permission denied
_POLL_S = 0.5
_FLUSH_S = 600.0  # to write all passages of an export to the server's disk
_NO_WEIGHTS = {4_294_967_294: 1.0}  # of a passage without any, which Milvus refuses; no token has this number
_FIELDS = ["id", "lang", "title", "text", "place"]

Index = Literal["HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8", "IVF_RABITQ", "DISKANN", "FLAT", "AUTOINDEX"]


def milvus(
    *,
    collection: str,
    url: str | None = None,
    database: str = "",
    api_key_env: str = "MILVUS_TOKEN",
    timeout: float = 10.0,
    index: Index = "HNSW",
    index_options: dict[str, int | float | str | bool] | None = None,
    effort: int | None = None,
) -> VersionedCollection:
    """Store kind `milvus`. `collection`: its name, as of the index that was exported.

    `url`: http://HOST:19530 of a server or cluster, or the path of a file of milvus-lite, *.db; null: the file
    milvus.db beside the built indexes. `database`: of the server. `api_key_env`: the environment variable with the
    token, or USER:PASSWORD. `timeout`: seconds of a call.

    `index`, `index_options`: of a collection that is exported, e.g. IVF_RABITQ and {nlist: 4096}; milvus-lite has FLAT,
    HNSW, HNSW_SQ, IVF_FLAT and IVF_SQ8. `effort`: graph nodes (HNSW, DISKANN) or lists (IVF) that a search visits where
    `qttrag index tune` has not measured it; null: a common value."""
    address = url or str(resources.built_folder() / "milvus.db")
    settings = {**_default_options(index), **(index_options or {})}
    return VersionedCollection(
        collection,
        MilvusDatabase(address, database, api_key_env, timeout, index=index, options=settings, effort=effort),
    )


def _default_options(index: str) -> dict[str, Any]:
    if index in ("HNSW", "HNSW_SQ"):
        return {"M": 16, "efConstruction": 200} | ({"sq_type": "SQ8"} if index == "HNSW_SQ" else {})
    # the vectors of an index are float16, so that refined scores are exact
    return {"refine": True, "refine_type": "FP16"} if index == "IVF_RABITQ" else {}


class MilvusDatabase:
    """A database of Milvus."""

    kind = "milvus"

    def __init__(
        self,
        address: str,
        database: str,
        api_key_env: str,
        timeout: float,
        *,
        index: str,
        options: dict[str, Any],
        effort: int | None,
    ) -> None:
        self._is_lite = "://" not in address
        if self._is_lite and not address.endswith(".db"):
            raise ConfigError(f"store kind 'milvus': `url: {address}`: give http://HOST:PORT, or a file *.db")
        if not self._is_lite and urlsplit(address).username is not None:
            raise ConfigError(f"store kind 'milvus': `url:` contains a key; set it in {api_key_env} instead")
        if self._is_lite and index not in _LITE:
            raise ConfigError(f"store kind 'milvus': {unknown('index of milvus-lite', index, _LITE)}")
        self._address, self._database = address, database
        self._api_key_env, self._timeout = api_key_env, timeout
        self._index, self._options, self._effort = index, options, effort
        self._connected: Any = None
        self._loaded: set[str] = set()

    @property
    def place(self) -> str:
        return self._address + (f", database {self._database}" if self._database else "")

    @property
    def index(self) -> dict[str, Any]:
        return {"kind": self._index, **self._options}

    def efforts(self, index: Mapping[str, Any]) -> Sequence[int]:
        name = _EFFORT[index["kind"]]
        return () if name is None else _EFFORTS[name]

    def version_of(self, alias: str) -> str | None:
        try:
            with self._client() as client:
                return str(client.describe_alias(alias, timeout=self._timeout)["collection_name"])
        except VersionMissing:
            return None

    def collections(self) -> list[str]:
        with self._client() as client:
            return list(map(str, client.list_collections(timeout=self._timeout)))

    def manifest(self, version: str) -> str | None:
        with self._client() as client:
            text = client.describe_collection(version, timeout=self._timeout)["properties"].get(_MANIFEST)
            return None if text is None else str(text)

    def write_manifest(self, version: str, manifest: str) -> None:
        with self._client() as client:
            client.alter_collection_properties(version, {_MANIFEST: manifest}, timeout=self._timeout)

    def create(self, version: str, dim: int, manifest: str, *, rows: int, sparse: bool = False) -> None:
        with self._client() as client:
            from pymilvus import DataType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=_BYTES)
            schema.add_field("lang", DataType.VARCHAR, max_length=32)
            schema.add_field("title", DataType.VARCHAR, max_length=_BYTES)
            schema.add_field("text", DataType.VARCHAR, max_length=_BYTES)
            schema.add_field("place", DataType.JSON)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
            indexes = client.prepare_index_params()
            options = {"nlist": _lists(rows), **self._options} if self._index.startswith("IVF") else self._options
            indexes.add_index("vector", index_type=self._index, metric_type="IP", params=options)
            indexes.add_index("lang", index_type="INVERTED")
            if sparse:
                schema.add_field("weights", DataType.SPARSE_FLOAT_VECTOR)
                indexes.add_index("weights", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
            client.create_collection(
                version,
                schema=schema,
                index_params=indexes,
                properties={_MANIFEST: manifest},
                consistency_level="Bounded",
                timeout=self._timeout,
            )

    def upsert(
        self,
        version: str,
        passages: Sequence[Passage],
        vectors: NDArray[np.float32],
        weights: TokenWeights | None = None,
    ) -> None:
        rows: list[dict[str, Any]] = [
            {
                "id": passage.passage_id,
                "lang": str(passage.lang),
                "title": passage.title,
                "text": _checked(passage).text,
                "place": place_fields(passage),
                "vector": vector,
            }
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        if weights is not None:
            for row, of_passage in zip(rows, token_weights.by_token(weights), strict=True):
                row["weights"] = of_passage or _NO_WEIGHTS
        with self._client() as client:
            client.upsert(version, rows, timeout=self._timeout)

    def delete(self, version: str, ids: Sequence[str]) -> None:
        with self._client() as client:
            client.delete(version, ids=list(ids), timeout=self._timeout)

    def finish(self, version: str) -> None:
        with self._client() as client:
            client.flush(version, timeout=_FLUSH_S)
            while client.describe_index(version, "vector", timeout=self._timeout).get("pending_index_rows", 0):
                time.sleep(_POLL_S)

    def count(self, version: str) -> int:
        with self._client(version) as client:
            (row,) = client.query(
                version, output_fields=["count(*)"], consistency_level="Strong", timeout=self._timeout
            )
            return int(row["count(*)"])

    def search(self, version: str, vectors: NDArray[np.float32], settings: SearchSettings) -> list[list[Hit]]:
        return self._search(version, vectors, settings, "vector", self._search_options(settings))

    def search_weights(self, version: str, weights: TokenWeights, settings: SearchSettings) -> list[list[Hit]]:
        return self._search(version, token_weights.by_token(weights), settings, "weights", {})

    def _search(
        self, version: str, queries: Any, settings: SearchSettings, field: str, options: dict[str, int]
    ) -> list[list[Hit]]:
        languages = settings.languages
        with self._client(version) as client:
            results = client.search(
                version,
                queries,
                anns_field=field,
                limit=settings.k,
                filter="" if languages == "all" else f"lang in {json.dumps(list(map(str, languages)))}",
                output_fields=_FIELDS,
                search_params={"metric_type": "IP", "params": options},
                timeout=self._timeout,
            )
            return [[_hit(found) for found in of_query] for of_query in results]

    def point(self, alias: str, version: str) -> None:
        earlier = self.version_of(alias)
        with self._client() as client:
            change = client.create_alias if earlier is None else client.alter_alias
            change(version, alias, timeout=self._timeout)

    def drop(self, version: str) -> None:
        with self._client() as client:
            client.drop_collection(version, timeout=self._timeout)

    def _search_options(self, settings: SearchSettings) -> dict[str, int]:
        name = _EFFORT[settings.index["kind"]]
        if name is None:
            return {}
        value = settings.effort or self._effort or _DEFAULT_EFFORT[name]
        return {name: max(value, settings.k) if name in _AT_LEAST_HITS else value}

    @contextmanager
    def _client(self, version: str | None = None) -> Iterator[Any]:
        """Yield the client, connected; errors in the block become those of this package.

        `version`: that the block searches; it is loaded into the server's memory."""
        if self._is_lite:
            _need("milvus_lite")
        pymilvus = _need("pymilvus")
        try:
            if self._connected is None:
                self._connected = pymilvus.MilvusClient(
                    self._address,
                    db_name=self._database,
                    token=os.environ.get(self._api_key_env, ""),
                    timeout=self._timeout,
                    dedicated=True,
                    grpc_options={"grpc.use_local_subchannel_pool": 1},  # else gRPC waits before it connects again
                )
            if version is not None and version not in self._loaded:
                self._connected.load_collection(version, timeout=self._timeout)
                self._loaded.add(version)
            yield self._connected
        except pymilvus.MilvusException as error:
            raise self._explained(error) from error

    def _explained(self, error: Any) -> Exception:
        where, reason = f"milvus at {self.place}", first_line(error)
        if error.code in _NOT_FOUND:
            return VersionMissing(f"{where}: {reason}")
        if error.code in _REFUSED:
            return ConfigError(f"{where} refuses the key ({reason}); set {self._api_key_env}")
        if error.is_input_error or error.code in _INVALID:
            return StageError("retriever", f"{where} refuses a request: {reason}")
        self._disconnect()
        return StageUnavailable(
            "retriever", f"{where}: {reason}; check that it runs, or raise `timeout: {self._timeout:g}`"
        )

    def _disconnect(self) -> None:
        """Have the next call connect again."""
        connected, self._connected = self._connected, None
        self._loaded.clear()
        if connected is not None:
            with suppress(Exception):  # it is broken; pymilvus raises various errors then
                connected.close()


def _need(package: str) -> Any:
    import importlib

    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"store kind 'milvus' needs the package '{error.name}', which is not installed; "
            "pip install 'qttrag[milvus]'"
        ) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs every error that it raises, with a traceback
    return module


def _lists(rows: int) -> int:
    """Return the number of lists for so many passages: four times the root, as FAISS recommends."""
    return max(16, min(4 * math.isqrt(rows), 65_536))


def _checked(passage: Passage) -> Passage:
    for what, value in (("id", passage.passage_id), ("title", passage.title), ("text", passage.text)):
        if (size := len(value.encode())) > _BYTES:
            raise InputError(
                f"passage '{passage.passage_id[:80]}': its {what} has {size:,} bytes, Milvus stores {_BYTES:,}; "
                "cut texts with `chunking:` in the recipe"
            )
    return passage


def _hit(found: Any) -> Hit:
    fields = found["entity"]
    place = place_of(fields["place"])
    passage = Passage(fields["id"], fields["text"], Lang(fields["lang"]), fields["title"], place)
    return Hit(passage, float(found["distance"]))
