from __future__ import annotations

from collections.abc import Sequence

from qttrag.pipeline.language_guard import LanguageGuard
from qttrag.types import Lang


class Finnish:
    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        return [Lang("fi")] * len(texts)


async def test_the_guard_uses_its_own_detector() -> None:
    text = "The bridge was opened to traffic in 1903."
    assert (await LanguageGuard(Finnish()).judge(text, Lang("fi"))).outcome == "right"
    assert (await LanguageGuard(Finnish()).judge(text, Lang("en"))) == ("wrong", "fi")


def test_a_guard_only_reports_unless_it_is_to_repair() -> None:
    assert not LanguageGuard(Finnish()).repairs
    assert LanguageGuard(Finnish(), repairs=True).repairs
