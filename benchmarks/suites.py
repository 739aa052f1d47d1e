"""A folder with tiny models and a collection, for the benchmarks that ask questions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from qttrag.models.loading import quiet
from tests import deployment, tiny_models


@contextmanager
def prepared(*, passages: int = 40) -> Iterator[Path]:
    """Yield a folder that is QTTRAG_HOME, with the models and the built collection of so many passages in it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"QTTRAG_HOME": name, "HF_HUB_OFFLINE": "1"}
        quiet()
        tiny_models.make_all(folder)
        deployment.build(folder, folder, n=passages)
        yield folder
