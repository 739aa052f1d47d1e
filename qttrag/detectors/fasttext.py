"""A detector with a language model of fastText from a file or the hub: NLLB's (218 labels), GlotLID's (some 2,000)."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qttrag.detectors import recognition as recognised
from qttrag.detectors.fasttext_file import labels_of
from qttrag.detectors.fasttext_labels import lang_of
from qttrag.detectors.recognition import Recognition
from qttrag.detectors.script_rules import detect_by
from qttrag.errors import ConfigError, describe
from qttrag.models import single_file
from qttrag.types import UNDETERMINED, Lang

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

_ALL = -1  # labels of a prediction, so that the best label of the right script is among them


class FastTextDetector:
    """Detector kind `fasttext`: the rules of kind `script`, with another model where they leave several languages.

    `model`: a .bin or .ftz file, a folder, or a name on the hub, of which `file` is the model and `revision` the
    version. Its labels are languages ("ko") or languages in a script ("kor_Hang", "__label__zul_Latn"); those that the
    table of languages lacks are ignored. `languages`, `min_score`: as for kind `script`; varieties of Arabic are "ar"
    unless they are among `languages`.

    The file has numbers and labels and no code; it is read by a library in C++, so take it from a source you trust."""

    def __init__(
        self,
        *,
        model: str,
        file: str | None = None,
        revision: str | None = None,
        languages: list[str] | None = None,
        min_score: float = 0.0,
    ) -> None:
        self._model, self._file, self._revision = model, file, revision
        self._preferences = recognised.preferences("fasttext", languages, min_score)
        self._loading = threading.Lock()

    async def detect(self, texts: Sequence[str]) -> list[Lang]:
        """Raises:
        ConfigError: the model is unavailable or unreadable."""
        return await asyncio.to_thread(lambda: [self._detect(text) for text in texts])

    def recognition(self, lang: Lang) -> Recognition:
        """Return how a language of the table is recognised.

        Raises:
            ConfigError: the model is not on this machine."""
        return recognised.recognition(lang, self._known)

    @functools.cached_property
    def _known(self) -> frozenset[Lang]:
        return frozenset(map(lang_of, labels_of(self._path(local_only=True)))) - {UNDETERMINED}

    def _detect(self, text: str) -> Lang:
        return detect_by(self._scores, text, self._preferences)

    def _scores(self, text: str) -> Mapping[Lang, float]:
        scores: dict[Lang, float] = {}
        for label, score in zip(*self._loaded().predict(text.replace("\n", " "), k=_ALL), strict=True):
            lang = lang_of(label)
            scores[lang] = max(float(score), scores.get(lang, 0.0))
        return scores

    def _loaded(self) -> _FastText:
        with self._loading:  # two threads must not load it twice
            return self._fasttext

    @functools.cached_property
    def _fasttext(self) -> _FastText:
        from fasttext import load_model

        path = self._path(local_only=False)
        labels_of(path)  # the library ends the process for some damaged files
        try:
            return load_model(str(path))
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"detector: {path} cannot be read as a fastText model: {describe(error)}") from error

    def _path(self, *, local_only: bool) -> Path:
        located = single_file.locate(
            "detector",
            self._model,
            single_file.FASTTEXT,
            file=self._file,
            revision=self._revision,
            local_only=local_only,
        )
        return located.path
