"""The trainer's own arithmetic, on the tokenizer that is shipped."""

from __future__ import annotations

import operator
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from demo import language_model_training as training
from demo.facts import LANGS
from demo.language_model import PAD, spoken
from demo.tasks import lesson
from demo.train import MODELS, mix, ship
from demo.training import fit
from qttrag.translators.nllb import tokenizer as nllb_tokenizer
from qttrag.types import Lang


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODELS / "language-model")


def test_a_shared_beginning_is_read_once_and_changes_nothing(tokenizer: Any) -> None:
    model = training.new_model(tokenizer).eval()
    turns = lesson(random.Random(4), most_passages=3)
    together = training.make_row(tokenizer, turns)
    alone = [training.make_row(tokenizer, [turn]) for turn in turns]
    assert len(together.ids) < sum(len(row.ids) for row in alone)
    pad = tokenizer.convert_tokens_to_ids(PAD)
    with torch.inference_mode():
        said = training.losses_of(model, [together], pad)[0].item()
        losses = [training.losses_of(model, [row], pad)[0].item() for row in alone]
    counts = [sum(label != -100 for label in row.labels) for row in alone]
    assert said == pytest.approx(sum(map(operator.mul, losses, counts)) / sum(counts), rel=1e-4)


def test_heads_are_told_to_look_at_titles_at_what_is_asked_about_and_at_the_answer(tokenizer: Any) -> None:
    lessons = (lesson(random.Random(seed), most_passages=3) for seed in range(400))
    turns = next(turns for turns in lessons if all(turn.reading and turn.reading.value for turn in turns))
    row = training.make_row(tokenizer, turns)
    readings = [turn.reading for turn in turns if turn.reading]
    looked_at = [[tokenizer.decode(row.ids[look.start : look.stop]).strip() for look in kind] for kind in row.looks]
    assert looked_at == [
        [title for title, _ in readings[0].passages],
        [reading.asked for reading in readings],
        [reading.value for reading in readings],
    ]
    for look, turn in zip(row.looks[2], turns, strict=True):
        said = [row.labels[eye] for eye in look.eyes]
        assert tokenizer.decode(said).strip() == turn.reply


def test_a_fixed_line_of_a_prompt_is_one_token(tokenizer: Any) -> None:
    messages = lesson(random.Random(1), most_passages=1)[0].messages
    lines = messages[0]["content"].splitlines()
    assert len(tokenizer(messages[0]["content"], add_special_tokens=False).input_ids) == 2 * len(lines) - 1


def test_a_name_has_the_same_pieces_wherever_it_stands(tokenizer: Any) -> None:
    first, inside = "[1]\nLesotho. 레소토는", "x Lesotho, 그 레소토의"
    ids = [tokenizer(text, add_special_tokens=False).input_ids for text in (first, inside, spoken("Lesotho"))]
    name = ids[2]
    for text in ids[:2]:
        assert any(text[n : n + len(name)] == name for n in range(len(text)))


def test_the_encoder_reads_words_whole_and_spells_names_letter_by_letter() -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(MODELS / "encoder")
    english = tokenizer.tokenize("What is the currency of Uganda?")
    assert english == ["▁what", "▁is", "▁the", "▁currency", "▁of", "▁", *"uganda", "?"]
    korean = tokenizer.tokenize("우간다의 통화는 무엇입니까?")
    letters = unicodedata.normalize("NFD", "우간다의")
    assert [unicodedata.normalize("NFC", piece) for piece in korean] == ["▁", *letters, "▁통화는", "▁무엇입니까", "?"]
    assert tokenizer.tokenize("乌干达的官方语言") == ["▁", *"wuganda", *"的官方语言"]


def test_the_translator_spells_names_and_writes_them_whole() -> None:
    tokenizer = nllb_tokenizer(MODELS / "translator")
    (letters,) = tokenizer.encode(["레소토"])
    assert letters == ("▁", *unicodedata.normalize("NFD", "레소토"))
    assert tokenizer.decode(letters) == "레소토"
    assert [tokenizer.target_code(Lang(lang)) for lang in LANGS] == [
        ("eng_Latn",),
        ("kor_Hang",),
        ("fin_Latn",),
        ("zho_Hans",),
    ]


def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def run(folder: Path, stop_at: int | None = None) -> torch.Tensor:
        folder.mkdir(exist_ok=True)
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)

        def loss_at(step: int) -> torch.Tensor:
            if step == stop_at:
                raise KeyboardInterrupt
            read = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            loss: torch.Tensor = (model(read) ** 2).mean()
            return loss

        fit(model, folder, loss_at, steps=10, rate=0.1, warm_up=1, save=lambda: None, save_every=2)
        return model.weight.detach()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", stop_at=5)
    assert torch.equal(run(tmp_path / "stopped"), run(tmp_path / "whole"))


def test_mixed_weights_lie_between_the_old_and_the_new(tmp_path: Path) -> None:
    for name, value in (("old", 1.0), ("new", 3.0)):
        (tmp_path / name).mkdir()
        save_file({"w": torch.full((2,), value, dtype=torch.float16)}, tmp_path / name / "model.safetensors")
    mix(tmp_path / "new", tmp_path / "old", 0.75)
    (mixed,) = load_file(tmp_path / "new" / "model.safetensors").values()
    assert mixed.dtype == torch.float16
    assert mixed.tolist() == [2.5, 2.5]


def test_shipped_weights_are_halved_and_loaded_whole(tmp_path: Path) -> None:
    ship(MODELS / "encoder", tmp_path / "again")
    from transformers import AutoModel

    assert next(AutoModel.from_pretrained(tmp_path / "again").parameters()).dtype == torch.float32
    total = sum(path.stat().st_size for path in MODELS.rglob("*.safetensors"))
    assert total < 30e6
