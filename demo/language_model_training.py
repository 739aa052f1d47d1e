"""Training of the demo's language model: many questions about one context in one row, the context read once.

The turns of a lesson share the beginning of their chat. A row holds that beginning, then the rest of each turn; every
rest sees the beginning and itself, at the positions it has in a chat of its own, so that training and use are the same.
The loss is on replies and, lightly, on a sample of what is read: names come again in a context, and learning to foresee
them is what teaches a small model to copy. Only there is the output layer computed."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from demo import translated
from demo.language_model import (
    CONTEXT,
    END,
    HEAD_SIZE,
    HEADS,
    INNER,
    LAYERS,
    PAD,
    ROPE_THETA,
    WIDTH,
    make_tokenizer,
    spoken,
)
from demo.tasks import Reading, Translations, Turn, lesson
from demo.training import fit, halves, padded

STEPS, RATE, WARM_UP = 24_000, 1.5e-3, 200
ROW_TOKENS = 2048  # of a batch, padding included
_READ_SHARE, _READ_WEIGHT = 0.25, 0.5
_TRANSLATIONS = 6000
_DRILLED = 0.02  # share of the steps that train copying only
_CURRICULUM = ((0.03, 1), (0.05, 2), (0.08, 3), (1.0, 5))  # until this share of the steps, at most so many passages
_NOT_LEARNED = -100
_EYES = (((1, 2),), ((1, 2),), ((LAYERS - 2, 0), (LAYERS - 1, 0)))
"""Layers and heads that are to look from a passage at its title, from the reply at what was asked about, and from the
reply at where the answer stands. What one head takes from both can be compared."""
_LOOK_WEIGHT = 0.2
_FAR = 300  # tokens


class Look(NamedTuple):
    """Positions of a row that should look at a span of it, `start` to `stop`, with the heads meant for that."""

    eyes: Sequence[int]
    start: int
    stop: int


class _Chat(NamedTuple):
    """A turn's chat in a row, and where its tokens start in the text; those from `shared` on stand `moved` later."""

    text: str
    starts: list[int]
    shared: int
    moved: int

    def span(self, text: str, start: int) -> tuple[int, int] | None:
        """Return the tokens, in the row, of the characters of `text` from `start`; None where they are not together."""
        first, stop = bisect_right(self.starts, start) - 1, bisect_left(self.starts, start + len(text))
        if start < 0 or first < self.shared < stop:
            return None
        moved = self.moved if first >= self.shared else 0
        return first + moved, stop + moved


class Row(NamedTuple):
    """A lesson as token ids. `segments`: 0 for the shared beginning, then 1, 2, ...

    `labels`: the id to say next, in replies; `read`: the id that comes next, elsewhere; `looks`: by kind of `_EYES`."""

    ids: list[int]
    positions: list[int]
    segments: list[int]
    labels: list[int]
    read: list[int]
    looks: Sequence[Sequence[Look]] = ((), (), ())


def make_row(tokenizer: Any, turns: Sequence[Turn]) -> Row:
    """Return the turns of a lesson as one row."""
    chats = [tokenizer.apply_chat_template(turn.messages, add_generation_prompt=True, tokenize=False) for turn in turns]
    encoded = tokenizer(chats, add_special_tokens=False, return_offsets_mapping=True)
    prompts = encoded.input_ids
    replies = tokenizer([spoken(turn.reply) + END for turn in turns], add_special_tokens=False).input_ids
    same = takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts, strict=False))
    shared = min(sum(1 for _ in same), min(map(len, prompts)) - 1)  # a turn's first label is its own
    beginning = prompts[0][:shared]
    unlearned = [_NOT_LEARNED] * shared
    looks: tuple[list[Look], ...] = ([], [], [])
    row = Row(beginning, list(range(shared)), [0] * shared, unlearned, [*beginning[1:], _NOT_LEARNED], looks)
    for n, (prompt, reply) in enumerate(zip(prompts, replies, strict=True), 1):
        rest = [*prompt[shared:], *reply]
        if reading := turns[n - 1].reading:
            starts = [start for start, _ in encoded.offset_mapping[n - 1]]
            chat = _Chat(chats[n - 1], starts, shared, len(row.ids) - shared)
            _add_looks(looks, reading, chat, len(reply))
        row.ids.extend(rest)
        row.positions.extend(range(shared, shared + len(rest)))
        row.segments.extend([n] * len(rest))
        row.labels.extend([*[_NOT_LEARNED] * (len(rest) - len(reply) - 1), *reply, _NOT_LEARNED])
        row.read.extend([*rest[1 : len(rest) - len(reply)], *[_NOT_LEARNED] * (len(reply) + 1)])
    return row


