"""Language models in this process, with their own chat templates, batched and streamed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qttrag.errors import BrokenOff, ConfigError, StageError, first_line
from qttrag.generators import shared_prefix
from qttrag.generators.beginnings import Beginnings, SystemTurns
from qttrag.generators.in_process import InProcessGenerator, Request
from qttrag.generators.schema import Form, Forms
from qttrag.generators.script_penalty import BatchPenalty, PenaltySettings, ScriptPenalty
from qttrag.generators.streaming import Alternatives, FormMasks, Streamer
from qttrag.models import devices
from qttrag.models.loading import Lazy, LocatedModel, failed, locate, quiet
from qttrag.openai_client.capabilities import merge_system
from qttrag.runtime.batching import Batcher
from qttrag.text.reasoning import ReasoningSeparator, opened_by
from qttrag.types import Decoding, Message

_STAGE = "generator"
_END_OF_PROMPT = 16  # tokens; more than a marker of reasoning has


class _Chat(NamedTuple):
    """Converts messages to prompts. `takes_system`: the chat template accepts a system role.

    `thinking`: for templates that let a model think first."""

    tokenizer: Any
    takes_system: bool
    thinking: bool

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        turns = list(messages) if self.takes_system else merge_system(messages)
        ids: list[int] = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, enable_thinking=self.thinking
        )["input_ids"]
        return ids

    def separator(self, prompt: Sequence[int]) -> ReasoningSeparator:
        """Return a separator for the completion of a prompt, in which a block of reasoning may have begun."""
        end = self.tokenizer.decode(list(prompt[-_END_OF_PROMPT:]))
        return ReasoningSeparator("reasoning" if opened_by(end) else "answer")


class TransformersGenerator(InProcessGenerator):
    """Generator kind `transformers`.

    `dtype` "auto": the checkpoint's own on a GPU, float32 on a CPU. `context`: tokens for prompt and completion;
    null: all that the model has. A batch has at most `batch_tokens` tokens and `max_batch` prompts; other calls wait
    for the next one. `call_timeout`: seconds for a whole call, including the wait.
    `thinking`: whether a reasoning model may think before it answers, where its chat template lets choose.
    `script_penalty`: subtracted from the logits of tokens with letters of another script than the answer's language and
    the question; 0: none. `script_penalty_after`: the first tokens of an answer, which have no penalty."""

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        context: int | None = None,
        batch_tokens: int = 16_384,
        max_batch: int = 16,
        call_timeout: float = 600.0,
        thinking: bool = False,
        script_penalty: float = 0.0,
        script_penalty_after: int = 0,
    ) -> None:
        if call_timeout <= 0:
            raise ConfigError(f"generator kind 'transformers': `call_timeout: {call_timeout}` must be above 0")
        self._model = model
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._max_context = context
        self._batch_tokens = batch_tokens
        self._max_batch = max_batch
        self._call_timeout = call_timeout
        self._thinking = thinking
        self._penalty = PenaltySettings(script_penalty, script_penalty_after).checked("transformers", thinking=thinking)
        self._system_turns = SystemTurns(lambda messages: self._chat.prompt(messages))
        self._lazy_chat = Lazy(lambda: self._chat)  # separate from the weights, which counting tokens does not need
        self._lazy = Lazy(self._load)

    @property
    def identity(self) -> str:
        thinking = ":thinking" if self._thinking else ""
        return f"transformers:{self._located.revision}:{self._device_and_dtype[1]}{thinking}{self._penalty.identity}"

    @cached_property
    def context(self) -> int:
        config = json.loads((self._located.path / "config.json").read_text(encoding="utf-8"))
        maximum = int(config.get("max_position_embeddings") or config.get("n_positions") or 2048)
        return maximum if self._max_context is None else min(maximum, self._max_context)

    @cached_property
    def _located(self) -> LocatedModel:
        return locate(_STAGE, self._model, revision=self._revision, model_types=())

    @cached_property
    def _device_and_dtype(self) -> tuple[str, str]:
        device = devices.pick(self._device)
        return device, "float32" if self._dtype == "auto" and device == "cpu" else self._dtype

    @cached_property
    def _chat(self) -> _Chat:
        from transformers import AutoTokenizer

        path = self._located.path
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
        except (OSError, ValueError, KeyError) as error:
            raise _unloadable(path, error) from error
        takes_system = _check_template(tokenizer, path.name if self._model == str(path) else self._model)
        return _Chat(tokenizer, takes_system, self._thinking)

    def _load(self) -> Batcher[Request, int]:
        import torch
        from llguidance.hf import from_tokenizer
        from transformers import AutoModelForCausalLM, GenerationConfig

        quiet()
        path = self._located.path
        tokenizer = self._chat.tokenizer
        device, dtype = self._device_and_dtype
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                path, dtype=dtype if dtype == "auto" else getattr(torch, dtype), use_safetensors=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise _unloadable(path, error) from error
        model.to(device).eval()
        eos = model.generation_config.eos_token_id
        eos = tokenizer.eos_token_id if eos is None else eos
        end_tokens = list(eos) if isinstance(eos, list | tuple) else [eos]
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_tokens[0]
        # without the checkpoint's own sampling settings, which would change greedy decoding
        model.generation_config = GenerationConfig(eos_token_id=end_tokens, pad_token_id=pad)
        loaded = _Loaded(
            model,
            tokenizer,
            Forms(from_tokenizer(tokenizer, n_vocab=model.config.vocab_size)),
            ScriptPenalty(self._penalty, lambda: _token_texts(tokenizer)),
            Beginnings(),
            end_tokens,
            pad,
        )

        def run(requests: list[Request]) -> list[int]:
            try:
                return _generate(loaded, requests)
            except StageError:
                raise
            except Exception as error:
                raise failed(_STAGE, error) from error

        return Batcher(
            run,
            executor=devices.executor(device),
            length=lambda request: len(request.ids) + request.decoding.max_tokens,
            max_items=self._max_batch,
            max_length=self._batch_tokens,
            key=lambda request: (
                request.decoding.max_tokens,
                request.decoding.temperature,
                request.decoding.top_p,
                request.decoding.repetition_penalty,
                tuple(request.ids[: request.instructions]),
            ),
        )


class _Loaded(NamedTuple):
    """A model and what its completions need."""

    model: Any
    tokenizer: Any
    forms: Forms
    penalty: ScriptPenalty
    beginnings: Beginnings[Any]
    end_tokens: list[int]
    pad: int


def _generate(loaded: _Loaded, requests: list[Request]) -> list[int]:
    """Complete the prompts in one batch, each into its stream; return the number of tokens of each completion."""
    import torch
    from transformers import LogitsProcessorList, StoppingCriteriaList

    if any(request.stream.tokens for request in requests):
        raise BrokenOff(_STAGE, "the model failed in the middle of a completion; ask again")
    decoding, streams = requests[0].decoding, [request.stream for request in requests]
    wanted = [request.decoding.schema or request.decoding.quote for request in requests]
    forms = [loaded.forms.follow(form) if form else None for form in wanted]
    forced = [form.forced() if form else [] for form in forms]
    prompts = [[*request.ids, *tokens] for request, tokens in zip(requests, forced, strict=True)]
    longest = max(map(len, prompts))
    streamer = Streamer(streams, loaded.end_tokens, forms, forced)
    model = loaded.model
    with torch.inference_mode():
        prefix = shared_prefix.of_batch(model, prompts, loaded.beginnings, requests[0].instructions)
        rows, attention = zip(*(prefix.padded(ids, longest, loaded.pad) for ids in prompts), strict=True)
        model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(attention, device=model.device),
            past_key_values=prefix.cache,
            max_new_tokens=decoding.max_tokens,
            repetition_penalty=decoding.repetition_penalty,
            streamer=streamer,
            logits_processor=LogitsProcessorList(_processors(loaded, requests, forms, longest)),
            stopping_criteria=StoppingCriteriaList([streamer.stopped]),
            **_sampling(decoding),
        )
    return [request.stream.tokens for request in requests]


def _processors(
    loaded: _Loaded, requests: Sequence[Request], forms: Sequence[Form | None], prompt_length: int
) -> list[Any]:
    streams, numbers = [r.stream for r in requests], [request.decoding.alternatives for request in requests]
    biases = [loaded.penalty.bias(request.decoding.scripts) for request in requests]
    processors: list[Any] = []
    if any(forms):
        processors.append(FormMasks(streams, forms))
    if any(numbers):
        processors.append(Alternatives(streams, numbers, loaded.tokenizer))
    if any(bias is not None for bias in biases):
        after = loaded.penalty.settings.after
        processors.append(BatchPenalty(streams, biases, after=after, prompt_length=prompt_length))
    return processors


def _sampling(decoding: Decoding) -> dict[str, Any]:
    if decoding.temperature > 0:
        return {"do_sample": True, "temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
    return {"do_sample": False}


def _token_texts(tokenizer: Any) -> list[str]:
    """Return the text of each token; "" for role tokens and the like."""
    added = tokenizer.added_tokens_decoder
    return ["" if token in added else tokenizer.decode([token]) for token in range(len(tokenizer))]


def _unloadable(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{_STAGE}: {path} cannot be loaded as a language model: {first_line(error)}")


def _check_template(tokenizer: Any, name: str) -> bool:
    """Return whether the model's chat template accepts a system role.

    Raises:
        ConfigError: there is no chat template, or it does not accept a user role either."""
    import jinja2

    if not tokenizer.chat_template:
        raise ConfigError(f"{_STAGE}: model '{name}' has no chat template; use an instruction-tuned model")
    user: Message = {"role": "user", "content": "?"}
    try:
        tokenizer.apply_chat_template([{"role": "system", "content": "!"}, user], add_generation_prompt=True)
    except jinja2.TemplateError:
        try:
            tokenizer.apply_chat_template([user], add_generation_prompt=True)
        except jinja2.TemplateError as error:
            if not _takes_translations(tokenizer):
                raise ConfigError(f"{_STAGE}: the chat template of '{name}' does not work: {error}") from error
        return False
    return True


def _takes_translations(tokenizer: Any) -> bool:
    """Return whether a chat template takes nothing but texts to translate, as TranslateGemma's."""
    import jinja2

    item = {"type": "text", "source_lang_code": "en", "target_lang_code": "de", "text": "?"}
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": [item]}], add_generation_prompt=True)
    except jinja2.TemplateError:
        return False
    return True
