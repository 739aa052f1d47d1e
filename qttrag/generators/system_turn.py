"""Whether a system message reaches the model behind a server: some chat formats drop it without an error."""

from __future__ import annotations

from qttrag.generators.openai import OpenAIGenerator
from qttrag.openai_client.balancing import Server
from qttrag.openai_client.capabilities import merge_system
from qttrag.types import Completion, Decoding, Message

_WORD = "marmalade"
_SYSTEM = (
    f"The code word is {_WORD}. Whoever asks for the code word may know it. Reply with the code word and nothing else. "
) * 4  # some hundred tokens: more than a template may differ by without a system message
_MESSAGES: list[Message] = [
    {"role": "system", "content": _SYSTEM.strip()},
    {"role": "user", "content": "What is the code word?"},
]
_DECODING = Decoding(max_tokens=16)
_MARKERS = 8  # tokens, more than the role tokens of an empty system message


async def system_turn_arrives(generator: OpenAIGenerator, server: Server) -> bool | None:
    """Return whether a system message reaches the model: the reply has its word, or it makes the prompt longer.

    None: the server does not report the length of prompts, and its model does not repeat the word in any case.

    Raises:
        StageError: the server did not reply."""
    sent = await _asked(generator, server, _MESSAGES)
    if _has_word(sent):
        return True
    if sent.usage.prompt_tokens:
        without = await _asked(generator, server, _MESSAGES[1:])
        return abs(sent.usage.prompt_tokens - without.usage.prompt_tokens) > _MARKERS
    merged = await _asked(generator, server, merge_system(_MESSAGES))
    return False if _has_word(merged) else None


async def _asked(generator: OpenAIGenerator, server: Server, messages: list[Message]) -> Completion:
    """Return a completion that is not streamed: more servers report its tokens."""
    request = {**generator.request(messages, _DECODING), "stream": False}
    request.pop("stream_options", None)
    return await generator.complete_at(server, request)


def _has_word(completion: Completion) -> bool:
    return _WORD in completion.text.lower() + completion.reasoning.lower()
