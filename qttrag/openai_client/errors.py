"""What went wrong at a server, in words that name it and the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qttrag.errors import BrokenOff, StageError, StageUnavailable

if TYPE_CHECKING:
    import openai

STAGE = "generator"
_DOWN = (502, 503, 504)  # what a gateway says while there is nothing behind it


def explain(error: Exception, *, at: str, timeout: float, api_key_env: str) -> StageError:
    """Return a library's error as ours: StageUnavailable where it may pass. `at`: the server and the model."""
    import openai

    words = " ".join(str(error).split())[:200]
    match error:
        case openai.APITimeoutError():
            return StageUnavailable(STAGE, f"{at} gave no byte for {timeout:g} s; raise `timeout:` or look at its load")
        case openai.APIConnectionError():
            return StageUnavailable(STAGE, f"{at} cannot be reached ({words}); start it or correct `base_url:`")
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return StageError(STAGE, f"{at} refused the key; set the environment variable {api_key_env}")
        case openai.RateLimitError():
            return StageUnavailable(STAGE, f"{at} is overloaded (HTTP 429); lower `in_flight:` or wait")
        case openai.InternalServerError():
            return StageUnavailable(STAGE, f"{at} failed (HTTP {error.status_code}): {words}; look at its log")
        case openai.APIStatusError():
            return StageError(STAGE, f"{at} refused the request (HTTP {error.status_code}): {words}")
        case openai.APIError():
            return StageUnavailable(STAGE, f"{at} failed: {words}; look at its log")
    return StageError(STAGE, f"{at} sent a reply that cannot be read ({type(error).__name__}: {words})")


def broken_off(error: Exception, *, at: str) -> BrokenOff:
    words = " ".join(str(error).split())[:200]
    return BrokenOff(STAGE, f"{at} broke off its reply ({type(error).__name__}: {words}); look at its log")


def is_down(error: BaseException | None) -> bool:
    """Return whether a server is not there at all, so that it can only be waited for."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return type(error.__cause__).__name__ == "ConnectTimeout"
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _DOWN
    return isinstance(error, openai.APIConnectionError)


def is_about_schema(error: openai.BadRequestError) -> bool:
    words = str(error).lower()
    return any(word in words for word in ("response_format", "json_schema", "schema", "structured", "grammar"))


def retry_after(error: openai.APIStatusError) -> float | None:
    """Return the seconds that the server asks to wait, at most 30."""
    told = error.response.headers.get("retry-after", "")
    return min(float(told), 30.0) if told.replace(".", "", 1).isdigit() else None
