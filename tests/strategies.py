"""Hypothesis strategies that the tests share.

Small alphabets come first, because runs and ties are where merge loops break; then any bytes; then text of the kinds
that patterns tell apart; then bytes that are not UTF-8. ``rank_tables`` and ``merge_lists`` give vocabularies of the
reference that no training would produce: ids with holes, ranks in any order, tokens that cannot be reached.
``sliced_vocabularies`` are such over text, so that tokens begin and end inside characters. ``tokenizer_of`` is what
bbpe makes of a vocabulary of the reference.
"""

from __future__ import annotations

import regex
from hypothesis import settings
from hypothesis import strategies as st

from bbpe import Pattern, SpecialToken, Template, Tokenizer, Vocabulary, reference
from bbpe.unicode import property_set

# Machines are shared and noisy, and the reference is slow on purpose: no example is late.
# A failure prints how to replay it.
settings.register_profile("bbpe", deadline=None, print_blob=True)
settings.load_profile("bbpe")

# Characters of each kind that a pattern may tell apart, and some that are easily put in the wrong class.
LETTERS = "abcxyzABCXYZéßſKıİǅʰªº"
CHINESE = "你好世界中文分词模型的了是在我有和人这们来到时大地为子中说生国年着就那和要她出也得里后自以会〇々"
DIGITS = "0123456789٣५２²½Ⅷ〡"
SPACES = " \t\n\r\x0b\x0c\x85\u00a0\u2003\u2028\u3000"
MARKS = "\u0301\u0323\u0308\u05b0\u093e\u3099\ufe0f\u20e3"
SYMBOLS = ".,!?'’\"-_/\\()[]{}<>|=+*&^%$#@~`，。！？；：、“”‘’《》（）…—·￥€✓■"
EMOJI = "😀👍🏽👩‍💻🇨🇳❤️🀄"
CONTROLS = "\x00\x01\x1b\x7f\u200b\u200d\ufeff\u2060\ue000\U000f0000"
UNASSIGNED_AND_LAST = "\u0378\ufffe\uffff\U0010ffff"

# Pieces of text in which the boundaries of pretokens are hard to find.
FRAGMENTS = [
    *["I'm", "we'll", "DON'T", "it’s", "'ſ", "O'Neil", "'S", "x''y"],
    *["123", "1234", "3.14", "1,000,000", "2024年5月1日", "第12章", "5kg", "0x1F", "v2.0.1", "１２３"],
    *["  ", "   ", "\n\n", " \n", "\n ", "\r\n", "\r\n\r\n", "\t\t", " \t ", "\u3000\u3000", "\n \n  x"],
    *["你好", "，世界", "GPT模型", "我用Python写code", "中文 English 混排", "北京市", "……", "——", "！？"],
    *["hello", " world", "The", " the", "camelCase", "snake_case", "HTTPServer", "naïve", "cafe\u0301"],
    *["<|endoftext|>", "<s>", "</s>", "https://example.org/?a=1&b=2", "def f(x):\n    return x\n", "//", "/**/\n"],
]


UNASSIGNED = property_set("Cn")


def is_settled(data: bytes | str) -> bool:
    """Whether no character of a text was assigned after bbpe's Unicode tables: the reference's ``regex`` knows newer ones."""
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    return not any(
        ord(character) in UNASSIGNED and regex.match(r"\P{Cn}", character) for character in set(text) if character > "~"
    )


def small_texts(alphabet: bytes = b"ab", max_runs: int = 12) -> st.SearchStrategy[bytes]:
    """Runs of the letters of a small alphabet, 1 to 6 long: overlaps and ties everywhere."""
    runs = st.tuples(st.sampled_from(list(alphabet)), st.integers(1, 6))
    return st.lists(runs, max_size=max_runs).map(lambda found: b"".join(bytes([byte]) * times for byte, times in found))


