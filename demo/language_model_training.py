"""Training of the demo's language model: many questions about one context in one row, the context read once.

The turns of a lesson share the beginning of their chat. A row holds that beginning, then the rest of each turn; every
rest sees the beginning and itself, at the positions it has in a chat of its own, so that training and use are the same.
The loss is on replies and, lightly, on a sample of what is read: names come again in a context, and learning to foresee
them is what teaches a small model to copy. Only there is the output layer computed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from demo.language_model import CONTEXT, END, HEADS, INNER, KV_HEADS, LAYERS, PAD, WIDTH, make_tokenizer, spoken
from demo.tasks import Turn, lesson
from demo.training import fit, padded

STEPS, RATE, WARM_UP = 23_000, 1.5e-3, 200
ROW_TOKENS = 2048  # of a batch, padding counted
_READ_SHARE, _READ_WEIGHT = 0.25, 0.5
_DRILLED = 0.045  # this share of the steps drills copying alone
_CURRICULUM = ((0.14, 1), (0.2, 2), (0.27, 3), (1.0, 5))  # until this share of the steps, at most so many passages
_NOT_LEARNED = -100


class Row(NamedTuple):
    """A lesson as token ids. `segments`: 0 for the shared beginning, then 1, 2, ...

    `labels`: the id to say next, in replies; `read`: the id that comes next, elsewhere."""

    ids: list[int]
    positions: list[int]
    segments: list[int]
    labels: list[int]
    read: list[int]


def make_row(tokenizer: Any, turns: Sequence[Turn]) -> Row:
    """Return the turns of a lesson as one row."""
    chats = [tokenizer.apply_chat_template(turn.messages, add_generation_prompt=True, tokenize=False) for turn in turns]
    prompts = tokenizer(chats, add_special_tokens=False).input_ids
    replies = tokenizer([spoken(turn.reply) + END for turn in turns], add_special_tokens=False).input_ids
    same = takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts, strict=False))
    shared = min(sum(1 for _ in same), min(map(len, prompts)) - 1)  # a turn's first label is its own
    beginning = prompts[0][:shared]
    row = Row(beginning, list(range(shared)), [0] * shared, [_NOT_LEARNED] * shared, [*beginning[1:], _NOT_LEARNED])
    for n, (prompt, reply) in enumerate(zip(prompts, replies, strict=True), 1):
        rest = [*prompt[shared:], *reply]
        row.ids.extend(rest)
        row.positions.extend(range(shared, shared + len(rest)))
        row.segments.extend([n] * len(rest))
        row.labels.extend([*[_NOT_LEARNED] * (len(rest) - len(reply) - 1), *reply, _NOT_LEARNED])
        row.read.extend([*rest[1 : len(rest) - len(reply)], *[_NOT_LEARNED] * (len(reply) + 1)])
    return row


def drill(choose: random.Random, pieces: int) -> Row:
    """Return random ids twice over: the second time can only be copied, and so copying is learned, of every id."""
    ids = [choose.randrange(pieces) for _ in range(choose.randrange(12, 32))]
    unlearned = [_NOT_LEARNED] * (2 * len(ids))
    labels = [*unlearned[: len(ids)], *ids[1:], _NOT_LEARNED]
    return Row(ids * 2, list(range(2 * len(ids))), [0] * (2 * len(ids)), labels, unlearned)


def batch_of(tokenizer: Any, choose: random.Random, most_passages: int) -> list[Row]:
    """Return rows of similar length that together take about `ROW_TOKENS`."""
    lessons = [lesson(choose, most_passages=most_passages) for _ in range(10)]
    rows = sorted((make_row(tokenizer, turns) for turns in lessons), key=lambda row: len(row.ids))
    start = choose.randrange(len(rows))
    taken: list[Row] = []
    for row in rows[start:] + rows[:start][::-1]:
        longest = max(len(each.ids) for each in [*taken, row])
        if taken and longest * (len(taken) + 1) > ROW_TOKENS:
            break
        taken.append(row)
    return taken


def losses_of(model: Any, rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean loss over every reply's tokens, and that over a sample of what is read."""
    ids, positions = padded([row.ids for row in rows], pad), padded([row.positions for row in rows], 0)
    segments, labels = padded([row.segments for row in rows], -1), padded([row.labels for row in rows], _NOT_LEARNED)
    earlier = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    own = segments[:, :, None] == segments[:, None, :]
    seen = earlier & (own | (segments[:, None, :] == 0))
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    hidden = model.model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).last_hidden_state
    read = padded([row.read for row in rows], _NOT_LEARNED)
    said, sampled = labels != _NOT_LEARNED, (read != _NOT_LEARNED) & (torch.rand(read.shape) < _READ_SHARE)
    spoken_loss = cross_entropy(model.lm_head(hidden[said]), labels[said])
    return spoken_loss, cross_entropy(model.lm_head(hidden[sampled]), read[sampled])


def new_model(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    config: Any = LlamaConfig(
        vocab_size=(len(tokenizer) + 63) // 64 * 64,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=WIDTH // HEADS,
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
        initializer_range=0.04,
    )
    model: Any = LlamaForCausalLM(config)
    _look_back(model, WIDTH // HEADS)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    return model


@torch.no_grad()
def _look_back(model: Any, size: int) -> None:
    """Start two heads of the first layer as ones that look at the token before.

    Copying needs such heads below the ones that match; a model this small is slow to find them (not within 500 steps
    of drills, with them within 400). Every embedding gets a constant part, whose query and key the positions turn so
    that they agree at distance one."""
    model.model.embed_tokens.weight[:, 0] = 0.3
    attention = model.model.layers[0].self_attn
    turns = model.config.rope_parameters["rope_theta"] ** (-torch.arange(0, size // 2) / (size / 2))
    for head in (slice(0, size), slice(size, 2 * size)):
        attention.q_proj.weight[head] *= 0.1
        attention.k_proj.weight[head] *= 0.1
        attention.q_proj.weight[head, 0] = torch.cat([torch.cos(turns), -torch.sin(turns)])
        attention.k_proj.weight[head, 0] = torch.cat([torch.ones(size // 2), torch.zeros(size // 2)])
        torch.nn.init.normal_(attention.v_proj.weight[head], std=0.08)
        torch.nn.init.normal_(attention.o_proj.weight[:, head], std=0.08)


def train(folder: Path, *, steps: int = STEPS) -> None:
    """Train into `folder`; the same command goes on where a stopped one was."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tokenizer.json").exists():
        make_tokenizer(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    pad = tokenizer.convert_tokens_to_ids(PAD)
    model = new_model(tokenizer)

    def loss_at(step: int) -> torch.Tensor:
        choose = random.Random(f"llm {step}")
        if step < _DRILLED * steps:
            return losses_of(model, [drill(choose, len(tokenizer)) for _ in range(32)], pad)[0]
        most = next(most for share, most in _CURRICULUM if step < share * steps)
        replies, reading = losses_of(model, batch_of(tokenizer, choose, most), pad)
        return replies + _READ_WEIGHT * reading

    fit(
        model,
        folder,
        loss_at,
        steps=steps,
        rate=RATE,
        warm_up=WARM_UP,
        save=lambda: model.save_pretrained(folder),
    )
