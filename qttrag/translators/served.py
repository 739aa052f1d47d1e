"""Translation by another process: qttrag's own `/v1/translate`, or LibreTranslate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal

from qttrag import trace
from qttrag.errors import ConfigError, InputError
from qttrag.openai_client.connection import Connection
from qttrag.openai_client.endpoint import CallLimits, Endpoint, Remedies
from qttrag.runtime.tasks import gather_or_cancel
from qttrag.text.languages import language
from qttrag.translators import checks
from qttrag.translators.grouping import by_group, untranslated
from qttrag.types import Lang, Translation

if TYPE_CHECKING:
    import openai

METHOD = 1  # raised when the same settings give other translations than before, so that no cached one is used
_STAGE = "translator"
_REMEDIES = Remedies(not_found="correct `base_url:` (qttrag: ending in /v1; LibreTranslate: without a path) or `api:`")
_OTHER_CODES = {"zt": Lang("zh-Hant"), "pb": Lang("pt")}  # LibreTranslate's of older versions, and Brazil's


class ServedTranslator:
    """Translator kind `served`: one or several servers of the same translation model.

    `api`: "qttrag" for another qttrag's service, whose flags are kept; "libretranslate" for LibreTranslate.
    `model`: a name for the model behind the servers, in errors and in the identity of translations; change it when the
    servers change theirs. `base_url`: "http://host:8000/v1" of qttrag, "http://host:5000" of LibreTranslate; a request
    goes to the least busy server that works. `batch`: texts in a request. `timeout`: read timeout in seconds;
    `call_timeout`: seconds for a whole request. `retries`, `patience`, `in_flight`: as of the generator kind `openai`.

    Counts: requests, copied_unchanged (texts without a letter), same_language."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str | list[str],
        api: Literal["qttrag", "libretranslate"] = "qttrag",
        api_key_env: str = "QTTRAG_TRANSLATOR_KEY",
        batch: int = 16,
        timeout: float = 120.0,
        connect_timeout: float = 5.0,
        call_timeout: float = 600.0,
        patience: float = 30.0,
        retries: int = 3,
        in_flight: int = 16,
    ) -> None:
        urls = [base_url] if isinstance(base_url, str) else base_url
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"translator kind 'served': `base_url: {url}` must begin with http:// or https://")
        if not urls or batch < 1 or in_flight < 1 or retries < 0:
            raise ConfigError(
                "translator kind 'served': `base_url:` must name a server, `batch:` and `in_flight:` must be 1 or "
                "more, `retries:` 0 or more"
            )
        limits = CallLimits(connect_timeout, timeout, call_timeout, patience, retries)
        base_urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        self._endpoint = Endpoint(_STAGE, model, base_urls, api_key_env, in_flight, limits, _REMEDIES)
        self._api = api
        self._batch = batch
        self._connection = Connection(self._endpoint)
        self._known_codes: dict[Lang, str] = {}  # LibreTranslate's code of each of its languages

    @property
    def identity(self) -> str:
        return f"served:{METHOD}|{self._api}|{self._endpoint.model}|{','.join(sorted(self._endpoint.base_urls))}"

    async def close(self) -> None:
        await self._connection.close()

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        trace.count("same_language", source.count(target))

        async def run(lang: Lang, own: list[str], _: list[Lang]) -> list[Translation]:
            codes = None if lang == target else await self._codes(lang, target)
            translations = [untranslated(text, supported=lang == target or codes is not None) for text in own]
            lettered = [n for n, text in enumerate(own) if any(map(str.isalpha, text))]
            trace.count("copied_unchanged", len(own) - len(lettered) if codes else 0)
            if codes:
                batches = [lettered[start : start + self._batch] for start in range(0, len(lettered), self._batch)]
                replies = await gather_or_cancel(
                    self._request([own[n] for n in batch], lang, target, codes) for batch in batches
                )
                for batch, reply in zip(batches, replies, strict=True):
                    for n, translation in zip(batch, reply, strict=True):
                        translations[n] = translation
            return translations

        return await by_group(texts, source, lambda lang: lang, run)

    async def _request(self, texts: list[str], source: Lang, target: Lang, codes: tuple[str, str]) -> list[Translation]:
        trace.count("requests")
        texts = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
        if self._api == "qttrag":
            reply = await self._post({"texts": texts, "source": codes[0], "target": codes[1]}, _from_qttrag)
            return [Translation(text, flags) for text, flags in reply]
        key = os.environ.get(self._endpoint.api_key_env)
        request = {"q": texts, "source": codes[0], "target": codes[1], "format": "text"}
        reply = await self._post(request | ({"api_key": key} if key else {}), _from_libretranslate)
        return [
            Translation(text, checks.flags(original, text, source, target))
            for original, (text, _) in zip(texts, reply, strict=True)
        ]

    async def _post(self, request: Mapping[str, Any], read: Any) -> list[tuple[str, tuple[str, ...]]]:
        n = len(request.get("texts", request.get("q", ())))

        async def send(client: openai.AsyncOpenAI, body: Mapping[str, Any], _: AsyncExitStack) -> Any:
            options: Any = {"headers": trace.headers()}
            reply = read(await client.post("/translate", cast_to=object, body=body, options=options))
            if len(reply) != n:
                raise ValueError(f"{len(reply)} translations for {n} texts")
            return reply

        async with self._connection.client().call(request, send) as call:
            translations: list[tuple[str, tuple[str, ...]]] = call.reply
            return translations

    async def _codes(self, source: Lang, target: Lang) -> tuple[str, str] | None:
        """Return the server's codes of two languages; None: it does not support one of them."""
        if self._api == "qttrag":
            try:
                return language(source).code, language(target).code
            except InputError:
                return None
        known = await self._libretranslate_codes()
        return (known[source], known[target]) if source in known and target in known else None

    async def _libretranslate_codes(self) -> dict[Lang, str]:
        if not self._known_codes:

            async def send(client: openai.AsyncOpenAI, _: Mapping[str, Any], __: AsyncExitStack) -> dict[Lang, str]:
                return _languages(await client.get("/languages", cast_to=object))

            async with self._connection.client().call({}, send) as call:
                self._known_codes = call.reply
        return self._known_codes


def _from_qttrag(reply: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(each["text"]), tuple(map(str, each["flags"]))) for each in reply["translations"]]


def _from_libretranslate(reply: Any) -> list[tuple[str, tuple[str, ...]]]:
    if not isinstance(reply["translatedText"], list):
        raise ValueError("`translatedText` is not a list")
    return [(str(text), ()) for text in reply["translatedText"]]


def _languages(reply: Any) -> dict[Lang, str]:
    """Return LibreTranslate's code of each language that it has; a code for the language itself goes before others."""
    codes: dict[Lang, str] = {}
    for code in sorted((str(each["code"]) for each in reply), key=lambda code: code in _OTHER_CODES):
        try:
            lang = _OTHER_CODES.get(code) or language(code).code
        except InputError:
            continue
        codes.setdefault(lang, code)
    return codes
