"""Errors as clients see them: the form of OpenAI's errors, the same for every route.

Clients get a code and one sentence, the error's public text. The whole message is in the log, with the id of the
request."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from qttrag.application.serialization import partial_as_dict
from qttrag.errors import (
    CollectionError,
    ConfigError,
    DeadlineExceeded,
    InputError,
    QttragError,
    StageError,
    StageUnavailable,
)

_LOG = logging.getLogger("qttrag.server")
_RETRY_AFTER_S = 5.0  # after a stage was unavailable


class ErrorDetail(BaseModel):
    """`message`: one sentence for people; `code`: for programs; `stage`: the stage that failed."""

    message: str
    type: str
    code: str
    param: str | None = None
    stage: str | None = None
    request_id: str | None = None


class ErrorBody(BaseModel):
    error: ErrorDetail
    partial: dict[str, Any] | None = None
    """What was done before the deadline: passages, text and trace."""


STATUSES: dict[int | str, dict[str, Any]] = {
    code: {"model": ErrorBody, "description": description}
    for code, description in {
        400: "The body is not JSON",
        408: "The body did not come in time",
        401: "No valid API key",
        403: "The key has no right to change documents; or a page of another site asks a service without keys",
        413: "The body is too large",
        421: "A service without keys is asked under an unknown name",
        422: "An invalid value",
        429: "Overloaded, or too many requests; see Retry-After",
        500: "An unexpected error",
        503: "A stage is unavailable or not ready; see `stage`",
        504: "The deadline passed; see `partial`",
    }.items()
}
"""The error responses that every route documents."""


class RequestRejected(Exception):
    """A request that is not served. `retry_after`: seconds after which it may be. `closes`: ends the connection."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        closes: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.closes = closes


class ErrorResponse(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


class _Entry(NamedTuple):
    """A row of the error table."""

    status: int
    detail: ErrorDetail
    retry_after: float | None = None


def request_id() -> str:
    """Return the id of the request that this task serves."""
    return correlation_id.get() or ""


def response_to(error: Exception) -> ErrorResponse:
    """Return the response to a request that failed with `error`, and log what clients are not told."""
    status, detail, retry_after = _entry(error)
    if status >= 500:
        _log(error, detail)
    detail = detail.model_copy(update={"request_id": request_id()})
    body: dict[str, Any] = {"error": detail.model_dump(exclude_none=True)}
    if isinstance(error, DeadlineExceeded):
        body["partial"] = partial_as_dict(error.partial)
    headers = {} if retry_after is None else {"retry-after": str(int(retry_after))}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, RequestRejected) and error.closes:  # the rest of the request is not read
        headers["connection"] = "close"
    return ErrorResponse(status, body, headers)


def _log(error: Exception, detail: ErrorDetail) -> None:
    if not isinstance(error, QttragError | RequestRejected):
        _LOG.error("unexpected error", exc_info=error, extra={"request_id": request_id()})
    elif isinstance(error, QttragError):
        fields = {"request_id": request_id(), "code": detail.code, "stage": detail.stage, "cause": str(error)}
        _LOG.warning("request failed", extra=fields)


def _entry(error: Exception) -> _Entry:
    """Return the row for an error. Of an unexpected one, clients learn only that it happened."""
    message = error.public if isinstance(error, QttragError) else str(error)

    def server_error(status: int, code: str, stage: str | None = None, retry_after: float | None = None) -> _Entry:
        return _Entry(status, ErrorDetail(message=message, type="server_error", code=code, stage=stage), retry_after)

    match error:
        case RequestRejected():
            kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"
            kind = "server_error" if error.status >= 500 else kind
            detail = ErrorDetail(message=message, type=kind, code=error.code, param=error.param)
            return _Entry(error.status, detail, error.retry_after)
        case InputError() | ConfigError(has_public_text=True):
            return _Entry(422, ErrorDetail(message=message, type="invalid_request_error", code="invalid_value"))
        case ConfigError():
            return server_error(503, "configuration")
        case DeadlineExceeded():
            return server_error(504, "deadline")
        case StageUnavailable():
            return server_error(503, "stage_unavailable", error.stage, _RETRY_AFTER_S)
        case StageError():
            return server_error(503, "stage_failed", error.stage)
        case CollectionError():
            return server_error(503, "collection", "retriever")
        case QttragError():
            return server_error(500, "failed")
    message = "an unexpected error in qttrag; its log has the details"
    return _Entry(500, ErrorDetail(message=message, type="server_error", code="internal"))


def install_handlers(app: FastAPI) -> None:
    """Answer every error of `app` in the one form; unexpected ones are answered by `RequestMiddleware`."""

    def respond(_: Request, error: Exception) -> JSONResponse:
        status, body, headers = response_to(error)
        return JSONResponse(body, status, headers)

    def respond_to_invalid_body(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for these
        first = error.errors()[0]
        is_not_json = first["type"] == "json_invalid"
        param = ".".join(str(part) for part in first["loc"] if part != "body")
        text = first["msg"].removeprefix("Value error, ")
        message = "the body is not JSON" if is_not_json else f"`{param}`: {text}" if param else text
        status = 400 if is_not_json else 422
        return respond(request, RequestRejected(status, "invalid_value", message, param=param or None))

    def respond_to_http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for these
        if isinstance(error.__cause__, RequestRejected):  # raised while the body was read
            return respond(request, error.__cause__)
        response = respond(request, RequestRejected(error.status_code, "http", str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(RequestValidationError, respond_to_invalid_body)
    app.add_exception_handler(HTTPException, respond_to_http_error)
    for kind in (QttragError, RequestRejected):
        app.add_exception_handler(kind, respond)
