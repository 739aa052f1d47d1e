"""The errors of model servers, for people: each names the server, the model and a remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qttrag.errors import BrokenOff, StageError, StageUnavailable
from qttrag.openai_client.endpoint import Endpoint

if TYPE_CHECKING:
    import openai

_DOWN = (502, 503, 504)  # statuses of a gateway without a server behind it
_LONGEST_RETRY_AFTER_S = 30.0
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
        text = _shortened(error)
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
                return self._permanent("rejected the API key", remedy)
            case openai.RateLimitError():
                return self._temporary("is overloaded (HTTP 429)", remedies.overloaded)
            case openai.InternalServerError():
                return self._temporary(f"failed (HTTP {error.status_code}): {text}", remedies.failed)
            case openai.APIStatusError():
                return self._permanent(f"rejected the request (HTTP {error.status_code}): {text}", remedies.rejected)
            case openai.APIError():
                return self._temporary(f"failed: {text}", remedies.failed)
        return self._permanent(f"sent an invalid reply ({type(error).__name__}: {text})")

    def unknown_model(self, served: list[str]) -> StageError:
        """Return the error of a server without this model, or without the path. `served`: the models it has."""
        remedy = f"it serves: {', '.join(served)}" if served else self.endpoint.remedies.not_found
        return self._permanent("does not have this model or path", remedy)

    def interrupted(self, error: Exception) -> StageUnavailable:
        """Return the error of a stream that failed after its beginning."""
        what = f"interrupted its reply ({type(error).__name__}: {_shortened(error)})"
        return BrokenOff(self.endpoint.stage, self._sentence(what, self.endpoint.remedies.failed))

    def no_stream(self, content_type: str) -> StageError:
        """Return the error of a stream without a single chunk."""
        received = f" (it sent {content_type})" if content_type and "event-stream" not in content_type else ""
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


def retry_after(error: openai.APIStatusError) -> float | None:
    """Return the seconds that the server asks clients to wait, at most 30."""
    header = error.response.headers.get("retry-after", "")
    return min(float(header), _LONGEST_RETRY_AFTER_S) if header.replace(".", "", 1).isdigit() else None


def _shortened(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
