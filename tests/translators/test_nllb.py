from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from qttrag import resources
from qttrag.errors import ConfigError, StageError
from qttrag.models import loading
from qttrag.trace import Trace
from qttrag.translators.ctranslate2 import converted
from qttrag.translators.nllb import NllbTransformersTranslator, NllbTranslator, tokenizer
from qttrag.translators.segments import Codes, ModelOutput, Segmentation, segments
from qttrag.types import Lang, Translation
from tests.texts import paragraph
from tests.translators.conftest import CODES, HELD_OUT

EN, KO, FI, ZH = map(Lang, ("en", "ko", "fi", "zh"))
PAIRS = [(EN, KO), (EN, FI), (ZH, EN), (KO, FI)]


def located(folder: Path) -> loading.LocatedModel:
    return loading.locate("translator", str(folder), revision=None, model_types={"m2m_100"})


def exact(folder: Path, **settings: Any) -> NllbTranslator:
    return NllbTranslator(str(folder), **{"device": "cpu", "compute_type": "float32", "beam_size": 1, **settings})


async def run(
    translator: NllbTranslator | NllbTransformersTranslator, texts: Sequence[str], source: Lang, target: Lang
) -> tuple[list[Translation], dict[str, int]]:
    trace = Trace()
    with trace.stage("t"):
        translations = await translator.translate(texts, [source] * len(texts), target)
    return translations, {name.removeprefix("t."): n for name, n in trace.counts.items()}


def jumbled(lang: Lang, n: int) -> list[str]:
    """Return texts that no model was trained on: words of the pool in any order, some of them unheard of."""
    draw = random.Random(7)
    words = [w for fact in HELD_OUT for w in (fact.say(lang) if lang == ZH else fact.say(lang).split())]
    glue = "" if lang == ZH else " "
    return [glue.join(draw.choices([*words, "Xylo7", "é"], k=draw.randint(2, 12))) for _ in range(n)]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_both_engines_give_the_same_tokens_under_greedy_search(
    translating: Path, source: Lang, target: Lang
) -> None:
    texts = [fact.say(source) for fact in HELD_OUT] + jumbled(source, 40)
    codes = Codes((CODES[source],), (CODES[target],))
    cut = [segments(text, source, codes, tokenizer(translating), Segmentation("passage", 200)) for text in texts]
    inputs = [part.model_input for parts in cut for part in parts if part.model_input]
    outputs: list[list[ModelOutput]] = []
    for translator in (exact(translating), NllbTransformersTranslator(str(translating), device="cpu", beam_size=1)):
        model = await translator._loaded.get()
        outputs.append(await model.batcher.map(inputs))
    assert len(inputs) == 80
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_the_output_is_a_translation(translating: Path, source: Lang, target: Lang) -> None:
    translator = NllbTranslator(str(translating), device="cpu")
    translations, _ = await run(translator, [fact.say(source) for fact in HELD_OUT], source, target)
    right = sum(t.text == fact.say(target) for t, fact in zip(translations, HELD_OUT, strict=True))
    assert right >= 0.65 * len(HELD_OUT)
    assert sum(bool(t.flags) for t in translations) <= 1


async def test_a_passage_is_translated_sentence_by_sentence(translating: Path) -> None:
    facts = HELD_OUT[:4]
    (translation,), counts = await run(exact(translating), [" ".join(f.say(EN) for f in facts)], EN, FI)
    assert translation.text == " ".join(fact.say(FI) for fact in facts)
    assert counts == {"sentences": 4}


async def test_one_call_takes_texts_of_several_languages(translating: Path) -> None:
    fact = HELD_OUT[0]
    languages = [EN, KO, ZH]
    translations = await exact(translating).translate([fact.say(lang) for lang in languages], languages, FI)
    assert [t.text for t in translations] == [fact.say(FI)] * 3


async def test_waiting_callers_with_different_targets_are_served_together(translating: Path) -> None:
    translator, fact = exact(translating), HELD_OUT[0]
    replies = await asyncio.gather(*(translator.translate([fact.say(EN)], [EN], target) for target in (KO, FI, ZH)))
    assert [reply[0].text for reply in replies] == [fact.say(target) for target in (KO, FI, ZH)]


async def test_a_batch_gives_the_same_translations_as_single_texts(translating: Path) -> None:
    translator = exact(translating)
    texts = [paragraph("en", n, seed=n) for n in range(1, 6)]
    together = await translator.translate(texts, [EN] * 5, KO)
    assert together == [(await translator.translate([text], [EN], KO))[0] for text in texts]


async def test_the_same_sentence_twice_is_translated_once(translating: Path) -> None:
    text = HELD_OUT[0].say(EN)
    translations, counts = await run(exact(translating), [text, f"{text} {text}"], EN, FI)
    assert translations[1].text == f"{translations[0].text} {translations[0].text}"
    assert counts == {"sentences": 3, "duplicates": 2}


