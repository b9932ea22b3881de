"""What a vocabulary is made of: kinds of tokens, scripts, lengths, digits, spaces, cases; its pattern in words.

Everything here is read off the tokens and found by trying the pattern on short probes; what a token is worth on a text
is in ``usage.py``, what is wrong with it in ``health.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bbpe.analysis.entries import PIECE_OF_CHARACTER, Entries, TokenKind, entries_of, scripts_of
from bbpe.engines import EngineTokenizer
from bbpe.errors import BbpeError
from bbpe.patterns import Pattern, Pretokenizer
from bbpe.tokenizer import Tokenizer

LONGEST = 5  # of each script


@dataclass(frozen=True, slots=True)
class ScriptRow:
    """The tokens of one script.

    Attributes:
        script: Its name, or what tokens without letters are instead.
        ids: The tokens, ascending.
        characters: Mean characters of a token; None for pieces of characters.
        bytes: Mean bytes of a token.
        longest: The ids of the longest ones by characters (bytes, for pieces), the longest first.
    """

    script: str
    ids: tuple[int, ...]
    characters: float | None
    bytes: float
    longest: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Digits:
    """What becomes of numbers.

    Attributes:
        cut: The lengths of the pieces that the run 12345678 is cut into before merging; None where another library
            does not tell.
        encoded: The lengths of its tokens in digits; None where nothing encodes.
        numbers: Length to how many of all numbers with so many digits (leading zeros included) are one token.
        longest: Digits of the longest token that is a number.
    """

    cut: tuple[int, ...] | None
    encoded: tuple[int, ...] | None
    numbers: Mapping[int, int]
    longest: int

    @property
    def policy(self) -> str:
        """In words."""
        if self.cut is not None and set(self.cut) == {1}:
            return "each digit alone"
        if self.longest <= 1:
            return "each digit alone, since no token has two"
        if self.cut is not None and len(self.cut) > 1:
            return f"groups of up to {max(self.cut)}, from the left"
        return f"merged at will, up to {self.longest} digits in a token"


@dataclass(frozen=True, slots=True)
class CaseVariants:
    """Words that have several tokens, which differ in case or in a space before them.

    Attributes:
        tokens: Tokens that are one word of letters with case.
        words: Different words among them, case and space aside.
        widest: The word with the most tokens.
        forms: Its tokens.
    """

    tokens: int
    words: int
    widest: str
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Makeup:
    """What a vocabulary is made of.

    Attributes:
        entries: Its entries.
        engine: The library that encodes.
        algorithm: What it does.
        kinds: Tokens of each kind, in the order of a vocabulary.
        holes: Ids below ``id_space`` that stand for nothing.
        missing_bytes: Single bytes that have no token, of 256; None where the vocabulary does not spell in bytes.
        scripts: By number of tokens, the largest first.
        by_characters: Characters to tokens, of the tokens that are valid UTF-8.
        by_bytes: Bytes to tokens.
        digits: What becomes of numbers.
        spaces: Length to tokens that are so many spaces and nothing else.
        newlines: Likewise newlines.
        tabs: Likewise tabs.
        cases: Words in several cases.
        pattern: What cuts text into pretokens, in sentences.
        normalizer: What is done to text before, in a sentence.
        lossless: What a text loses, in a sentence.
        template: What the model's own tokenizer puts around a text, in a sentence.
    """

    entries: Entries
    engine: str
    algorithm: str
    kinds: Mapping[TokenKind, int]
    holes: int
    missing_bytes: int | None
    scripts: tuple[ScriptRow, ...]
    by_characters: Mapping[int, int]
    by_bytes: Mapping[int, int]
    digits: Digits
    spaces: Mapping[int, int]
    newlines: Mapping[int, int]
    tabs: Mapping[int, int]
    cases: CaseVariants
    pattern: tuple[str, ...]
    normalizer: str
    lossless: str
    template: str

    def script(self, name: str) -> ScriptRow | None:
        """The row of a script; None where no token is written in it."""
        return next((row for row in self.scripts if row.script == name), None)


def make_up(tokenizer: Tokenizer | EngineTokenizer, entries: Entries | None = None) -> Makeup:
    """Find out what a vocabulary is made of.

    Args:
        tokenizer: Any tokenizer.
        entries: Its entries, where the caller has them already.
    """
    entries = entries or entries_of(tokenizer)
    texts: dict[int, str] = {}
    pieces: list[int] = []
    for id, token in entries.tokens.items():
        try:
            texts[id] = token.decode()
        except UnicodeDecodeError:
            pieces.append(id)
    count = Counter(entries.kinds.values())
    order: tuple[TokenKind, ...] = ("byte", "merge", "piece", "special", "reserved")
    single = sum(kind == "byte" for kind in entries.kinds.values())
    spells = entries.byte_level or (isinstance(tokenizer, EngineTokenizer) and tokenizer.byte_fallback)
    return Makeup(
        entries=entries,
        engine=tokenizer.engine,
        algorithm=_algorithm(tokenizer),
        kinds={kind: count[kind] for kind in order if count[kind]},
        holes=entries.id_space - len(entries),
        missing_bytes=256 - single if spells else None,
        scripts=_script_rows(entries, texts, pieces),
        by_characters=dict(sorted(Counter(map(len, texts.values())).items())),
        by_bytes=dict(sorted(Counter(map(len, entries.tokens.values())).items())),
        digits=_digits(tokenizer, texts.values()),
        spaces=_runs(texts, " "),
        newlines=_runs(texts, "\n"),
        tabs=_runs(texts, "\t"),
        cases=_cases(texts),
        pattern=_pattern(tokenizer),
        normalizer=_normalizer(tokenizer),
        lossless=_lossless(tokenizer),
        template=_template(tokenizer, entries),
    )


def _algorithm(tokenizer: Tokenizer | EngineTokenizer) -> str:
    if isinstance(tokenizer, EngineTokenizer):
        return tokenizer.algorithm + (" with byte fallback" if tokenizer.byte_fallback else "")
    vocabulary = tokenizer.vocabulary
    kind = "rank table" if vocabulary.merges is None else f"merge list of {len(vocabulary.merges):,}"
    return f"byte-level BPE, {kind}" + (", pretokens taken whole" if vocabulary.whole_pretoken else "")


def _script_rows(entries: Entries, texts: Mapping[int, str], pieces: Sequence[int]) -> tuple[ScriptRow, ...]:
    groups: dict[str, list[int]] = {}
    for id, script in zip(texts, scripts_of(list(texts.values())), strict=True):
        groups.setdefault(script, []).append(id)
    rows = [
        ScriptRow(
            script,
            tuple(ids),
            sum(len(texts[id]) for id in ids) / len(ids),
            sum(len(entries.tokens[id]) for id in ids) / len(ids),
            tuple(sorted(ids, key=lambda id: (-len(texts[id]), id))[:LONGEST]),
        )
        for script, ids in groups.items()
    ]
    if pieces:
        longest = tuple(sorted(pieces, key=lambda id: (-len(entries.tokens[id]), id))[:LONGEST])
        size = sum(len(entries.tokens[id]) for id in pieces) / len(pieces)
        rows.append(ScriptRow(PIECE_OF_CHARACTER, tuple(pieces), None, size, longest))
    return tuple(sorted(rows, key=lambda row: (-len(row), row.script)))


def _runs(texts: Mapping[int, str], character: str) -> dict[int, int]:
    return dict(sorted(Counter(len(text) for text in texts.values() if not text.strip(character) and text).items()))


_RUN = "12345678"


def _digits(tokenizer: Tokenizer | EngineTokenizer, texts: Iterable[str]) -> Digits:
    numbers = {text for text in texts if text.isascii() and text.isdigit()}
    by_length = Counter(map(len, numbers))
    cut = None
    if isinstance(tokenizer, Tokenizer):
        cut = tuple(map(len, Pretokenizer(tokenizer.pattern).split(_RUN)))
    try:
        encoded = tuple(size for size in (len(token.strip()) for token in tokenizer.tokens(_RUN)) if size)
    except BbpeError:
        encoded = None
    return Digits(cut, encoded, dict(sorted(by_length.items())), max(by_length, default=0))


def _cases(texts: Mapping[int, str]) -> CaseVariants:
    forms: dict[str, list[str]] = {}
    tokens = 0
    for text in texts.values():
        word = text.removeprefix(" ")
        if len(word) > 1 and word.isalpha() and word.lower() != word.upper():
            tokens += 1
            forms.setdefault(word.lower(), []).append(text)
    widest = max(forms, key=lambda word: (len(forms[word]), -len(word)), default="")
    return CaseVariants(tokens, len(forms), widest, tuple(forms.get(widest, ())))


# ---- In words ----


def describe_pattern(pattern: Pattern) -> tuple[str, ...]:
    """What a pattern does, in sentences, found by trying it on probes.

    >>> from bbpe.patterns import get_pattern
    >>> describe_pattern(get_pattern("qwen2"))[1]
    'Each digit is cut off alone.'
    """
    split = Pretokenizer(pattern).split

    def cut(text: str) -> list[str]:
        return [piece.decode() for piece in split(text)]

    stages = f" of {len(pattern.stages)} stages" if len(pattern.stages) > 1 else ""
    sentences = [f"The pattern {pattern.name}{stages}." if pattern.name else f"A pattern of its own{stages}: {pattern}"]
    digits = tuple(map(len, cut(_RUN)))
    if set(digits) == {1}:
        sentences.append("Each digit is cut off alone.")
    elif len(digits) > 1:
        sentences.append(f"Runs of digits are cut into groups of {max(digits)} from the left.")
    else:
        sentences.append("A run of digits is one pretoken of any length.")
    sentences.append(
        "A space goes with the word behind." if cut("a b") == ["a", " b"] else "A space stands apart from words."
    )
    if cut("(a") == ["(a"]:
        sentences.append("One mark before a word stays with it, as in '(a'.")
    contraction = cut("it's")
    if contraction == ["it", "'s"]:
        upper = "" if cut("IT'S") == ["IT", "'S"] else ", in lower case only"
        sentences.append(f"English endings ('s, 'll, 're) are pretokens of their own{upper}.")
    elif contraction == ["it's"]:
        sentences.append("English endings ('s, 'll, 're) stay with their word.")
    if cut("getName") == ["get", "Name"]:
        sentences.append("Words are cut where lower case turns to upper case.")
    if len(cut("की")) > 1:
        sentences.append("Words are cut at combining marks, so words of Hindi, Thai and others fall apart.")
    if cut("你好世界") == ["你好世界"]:
        comma = cut("你好，世界")
        joined = " with the punctuation before it" if comma == ["你好", "，世界"] else ""
        sentences.append(f"A Chinese clause is one pretoken{joined}.")
    if cut("a   b") == ["a", "  ", " b"]:
        sentences.append("The last of several spaces goes with the word.")
    if not pattern.covers_everything:
        sentences.append("What it does not match is a pretoken too.")
    return tuple(sentences)


def _pattern(tokenizer: Tokenizer | EngineTokenizer) -> tuple[str, ...]:
    if isinstance(tokenizer, Tokenizer):
        return describe_pattern(tokenizer.pattern)
    why = f" ({tokenizer.reason})" if tokenizer.reason else ""
    return (f"What cuts text is {tokenizer.engine}'s own{why}.",)


def _normalizer(tokenizer: Tokenizer | EngineTokenizer) -> str:
    if isinstance(tokenizer, EngineTokenizer):
        return f"{tokenizer.engine}'s own, as the file says" if tokenizer.engine != "none" else "not known"
    form = tokenizer.vocabulary.normalizer
    return "none: bytes are encoded as they are" if form is None else f"Unicode {form}, before the pattern"


_PROBES = (
    ("double spaces", "a  b"),
    ("a space at the beginning", " a"),
    ("a space at the end", "a "),
    ("newlines", "a\n\nb"),
    ("tabs", "a\tb"),
    ("upper case", "ABC"),
    ("accents", "café"),
    ("combining marks", "cafe\u0301"),
    ("full width", "ＡＢ１，"),
    ("compatibility ideographs", "\uf900"),
    ("rare Han characters", "𠮷𪚥"),
    ("emoji", "👍🏽"),
    ("control characters", "a\x01b"),
)


def _lossless(tokenizer: Tokenizer | EngineTokenizer) -> str:
    """What decoding does not give back, found on probes."""
    if tokenizer.engine == "none":
        return "Nothing here encodes with it"
    lost = []
    for what, text in _PROBES:
        try:
            if tokenizer.decode(tokenizer.encode(text)) != text:
                lost.append(what)
        except BbpeError:
            lost.append(what)
    if not lost:
        exact = isinstance(tokenizer, Tokenizer) and tokenizer.vocabulary.normalizer is None
        return "Decoding gives every text back" if exact else "Decoding gives every probe back"
    if len(lost) == len(_PROBES):
        return "Decoding gives no probe back"
    return "Decoding does not give back " + ", ".join(lost)


def _template(tokenizer: Tokenizer | EngineTokenizer, entries: Entries) -> str:
    template = tokenizer.vocabulary.template if isinstance(tokenizer, Tokenizer) else tokenizer.template
    if not template.before and not template.after:
        return "nothing"
    before = " ".join(entries.special.get(id, str(id)) for id in template.before)
    after = " ".join(entries.special.get(id, str(id)) for id in template.after)
    return " and ".join(part for part in (f"{before} before" * bool(before), f"{after} after" * bool(after)) if part)
