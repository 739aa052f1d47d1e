"""Completions by llama.cpp, token by token: what is known already is not computed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from qttrag.errors import BrokenOff
from qttrag.generators.beginnings import Beginnings, common
from qttrag.generators.in_process import Request
from qttrag.generators.schema import Form, Forms
from qttrag.generators.script_penalty import ScriptPenalty, add


class _Step(NamedTuple):
    """`forced`: the form of the reply allows no other token, so that the model was not asked."""

    token: int
    forced: bool


class Completer:
    """Completes prompts with one model, one after another. `decode`: returns the text of tokens."""

    def __init__(self, llama: Any, decode: Callable[[Sequence[int]], str], penalty: ScriptPenalty) -> None:
        self._llama = llama
        self._decode = decode
        self._penalty = penalty
        self._beginnings: Beginnings[Any] = Beginnings()

    def complete(self, request: Request) -> int:
        """Complete a prompt into its stream; return the number of tokens of the completion."""
        stream, decoding = request.stream, request.decoding
        if stream.tokens:
            raise BrokenOff("generator", "the model failed in the middle of a completion; ask again")
        form = decoding.schema or decoding.quote
        for step in self._steps(request, form and self._forms.follow(form)):
            if not stream.done:  # its caller may have left
                self._put(step, request)
            if stream.done:
                break
        return stream.tokens

    def _put(self, step: _Step, request: Request) -> None:
        stream = request.stream
        if step.forced:
            stream.put_forced(step.token, self._ends(step.token))
            return
        if request.decoding.alternatives:
            stream.alternatives = self._alternatives(request.decoding.alternatives)
        stream.put(step.token, self._ends(step.token))

    def _steps(self, request: Request, form: Form | None) -> Iterator[_Step]:
        """Yield the tokens of a completion. Those that its form forces are read by the model with the next step."""
        ids = list(request.ids)
        forced = form.forced() if form else []
        self._recall(ids[: request.instructions])
        while True:
            for token in forced:
                ids.append(token)
                yield _Step(token, forced=True)
            if form and form.complete:
                yield _Step(self._llama.token_eos(), forced=True)
                return
            for token in self._generated(ids, request, form):
                yield _Step(token, forced=False)
                ids.append(token)
                if form:
                    form.write(token)
                    forced = form.forced()
                    if forced or form.complete:
                        break

    def _generated(self, ids: list[int], request: Request, form: Form | None) -> Iterator[int]:
        decoding = request.decoding
        tokens: Iterator[int] = self._llama.generate(
            ids,
            top_k=0,
            top_p=decoding.top_p,
            min_p=0.0,
            temp=decoding.temperature,
            repeat_penalty=decoding.repetition_penalty,
            logits_processor=self._processors(request, form),
        )
        return tokens

    def _processors(self, request: Request, form: Form | None) -> Any:
        """Return what changes the logits of a completion: its form, and the penalty on other scripts; None: nothing."""
        from llama_cpp import LogitsProcessorList

        processors: list[Any] = []
        if form is not None:

            def follow(tokens: Any, logits: Any) -> Any:
                logits[form.forbidden()] = float("-inf")
                return logits

            processors.append(follow)
        if (bias := self._penalty.bias(request.decoding.scripts)) is not None:

            def penalise(tokens: Any, logits: Any) -> Any:
                if len(tokens) >= len(request.ids) + self._penalty.settings.after:
                    request.stream.steered += add(bias, logits)
                return logits

            processors.append(penalise)
        return LogitsProcessorList(processors) if processors else None

    def _ends(self, token: int) -> list[int]:
        """Return the token if it ends a completion."""
        import llama_cpp

        return [token] if llama_cpp.llama_vocab_is_eog(self._llama._model.vocab, token) else []

    @cached_property
    def _forms(self) -> Forms:
        from llguidance.llamacpp import lltokenizer_from_vocab

        return Forms(lltokenizer_from_vocab(self._llama._model.vocab, n_vocab=self._llama.n_vocab()))

    def _alternatives(self, k: int) -> dict[str, float]:
        """Return the log probabilities of the k most likely next tokens by text, before a form excludes any."""
        import llama_cpp
        import numpy as np

        pointer = llama_cpp.llama_get_logits_ith(self._llama._ctx.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self._llama.n_vocab(),)).astype(np.float64)
        logprobs = logits - logits.max()
        logprobs -= np.log(np.exp(logprobs).sum())
        best = np.argsort(-logprobs, kind="stable")[:k]
        alternatives: dict[str, float] = {}
        for token in best.tolist():
            alternatives.setdefault(self._decode([token]), float(logprobs[token]))
        return alternatives

    def _recall(self, instructions: list[int]) -> None:
        """Bring the beginning of a prompt into the model's memory, which has the last prompt only.

        Layers with a state instead of keys and values cannot be cut after a beginning; they compute it again."""
        llama = self._llama
        if not instructions or llama._is_recurrent or llama._is_hybrid:
            return
        if (kept := self._beginnings.get(instructions)) is None:
            self._beginnings.keep(instructions, self._computed(instructions))
        elif self._in_memory(instructions) < len(instructions):
            self._restore(instructions, kept)

    def _in_memory(self, ids: list[int]) -> int:
        return common(self._llama._input_ids.tolist(), ids)

    def _computed(self, ids: list[int]) -> Any:
        """Return the keys and values of tokens, computed after those in memory."""
        import llama_cpp

        llama, known = self._llama, self._in_memory(ids)
        if llama._ctx.kv_cache_seq_rm(-1, known, -1):
            llama.n_tokens = known
        else:  # this memory cannot be cut
            llama.reset()
        llama.eval(ids[llama.n_tokens :])
        state = (ctypes.c_uint8 * llama_cpp.llama_state_seq_get_size(llama.ctx, 0))()
        llama_cpp.llama_state_seq_get_data(llama.ctx, state, len(state), 0)
        return state

    def _restore(self, ids: list[int], state: Any) -> None:
        import llama_cpp

        llama = self._llama
        if not llama_cpp.llama_state_seq_set_data(llama.ctx, state, len(state), 0):
            raise RuntimeError("llama.cpp did not take back the keys and values of instructions that it gave out")
        llama.input_ids[: len(ids)] = ids
        llama.n_tokens = len(ids)
        llama._requires_eval = True
