"""What the servers of a generator accept: small requests to each, one with everything that qttrag may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qttrag.errors import StageError
from qttrag.generators.openai import OpenAIGenerator
from qttrag.generators.system_turn import system_turn_arrives
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import RULES, Capabilities
from qttrag.trace import Trace
from qttrag.types import Completion, Decoding, Message

_SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}
_DECODING = Decoding(max_tokens=64, repetition_penalty=1.05, schema=_SCHEMA, alternatives=5)
_MESSAGES: list[Message] = [
    {"role": "system", "content": "You reply in JSON."},
    {"role": "user", "content": 'Reply with this JSON and nothing else: {"ok": true}'},
]
_SYSTEM_TURN = {
    True: "system messages reach the model",
    False: "system messages are accepted and dropped: instructions do not reach the model; set "
    "`accepts: {system_role: false}`, which puts them at the beginning of the user's",
    None: "system messages accepted; whether they reach the model is undetermined",
}


@dataclass(frozen=True)
class Probe:
    """What one server accepts and sends. `error`: why it could not be asked, None if it replied.

    `system_arrives`: whether a system message reaches its model; None: undetermined."""

    base_url: str
    capabilities: Capabilities
    completion: Completion | None = None
    counts_tokens: bool = False
    system_arrives: bool | None = None
    error: str | None = None

    def sentences(self) -> Iterator[str]:
        """Yield what qttrag does because of what the server does not accept, and what the reply showed."""
        completion = self.completion
        if completion is None:
            return
        yield from (rule.note for rule in RULES if not getattr(self.capabilities, rule.capability))
        if self.capabilities.json_schema and self.capabilities.extra_fields:
            followed = completion.text.lstrip().startswith("{")
            yield (
                "JSON schema accepted" if followed else "JSON schema accepted and ignored; only readable verdicts count"
            )
        if self.capabilities.logprobs and self.capabilities.extra_fields:
            reported = any(token.alternatives for token in completion.tokens)
            yield "probabilities of tokens reported" if reported else "probabilities of tokens not reported"
        yield "tokens reported in streams" if self.counts_tokens else "tokens not reported in streams"
        if self.capabilities.system_role:
            yield _SYSTEM_TURN[self.system_arrives]
        if completion.reasoning.strip():
            yield "its model reasons, which is kept apart; reasoning counts towards `answer_tokens:`"
        if completion.cut:
            yield f"the reply did not end within {_DECODING.max_tokens} tokens"


async def probe(generator: OpenAIGenerator) -> list[Probe]:
    """Return a probe of each server of the generator."""
    client = generator.client()
    return [await _probe(generator, server) for server in client.servers]


async def _probe(generator: OpenAIGenerator, server: Server) -> Probe:
    trace, arrives = Trace(), None
    try:
        with trace.stage("probe"):
            completion = await generator.complete_at(server, generator.request(_MESSAGES, _DECODING))
            counts_tokens = trace.counts["probe.completion_tokens"] > 0
            if server.capabilities.system_role:
                arrives = await system_turn_arrives(generator, server)
    except StageError as error:
        return Probe(server.base_url, server.capabilities, error=str(error))
    return Probe(server.base_url, server.capabilities, completion, counts_tokens, arrives)
