"""The exceptions that bbpe raises for a user's mistake.

::

    BbpeError
    ├── PatternError      a pattern that does not compile, matches empty, or does not exist (ValueError)
    ├── VocabularyError   tokens, merges, ids or special tokens that contradict one another (ValueError)
    ├── CorpusError       text that cannot be read: missing, empty, binary, truncated, malformed (ValueError)
    ├── TrainingError     options or counts from which nothing can be learned (ValueError)
    ├── GuaranteeError    an extension that would break what it promises; with its counter-example (ValueError)
    ├── EncodeError       text or ids that this vocabulary cannot encode or decode (ValueError)
    │   └── MissingByteError  a byte for which the vocabulary has no token
    ├── FormatError       a vocabulary file that cannot be read, or cannot say what is to be written (ValueError)
    ├── ComparisonError   tokenizers, texts or sizes that cannot be compared (ValueError)
    ├── OutputError       an output that exists already or cannot be written (OSError)
    ├── ClusterError      a Spark cluster that cannot be reached, or a job on it that failed (RuntimeError)
    ├── DownloadError     a file that cannot be downloaded, or is not what it should be (OSError)
    └── MissingExtraError a feature whose optional dependency is not installed (ImportError)

Every message says what was wrong, where, and what to do. The command line prints it in one line and exits with 1.
An argument of the wrong type raises ``TypeError``, as everywhere in Python.
"""

from __future__ import annotations


class BbpeError(Exception):
    """Base of every error that bbpe raises on purpose."""


class PatternError(BbpeError, ValueError):
    """A pattern that does not compile, can match the empty string, or is not known by name."""


class VocabularyError(BbpeError, ValueError):
    """Tokens, merges, ids or special tokens that contradict one another."""


class CorpusError(BbpeError, ValueError):
    """Text that cannot be read: a missing, empty, binary, truncated or malformed source."""


class TrainingError(BbpeError, ValueError):
    """Options or counts from which nothing can be learned."""


class GuaranteeError(BbpeError, ValueError):
    """An extension that would break what it promises; the message holds the counter-example."""


class EncodeError(BbpeError, ValueError):
    """Text or ids that the vocabulary at hand cannot encode or decode."""


class MissingByteError(EncodeError):
    """A byte for which the vocabulary has no token.

    Attributes:
        byte: Its value.
        offset: Its place, in bytes from the start of the text.
    """

    def __init__(self, byte: int, offset: int, text: int | None = None) -> None:
        where = f"offset {offset}" if text is None else f"offset {offset} of text {text}"
        super().__init__(f"this vocabulary has no token for byte 0x{byte:02X}, which stands at {where}")
        self.byte = byte
        self.offset = offset


class FormatError(BbpeError, ValueError):
    """A vocabulary file that cannot be read, or a format that cannot say what is to be written."""


class ComparisonError(BbpeError, ValueError):
    """Tokenizers, texts or sizes that cannot be compared or priced."""


class OutputError(BbpeError, OSError):
    """An output that exists already or cannot be written."""


class ClusterError(BbpeError, RuntimeError):
    """A Spark cluster that cannot be reached, or that failed at a job for a reason of its own."""


class DownloadError(BbpeError, OSError):
    """A file that cannot be downloaded, or that came and is not what it should be."""


class MissingExtraError(BbpeError, ImportError):
    """A feature whose optional dependency is not installed; the message names the extra."""


def shown(value: object) -> str:
    """A value for a message: as Python writes it, cut short, and an integer of too many digits by its size.

    >>> shown("a" * 100)[-4:], shown(10**5000)
    ('aaa…', 'of 16,610 bits')
    """
    try:
        text = repr(value)
    except ValueError:  # int to str has a limit
        return f"of {value.bit_length():,} bits" if isinstance(value, int) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:60]}…"
