"""Errors as clients see them: one shape, the one that OpenAI's clients read."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel

from qttrag.errors import CollectionError, ConfigError, InputError, QttragError, StageError, StageUnavailable


class Problem(BaseModel):
    """`message` names the thing, the value and the way out; `stage`, which stage failed; `code` is for programs."""

    message: str
    type: str
    code: str
    param: str | None = None
    stage: str | None = None
    request_id: str | None = None


class ErrorBody(BaseModel):
    error: Problem
    partial: dict[str, Any] | None = None
    """What was done before the time was up: passages and trace."""


class Refusal(Exception):
    """A request that is not served. `retry_after`: seconds after which it may be."""

    def __init__(
        self, status: int, code: str, message: str, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after


class Told(NamedTuple):
    """What a client is told of an error."""

    status: int
    problem: Problem
    retry_after: float | None = None


_RETRY_AFTER = 5.0  # seconds, after a stage could not be reached


def told(error: Exception) -> Told:
    """Return what to tell a client; of an error that nobody foresaw no more than that there was one."""
    match error:
        case Refusal():
            kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"
            kind = "server_error" if error.status >= 500 else kind
            problem = Problem(message=str(error), type=kind, code=error.code, param=error.param)
            return Told(error.status, problem, error.retry_after)
        case InputError() | ConfigError():
            return Told(422, Problem(message=str(error), type="invalid_request_error", code="invalid_value"))
        case StageUnavailable():
            problem = Problem(message=str(error), type="server_error", code="stage_unavailable", stage=error.stage)
            return Told(503, problem, _RETRY_AFTER)
        case StageError():
            return Told(503, Problem(message=str(error), type="server_error", code="stage_failed", stage=error.stage))
        case CollectionError():
            return Told(503, Problem(message=str(error), type="server_error", code="collection", stage="retriever"))
        case QttragError():
            return Told(500, Problem(message=str(error), type="server_error", code="failed"))
    return Told(
        500, Problem(message="something went wrong in qttrag; its log says what", type="server_error", code="internal")
    )
