"""`/v1/feedback`: what people say about answers; off unless the deployment names a file for it."""

from __future__ import annotations

import logging

from fastapi import APIRouter, Request

from qttrag.server import schemas
from qttrag.server.errors import STATUSES, RequestRejected, request_id
from qttrag.server.feedback import FeedbackFile, FeedbackFull
from qttrag.server.json_bodies import JSONRoute
from qttrag.server.service import service_of

router = APIRouter(prefix="/v1", route_class=JSONRoute, responses=STATUSES)
_LOG = logging.getLogger("qttrag.server")


@router.post("/feedback", status_code=204)
async def feedback(request: Request, body: schemas.FeedbackBody) -> None:
    """Store what somebody thinks of an answer, with the question and the answer; 404 if the service stores none."""
    settings = service_of(request).settings
    if settings.feedback is None:
        raise RequestRejected(404, "not_enabled", "this service stores no feedback")
    try:
        await FeedbackFile(settings.feedback, settings.max_feedback_bytes).append(body.model_dump())
    except (FeedbackFull, OSError) as error:
        _LOG.error("feedback not stored", extra={"request_id": request_id(), "cause": str(error)})
        raise RequestRejected(503, "not_stored", "the feedback could not be stored; tell the operator") from error
