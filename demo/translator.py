"""The demo's translator: a small M2M100 with NLLB's codes, trained on parallel sentences."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, GenerationConfig, M2M100Config, M2M100ForConditionalGeneration

from demo.corpus import RELATIONS, SECTIONS, VARIANTS, question_text, stated, statement
from demo.facts import LANGS
from demo.invented import invent, pick
from demo.pieces import for_transformers, spelled
from demo.training import fit, halves, padded

WIDTH, LAYERS, HEADS, INNER = 192, 3, 6, 512
CONTEXT = 512
STEPS, RATE, WARM_UP = 10_000, 2e-3, 300
PAIRS, PARTS = 56, 2  # in a batch; parts of similar length, to reduce padding
_SPLICED = 0.6  # share of names that join halves of two names, so that the model learns to spell names
_COMMON = 100  # occurrences of a word that gets its own token
_PAD, _END = 1, 2


class Pair(NamedTuple):
    source: str
    target: str
    source_text: str
    target_text: str


def pair(choose: random.Random) -> Pair:
    """Return a parallel pair of sentences, questions or names; in most, one language is English."""
    lang, other = choose.sample(LANGS, 2)
    if "en" not in (lang, other) and choose.random() < 0.75:
        lang, other = choose.choice([("en", other), (lang, "en")])
    kind = choose.random()
    if kind < 0.2:
        name = pick(choose, choose.choice(("territory", "territory", "language", "currency", "city")), _SPLICED)
        end = choose.choice((".", ""))
        return Pair(lang, other, name[lang] + end, name[other] + end)
    owner = invent(choose, spliced=_SPLICED)
    variant = choose.randrange(VARIANTS)
    if kind < 0.4:
        relation = choose.choice(list(RELATIONS))
        texts = [question_text(relation, variant, each, owner.name) for each in (lang, other)]
        return Pair(lang, other, *texts)
    field = choose.choice([f for section in SECTIONS for f in stated(section, owner.facts)])
    texts = [statement(field, variant, each, owner.name, owner.facts) for each in (lang, other)]
    return Pair(lang, other, *texts)


def code(lang: str) -> str:
    from qttrag.text.languages import language

    return language(lang).nllb


def make_tokenizer() -> Any:
    """Return a tokenizer that spells names, with NLLB's special tokens and its codes of the demo's languages."""
    choose = random.Random(2)
    texts = (text for _ in range(20_000) for text in pair(choose)[2:])
    pieces = spelled(texts, common=_COMMON)
    pieces.add_special_tokens([code(lang) for lang in LANGS])
    return for_transformers(pieces, CONTEXT)


def new_model(pieces: int) -> Any:
    torch.manual_seed(0)
    config: Any = M2M100Config(
        vocab_size=pieces,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=INNER,
        decoder_ffn_dim=INNER,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        max_position_embeddings=CONTEXT,
        scale_embedding=True,
        decoder_start_token_id=_END,
        bos_token_id=0,
        pad_token_id=_PAD,
        eos_token_id=_END,
        tie_word_embeddings=True,
    )
    model: Any = M2M100ForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=0, decoder_start_token_id=_END, eos_token_id=_END, pad_token_id=_PAD, max_length=200
    )
    return model


def train(folder: Path, *, steps: int = STEPS, rate: float = RATE, start: Path | None = None) -> None:
    """Train into `folder`, from the model in `start` if it is given; a stopped run is resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(start) if start else make_tokenizer()
    model = M2M100ForConditionalGeneration.from_pretrained(start) if start else new_model(len(tokenizer))

    def ids(texts: list[str], langs: list[str]) -> list[list[int]]:
        rows = tokenizer(texts, add_special_tokens=False).input_ids
        return [
            [tokenizer.convert_tokens_to_ids(code(lang)), *row, _END] for row, lang in zip(rows, langs, strict=True)
        ]

    def loss_of(pairs: list[Pair]) -> tuple[torch.Tensor, int]:
        source = padded(ids([p.source_text for p in pairs], [p.source for p in pairs]), _PAD)
        target = padded(ids([p.target_text for p in pairs], [p.target for p in pairs]), _PAD)
        start = torch.full((len(pairs), 1), _END)
        learned = target != _PAD
        with halves():
            hidden = model.model(
                input_ids=source,
                attention_mask=(source != _PAD).long(),
                decoder_input_ids=torch.cat([start, target[:, :-1]], dim=1),
                use_cache=False,
            ).last_hidden_state
            said = model.lm_head(hidden[learned])
        return cross_entropy(said.float(), target[learned], label_smoothing=0.05, reduction="sum"), int(learned.sum())

    def loss_at(step: int) -> torch.Tensor:
        choose = random.Random(f"translator {step}")
        pairs = sorted((pair(choose) for _ in range(PAIRS)), key=lambda p: len(p.source_text) + len(p.target_text))
        size = PAIRS // PARTS
        parts = [loss_of(pairs[n : n + size]) for n in range(0, PAIRS, size)]
        return torch.stack([loss for loss, _ in parts]).sum() / sum(tokens for _, tokens in parts)

    def save() -> None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    fit(model, folder, loss_at, steps=steps, rate=rate, warm_up=WARM_UP, save=save)
