"""What the service allows its clients: the `server:` part of a deployment file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ServerSettings(BaseModel):
    """Limits of the service. Every one that a client runs into is named in the error it gets.

    `api_keys_env`: the environment variable with the keys that clients may use, separated by commas; without keys
    anybody may, and only a loopback address is served. `rate`: requests a key or address may make, as "60/minute";
    null: any number. `in_flight`: questions answered at the same time; `queue`: those that wait beside them.
    `deadline`: seconds a request may take, whatever the client asks for. `origins`: sites whose pages may call the
    service (CORS)."""

    model_config = ConfigDict(extra="forbid")
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    api_keys_env: str = "QTTRAG_API_KEYS"
    rate: str | None = None
    in_flight: int = Field(default=16, ge=1)
    queue: int = Field(default=64, ge=0)
    deadline: float = Field(default=120.0, gt=0)
    drain: float = Field(default=30.0, ge=0)  # seconds that requests have to end after SIGTERM
    max_body_bytes: int = Field(default=1_000_000, ge=1)
    max_depth: int = Field(default=200, ge=1)
    max_top_k: int = Field(default=20, ge=1)
    max_texts: int = Field(default=64, ge=1)
    max_text_chars: int = Field(default=20_000, ge=1)
    max_turns: int = Field(default=50, ge=1)
    origins: list[str] = []

    @field_validator("rate")
    @classmethod
    def _readable(cls, rate: str | None) -> str | None:
        if rate is not None:
            import limits

            limits.parse(rate)
        return rate
