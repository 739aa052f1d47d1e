"""Collections in Qdrant: a server, a cluster, or a folder of the client's local mode in this process."""

from __future__ import annotations

import atexit
import functools
import os
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from qttrag import resources
from qttrag.encoders import token_weights
from qttrag.errors import CollectionError, ConfigError, StageUnavailable, first_line
from qttrag.stores.database import SearchSettings, VersionMissing, place_fields, place_of
from qttrag.stores.versioned import VersionedCollection
from qttrag.types import Hit, Lang, Passage, TokenWeights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MANIFEST = "qttrag.manifest"  # the key in a collection's metadata that has it
_IDS = uuid.UUID("8e0a6c0e-6a0b-4d0c-9a53-6f1f5a3d7c11")  # namespace of the keys that are made of passage ids
_EFFORTS = (64, 128, 256, 512, 1024, 2048, 4096)  # graph nodes
_MEMORY = ":memory:"
_REFUSED = (401, 403)
_WEIGHTS = "weights"  # the name of the sparse vectors
_LOCAL: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()  # clients by folder, which each locks


def qdrant(
    *,
    collection: str,
    url: str | None = None,
    api_key_env: str = "QDRANT_API_KEY",
    timeout: int = 10,
    hnsw: dict[str, int | bool] | None = None,
    on_disk: bool = False,
    quantization: Literal["none", "int8", "binary"] = "none",
    effort: int | None = None,
) -> VersionedCollection:
    """Store kind `qdrant`. `collection`: its name, as of the index that was exported.

    `url`: http://HOST:6333 of a server or cluster (1.16 or later), or the path of a folder, which the client searches
    exactly in this process (its files are pickles: open only your own); null: the folder qdrant.db beside the built
    indexes. `api_key_env`: the environment variable with the key. `timeout`: seconds of a call.

    `hnsw`, `on_disk`, `quantization`: of a collection that is exported: settings of the graph, e.g. {m: 16,
    ef_construct: 200}; whether vectors stay on the disk; whether candidates are chosen by compressed vectors, which are
    then scored with the stored ones. `effort`: graph nodes that a search visits where `qttrag index tune` has not
    measured it; null: the server's value."""
    address = url or str(resources.built_folder() / "qdrant.db")
    making = {"hnsw": hnsw or {}, "on_disk": on_disk, "quantization": quantization}
    return VersionedCollection(collection, QdrantDatabase(address, api_key_env, timeout, making=making, effort=effort))


