"""A hub on loopback that serves folders as data sets."""

from __future__ import annotations

from typing import Any

from tests.hub import Hub


class DatasetHub(Hub):
    """As `Hub`, at the addresses of data sets."""

    def _reply(self, path: str) -> Any:
        return super()._reply(path.replace("/api/datasets/", "/api/models/").removeprefix("/datasets"))
