"""The prompt files `prompts/<kind>/<lang>.yaml` (kinds: `_KINDS`): checked when read, filled in per question.

Everything that a prompt quotes is sanitised: it has no role tokens, headers or score tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import ClassVar, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from qttrag import resources, trace
from qttrag.config import yaml_files
from qttrag.errors import ConfigError, unknown
from qttrag.text.languages import language
from qttrag.text.sanitization import sanitise
from qttrag.types import MAX_SCORE, AnswerStyle, CriticalError, Lang, Message, QualityScores, TaggedPassage

FALLBACK = Lang("en")
_MOST_SHOWN = 5  # numbers or names of one critical error in a header

Style = Literal["plain", "tagged", "tagged_without_scores", "tagged_after", "tagged_after_without_scores"]

TagForm = Literal["of_five", "bare"]
"""How a score is written: "grammatical accuracy 4.0/5", or "grammatical accuracy: 4.0" as in arXiv:2510.23070."""

Labels = Literal["query", "english"]
"""The language of the labels of passages and question: the query's, or English for all as in arXiv:2510.23070."""


@dataclass(frozen=True, slots=True)
class PromptForm:
    """The form of answer prompts that a deployment chooses. `abstain`: name the reply for "not in the passages"."""

    abstain: bool = True
    labels: Labels = "query"


class Presentation(NamedTuple):
    """How passages are shown to the generator: the field of the system prompt, and the headers, by name, of an
    original, of a translation with scores and of one without. `after`: the scores stand in a line after the passage."""

    system: Literal["plain", "tagged", "tagged_after"]
    original: str
    scored: str
    unscored: str
    after: bool = False


STYLES: Mapping[Style, Presentation] = {
    "plain": Presentation("plain", original="plain", scored="plain", unscored="plain"),
    "tagged": Presentation("tagged", original="original", scored="scored", unscored="unscored"),
    "tagged_without_scores": Presentation("tagged", original="original", scored="translation", unscored="translation"),
    "tagged_after": Presentation("tagged_after", original="plain", scored="plain", unscored="plain", after=True),
    "tagged_after_without_scores": Presentation("tagged_after", original="plain", scored="plain", unscored="plain"),
}


class _File(BaseModel):
    """A prompt file. `language`: the English name of the language asked for; in a fallback, `lang` is another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    placeholders: ClassVar[Mapping[str, tuple[str, ...]]]  # by field: the required ones
    optional: ClassVar[tuple[str, ...]] = ("language",)
    lang: Lang
    language: str

    @model_validator(mode="after")
    def _check_placeholders(self) -> Self:
        for field, required in self.placeholders.items():
            text = self._text(field)
            if text is None:
                continue
            template = Template(text)
            if not template.is_valid():
                raise ValueError(f"{field}: a $ without the name of a placeholder; write $$ for a dollar sign")
            present = set(template.get_identifiers())
            if missing := set(required) - present:
                raise ValueError(f"{field}: the placeholder ${min(missing)} is missing; add it")
            if unexpected := present - {*required, *self.optional}:
                known = [f"${name}" for name in (*required, *self.optional)]
                raise ValueError(f"{field}: {unknown('placeholder', f'${min(unexpected)}', known)}")
        return self

    def _text(self, field: str) -> str | None:
        value: object = self
        for name in field.split("."):
            value = getattr(value, name)
        return None if value is None else str(value)

    def _required(self, field: str) -> str:
        """Return the text of a field that a file may lack.

        Raises:
            ConfigError: it does."""
        text = self._text(field)
        if text is None:
            raise ConfigError(f"a prompt file in '{self.lang}' has no `{field}:`, which these settings need; add it")
        return text

    def _fill(self, field: str, **values: str) -> str:
        return self._substitute(self._required(field), **values)

    def _substitute(self, text: str, /, **values: str) -> str:
        native = language(self.language).native
        return Template(text).substitute(language=self.language, native=native, **values).strip()


class Headers(BaseModel):
    """The line before a passage, in square brackets, which no passage contains. `names`: at its end, where the names of
    the original are shown beside a translation."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    plain: str
    original: str
    translation: str
    scored: str
    unscored: str
    refined: str
    names: str


