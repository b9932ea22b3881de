"""Measurements: what is inside a vocabulary, and how tokenizers compare on text. Rows and records, nothing printed."""
