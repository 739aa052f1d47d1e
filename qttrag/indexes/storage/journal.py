"""The journal of an unfinished index: its finished shards, from which an interrupted build resumes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from qttrag.indexes.sources.records import SourcePosition
from qttrag.indexes.storage.manifest import FileSum

JOURNAL_FILE = "progress.json"


class FinishedShard(BaseModel):
    """Passages and vectors that are on the disk. `position`: in the source, after them. `ids`: file of their ids."""

    model_config = ConfigDict(extra="forbid")
    rows: int
    position: SourcePosition
    langs: dict[str, int]
    skipped: dict[str, int]
    repaired: dict[str, int] = {}
    truncated: int
    files: dict[str, FileSum]
    ids: FileSum


class Journal(BaseModel):
    """The state of a build. Names on disk are the aliases.

    `fingerprint`: settings that all shards depend on and that must not change in between. `faiss`: the factory string
    of the unfinished FAISS index. `manifest_sha256`: of the finished index, set right before it is published."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    fingerprint: dict[str, Any] = Field(validation_alias="terms", serialization_alias="terms")
    shards: list[FinishedShard] = []
    faiss: str = ""
    manifest_sha256: str = Field(default="", validation_alias="made", serialization_alias="made")

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def position(self) -> SourcePosition:
        return self.shards[-1].position if self.shards else SourcePosition(0, 0)

    @property
    def langs(self) -> Counter[str]:
        return sum((Counter(shard.langs) for shard in self.shards), Counter[str]())

    @property
    def skipped(self) -> Counter[str]:
        return sum((Counter(shard.skipped) for shard in self.shards), Counter[str]())

    @property
    def repaired(self) -> Counter[str]:
        return sum((Counter(shard.repaired) for shard in self.shards), Counter[str]())

    @property
    def truncated(self) -> int:
        return sum(shard.truncated for shard in self.shards)

    @property
    def files(self) -> dict[str, FileSum]:
        return {name: checksum for shard in self.shards for name, checksum in shard.files.items()}


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each setting that differs between two fingerprints."""
    old, new = _flatten(before), _flatten(json.loads(json.dumps(now)))
    keys = [*old, *(key for key in new if key not in old)]
    return [
        f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}"
        for key in keys
        if old.get(key) != new.get(key)
    ]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
