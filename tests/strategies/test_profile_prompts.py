"""The prompts of the shipped deployments, as the models read them, against the files in tests/golden/prompts.

`python -m tests.strategies.test_profile_prompts` writes the files again after an intended change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from qttrag.application.factory import strategy_options
from qttrag.config import deployment as config
from qttrag.errors import ConfigError
from qttrag.pipeline.stages import Stages
from qttrag.prompts import PromptForm, Prompts
from qttrag.rerankers.none import NoReranker
from qttrag.taggers.llm import LLMTagger
from qttrag.testing import FakeGenerator, FakeRetriever, FakeTranslator
from qttrag.types import Lang, Message, Passage, Query

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts"
PROFILES = ("served", "paper")
QUESTIONS = {
    "ko": "헬싱키는 언제 세워졌습니까?",
    "fi": "Milloin Helsinki perustettiin?",
    "zh": "赫尔辛基是什么时候建立的？",
    "ja": "ヘルシンキはいつ建設されましたか？",
}
STRATEGIES = ("base", "cross_rag", "qtt_rag", "dkm_rag", "hard_filter")


def chats(profile: str, lang: str) -> list[tuple[str, Sequence[Message]]]:
    """Return the chats of every strategy, by its name, in the order of the calls; one of two translations is scored."""
    deployment = config.load(profile)
    read = [
        Passage("1", "Helsinki was founded in 1550.", Lang("en"), "Helsinki"),
        Passage("2", "The museum opened in 1981.", Lang("en"), "Museum"),
        Passage("3", QUESTIONS[lang], Lang(lang)),
    ]

    def reply(messages: Sequence[Message]) -> str:
        text = messages[-1]["content"]
        return "no scores" if "Museum" in text or len(messages) > 2 else '{"semantic":4.5,"grammar":4,"fluency":3.5}'

    calls: list[tuple[str, Sequence[Message]]] = []
    for name in STRATEGIES:
        generator, scorer = FakeGenerator(lambda messages: "1550"), FakeGenerator(reply)
        settings = {k: v for k, v in (deployment.tagger or {}).items() if k not in ("kind", "generator")}
        stages = Stages(
            retriever=FakeRetriever(read),
            reranker=NoReranker(),
            translator=FakeTranslator(),
            tagger=LLMTagger(generator=scorer, prompts=Prompts(), **settings),
            generator=generator,
            prompts=Prompts(),
            form=PromptForm(abstain=deployment.abstain, labels=deployment.labels),
        )
        strategy, options = strategy_options(name, deployment.strategies.get(name, {}))
        asyncio.run(strategy(Query(QUESTIONS[lang], Lang(lang), "q"), stages, **options))
        calls += [(f"{name}: tagger", messages) for messages, _ in sorted(scorer.seen, key=str)[:1]]
        *refining, (asking, _) = generator.seen
        calls += [(f"{name}: refinement", messages) for messages, _ in sorted(refining, key=str)[:1]]
        calls.append((f"{name}: generator", asking))
    return calls


def as_text(profile: str, lang: str) -> str:
    parts = []
    for name, messages in chats(profile, lang):
        parts.append(f"######## {name}\n")
        parts += [f"#### {message['role']}\n{message['content']}\n" for message in messages]
    return "\n".join(parts)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("lang", QUESTIONS)
def test_a_profile_has_the_prompts_in_its_golden_file(profile: str, lang: str) -> None:
    assert as_text(profile, lang) == (GOLDEN / f"{profile}-{lang}.txt").read_text("utf-8")


def answer_prompt(profile: str, lang: str) -> str:
    return "\n".join(m["content"] for name, chat in chats(profile, lang) if name == "qtt_rag: generator" for m in chat)


@pytest.mark.parametrize("lang", QUESTIONS)
def test_the_paper_s_prompt_has_no_sentence_for_not_in_the_passages(lang: str) -> None:
    unknown = Prompts().answer(Lang(lang)).unknown
    assert unknown in answer_prompt("served", lang)
    assert unknown not in answer_prompt("paper", lang)


@pytest.mark.parametrize("lang", QUESTIONS)
def test_the_paper_s_scores_stand_after_the_passage_without_a_scale(lang: str) -> None:
    text, own = answer_prompt("paper", lang), Prompts().tag(Lang(lang)).names["semantic"]
    assert text.index("was founded in 1550") < text.index(f"\n[{own}: 4.5, ")
    assert "4.5/5" not in text


@pytest.mark.parametrize("lang", QUESTIONS)
def test_the_paper_s_labels_are_english(lang: str) -> None:
    assert f"\n\nQuestion: {QUESTIONS[lang]}" in answer_prompt("paper", lang)
    assert "Background:\n[1]" in answer_prompt("paper", lang)


@pytest.mark.parametrize("lang", QUESTIONS)
def test_the_paper_s_tagger_has_one_turn_with_one_example(lang: str) -> None:
    (turns,) = [chat for name, chat in chats("paper", lang) if name == "qtt_rag: tagger"]
    assert [turn["role"] for turn in turns] == ["user"]
    assert turns[0]["content"].count('{"semantic": 5.0, "grammar": 2.5, "fluency": 4.3}') == 1


@pytest.mark.parametrize("lang", Prompts().languages("answer"))
def test_every_language_has_the_texts_of_both_places_and_the_example(lang: Lang) -> None:
    prompts = Prompts()
    system = prompts.answer(lang).messages("?", [], style="tagged_after")[0]["content"]
    assert system != prompts.answer(lang).messages("?", [], style="tagged")[0]["content"]
    assert len(system.splitlines()) == len(
        prompts.answer(lang).messages("?", [], style="tagged")[0]["content"].splitlines()
    )
    assert '"grammar": 2.5' in prompts.tag(lang).messages("a", "b", Lang("en"), example=True)[0]["content"]


def test_only_one_line_goes_with_the_abstention() -> None:
    for lang in Prompts().languages("answer"):
        prompt = Prompts().answer(lang)
        for style in ("plain", "tagged", "tagged_after"):
            whole, without = (
                prompt.messages("?", [], style=style, form=PromptForm(abstain=abstain))[0]["content"].splitlines()
                for abstain in (True, False)
            )
            assert without == whole[:-1]


def test_a_prompt_file_without_the_text_for_scores_after_passages_is_named() -> None:
    prompt = Prompts().answer(Lang("ko")).model_copy(update={"tagged_after": None})
    with pytest.raises(ConfigError, match="'ko' has no `tagged_after:`"):
        prompt.messages("?", [], style="tagged_after")


if __name__ == "__main__":
    for each in PROFILES:
        for code in QUESTIONS:
            (GOLDEN / f"{each}-{code}.txt").write_text(as_text(each, code), encoding="utf-8")
