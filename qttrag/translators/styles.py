"""The prompts of translation models with a form of their own: prompts/translate/styles/<name>.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from qttrag.config import yaml_files
from qttrag.errors import ConfigError, InputError, unknown
from qttrag.text.languages import language
from qttrag.types import Lang, Message

_PLACEHOLDERS = {"text", "source", "target", "source_language", "target_language"}


class _Form(BaseModel):
    """A user message, and the names of the languages in it by code; None: all languages, by their English names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    user: str
    languages: dict[Lang, str] | None = None

    @field_validator("user")
    @classmethod
    def _check_placeholders(cls, user: str) -> str:
        return _checked(user)


class _Variant(_Form):
    """The form where one of the languages is in `with`."""

    languages_with: list[Lang]

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, data: Any) -> Any:
        return {**{k: v for k, v in data.items() if k != "with"}, "languages_with": data.get("with")}


class TranslationStyle(BaseModel):
    """The one message that asks a translation model for a translation.

    `user`: its text. `item`: in its place, the fields of its one content item, for models whose chat template writes
    the prompt. `languages`: those that the model supports, with their names in the prompt; None: any. Placeholders:
    $text; $source and $target, codes of the languages; $source_language and $target_language, their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    user: str | None = None
    item: dict[str, str] | None = None
    languages: dict[Lang, str] | None = None
    variant: _Variant | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.user is None) == (self.item is None):
            raise ValueError("give either `user:` or `item:`")
        _checked(self.user or " ".join((self.item or {}).values()))
        return self

    def messages(self, text: str, source: Lang, target: Lang) -> list[Message] | None:
        """Return the chat for a sanitised text; None if the model does not support one of the languages."""
        form, names = self.user, self.languages
        if self.variant and {source, target} & set(self.variant.languages_with):
            form, names = self.variant.user, self.variant.languages
        try:
            values = {
                "text": text,
                "source": source,
                "target": target,
                "source_language": _name(names, source),
                "target_language": _name(names, target),
            }
        except (InputError, KeyError):
            return None
        if form is not None:
            return [{"role": "user", "content": Template(form).substitute(values).strip()}]
        item = {name: Template(value).substitute(values) for name, value in (self.item or {}).items()}
        return [cast(Message, {"role": "user", "content": [item]})]  # of a shape that only such models take


def _name(names: Mapping[Lang, str] | None, lang: Lang) -> str:
    return language(lang).name if names is None else names[lang]


def _checked(template: str) -> str:
    present = set(Template(template).get_identifiers()) if Template(template).is_valid() else {"?"}
    if "text" not in present:
        raise ValueError("the placeholder $text is missing; add it (write $$ for a dollar sign)")
    if unexpected := present - _PLACEHOLDERS:
        raise ValueError(unknown("placeholder", f"${min(unexpected)}", [f"${name}" for name in _PLACEHOLDERS]))
    return template


def load(folder: Path, name: str) -> TranslationStyle:
    """Return the style `name` of the folder of prompts.

    Raises:
        ConfigError: there is no such file, or it is invalid."""
    styles = folder / "translate" / "styles"
    path = styles / f"{name}.yaml"
    known = sorted(file.stem for file in styles.glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"translator kind 'llm': {unknown('style', name, ['plain', *known])}; or add {path}")
    try:
        return TranslationStyle(**yaml_files.read_yaml(path))
    except ValidationError as error:
        first = yaml_files.complaint(error)
        if first["type"] == "value_error":
            raise ConfigError(f"{path}: {first['msg'].removeprefix('Value error, ')}") from error
        raise ConfigError(yaml_files.explain(error, str(path), TranslationStyle.model_fields)) from error
