"""`qttrag eval schema`."""

from __future__ import annotations

from qttrag.cli import output


def schema() -> None:
    """Print the JSON Schema of what the commands of `qttrag eval` print with --json and write to scores.json."""
    from qttrag.evaluation.document import Document

    output.say_json(Document.model_json_schema())
