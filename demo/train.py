"""Train the demo's models from scratch and write them to demo/models/.

python -m demo.train                    all models, in order; a stopped run is resumed
python -m demo.train translator         one of encoder, reranker, translator, language-model
python -m demo.train --steps-share 0.01 a quick check that everything runs
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from demo import language_model_training, retrieval, translator

HERE = Path(__file__).parent
MODELS = HERE / "models"
WORK = HERE / "training"
_NOT_SHIPPED = ("training.pt", "training.new", "README.md")


def _trainers(work: Path, share: float) -> dict[str, Callable[[], None]]:
    def steps(of_all: int) -> int:
        return max(1, round(of_all * share))

    encoder = work / "encoder"
    return {
        "encoder": lambda: retrieval.train_encoder(encoder, steps=steps(retrieval.ENCODER_STEPS)),
        "reranker": lambda: retrieval.train_reranker(work / "reranker", encoder, steps=steps(retrieval.RERANKER_STEPS)),
        "translator": lambda: translator.train(work / "translator", steps=steps(translator.STEPS)),
        "language-model": lambda: language_model_training.train(
            work / "language-model", steps=steps(language_model_training.STEPS)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="encoder, reranker, translator or language-model (default: all)")
    parser.add_argument("--steps-share", type=float, default=1.0, help="train only this share of the steps")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--work", type=Path, default=WORK, help="checkpoints (default: demo/training)")
    parser.add_argument("--models", type=Path, default=MODELS, help="results (default: demo/models)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    trainers = _trainers(given.work, given.steps_share)
    if given.model and given.model not in trainers:
        parser.error(f"no model '{given.model}'; there are {', '.join(trainers)}")
    for name in [given.model] if given.model else trainers:
        trainers[name]()
        ship(given.work / name, given.models / name)


if __name__ == "__main__":
    main()