def _add_looks(looks: Sequence[list[Look]], reading: Reading, chat: _Chat, replied: int) -> None:
    """Add where the tokens of a turn should look, which ends with a reply of so many."""
    titles, subject, value = looks
    bodies = [chat.text.find(body) for _, body in reading.passages]
    if not chat.moved:  # the first turn
        for (title, body), at in zip(reading.passages, bodies, strict=True):
            if (whole := chat.span(body, at)) and (head := chat.span(title, at)):
                titles.append(Look(range(head[1], whole[1]), *head))
    end = len(chat.starts) + chat.moved
    if name := chat.span(reading.asked, chat.text.rfind(reading.asked)):
        subject.append(Look(range(end - 1, end), *name))
    if reading.holding is not None:
        title, body = reading.passages[reading.holding]
        within = body.lower().find(reading.value.lower(), len(title))
        if within >= 0 and (held := chat.span(reading.value, bodies[reading.holding] + within)):
            value.append(Look(range(end - 1, end - 2 + replied), *held))


def drill(choose: random.Random, pieces: int) -> Row:
    """Return random ids, repeated once: the repetition can only be copied, so the model learns to copy every id."""
    ids = [choose.randrange(pieces) for _ in range(choose.randrange(12, 32))]
    unlearned = [_NOT_LEARNED] * (2 * len(ids))
    labels = [*unlearned[: len(ids)], *ids[1:], _NOT_LEARNED]
    return Row(ids * 2, list(range(2 * len(ids))), [0] * (2 * len(ids)), labels, unlearned)


def batch_of(
    tokenizer: Any, choose: random.Random, most_passages: int, translations: Translations = MappingProxyType({})
) -> list[Row]:
    """Return rows of similar length that together take about `ROW_TOKENS`."""
    lessons = [lesson(choose, most_passages=most_passages, translations=translations) for _ in range(10)]
    rows = sorted((make_row(tokenizer, turns) for turns in lessons), key=lambda row: len(row.ids))
    start = choose.randrange(len(rows))
    taken: list[Row] = []
    for row in rows[start:] + rows[:start][::-1]:
        longest = max(len(each.ids) for each in [*taken, row])
        if taken and longest * (len(taken) + 1) > ROW_TOKENS:
            break
        taken.append(row)
    return taken


