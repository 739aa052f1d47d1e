"""A translator of every kind in the registry, on tiny models or fakes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qttrag.application import registry
from qttrag.prompts import Prompts
from qttrag.protocols import Translator
from qttrag.testing import FakeGenerator, FakeTranslator
from qttrag.translators.llm import LLMTranslator
from qttrag.translators.route import Route, RouteTranslator
from qttrag.translators.served import ServedTranslator
from tests import tiny_models
from tests.server import running

ON_A_CPU = {"device": "cpu", "beam_size": 1}


class TranslatorsByKind:
    """Makes a translator of each kind from English and Korean into Finnish; a model is made once."""

    def __init__(self, tiny: Path, folder: Path, stack: ExitStack) -> None:
        self.tiny = tiny
        self.folder = folder
        self.stack = stack

    def _folder(self, name: str, make: Callable[..., Path], *arguments: str) -> str:
        path = self.folder / name
        return str(path if path.is_dir() else make(path, *arguments))

    def make(self, kind: str) -> Translator:
        family = kind.removesuffix("_transformers")
        match family:
            case "llm":
                reply = lambda messages: f"suomeksi {messages[-1]['content']}"  # noqa: E731
                return LLMTranslator(generator=FakeGenerator(reply), prompts=Prompts())
            case "served":
                application = running.application(translator=FakeTranslator())
                service = self.stack.enter_context(running.running(application))
                return ServedTranslator(model="m", base_url=f"{service.url}/v1", retries=0)
            case "route":
                return RouteTranslator(routes=[Route(self.make("llm"), ["en", "ko"], ["fi"])])
        return self._on_a_model(kind, family)

    def _on_a_model(self, kind: str, family: str) -> Translator:
        constructor = registry.resolve("translator", kind)
        model: Any
        match family:
            case "nllb":
                model = str(self.tiny / "nllb")
            case "m2m100":
                model = self._folder("m2m100", tiny_models.make_m2m100)
            case "madlad":
                model = self._folder("madlad", tiny_models.make_madlad)
            case "seamless":
                model = self._folder("seamless", tiny_models.make_seamless)
            case "marian":
                model = {f"{a}-fi": self._folder(f"{a}-fi", tiny_models.make_marian, a, "fi") for a in ("en", "ko")}
        translator: Translator = constructor(model, **ON_A_CPU)
        return translator
