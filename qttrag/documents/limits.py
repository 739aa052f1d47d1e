"""Limits of reading one file; each is enforced outside the library that reads it, too."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DocumentLimits(BaseModel):
    """`max_file_bytes`: of a file; `max_unpacked_bytes`: of the files in a ZIP archive (DOCX, PPTX, XLSX, EPUB)
    together. `max_characters`: of its text. `seconds`: of processor time, and twice as many in all.
    `memory_bytes`: of the process that reads it."""

    model_config = ConfigDict(extra="forbid")
    max_file_bytes: int = Field(default=100_000_000, ge=1)
    max_unpacked_bytes: int = Field(default=500_000_000, ge=1)
    max_pages: int = Field(default=5000, ge=1)
    max_characters: int = Field(default=20_000_000, ge=1)
    seconds: int = Field(default=60, ge=1)
    memory_bytes: int = Field(default=1_500_000_000, ge=100_000_000)
