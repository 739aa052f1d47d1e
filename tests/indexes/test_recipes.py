"""The recipes in indexes/, and what one says of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import ConfigError
from qttrag.indexes.recipe import load

FOLDER = Path(__file__).parents[2] / "indexes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wiki-base"])
def test_every_recipe_loads(name: str) -> None:
    made = load(name)
    assert made.name == name
    assert name in ("example", "wiki-en-kilt") or made.lang == name.partition("-")[2]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("wiki-") and name != "wiki-base"])
def test_wikipedias_are_made_as_in_the_paper(name: str) -> None:
    made = load(name)
    assert (made.encoder.model, made.encoder.max_tokens, made.chunking.size) == ("BAAI/bge-m3", 256, 100)
    if made.source.kind == "hub":
        dump = {"nb": "no"}.get(str(made.lang), made.lang)
        assert made.source.paths == [f"20231101.{dump}/*.parquet"]
        assert len(str(made.source.revision)) == 40


def write(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def test_a_recipe_has_the_settings_of_the_one_it_extends_under_its_own(tmp_path: Path) -> None:
    write(tmp_path, "base", "source: {kind: tsv, path: ./a.tsv, clean: true}\nlang: en\nencoder: {model: m}\n")
    made = load(write(tmp_path, "mine", "extends: base\nlang: fi\nsource: {path: ./b.tsv}\n"))
    assert (made.name, made.lang, made.source.clean) == ("mine", "fi", True)
    assert made.source.path == [str(tmp_path / "b.tsv")]


def test_a_recipe_elsewhere_extends_one_of_the_package(tmp_path: Path) -> None:
    made = load(write(tmp_path, "mine", "extends: wiki-base\nlang: fi\nsource: {path: x/*.parquet}\n"))
    assert made.encoder.model == "BAAI/bge-m3"


def test_a_recipe_extends_one_that_extends_another(tmp_path: Path) -> None:
    made = load(write(tmp_path, "mine", "extends: wiki-ko\nencoder: {device: [cuda:0, cuda:1]}\n"))
    assert (made.lang, made.encoder.model, made.encoder.device) == ("ko", "BAAI/bge-m3", ["cuda:0", "cuda:1"])


def test_extending_is_of_what_there_is_and_in_no_circle(tmp_path: Path) -> None:
    write(tmp_path, "first", "extends: second\n")
    with pytest.raises(ConfigError, match=r"second\.yaml: circular `extends:` \(second, first\)"):
        load(write(tmp_path, "second", "extends: first\n"))
    with pytest.raises(ConfigError, match=r"unknown recipe 'wiki-bas'; did you mean 'wiki-base'"):
        load(write(tmp_path, "mine", "extends: wiki-bas\n"))


@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        ("{model: m, servers: {url: a}}", "unknown key 'url'; did you mean 'urls'"),
        ("{model: m, servers: {urls: ['gpu1:8000']}}", "gpu1:8000"),
        ("{model: m, device: []}", "encoder.device"),
        ("{model: m, dtype: int8}", "`encoder.dtype: 'int8'`"),
    ],
)
def test_wrong_settings_of_an_encoder_are_explained(tmp_path: Path, encoder: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path, "mine", f"source: {{kind: jsonl, path: a}}\nencoder: {encoder}\n"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{kind: hub, path: a}", "kind hub needs `dataset: owner/name`"),
        ("{kind: jsonl, path: a, dataset: a/b}", "are settings of kind hub; remove them from kind jsonl"),
    ],
)
def test_settings_of_the_hub_belong_together(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path, "mine", f"source: {source}\nencoder: {{model: m}}\n"))
