"""A language model that is asked whether a text supports a claim."""

from __future__ import annotations

from qttrag.evaluation import truth_replies
from qttrag.evaluation.runs import provenance
from qttrag.prompts import FALLBACK, Prompts
from qttrag.protocols import Generator
from qttrag.types import Lang

_SUPPORTED = "supported"


class LLMJudge:
    """Support judge `llm`: greedy, with the prompt in the language of the claim, or the English one.

    `generator`: by default the deployment's. A reply without a verdict is undecided."""

    def __init__(self, generator: Generator, prompts: Prompts) -> None:
        self._generator = generator
        self._prompts = prompts

    @property
    def identity(self) -> str:
        prompts = [self._prompts.support(lang).model_dump(mode="json") for lang in self._prompts.languages("support")]
        return f"llm:{self._generator.identity}:{provenance.digest(prompts)}"

    async def supports(self, premise: str, claim: str, lang: Lang) -> bool | None:
        known = self._prompts.languages("support")
        prompt = self._prompts.support(lang if lang in known else FALLBACK)
        completion = await self._generator.complete(prompt.messages(premise, claim), truth_replies.decoding(_SUPPORTED))
        return truth_replies.read(completion.text, _SUPPORTED)
