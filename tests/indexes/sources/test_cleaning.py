from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qttrag.indexes.sources.cleaning import is_prose, kilt, wikipedia

ENGLISH = """\
Turku is a city on the coast of Finland.

History

Early years

The city was founded in the 13th century.

Twin towns
Turku is twinned with:
 Gothenburg, Sweden
 Bergen, Norway
The list was begun in 1946.

See also
 Turku Castle
 Aura River

References

Cities in Finland
Ports"""


def test_headings_without_text_and_lists_of_links_are_dropped() -> None:
    assert wikipedia(ENGLISH).splitlines() == [
        "Turku is a city on the coast of Finland.",
        "The city was founded in the 13th century.",
        "Twin towns",
        "Turku is twinned with:",
        "Gothenburg, Sweden",
        "Bergen, Norway",
        "The list was begun in 1946.",
    ]


def test_image_captions_are_dropped() -> None:
    assert wikipedia("thumb|right|200px|The castle.\nThe castle is old and grey.") == "The castle is old and grey."


@pytest.mark.parametrize(
    "text",
    [
        "北京是中华人民共和国的首都，位于华北平原。",
        "東京は日本の首都である、人口は約千四百万人。",
        "서울은 대한민국의 수도이자 최대 도시이다.",
        "দিল্লি ভারতের রাজধানী এবং একটি বড় শহর।",
        "هل الرياض هي عاصمة المملكة العربية السعودية؟",
        "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย "
        "เป็นศูนย์กลางการปกครอง การศึกษา การคมนาคมขนส่ง การเงินการธนาคาร การพาณิชย์ การสื่อสาร",
        'He said: "The bridge is open."',
        "그는 작가다.",
        "他是作家。",
        "東京は首都だ。",
        "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทยและเป็นนครที่ใหญ่ที่สุด",
    ],
)
def test_sentences_of_many_scripts_are_kept_as_they_are(text: str) -> None:
    assert wikipedia(text) == text


def test_a_page_with_only_a_list_is_empty() -> None:
    assert wikipedia("Members\n Anna\n Bertil\n\nReferences") == ""
    assert not any(map(is_prose, ["J. R.", "참고 문헌", "参考文献", "外部リンク", "อ้างอิง", "แหล่งข้อมูลอื่น"]))


@given(st.text(alphabet=st.sampled_from("ab.。字あ \n"), max_size=200))
def test_cleaning_adds_nothing_and_is_idempotent(text: str) -> None:
    once = wikipedia(text)
    left = iter(text)
    assert all(character in left for character in once if not character.isspace())
    assert wikipedia(once.replace("\n", "\n\n")) == "\n".join(line for line in once.split("\n") if is_prose(line))


def test_title_sections_and_markers_of_kilt_paragraphs_are_dropped() -> None:
    page = [
        "Turku\n",
        "Turku is a city in Finland.\n",
        "Section::::History.\n",
        "It was founded early.\n",
        "BULLET::::- Anna, a mayor\n",
        "BULLET::::2. Bertil\n",
        "Section::::See also.\n",
    ]
    assert kilt(page, "Turku") == "Turku is a city in Finland.\n\nIt was founded early.\n\nAnna, a mayor\nBertil"


def test_a_first_paragraph_that_is_not_the_title_stays() -> None:
    assert kilt(["Turku is a city."], "Turku") == "Turku is a city."
