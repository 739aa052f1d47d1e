"""Critical errors of translations, found by comparing numbers, names, negations and lengths; without a model."""
