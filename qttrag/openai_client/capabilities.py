"""What a server accepts, learnt from its rejections.

A further capability is one field of `Capabilities` and one rule in `RULES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

Request = Mapping[str, Any]
"""The arguments of a call, as the openai library takes them."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one server accepts; each is assumed until the server rejects it.

    `json_schema`: `response_format` with a JSON schema. `queue_metrics`: the length of its queue under /metrics."""

    json_schema: bool = True
    queue_metrics: bool = True

    def adapt(self, request: Request) -> Request:
        """Return the request without what the server rejects."""
        for rule in RULES:
            if not getattr(self, rule.capability) and rule.uses(request):
                request = rule.without(request)
        return request

    def learn(self, request: Request, message: str) -> Learnt | None:
        """Return what the rejection of a request with an error message says; None: nothing that a rule covers."""
        for rule in RULES:
            if rule.uses(request) and any(keyword in message.lower() for keyword in rule.keywords):
                return Learnt(replace(self, **{rule.capability: False}), rule.note)
        return None


class Learnt(NamedTuple):
    """The capabilities after a rejection, and a note for people."""

    capabilities: Capabilities
    note: str


class Rule(NamedTuple):
    """One capability: which requests need it, words of an error that rejects it, and the request without it."""

    capability: str
    uses: Callable[[Request], bool]
    keywords: tuple[str, ...]
    without: Callable[[Request], Request]
    note: str


def _without(name: str) -> Callable[[Request], Request]:
    return lambda request: {key: value for key, value in request.items() if key != name}


RULES = (
    Rule(
        "json_schema",
        uses=lambda request: "response_format" in request,
        keywords=("response_format", "json_schema", "schema", "structured", "grammar"),
        without=_without("response_format"),
        note="does not support JSON schemas; its replies follow the prompt alone",
    ),
)