def pretoken_counts(
    alphabet: bytes = b"abc", max_pretokens: int = 8, max_count: int = 5
) -> st.SearchStrategy[dict[bytes, int]]:
    """Pretokens over a small alphabet and their counts; small counts tie."""
    return st.dictionaries(
        small_texts(alphabet, max_runs=6).filter(bool), st.integers(1, max_count), max_size=max_pretokens
    )


def texts(max_parts: int = 12) -> st.SearchStrategy[str]:
    """Chinese, English, digits, spaces, marks, symbols and emoji in any mixture. No surrogates."""
    kinds = [LETTERS, CHINESE, DIGITS, SPACES, MARKS, SYMBOLS, EMOJI, CONTROLS, UNASSIGNED_AND_LAST]
    of_a_kind = st.sampled_from(kinds).flatmap(
        lambda kind: st.text(st.sampled_from(sorted(set(kind))), min_size=1, max_size=5)
    )
    anything = st.text(st.characters(exclude_categories=["Cs"]).filter(is_settled), max_size=4)
    part = st.one_of(of_a_kind, st.sampled_from(FRAGMENTS), anything)
    return st.lists(part, max_size=max_parts).map("".join)


def surrogate_texts() -> st.SearchStrategy[str]:
    """Text with at least one surrogate in it."""
    surrogate = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
    return st.tuples(texts(4), surrogate, texts(4)).map("".join)


