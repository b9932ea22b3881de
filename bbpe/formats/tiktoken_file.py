"""Read and write ``.tiktoken``: one ``base64(token) rank`` a line, where rank = id = priority of merging.

The file carries neither pattern nor special tokens. On reading they come from the caller (which may be
``io.load``, where the catalogue knows the file's sha256), else from the sidecar, else it is an error: nothing is
guessed. On writing they go to the sidecar.

A file read is a rank table, with pretokens that are tokens taken whole, as tiktoken does. When a sidecar says that it
was written from a merge list, it becomes that merge list again. A merge list is written only where ranks are the same
encoder (``equivalence.py``); a pattern that leaves text unmatched, a pattern of several stages, a normalizer, and
special tokens that take white space along cannot be said, and are refused.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from pathlib import Path

from bbpe.errors import FormatError, PatternError
from bbpe.formats.equivalence import check_same_as_ranks, merges_alone
from bbpe.formats.files import read_bytes
from bbpe.formats.sidecar import (
    Kind,
    Sidecar,
    build,
    read_sidecar,
    sidecar_path,
    special_tokens_from_caller,
    write_sidecar,
)
from bbpe.patterns import Pattern
from bbpe.vocabulary import MAX_ID, SpecialToken, Template, Vocabulary


def read(path: Path, *, pattern: Pattern | None = None, special_tokens: Mapping[str, int] | None = None) -> Vocabulary:
    """Read a rank table.

    Args:
        path: The file; ``.gz`` and ``.xz`` are read too.
        pattern: Used instead of what sidecar or catalogue say.
        special_tokens: ``{content: id}``, likewise; ``{}`` for none.

    Raises:
        FormatError: A damaged line (with its number), or nobody says what the file does not carry.
    """
    content = read_bytes(path)
    tokens = _parse(content, path)
    stated = read_sidecar(path, content) or _from_caller(path, pattern, special_tokens)
    special = stated.special_tokens if special_tokens is None else special_tokens_from_caller(special_tokens)
    vocabulary = build(
        path,
        tokens=tokens,
        ranks=list(tokens),
        special_tokens=special,
        pattern=stated.pattern if pattern is None else pattern,
        normalizer=stated.normalizer,
        whole_pretoken=stated.whole_pretoken,
        template=stated.template if special_tokens is None else _without_missing(stated.template, tokens, special),
        name=stated.name,
    )
    if stated.kind == "ranks":
        return vocabulary
    merges = merges_alone(vocabulary)
    if merges is None:
        raise FormatError(f"{path}: its sidecar says that it was a merge list, but some token is made by no merges")
    return vocabulary.replace(merges=merges, ranks=None)


def _parse(content: bytes, path: Path) -> dict[int, bytes]:
    """Rank to token, ranks ascending."""
    tokens: dict[int, bytes] = {}
    previous = -1
    decode = binascii.a2b_base64
    for number, line in enumerate(content.splitlines(), 1):
        if not line:
            continue
        encoded, _, digits = line.partition(b" ")
        if not digits.isdigit() or len(digits) > 10:
            raise FormatError(f"{path}:{number}: {line[:60]!r}; expected base64, a space and a rank")
        try:
            token = decode(encoded)
        except binascii.Error as error:
            raise FormatError(f"{path}:{number}: {encoded[:60]!r} is not base64: {error}") from None
        if binascii.b2a_base64(token, newline=False) != encoded:
            raise FormatError(f"{path}:{number}: {encoded[:60]!r} is not base64 as it is written")
        rank = int(digits)
        if rank <= previous or rank > MAX_ID:
            what = f"is over {MAX_ID}" if rank > MAX_ID else f"follows {previous}; ranks ascend"
            raise FormatError(f"{path}:{number}: rank {rank} {what}")
        if not token:
            raise FormatError(f"{path}:{number}: an empty token")
        tokens[rank] = token
        previous = rank
    if not tokens:
        raise FormatError(f"{path}: no tokens")
    return tokens


def _without_missing(template: Template, tokens: Mapping[int, bytes], special: tuple[SpecialToken, ...]) -> Template:
    """The template, where the caller's special tokens still have its ids; else none."""
    known = tokens.keys() | {token.id for token in special}
    return template if known.issuperset({*template.before, *template.after}) else Template()


def _from_caller(path: Path, pattern: Pattern | None, special_tokens: Mapping[str, int] | None) -> Sidecar:
    """Where there is no sidecar, the caller says it all."""
    missing = []
    if pattern is None:
        missing.append("pattern='llama3' (a name or a regex)")
    if special_tokens is None:
        missing.append("special_tokens={'<|endoftext|>': 100257} ({} for none)")
    if pattern is None or special_tokens is None:
        raise FormatError(
            f"{path}: a .tiktoken file carries no pattern and no special tokens, it has no sidecar "
            f"({sidecar_path(path).name}), and its sha256 is not in the catalogue: pass {' and '.join(missing)}"
        )
    return Sidecar("ranks", True, pattern, (), None, Template(), None)


def write(vocabulary: Vocabulary, path: Path) -> None:
    """Write a rank table and its sidecar, read them again, and compare.

    Raises:
        FormatError: The format cannot say this vocabulary exactly; the message says why.
        OSError: A file cannot be written.
    """
    check_sayable(vocabulary)
    content = b"".join(
        b"%s %d\n" % (binascii.b2a_base64(token, newline=False), id) for id, token in vocabulary.tokens.items()
    )
    # What is read back: the merge list itself where ranks determine it, else the rank table that is the same encoder.
    table = vocabulary.replace(merges=None, ranks=None)
    kind: Kind = "merges" if vocabulary.merges is not None and merges_alone(table) == vocabulary.merges else "ranks"
    if kind == "ranks":
        vocabulary = table.replace(whole_pretoken=True)
    path.write_bytes(content)
    write_sidecar(vocabulary, path, kind, content)
    if read(path) != vocabulary:
        raise FormatError("what was written reads back as another vocabulary: a .tiktoken file cannot say this one")


def check_sayable(vocabulary: Vocabulary) -> None:
    """Check that tiktoken, given the file and its sidecar, gives every text the ids that bbpe gives it.

    Raises:
        FormatError: It would not; the message says why.
    """
    if vocabulary.normalizer is not None:
        raise FormatError(f"a .tiktoken file cannot say the normalizer {vocabulary.normalizer}")
    try:
        vocabulary.pattern.spelling("tiktoken")
    except PatternError as error:
        raise FormatError(f"a .tiktoken file cannot say this pattern: {error}") from None
    previous = ""
    for special in sorted(vocabulary.special_tokens, key=lambda special: special.content):
        for flag in ("lstrip", "rstrip", "single_word"):
            if getattr(special, flag):
                raise FormatError(f"a .tiktoken file cannot say {flag} of special token {special.content!r}")
        if previous and special.content.startswith(previous):
            raise FormatError(
                f"special token {special.content!r} begins with special token {previous!r}; "
                "which of the two tiktoken takes is chance"
            )
        previous = special.content
    try:
        check_same_as_ranks(vocabulary)
    except FormatError as error:
        raise FormatError(f"a .tiktoken file cannot say these merges: {error}") from None
