"""The settings of one model's servers."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from qttrag.openai_client.capabilities import Capabilities

if TYPE_CHECKING:
    import openai


class CallLimits(NamedTuple):
    """The limits of one call, in seconds but for `retries`.

    `connect_timeout`: for a connection. `read_timeout`: between two reads. `call_timeout`: for the whole call; None: no
    limit. `patience`: for further attempts while a server restarts or is overloaded.
    `retries`: attempts after other temporary failures."""

    connect_timeout: float
    read_timeout: float
    call_timeout: float | None
    patience: float
    retries: int


@dataclass(frozen=True, slots=True)
class Remedies:
    """What a user can do about each kind of failure, in the names of the settings. "": nothing."""

    unreachable: str = "start it or correct `base_url:`"
    slow: str = "raise `timeout:` or check its load"
    not_finished: str = "raise `call_timeout:` or check its load"
    overloaded: str = "lower `in_flight:` or wait"
    failed: str = "check its log"
    not_found: str = "correct `model:` or `base_url:` (usually ending in /v1)"
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model behind one or several servers. `stage`: for errors. `in_flight`: calls at once to each server.

    `capabilities`: what the servers accept, as far as it is known."""

    stage: str
    model: str
    base_urls: tuple[str, ...]
    api_key_env: str
    in_flight: int
    limits: CallLimits
    remedies: Remedies = Remedies()
    capabilities: Capabilities = field(default_factory=Capabilities)

    def connect(self, base_url: str) -> openai.AsyncOpenAI:
        """Return a client of one server; it belongs to the running event loop. It never retries by itself."""
        import openai

        return openai.AsyncOpenAI(
            base_url=base_url,
            api_key=os.environ.get(self.api_key_env) or "none",
            timeout=openai.Timeout(self.limits.read_timeout, connect=self.limits.connect_timeout),
            max_retries=0,
        )
