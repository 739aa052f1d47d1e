"""A folder of 200 files of all types, of which a tenth are hostile: each is indexed or named."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.build_folder import FolderBuild, build_folder
from qttrag.indexes.recipe import EncoderSettings, Recipe, Source
from tests.documents import sample_files
from tests.indexes.hashing_encoder import MODEL, open_hashing
from tests.texts import LANGS, facts

FILES = 200


def friendly(n: int) -> dict[str, bytes]:
    """The files, by name, of each type in turn; each is about a fact of its own, in two languages."""
    files: dict[str, bytes] = {}
    for number, fact in enumerate(facts(n, seed=3)):
        texts = [fact.say(LANGS[(number + step) % len(LANGS)]) for step in range(2)]
        english, body = fact.say("en").encode("latin-1", "replace").decode("latin-1"), "\n\n".join(texts)
        name, page = f"{number % 10}/{number:03d}", "".join(f"<p>{text}</p>" for text in texts)
        match number % 9:
            case 0:
                files[f"{name}.pdf"] = sample_files.pdf([[(18, "Facts"), (12, english)], [(12, english)]])
            case 1:
                files[f"{name}.docx"] = sample_files.docx("Facts", {"One": texts})
            case 2:
                files[f"{name}.pptx"] = sample_files.pptx([("Facts", text) for text in texts])
            case 3:
                files[f"{name}.xlsx"] = sample_files.xlsx(
                    {"Facts": [["Text", "Number"], *([t, number] for t in texts)]}
                )
            case 4:
                files[f"{name}.html"] = f"<title>Facts</title><h1>Facts</h1>{page}".encode()
            case 5:
                files[f"{name}.epub"] = sample_files.epub("Facts", [page, page])
            case 6:
                files[f"{name}.md"] = f"# Facts\n\n{body}".encode()
            case 7:
                files[f"{name}.txt"] = body.encode("utf-16" if number % 2 else "utf-8")
            case _:
                files[f"{name}.eml"] = sample_files.email("Facts", body)
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    hostile = {f"hostile/{name}": content for name, (content, _) in sample_files.hostile().items()}
    for name, content in {**friendly(FILES - len(hostile)), **hostile}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def build(folder: Path) -> FolderBuild:
    recipe = Recipe(name="corpus", source=Source(kind="folder", path=str(folder)), encoder=EncoderSettings(model=MODEL))
    return build_folder(recipe, open_encoder=open_hashing)


def test_every_file_is_indexed_or_named(folder: Path) -> None:
    built = build(folder)
    expected = sample_files.hostile()
    assert len(built.outcomes) == FILES
    assert len(expected) >= 20
    for outcome in built.outcomes:
        place, _, name = outcome.name.partition("/")
        if place == "hostile":
            assert outcome.code in expected[name][1], outcome
        else:
            assert (outcome.state, outcome.passages > 0) == ("indexed", True), outcome
    assert verify("corpus") == []
    passages = open_index("corpus").passages
    places = [passage.place for passage in passages.take(passages.remaining_rows())]
    files = {found.file for found in places if found is not None}
    assert files == {outcome.name for outcome in built.outcomes if outcome.state == "indexed"}
    assert {outcome.state for outcome in build(folder).outcomes} == {"unchanged", "failed"}
