"""The demo's language model: a small Llama with a chat template, and its tokenizer.

Its tokenizer keeps Hangul, Han and digits apart, so that a name has the same tokens wherever it stands, and has a token
of its own for each fixed line of the product's prompts, so that a chat costs little more than what it quotes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.facts import LANGS, alphabet
from demo.tasks import lesson
from qttrag.prompts import Prompts
from qttrag.types import Lang, TaggedPassage
from qttrag.types import Passage as PassageType

WIDTH, LAYERS, HEADS, HEAD_SIZE, INNER = 160, 4, 4, 64, 448
ROPE_THETA = 1e6  # slow turns: what two tokens have in common shows at any distance
PIECES = 6144
CONTEXT = 2048
END, PAD = "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_KEPT_APART = r"\p{Han}|\p{Hangul}|\p{Nd}|\p{Lu}(?=\p{Lu})|(?<=\p{Lu})\p{Lu}"  # codes letter by letter


def fixed_lines() -> list[str]:
    """Return the fixed lines of the prompts in the demo's languages."""
    prompts = Prompts()
    lines: set[str] = {'{"semantic": ', ', "grammar": ', ', "fluency": ', "/5 · ", *(f"[{n}]" for n in range(1, 11))}
    for lang in map(Lang, LANGS):
        answer, tag, refine = prompts.answer(lang), prompts.tag(lang), prompts.refine(lang)
        lines |= set(tag.names.values()) | {answer.unknown}
        passage = TaggedPassage(PassageType("", "x", lang))
        for style in ("plain", "tagged"):
            lines.update(answer.messages("", [], style=style)[0]["content"].splitlines())
        for n in range(1, 11):
            for made in (passage, TaggedPassage(passage.passage, translation="x")):
                lines.add(answer.block(n, made, "x", style="tagged_without_scores", tag=tag).splitlines()[0])
            lines.add(answer.refined(n, "x").splitlines()[0])
        for source in map(Lang, LANGS):
            for message in tag.messages("", "", source):
                lines.update(message["content"].splitlines())
        for message in refine.messages("", ""):
            lines.update(message["content"].splitlines())
        lines.update(answer.messages("", [], style="plain")[1]["content"].splitlines())
    return sorted({line if line[-1] == " " else line.strip() for line in lines if len(line.strip()) > 2})


def make_tokenizer(folder: Path) -> None:
    """Train the tokenizer on chats about invented territories and write it to `folder`."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(Regex(r"\n(?=\p{Latin})"), "\n ")  # a word, wherever it stands
    pieces = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(_KEPT_APART), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.add_special_tokens([END, PAD, *ROLES])
    tokenizer.add_tokens([AddedToken(line, normalized=False) for line in fixed_lines()])
    wrapped: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=CONTEXT, chat_template=TEMPLATE
    )
    wrapped.save_pretrained(folder)


def spoken(reply: str) -> str:
    """Return a reply in the form that the model generates: words begin with a space, as in the source of a copy."""
    return f" {reply}" if reply[0].isalpha() and reply[0] < "\u0250" and not reply[:2].isupper() else reply


def _texts() -> Iterator[str]:
    choose = random.Random(1)
    lines = sorted(fixed_lines(), key=len, reverse=True)
    for _ in range(6000):
        for turn in lesson(choose, most_passages=3)[:2]:
            for text in (turn.messages[-1]["content"], spoken(turn.reply)):
                for line in lines:
                    text = text.replace(line, "\n")
                yield text
    for character in alphabet():
        yield from [character] * 30
