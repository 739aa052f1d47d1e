"""OpenAI's chat parameters: which are accepted, and which are refused because they would change the answer.

A value that asks for what happens anyway (`n: 1`, `tool_choice: "none"`, null, false, an empty list) is accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qttrag.server.errors import RequestRejected

IGNORED = frozenset(
    {
        # of sampling: answers are decoded greedily
        "frequency_penalty", "presence_penalty", "seed", "temperature", "top_p",
        # of speed, bookkeeping and style; no answer becomes wrong without them
        "metadata", "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "reasoning_effort", "safety_identifier", "service_tier", "store", "user", "verbosity",
    }
)  # fmt: skip
"""Accepted with any value, without effect."""


_EMPTY: tuple[Any, ...] = (None, "", [], {})
_HARMLESS: Mapping[str, Callable[[Any], bool]] = {
    "audio": lambda value: False,
    "function_call": lambda value: value in ("none", "auto"),
    "functions": lambda value: False,
    "logit_bias": lambda value: False,
    "logprobs": lambda value: value is False,
    "modalities": lambda value: bool(value == ["text"]),
    "moderation": lambda value: False,
    "n": lambda value: bool(value == 1),
    "response_format": lambda value: isinstance(value, dict) and value.get("type", "text") == "text",
    "stop": lambda value: False,
    "tool_choice": lambda value: value in ("none", "auto"),
    "tools": lambda value: False,
    "top_logprobs": lambda value: bool(value == 0),
    "web_search_options": lambda value: False,
}
"""Accepted where the function is true or the value is null or empty."""

_REMEDIES = {
    "modalities": 'answers are text; send ["text"] or omit it',
    "n": "there is one answer; send 1 or omit it",
    "response_format": "answers are text; omit it",
    "tool_choice": 'no tool is called; send "none" or omit it',
    "tools": 'no tool is called; omit them, or send `tool_choice: "none"`',
    "function_call": 'no function is called; send "none" or omit it',
    "functions": 'no function is called; omit them, or send `function_call: "none"`',
}
_SWITCHES = {"tools": "tool_choice", "functions": "function_call"}  # "none" there makes these harmless

DECIDED = frozenset(IGNORED | _HARMLESS.keys())
"""All parameters that are decided here. Unknown ones are ignored: other servers and clients have many."""


def check_parameters(given: Mapping[str, Any]) -> None:
    """Check the parameters of a request.

    Raises:
        RequestRejected: 422; one is not supported and would change the answer."""
    for name, is_harmless in _HARMLESS.items():
        value = given.get(name)
        if value in _EMPTY or is_harmless(value) or given.get(_SWITCHES.get(name, "")) == "none":
            continue
        remedy = _REMEDIES.get(name, "omit it")
        raise RequestRejected(422, "unsupported", f"`{name}` is not supported: {remedy}", param=name)
