"""What a server accepts, learnt from its rejections.

A further capability is one field of `Capabilities` and one rule in `RULES`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

Request = Mapping[str, Any]
"""The fields of the request's JSON, and `extra_headers`."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one server accepts; each is assumed until the server rejects it.

    `json_schema`, `json_object`: the types of `response_format`. `max_tokens`: under that name. `top_p`: together with
    a temperature. `thinking_switch`: `chat_template_kwargs`. `extra_fields`: fields beyond model, messages, limit and
    sampling. `queue_metrics`: the length of its queue under /metrics.
    `fixed`: names of capabilities that rejections do not change."""

    json_schema: bool = True
    json_object: bool = True
    max_tokens: bool = True
    temperature: bool = True
    top_p: bool = True
    stream_options: bool = True
    system_role: bool = True
    logprobs: bool = True
    repetition_penalty: bool = True
    thinking_switch: bool = True
    extra_fields: bool = True
    queue_metrics: bool = True
    fixed: frozenset[str] = frozenset()

    @classmethod
    def names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "fixed"]

    def adapt(self, request: Request) -> Request:
        """Return the request without what the server rejects."""
        for rule in RULES:
            if not getattr(self, rule.capability) and rule.uses(request):
                request = rule.without(request)
        return request

    def learn(self, request: Request, message: str, *, may_suspect: bool = False) -> Learnt | None:
        """Return what the rejection of a request with an error message says; None: nothing that a rule covers.

        `may_suspect`: where the message says nothing, the schema is suspected, and `is_certain` is False."""
        message = message.lower()
        if _TOO_LONG.search(message):
            return None
        usable = [rule for rule in RULES if rule.uses(request) and rule.capability not in self.fixed]
        for rule in usable:
            if re.search(rule.words, message, re.DOTALL):
                return Learnt(self._without(rule), rule.note)
        for rule in usable:
            if may_suspect and rule.is_suspect:
                return Learnt(self._without(rule), rule.note, is_certain=False)
        return None

    def _without(self, rule: Rule) -> Capabilities:
        lost: dict[str, Any] = {rule.capability: False}
        return replace(self, **lost)


class Learnt(NamedTuple):
    """The capabilities after a rejection, and a note for people."""

    capabilities: Capabilities
    note: str
    is_certain: bool = True


class Rule(NamedTuple):
    """One capability: which requests need it, words of an error that rejects it, and the request without it.

    `words`: a regular expression, searched in the message in lower case."""

    capability: str
    uses: Callable[[Request], bool]
    words: str
    without: Callable[[Request], Request]
    note: str
    is_suspect: bool = False


_TOO_LONG = re.compile(r"context (length|window|size)|maximum context|(is|are) too (long|large)|too many tokens")
_REFUSED = (
    r"(not (be )?(support|permit|allow|implement|both)|unsupported|does ?n[o']t support|unrecogni[sz]ed|unknown"
    r"|unexpected|extra (inputs|_?forbidden|fields)|invalid|only|deprecated|instead|strictly positive|must be)"
)
_SCHEMA = r"response_?format|json[_ ]?schema|json_object|schema|structured|grammar|guided|responsejsonschema"
_EXTRA = (
    r"extra (inputs|fields)|extra_forbidden|(unrecogni[sz]ed|unknown|unexpected|unsupported|additional|invalid) "
    r"(request )?(field|key|argument|parameter|propert|name|input)"
)
_EXTRA_FIELDS = (
    "stream_options", "response_format", "logprobs", "top_logprobs", "repetition_penalty", "chat_template_kwargs",
)  # fmt: skip


def _has(*names: str) -> Callable[[Request], bool]:
    return lambda request: all(name in request for name in names)


def _without(*names: str) -> Callable[[Request], Request]:
    return lambda request: {key: value for key, value in request.items() if key not in names}


def _renamed(request: Request) -> Request:
    return {("max_completion_tokens" if key == "max_tokens" else key): value for key, value in request.items()}


def _has_system(request: Request) -> bool:
    messages = request.get("messages") or [{}]
    return len(messages) > 1 and messages[0].get("role") == "system"


def _merged(request: Request) -> Request:
    return {**request, "messages": merge_system(request["messages"])}


def merge_system(messages: Any) -> list[Any]:
    """Return the messages with the system message at the beginning of the first user message."""
    if len(messages) < 2 or messages[0]["role"] != "system":
        return list(messages)
    first = {"role": "user", "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
    return [first, *messages[2:]]


def _asks_for(kind: str) -> Callable[[Request], bool]:
    return lambda request: (request.get("response_format") or {}).get("type") == kind


def _as_object(request: Request) -> Request:
    return {**request, "response_format": {"type": "json_object"}}


RULES = (
    Rule(
        "top_p",
        uses=_has("temperature", "top_p"),
        words=rf"temperature.{{0,20}}\btop_p|top_p.{{0,20}}\btemperature|top_p.{{0,80}}{_REFUSED}|{_REFUSED}.{{0,20}}top_p",
        without=_without("top_p"),
        note="does not accept a temperature together with `top_p`; `top_p` is left out",
    ),
    Rule(
        "max_tokens",
        uses=_has("max_tokens"),
        words="max_completion_tokens",
        without=_renamed,
        note="does not accept `max_tokens`; `max_completion_tokens` is sent",
    ),
    Rule(
        "temperature",
        uses=_has("temperature"),
        words=rf"temperature.{{0,80}}{_REFUSED}|{_REFUSED}.{{0,80}}temperature",
        without=_without("temperature", "top_p"),
        note="does not accept this temperature; its replies are sampled as it decides",
    ),
    Rule(
        "stream_options",
        uses=_has("stream_options"),
        words=r"stream_options|include_usage",
        without=_without("stream_options"),
        note="does not accept `stream_options`; tokens are not counted unless it sends them anyway",
    ),
    Rule(
        "system_role",
        uses=_has_system,
        words=rf"system.?( role| message| prompt| instruction).{{0,60}}{_REFUSED}"
        r"|role.{0,20}system|roles must alternate",
        without=_merged,
        note="does not accept system messages; they are put at the beginning of the user's",
    ),
    Rule(
        "thinking_switch",
        uses=_has("chat_template_kwargs"),
        words="chat_template_kwargs|enable_thinking",
        without=_without("chat_template_kwargs"),
        note="does not accept `chat_template_kwargs`; whether it thinks is its own decision",
    ),
    Rule(
        "repetition_penalty",
        uses=_has("repetition_penalty"),
        words="repetition_penalty",
        without=_without("repetition_penalty"),
        note="does not accept `repetition_penalty`; it is left out",
    ),
    Rule(
        "logprobs",
        uses=_has("logprobs"),
        words="logprobs",
        without=_without("logprobs", "top_logprobs"),
        note="does not report probabilities of tokens",
    ),
    Rule(
        "extra_fields",
        uses=lambda request: any(name in request for name in _EXTRA_FIELDS),
        words=rf"^(?!.*({_SCHEMA})).*({_EXTRA})",
        without=_without(*_EXTRA_FIELDS),
        note="accepts no further fields; schema, probabilities, usage and the switch for thinking are left out",
    ),
    Rule(
        "json_schema",
        uses=_asks_for("json_schema"),
        words=_SCHEMA,
        without=_as_object,
        note="does not support JSON schemas; it is asked for JSON",
        is_suspect=True,
    ),
    Rule(
        "json_object",
        uses=_asks_for("json_object"),
        words=_SCHEMA,
        without=_without("response_format"),
        note="does not support JSON either; its replies follow the prompt alone",
        is_suspect=True,
    ),
)
