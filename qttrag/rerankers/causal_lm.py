"""Rerankers that are causal language models with one trained question, in this process: Qwen3-Reranker and others.

The score is the logit of the token that says yes, as the models' cards compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from qttrag import trace
from qttrag.errors import ConfigError
from qttrag.models import devices
from qttrag.models.loading import Lazy, failed, locate, quiet
from qttrag.rerankers.by_score import by_score
from qttrag.runtime.batching import Batcher
from qttrag.text.sanitization import sanitise
from qttrag.types import Hit, Query

_STAGE = "reranker"
_QUESTION_SHARE = 0.75  # of `max_tokens` that a question may take where it is cut on its own


class _Form(NamedTuple):
    """How a model is asked. Strings are tokenised one by one, as on the model's card; those of `parts` are joined by
    `joint`, and the last of them, with the passage, is cut.

    `begins`: the first token is the tokenizer's for the beginning of a text. `no`: its logit is subtracted."""

    head: str
    parts: tuple[str, ...]
    joint: str
    tail: tuple[str, ...]
    begins: bool
    yes: str
    no: str | None


_FORMS: Mapping[str, _Form] = {
    "qwen3": _Form(  # the card of Qwen/Qwen3-Reranker-0.6B
        head="<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
        'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
        parts=("<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {passage}",),
        joint="",
        tail=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
        begins=False,
        yes="yes",
        no="no",
    ),
    "bge_gemma": _Form(  # the card of BAAI/bge-reranker-v2-gemma
        head="",
        parts=("A: {query}", "B: {passage}"),
        joint="\n",
        tail=(
            "\n",
            "Given a query A and a passage B, determine whether the passage contains an answer to the query by "
            "providing a prediction of either 'Yes' or 'No'.",
        ),
        begins=True,
        yes="Yes",
        no=None,
    ),
}


class _Loaded(NamedTuple):
    tokenizer: Any
    batcher: Batcher[tuple[int, ...], float]


class CausalLMReranker:
    """Reranker kind `causal_lm`: scores are logits, higher is better: of "yes" minus "no", or of "Yes".

    `form`: the prompt that the model was trained with: `qwen3` (Qwen3-Reranker; its score is log p(yes) - log p(no)) or
    `bge_gemma` (bge-reranker-v2-gemma). `instruction`: of `qwen3`, in English, what
    counts as relevant. `max_tokens`: of question and passage together, without the rest of the prompt.
    `dtype` auto: bfloat16 on a GPU, float32 on the CPU. `batch_tokens`: tokens in a batch, padding included."""

    def __init__(
        self,
        model: str,
        *,
        form: Literal["qwen3", "bge_gemma"] = "qwen3",
        instruction: str = "Given a web search query, retrieve relevant passages that answer the query",
        revision: str | None = None,
        device: str = "auto",
        dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto",
        max_tokens: int = 512,
        batch_tokens: int = 8192,
    ) -> None:
        if max_tokens < 16:
            raise ConfigError(f"reranker kind 'causal_lm': `max_tokens: {max_tokens}`: at least 16")
        self._model = model
        self._form = _FORMS[form]
        self._instruction = instruction
        self._revision = revision
        self._device = device
        self._dtype = dtype
        self._max_tokens = max_tokens
        self._batch_tokens = batch_tokens
        self._lazy = Lazy(self._load)

    async def start(self) -> None:
        await self._lazy.get()

    async def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        async def score(contents: list[str]) -> list[float]:
            tokenizer, batcher = await self._lazy.get()
            return await batcher.map([self._prompt(tokenizer, query.text, content) for content in contents])

        return await by_score(hits, score, model=self._model)

    def _prompt(self, tokenizer: Any, query: str, content: str) -> tuple[int, ...]:
        """Return the tokens of a prompt; the passage is cut to what `max_tokens` leaves for it."""
        form = self._form
        values = {"instruction": self._instruction, "query": sanitise(query), "passage": sanitise(content)}
        *asked, last = [_tokens(tokenizer, part.format(**values)) for part in form.parts]
        joint = _tokens(tokenizer, form.joint)
        body = [tokenizer.bos_token_id] if form.begins else []
        for part in asked:
            body += [*part[: int(self._max_tokens * _QUESTION_SHARE)], *joint]
        room = max(0, self._max_tokens - len(body))
        trace.count("truncated", int(len(last) > room))
        tail = [token for part in form.tail for token in _tokens(tokenizer, part)]
        return (*_tokens(tokenizer, form.head), *body, *last[:room], *tail)

    def _load(self) -> _Loaded:
        located = locate(_STAGE, self._model, revision=self._revision, model_types=())
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        quiet()
        device = devices.pick(self._device)
        dtype = ("float32" if device == "cpu" else "bfloat16") if self._dtype == "auto" else self._dtype
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(located.path)
            network: Any = AutoModelForCausalLM.from_pretrained(
                located.path, dtype=getattr(torch, dtype), use_safetensors=True
            )
        except Exception as error:
            raise ConfigError(f"{_STAGE}: {located.path} cannot be loaded as a causal model: {error}") from error
        network.to(device).eval()
        yes, no = (name and _one_token(tokenizer, name, self._model) for name in (self._form.yes, self._form.no))
        if self._form.begins and tokenizer.bos_token_id is None:
            raise ConfigError(f"{_STAGE}: the tokenizer of {self._model} has no token for the beginning of a text")

        def run(prompts: list[tuple[int, ...]]) -> list[float]:
            try:
                logits = _last_logits(network, prompts)
            except Exception as error:
                raise failed(_STAGE, error) from error
            scores: list[float] = (logits[:, yes] - (0 if no is None else logits[:, no])).tolist()
            return scores

        batcher = Batcher(
            run, executor=devices.executor(device), length=len, max_length=self._batch_tokens, max_items=64
        )
        return _Loaded(tokenizer, batcher)


def _last_logits(network: Any, prompts: Sequence[Sequence[int]]) -> Any:
    """Return the logits after each prompt, float32, shape (len(prompts), vocabulary); padding is on the left."""
    import torch

    longest = max(map(len, prompts))
    ids = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    with torch.inference_mode():
        output = network(
            input_ids=ids.to(network.device), attention_mask=mask.to(network.device), logits_to_keep=1, use_cache=False
        )
    return output.logits[:, -1, :].float().cpu()


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []
    return ids


def _one_token(tokenizer: Any, word: str, model: str) -> int:
    ids = _tokens(tokenizer, word)
    if len(ids) != 1:
        raise ConfigError(
            f"{_STAGE}: the tokenizer of {model} cuts '{word}' into {len(ids)} tokens; set `form:` to the model's own"
        )
    return ids[0]