# Not UTF-8: continuation bytes alone, cut characters, overlong forms, surrogates, code points past the last.
BROKEN = [
    *[b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xe4", b"\xe4\xbd", b"\xe0\x80\x80", b"\xe0\x9f\xbf"],
    *[b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f", b"\xf0\x9f\x98", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80"],
    *[b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff", b"\xff\xfe"],
]


def broken_texts(max_parts: int = 12) -> st.SearchStrategy[bytes]:
    """Text with pieces in it that are not UTF-8; and, now and then, any bytes."""
    part = st.one_of(texts(2).map(str.encode), st.sampled_from(BROKEN), st.binary(max_size=3))
    return st.lists(part, max_size=max_parts).map(b"".join).filter(is_settled)


def documents() -> st.SearchStrategy[bytes]:
    """What a document can be: small alphabets, text, text with broken pieces, any bytes."""
    return st.one_of(
        small_texts(b"ab "), texts().map(str.encode), broken_texts(), st.binary(max_size=40).filter(is_settled)
    )


@st.composite
def token_lists(draw: st.DrawFn, alphabet: bytes = b"ab", max_tokens: int = 10, max_length: int = 6) -> list[bytes]:
    """The letters of the alphabet and some strings of them, distinct, in any order."""
    letters = [bytes([byte]) for byte in alphabet]
    longer = st.lists(st.sampled_from(letters), min_size=2, max_size=max_length).map(b"".join)
    return draw(st.permutations(letters + draw(st.lists(longer, unique=True, max_size=max_tokens))))


@st.composite
def _tokens_by_id(draw: st.DrawFn, tokens: list[bytes]) -> dict[int, bytes]:
    """Ids for tokens: distinct, in any order, with holes."""
    ids = draw(st.lists(st.integers(0, 3 * len(tokens)), min_size=len(tokens), max_size=len(tokens), unique=True))
    return dict(zip(ids, tokens, strict=True))


@st.composite
def rank_tables(draw: st.DrawFn, alphabet: bytes = b"ab", max_tokens: int = 10) -> reference.Vocabulary:
    """A rank table over a small alphabet: any tokens, ranks in any order, ids with holes."""
    tokens = draw(_tokens_by_id(draw(token_lists(alphabet, max_tokens))))
    return reference.Vocabulary(
        tokens, ranks=tuple(draw(st.permutations(sorted(tokens)))), whole_pretoken=draw(st.booleans())
    )


@st.composite
def merge_lists(draw: st.DrawFn, alphabet: bytes = b"ab", max_tokens: int = 10) -> reference.Vocabulary:
    """A merge list over a small alphabet: some of the pairs that could merge, in any order; some tokens unreachable."""
    tokens = draw(_tokens_by_id(draw(token_lists(alphabet, max_tokens))))
    made = set(tokens.values())
    pairs = [(left, right) for left in tokens for right in tokens if tokens[left] + tokens[right] in made]
    merges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    return reference.Vocabulary(tokens, merges=tuple(merges), whole_pretoken=draw(st.booleans()))


def vocabularies(alphabet: bytes = b"ab", max_tokens: int = 10) -> st.SearchStrategy[reference.Vocabulary]:
    """Either kind."""
    return st.one_of(rank_tables(alphabet, max_tokens), merge_lists(alphabet, max_tokens))


# Characters of three bytes that share the first byte, the first two, the last, or the first and the last; and others.
NEAR = "\u4e00\u4e01\u4e2d\u4f40\u5000\u5001\u8e00"
FAR = ["a", "b", " ", "\0", "é", "ê", "あ", "가", "ก", "😀", "😁"]

ANYTHING = ("(?s:.+)",)  # the pattern that makes every text one pretoken


@st.composite
def sliced_vocabularies(draw: st.DrawFn) -> tuple[reference.Vocabulary, list[bytes]]:
    """A vocabulary whose tokens are any slices of a text, and texts over the same characters.

    All 256 bytes have tokens. The others may begin and end inside characters, be unreachable, have ranks and ids in any
    order and ids past 32 bits' half.
    """
    characters = draw(st.lists(st.sampled_from([*NEAR, *NEAR, *FAR]), min_size=1, max_size=5, unique=True))
    units = [character.encode() for character in characters] + draw(st.lists(st.sampled_from(BROKEN), max_size=1))
    parts = st.lists(st.sampled_from(units), min_size=1, max_size=10).map(b"".join)
    sample = draw(parts)
    cuts = draw(st.lists(st.tuples(st.integers(0, len(sample) - 1), st.integers(2, 8)), max_size=8))
    slices = [sample[start : start + length] for start, length in cuts]
    if draw(st.booleans()):  # tokens that grow byte by byte are mostly reachable
        slices = [piece[:length] for piece in slices for length in range(2, len(piece) + 1)]
    longer = draw(st.permutations(sorted({piece for piece in slices if len(piece) > 1})))
    first = draw(st.sampled_from([256, 1000, 3_000_000_000]))
    tokens = reference.byte_tokens() | {first + 2 * place: piece for place, piece in enumerate(longer)}
    ids = {token: id for id, token in tokens.items()}
    whole = draw(st.booleans())
    if draw(st.booleans()):
        ranks = (*range(256), *draw(st.permutations([ids[piece] for piece in longer])))
        vocabulary = reference.Vocabulary(tokens, ranks=ranks, whole_pretoken=whole, pattern=ANYTHING)
    else:
        splits = [(piece[:at], piece[at:]) for piece in longer for at in range(1, len(piece))]
        pairs = [(ids[left], ids[right]) for left, right in splits if left in ids and right in ids]
        merges = draw(st.permutations(pairs)) if draw(st.booleans()) else pairs
        merges = merges[: draw(st.integers(len(merges) // 2, len(merges)))]
        vocabulary = reference.Vocabulary(tokens, merges=tuple(merges), whole_pretoken=whole, pattern=ANYTHING)
    texts_of_it = st.one_of(parts, st.lists(st.sampled_from([*longer, *units]), max_size=8).map(b"".join))
    return vocabulary, draw(st.lists(texts_of_it, min_size=1, max_size=6))


def tokenizer_of(vocabulary: reference.Vocabulary, pattern: Pattern | None = None) -> Tokenizer:
    """The same vocabulary for bbpe; ``pattern`` where the reference spells another one out."""
    return Tokenizer(
        Vocabulary(
            vocabulary.tokens,
            merges=vocabulary.merges,
            ranks=vocabulary.ranks,
            special_tokens=[SpecialToken(content, id) for content, id in vocabulary.special_tokens.items()],
            pattern=pattern or Pattern(vocabulary.pattern or ANYTHING),
            normalizer=vocabulary.normalizer,
            whole_pretoken=vocabulary.whole_pretoken,
            template=Template(*vocabulary.template),
        )
    )
