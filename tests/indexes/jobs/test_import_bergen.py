"""Importing indexes that BERGEN published: chunks of torch vectors and a data set of passages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from qttrag import resources
from qttrag.encoders.sentence_transformers import SentenceTransformersEncoder, SentenceTransformersKind
from qttrag.errors import CollectionError, ConfigError, InputError
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs import import_bergen
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import EncoderSettings, Fields, Recipe
from qttrag.indexes.storage.manifest import Manifest
from qttrag.retrievers.dense import DenseRetriever
from qttrag.types import Lang, Query
from tests.indexes.jobs import real_encoders
from tests.texts import facts

ROWS = 60
CHUNKS = [(9, 30), (10, 25), (101, 5)]  # numbers whose order differs from that of their text


class Published:
    """An index as BERGEN publishes it: `vectors`, and `passages` saved by `datasets`."""

    def __init__(self, folder: Path, tiny: Path, *, lang: str = "ko", dtype: torch.dtype = torch.float16) -> None:
        self.vectors, self.passages, self.tiny, self.lang = folder / "vectors", folder / "passages", tiny, lang
        self.contents = [f"T{n}. {fact.say(lang)}" for n, fact in enumerate(facts(ROWS, seed=6))]
        if lang == "zh":
            self.contents = [f"T{n}. " + " ".join(c.partition(". ")[2]) for n, c in enumerate(self.contents)]
        encoder = SentenceTransformersEncoder(str(tiny / "encoder"), revision=None, device="cpu", max_tokens=256)
        self.tensor = torch.from_numpy(encoder.encode(self.contents)).to(dtype)
        self.vectors.mkdir(parents=True)
        self.write_vectors(self.tensor)
        self.save([self.contents[:40], self.contents[40:]])

    def write_vectors(self, tensor: torch.Tensor) -> None:
        start = 0
        for number, rows in CHUNKS:
            torch.save(tensor[start : start + rows].clone(), self.vectors / f"embedding_chunk_{number}.pt")
            start += rows

    def save(self, parts: list[list[str]]) -> None:
        """Write the files of `Dataset.save_to_disk`: Arrow streams and the state that lists them in order."""
        self.passages.mkdir(exist_ok=True)
        names, start = [f"data-{n:05d}-of-{len(parts):05d}.arrow" for n in range(len(parts))], 0
        for name, part in zip(names, parts, strict=True):
            ids = [str(n) for n in range(start, start + len(part))]
            table = pa.table({"content": part, "wikipedia_id": ids, "id": ids})
            with pa.ipc.new_stream(str(self.passages / name), table.schema) as writer:
                writer.write_table(table)
            start += len(part)
        state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "1", "_split": "train"}
        (self.passages / "state.json").write_text(json.dumps(state))

    def recipe(self, passages: Path | None = None, **settings: Any) -> Recipe:
        encoder = EncoderSettings(model=str(self.tiny / "encoder"), device="cpu")
        recipe = import_bergen.make_recipe(
            "wiki",
            passages or self.passages,
            lang=self.lang,
            encoder=encoder,
            fields=Fields(text="content"),
            **settings,
        )
        return recipe.model_copy(update={"shard_rows": 20})

    def import_index(self, passages: Path | None = None, **options: Any) -> Manifest:
        return real_encoders.import_index(self.vectors, self.recipe(passages), **options)


@pytest.fixture
def published(tmp_path: Path, tiny: Path) -> Published:
    return Published(tmp_path, tiny)


async def test_an_imported_index_is_searched_like_any_other(published: Published, tiny: Path) -> None:
    manifest = published.import_index()
    assert (manifest.rows, manifest.langs, manifest.dim) == (ROWS, {"ko": ROWS}, 64)
    assert verify("wiki") == []
    index = open_index("wiki")
    assert [index.passages[n].passage_id for n in (0, 39, 40, 59)] == ["0", "39", "40", "59"]
    assert index.passages[7].content == published.contents[7]
    assert np.allclose(np.concatenate(list(index.vectors)), published.tensor.float().numpy(), atol=2e-3)
    encoder = SentenceTransformersKind(str(tiny / "encoder"), device="cpu")
    retriever = DenseRetriever(encoder=encoder, collections=["wiki"])
    hits = await retriever.retrieve(Query(published.contents[12], Lang("ko")), 1)
    assert hits[0].passage.text == published.contents[12]


def test_ids_can_have_the_prefix_of_runs_over_merged_data_sets(published: Published) -> None:
    published.import_index(id_prefix="wiki-100w-ko_")
    assert open_index("wiki").passages[23].passage_id == "wiki-100w-ko_23"


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz"])
def test_passages_may_be_in_files_of_other_kinds(tmp_path: Path, published: Published, kind: str) -> None:
    path = tmp_path / f"all.{kind}"
    rows = [{"id": n, "content": content} for n, content in enumerate(published.contents)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)
    assert published.import_index(path).rows == ROWS
    assert open_index("wiki").passages[59].passage_id == "59"


def test_vectors_are_normalised_to_unit_length(published: Published) -> None:
    published.write_vectors(published.tensor.float() * 7)
    published.import_index()
    assert np.allclose(np.linalg.norm(np.concatenate(list(open_index("wiki").vectors)), axis=1), 1, atol=2e-3)


def test_spaces_between_chinese_characters_are_removed(tmp_path: Path, tiny: Path) -> None:
    chinese = Published(tmp_path, tiny, lang="zh")
    chinese.import_index()
    text = open_index("wiki").passages[0].text
    assert text == f"T0. {facts(ROWS, seed=6)[0].say('zh')}"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("李白. 李 白 ， 字 太 白", "李白. 李白，字太白"),
        ("U. S. A.. 美 国   在 北 美", "U. S. A.. 美国 在北美"),
        ("无题. 一", "无题. 一"),
        ("标题. 已经连着写的 文字", "标题. 已经连着写的 文字"),
        ("没有题目", "没有题目"),
    ],
)
def test_only_spaces_between_all_characters_are_removed(content: str, text: str) -> None:
    assert import_bergen.remove_spacing(content) == text


class Stop(Exception):
    """Interrupts an import."""


def test_an_interrupted_import_resumes(published: Published) -> None:
    def stop(progress: Progress) -> None:
        if progress.passages > 30:
            raise Stop

    with pytest.raises(Stop):
        published.import_index(progress=stop)
    progress: list[Progress] = []
    published.import_index(progress=progress.append)
    assert progress[0].passages == CHUNKS[0][1] + CHUNKS[1][1]
    index = open_index("wiki")
    assert [index.passages[n].passage_id for n in range(ROWS)] == [str(n) for n in range(ROWS)]
    assert np.allclose(np.concatenate(list(index.vectors)), published.tensor.float().numpy(), atol=2e-3)


def test_passages_in_another_order_are_detected(published: Published) -> None:
    published.save([published.contents[30:], published.contents[:30]])
    with pytest.raises(InputError, match=r"passages from 0 on do not match their vectors .*another order"):
        published.import_index()
    assert [p.name for p in resources.built_folder().iterdir() if not p.name.endswith(".lock")] == []


def test_fewer_passages_than_vectors_are_refused(published: Published) -> None:
    published.save([published.contents[:50]])
    with pytest.raises(InputError, match=r"50 passages, but 60 vectors"):
        published.import_index()


def test_a_missing_chunk_is_detected(published: Published) -> None:
    (published.vectors / "embedding_chunk_101.pt").unlink()
    with pytest.raises(InputError, match=r"more passages than vectors \(55\); a chunk is missing"):
        published.import_index()


def test_a_file_with_code_is_refused_and_not_run(published: Published, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Evil(), published.vectors / "embedding_chunk_10.pt")
    with pytest.raises(InputError, match=r"embedding_chunk_10\.pt: not a file of vectors"):
        published.import_index()
    assert not (tmp_path / "ran").exists()


def test_a_file_without_a_matrix_of_vectors_is_refused(published: Published) -> None:
    path = published.vectors / "embedding_chunk_10.pt"
    torch.save(published.tensor[:5].float().to_sparse(), path)
    with pytest.raises(InputError, match="sparse indexes"):
        published.import_index()
    path.write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"chunk_10\.pt: not a file of vectors"):
        published.import_index()
    torch.save(published.tensor[:25, :10], path)
    with pytest.raises(InputError, match="10 dimensions; the encoder has 64"):
        published.import_index()


def test_a_vector_of_zeros_is_reported_by_row(published: Published) -> None:
    published.tensor[33] = 0
    published.write_vectors(published.tensor)
    with pytest.raises(InputError, match=r"embedding_chunk_10\.pt: row 3 is zero or not finite"):
        published.import_index()


def test_an_unfinished_import_with_another_prefix_is_refused(published: Published) -> None:
    def stop(progress: Progress) -> None:
        if progress.passages > 30:
            raise Stop

    with pytest.raises(Stop):
        published.import_index(progress=stop)
    with pytest.raises(CollectionError, match=r"id prefix was , is ko_"):
        published.import_index(id_prefix="ko_")
    assert published.import_index(id_prefix="ko_", restart=True).rows == ROWS


def test_a_path_without_a_data_set_is_refused(published: Published, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither a data set saved by `datasets`"):
        published.recipe(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"no file embedding_chunk_N\.pt"):
        real_encoders.import_index(tmp_path, published.recipe())
    state = published.passages / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "_indices_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(ConfigError, match="a selection of rows"):
        published.recipe()


def test_a_missing_field_is_reported_by_name(published: Published) -> None:
    recipe = published.recipe().model_copy(deep=True)
    recipe.source.fields = Fields(id="docid", text="content")
    with pytest.raises(InputError, match=r"fields 'docid' and 'content'.*--id-field"):
        real_encoders.import_index(published.vectors, recipe)


def test_the_command_names_the_index_after_its_folder(published: Published) -> None:
    from typer.testing import CliRunner

    from qttrag.cli import app

    folder = published.vectors.rename(published.vectors.with_name("wiki-100w-ko_doc_BAAI_bge-m3"))
    options = ["--passages", str(published.passages), "--lang", "ko", "--device", "cpu"]
    result = CliRunner().invoke(
        app, ["index", "import-bergen", str(folder), *options, "--model", str(published.tiny / "encoder")]
    )
    assert result.exit_code == 0, result.output
    assert open_index("wiki-100w-ko").manifest.rows == ROWS


def test_an_id_of_another_type_is_refused_by_row(tmp_path: Path, published: Published) -> None:
    rows: list[dict[str, Any]] = [{"id": n, "content": content} for n, content in enumerate(published.contents)]
    rows[7]["id"] = "a\ud800"
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"all\.jsonl:8: the id 'a.*vectors and passages must match row for row"):
        published.import_index(tmp_path / "all.jsonl")


def test_characters_replaced_in_an_import_are_counted(tmp_path: Path, published: Published) -> None:
    rows = [{"id": n, "content": content} for n, content in enumerate(published.contents)]
    rows[7]["content"] = f"{published.contents[7]}\x00"
    (tmp_path / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert published.import_index(tmp_path / "all.jsonl").repaired == {"control characters": 1}
