"""An OpenAI-compatible server with the habits of real ones, each a function, to drive the whole product through.

A habit receives the request and the reply that a well-behaved server would give, and returns what goes over the wire
instead. A new habit is one function under `@habit("...")`, whose text says which servers have it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

SCORES = '{"semantic": 4.5, "grammar": 4.0, "fluency": 3.5}'
ANSWER = "유로 [1]"
THOUGHT = "hm, [2] says 원, no"


class Wire(NamedTuple):
    """What the server sends: a status, a content type, and the body in parts."""

    parts: Sequence[bytes]
    status: int = 200
    kind: str = "text/event-stream"


Body = dict[str, Any]
Habit = Callable[[Body, str], Wire]
HABITS: dict[str, Habit] = {}
FAILURES: dict[str, Habit] = {}
"""Habits of servers that do not answer at all."""
REFUSALS: dict[str, Habit] = {}
"""Habits of servers that refuse a part of the request, and answer as usual without it."""


def habit(seen: str, into: dict[str, Habit] = HABITS) -> Callable[[Habit], Habit]:
    """Register a habit under its function's name. `seen`: the servers that have it."""

    def register(function: Habit) -> Habit:
        function.__doc__ = seen
        into[function.__name__] = function
        return function

    return register


def event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def chunk(delta: object = None, finish: object = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish, **more}
    return event({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


def usage(prompt: int = 7, completion: int = 3) -> bytes:
    total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
                  "usage": total})  # fmt: skip


DONE = b"data: [DONE]\n\n"


def contents(pieces: Iterable[object]) -> list[bytes]:
    return [chunk({"content": piece}) for piece in pieces]


def stream(pieces: Iterable[object], finish: object = "stop") -> Wire:
    return Wire([chunk({"role": "assistant", "content": ""}), *contents(pieces), chunk(None, finish), usage(), DONE])


def characters(text: str) -> Wire:
    """Stream a text one character a chunk, so that every tag is split."""
    return stream(text)


def refusal(status: int, message: str, **more: object) -> Wire:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **more}
    return Wire([json.dumps({"error": error}).encode()], status, "application/json")


# reasoning


@habit("Qwen3, DeepSeek-R1 without a reasoning parser")
def think_block(body: Body, reply: str) -> Wire:
    return stream(["<think>", f"\n{THOUGHT}\n", "</think>", "\n\n", reply])


@habit("the same, one character a chunk")
def think_block_by_characters(body: Body, reply: str) -> Wire:
    return characters(f"<think>\n{THOUGHT}\n</think>\n\n{reply}")


@habit("Qwen3 with thinking switched off in the prompt")
def think_block_empty(body: Body, reply: str) -> Wire:
    return stream(["<think>\n\n</think>\n\n", reply])


@habit("templates that open the block in the prompt: DeepSeek-R1, QwQ, Qwen3-Thinking")
def think_closing_tag_only(body: Body, reply: str) -> Wire:
    return stream([f"{THOUGHT}\n", "</th", "ink>\n\n", reply])


@habit("any reasoning model whose limit ends inside the block")
def think_cut(body: Body, reply: str) -> Wire:
    return stream(["<think>\n", THOUGHT], "length")


@habit("Magistral")
def think_in_brackets(body: Body, reply: str) -> Wire:
    return stream(["[TH", f"INK]{THOUGHT}[/TH", "INK]", reply])


@habit("gpt-oss without its parser")
def harmony_channels(body: Body, reply: str) -> Wire:
    final = f"<|end|><|start|>assistant<|channel|>final<|message|>{reply}<|return|>"
    return characters(f"<|channel|>analysis<|message|>{THOUGHT}{final}")


@habit("DeepSeek's API, vLLM and SGLang with a reasoning parser")
def reasoning_content(body: Body, reply: str) -> Wire:
    thought = chunk({"role": "assistant", "content": None, "reasoning_content": THOUGHT})
    return Wire([thought, *contents([reply]), chunk(None, "stop"), usage(), DONE])


