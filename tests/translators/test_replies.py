from __future__ import annotations

import pytest

from qttrag.prompts import Prompts
from qttrag.translators.replies import Reply, translation_in
from qttrag.types import Lang

SOURCE = "The bridge was opened in 1917."
TEXTS = {
    "fi": "Silta avattiin vuonna 1917.",
    "ko": "다리는 1917년에 개통되었다.",
    "ja": "橋は1917年に開通した。",
    "zh": "这座桥于1917年通车。",
    "de": "Die Brücke wurde 1917 eröffnet.",
    "ar": "افتُتح الجسر عام 1917.",
    "th": "สะพานเปิดใช้ใน พ.ศ. 2460",
}


def read(reply: str, lang: str = "fi", source: str = SOURCE) -> Reply:
    prompts = Prompts()
    return translation_in(reply, source, [prompts.translate(Lang(lang)), prompts.translate(Lang("en"))])


@pytest.mark.parametrize("lang", sorted(TEXTS))
def test_a_translation_alone_stays_as_it_is(lang: str) -> None:
    assert read(TEXTS[lang], lang) == Reply(TEXTS[lang])


WRAPPED = [
    ("fi", "Here is the translation:\n\n{}"),
    ("fi", "Sure! Here's the Finnish translation: {}"),
    ("fi", "**Translation:** {}"),
    ("fi", "Käännös: {}"),
    ("fi", "Tässä on käännös suomeksi:\n{}"),
    ("fi", '"{}"'),
    ("fi", "”{}”"),
    ("fi", "```\n{}\n```"),
    ("fi", "Here is the translation:\n```text\n{}\n```\nHope this helps!"),
    ("fi", "{}\n\nNote: the year is kept as it is."),
    ("fi", "{}\n\n(Huom. vuosiluku on säilytetty.)"),
    ("fi", "<think>\nThe user asks ...\n</think>\n\n{}"),
    ("fi", "hm, a bridge</think>{}"),
    ("ko", "번역: {}"),
    ("ko", "다음은 번역문입니다:\n{}"),
    ("ko", "{}\n\n참고: 연도는 그대로 두었습니다."),
    ("ja", "以下は日本語訳です：\n「{}」"),
    ("zh", "译文：{}"),
    ("de", "Hier ist die Übersetzung:\n{}\n\nHinweis: Das Jahr bleibt."),
    ("ar", "إليك الترجمة:\n{}"),
    ("th", "คำแปล: {}"),
]


@pytest.mark.parametrize(("lang", "form"), WRAPPED)
def test_what_a_model_writes_around_a_translation_is_removed(lang: str, form: str) -> None:
    reply = read(form.format(TEXTS[lang]), lang)
    assert reply.text == TEXTS[lang]
    assert not reply.refused


REFUSALS = [
    ("fi", "I'm sorry, but I can’t help with that request."),
    ("fi", "I cannot translate this text because it is harmful."),
    ("fi", "As an AI language model, I am not able to translate this."),
    ("fi", "Valitettavasti en voi kääntää tätä tekstiä."),
    ("ko", "죄송하지만 이 글은 번역해 드릴 수 없습니다."),
    ("ja", "申し訳ありませんが、この文章は翻訳できません。"),
    ("zh", "抱歉，我无法翻译这段内容。"),
    ("de", "Es tut mir leid, aber dabei kann ich nicht helfen."),
    ("ar", "لا أستطيع ترجمة هذا النص."),
    ("th", "ขออภัย ฉันไม่สามารถแปลข้อความนี้ได้"),
]


@pytest.mark.parametrize(("lang", "reply"), REFUSALS)
def test_a_refusal_is_no_translation(lang: str, reply: str) -> None:
    assert read(reply, lang) == Reply("", refused=True)


KEPT = [
    ("fi", "Käännös: Paavo Haavikko", "Translation: Paavo Haavikko"),
    ("fi", '"Avatkaa silta"', '"Open the bridge"'),
    ("fi", '"Silta" ja "tie"', "Bridge and road, as they are called"),
    ("fi", "Käytä ```\nkoodi\n```", "Use ``` code ```"),
    ("ko", "이 작품은 번역할 수 없다고 그는 썼다.", "He wrote that this work cannot be translated."),
    ("zh", "抱歉，我今天不能来。", "Sorry, I cannot come today."),
    ("fi", "Translation", "Käännös"),
    ("en", "Note: the museum is closed.", "Huom. museo on suljettu."),
    ("en", "Here is the list:", "Tässä on luettelo."),
]


@pytest.mark.parametrize(("lang", "reply", "source"), KEPT)
def test_what_belongs_to_the_text_is_kept(lang: str, reply: str, source: str) -> None:
    assert read(reply, lang, source) == Reply(reply)


def test_an_empty_reply_is_an_empty_translation() -> None:
    assert read("  \n") == Reply("")