async def test_a_text_in_the_target_language_is_returned_unchanged(translating: Path) -> None:
    text = "  vapaa \n teksti "
    translations, counts = await run(exact(translating), [text], FI, FI)
    assert translations == [Translation(text)]
    assert counts == {"same_language": 1}


async def test_an_empty_text_is_an_empty_translation(translating: Path) -> None:
    translations, counts = await run(exact(translating), ["", " \n"], EN, FI)
    assert translations == [Translation(""), Translation("")]
    assert counts == {}


async def test_a_sentence_without_letters_is_copied_unchanged(translating: Path) -> None:
    translations, counts = await run(exact(translating), ["1988."], EN, KO)
    assert translations == [Translation("1988.")]
    assert counts == {"copied_unchanged": 1}


async def test_a_lone_surrogate_does_not_stop_a_translation(translating: Path) -> None:
    fact = HELD_OUT[0]
    translations, _ = await run(exact(translating), [f"\ud83d {fact.say(EN)}"], EN, FI)
    assert fact.year in translations[0].text


def test_special_tokens_in_a_text_are_letters(translating: Path) -> None:
    (tokens,) = tokenizer(translating).encode(["the end </s> of kor_Hang <pad> <mask><s>"])
    assert not {"</s>", "kor_Hang", "<pad>", "<mask>", "<s>"} & set(tokens)


async def test_a_sentence_that_is_too_long_is_split_without_loss(translating: Path) -> None:
    text = ", ".join(fact.say(EN).removesuffix(".") for fact in HELD_OUT[:6]) + "."
    translations, counts = await run(exact(translating, max_sentence_tokens=16), [text], EN, KO)
    assert counts["split"] == 1
    assert counts["sentences"] >= 6
    assert "cut" not in counts
    years = [fact.year for fact in HELD_OUT[:6]]
    parts = segments(text, EN, Codes((CODES[EN],), (CODES[KO],)), tokenizer(translating), Segmentation("sentence", 16))
    assert " ".join(part.text for part in parts) == text
    assert all(part.model_input is None or len(part.model_input.tokens) <= 16 for part in parts)
    assert sum(year in translations[0].text for year in years) >= 5


async def test_unit_passage_gives_the_model_the_whole_passage(translating: Path) -> None:
    _, counts = await run(exact(translating, unit="passage"), [paragraph("en", 4)], EN, KO)
    assert counts["sentences"] == 1


async def test_unit_passage_flags_and_counts_what_it_cuts(translating: Path) -> None:
    translations, counts = await run(exact(translating, unit="passage"), [paragraph("en", 80)], EN, KO)
    assert counts["cut"] == 1
    assert "cut" in translations[0].flags


@pytest.mark.parametrize("beam_size", [1, 4])
async def test_a_translation_that_hits_the_length_limit_is_flagged_and_counted(tiny: Path, beam_size: int) -> None:
    """Random weights never end a sentence."""
    translations, counts = await run(exact(tiny / "nllb", beam_size=beam_size), [HELD_OUT[0].say(EN)], EN, FI)
    assert counts["hit_length_limit"] == 1
    assert "cut" in translations[0].flags


async def test_int8_from_float16_weights_translates_as_int8_from_float32_weights(
    translating: Path, tmp_path: Path
) -> None:
    from ctranslate2.converters import TransformersConverter

    texts = [fact.say(EN) for fact in HELD_OUT]
    translator = NllbTranslator(str(translating), compute_type="int8", beam_size=1)
    kept, _ = await run(translator, texts, EN, KO)
    folder = converted(located(translating), "int8")
    shutil.rmtree(folder)
    TransformersConverter(str(translating)).convert(str(folder), quantization="float32")
    full, _ = await run(NllbTranslator(str(translating), compute_type="int8", beam_size=1), texts, EN, KO)
    assert sum(a == b for a, b in zip(kept, full, strict=True)) >= len(texts) - 1


async def test_start_loads_the_model(translating: Path) -> None:
    await exact(translating).start()
    assert list((resources.cache_folder() / "ctranslate2").glob("*/model.bin"))


def test_a_checkpoint_is_converted_once(tiny: Path) -> None:
    folder = converted(located(tiny / "nllb"), "int8")
    before = (folder / "model.bin").stat().st_mtime_ns
    assert converted(located(tiny / "nllb"), "float16") == folder
    assert (folder / "model.bin").stat().st_mtime_ns == before


def test_the_remains_of_a_killed_conversion_are_not_used(tiny: Path) -> None:
    model = located(tiny / "nllb")
    folder = converted(model, "int8")
    partial = folder.with_name(f"{folder.name}.partial")
    folder.rename(partial)
    (partial / "model.bin").write_bytes(b"half")
    assert converted(model, "int8") == folder
    assert (folder / "model.bin").stat().st_size > 1000
    assert not partial.exists()


CONVERT = """
import sys
from qttrag.models import loading
from qttrag.translators.ctranslate2 import converted
print(converted(loading.locate("translator", sys.argv[1], revision=None, model_types=()), "int8"))
"""


