"""A tiny NLLB model trained on the facts of `tests.texts`, so that the probabilities of its tokens differ clearly."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.texts import CITIES, LANGS, SENTENCES, YEARS, Fact
from tests.translators.kinds import TranslatorsByKind

CODES = {"en": "eng_Latn", "ko": "kor_Hang", "fi": "fin_Latn", "zh": "zho_Hans"}
STEPS, BATCH, RATE = 500, 64, 5e-3


def all_facts() -> list[Fact]:
    facts = [Fact(c, y, s) for c in range(len(CITIES["en"])) for y in YEARS for s in range(len(SENTENCES["en"]))]
    random.Random(0).shuffle(facts)
    return facts


HELD_OUT = all_facts()[:40]
"""Facts that the model was not trained on."""


@pytest.fixture(scope="session")
def translating(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny NLLB checkpoint that translates between en, ko, fi and zh and ends its sentences."""
    out = tmp_path_factory.mktemp("translating") / "nllb"
    _train(tiny / "nllb", out)
    return out


@pytest.fixture(scope="module")
def translators(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TranslatorsByKind]:
    with ExitStack() as stack:
        yield TranslatorsByKind(tiny, tmp_path_factory.mktemp("kinds"), stack)


def _train(checkpoint: Path, out: Path) -> None:
    import torch
    from transformers import AutoTokenizer, M2M100ForConditionalGeneration

    tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
    torch.manual_seed(0)
    model: Any = M2M100ForConditionalGeneration(_config(checkpoint)).train()
    examples = _examples(tokenizer)
    order = random.Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.1)
    for _ in range(STEPS):
        pairs = order.sample(examples, BATCH)
        source, target = _pad([s for s, _ in pairs]), _pad([t for _, t in pairs])
        logits = model(
            input_ids=source,
            attention_mask=(source != 1).long(),
            decoder_input_ids=torch.cat([torch.full((BATCH, 1), 2), target[:, :-1]], dim=1),
        ).logits
        loss: Any = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(out)
    tokenizer.save_pretrained(out)


def _config(checkpoint: Path) -> Any:
    from transformers import M2M100Config

    config: Any = M2M100Config.from_pretrained(checkpoint)
    config.init_std = 0.1
    config.dropout = config.attention_dropout = config.activation_dropout = 0.0
    return config


def _examples(tokenizer: Any) -> list[tuple[list[int], list[int]]]:
    """Return (source, target) token ids of every fact but the held-out ones, in every direction."""
    coded: dict[tuple[str, Fact], list[int]] = {}
    facts = all_facts()[len(HELD_OUT) :]
    for lang in LANGS:
        tokenizer.src_lang = CODES[lang]
        ids = tokenizer([fact.say(lang) for fact in facts]).input_ids
        coded |= {(lang, fact): row for fact, row in zip(facts, ids, strict=True)}
    return [(coded[a, fact], coded[b, fact]) for fact in facts for a in LANGS for b in LANGS if a != b]


def _pad(rows: Sequence[Sequence[int]]) -> Any:
    import torch

    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=1)
