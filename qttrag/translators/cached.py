"""Translations that are computed once, across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from qttrag.protocols import Closable, Startable, Translator
from qttrag.runtime.cache import content_key
from qttrag.runtime.result_cache import ResultCache
from qttrag.runtime.single_flight import CachedCalls
from qttrag.types import UNSUPPORTED, Lang, Translation

KIND = "translation"


class CachedTranslator:
    """Gives the inner translator only texts that are neither in the cache nor being translated by another call.

    Texts in an unsupported language are not stored, because a translator may support it later.
    Counts: cached (from the cache or from another call), computed (by the inner translator)."""

    def __init__(self, inner: Translator, cache: ResultCache) -> None:
        self.inner = inner
        self.cache = cache
        self._calls = CachedCalls(cache, KIND, dump=_dump, load=_load, keep=_is_translated)

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
        pairs = list(zip(texts, source, strict=True))
        keys = await asyncio.to_thread(self._keys, pairs, target)
        pair_of = dict(zip(keys, pairs, strict=True))

        async def compute(missing: list[bytes]) -> list[Translation]:
            missing_texts, missing_source = zip(*(pair_of[key] for key in missing), strict=True)
            return await self.inner.translate(list(missing_texts), list(missing_source), target)

        return await self._calls.get_many(keys, compute)

    def _keys(self, pairs: Sequence[tuple[str, Lang]], target: Lang) -> list[bytes]:
        identity = self.inner.identity  # off the event loop: the model may have to be downloaded for it
        return [
            content_key({"identity": identity, "source": source, "target": target, "text": text})
            for text, source in pairs
        ]


def _is_translated(translation: Translation) -> bool:
    return UNSUPPORTED not in translation.flags


def _dump(translation: Translation) -> str:
    return json.dumps({"text": translation.text, "flags": translation.flags}, ensure_ascii=False)


def _load(value: str) -> Translation:
    fields = json.loads(value)
    return Translation(fields["text"], tuple(fields["flags"]))
