"""The terms of BM25 against other choices, by language: recall and reciprocal rank at 10 of known passages.

`python -m benchmarks.terms DATA`; DATA holds xquad, cmrc2018, belebele and nomiracl. Questions and passages are in one
language, each question searches all passages of its set. NoMIRACL's own passages of a question count as relevant: they
are the results of other systems, some of which are not; only differences between two choices say something."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qttrag.retrievers import terms
from qttrag.text.normalization import for_matching
from qttrag.types import Lang

Tokenise = Callable[[str, Lang], list[str]]
_K = 10
_SCRIPTS = re.compile(f"[{terms._CHARACTERS}{terms._DICTIONARIES}]+")


class Questions(NamedTuple):
    """A set of questions in one language. `relevant`: ids of passages."""

    name: str
    lang: Lang
    passages: dict[str, str]
    questions: list[tuple[str, set[str]]]


def words_and_bigrams(text: str, lang: Lang) -> list[str]:
    """Return words as they are spelt, and bigrams in all scripts without spaces and in Hangul: one rule for all."""
    found: list[str] = []
    for word in terms._WORDS.findall(for_matching(text)):
        start = 0
        for run in _SCRIPTS.finditer(word):
            found += [word[start : run.start()]] if run.start() > start else []
            found += [run.group()[n : n + 2] for n in range(max(1, len(run.group()) - 1))]
            start = run.end()
        found += [word[start:]] if start < len(word) else []
    return found


def icu_words(text: str, lang: Lang) -> list[str]:
    """Return the words of ICU's dictionaries."""
    from icu4py.breakers import WordBreaker

    return [word for word in WordBreaker(for_matching(text), "und") if any(map(str.isalnum, word))]


CHOICES: dict[str, Tokenise] = {"words, bigrams": words_and_bigrams, "ICU words": icu_words, "now": terms.tokenise}


def measure(questions: Questions, tokenise: Tokenise) -> tuple[float, float]:
    """Return the mean recall at 10 (of at most 10 relevant passages) and reciprocal rank."""
    import bm25s

    ids = list(questions.passages)
    index: Any = bm25s.BM25()
    index.index([tokenise(text, questions.lang) for text in questions.passages.values()], show_progress=False)
    recall = rank = 0.0
    for text, relevant in questions.questions:
        asked = [term for term in tokenise(text, questions.lang) if term in index.vocab_dict]
        scores = index.get_scores(asked) if asked else np.zeros(len(ids), np.float32)
        best = np.argsort(-scores, kind="stable")[:_K]
        ranks = [n for n, row in enumerate(best, 1) if scores[row] > 0 and ids[row] in relevant]
        recall += len(ranks) / min(_K, len(relevant))
        rank += 1 / ranks[0] if ranks else 0.0
    return recall / len(questions.questions), rank / len(questions.questions)


def _lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read(data: Path) -> Iterator[Questions]:
    paragraphs, asked = (_lines(data / f"xquad/{name}.jsonl.gz") for name in ("paragraphs", "questions"))
    for lang in paragraphs[0]["context"]:
        passages = {p["pid"]: p["context"][lang] for p in paragraphs}
        yield Questions("XQuAD", Lang(lang), passages, [(q["q"][lang], {q["pid"]}) for q in asked])
    with gzip.open(data / "cmrc2018/cmrc2018_trial.json.gz", "rt", encoding="utf-8") as file:
        of_cmrc = [p for article in json.load(file)["data"] for p in article["paragraphs"]]
    chinese = [(q["question"], {p["id"]}) for p in of_cmrc for q in p["qas"]]
    yield Questions("CMRC", Lang("zh"), {p["id"]: p["context"] for p in of_cmrc}, chinese)
    rows = [row["ko"] | {"id": f"{row['url']} {row['flores_idx']}"} for row in _lines(next(data.glob("belebele/*.gz")))]
    korean = [(row["question"], {row["id"]}) for row in rows]
    yield Questions("Belebele", Lang("ko"), {row["id"]: row["passage"] for row in rows}, korean)
    for path in sorted(data.glob("nomiracl/relevant/*.jsonl.gz")):
        pools = _lines(path)
        of_lang = {p["docid"]: f"{p['title']}. {p['text']}" for pool in pools for p in pool["passages"]}
        questions = [(pool["query"], {p["docid"] for p in pool["passages"]}) for pool in pools]
        yield Questions("NoMIRACL", Lang(path.name.split(".")[0]), of_lang, questions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="XQuAD,CMRC,Belebele,NoMIRACL")
    arguments = parser.parse_args()
    print(f"{'set':10}{'lang':6}{'passages':>9}{'questions':>10}" + "".join(f"{name:>20}" for name in CHOICES))
    for questions in read(arguments.data):
        if questions.name in arguments.sets.split(","):
            figures = [measure(questions, tokenise) for tokenise in CHOICES.values()]
            counts = f"{len(questions.passages):9,}{len(questions.questions):10,}"
            cells = "".join(f"{f'{recall:.3f} / {rank:.3f}':>20}" for recall, rank in figures)
            print(f"{questions.name:10}{questions.lang:6}{counts}{cells}", flush=True)


if __name__ == "__main__":
    main()