class AnswerStyles(BaseModel):
    """How long and in what form to answer: the lines of the system prompt in place of `$style`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    short: str
    sentences: str
    report: str


class AnswerPrompt(_File):
    """The prompt for the generator. `unknown`: the reply when the passages do not hold the answer; the lines of a
    system prompt that have `$unknown` are left out with `abstain: false`. `tagged_after`: in place of `tagged` where
    scores stand after the passages. `labelled`: in place of `user` with `labels: english`; of the English file only.

    Used only if the deployment says so: at the end of the system prompt `cite`, or `cite_sentences` for answers of
    several sentences; `repair` after an answer in a wrong language."""

    placeholders = {
        "plain": ("unknown", "style"),
        "tagged": ("unknown", "style"),
        "tagged_after": ("unknown", "style"),
        "labelled": ("passages", "question"),
        "styles.short": (),
        "styles.sentences": (),
        "styles.report": (),
        "user": ("passages", "question"),
        "cite": (),
        "cite_sentences": (),
        "repair": (),
        "headers.plain": ("n",),
        "headers.original": ("n",),
        "headers.translation": ("n",),
        "headers.scored": ("n", "scores"),
        "headers.unscored": ("n", "reason"),
        "headers.refined": ("n",),
        "headers.names": ("names",),
    }
    optional = ("language", "native")
    unknown: str
    plain: str
    tagged: str
    tagged_after: str | None = None
    user: str
    labelled: str | None = None
    styles: AnswerStyles
    cite: str
    cite_sentences: str
    repair: str
    headers: Headers

    def block(
        self,
        n: int,
        passage: TaggedPassage,
        body: str,
        *,
        style: Style,
        tag: TagPrompt,
        tag_form: TagForm = "of_five",
    ) -> str:
        """Return passage `n` as the generator reads it: header, `body`, and its scores if they stand after it."""
        headers, values = STYLES[style], {"n": str(n)}
        scores = "" if passage.translation is None else tag.assessment(passage, tag_form)
        if passage.translation is None:
            header = headers.original
        elif passage.scores is not None:
            header, values["scores"] = headers.scored, scores
        else:
            header, values["reason"] = headers.unscored, scores
        line = self._fill(f"headers.{header}", **values)
        if passage.original_names:
            line += f" · {self._fill('headers.names', names=sanitise(', '.join(passage.original_names)))}"
        lines = [line, sanitise(body)]
        return "\n".join([*lines, f"[{scores}]"] if headers.after and scores else lines)

    def refined(self, n: int, body: str) -> str:
        """Return the refinement of passage `n` as the generator reads it."""
        return f"{self._fill('headers.refined', n=str(n))}\n{sanitise(body)}"

    def messages(
        self,
        question: str,
        blocks: Sequence[str],
        *,
        style: Style,
        answer_style: AnswerStyle = "short",
        cite: bool = False,
        form: PromptForm = PromptForm(),
        english: AnswerPrompt | None = None,
    ) -> list[Message]:
        """Return the chat that asks the question. `cite`: ask for the numbers of the passages, too.

        `english`: the English prompt, whose labels the form may ask for; None: this one.

        Raises:
            ConfigError: the prompt file lacks the text that the style or the form needs."""
        labels = self._required("user") if form.labels == "query" else (english or self)._required("labelled")
        user = self._substitute(labels, passages="\n\n".join(blocks), question=sanitise(question))
        system = self._system(STYLES[style].system, answer_style, abstain=form.abstain)
        citing = self._fill("cite" if answer_style == "short" else "cite_sentences")
        return [
            {"role": "system", "content": f"{system}\n{citing}" if cite else system},
            {"role": "user", "content": user},
        ]

    def _system(self, field: str, answer_style: AnswerStyle, *, abstain: bool) -> str:
        lines = [line for line in self._required(field).splitlines() if abstain or "$unknown" not in line]
        style = self._fill(f"styles.{answer_style}")
        return self._substitute("\n".join(lines), style=style, **({"unknown": self.unknown} if abstain else {}))

    def repair_messages(self, previous: Sequence[Message], reply: str) -> list[Message]:
        """Return the chat that asks again after a reply in a wrong language."""
        return [
            *previous,
            {"role": "assistant", "content": sanitise(reply)},
            {"role": "user", "content": self._fill("repair")},
        ]


class Criteria(BaseModel):
    """The names of the three quality scores in the language of the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    semantic: str
    grammar: str
    fluency: str