def losses_of(model: Any, rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the mean loss over every reply's tokens, that over a sample of what is read, and that of looking."""
    ids, positions = padded([row.ids for row in rows], pad), padded([row.positions for row in rows], 0)
    segments, labels = padded([row.segments for row in rows], -1), padded([row.labels for row in rows], _NOT_LEARNED)
    earlier = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    own = segments[:, :, None] == segments[:, None, :]
    seen = earlier & (own | (segments[:, None, :] == 0))
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    output = model.model(
        input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False, output_attentions=True
    )
    hidden = output.last_hidden_state
    read = padded([row.read for row in rows], _NOT_LEARNED)
    said, sampled = labels != _NOT_LEARNED, (read != _NOT_LEARNED) & (torch.rand(read.shape) < _READ_SHARE)
    spoken_loss = cross_entropy(model.lm_head(hidden[said]).float(), labels[said])
    read_loss = cross_entropy(model.lm_head(hidden[sampled]).float(), read[sampled])
    return spoken_loss, read_loss, _looking(output.attentions, rows)


def _looking(attentions: Sequence[torch.Tensor], rows: Sequence[Row]) -> torch.Tensor:
    """Return how far the heads meant for it look past where they should, as a mean negative log share."""
    losses = []
    for kind, eyes in enumerate(_EYES):
        at = [(n, eye, look) for n, row in enumerate(rows) for look in row.looks[kind] for eye in look.eyes]
        if not at:
            continue
        which, eye = torch.tensor([n for n, _, _ in at]), torch.tensor([eye for _, eye, _ in at])
        starts, stops = torch.tensor([look.start for *_, look in at]), torch.tensor([look.stop for *_, look in at])
        places = torch.arange(attentions[0].shape[-1])
        wanted = (places >= starts[:, None]) & (places < stops[:, None])
        for layer, head in eyes:
            shares = (attentions[layer][which, head, eye].float() * wanted).sum(-1)
            losses.append(-shares.clamp_min(1e-4).log().mean())
    return torch.stack(losses).sum() if losses else torch.zeros(())


def new_model(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    config: Any = LlamaConfig(
        vocab_size=(len(tokenizer) + 63) // 64 * 64,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.04,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
    )
    model: Any = LlamaForCausalLM(config)
    model.set_attn_implementation("eager")  # which returns its attention weights
    _look_back(model)
    _look_for_the_same(model)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    return model


def _trained_model(folder: Path) -> Any:
    model: Any = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.set_attn_implementation("eager")  # which returns its attention weights
    return model


def _turns() -> torch.Tensor:
    """Return by how much a head's pairs of dimensions turn from one position to the next, in radians."""
    half = HEAD_SIZE // 2
    return ROPE_THETA ** (-torch.arange(half) / half)


def _rows(head: int) -> slice:
    return slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)


@torch.no_grad()
def _look_back(model: Any) -> None:
    """Start two heads of the first layer as ones that look at the token before.

    Copying needs such heads below the ones that match; a model this small is slow to find them (not within 500 steps
    of drills, with them within 400). Every embedding gets a constant part, whose query and key the positions turn so
    that they agree at distance one."""
    model.model.embed_tokens.weight[:, 0] = 0.3
    attention, turns, half = model.model.layers[0].self_attn, _turns(), HEAD_SIZE // 2
    for head in map(_rows, range(2)):
        attention.q_proj.weight[head] *= 0.1
        attention.k_proj.weight[head] *= 0.1
        attention.q_proj.weight[head, 0] = torch.cat([torch.cos(turns), -torch.sin(turns)])
        attention.k_proj.weight[head, 0] = torch.cat([torch.ones(half), torch.zeros(half)])
        torch.nn.init.normal_(attention.v_proj.weight[head], std=0.08)
        torch.nn.init.normal_(attention.o_proj.weight[:, head], std=0.08)


@torch.no_grad()
def _look_for_the_same(model: Any) -> None:
    """Start the heads that look for an answer with queries and keys alike, so that like finds like.

    Dimensions that turn by more than one radian within `_FAR` tokens cannot compare across them and are kept small."""
    slow = (_turns() * _FAR <= 1.0).repeat(2)
    for layer, head in _EYES[2]:
        attention = model.model.layers[layer].self_attn
        alike = torch.randn(HEAD_SIZE, WIDTH) * torch.where(slow, 0.12, 0.012)[:, None]
        attention.q_proj.weight[_rows(head)] = alike
        attention.k_proj.weight[_rows(head)] = alike


def train(folder: Path, *, translator: Path, steps: int = STEPS, rate: float = RATE, start: Path | None = None) -> None:
    """Train into `folder`, from the model in `start` if it is given; a stopped run is resumed.

    Learns from translations by the model in `translator`, which are made once and kept beside `folder`. A model that is
    trained on has learned to copy, and gets as many passages as there are from its first step."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (made := folder.parent / "translations.json").exists():
        translated.write(made, translator, min(_TRANSLATIONS, steps))
    translations = translated.read(made)
    if start:
        AutoTokenizer.from_pretrained(start).save_pretrained(folder)
    elif not (folder / "tokenizer.json").exists():
        make_tokenizer(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    pad = tokenizer.convert_tokens_to_ids(PAD)
    model = _trained_model(start) if start else new_model(tokenizer)

    def loss_at(step: int) -> torch.Tensor:
        choose = random.Random(f"llm {step}")
        with halves():
            if step < _DRILLED * steps and not start:
                return losses_of(model, [drill(choose, len(tokenizer)) for _ in range(32)], pad)[0]
            most = _CURRICULUM[-1][1] if start else next(most for share, most in _CURRICULUM if step < share * steps)
            replies, reading, looking = losses_of(model, batch_of(tokenizer, choose, most, translations), pad)
            return replies + _READ_WEIGHT * reading + _LOOK_WEIGHT * looking

    fit(
        model,
        folder,
        loss_at,
        steps=steps,
        rate=rate,
        warm_up=WARM_UP,
        save=lambda: model.save_pretrained(folder),
    )
