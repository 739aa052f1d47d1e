"""Train the demo's models from scratch and write them to demo/models/.

python -m demo.train                    all models, in order; a stopped run is resumed
python -m demo.train translator         one of encoder, reranker, translator, language-model
python -m demo.train --steps-share 0.01 a quick check that everything runs
python -m demo.train encoder --start OLD --steps 2000 --rate 7e-4
                                        the model in the folder OLD is trained on
python -m demo.train language-model --start OLD --steps 4000 --rate 5e-4 --mix 0.65
                                        and the result mixed with it: 65 % of the new weights, 35 % of the old
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file

from demo import language_model_training, retrieval, translator

HERE = Path(__file__).parent
MODELS = HERE / "models"
WORK = HERE / "training"
_NOT_SHIPPED = ("training.pt", "training.new", "README.md")


class Course(NamedTuple):
    """How to train: a `share` of the model's steps, or `steps`; None: the model's own number, rate and start."""

    share: float = 1.0
    steps: int | None = None
    rate: float | None = None
    start: Path | None = None

    def arguments(self, steps: int, rate: float) -> dict[str, Any]:
        """Return the arguments of a trainer whose own steps and learning rate are these."""
        count = self.steps or max(1, round(steps * self.share))
        return {"steps": count, "rate": self.rate or rate, "start": self.start}


def _trainers(work: Path, course: Course) -> dict[str, Callable[[], None]]:
    encoder = work / "encoder"
    of_encoder = course.arguments(retrieval.ENCODER_STEPS, retrieval.ENCODER_RATE)
    of_reranker = course.arguments(retrieval.RERANKER_STEPS, retrieval.RERANKER_RATE)
    of_translator = course.arguments(translator.STEPS, translator.RATE)
    of_language_model = course.arguments(language_model_training.STEPS, language_model_training.RATE)
    return {
        "encoder": lambda: retrieval.train_encoder(encoder, **of_encoder),
        "reranker": lambda: retrieval.train_reranker(work / "reranker", **of_reranker | {"start": encoder}),
        "translator": lambda: translator.train(work / "translator", **of_translator),
        "language-model": lambda: language_model_training.train(
            work / "language-model", translator=work / "translator", **of_language_model
        ),
    }


def ship(trained: Path, folder: Path) -> None:
    """Copy a trained model to `folder`: weights in float16, to be loaded in float32. The model card is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in _NOT_SHIPPED:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(*_NOT_SHIPPED), dirs_exist_ok=True)
    for weights in folder.glob("*.safetensors"):
        halved = {name: tensor.to(torch.float16).contiguous() for name, tensor in load_file(weights).items()}
        save_file(halved, weights, metadata={"format": "pt"})
    config = folder / "config.json"
    settings = json.loads(config.read_text("utf-8")) | {"dtype": "float32"}
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def mix(folder: Path, earlier: Path, share: float) -> None:
    """Mix the weights of a model with those that it was trained on from: `share` of the new ones (arXiv:2109.01903)."""
    for weights in folder.glob("*.safetensors"):
        new, old = load_file(weights), load_file(earlier / weights.name)
        mixed = {name: torch.lerp(old[name].float(), new[name].float(), share).to(new[name].dtype) for name in new}
        save_file(mixed, weights, metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="encoder, reranker, translator or language-model (default: all)")
    parser.add_argument("--steps-share", type=float, default=1.0, help="train only this share of the steps")
    parser.add_argument("--steps", type=int, help="train so many steps")
    parser.add_argument("--rate", type=float, help="the highest learning rate")
    parser.add_argument("--start", type=Path, help="a trained model to begin with (default: random weights)")
    parser.add_argument("--mix", type=float, default=1.0, help="share of the new weights; the rest is of --start")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--work", type=Path, default=WORK, help="checkpoints (default: demo/training)")
    parser.add_argument("--models", type=Path, default=MODELS, help="results (default: demo/models)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    trainers = _trainers(given.work, Course(given.steps_share, given.steps, given.rate, given.start))
    if given.start and not given.model:
        parser.error("--start is one model's; name the model")
    if given.model and given.model not in trainers:
        parser.error(f"no model '{given.model}'; there are {', '.join(trainers)}")
    for name in [given.model] if given.model else trainers:
        trainers[name]()
        ship(given.work / name, given.models / name)
        if given.start and given.mix < 1.0:
            mix(given.models / name, given.start, given.mix)


if __name__ == "__main__":
    main()
