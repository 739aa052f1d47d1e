"""The recipes in indexes/, and recipes that extend others."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.errors import ConfigError
from qttrag.indexes.recipe import load

FOLDER = Path(__file__).parents[2] / "indexes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "wiki-base"])
def test_every_recipe_loads(name: str) -> None:
    recipe = load(name)
    assert recipe.name == name
    assert name == "example" or recipe.lang == name.split("-")[1]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("wiki-") and name != "wiki-base"])
def test_wikipedias_have_the_paper_s_settings(name: str) -> None:
    recipe = load(name)
    assert (recipe.encoder.model, recipe.encoder.max_tokens, recipe.chunking.size) == ("BAAI/bge-m3", 256, 100)
    if recipe.source.kind == "hub":
        dump = {"nb": "no"}.get(str(recipe.lang), recipe.lang)
        assert recipe.source.paths == [f"20231101.{dump}/*.parquet"]
        assert len(str(recipe.source.revision)) == 40


@pytest.mark.parametrize("name", ["wiki-en-kilt", "wiki-ko", "wiki-fi", "wiki-zh"])
def test_the_collections_as_reported_differ_in_cleaning_alone(name: str) -> None:
    ours, reported = load(name), load(f"{name}-100w")
    assert (ours.source.clean, reported.source.clean) == (True, False)
    assert reported.source == ours.source.model_copy(update={"clean": False})
    assert (reported.encoder, reported.chunking) == (ours.encoder, ours.chunking)


def write(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def test_a_recipe_overrides_settings_of_the_recipe_it_extends(tmp_path: Path) -> None:
    write(tmp_path, "base", "source: {kind: tsv, path: ./a.tsv, clean: true}\nlang: en\nencoder: {model: m}\n")
    recipe = load(write(tmp_path, "mine", "extends: base\nlang: fi\nsource: {path: ./b.tsv}\n"))
    assert (recipe.name, recipe.lang, recipe.source.clean) == ("mine", "fi", True)
    assert recipe.source.path == [str(tmp_path / "b.tsv")]


def test_a_source_of_another_kind_keeps_the_other_settings(tmp_path: Path) -> None:
    write(tmp_path, "base", "source: {kind: tsv, path: ./a.tsv, clean: true}\nlang: en\nencoder: {model: m}\n")
    recipe = load(write(tmp_path, "mine", "extends: base\nsource: {kind: kilt, path: ./b.json}\n"))
    assert (recipe.source.kind, recipe.source.clean) == ("kilt", True)


def test_a_recipe_elsewhere_can_extend_one_of_the_package(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, "mine", "extends: wiki-base\nlang: fi\nsource: {path: x/*.parquet}\n"))
    assert recipe.encoder.model == "BAAI/bge-m3"


def test_a_recipe_extends_one_that_extends_another(tmp_path: Path) -> None:
    recipe = load(write(tmp_path, "mine", "extends: wiki-ko\nencoder: {device: [cuda:0, cuda:1]}\n"))
    assert (recipe.lang, recipe.encoder.model, recipe.encoder.device) == ("ko", "BAAI/bge-m3", ["cuda:0", "cuda:1"])


def test_circular_and_unknown_extends_are_refused(tmp_path: Path) -> None:
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
        ("{model: m, dtype: int4}", "`encoder.dtype: 'int4'`"),
    ],
)
def test_invalid_settings_of_an_encoder_are_explained(tmp_path: Path, encoder: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path, "mine", f"source: {{kind: jsonl, path: a}}\nencoder: {encoder}\n"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{kind: hub, path: a}", "kind hub needs `dataset: owner/name`"),
        ("{kind: jsonl, path: a, dataset: a/b}", "are settings of kind hub; remove them from kind jsonl"),
    ],
)
def test_settings_of_the_hub_need_its_kind_and_data_set(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path, "mine", f"source: {source}\nencoder: {{model: m}}\n"))
