from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from qttrag import resources
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.config import yaml_files
from qttrag.errors import ConfigError
from qttrag.taggers.embedding import EmbeddingTagger

MINIMAL = "retriever: {kind: bm25, collections: [c]}\ngenerator: {kind: transformers, model: ./llama}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL + "depth: 30\n", encoding="utf-8")
    return path


def test_a_file_has_sensible_defaults(file: Path) -> None:
    deployment = config.load(file)
    assert (deployment.depth, deployment.top_k, deployment.strategy) == (30, 5, "qtt_rag")
    assert deployment.detector == {"kind": "script"}


def test_flags_override_the_environment_which_overrides_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_DEPTH", "20")
    assert config.load(file).depth == 20
    assert config.load(file, {"depth": 10}).depth == 10


def test_the_environment_can_set_one_setting_of_a_stage(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_GENERATOR__DEVICE", "cuda")
    generator = config.load(file).generator
    assert generator == {"kind": "transformers", "model": str(file.parent / "llama"), "device": "cuda"}


def test_values_in_the_environment_are_yaml_like_flags(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_RETRIEVER__COLLECTIONS", '["mixed"]')
    monkeypatch.setenv("QTTRAG_CACHE", "{enabled: false}")
    deployment = config.load(file)
    assert deployment.retriever == {"kind": "bm25", "collections": ["mixed"]}
    assert not deployment.cache.enabled


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("QTTRAG_GENERATOR", "notjson", "`generator: 'notjson'`: input should be a valid dictionary"),
        ("QTTRAG_GENERATOR__MODEL", "[", r"QTTRAG_GENERATOR__MODEL: the value '\[' is not YAML"),
    ],
)
def test_an_invalid_value_in_the_environment_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=complaint):
        config.load(file)


def test_another_kind_keeps_no_settings_of_the_kind_in_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_GENERATOR__KIND", "openai")
    monkeypatch.setenv("QTTRAG_GENERATOR__MODEL", "m")
    assert config.load(file).generator == {"kind": "openai", "model": "m"}
    assert config.load(file, {"generator": {"kind": "other"}}).generator == {"kind": "other"}


def test_the_same_kind_again_keeps_its_settings(file: Path) -> None:
    flags = {"retriever": {"kind": "bm25", "k1": 2.0}}
    assert config.load(file, flags).retriever == {"kind": "bm25", "collections": ["c"], "k1": 2.0}


