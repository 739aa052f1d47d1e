"""The jobs that encode, with the encoders that the command line gives them."""

from __future__ import annotations

from functools import partial

from qttrag.application.factory import open_encoder
from qttrag.indexes.jobs import append as appending
from qttrag.indexes.jobs import build as building
from qttrag.indexes.jobs import import_bergen, tune

append = partial(appending.append, open_encoder=open_encoder)
build = partial(building.build, open_encoder=open_encoder)
import_index = partial(import_bergen.import_index, open_encoder=open_encoder)
sample_questions = partial(tune.sample_questions, open_encoder=open_encoder)
