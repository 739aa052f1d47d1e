"""`/v1/embeddings`: the vectors of texts, as the deployment's own searches have them, in OpenAI's form."""

from __future__ import annotations

import base64
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

from qttrag.errors import unknown
from qttrag.models.loading import is_hub_name
from qttrag.protocols import Embedder
from qttrag.server import schemas
from qttrag.server.errors import STATUSES, ErrorBody, RequestRejected
from qttrag.server.json_bodies import JSONRoute
from qttrag.server.service import Service, service_of, until_disconnected
from qttrag.server.single_stages import check_texts, lacking
from qttrag.types import EncoderInfo, TextRole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

router = APIRouter(
    prefix="/v1",
    route_class=JSONRoute,
    responses={**STATUSES, 404: {"model": ErrorBody, "description": "No such model"}},
)
_ANY = "encoder"  # a name of the encoder in every deployment


@router.post("/embeddings", response_model=schemas.EmbeddingsResponse)
async def embeddings(request: Request, body: schemas.EmbeddingsRequest) -> Any:
    """Return unit vectors of texts from the encoder of the questions. Longer texts than it reads are cut and listed."""
    service = service_of(request)
    texts = [body.input] if isinstance(body.input, str) else body.input
    check_texts(service, texts, most=service.settings.max_embedded_texts)
    role, embedder = _role(body), _embedder(service)

    async def embed() -> dict[str, Any]:
        async with service.working() as trace:
            with trace.stage("embed"):
                embedded, encoder = await embedder.embed(texts, role)
        name = _check(body, encoder)
        tokens = sum(min(text.tokens, encoder.max_tokens) for text in embedded)
        data = [{"index": n, "embedding": _form(text.vector, body)} for n, text in enumerate(embedded)]
        cut = [n for n, text in enumerate(embedded) if text.tokens > encoder.max_tokens]
        notes = {"max_tokens": encoder.max_tokens, "truncated": cut}
        return {
            "data": data,
            "model": name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "qttrag": notes,
        }

    return await until_disconnected(request, embed())


def _embedder(service: Service) -> Embedder:
    embedder = next((part for _, part in service.application.parts if isinstance(part, Embedder)), None)
    if embedder is None:
        raise lacking("encoder")
    return embedder


def _role(body: schemas.EmbeddingsRequest) -> TextRole | None:
    if body.input_type and body.prompt_name and body.input_type != body.prompt_name:
        message = f"`input_type: {body.input_type}` and `prompt_name: {body.prompt_name}` differ; send one of them"
        raise RequestRejected(422, "invalid_value", message, param="prompt_name")
    return body.input_type or body.prompt_name


def _check(body: schemas.EmbeddingsRequest, encoder: EncoderInfo) -> str:
    """Return the public name of the encoder.

    Raises:
        RequestRejected: the request is for another model or other dimensions."""
    name = encoder.model if is_hub_name(encoder.model) else PurePath(encoder.model).name
    if body.model not in (name, _ANY):
        raise RequestRejected(404, "model_not_found", unknown("encoder", body.model, [name, _ANY]), param="model")
    if body.dimensions not in (None, encoder.dim):
        message = f"`dimensions: {body.dimensions}` is not supported: vectors have {encoder.dim}; omit it"
        raise RequestRejected(422, "unsupported", message, param="dimensions")
    return name


def _form(vector: NDArray[np.float32], body: schemas.EmbeddingsRequest) -> list[float] | str:
    if body.encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(number) for number in vector]