def test_two_processes_may_convert_at_the_same_time(tiny: Path) -> None:
    command = [sys.executable, "-c", CONVERT, str(tiny / "nllb")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert folders[0] == folders[1]
    assert (Path(folders[0]) / "model.bin").is_file()


def test_another_revision_is_another_conversion_and_another_identity(tiny: Path) -> None:
    one, other = (NllbTranslator(str(tiny / "nllb"), revision=r, device="cpu") for r in ("v1", "v2/a"))
    assert one.identity != other.identity
    assert converted(one._located, "int8") != converted(other._located, "int8")


def test_settings_that_change_translations_change_the_identity(tiny: Path) -> None:
    path = str(tiny / "nllb")
    variants: list[NllbTranslator | NllbTransformersTranslator] = [
        NllbTranslator(path, device="cpu"),
        NllbTranslator(path, device="cpu", compute_type="float32"),
        NllbTranslator(path, device="cpu", beam_size=1),
        NllbTranslator(path, device="cpu", unit="passage"),
        NllbTranslator(path, device="cpu", max_sentence_tokens=100),
        NllbTransformersTranslator(path),
    ]
    assert len({translator.identity for translator in variants}) == len(variants)
    assert NllbTranslator(path, device="cpu", batch_tokens=64).identity == variants[0].identity


async def test_a_folder_of_another_architecture_is_refused(tiny: Path) -> None:
    for translator in (NllbTranslator(str(tiny / "llama")), NllbTransformersTranslator(str(tiny / "llama"))):
        with pytest.raises(ConfigError, match="holds a 'llama' model, not m2m_100"):
            await translator.start()


@pytest.fixture
def without_finnish(translating: Path, tmp_path: Path) -> Path:
    """The folder of the translating model with a tokenizer that lacks the code of Finnish."""
    from transformers import NllbTokenizer

    folder = tmp_path / "nllb"
    shutil.copytree(translating, folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]
    known = [code for code in CODES.values() if code != "fin_Latn"]
    NllbTokenizer(vocab=model["vocab"], merges=merges, extra_special_tokens=known).save_pretrained(folder)
    return folder


def test_the_tokenizer_names_a_language_that_the_model_does_not_know(without_finnish: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not know Finnish \('fi', fin_Latn\)"):
        tokenizer(without_finnish).target_code(FI)


@pytest.mark.parametrize("kind", [NllbTranslator, NllbTransformersTranslator])
async def test_a_text_in_an_unsupported_language_is_returned_unchanged_and_flagged(
    without_finnish: Path, kind: type[NllbTranslator | NllbTransformersTranslator]
) -> None:
    fact, unknown = HELD_OUT[0], [FI, Lang("und"), Lang("xx")]
    translator = kind(str(without_finnish), device="cpu", beam_size=1)
    good, *bad = await translator.translate([fact.say(EN), " a \n ", "hei", "b"], [EN, *unknown], KO)
    assert good.text != fact.say(EN)
    assert "unsupported" not in good.flags
    assert bad == [Translation(text, ("unsupported",)) for text in (" a \n ", "hei", "b")]


async def test_no_text_is_translated_into_an_unsupported_language(without_finnish: Path) -> None:
    texts = ["a bridge", "서울", "silta", "1903"]
    translations = await exact(without_finnish).translate(texts, [EN, KO, FI, EN], FI)
    assert [t.flags for t in translations] == [("unsupported",), ("unsupported",), (), ()]
    assert [t.text for t in translations] == texts


@pytest.mark.parametrize("lang", ["en", "und", "xx", "fi"])
async def test_a_text_without_letters_is_copied_whatever_its_language(without_finnish: Path, lang: str) -> None:
    translations = await exact(without_finnish).translate(["1903 – 50 %", "👍"], [Lang(lang)] * 2, KO)
    assert translations == [Translation("1903 – 50 %"), Translation("👍")]


async def test_a_compute_type_that_does_not_exist_is_named(tiny: Path) -> None:
    with pytest.raises(ConfigError, match="compute type 'int3'"):
        await NllbTranslator(str(tiny / "nllb"), compute_type="int3").start()


async def test_a_damaged_conversion_is_a_stage_error_with_a_way_out(tiny: Path) -> None:
    folder = converted(located(tiny / "nllb"), "int8")
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:1000])
    with pytest.raises(StageError, match="delete that folder"):
        await NllbTranslator(str(tiny / "nllb"), device="cpu").start()


@pytest.mark.parametrize("setting", [{"beam_size": 0}, {"max_sentence_tokens": 1}, {"batch_tokens": 0}])
def test_sizes_that_are_too_small_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"`{next(iter(setting))}: "):
        exact(Path("any"), **setting)


def test_a_number_without_a_token_is_left_out(tiny: Path) -> None:
    opened = tokenizer(tiny / "nllb")
    ids = opened.ids(opened.encode([HELD_OUT[0].say(EN)])[0])
    assert opened.tokens([*ids[:2], 10**6, *ids[2:]]) == opened.tokens(ids)