class Causes(BaseModel):
    """The causes of missing scores, in the language of the prompt."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    empty: str
    unreadable: str
    range: str
    unavailable: str


class CriticalErrors(BaseModel):
    """The kinds of critical errors in the language of the prompt, as the generator reads them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    numbers: str
    names: str
    negation: str
    omission: str


class TagPrompt(_File):
    """The prompt for the tagger, and the form in which the generator reads scores. `example`: an example of a reply."""

    placeholders = {
        "unscored": ("cause",),
        "system": ("semantic", "grammar", "fluency"),
        "example": (),
        "user": ("original", "translation"),
        "retry": (),
        "critical_errors.numbers": ("original",),
        "critical_errors.names": ("original",),
        "critical_errors.negation": (),
        "critical_errors.omission": (),
    }
    optional = ("language", "source_language")
    criteria: Criteria
    unscored: str
    causes: Causes
    critical_errors: CriticalErrors
    system: str
    example: str | None = None
    user: str
    retry: str

    @property
    def names(self) -> dict[str, str]:
        """Return the criterion names by key."""
        return {"semantic": self.criteria.semantic, "grammar": self.criteria.grammar, "fluency": self.criteria.fluency}

    def messages(
        self, original: str, translation: str, source: Lang, *, system_turn: bool = True, example: bool = False
    ) -> list[Message]:
        """Return the chat that asks for scores. The original comes first, so that its translations share a prefix.

        `system_turn`: false puts the instructions into the turn of the user. `example`: add the example of a reply.

        Raises:
            ConfigError: the prompt file has no example."""
        name = language(source).name
        user = self._fill("user", original=sanitise(original), translation=sanitise(translation), source_language=name)
        system = self._fill("system", source_language=name, **self.names)
        if example:
            system = f"{system}\n{self._fill('example', source_language=name)}"
        if not system_turn:
            return [{"role": "user", "content": f"{system}\n\n{user}"}]
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def retry_messages(self, previous: Sequence[Message], reply: str) -> list[Message]:
        """Return the chat that asks again after an unreadable reply."""
        return [
            *previous,
            {"role": "assistant", "content": sanitise(reply)},
            {"role": "user", "content": self._fill("retry", source_language="")},
        ]

    def assessment(self, passage: TaggedPassage, form: TagForm = "of_five") -> str:
        """Return what the generator reads about a translation: its scores, or why it has none, and critical errors."""
        known = passage.scores
        scores = self.reason(passage.unscored or "unavailable") if known is None else self.scores(known, form)
        return " · ".join([scores, *map(self._critical_error, passage.critical_errors)])

    def _critical_error(self, error: CriticalError) -> str:
        original = sanitise(", ".join(error.original[:_MOST_SHOWN]))
        values = {"original": original} if error.original else {}
        return self._fill(f"critical_errors.{error.kind}", source_language="", **values)

    def scores(self, scores: QualityScores, form: TagForm = "of_five") -> str:
        """Return the measured scores under the names of their criteria."""
        if form == "bare":
            return ", ".join(f"{self.names[key]}: {score:.1f}" for key, score in scores.measured().items())
        return " · ".join(f"{self.names[key]} {score:.1f}/{MAX_SCORE:g}" for key, score in scores.measured().items())

    def reason(self, cause: str) -> str:
        return self._fill("unscored", cause=self.causes.model_dump().get(cause, cause), source_language="")


class RefinePrompt(_File):
    """The prompt that refines a passage (DKM-RAG)."""

    placeholders = {"system": (), "user": ("question", "passage")}
    system: str
    user: str

    def messages(self, question: str, passage: str) -> list[Message]:
        user = self._fill("user", question=sanitise(question), passage=sanitise(passage))
        return [{"role": "system", "content": self._fill("system")}, {"role": "user", "content": user}]


