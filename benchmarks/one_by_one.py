"""The way of the research release, written anew: one text a call, all vectors scanned for each question, no cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import demo
from qttrag.application.application import Application
from qttrag.config import deployment as config
from qttrag.encoders.sentence_transformers import SentenceTransformersKind
from qttrag.indexes.collection import find, open_index
from qttrag.protocols import QualityTagger, Translator
from qttrag.types import Criterion, Hit, Lang, Query, Translation, Verdict

MODELS = Path(demo.__file__).parent / "models"
COLLECTIONS = ("demo-en", "demo-ko", "demo-fi", "demo-zh")


class ExactScan:
    """Retriever that scores every passage of English and of the question's language, one question at a time."""

    def __init__(self) -> None:
        self._encoder = SentenceTransformersKind(str(MODELS / "encoder")).load()
        stored = [open_index(name).passages for name in COLLECTIONS]
        self._passages = [passages[row] for passages in stored for row in range(len(passages))]
        files = [file for name in COLLECTIONS for file in sorted(find(name).folder.glob("vectors-*.npy"))]
        self._vectors = np.concatenate([np.load(file) for file in files]).astype("float32")
        self._langs = np.array([passage.lang for passage in self._passages])

    def __len__(self) -> int:
        return len(self._passages)

    async def retrieve(self, query: Query, k: int) -> list[Hit]:
        scores = self._vectors @ self._encoder.encode([query.text])[0]
        scores[~np.isin(self._langs, ["en", query.lang])] = -2.0  # below any cosine
        best = np.argsort(-scores, kind="stable")[:k]
        return [Hit(self._passages[row], float(scores[row])) for row in best]


@dataclass(frozen=True)
class OneTextACall:
    """A translator that is called with one text at a time."""

    inner: Translator

    @property
    def identity(self) -> str:
        return self.inner.identity

    async def translate(self, texts: Sequence[str], source: Sequence[Lang], target: Lang) -> list[Translation]:
        rows = zip(texts, source, strict=True)
        return [(await self.inner.translate([text], [lang], target))[0] for text, lang in rows]


@dataclass(frozen=True)
class OneVerdictACall:
    """A tagger that is called with one translation at a time."""

    inner: QualityTagger

    @property
    def measures(self) -> Sequence[Criterion]:
        return self.inner.measures

    async def score(
        self, originals: Sequence[str], translations: Sequence[str], source: Sequence[Lang], target: Lang
    ) -> list[Verdict]:
        rows = zip(originals, translations, source, strict=True)
        return [(await self.inner.score([a], [b], [lang], target))[0] for a, b, lang in rows]


def released() -> Application:
    """Open the demo's deployment with the stages of the released way: NLLB in float32, greedy, on transformers."""
    nllb = {"kind": "nllb_transformers", "model": str(MODELS / "translator"), "beam_size": 1, "unit": "passage"}
    application = Application.open(config.load("demo", {"cache": {"enabled": False}, "translator": nllb}))
    stages = application.stages
    assert stages.translator is not None
    assert stages.tagger is not None
    one_a_call = replace(
        stages,
        retriever=ExactScan(),
        translator=OneTextACall(stages.translator),
        tagger=OneVerdictACall(stages.tagger),
    )
    return replace(application, stages=one_a_call)
