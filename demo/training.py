"""The training loop of all models of the demo: seeded by step, with checkpoints, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

_STATE = "training.pt"
_SAVE_SECONDS = 120
_FLOOR = 0.02  # share of the learning rate at the end


def fit(
    model: Any,
    folder: Path,
    loss_at: Callable[[int], Any],
    *,
    steps: int,
    rate: float,
    warm_up: int,
    save: Callable[[], None],
    save_every: int = 250,
) -> None:
    """Train for `steps` steps, including those of an earlier run; `save` writes the model in its final format.

    Reports and saves every `save_every` steps, and after each two minutes.

    `loss_at(step)` draws its examples from the step's number alone, so a resumed run equals an uninterrupted one."""
    state = folder / _STATE
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    done = 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = int(saved["steps"])
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation("eager")  # the backward pass of torch's fused attention takes twice as long
    model.train()
    started, losses = time.monotonic(), []
    saved_at = started
    for step in range(done, steps):
        torch.manual_seed(step)  # dropout
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / min(warm_up, 1 + steps // 10)) * max(_FLOOR, 1.0 - step / steps)
        loss = loss_at(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if (step + 1) % save_every == 0 or step + 1 == steps or time.monotonic() - saved_at > _SAVE_SECONDS:
            recent = losses[-save_every:]
            seconds = (time.monotonic() - started) / len(losses)
            print(
                f"{folder.name}: step {step + 1}/{steps}  loss {sum(recent) / len(recent):.4f}  {seconds:.2f} s/step",
                flush=True,
            )
            temporary = state.with_suffix(".new")
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "steps": step + 1}, temporary)
            temporary.replace(state)
            save()
            saved_at = time.monotonic()
    model.eval()


def halves() -> torch.autocast:
    """Return a context that computes in bfloat16 if the processor has instructions for it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities().get("avx512_bf16")))


def padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    """Return token ids as one tensor, shape (len(rows), longest)."""
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=filler)