class CondensePrompt(_File):
    """The prompt that condenses a chat into one question. `asked`, `answered`: the labels of the earlier turns."""

    placeholders = {"system": (), "user": ("turns", "question")}
    asked: str
    answered: str
    system: str
    user: str

    def messages(self, question: str, turns: Sequence[Message]) -> list[Message]:
        """Return the chat that asks for the condensed question. `turns`: the earlier ones of user and assistant."""
        names = {"user": self.asked, "assistant": self.answered}
        lines = "\n".join(f"[{names[turn['role']]}] {sanitise(turn['content'])}" for turn in turns)
        user = self._fill("user", turns=lines, question=sanitise(question))
        return [{"role": "system", "content": self._fill("system")}, {"role": "user", "content": user}]


class RankPrompt(_File):
    """The prompts of rerankers that are language models. Texts are sanitised, so that no passage contains a number in
    square brackets. `structured`: ask for JSON. `reasoned`: ask for the reasons first, in English."""

    placeholders = {
        "list_system": (),
        "list_user": ("question", "passages", "n"),
        "list_reply": (),
        "list_reply_json": (),
        "list_reply_reasoned": (),
        "list_reply_reasoned_json": (),
        "pair_system": (),
        "pair_user": ("question", "first", "second"),
        "pair_reply": (),
        "pair_reply_json": (),
    }
    list_system: str
    list_user: str
    list_reply: str
    list_reply_json: str
    list_reply_reasoned: str
    list_reply_reasoned_json: str
    pair_system: str
    pair_user: str
    pair_reply: str
    pair_reply_json: str

    def list_messages(
        self, question: str, passages: Sequence[str], *, structured: bool, reasoned: bool
    ) -> list[Message]:
        """Return the chat that asks for an order of the passages, which are numbered from 1."""
        numbered = "\n\n".join(f"[{n}] {sanitise(passage)}" for n, passage in enumerate(passages, 1))
        user = self._fill("list_user", question=sanitise(question), passages=numbered, n=str(len(passages)))
        reply = self._fill(f"list_reply{'_reasoned' * reasoned}{'_json' * structured}")
        return self._chat(self._fill("list_system"), user, reply)

    def pair_messages(self, question: str, first: str, second: str, *, structured: bool) -> list[Message]:
        """Return the chat that asks for the better of two passages, A or B."""
        texts = {"question": sanitise(question), "first": sanitise(first), "second": sanitise(second)}
        reply = self._fill(f"pair_reply{'_json' * structured}")
        return self._chat(self._fill("pair_system"), self._fill("pair_user", **texts), reply)

    def _chat(self, system: str, user: str, reply: str) -> list[Message]:
        return [{"role": "system", "content": system}, {"role": "user", "content": f"{user}\n{reply}"}]


class JudgePrompt(_File):
    """The prompt that judges an answer by references."""

    placeholders = {"system": (), "user": ("question", "references", "answer")}
    system: str
    user: str

    def messages(self, question: str, references: Sequence[str], answer: str) -> list[Message]:
        """Return the chat that asks whether an answer is right."""
        listed = "\n".join(f"- {sanitise(reference)}" for reference in references)
        user = self._fill("user", question=sanitise(question), references=listed, answer=sanitise(answer))
        return [{"role": "system", "content": self._fill("system")}, {"role": "user", "content": user}]


class SupportPrompt(_File):
    """The prompt that judges whether a passage supports a claim."""

    placeholders = {"system": (), "user": ("passage", "claim")}
    system: str
    user: str

    def messages(self, passage: str, claim: str) -> list[Message]:
        """Return the chat that asks whether a passage supports a claim."""
        user = self._fill("user", passage=sanitise(passage), claim=sanitise(claim))
        return [{"role": "system", "content": self._fill("system")}, {"role": "user", "content": user}]


class TranslatePrompt(_File):
    """The prompt that translates a text, and what models write around a translation or in place of one.

    `introductions`: the beginnings of a sentence before it. `notes`: of a line after it. `refusals`: parts of a
    sentence that refuses, with "*" for any words. They are compared without regard to case."""

    placeholders = {"system": (), "user": ("text",), "glossary": ("terms",)}
    system: str
    user: str
    glossary: str
    introductions: list[str]
    notes: list[str]
    refusals: list[str]

    def messages(self, text: str, terms: Mapping[str, str]) -> list[Message]:
        """Return the chat that asks for the translation of a sanitised text. `terms`: their translations."""
        system = self._fill("system")
        if terms:
            listed = "; ".join(f"{sanitise(term)} = {sanitise(given)}" for term, given in terms.items())
            system = f"{system}\n{self._fill('glossary', terms=listed)}"
        return [{"role": "system", "content": system}, {"role": "user", "content": self._fill("user", text=text)}]


