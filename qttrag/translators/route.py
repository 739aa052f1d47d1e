"""Translation by the translator of a pair of languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.protocols import Translator
from qttrag.text.languages import language
from qttrag.translators.grouping import by_group, untranslated
from qttrag.types import UNSUPPORTED, Lang, Translation


@dataclass(frozen=True)
class Route:
    """A translator, and the languages of texts and targets that it gets; None: any."""

    translator: Translator
    source: list[str] | None = None
    target: list[str] | None = None


class RouteTranslator:
    """Translator kind `route`: the first of `routes` whose languages fit translates a text, else `default`.

    `routes`: each with `translator:`, settings of any kind, and `source:` and `target:`, lists of languages; left out:
    any language. A text that the translator of a route does not support goes to `default`, too. Without a default, a
    text without a route is returned unchanged with the flag "unsupported".

    Counts: those of the translators; defaulted: texts that their route's translator did not support."""

    PARTS_ARE_CACHED: ClassVar[bool] = True
    """Each translator has the cache in front of it, where another deployment may have put its translations."""

    def __init__(self, *, routes: Sequence[Route], default: Translator | None = None) -> None:
        if not routes:
            raise ConfigError("translator kind 'route': `routes:` is empty; give one or more, or the translator alone")
        self._routes = [(_codes("source", r.source), _codes("target", r.target), r.translator) for r in routes]
        self._default = default

    @property
    def identity(self) -> str:
        routes = [
            f"{_written(source)}>{_written(target)}={translator.identity}"
            for source, target, translator in self._routes
        ]
        return f"route|{'|'.join(routes)}|default={self._default.identity if self._default else None}"

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        trace.count("same_language", source.count(target))

        async def run(translator: Translator | None, own: list[str], langs: list[Lang]) -> list[Translation]:
            if translator is None:
                return [untranslated(text, supported=lang == target) for text, lang in zip(own, langs, strict=True)]
            translations = await translator.translate(own, langs, target)
            return await self._defaulted(translator, translations, langs, target)

        def group(lang: Lang) -> Translator | None:
            return None if lang == target else self._translator(lang, target)

        return await by_group(texts, source, group, run)

    async def _defaulted(
        self, translator: Translator, translations: list[Translation], langs: Sequence[Lang], target: Lang
    ) -> list[Translation]:
        """Return the translations with those of the default for unsupported texts, which are the originals."""
        unsupported = [n for n, translation in enumerate(translations) if UNSUPPORTED in translation.flags]
        if self._default is None or translator is self._default or not unsupported:
            return translations
        trace.count("defaulted", len(unsupported))
        again = await self._default.translate(
            [translations[n].text for n in unsupported], [langs[n] for n in unsupported], target
        )
        by_number = dict(zip(unsupported, again, strict=True))
        return [by_number.get(n, translation) for n, translation in enumerate(translations)]

    def _translator(self, source: Lang, target: Lang) -> Translator | None:
        for sources, targets, translator in self._routes:
            if (sources is None or source in sources) and (targets is None or target in targets):
                return translator
        return self._default


def _codes(name: str, languages: Sequence[str] | None) -> frozenset[Lang] | None:
    try:
        return None if languages is None else frozenset(language(each).code for each in languages)
    except InputError as error:
        raise ConfigError(f"translator kind 'route': `{name}:` of a route: {error}") from error


def _written(languages: frozenset[Lang] | None) -> str:
    return "*" if languages is None else ",".join(sorted(languages))
