"""Translations kept across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from qttrag import trace
from qttrag.caching import Cache, content_key
from qttrag.stages import Closable, Startable, Translator
from qttrag.types import Lang, Translation

KIND = "translation"


class CachedTranslator:
    """Asks the inner translator only for what no earlier call has had translated, and once for equal texts.

    Counts: cached (found), computed (asked of the inner translator)."""

    def __init__(self, inner: Translator, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache

    @property
    def identity(self) -> str:
        return self.inner.identity

    async def start(self) -> None:
        if isinstance(self.inner, Startable):
            await self.inner.start()

    async def close(self) -> None:
        if isinstance(self.inner, Closable):
            await self.inner.close()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        wanted = list(zip(texts, source, strict=True))
        keys, found = await asyncio.to_thread(self._look_up, wanted, target)
        missing = {key: pair for key, pair in zip(keys, wanted, strict=True) if key not in found}
        trace.count("cached", sum(key in found for key in keys))
        trace.count("computed", len(missing))
        if missing:
            computed = await self.inner.translate(
                [text for text, _ in missing.values()], [lang for _, lang in missing.values()], target
            )
            fresh = dict(zip(missing, computed, strict=True))
            await asyncio.to_thread(self._keep, fresh)
            found |= fresh
        return [found[key] for key in keys]

    def _look_up(
        self, wanted: Sequence[tuple[str, Lang]], target: Lang
    ) -> tuple[list[bytes], dict[bytes, Translation]]:
        identity = self.inner.identity
        keys = [
            content_key({"identity": identity, "source": source, "target": target, "text": text})
            for text, source in wanted
        ]
        values = self.cache.get_many(KIND, keys)
        return keys, {key: _read(value) for key, value in zip(keys, values, strict=True) if value is not None}

    def _keep(self, fresh: dict[bytes, Translation]) -> None:
        self.cache.put_many(
            KIND,
            {
                key: json.dumps({"text": translation.text, "flags": translation.flags}, ensure_ascii=False)
                for key, translation in fresh.items()
            },
        )


def _read(value: str) -> Translation:
    fields = json.loads(value)
    return Translation(fields["text"], tuple(fields["flags"]))
