"""Language models in GGUF files, in this process, on llama.cpp: weights of 2 to 8 bits on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from qttrag.errors import ConfigError, StageError, first_line
from qttrag.generators.beginnings import SystemTurns
from qttrag.generators.in_process import InProcessGenerator, Request
from qttrag.generators.llama_cpp_steps import Completer
from qttrag.generators.script_penalty import PenaltySettings, ScriptPenalty
from qttrag.models import devices, single_file
from qttrag.models.loading import Lazy, LocatedModel, failed
from qttrag.openai_client.capabilities import merge_system
from qttrag.runtime.batching import Batcher
from qttrag.text.reasoning import REASONING_MARKERS, ReasoningSeparator, opened_by
from qttrag.types import Message

_STAGE = "generator"
_END_OF_PROMPT = 16  # tokens; more than a marker of reasoning has
_TEMPLATE = "tokenizer.chat_template"


class LlamaCppGenerator(InProcessGenerator):
    """Generator kind `llama_cpp`; needs the package llama-cpp-python.

    `model`: a GGUF file, a folder with one, or a repository of the hub, of which `file` names the GGUF file.
    `context`: tokens for prompt and completion, whose memory is reserved at the start; at most those that the model was
    trained with. `threads`: null: as many as there are cores. `gpu_layers`: layers on a GPU, if the package was built
    for one; -1: all. One prompt runs at a time; beginnings that prompts share, such as instructions, are computed once.
    `call_timeout`: seconds for a whole call, including the wait.
    `thinking`: whether a reasoning model may think before it answers, where its chat template lets choose.
    `script_penalty`: subtracted from the logits of tokens with letters of another script than the answer's language and
    the question; 0: none. `script_penalty_after`: the first tokens of an answer, which have no penalty."""

    def __init__(
        self,
        model: str,
        *,
        file: str | None = None,
        revision: str | None = None,
        context: int = 8192,
        threads: int | None = None,
        gpu_layers: int = 0,
        call_timeout: float = 600.0,
        thinking: bool = False,
        script_penalty: float = 0.0,
        script_penalty_after: int = 0,
    ) -> None:
        if context < 1 or call_timeout <= 0 or (threads is not None and threads < 1):
            raise ConfigError(
                f"generator kind 'llama_cpp': `context: {context}` must be at least 1, `threads: {threads}` at least 1 "
                f"or null, `call_timeout: {call_timeout:g}` above 0"
            )
        self._model = model
        self._file = file
        self._revision = revision
        self._max_context = context
        self._threads = threads or devices.cores()
        self._gpu_layers = gpu_layers
        self._call_timeout = call_timeout
        self._thinking = thinking
        self._penalty = PenaltySettings(script_penalty, script_penalty_after).checked("llama_cpp", thinking=thinking)
        self._system_turns = SystemTurns(lambda messages: self._chat.prompt(messages))
        self._lazy_chat = Lazy(lambda: self._chat)  # without the weights, which counting tokens does not need
        self._lazy = Lazy(self._load)

    @property
    def identity(self) -> str:
        located = self._located
        thinking = ":thinking" if self._thinking else ""
        return f"llama_cpp:{located.revision}:{located.path.name}{thinking}{self._penalty.identity}"

    @cached_property
    def context(self) -> int:
        return min(self._max_context, self._chat.trained_context)

    @cached_property
    def _located(self) -> LocatedModel:
        return single_file.locate(_STAGE, self._model, single_file.GGUF, file=self._file, revision=self._revision)

    @cached_property
    def _chat(self) -> Chat:
        return Chat(_open(self._located.path, vocab_only=True), self._located.path, thinking=self._thinking)

    def _load(self) -> Batcher[Request, int]:
        chat = self._chat
        llama = _open(
            self._located.path,
            n_ctx=self.context,
            n_threads=self._threads,
            n_threads_batch=self._threads,
            n_gpu_layers=self._gpu_layers,
        )

        penalty = ScriptPenalty(self._penalty, lambda: [chat.decode([token]) for token in range(llama.n_vocab())])
        completer = Completer(llama, chat.decode, penalty)

        def run(requests: list[Request]) -> list[int]:
            try:
                return [completer.complete(request) for request in requests]
            except StageError:
                raise
            except Exception as error:
                raise failed(_STAGE, error) from error

        return Batcher(
            run,
            executor=devices.executor("cpu" if self._gpu_layers == 0 else "cuda"),
            length=lambda request: len(request.ids) + request.decoding.max_tokens,
            max_items=1,
        )


class Chat:
    """The tokenizer and the chat template of a GGUF file.

    `decode`, `all_special_ids` and `all_special_tokens` are as those of transformers' tokenizers, for `RowStream`: it
    is its own `tokenizer`."""

    def __init__(self, llama: Any, path: Path, *, thinking: bool) -> None:
        """Raise ConfigError if the file has no chat template, or one that does not accept a user role."""
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        if not (template := llama.metadata.get(_TEMPLATE)):
            raise ConfigError(f"{_STAGE}: {path} has no chat template; use an instruction-tuned model")
        self.trained_context = int(llama.metadata[f"{llama.metadata['general.architecture']}.context_length"])
        self._llama = llama
        self._thinking = thinking
        self._bos = llama._model.token_get_text(llama.token_bos()) if llama.token_bos() >= 0 else ""
        eos = llama._model.token_get_text(llama.token_eos()) if llama.token_eos() >= 0 else ""
        self._format = Jinja2ChatFormatter(template, eos_token=eos, bos_token=self._bos)
        self._takes_system = self._accepts([{"role": "system", "content": "!"}, {"role": "user", "content": "?"}])
        if not self._takes_system and not self._accepts([{"role": "user", "content": "?"}]):
            raise ConfigError(f"{_STAGE}: the chat template of {path} does not work; use another model")
        markers = {marker: self._ids(marker) for marker in REASONING_MARKERS}
        single = {ids[0]: marker for marker, ids in markers.items() if len(ids) == 1}
        self.all_special_ids, self.all_special_tokens = list(single), list(single.values())

    @property
    def tokenizer(self) -> Any:
        return self

    def _accepts(self, messages: Sequence[Message]) -> bool:
        from jinja2 import TemplateError

        try:
            self._format(messages=messages)
        except (TemplateError, ValueError):  # its `raise_exception` raises ValueError
            return False
        return True

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a chat, to the beginning of the reply."""
        turns = list(messages) if self._takes_system else merge_system(messages)
        text = self._format(messages=turns, enable_thinking=self._thinking).prompt
        return self._ids(text, add_bos=not (self._bos and text.startswith(self._bos)))

    def separator(self, prompt: Sequence[int]) -> ReasoningSeparator:
        """Return a separator for the completion of a prompt, in which a block of reasoning may have begun."""
        end = self._llama.detokenize(list(prompt[-_END_OF_PROMPT:]), special=True).decode("utf-8", "replace")
        return ReasoningSeparator("reasoning" if opened_by(end) else "answer")

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """Return the text of tokens without special ones; an incomplete character is U+FFFD."""
        return str(self._llama.detokenize(list(ids)).decode("utf-8", "replace"))

    def _ids(self, text: str, *, add_bos: bool = False) -> list[int]:
        ids: list[int] = self._llama.tokenize(text.encode(), add_bos=add_bos, special=True)
        return ids


def _open(path: Path, **settings: Any) -> Any:
    try:
        from llama_cpp import Llama
    except ModuleNotFoundError as error:
        raise ConfigError(
            "generator kind 'llama_cpp' needs the package 'llama-cpp-python', which is not installed; "
            "pip install 'qttrag[llama-cpp]' (it is built on this machine and needs a C++ compiler)"
        ) from error
    try:
        return Llama(str(path), verbose=False, **settings)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{_STAGE}: {path} cannot be loaded by llama.cpp: {first_line(error)}") from error
