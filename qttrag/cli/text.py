"""`qttrag translate` and `qttrag tag`: single stages, for one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qttrag.cli import output
from qttrag.errors import ConfigError
from qttrag.resources import DEFAULT_DEPLOYMENT
from qttrag.trace import Trace

if TYPE_CHECKING:
    from qttrag.application.application import Application
    from qttrag.types import Lang, Translation, Verdict

Source = Annotated[str | None, typer.Option("--from", "-f", help="Language of the original; default: detected.")]
Target = Annotated[str, typer.Option("--to", "-t", help="Language of the translation.")]


def translate(
    text: Annotated[str, typer.Argument(help="The text to translate.")],
    target: Target,
    source: Source = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Translate one text with the deployment's translator.

    A text without letters, or in a language that the translator does not support, is printed unchanged, with a note.

    Example: qttrag translate "The midnight sun lasts until July." --to ko
    """
    from qttrag.text.languages import language

    application = output.open_application(config, settings)
    to = language(target).code
    trace = Trace()
    lang, translation = output.run(_translate(application, trace, output.utf8(text), source, to))
    if as_json:
        fields = {"source": lang, "target": to, "text": translation.text, "flags": list(translation.flags)}
        output.say_json({**fields, "trace": trace.as_dict(details=True)})
        return
    output.say(output.printable(translation.text))
    output.say_notes(trace)
    for flag in translation.flags:
        output.console(stderr=True).print(f"flag: {flag}", markup=False)


async def _translate(
    application: Application, trace: Trace, text: str, source: str | None, target: Lang
) -> tuple[Lang, Translation]:
    from qttrag.pipeline.language_support import report_unsupported
    from qttrag.text.languages import language
    from qttrag.types import UNSUPPORTED

    async with application:
        translator = application.stages.translator
        if translator is None:
            raise ConfigError("the deployment has no translator; add `translator: {kind: nllb, ...}`")
        with trace.stage("translate"):
            (lang,) = [language(source).code] if source else await application.detector.detect([text])
            (translation,) = await translator.translate([text], [lang], target)
            unsupported = [lang] if UNSUPPORTED in translation.flags else []
            report_unsupported(unsupported, target, effect="the text is unchanged")
        return lang, translation


def tag(
    original: Annotated[str, typer.Argument(help="The original text.")],
    translation: Annotated[str, typer.Argument(help="Its translation.")],
    target: Target,
    source: Source = None,
    config: output.Config = DEFAULT_DEPLOYMENT,
    settings: output.Set = None,
    as_json: output.Json = False,
) -> None:
    """Score one translation with the deployment's tagger: semantic equivalence, grammar, fluency, 0 to 5.

    The exit code is 4 if the tagger's model is unavailable.

    Example: qttrag tag "The bridge opened in 1903." "Silta avattiin vuonna 1903." --to fi
    """
    from qttrag.application.serialization import verdict_as_dict
    from qttrag.text.languages import language

    application = output.open_application(config, settings)
    to = language(target).code
    trace = Trace()
    pair = output.utf8(original), output.utf8(translation)
    verdict = output.run(_tag(application, trace, pair, source, to))
    scores = verdict.scores
    if as_json:
        output.say_json({**verdict_as_dict(verdict), "trace": trace.as_dict(details=True)})
    elif scores is None:
        output.say(f"unscored: {verdict.cause}")
    else:
        output.say(" · ".join(f"{name} {score:.1f}" for name, score in scores.measured().items()))
    if not as_json:
        for error in verdict.critical_errors:
            output.say(f"critical error, {error.kind}: {', '.join(error.original)}".removesuffix(": "))
        output.say_notes(trace)
    if verdict.cause == "unavailable":
        raise typer.Exit(4)


async def _tag(
    application: Application, trace: Trace, pair: tuple[str, str], source: str | None, target: Lang
) -> Verdict:
    async with application:
        tagger = application.stages.tagger
        if tagger is None:
            raise ConfigError("the deployment has no tagger; add `tagger: {kind: llm}`")
        original, translation = pair
        lang = await application.language_of(original, source)
        with trace.stage("tag"):
            (verdict,) = await tagger.score([original], [translation], [lang], target)
        return verdict
