"""The GPU hours of the paper's tables, by arithmetic alone: `python -m benchmarks.reproduction --card A100`.

Work is counted in operations (twice the weights for each token read) and in bytes (the weights once for each step that
writes a token of a batch). Both are divided by a share of what the card's data sheet says; nothing is measured.

In 4 bits (NF4), layers have 4.1 bits a weight with their scales, and the vocabulary stays in 16. A step that writes a
token then reads 0.6 bytes a weight; operations are still those of 16 bits, because weights are unpacked for them."""

from __future__ import annotations

from typing import NamedTuple

import typer

from qttrag.cli.output import console, table


class Card(NamedTuple):
    """Operations a second in float16, dense, and bytes a second of its memory, by the vendor's data sheet."""

    operations: float
    bandwidth: float


CARDS = {"A100": Card(312e12, 2039e9), "H100": Card(989e12, 3350e9)}  # with 80 GB: Phi-4 in float16 has 29
GENERATORS = {
    "Exaone-3.5-2.4B": 2.4e9,
    "Qwen2.5-7B": 7.6e9,
    "Exaone-3.5-7.8B": 7.8e9,
    "Aya-Expanse-8B": 8.0e9,
    "Llama-3.1-8B": 8.0e9,
    "Phi-4": 14.7e9,
}
BYTES = {16: 2.0, 4: 0.6}  # a weight that a step reads, by bits; in memory 0.7 in 4 bits, with the input vocabulary
TAGGER = 8.0e9  # weights of Llama-3.1-8B
READ = 5  # passages a question
DEPTH = 50  # passages reranked
ENCODER = 302e6  # weights of BGE-M3 and of its reranker, without embeddings
_PASSAGE, _QUESTION, _INSTRUCTION = 200, 30, 150  # tokens of a generator, assumed
_ANSWER, _REFINED, _VERDICT = 20, 128, 25  # tokens written; assumed, but the middle one, which is the fork's limit
_NLLB, _SENTENCES, _SENTENCE = 0.6e9, 6, 40  # weights; sentences of a passage and tokens of each, assumed


class Work(NamedTuple):
    """Calls with our cache and, as in the released code, without one; hours with the cache."""

    what: str
    calls: float
    uncached: float
    hours: float


class Plan(NamedTuple):
    """`foreign`: the share of the passages read that is not in the language of the question. `used`: of the card.

    `batch`: prompts, or sentences, that write a token in the same step. `bits`: of language models' weights."""

    questions: int
    foreign: float
    card: Card
    used: float
    batch: int
    bits: int = 16

    def hours(self, calls: float, weights: float, read: float, written: float, *, bits: int | None = None) -> float:
        """Return the hours of calls that read and write so many tokens each. `bits`: by default the plan's."""
        reading = calls * 2 * weights * read / self.card.operations
        writing = calls / self.batch * written * BYTES[bits or self.bits] * weights / self.card.bandwidth
        return (reading + writing) / self.used / 3600

    def work(self) -> list[Work]:
        n, weights, models = self.questions, sum(GENERATORS.values()), len(GENERATORS)
        passages, foreign = n * READ, n * READ * self.foreign
        prompt = READ * _PASSAGE + _QUESTION + _INSTRUCTION
        pairs = 2 * n * DEPTH  # of the question, and of its translation for query_translation
        translated = self.hours(foreign * _SENTENCES, _NLLB, _SENTENCE, _SENTENCE, bits=16)
        answers = 5 * models * n
        return [
            Work("rerank (float16)", pairs, pairs, self.hours(pairs, ENCODER, 256, 0)),
            Work("translate passages", foreign, 4 * models * foreign, translated),
            Work("score translations", foreign, 2 * models * foreign,
                 self.hours(foreign, TAGGER, 2 * _PASSAGE + 200, _VERDICT)),
            Work("refine passages (dkm_rag)", models * passages, models * passages,
                 self.hours(passages, weights, 2 * _PASSAGE + _INSTRUCTION, _REFINED)),
            Work("answer, five strategies", answers, answers, self.hours(5 * n, weights, prompt, _ANSWER)),
            Work("answer, dkm_rag (each passage twice)", models * n, models * n,
                 self.hours(n, weights, prompt + READ * _PASSAGE, _ANSWER)),
        ]  # fmt: skip


def main(
    card: str = typer.Option("A100", help=f"One of {', '.join(CARDS)}."),
    questions: int = typer.Option(2827, help="Questions; MKQA's subset has 2,827 in each language."),
    foreign: float = typer.Option(0.227, help="Share of foreign passages; 0.227 for MKQA in Korean."),
    used: float = typer.Option(0.4, help="Share of the card's rates that is reached; assumed."),
    batch: int = typer.Option(64, help="Prompts that write at the same time."),
    bits: int = typer.Option(16, help="Of the weights of language models: 16, or 4 as in the profile `paper`."),
) -> None:
    """Print the calls and the hours of six strategies and six generators on one card."""
    if card not in CARDS:
        raise typer.BadParameter(f"'{card}' is unknown; choose one of {', '.join(CARDS)}")
    if bits not in BYTES:
        raise typer.BadParameter(f"{bits} bits are not planned; choose one of {', '.join(map(str, BYTES))}")
    plan = Plan(questions, foreign, CARDS[card], used, batch, bits).work()
    rows = [[work.what, f"{work.calls:,.0f}", f"{work.uncached:,.0f}", f"{work.hours:.2f}"] for work in plan]
    total = ["all", *(f"{sum(column):,.0f}" for column in ([w.calls for w in plan], [w.uncached for w in plan]))]
    console().print(
        table("work", "calls", "without a cache", "hours", rows=[*rows, [*total, f"{sum(w.hours for w in plan):.1f}"]])
    )


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