@habit("OpenRouter, Ollama, newer vLLM")
def reasoning_field(body: Body, reply: str) -> Wire:
    thought = chunk({"role": "assistant", "content": None, "reasoning": THOUGHT})
    return Wire([thought, *contents([reply]), chunk(None, "stop"), usage(), DONE])


@habit("a reasoning parser, and a limit that ends before the answer")
def reasoning_content_cut(body: Body, reply: str) -> Wire:
    return Wire([chunk({"content": None, "reasoning_content": THOUGHT}), chunk(None, "length"), usage(), DONE])


@habit("llama.cpp with a wrong template")
def trailing_im_end(body: Body, reply: str) -> Wire:
    return stream([reply, "<|im", "_end|>"])


@habit("text-generation servers that do not strip Llama 3's end of turn")
def trailing_eot_id(body: Body, reply: str) -> Wire:
    return stream([reply, "<|eot_id|>"])


# chunks


@habit("LiteLLM, some gateways: a choice without a delta")
def no_delta(body: Body, reply: str) -> Wire:
    bare = event({"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "finish_reason": None}]})
    return Wire([bare, *contents([reply]), bare, chunk(None, "stop"), usage(), DONE])


@habit("gateways that write null for what is missing")
def delta_null(body: Body, reply: str) -> Wire:
    null = event({"id": "x", "object": "chat.completion.chunk",
                  "choices": [{"index": 0, "delta": None, "finish_reason": None}]})  # fmt: skip
    return Wire([null, *contents([reply]), null, chunk(None, "stop"), usage(), DONE])


@habit("gateways: choices null in the usage chunk")
def choices_null(body: Body, reply: str) -> Wire:
    return Wire([event({"id": "x", "choices": None}), *stream([reply]).parts])


@habit("gateways: no choices at all")
def choices_missing(body: Body, reply: str) -> Wire:
    return Wire([event({"id": "x", "object": "chat.completion.chunk"}), *stream([reply]).parts])


@habit("Azure: filter results before the first and after the last piece")
def content_filter_results(body: Body, reply: str) -> Wire:
    before = event({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
    after = chunk(None, None, content_filter_results={"hate": {"filtered": False}}, content_filter_offsets={})
    return Wire([before, *contents([reply]), chunk(None, "stop"), after, usage(), DONE])


@habit("Anthropic's and other gateways: keep-alive events and comments")
def ping_events(body: Body, reply: str) -> Wire:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n: keep-alive\n\n'
    return Wire([ping, *contents([reply]), ping, chunk(None, "stop"), usage(), DONE])


@habit("Mistral's API: content as a list of parts, reasoning among them")
def content_parts(body: Body, reply: str) -> Wire:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}]
    return stream([thinking, [{"type": "text", "text": reply}]])


@habit("llama.cpp: log probabilities without alternatives")
def top_logprobs_null(body: Body, reply: str) -> Wire:
    told = {"content": [{"token": reply, "logprob": -0.1, "bytes": None, "top_logprobs": None}]}
    return Wire([chunk({"content": reply}, None, logprobs=told), chunk(None, "stop"), usage(), DONE])


@habit("older text-generation servers: no finish reason, then [DONE]")
def finish_reason_null(body: Body, reply: str) -> Wire:
    return Wire([*contents([reply]), DONE])


@habit("gateways: an empty finish reason until [DONE]")
def finish_reason_empty(body: Body, reply: str) -> Wire:
    return Wire([chunk({"content": reply}, ""), chunk(None, ""), DONE])


@habit("servers that cut UTF-16: an emoji's halves in two chunks")
def emoji_halves(body: Body, reply: str) -> Wire:
    raw = [f'data: {{"choices":[{{"index":0,"delta":{{"content":"\\u{half}"}},"finish_reason":null}}]}}\n\n'.encode()
           for half in ("d83d", "de00")]  # fmt: skip
    return Wire([*contents([reply]), *raw, chunk(None, "stop"), usage(), DONE])


@habit("servers that cut UTF-16: half of an emoji")
def lone_surrogate(body: Body, reply: str) -> Wire:
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":null}]}\n\n'
    return Wire([*contents([reply]), raw, chunk(None, "stop"), usage(), DONE])


@habit("Perplexity, xAI and others: usage so far in every chunk")
def cumulative_usage(body: Body, reply: str) -> Wire:
    parts = [part for n, piece in enumerate(reply, 1) for part in (chunk({"content": piece}), usage(7, n))]
    return Wire([*parts, chunk(None, "stop"), usage(7, len(reply)), DONE])


@habit("any server: the answer ends at its limit")
def cut_at_limit(body: Body, reply: str) -> Wire:
    return stream([reply], "length")


@habit("Gemini's endpoint: the finish reason in the chunk of the last piece")
def finish_with_last_piece(body: Body, reply: str) -> Wire:
    return Wire([chunk({"content": reply, "role": "assistant"}, "stop"), DONE])


@habit("response_format accepted and ignored: chatter around the object")
def schema_ignored(body: Body, reply: str) -> Wire:
    return stream([f"Sure! Here is the rating:\n```json\n{reply}\n```\nHope this helps." if reply == SCORES else reply])


# requests refused


def _refuses(name: str, seen: str, refused: Callable[[Body], bool], wire: Wire) -> None:
    """Register a habit that answers `wire` to requests that are `refused`, and the others as usual."""

    def refuse(body: Body, reply: str) -> Wire:
        return wire if refused(body) else stream([reply])

    refuse.__name__ = name
    habit(seen, REFUSALS)(refuse)


def _has(field: str) -> Callable[[Body], bool]:
    return lambda body: field in body


def _is_schema(body: Body) -> bool:
    return bool(body.get("response_format", {}).get("type") == "json_schema")


def _has_system(body: Body) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


def _is_not_default_temperature(body: Body) -> bool:
    return bool(body.get("temperature", 1) != 1)


def _has_both(body: Body) -> bool:
    return "temperature" in body and "top_p" in body


def _has_extra(body: Body) -> bool:
    return bool(body.keys() - {"model", "messages", "max_tokens", "temperature", "top_p", "stream"})


_USE_NEW = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
_ONLY_DEFAULT = (
    "Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported."
)
_ONE_OF_BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
_UNRECOGNISED = "Unrecognized request argument supplied: stream_options"
_EXTRA = {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
_DETAIL = Wire([json.dumps({"detail": [_EXTRA]}).encode()], 422, "application/json")
_ALTERNATE = "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/..."
_OPENAI = "OpenAI's o and GPT-5 models"

_refuses("max_tokens_refused", _OPENAI, _has("max_tokens"), refusal(400, _USE_NEW, param="max_tokens"))
_refuses("temperature_refused", _OPENAI, _is_not_default_temperature, refusal(400, _ONLY_DEFAULT, param="temperature"))
_refuses("temperature_with_top_p_refused", "Claude's compatible endpoint", _has_both, refusal(400, _ONE_OF_BOTH))
_refuses("stream_options_refused", "older Azure API versions", _has("stream_options"), refusal(400, _UNRECOGNISED))
_refuses("stream_options_refused_422", "Mistral's API", _has("stream_options"), _DETAIL)
_refuses("system_role_refused", "Gemma on vLLM", _has_system, refusal(400, "System role not supported"))
_refuses("system_role_refused_500", "Gemma on llama.cpp", _has_system, refusal(500, _ALTERNATE))
for _status, _words, _who in (
    (400, "'response_format' of type 'json_schema' is not supported with this model", "DeepSeek's API"),
    (422, "response_format.type: Input should be 'text' or 'json_object'", "FastAPI servers"),
    (500, "1 validation error: response_format.type Input should be 'text' or 'json_object'", "llama-cpp-python"),
    (501, "json_schema is not implemented", "small servers"),
):
    _refuses(f"schema_refused_{_status}", _who, _is_schema, refusal(_status, _words))
_refuses("only_json_object", "gateways", _is_schema, refusal(400, "only json_object and text are permitted"))
_refuses("response_format_refused", "servers without grammars", _has("response_format"), refusal(
    400, "Unknown field response_format"))  # fmt: skip
_refuses("unknown_fields_refused", "strict gateways", _has_extra, refusal(400, "Extra inputs are not permitted"))


# failures

WORDS = "unicorn 7 in /srv/models/secret.bin"
"""The server's words in every failure, which its operator reads and no client over HTTP."""


def _fails(name: str, seen: str, wire: Wire) -> None:
    def fail(body: Body, reply: str) -> Wire:
        return wire

    fail.__name__ = name
    habit(seen, FAILURES)(fail)


def _json(status: int, body: object) -> Wire:
    return Wire([json.dumps(body).encode()], status, "application/json")


_PAGE = f"<!DOCTYPE html><html><head><title>{WORDS}</title></head><body>{WORDS}</body></html>".encode()
_fails("error_is_text", "Ollama", _json(500, {"error": WORDS}))
_fails("error_is_detail", "FastAPI servers", _json(422, {"detail": [{"loc": ["body", "x"], "msg": WORDS}]}))
_fails("error_is_page", "proxies", Wire([_PAGE], 502, "text/html"))
_fails("error_is_empty", "proxies", Wire([b""], 500, "text/plain"))
_fails("key_refused", "hosted APIs", refusal(401, WORDS))
_fails("access_denied", "hosted APIs", refusal(403, WORDS))
_fails("model_missing", "vLLM, Azure", refusal(404, WORDS))
_fails("prompt_too_long", "vLLM, OpenAI", refusal(400, WORDS, code="context_length_exceeded"))
_fails("no_quota", "OpenAI", refusal(429, WORDS, code="insufficient_quota"))
_fails("overloaded", "every hosted API", refusal(429, WORDS))
_fails("error_in_stream", "vLLM, OpenRouter", Wire([*contents(["유"]), event({"error": {"message": WORDS}})]))
_fails("error_first_in_stream", "SGLang, OpenRouter", Wire([event({"error": {"message": WORDS, "code": 500}})]))
_fails("page_as_stream", "captive portals", Wire([_PAGE], 200, "text/html"))
_fails("broken_chunk", "proxies that rewrite", Wire([*contents(["유"]), f"data: {{{WORDS}\n\n".encode()]))
_fails("cut_off", "servers that are killed", Wire(contents(["유"])))
_fails("filtered", "Azure, Gemini", Wire([chunk(None, "content_filter", reason=WORDS), DONE]))


def reply_to(body: Body) -> str:
    """Return what a good model says: scores where scores are asked for, else the answer."""
    asked = json.dumps(body["messages"], ensure_ascii=False)
    return SCORES if "semantic" in asked and "fluency" in asked else ANSWER


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # connections at once; the default of 5 resets some of the suite's


class OddServer:
    """A server on loopback with one habit. `requests`: the bodies that came; `errors`: the messages it sent."""

    def __init__(self, habit: Habit, reply: Callable[[Body], str] = reply_to) -> None:
        self.requests: list[Body] = []
        self.errors: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.endswith("/models")
                self._send(Wire([b'{"object": "list", "data": [{"id": "m", "object": "model"}]}' if found else b"{}"],
                                200 if found else 404, "application/json"))  # fmt: skip

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append(body)
                self._send(habit(body, reply(body)))

            def _send(self, wire: Wire) -> None:
                if wire.status >= 400:
                    outer.errors.update(re.findall(r'"(?:message|msg)": "(.*?)"', b"".join(wire.parts).decode()))
                self.send_response(wire.status)
                self.send_header("content-type", wire.kind)
                self.end_headers()
                for part in wire.parts:
                    self.wfile.write(part)
                    self.wfile.flush()

            def log_message(self, *args: object) -> None:
                """Keep the test's output free of requests."""

        self._server = _HTTPServer(("127.0.0.1", 0), Handler)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> OddServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()
