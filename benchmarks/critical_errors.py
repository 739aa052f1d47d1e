"""The checks for critical errors on DEMETR (planted errors) and FLORES-200 (human translations), as tables.

    python -m benchmarks.critical_errors demetr_wmt.jsonl.gz flores200/dev ko fi zh

DEMETR: 500 translations from ten languages into English, each with 35 kinds of planted errors (arXiv:2210.13746).
A language without a file in `words/` (Czech, Hindi, Polish) is checked by its digits alone."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from qttrag.cli.eval.score import print_table
from qttrag.evaluation.report.tables import Table
from qttrag.evaluation.stages.critical_errors import CheckedPair, measured, read_lines, table
from qttrag.text.languages import LANGUAGES, language
from qttrag.types import Lang

SOURCES = {
    "chinese_simple": "zh", "german": "de", "hindi": "hi", "japanese": "ja", "polish": "pl", "russian": "ru",
    "czech": "cs", "french": "fr", "spanish": "es", "italian": "it",
}  # fmt: skip
PLANTED = {
    "numbers": "numbers changed in a reasonable range",
    "negation": "affirmative to negation and negation to affirmative",
    "names": "remove random named entity",
}
EN = Lang("en")


def demetr(path: Path, check: str) -> Table:
    """Return the figures of one check on the errors of its kind, a row per source language and one for all."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [row for row in map(json.loads, stream) if row["pert_desc"] == PLANTED[check]]
    made = []
    for name, lang in SOURCES.items():
        pairs = [
            CheckedPair(
                row["src_sent"], row["mt_sent"], row["pert_sent"] if row["pert_sent"] != row["mt_sent"] else None
            )
            for row in rows
            if row["lang_tag"] == name
        ]
        (cell,) = (cell for cell in measured(pairs, Lang(lang), EN) if cell.check == check)
        made.append([lang, *map(str, (cell.good, cell.flagged, cell.damaged, cell.found))])
    made.append(["all", *(str(sum(int(row[n]) for row in made)) for n in range(1, 5))])
    return Table(f"DEMETR, {check}: {PLANTED[check]}", ["from", "good", "false alarms", "damaged", "found"], made, [])


def flores(folder: Path, lang: Lang) -> list[Table]:
    """Return the false alarms between English and a language, in both directions."""
    files = [next(folder.glob(f"{LANGUAGES[each].nllb}.dev*")) for each in (EN, lang)]
    forth, back = read_lines(*files), read_lines(*reversed(files))
    return [table(measured(forth, EN, lang), EN, lang), table(measured(back, lang, EN), lang, EN)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demetr", type=Path, help="demetr_wmt.jsonl.gz")
    parser.add_argument("flores", type=Path, help="the folder of dev files, e.g. eng_Latn.dev")
    parser.add_argument("lang", nargs="*", default=["ko", "fi", "zh", "ru", "es", "ja", "ar"])
    arguments = parser.parse_args()
    for check in PLANTED:
        print_table(demetr(arguments.demetr, check))
    for lang in arguments.lang:
        for each in flores(arguments.flores, language(lang).code):
            print_table(each)


if __name__ == "__main__":
    main()
