"""Licences of the weights that the documentation names, as their pages on the hub state them."""

from __future__ import annotations

_LICENCES = {
    "facebook/nllb-200-": "CC-BY-NC-4.0",
    "facebook/fasttext-language-identification": "CC-BY-NC-4.0",
    "cis-lmu/glotlid": "Apache-2.0",
}
"""By the beginning of a model's name."""


def licence(model: str) -> str | None:
    """Return the licence of a model of the hub, None if it is not known here."""
    return next((terms for name, terms in _LICENCES.items() if model.lower().startswith(name)), None)
