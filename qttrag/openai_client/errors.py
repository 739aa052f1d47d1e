"""The errors of model servers, for people: each names the server, the model and a remedy."""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.openai_client.chunks import ErrorInStream
from qttrag.openai_client.endpoint import Endpoint

if TYPE_CHECKING:
    import openai

_NO_QUOTA = ("insufficient_quota", "exceeded your current quota", "billing_hard_limit")
_DOWN = (502, 503, 504)  # statuses of a gateway without a server behind it
_REFUSING = (400, 422, 500, 501)  # statuses of servers that do not accept a part of a request
_LONGEST_RETRY_AFTER_S = 30.0
_LONGEST_WORDS = 200  # characters
_ABANDONED = ("abort", "error")  # finish reasons of vLLM and others for a request that the server gave up


@dataclass(frozen=True, slots=True)
class ServerErrors:
    """Makes the errors of the calls to one server."""

    endpoint: Endpoint
    base_url: str

    def explain(self, error: Exception) -> StageError:
        """Return the error of a call as a StageError; StageUnavailable if it is temporary."""
        import openai

        limits, remedies = self.endpoint.limits, self.endpoint.remedies
        text = self._words(error)
        match error:
            case TimeoutError():
                seconds = limits.call_timeout or limits.read_timeout
                return self._temporary(f"was not done after {seconds:g} s", remedies.not_finished)
            case openai.APITimeoutError():
                return self._temporary(f"sent no data for {limits.read_timeout:g} s", remedies.slow)
            case openai.APIConnectionError():
                return self._temporary(f"cannot be reached ({text})", remedies.unreachable)
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                remedy = f"set the environment variable {self.endpoint.api_key_env}"
                return self._permanent(f"rejected the API key{_quoted(text)}", remedy)
            case openai.RateLimitError() if has_no_quota(error):
                return self._permanent(f"has no quota left for this key{_quoted(text)}", "check the account's plan")
            case openai.RateLimitError():
                return self._temporary(f"is overloaded (HTTP 429){_quoted(text)}", remedies.overloaded)
            case openai.InternalServerError():
                return self._temporary(f"failed (HTTP {error.status_code}){_quoted(text)}", remedies.failed)
            case openai.APIStatusError():
                what = f"rejected the request (HTTP {error.status_code}){_quoted(text)}"
                return self._permanent(what, remedies.rejected)
            case openai.APIError() | ErrorInStream():
                return self._temporary(f"failed{_quoted(text)}", remedies.failed)
        return self._permanent(f"sent an invalid reply ({type(error).__name__}: {text})")

    def unknown_model(self, served: list[str], error: Exception) -> StageError:
        """Return the error of a server without this model, or without the path. `served`: the models it has."""
        remedy = f"it serves: {', '.join(served)}" if served else self.endpoint.remedies.not_found
        return self._permanent(f"does not have this model or path{_quoted(self._words(error))}", remedy)

    def interrupted(self, error: Exception) -> StageUnavailable:
        """Return the error of a stream that failed after its beginning."""
        what = f"interrupted its reply ({type(error).__name__}: {self._words(error)})"
        return BrokenOff(self.endpoint.stage, self._sentence(what, self.endpoint.remedies.failed))

    def no_stream(self, content_type: str) -> StageError:
        """Return the error of a stream without a single chunk. `content_type`: what came instead, "" for a stream."""
        received = f" (it sent {content_type})" if content_type else ""
        return self._permanent(
            f"ended its reply before it was complete{received}",
            "check that it is an OpenAI-compatible server and still running",
        )

    def ending(self, finish: str | None) -> StageError | None:
        """Return the error of a stream that ended with the reason `finish`; None if its completion is whole."""
        if finish is None or finish in _ABANDONED:
            what = "ended its reply before it was complete"
            return BrokenOff(self.endpoint.stage, self._sentence(what, "check that it is still running"))
        if finish == "content_filter":
            return self._permanent("withheld its reply (content_filter)", "use another model")
        return None

    def _temporary(self, what: str, remedy: str) -> StageUnavailable:
        return StageUnavailable(self.endpoint.stage, self._sentence(what, remedy))

    def _permanent(self, what: str, remedy: str = "") -> StageError:
        return StageError(self.endpoint.stage, self._sentence(what, remedy))

    def _words(self, error: Exception) -> str:
        """Return the server's words without the API key, or those of an error on this side."""
        key = os.environ.get(self.endpoint.api_key_env)
        text = shortened(words(error))
        return text.replace(key, "***") if key else text

    def _sentence(self, what: str, remedy: str) -> str:
        return f"{self.base_url} (model {self.endpoint.model}) {what}{'; ' if remedy else ''}{remedy}"


def is_down(error: BaseException | None) -> bool:
    """Return whether no server accepted the call, so that waiting is all that helps."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return type(error.__cause__).__name__ == "ConnectTimeout"
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _DOWN
    return isinstance(error, openai.APIConnectionError)


def is_timeout(error: BaseException | None) -> bool:
    """Return whether a server accepted the call and did not reply in time."""
    import openai

    return isinstance(error, TimeoutError | openai.APITimeoutError) and not is_down(error)


def retry_after(error: openai.APIStatusError) -> float | None:
    """Return the seconds that the server asks clients to wait, at most 30."""
    header = error.response.headers.get("retry-after", "")
    return min(float(header), _LONGEST_RETRY_AFTER_S) if header.replace(".", "", 1).isdigit() else None


def has_no_quota(error: Exception) -> bool:
    """Return whether an overload (429) will not pass by waiting."""
    text = f"{getattr(error, 'code', '')} {getattr(error, 'type', '')} {words(error)}".lower()
    return any(sign in text for sign in _NO_QUOTA)


def refusal(error: Exception) -> str | None:
    """Return the reason of a server that may accept another form of the request; None for all other errors."""
    import openai

    if isinstance(error, ErrorInStream):
        return words(error)
    if isinstance(error, openai.APIStatusError) and error.status_code in _REFUSING:
        return f"{words(error)} {error.param or ''}".strip()
    return None


def words(error: Exception) -> str:
    """Return what the server said in the body of its error: "" for nothing; other errors' own text."""
    import openai

    if isinstance(error, openai.APIStatusError | ErrorInStream):
        return _said(error.body)
    return str(error)


def _said(body: object) -> str:
    match body:
        case str():
            return _without_tags(body)
        case {"msg": message, "loc": [*place]}:
            return f"{'.'.join(map(str, place))}: {message}"
        case list():
            return "; ".join(filter(None, map(_said, body)))
        case dict():
            values = (_said(body[key]) for key in ("message", "error", "detail", "msg", "errors") if body.get(key))
            return next(filter(None, values), "")
    return ""


def _without_tags(text: str) -> str:
    """Return a text as it is, and the title or the text of an HTML page."""
    if not re.match(r"\s*<(!doctype|html|head|body)", text, re.IGNORECASE):
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    stripped = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return html.unescape(title[1] if title else stripped)


def _quoted(text: str) -> str:
    return f": {text}" if text else " without a reason"


def shortened(text: str) -> str:
    """Return a text as one line of at most 200 characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_WORDS else line[: _LONGEST_WORDS - 1] + "…"
