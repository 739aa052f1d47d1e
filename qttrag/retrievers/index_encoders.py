"""Whether the encoder of a deployment is the one that its indexes were built with."""

from __future__ import annotations

from collections.abc import Mapping

from qttrag.errors import CollectionError
from qttrag.types import EncoderInfo


def query_prefix(built_with: Mapping[str, EncoderInfo], encoder: EncoderInfo) -> str:
    """Return the prefix of questions to several indexes. `built_with`: their encoders by the indexes' names.

    Raises:
        CollectionError: an index was built with another encoder, or their prefixes differ."""
    for name, info in built_with.items():
        _check(name, info, encoder)
    prefixes = {info.query_prefix for info in built_with.values()}
    if len(prefixes) > 1:
        raise CollectionError(
            f"collections {', '.join(built_with)} have different query prefixes ({sorted(prefixes)}); "
            "search them in separate deployments"
        )
    return prefixes.pop()


def passage_prefix(built_with: Mapping[str, EncoderInfo]) -> str | None:
    """Return the prefix of the passages of several indexes; None if they have different ones."""
    prefixes = {info.passage_prefix for info in built_with.values()}
    return prefixes.pop() if len(prefixes) == 1 else None


def _check(name: str, built_with: EncoderInfo, encoder: EncoderInfo) -> None:
    if built_with.revision != encoder.revision:
        raise CollectionError(
            f"index '{name}' was built with the encoder {built_with.model} ({built_with.revision}), "
            f"the deployment has {encoder.model} ({encoder.revision}); "
            "set `retriever: {encoder: {model: ...}}` to that encoder, or build the index again with this one"
        )
    if built_with.dim != encoder.dim:
        raise CollectionError(
            f"index '{name}' has vectors of {built_with.dim} dimensions, the deployment's encoder of {encoder.dim}; "
            "set `retriever: {encoder: {truncate_dim: ...}}` as in the recipe of the index"
        )
