"""A folder with tiny models and a collection, for benchmarks that answer questions."""

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
    """Yield a folder with the models and a built collection of N passages; it is QTTRAG_HOME."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"QTTRAG_HOME": name, "HF_HUB_OFFLINE": "1"}
        quiet()
        tiny_models.make_all(folder)
        deployment.build(folder, folder, n=passages)
        yield folder
