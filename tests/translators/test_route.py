from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qttrag.application.factory import Builder, settings_of, stage_settings
from qttrag.application.named_models import named_models
from qttrag.config.deployment import Deployment
from qttrag.errors import ConfigError
from qttrag.prompts import Prompts
from qttrag.runtime.cache import Cache
from qttrag.testing import FakeTranslator
from qttrag.trace import Trace
from qttrag.translators.cached import CachedTranslator
from qttrag.translators.llm import LLMTranslator
from qttrag.translators.route import Route, RouteTranslator
from qttrag.types import UNSUPPORTED, Lang, Translation

EN, KO, FI, JA, ZH = map(Lang, ("en", "ko", "fi", "ja", "zh"))


class Named(FakeTranslator):
    """Writes its name before every text."""

    def __init__(self, name: str, unsupported: Sequence[str] = ()) -> None:
        super().__init__(unsupported)
        self.identity = name

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        translations = await super().translate(texts, source, target)
        return [t if t.flags else Translation(f"{self.identity}:{t.text}") for t in translations]


async def test_a_text_goes_to_the_first_route_that_fits() -> None:
    route = RouteTranslator(
        routes=[Route(Named("A"), ["ko", "jpn"], ["fi"]), Route(Named("B"), target=["fi"]), Route(Named("C"), ["ko"])],
        default=Named("D"),
    )
    assert [t.text for t in await route.translate(["1", "2", "3"], [KO, EN, JA], FI)] == [
        "A:fi<1>",
        "B:fi<2>",
        "A:fi<3>",
    ]
    assert [t.text for t in await route.translate(["1", "2"], [KO, EN], ZH)] == ["C:zh<1>", "D:zh<2>"]


async def test_texts_of_one_translator_are_one_call() -> None:
    calls: list[int] = []

    class Counting(FakeTranslator):
        async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
            calls.append(len(texts))
            return await super().translate(texts, source, target)

    shared = Counting()
    route = RouteTranslator(routes=[Route(shared, ["ko"])], default=shared)
    assert [t.text for t in await route.translate(["a", "b", "c"], [KO, EN, JA], FI)] == ["fi<a>", "fi<b>", "fi<c>"]
    assert calls == [3]


async def test_what_a_route_does_not_support_goes_to_the_default() -> None:
    trace = Trace()
    route = RouteTranslator(routes=[Route(Named("A", ["ko"]))], default=Named("D"))
    with trace.stage("t"):
        translations = await route.translate(["1", "2"], [KO, EN], FI)
    assert [t.text for t in translations] == ["D:fi<1>", "A:fi<2>"]
    assert trace.counts == {"t.defaulted": 1}


async def test_without_a_default_a_text_without_a_route_is_flagged() -> None:
    route = RouteTranslator(routes=[Route(Named("A", ["ja"]), ["ko", "ja"])])
    translations = await route.translate(["a", "b", "1917", "c"], [KO, EN, EN, JA], FI)
    assert translations == [
        Translation("A:fi<a>"), Translation("b", (UNSUPPORTED,)), Translation("1917"), Translation("c", (UNSUPPORTED,)),
    ]  # fmt: skip


async def test_a_text_in_the_target_language_is_returned_unchanged() -> None:
    assert await RouteTranslator(routes=[Route(Named("A"))]).translate([" x "], [FI], FI) == [Translation(" x ")]


def test_the_identity_has_the_routes_in_their_order() -> None:
    def identity(*routes: Route, default: Any = None) -> str:
        return RouteTranslator(routes=routes, default=default).identity

    a, b = Route(Named("A"), ["ko"]), Route(Named("B"))
    variants = [
        identity(a, b),
        identity(b, a),
        identity(a),
        identity(a, default=Named("B")),
        identity(Route(Named("A"))),
    ]
    assert len(set(variants)) == len(variants)
    assert identity(Route(Named("A"), ["ko", "ja"])) == identity(Route(Named("A"), ["ja", "kor"]))


def test_an_unknown_language_of_a_route_is_named() -> None:
    with pytest.raises(ConfigError, match=r"`source:` of a route: unknown language 'klingon'"):
        RouteTranslator(routes=[Route(Named("A"), ["klingon"])])


# in a deployment

NLLB = {"kind": "nllb", "model": "o/nllb"}
MARIAN = {"kind": "marian", "models": {"ko-fi": {"model": "o/ko-fi", "revision": "v1"}}}


def deployment(**translator: Any) -> Deployment:
    return Deployment.model_validate(
        {
            "retriever": {"kind": "bm25", "collections": []},
            "reranker": {"kind": "none"},
            "generator": {"kind": "openai", "model": "m", "base_url": "http://127.0.0.1/v1"},
            "translator": {"kind": "route", **translator},
        }
    )


def build(deployed: Deployment, cache: Cache | None = None) -> Any:
    return Builder(deployed, Prompts(), cache).build("translator", deployed.translator or {})


def test_nested_settings_are_translators_with_their_caches(tmp_path: Path) -> None:
    routes = [{"source": ["ko"], "target": ["fi"], "translator": MARIAN}, {"translator": {"kind": "llm"}}]
    route = build(deployment(routes=routes, default=NLLB), Cache(tmp_path / "cache.sqlite"))
    assert isinstance(route, RouteTranslator)
    translators = [*(translator for _, _, translator in route._routes), route._default]
    assert all(isinstance(each, CachedTranslator) for each in translators)
    inner: Any = [each.inner for each in translators if isinstance(each, CachedTranslator)]
    assert [type(each).__name__ for each in inner] == ["MarianTranslator", "LLMTranslator", "NllbTranslator"]
    assert isinstance(inner[1], LLMTranslator)


def test_the_models_of_all_routes_are_named_with_their_places() -> None:
    deployed = deployment(routes=[{"source": ["ko"], "translator": MARIAN}], default=NLLB)
    named = [n for n in named_models(Path("d.yaml"), deployed) if n.place.startswith("translator")]
    assert [(n.place, n.model, n.revision) for n in named] == [
        ("translator.routes.0.translator.models.ko-fi", "o/ko-fi", "v1"),
        ("translator.default", "o/nllb", None),
    ]
    places = [stage.keys for stage in stage_settings(deployed) if stage.stage == "translator"]
    assert places == [("translator",), ("translator", "routes", "0", "translator"), ("translator", "default")]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "`routes:` is missing"),
        ({"routes": []}, "`routes:` is empty"),
        ({"routes": "nllb"}, "give a list of settings"),
        ({"routes": [{"source": ["ko"]}]}, "has no `translator:`; give a translator's settings"),
        ({"routes": [{"translator": NLLB, "sorce": ["ko"]}]}, r"`routes:` item 1: 'sorce'; did you mean 'source'"),
        ({"routes": [{"translator": NLLB, "source": "ko"}]}, r"item 1: `source: 'ko'`"),
        ({"routes": [{"translator": {"kind": "nlb"}}]}, "unknown translator kind 'nlb'"),
        ({"routes": [{"translator": NLLB}], "default": "nllb"}, "`default:` must hold a translator's settings"),
    ],
)
def test_invalid_settings_name_the_place_and_the_way_out(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build(deployment(**settings))


def test_the_settings_of_the_kind_are_listed() -> None:
    routes, default = settings_of(RouteTranslator)
    assert (routes.name, routes.type, routes.required) == (
        "routes", "list of settings (translator, source, target)", True,
    )  # fmt: skip
    assert (default.name, default.type, default.required) == ("default", "a translator's settings", False)