class QdrantDatabase:
    """A database of Qdrant."""

    kind = "qdrant"

    def __init__(
        self, address: str, api_key_env: str, timeout: int, *, making: dict[str, Any], effort: int | None
    ) -> None:
        self._is_local = "://" not in address
        if not self._is_local and urlsplit(address).username is not None:
            raise ConfigError(f"store kind 'qdrant': `url:` contains a key; set it in {api_key_env} instead")
        self._address, self._api_key_env, self._timeout = address, api_key_env, timeout
        self._making, self._effort = making, effort
        self._connected: Any = None

    @property
    def place(self) -> str:
        return self._address

    @property
    def index(self) -> dict[str, Any]:
        return self._making

    def efforts(self, index: Mapping[str, Any]) -> Sequence[int]:
        return () if self._is_local else _EFFORTS

    def version_of(self, alias: str) -> str | None:
        with self._client() as client:
            aliases = client.get_aliases().aliases
            return next((str(each.collection_name) for each in aliases if each.alias_name == alias), None)

    def collections(self) -> list[str]:
        with self._client() as client:
            return [str(each.name) for each in client.get_collections().collections]

    def manifest(self, version: str) -> str | None:
        with self._client(version) as client:
            text = (client.get_collection(version).config.metadata or {}).get(_MANIFEST)
            return None if text is None else str(text)

    def write_manifest(self, version: str, manifest: str) -> None:
        with self._client(version) as client:
            client.update_collection(version, metadata={_MANIFEST: manifest})

    def create(self, version: str, dim: int, manifest: str, *, rows: int, sparse: bool = False) -> None:
        with self._client() as client:
            from qdrant_client import models

            client.create_collection(
                version,
                vectors_config=models.VectorParams(
                    size=dim,
                    distance=models.Distance.DOT,
                    on_disk=self._making["on_disk"],
                    hnsw_config=models.HnswConfigDiff(**self._making["hnsw"]),
                    quantization_config=_quantization(self._making["quantization"]),
                ),
                sparse_vectors_config={_WEIGHTS: models.SparseVectorParams()} if sparse else None,
                metadata={_MANIFEST: manifest},
            )
            if not self._is_local:
                client.create_payload_index(version, "lang", field_schema=models.PayloadSchemaType.KEYWORD)

    def upsert(
        self,
        version: str,
        passages: Sequence[Passage],
        vectors: NDArray[np.float32],
        weights: TokenWeights | None = None,
    ) -> None:
        with self._client(version) as client:
            from qdrant_client import models

            of_points: list[Any] = vectors.tolist()
            if weights is not None:
                of_points = [
                    {"": vector, **({_WEIGHTS: sparse} if sparse.indices else {})}
                    for vector, sparse in zip(of_points, _sparse_vectors(weights), strict=True)
                ]
            points = [
                models.PointStruct(id=_key(passage.passage_id), vector=vector, payload=_payload(passage))
                for passage, vector in zip(passages, of_points, strict=True)
            ]
            client.upsert(version, points, wait=True)

    def delete(self, version: str, ids: Sequence[str]) -> None:
        with self._client(version) as client:
            client.delete(version, list(map(_key, ids)), wait=True)

    def finish(self, version: str) -> None:
        """Return at once: points without a graph yet are searched exactly."""

    def count(self, version: str) -> int:
        with self._client(version) as client:
            return int(client.count(version, exact=True).count)

    def search(self, version: str, vectors: NDArray[np.float32], settings: SearchSettings) -> list[list[Hit]]:
        with self._client(version) as client:
            from qdrant_client import models

            effort = settings.effort or self._effort
            params = None if effort is None or self._is_local else models.SearchParams(hnsw_ef=max(effort, settings.k))
            return _found(client, version, vectors.tolist(), settings, params=params)

    def search_weights(self, version: str, weights: TokenWeights, settings: SearchSettings) -> list[list[Hit]]:
        with self._client(version) as client:
            return _found(client, version, _sparse_vectors(weights), settings, using=_WEIGHTS)

    def point(self, alias: str, version: str) -> None:
        earlier = self.version_of(alias)
        with self._client() as client:
            from qdrant_client import models

            made = models.CreateAlias(collection_name=version, alias_name=alias)
            steps: list[Any] = [models.CreateAliasOperation(create_alias=made)]
            if earlier is not None:
                steps.insert(0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
            client.update_collection_aliases(steps)

    def drop(self, version: str) -> None:
        with self._client(version) as client:
            client.delete_collection(version)

    @contextmanager
    def _client(self, version: str | None = None) -> Iterator[Any]:
        """Yield the client; errors in the block become those of this package. `version`: that the block works on."""
        try:
            from qdrant_client import QdrantClient
            from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"store kind 'qdrant' needs the package '{error.name}', which is not installed; "
                "pip install 'qttrag[qdrant]'"
            ) from error
        if self._connected is None:
            self._connected = self._connect(QdrantClient)
        try:
            if self._is_local and version is not None and not self._connected.collection_exists(version):
                raise VersionMissing(f"qdrant at {self.place} has no collection '{version}'")
            yield self._connected
        except UnexpectedResponse as error:
            raise self._explained(error) from error
        except ResponseHandlingException as error:  # refused, broken off, timed out
            raise self._unavailable(first_line(error.source)) from error

    def _connect(self, client: Any) -> Any:
        if not self._is_local:
            key = os.environ.get(self._api_key_env) or None
            return client(url=self._address, port=None, api_key=key, timeout=self._timeout, check_compatibility=False)
        if self._address == _MEMORY:
            return client(location=_MEMORY, force_disable_check_same_thread=True)
        _close_at_exit()
        folder = os.path.abspath(self._address)  # noqa: PTH100
        if (connected := _LOCAL.get(folder)) is None:
            try:
                connected = _LOCAL[folder] = client(path=folder, force_disable_check_same_thread=True)
            except RuntimeError as error:  # another process has locked it
                raise CollectionError(
                    f"qdrant at {folder}: {first_line(error)} One process at a time can open a folder"
                ) from error
        return connected

    def _explained(self, error: Any) -> Exception:
        where, reason = f"qdrant at {self.place}", f"HTTP {error.status_code}"
        if error.status_code == 404:
            return VersionMissing(f"{where}: {first_line(error)}")
        if error.status_code in _REFUSED:
            return ConfigError(f"{where} refuses the key ({reason}); set {self._api_key_env}")
        if error.status_code == 400:
            return CollectionError(f"{where} refuses a request: {error}")
        return self._unavailable(reason)

    def _unavailable(self, reason: str) -> StageUnavailable:
        self._connected = None  # the next call connects again
        return StageUnavailable(
            "retriever", f"qdrant at {self.place}: {reason}; check that it runs, or raise `timeout: {self._timeout}`"
        )


@functools.cache
def _close_at_exit() -> None:
    """Close the clients of folders before Python shuts down, when they can no longer close themselves."""
    atexit.register(lambda: [client.close() for client in list(_LOCAL.values())])


def _found(client: Any, version: str, queries: Sequence[Any], settings: SearchSettings, **more: Any) -> list[list[Hit]]:
    from qdrant_client import models

    condition = _condition(settings.languages)
    requests = [
        models.QueryRequest(query=query, filter=condition, limit=settings.k, with_payload=True, **more)
        for query in queries
    ]
    return [[_hit(point) for point in result.points] for result in client.query_batch_points(version, requests)]


def _sparse_vectors(weights: TokenWeights) -> list[Any]:
    from qdrant_client import models

    return [
        models.SparseVector(indices=row.tokens.tolist(), values=row.weights.tolist())
        for row in token_weights.rows(weights)
    ]


def _condition(languages: Sequence[Lang] | Literal["all"]) -> Any:
    from qdrant_client import models

    if languages == "all":
        return None
    chosen = models.MatchAny(any=list(map(str, languages)))
    return models.Filter(must=[models.FieldCondition(key="lang", match=chosen)])


def _quantization(name: str) -> Any:
    from qdrant_client import models

    if name == "int8":
        return models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
    return models.BinaryQuantization(binary=models.BinaryQuantizationConfig()) if name == "binary" else None


def _key(passage_id: str) -> str:
    return str(uuid.uuid5(_IDS, passage_id))


def _payload(passage: Passage) -> dict[str, Any]:
    payload = {"id": passage.passage_id, "lang": str(passage.lang), "title": passage.title, "text": passage.text}
    place = place_fields(passage)
    return {**payload, "place": place} if place else payload


def _hit(point: Any) -> Hit:
    fields = point.payload
    place = place_of(fields.get("place"))
    passage = Passage(fields["id"], fields["text"], Lang(fields["lang"]), fields["title"], place)
    return Hit(passage, float(point.score))
