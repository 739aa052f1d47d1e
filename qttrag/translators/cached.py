"""Translations kept across questions, strategies and runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from qttrag import trace
from qttrag.protocols import Closable, Startable, Translator
from qttrag.runtime.cache import Cache, content_key
from qttrag.runtime.single_flight import InFlight
from qttrag.types import Lang, Translation

KIND = "translation"


class CachedTranslator:
    """Asks the inner translator only for what no earlier call has had translated, and once for equal texts.

    What another call is having translated is waited for.
    Counts: cached (found or waited for), computed (asked of the inner translator)."""

    def __init__(self, inner: Translator, cache: Cache) -> None:
        self.inner = inner
        self.cache = cache
        self._in_flight: InFlight[Translation] = InFlight()

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
        keys = await asyncio.to_thread(self._keys, wanted, target)
        pairs = dict(zip(keys, wanted, strict=True))
        done: dict[bytes, Translation] = {}
        computed: set[bytes] = set()
        while missing := [key for key in pairs if key not in done]:
            others = {key: future for key in missing if (future := self._in_flight.get(key)) is not None}
            if mine := {key: pairs[key] for key in missing if key not in others}:
                with self._in_flight.computing(mine) as values:
                    computed |= await self._compute(mine, target, values)
                done |= values
            else:  # what failed for another, perhaps for another text of its call, is asked for again
                await asyncio.wait(others.values())
                done |= {k: f.result() for k, f in others.items() if not f.cancelled() and f.exception() is None}
        trace.count("cached", sum(key not in computed for key in keys))
        return [done[key] for key in keys]

    async def _compute(
        self, wanted: Mapping[bytes, tuple[str, Lang]], target: Lang, values: dict[bytes, Translation]
    ) -> set[bytes]:
        """Add to `values` what the cache has and the inner translator's word on the rest; return the rest's keys."""
        values |= await asyncio.to_thread(self._kept, list(wanted))
        rest = {key: pair for key, pair in wanted.items() if key not in values}
        trace.count("computed", len(rest))
        if rest:
            translations = await self.inner.translate(
                [text for text, _ in rest.values()], [lang for _, lang in rest.values()], target
            )
            fresh = dict(zip(rest, translations, strict=True))
            values |= fresh
            await asyncio.to_thread(self._keep, fresh)
        return set(rest)

    def _keys(self, wanted: Sequence[tuple[str, Lang]], target: Lang) -> list[bytes]:
        identity = self.inner.identity
        return [
            content_key({"identity": identity, "source": source, "target": target, "text": text})
            for text, source in wanted
        ]

    def _kept(self, keys: Sequence[bytes]) -> dict[bytes, Translation]:
        values = self.cache.get_many(KIND, keys)
        return {key: _read(value) for key, value in zip(keys, values, strict=True) if value is not None}

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
