"""From any error to the response that tells it."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from qttrag.application.serialization import partial_as_dict
from qttrag.errors import DeadlineExceeded, QttragError
from qttrag.server.errors import Problem, Refusal, told

_LOG = logging.getLogger("qttrag.server")


class Response(NamedTuple):
    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def problem_of(error: Exception, request_id: str) -> Response:
    """Return the status, body and headers that tell `error`; log what nobody foresaw."""
    if isinstance(error, DeadlineExceeded):
        problem = Problem(message=str(error), type="server_error", code="deadline", request_id=request_id)
        return Response(
            504, {"error": problem.model_dump(exclude_none=True), "partial": partial_as_dict(error.partial)}, {}
        )
    if not isinstance(error, QttragError | Refusal):
        _LOG.error("unforeseen error", exc_info=error, extra={"request_id": request_id})
    status, problem, after = told(error)
    body = {"error": problem.model_copy(update={"request_id": request_id}).model_dump(exclude_none=True)}
    return Response(status, body, {} if after is None else {"retry-after": str(int(after))})


def install(app: FastAPI) -> None:
    """Have every error of `app` told in the one shape."""

    def respond(request: Request, error: Exception) -> JSONResponse:
        status, body, headers = problem_of(error, request.state.request_id)
        return JSONResponse(body, status, headers)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101  registered for these
        first = error.errors()[0]
        not_json = first["type"] == "json_invalid"
        param = ".".join(str(part) for part in first["loc"] if part != "body")
        words = first["msg"].removeprefix("Value error, ")
        message = "the body is not JSON" if not_json else f"`{param}`: {words}" if param else words
        return respond(request, Refusal(400 if not_json else 422, "invalid_value", message, param=param or None))

    def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for these
        if isinstance(error.__cause__, Refusal):  # raised while the body was read
            return respond(request, error.__cause__)
        made = respond(request, Refusal(error.status_code, "http", str(error.detail)))
        made.headers.update(error.headers or {})
        return made

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    for kind in (QttragError, Refusal, Exception):
        app.add_exception_handler(kind, respond)