P = TypeVar("P", bound=_File)
_KINDS: dict[type[_File], str] = {
    AnswerPrompt: "answer",
    TagPrompt: "tag",
    RefinePrompt: "refine",
    CondensePrompt: "condense",
    RankPrompt: "rerank",
    TranslatePrompt: "translate",
    JudgePrompt: "judge",
    SupportPrompt: "support",
}


class Prompts:
    """The prompt files of a folder, by default `prompts/`. Each file is read once, on first use."""

    def __init__(self, folder: Path | None = None) -> None:
        self._given = folder
        self._read: dict[tuple[type[_File], Lang], _File] = {}

    def answer(self, lang: Lang) -> AnswerPrompt:
        return self._get(AnswerPrompt, lang)

    def tag(self, lang: Lang) -> TagPrompt:
        return self._get(TagPrompt, lang)

    def refine(self, lang: Lang) -> RefinePrompt:
        return self._get(RefinePrompt, lang)

    def condense(self, lang: Lang) -> CondensePrompt:
        return self._get(CondensePrompt, lang)

    def rerank(self, lang: Lang) -> RankPrompt:
        return self._get(RankPrompt, lang)

    def translate(self, lang: Lang) -> TranslatePrompt:
        return self._get(TranslatePrompt, lang)

    def judge(self, lang: Lang) -> JudgePrompt:
        return self._get(JudgePrompt, lang)

    def support(self, lang: Lang) -> SupportPrompt:
        return self._get(SupportPrompt, lang)

    def languages(
        self, kind: Literal["answer", "tag", "refine", "condense", "rerank", "translate", "support"]
    ) -> list[Lang]:
        """Return the languages that have a prompt file of this kind."""
        return sorted(Lang(path.stem) for path in (self.folder / kind).glob("*.yaml"))

    def check(self) -> None:
        """Read every file.

        Raises:
            ConfigError: one is invalid."""
        for kind, name in _KINDS.items():
            for path in sorted((self.folder / name).glob("*.yaml")):
                _load(kind, path, Lang(path.stem))

    @property
    def folder(self) -> Path:
        return self._given or resources.folder("prompts")

    def _get(self, kind: type[P], lang: Lang) -> P:
        folder = self.folder / _KINDS[kind]
        own = folder / f"{lang}.yaml"
        path = own if own.is_file() else folder / f"{FALLBACK}.yaml"
        if path != own:
            trace.note(f"no prompts in {language(lang).name} ({lang}): the English ones were used, naming the language")
        if (kind, lang) not in self._read:
            if not path.is_file():
                have = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
                raise ConfigError(f"{folder}: no prompt for '{lang}'; add {own} or {path} (have: {have})")
            self._read[kind, lang] = _load(kind, path, lang)
        prompt = self._read[kind, lang]
        assert isinstance(prompt, kind)  # noqa: S101  for mypy
        return prompt


def _load(kind: type[P], path: Path, lang: Lang) -> P:
    data = yaml_files.read_yaml(path)
    if "language" in data:
        raise ConfigError(f"{path}: {unknown('key', 'language', _keys(kind))}")
    try:
        prompt = kind(**data, language=language(lang).name)
    except ValidationError as error:
        first = yaml_files.complaint(error)
        if first["type"] == "value_error":
            raise ConfigError(f"{path}: {first['msg'].removeprefix('Value error, ')}") from error
        fields = _keys(kind) if len(first["loc"]) == 1 else _keys(_part(kind, str(first["loc"][0])))
        raise ConfigError(yaml_files.explain(error, str(path), dict.fromkeys(fields))) from error
    if prompt.lang != path.stem:
        raise ConfigError(f"{path}: `lang: {prompt.lang}` is not the file's name; make them the same")
    return prompt


def _keys(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "language"]


def _part(kind: type[_File], field: str) -> type[BaseModel]:
    inner = kind.model_fields[field].annotation
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else kind
