"""The workers of runs on a cluster, in this process and without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from qttrag.distributed.ray_answering import AnsweringWorker, Task
from qttrag.errors import ConfigError
from qttrag.evaluation import datasets, suites
from qttrag.evaluation.datasets.replay import ReplayedRetriever
from qttrag.evaluation.runs import provenance
from qttrag.evaluation.runs.answering import AnsweringJob
from qttrag.evaluation.runs.folder import start_or_resume
from tests import deployment, suite


@pytest.fixture
def task(tmp_path: Path, tiny: Path) -> Task:
    deployment.build(tmp_path, tiny, n=4)
    loaded = suites.load(str(suite.write_suite(tmp_path, tiny, n=1)))
    questions = {name: datasets.load(name, row.settings, row.lang).questions for name, row in loaded.rows().items()}
    started = start_or_resume(tmp_path / "out", loaded, questions, [])
    job = AnsweringJob(loaded, "own", loaded.deployment_for("own"), started, ReplayedRetriever({}), None)
    return Task(job, None, provenance.of_node(started.identity, "own"))


def test_a_node_with_the_files_of_the_command_has_its_provenance(task: Task) -> None:
    assert all(task.provenance[part] for part in ("models", "collections", "prompts"))
    assert provenance.of_deployment(task.job.deployment, like=task.provenance) == task.provenance


def test_a_node_with_another_model_is_refused(task: Task) -> None:
    other = {**task.provenance["models"], "reranker": {"model": "other", "revision": "1"}}
    with pytest.raises(ConfigError, match=r"the files of a node are not those of the command: models\.reranker"):
        AnsweringWorker(Task(task.job, None, {**task.provenance, "models": other}), None)
