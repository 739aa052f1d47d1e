"""`qttrag init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer

from qttrag.cli import output

Machine = Literal["laptop", "laptop-fast", "gpu", "server"]


class Choice(NamedTuple):
    """The deployment for a kind of machine, and why."""

    deployment: str
    reasons: tuple[str, ...]


_LICENCES = (
    "Licences: MIT, Apache-2.0; NLLB's weights are for non-commercial use (MIT instead: `translator: {kind: m2m100}`)."
)
_WAIT_LESS = (
    "most of it in the language model; `qttrag doctor` estimates it. To wait less, for poorer answers: "
    "`--for laptop-fast`."
)
CHOICES: dict[str, Choice] = {
    "laptop": Choice(
        "laptop",
        (
            "All models run in this process, without a GPU: encoder, a reranker of 118 M and NLLB in int8, a model of "
            "1.5 B.",
            "Memory: some 8 GB, of which the language model in float32 takes 6. `laptop-gguf` has it in 4 bits: some "
            "3 GB in all; it is chosen where qttrag[llama-cpp] is installed.",
            _LICENCES,
            f"Time: minutes a question on two cores, {_WAIT_LESS}",
        ),
    ),
    "laptop-gguf": Choice(
        "laptop-gguf",
        (
            "All models run in this process, without a GPU: encoder, a reranker of 118 M and NLLB in int8, a model of "
            "1.5 B in 4 bits on llama.cpp, which is installed.",
            "Memory: some 3 GB.",
            _LICENCES,
            f"Time: about a minute a question on two cores at rest, {_WAIT_LESS}",
        ),
    ),
    "laptop-fast": Choice(
        "laptop-fast",
        (
            "As `laptop-gguf`, with a language model of 0.5 B on llama.cpp (qttrag[llama-cpp]), and scores from the "
            "encoder instead of the language model.",
            "Quality: expect poorer answers than from 1.5 B; the scores say little, and cover meaning alone. The "
            "method of arXiv:2510.23070 is in `laptop-gguf` and `served`.",
            "Memory: some 2 GB.",
            _LICENCES,
            "Time: the language model does an eighth of the arithmetic of `laptop-gguf`; `qttrag doctor` estimates the "
            "seconds of a question.",
        ),
    ),
    "gpu": Choice(
        "gpu",
        (
            "All models run in this process on one GPU, the language model (7 B) in bfloat16.",
            "Memory: a card of 24 GB; the language model takes 15, the others some 4.",
            _LICENCES,
            "Time: not measured; `python -m benchmarks.llm` measures the language model on your card.",
        ),
    ),
    "server": Choice(
        "served",
        (
            "Encoder, reranker and translator in this process, two language models on vLLM servers (`qttrag vllm up`).",
            "Memory: `qttrag vllm models` lists it by model; 15 to 16 GB of weights for each of the two.",
            "Licences: MIT, Apache-2.0, Llama 3.1 Community; NLLB's weights are for non-commercial use.",
            "Time: many questions share the servers; `python -m benchmarks.service` measures yours.",
        ),
    ),
}


def choice_for(machine: Machine) -> Choice:
    """Return the deployment for a machine; a laptop's depends on whether llama.cpp is installed here."""
    from importlib.util import find_spec

    return CHOICES["laptop-gguf" if machine == "laptop" and find_spec("llama_cpp") else machine]


def init(
    folder: Annotated[Path, typer.Argument(help="Where to create the folders.")],
    machine: Annotated[
        Machine, typer.Option("--for", help="The machine: chooses a deployment and says why.")
    ] = "laptop",
    as_json: output.Json = False,
) -> None:
    """Copy prompts, index recipes, deployments and suites to a folder for editing, and choose a deployment.

    Example: qttrag init my-qttrag --for gpu && export QTTRAG_HOME=$PWD/my-qttrag
    """
    from qttrag import resources

    copied = [str(path) for path in resources.copy_out(folder)]
    choice = choice_for(machine)
    if as_json:
        output.say_json({"copied": copied, "deployment": choice.deployment, "reasons": choice.reasons})
        return
    output.say("\n".join(copied))
    output.say(f"Deployment: {choice.deployment}")
    output.say("\n".join(f"- {reason}" for reason in choice.reasons))
    output.say(f"Next: export QTTRAG_HOME={folder.resolve()} QTTRAG_CONFIG={choice.deployment}")
    output.say("      qttrag models pull $QTTRAG_CONFIG && qttrag doctor --config $QTTRAG_CONFIG")
