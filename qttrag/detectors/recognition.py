"""What a detector can say of a language, and the settings that detectors with a model of fastText share."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

from qttrag.detectors.script_rules import LANGUAGE_OF, VARIETIES, Preferences, languages_written_in
from qttrag.errors import ConfigError, InputError
from qttrag.text.languages import LANGUAGES, language
from qttrag.text.scripts import component_scripts
from qttrag.types import Lang

Recognition = Literal["script", "model", "poorly", "if expected", "no"]
_HAN = frozenset(map(Lang, ("yue", "zh-Hant")))  # told apart by characters, not by the model


def recognition(lang: Lang, known: Set[Lang], poorly: Set[Lang] = frozenset()) -> Recognition:
    """Return how a language of the table is recognised: by its script alone; by the model, well or poorly; only where
    it is among the expected ones; or not at all: its texts are taken for another language of the script.

    `known`: the languages of the model's labels; `poorly`: those of them that it often gets wrong."""
    if lang in _HAN:
        return "if expected"
    scripts = component_scripts(LANGUAGES[lang].script)
    if lang in LANGUAGE_OF.values() or all(languages_written_in(script) == {lang} for script in scripts):
        return "script"
    if lang not in known:
        return "no"
    if lang in VARIETIES:
        return "if expected"
    return "poorly" if lang in poorly else "model"


def preferences(kind: str, languages: list[str] | None, min_score: float) -> Preferences:
    """Return the checked settings `languages` and `min_score` of a detector kind.

    Raises:
        ConfigError: an unknown language, or a score outside [0, 1]."""
    if not 0.0 <= min_score <= 1.0:
        raise ConfigError(f"detector kind '{kind}': `min_score: {min_score}` is outside [0, 1]; set it to such a score")
    try:
        return Preferences(frozenset(language(name).code for name in languages or []), min_score)
    except InputError as error:
        raise ConfigError(f"detector kind '{kind}': `languages:`: {error}") from error
