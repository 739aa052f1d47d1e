"""Interrupted builds: killed at any moment, on a full disk, with a changed source or recipe."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from qttrag import resources
from qttrag.errors import CollectionError, InputError
from qttrag.indexes.collection import open_index, verify
from qttrag.indexes.jobs.index_job import Progress
from qttrag.indexes.recipe import Recipe, load
from qttrag.indexes.storage.journal import Journal
from qttrag.indexes.storage.workspace import BuildWorkspace
from tests import deployment
from tests.indexes import processes
from tests.indexes.jobs.real_encoders import build

SHARD = 30
ROWS = 200


class Stop(Exception):
    """Interrupts a build, as any error would."""


@pytest.fixture
def path(tmp_path: Path, tiny: Path) -> Path:
    """A recipe whose index has 7 shards."""
    return changed(deployment.write_recipe(tmp_path, tiny, n=ROWS), shard_rows=SHARD, faiss="IVF4,Flat")


def changed(path: Path, **settings: Any) -> Path:
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}))
    return path


def interrupt(recipe: Recipe, *, after: int, **options: Any) -> int:
    """Build until `after` passages are encoded; return the number in finished shards."""

    def stop(progress: Progress) -> None:
        if progress.step == "encode" and progress.passages >= after:
            raise Stop

    with pytest.raises(Stop):
        build(recipe, progress=stop, **options)
    return workspace().read_journal().rows


def workspace() -> BuildWorkspace:
    return BuildWorkspace(resources.built_folder() / "mixed")


def names() -> list[str]:
    return sorted(path.name for path in resources.built_folder().iterdir())


def sums(folder: Path) -> dict[str, str]:
    files = (path for path in folder.iterdir() if path.name != "manifest.json")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def first_progress(recipe: Recipe, **options: Any) -> Progress:
    """Build and return the first progress."""
    progress: list[Progress] = []
    build(recipe, progress=progress.append, **options)
    return progress[0]


def test_a_build_killed_at_random_moments_gives_the_same_index(tmp_path: Path, path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    assert processes.finish(undisturbed, path) == ""
    moments, kills = random.Random(4), 0
    while kills < 8:
        process = processes.start(killed, path)
        process.join(moments.uniform(0.15, 0.6))
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
    assert processes.finish(killed, path).partition(" (")[0] in ("", "CollectionError: index 'mixed' already exists")
    built = Path("indexes") / "built" / "mixed"
    assert sums(killed / built) == sums(undisturbed / built)
    manifests = [json.loads((home / built / "manifest.json").read_text()) for home in (undisturbed, killed)]
    assert manifests[0]["langs"] == manifests[1]["langs"]
    assert 0 <= processes.encoded(killed) - ROWS <= kills * SHARD
    assert sorted(p.name for p in (killed / built).parent.iterdir()) == [".mixed.lock", "mixed"]


def test_finished_shards_are_not_encoded_again(path: Path) -> None:
    recorded = interrupt(load(path), after=100)
    assert recorded == 90
    assert recorded < first_progress(load(path)).passages <= recorded + SHARD
    assert verify("mixed") == []
    assert open_index("mixed").manifest.shards == [SHARD] * 6 + [20]


def test_ids_are_unique_across_an_interruption(path: Path) -> None:
    source = path.with_name("mixed.jsonl")
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines[:150], lines[0], *lines[150:]]) + "\n")
    interrupt(load(path), after=100)
    with pytest.raises(InputError, match=r"jsonl:151: the id 'en-0' is repeated"):
        build(load(path))
    assert build(load(path), on_error="skip").skipped == {"repeated id": 1}
    ids = [open_index("mixed").passages[row].passage_id for row in range(ROWS)]
    assert len(set(ids)) == ROWS


def test_skipped_records_are_counted_once_across_an_interruption(path: Path) -> None:
    source = path.with_name("mixed.jsonl")
    source.write_text("{oops\n" + source.read_text() + "{oops\n")
    interrupt(load(path), after=100, on_error="skip")
    assert build(load(path), on_error="skip").skipped == {"not JSON": 2}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"chunking": {"size": 50}}, r"chunking.size was 100, is 50"),
        ({"lang": "fi"}, r"lang was None, is fi"),
        ({"shard_rows": 31}, r"shard_rows was 30, is 31"),
    ],
)
def test_a_changed_recipe_is_refused_with_the_difference(path: Path, settings: dict[str, Any], words: str) -> None:
    recipe = load(path)
    interrupt(recipe, after=100)
    with pytest.raises(CollectionError, match=rf"'mixed' is half built \(90 passages\).*{words}.*--restart"):
        build(load(changed(path, **settings)), overwrite=True)
    assert first_progress(recipe).passages > 90


def test_another_encoder_is_refused(path: Path, tmp_path: Path) -> None:
    from tests import tiny_models

    interrupt(load(path), after=100)
    other = tiny_models.make_encoder(tmp_path / "other", seed=3)
    with pytest.raises(CollectionError, match=r"encoder.model was .*encoder revision was"):
        build(load(changed(path, encoder={"model": str(other), "device": "cpu"})))


def test_a_changed_source_is_refused_and_restart_takes_it(path: Path, tmp_path: Path) -> None:
    interrupt(load(path), after=100)
    deployment.write_source(path.with_name("mixed.jsonl"), n=50)
    with pytest.raises(CollectionError, match=r"files\..*mixed\.jsonl was \d+ bytes .*, is \d+ bytes"):
        build(load(path))
    assert build(load(path), restart=True).rows == 50


def test_the_factory_string_may_change_after_encoding(path: Path) -> None:
    with pytest.raises(Exception, match="encoded passages are kept"):
        build(load(changed(path, faiss="IVF1000,Flat")))
    assert first_progress(load(changed(path, faiss="Flat"))).step == "add"
    assert verify("mixed") == []


def test_training_is_not_repeated(path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == "add":
            raise Stop

    with pytest.raises(Stop):
        build(load(path), progress=stop)
    assert first_progress(load(path)).step == "add"


def test_a_damaged_shard_is_encoded_again(path: Path) -> None:
    interrupt(load(path), after=150)
    file = workspace().index / "vectors-00002.npy"
    file.write_bytes(file.read_bytes()[:-2])
    assert first_progress(load(path)).passages <= 3 * SHARD
    assert verify("mixed") == []


def test_a_damaged_journal_is_reported_with_the_way_out(path: Path) -> None:
    interrupt(load(path), after=100)
    (workspace().folder / "progress.json").write_text("{")
    with pytest.raises(CollectionError, match=r"progress\.json: damaged .*--restart"):
        build(load(path))
    assert build(load(path), restart=True).rows == ROWS


def test_a_journal_keeps_its_keys_on_the_disk(path: Path) -> None:
    """So that a build begun by an earlier version resumes."""
    interrupt(load(path), after=100)
    journal = json.loads((workspace().folder / "progress.json").read_text())
    assert list(journal) == ["terms", "shards", "faiss", "made"]
    assert {"chunking", "encoder revision", "reading", "files"} <= set(journal["terms"])


def test_the_existing_index_is_served_until_the_new_one_is_complete(path: Path) -> None:
    build(load(changed(path, shard_rows=500)))
    interrupt(load(changed(path, shard_rows=SHARD)), after=100, overwrite=True)
    assert verify("mixed") == []
    assert build(load(path), overwrite=True).shards[0] == SHARD
    assert names() == [".mixed.lock", "mixed"]


def test_a_build_killed_after_publishing_is_only_cleaned_up(path: Path) -> None:
    build(load(path))
    workspace().folder.mkdir()
    digest = hashlib.sha256((workspace().target / "manifest.json").read_bytes()).hexdigest()
    workspace().save_journal(Journal(fingerprint={}, manifest_sha256=digest))
    progress: list[Progress] = []
    assert build(load(path), progress=progress.append).rows == ROWS
    assert progress == []
    assert names() == [".mixed.lock", "mixed"]


def test_a_build_killed_after_replacing_an_index_is_only_cleaned_up(path: Path, tmp_path: Path) -> None:
    """The workspace then holds the replaced index in place of the new one."""
    build(load(changed(path, shard_rows=500)))
    shutil.copytree(workspace().target, tmp_path / "replaced")
    build(load(changed(path, shard_rows=SHARD)), overwrite=True)
    shutil.copytree(tmp_path / "replaced", workspace().index)
    digest = hashlib.sha256((workspace().target / "manifest.json").read_bytes()).hexdigest()
    workspace().save_journal(Journal(fingerprint={}, manifest_sha256=digest))
    progress: list[Progress] = []
    assert build(load(path), overwrite=True, progress=progress.append).shards[0] == SHARD
    assert progress == []
    assert names() == [".mixed.lock", "mixed"]


def test_an_index_renamed_by_a_killed_build_is_restored(path: Path) -> None:
    """Where a system cannot swap two folders in one step, the existing one is renamed for a moment."""
    build(load(path))
    workspace().target.rename(workspace().target.with_name(".mixed.old"))
    with pytest.raises(CollectionError, match="'mixed' already exists"):
        build(load(path))
    assert verify("mixed") == []


def test_a_finished_index_that_could_not_be_published_is_not_encoded_again(tmp_path: Path, path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    process = processes.start(home, path)
    built = home / "indexes" / "built"
    while not (built / ".mixed.building" / "index" / "vectors-00000.npy").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    built.chmod(0o555)
    assert "200 passages are finished and kept" in processes.finish(home, path, obey_modes=True)
    built.chmod(0o755)
    encoded = processes.encoded(home)
    assert processes.finish(home, path) == ""
    assert processes.encoded(home) == encoded


def in_torch(path: Path) -> Path:
    """Set the encoder of a recipe to write no converted model."""
    encoder = yaml.safe_load(path.read_text())["encoder"]
    return changed(path, encoder={**encoder, "dtype": "float32"})


def test_a_disk_that_is_full_before_the_encoder_is_converted_is_reported(tmp_path: Path, path: Path) -> None:
    home = tmp_path / "small"
    home.mkdir()
    message = processes.finish(home, path, file_bytes=20_000)
    assert message.startswith(f"ConfigError: retriever: cannot write {home}")
    assert "set QTTRAG_HOME to a folder with room" in message
    assert processes.finish(home, path) == ""


def test_a_full_disk_is_reported_and_costs_no_finished_shard(tmp_path: Path, path: Path) -> None:
    """A limit of the file size acts like a full disk: here for the FAISS index, after all shards are finished."""
    in_torch(path)
    home = tmp_path / "small"
    home.mkdir()
    message = processes.finish(home, path, file_bytes=20_000)
    assert message.startswith("CollectionError: ")
    assert "faiss" in message
    assert (
        "200 passages are finished and kept: free disk space or restore write access, then run the same command again"
        in message
    )
    assert processes.finish(home, path) == ""
    assert processes.encoded(home) == ROWS


def test_a_disk_full_in_the_middle_of_a_shard_keeps_earlier_shards(tmp_path: Path, path: Path) -> None:
    in_torch(path)
    home = tmp_path / "small"
    home.mkdir()
    deployment.write_source(path.with_name("mixed.jsonl"), n=ROWS)
    with path.with_name("mixed.jsonl").open("a") as file:
        file.write(json.dumps({"id": "long", "text": "word " * 20_000, "lang": "en"}) + "\n")
    message = processes.finish(home, path, file_bytes=20_000)
    assert (
        "180 passages are finished and kept: free disk space or restore write access, then run the same command again"
        in message
    )
    left = {file.name for file in (home / "indexes" / "built" / ".mixed.building" / "index").iterdir()}
    assert len(left) == 12
    assert not any(name.endswith(".part") for name in left)
    assert processes.finish(home, path) == ""


def test_a_read_only_folder_is_reported_by_name(tmp_path: Path, path: Path) -> None:
    home = tmp_path / "home"
    (home / "indexes" / "built").mkdir(parents=True)
    (home / "indexes" / "built").chmod(0o555)
    message = processes.finish(home, path, obey_modes=True)
    assert "built is not writable (Permission denied); set QTTRAG_HOME" in message


def test_a_folder_that_becomes_read_only_keeps_finished_shards(tmp_path: Path, path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    process = processes.start(home, path)
    index = home / "indexes" / "built" / ".mixed.building" / "index"
    while not (index / "vectors-00001.npy").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    finished = sums(index)
    index.chmod(0o555)
    message = processes.finish(home, path, obey_modes=True)
    assert "Permission denied" in message
    assert "run the same command again" in message
    assert finished.items() <= sums(index).items()
    index.chmod(0o755)
    assert processes.finish(home, path) == ""
