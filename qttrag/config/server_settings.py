"""The `server:` part of a deployment file: the limits of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class UploadSettings(BaseModel):
    """The collections whose documents clients may change, and the limits of uploads.

    `max_files`, `max_bytes`: of one upload. `max_documents`: of a collection. `max_jobs`: uploads in progress or
    waiting. `timeout`: seconds for the whole body of an upload."""

    model_config = ConfigDict(extra="forbid")
    collections: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]] = []
    max_files: int = Field(default=100, ge=1)
    max_bytes: int = Field(default=200_000_000, ge=1)
    max_documents: int = Field(default=10_000, ge=1)
    max_jobs: int = Field(default=8, ge=1)
    timeout: float = Field(default=600.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"collections": value} if isinstance(value, list) else value


class ServerSettings(BaseModel):
    """Limits of the service. The error of a request that exceeds one names it.

    `api_keys_env`: the environment variable with the clients' keys, separated by commas; without keys everybody may
    ask, and only loopback addresses are served. `write_keys_env`: that of further keys, with which clients may also
    change documents; without any keys, clients at loopback addresses may. `rate`: requests per key or address, such
    as "60/minute"; null: no limit. `limits`: the Redis server (redis://, rediss://, unix://) in which several nodes
    count requests together; null: each counts its own. `allowed_hosts`: names, beside localhost and IP addresses,
    under which a service without keys may be asked. `in_flight`: questions answered at the same time; `queue`:
    questions that may wait. `max_connections`: at once; further ones get 503. `deadline`: the most seconds for a
    request. `origins`: sites whose pages may call the service (CORS). `uploads`: the collections whose documents
    clients may change: a list of names, or the settings of uploads with `collections:`. `feedback`: the file that
    gets what people say about answers, one JSON object per line; null: nothing is stored. `max_feedback_bytes`: of
    this file; further feedback gets 503."""

    model_config = ConfigDict(extra="forbid")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    api_keys_env: str = "QTTRAG_API_KEYS"
    write_keys_env: str = "QTTRAG_WRITE_API_KEYS"
    rate: str | None = None
    limits: str | None = Field(default=None, pattern=r"^(rediss?|unix)://")
    in_flight: int = Field(default=16, ge=1)
    queue: int = Field(default=64, ge=0)
    deadline: float = Field(default=120.0, gt=0)
    drain: float = Field(default=30.0, ge=0)  # seconds for requests to end after SIGTERM
    max_connections: int = Field(default=1000, ge=1)
    body_timeout: float = Field(default=30.0, gt=0)  # seconds for the whole body of a request
    max_body_bytes: int = Field(default=1_000_000, ge=1)
    max_depth: int = Field(default=200, ge=1)
    max_top_k: int = Field(default=20, ge=1)
    max_texts: int = Field(default=64, ge=1)
    max_embedded_texts: int = Field(default=256, ge=1)
    max_text_chars: int = Field(default=20_000, ge=1)
    max_turns: int = Field(default=50, ge=1)
    origins: list[str] = []
    allowed_hosts: list[str] = []
    feedback: Path | None = None
    max_feedback_bytes: int = Field(default=10_000_000, ge=1)
    uploads: UploadSettings = UploadSettings()

    @field_validator("rate")
    @classmethod
    def _is_rate(cls, rate: str | None) -> str | None:
        if rate is not None:
            import limits

            limits.parse(rate)
        return rate
