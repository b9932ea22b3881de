"""The GPT-2 spelling of bytes: every byte is one printable character, so that a token is text without white space.

``tokenizer.json``, ``vocab.json`` and ``merges.txt`` write tokens this way. 188 bytes that print in Latin-1 stand for
themselves; the other 68 take U+0100 onwards in byte order (the space is ``Ġ``, the newline ``Ċ``). Nothing else lives
here.
Source: ``bytes_to_unicode`` in OpenAI's GPT-2 release.
"""

from __future__ import annotations


def _characters() -> str:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x100 + 256 - len(printable)))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


CHARACTERS = _characters()  # CHARACTERS[b] spells byte b
_BYTES = {character: byte for byte, character in enumerate(CHARACTERS)}


def to_text(token: bytes) -> str:
    """Spell bytes as text.

    >>> to_text(" 中".encode())
    'Ġä¸Ń'
    """
    return token.decode("latin-1").translate(_TRANSLATION)


_TRANSLATION = dict(enumerate(CHARACTERS))


def to_bytes(text: str) -> bytes:
    """The bytes that a spelling stands for.

    Raises:
        KeyError: A character that spells no byte; the character is the key.

    >>> to_bytes("Ġä¸Ń").decode()
    ' 中'
    """
    return bytes(map(_BYTES.__getitem__, text))


def is_spelling(text: str) -> bool:
    """Whether every character spells a byte."""
    return all(character in _BYTES for character in text)
