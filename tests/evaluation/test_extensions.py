"""A measure and a dataset of another package, each one file and one entry point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.evaluation.report.test_report import write_run

MEASURE = """
from qttrag.evaluation.metrics import AnswerCase, measure

@measure("answer_words", signature="answer-words|split:white-space", unit="")
def answer_words(case: AnswerCase) -> float:
    return len(case.prediction.split())
"""
DATASET = """
import csv
from typing import Literal

from qttrag.evaluation.datasets import DatasetSettings, Question
from qttrag.text.languages import language

class CsvDataset(DatasetSettings):
    kind: Literal["csv"] = "csv"
    file: str

    def read(self, lang, left_out):
        with open(self.file, encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                yield Question(row["id"], row["question"], language(lang).code, (row["answer"],))
"""


def install(folder: Path, entry_points: str, **modules: str) -> None:
    """Install a package with these modules and entry points into `folder`."""
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    metadata = folder / "acme-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(entry_points)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, where the package in `folder` is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_a_measure_of_another_package_is_one_function_and_one_entry_point(tmp_path: Path) -> None:
    install(tmp_path, "[qttrag.measure]\nanswer_words = acme_words\n", acme_words=MEASURE)
    made = write_run(tmp_path / "run", {"base": ["부산 서울"], "qtt_rag": ["서울"]})
    scored = run(tmp_path, "-m", "qttrag", "eval", "score", str(made.folder), "-m", "answer_words", "--json")
    assert scored.returncode == 0, scored.stderr
    base, ours = (cell["figures"]["answer_words"] for cell in json.loads(scored.stdout)["cells"])
    assert (base["value"], ours["value"]) == (2.0, 1.0)
    assert base["signature"].startswith("answer-words|split:white-space|data:made ko")
    assert "unknown measure 'answer_word'; did you mean 'answer_words'" in (
        run(tmp_path, "-m", "qttrag", "eval", "score", str(made.folder), "-m", "answer_word").stderr
    )


def test_a_measure_with_the_name_of_another_one_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "[qttrag.measure]\nmine = acme_words\n", acme_words=MEASURE.replace("answer_words", "chrf"))
    made = write_run(tmp_path / "run", {"base": ["서울"], "qtt_rag": ["서울"]})
    refused = run(tmp_path, "-m", "qttrag", "eval", "score", str(made.folder))
    assert (refused.returncode, refused.stderr) == (2, "error: two measures have the name 'chrf'; rename one of them\n")


def test_a_measure_whose_module_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    install(tmp_path, "[qttrag.measure]\nanswer_words = acme_words\n")
    made = write_run(tmp_path / "run", {"base": ["서울"], "qtt_rag": ["서울"]})
    refused = run(tmp_path, "-m", "qttrag", "eval", "score", str(made.folder))
    assert "measure 'answer_words' (acme_words) cannot be imported: No module named 'acme_words'" in refused.stderr


def test_a_dataset_of_another_package_is_one_class_and_one_entry_point(tmp_path: Path) -> None:
    install(tmp_path, "[qttrag.dataset]\ncsv = acme_csv:CsvDataset\n", acme_csv=DATASET)
    (tmp_path / "questions.csv").write_text("id,question,answer\n1,Onko?,kyllä\n", encoding="utf-8")
    suite = "datasets: {mine: {kind: csv, file: ./questions.csv, langs: [fi]}}\nstrategies: {base: {}}\n"
    (tmp_path / "mine.yaml").write_text(f"{suite}headline: {{of: base, over: base}}\n")
    code = (
        "from qttrag.evaluation import datasets, suites\n"
        f"((name, row),) = suites.load({str(tmp_path / 'mine.yaml')!r}).rows().items()\n"
        "print(name, datasets.load(name, *row).questions[0].answers)"
    )
    assert run(tmp_path, "-c", code).stdout == "mine fi ('kyllä',)\n"
    (tmp_path / "mine.yaml").write_text(f"{suite.replace('langs', 'lang')}headline: {{of: base, over: base}}\n")
    assert "unknown key 'lang'; did you mean 'langs'? (known: expected, file, kind, langs, qrels)" in (
        run(tmp_path, "-c", code).stderr
    )


def test_a_run_is_readable_when_the_package_of_its_dataset_is_gone(tmp_path: Path) -> None:
    made = write_run(tmp_path / "run", {"base": ["서울"], "qtt_rag": ["서울"]})
    text = (made.folder / "run.json").read_text("utf-8")
    (made.folder / "run.json").write_text(text.replace('"kind": "mkqa"', '"kind": "gone"'), encoding="utf-8")
    scored = run(tmp_path, "-m", "qttrag", "eval", "score", str(made.folder), "--json")
    assert "|format:gone|lang:ko|" in json.loads(scored.stdout)["cells"][0]["figures"]["chrf"]["signature"]