@pytest.mark.parametrize("text", ["5: x\n", "generator: {5: x}\n", "strategies: {a: [{no: x}]}\n", "~: x\n"])
def test_a_key_that_is_not_text_is_named(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: the key (5|False|None) is .*, not text; put it in quotes"):
        config.load(file)


@pytest.mark.parametrize("kind", [5, None, ["openai"], {"a": 1}])
def test_a_kind_that_is_not_a_name_is_unknown(file: Path, kind: object) -> None:
    file.write_text(yaml.safe_dump({**yaml.safe_load(MINIMAL), "generator": {"kind": kind}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown generator kind"):
        Application.open(config.load(file))


def test_a_flag_changes_one_setting_of_a_stage_and_keeps_the_others(file: Path) -> None:
    assert config.load(file, {"retriever": {"collections": ["d"]}}).retriever == {"kind": "bm25", "collections": ["d"]}


def test_a_path_with_a_dot_is_relative_to_the_file(file: Path) -> None:
    assert config.load(file).generator["model"] == str(file.parent / "llama")


def test_an_unknown_key_is_named_with_the_nearest_one(file: Path) -> None:
    file.write_text(MINIMAL + "dept: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: unknown key 'dept'; did you mean 'depth'"):
        config.load(file)


def test_an_unknown_key_of_the_cache_is_named_with_the_nearest_one(file: Path) -> None:
    file.write_text(MINIMAL + "cache: {max_byte: 3}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"unknown key 'max_byte'; did you mean 'max_bytes'"):
        config.load(file)


def test_a_value_of_the_wrong_type_is_named(file: Path) -> None:
    file.write_text(MINIMAL + "top_k: many\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"`top_k: 'many'`.*integer"):
        config.load(file)


def test_a_missing_stage_is_named(file: Path) -> None:
    file.write_text("retriever: {kind: bm25}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="`generator:` is missing"):
        config.load(file)


@pytest.mark.parametrize(("text", "complaint"), [("a: [", "not YAML"), ("- a", "must be a mapping"), ("", "mapping")])
def test_a_file_that_is_not_a_mapping_is_rejected(file: Path, text: str, complaint: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        config.load(file)


def test_an_unknown_deployment_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown deployment 'laptp'; did you mean 'laptop'"):
        config.load("laptp")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no deployment file 'nowhere/x\.yaml'"):
        config.load("nowhere/x.yaml")


def test_yaml_cannot_construct_objects(file: Path) -> None:
    file.write_text("retriever: !!python/object/apply:os.system ['true']\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not YAML"):
        config.load(file)


def test_secrets_are_hidden_at_any_depth() -> None:
    shown = yaml_files.hide_secrets(
        {
            "generator": {
                "api_key": "sk-1",
                "base_url": "http://me:pw@host/v1",
                "extra": [{"auth_token": "t"}],
                "max_tokens": 5,
            }
        }
    )
    assert shown == {
        "generator": {
            "api_key": "***",
            "base_url": "http://***@host/v1",
            "extra": [{"auth_token": "***"}],
            "max_tokens": 5,
        }
    }


def test_the_home_of_the_user_goes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    assert resources.folder("server") != tmp_path / "server"
    (tmp_path / "server").mkdir()
    assert resources.folder("server") == tmp_path / "server"


def test_the_error_about_a_missing_folder_lists_every_searched_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"(?s){tmp_path}/nothing.*_resources/nothing.*qttrag init"):
        resources.folder("nothing")


def test_init_does_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    with pytest.raises(Exception, match="exists already"):
        resources.copy_out(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompts"]


def test_a_home_with_only_built_indexes_does_not_hide_the_recipes_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    (tmp_path / "indexes" / "built").mkdir(parents=True)
    assert resources.find("indexes", "example", what="recipe").is_file()
    assert resources.folder("indexes") != tmp_path / "indexes"


def test_a_name_is_searched_in_the_home_then_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTTRAG_HOME", str(tmp_path))
    (tmp_path / "server").mkdir()
    for name in ("mine", "laptop"):
        (tmp_path / "server" / f"{name}.yaml").write_text(MINIMAL)
    assert resources.find("server", "laptop", what="deployment").parent == tmp_path / "server"
    assert resources.find("server", "paper", what="deployment").parent != tmp_path / "server"
    with pytest.raises(
        ConfigError,
        match=rf"gpu, laptop, laptop-fast, laptop-gguf, mine, paper, served\).*: {tmp_path}/server, .*_resources",
    ):
        resources.find("server", "nothing", what="deployment")


def test_examples_are_by_language(file: Path) -> None:
    examples = {"ko-KR": ["핀란드의 통화는 무엇입니까?"]}
    assert config.load(file, {"examples": examples}).examples == {"ko": ["핀란드의 통화는 무엇입니까?"]}


@pytest.mark.parametrize(
    ("examples", "complaint"), [({"klingon": ["x"]}, "klingon"), ({"ko": ["a", " "]}, "question 2 in 'ko' is empty")]
)
def test_examples_in_an_unknown_language_or_without_words_are_refused(
    file: Path, examples: dict[str, list[str]], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config.load(file, {"examples": examples})


@pytest.mark.parametrize(("folder", "name"), [("server", "demo"), ("indexes", "demo-ko"), ("eval", "demo")])
def test_without_a_checkout_the_error_about_the_demo_says_where_it_is(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / "qttrag").mkdir()
    (tmp_path / "qttrag" / "resources.py").symlink_to(str(resources.__file__))  # as in an installed package
    spec = importlib.util.spec_from_file_location("installed", tmp_path / "qttrag" / "resources.py")
    assert spec is not None
    assert spec.loader is not None
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    with pytest.raises(ConfigError, match=f"in the source checkout.*QTTRAG_HOME.*{folder}/{name}.yaml"):
        installed.find(folder, name, what="file")


@pytest.mark.parametrize("name", ["gpu", "laptop", "laptop-fast", "laptop-gguf", "paper", "served"])
def test_the_settings_of_a_shipped_deployment_are_those_of_its_kinds(name: str) -> None:
    Application.open(config.load(name))


@pytest.mark.parametrize("name", ["laptop", "paper", "served"])
def test_a_deployment_with_all_its_settings_written_out_is_valid(name: str) -> None:
    loaded = config.load(name)
    assert config.Deployment.model_validate(loaded.model_dump(mode="json")) == loaded


def test_the_fast_deployment_scores_with_the_encoder_that_it_searches_with() -> None:
    parts = Application.open(config.load("laptop-fast")).parts
    assert [stage for stage, part in parts if isinstance(part, EmbeddingTagger)] == ["tagger"]
    assert [stage for stage, _ in parts].count("encoder") == 1  # equal settings share one model
