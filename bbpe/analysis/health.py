"""Faults of a vocabulary: every token that is not what it seems, with the reason and how that is known.

A fault need not be a mistake: the bytes of half a character are how a byte-level vocabulary works. It is what somebody
should know who trains a model on these ids, since a token that no text gives stays untrained, and half a character
shows as garbage when text is streamed. Reachability is decided in ``reachability.py``; this module sorts, explains and
adds what is read off the tables (duplicates) and what follows simple stated rules (suspicious tokens).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

import numpy as np

from bbpe.analysis.entries import Entries, TokenKind, entries_of, han, shown
from bbpe.analysis.merge_forest import MergeForest
from bbpe.analysis.reachability import Reachability, reachability
from bbpe.analysis.token_shape import Shape, shape_of
from bbpe.engines import EngineTokenizer
from bbpe.errors import BbpeError
from bbpe.patterns import Pretokenizer
from bbpe.tokenizer import Tokenizer
from bbpe.vocabulary import Vocabulary

How = Literal["proof", "search", "table", "rule", "corpus"]
"""How a fault is known: proven for every text; no text found among those tried; read off the tables; by a rule that is
stated and may be wrong about a token; counted on a corpus."""


Shapes: TypeAlias = Mapping[int, "Shape | None"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One token in a list of faults.

    Attributes:
        id: Its id.
        token: Its bytes.
        kind: What kind of token it is.
        why: Why it is in the list, in a few words.
    """

    id: int
    token: bytes
    kind: TokenKind
    why: str


@dataclass(frozen=True, slots=True)
class FaultList:
    """All tokens with one fault.

    Attributes:
        name: A short identifier.
        title: What it is called.
        meaning: What it is and what follows from it, in a sentence or two.
        how: How it is known.
        faults: Ids ascending, where no other order is said.
        detail: A breakdown in a few words, such as "1,673 of whole characters, 6 of pieces".
        minor: A part of another list, or nothing to worry about.
    """

    name: str
    title: str
    meaning: str
    how: How
    faults: tuple[Fault, ...]
    detail: str = ""
    minor: bool = False

    def __len__(self) -> int:
        return len(self.faults)


@dataclass(frozen=True, slots=True)
class Canonical:
    """What becomes of a rank table when its merges are recovered by canonical splits (see ``merge_forest.py``).

    Attributes:
        without_split: Tokens that have none.
        unreachable: Tokens that a merge list of the canonical splits does not reach.
    """

    without_split: int
    unreachable: int


@dataclass(frozen=True, slots=True)
class Health:
    """The faults of one vocabulary.

    Attributes:
        lists: Every kind of fault that was looked for, empty ones included.
        reachability: What they are drawn from; None for a tokenizer that another library runs.
        canonical: For a rank table; None for a merge list.
        not_applicable: What was not looked for, and why.
    """

    lists: tuple[FaultList, ...]
    reachability: Reachability | None
    canonical: Canonical | None
    not_applicable: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> FaultList:
        return next(found for found in self.lists if found.name == name)


def find_faults(
    tokenizer: Tokenizer | EngineTokenizer, entries: Entries | None = None, forest: MergeForest | None = None
) -> Health:
    """Look for every fault that needs no corpus.

    Args:
        tokenizer: Any tokenizer; nothing is proven of one that another library runs.
        entries: Its entries, where the caller has them already.
        forest: Its merge forest, likewise.

    Raises:
        VocabularyError: Tokens too long to follow their merges.
    """
    entries = entries or entries_of(tokenizer)
    if isinstance(tokenizer, EngineTokenizer):
        return _of_engine(tokenizer, entries)
    vocabulary = tokenizer.vocabulary
    forest = forest or MergeForest.of(tokenizer)
    found = reachability(tokenizer, forest)
    maker = _Maker(tokenizer, entries, found, forest)
    lists = (
        *maker.not_utf8(),
        *maker.unreachable(),
        maker.whole_only(),
        *maker.duplicates(),
        maker.suspicious(),
        maker.special_in_text(),
    )
    return Health(lists, found, _canonical(vocabulary, forest))


class _Lists:
    """The lists that need nothing but the entries."""

    def __init__(self, tokenizer: Tokenizer | EngineTokenizer, entries: Entries, shapes: Shapes) -> None:
        self._tokenizer = tokenizer
        self._entries = entries
        self._tokens = entries.tokens
        self._kinds = entries.kinds
        self._shapes = shapes

    def _faults(self, why: Mapping[int, str]) -> tuple[Fault, ...]:
        return tuple(Fault(id, self._tokens[id], self._kinds[id], why[id]) for id in sorted(why))

    # ---- not valid UTF-8 ----

    def not_utf8(self) -> list[FaultList]:
        starts: dict[int, str] = {}
        ends: dict[int, str] = {}
        mixes: dict[int, str] = {}
        for id, shape in self._shapes.items():
            token = self._tokens[id]
            if shape is None:
                (starts if token[0] & 0xC0 == 0x80 else ends)[id] = "no valid text has these bytes"
                continue
            if shape.mixes:
                mixes[id] = f"{shape.middle!r} and a piece of another character"
            if shape.tail:
                starts[id] = f"begins with the last {len(shape.tail)} bytes of a character" if len(
                    shape.tail
                ) > 1 else "begins with the last byte of a character"  # fmt: skip
                if not shape.middle and not shape.head:
                    starts[id] = "lies inside a character"
                elif shape.head:
                    starts[id] += " and ends with the first of another"
            else:
                ends[id] = f"ends after {len(shape.head)} byte{'s' * (len(shape.head) > 1)} of a character"
        meaning = "Output with such a token is not text until its neighbours complete the character"
        return [
            FaultList(
                "not_utf8_starts",
                "starts inside a character",
                f"{meaning}; it cannot begin a text.",
                "table",
                self._faults(starts),
                minor=True,
            ),
            FaultList(
                "not_utf8_ends",
                "ends inside a character",
                f"{meaning}; streamed text has to wait for the next token.",
                "table",
                self._faults(ends),
                minor=True,
            ),
            FaultList(
                "not_utf8_mixes",
                "mixes a whole character with a piece of another",
                "Tokens of the two lists before. A model has to guess the rest of a character together with a whole "
                "one: rare pairs of characters then come out wrong.",
                "table",
                self._faults(mixes),
                minor=True,
            ),
        ]

    # ---- duplicates ----

    def duplicates(self) -> list[FaultList]:
        ids: dict[bytes, int] = {}
        same: list[Fault] = []
        apart = self._told_apart()
        for id, token in self._tokens.items():
            if id not in apart and ids.setdefault(token, id) != id:
                same.append(Fault(id, token, self._kinds[id], f"token {ids[token]} has the same bytes"))
        for id, content in self._entries.special.items():
            if (other := ids.get(content.encode())) is not None:
                same.append(Fault(id, content.encode(), self._kinds[id], f"ordinary token {other} has the same bytes"))
        composed: dict[int, str] = {}
        compatible: dict[int, str] = {}
        for id, token in self._tokens.items():
            if id in self._shapes or token.isascii():
                continue
            text = token.decode()
            if unicodedata.is_normalized("NFKC", text):
                continue
            for form, found in (("NFC", composed), ("NFKC", compatible)):
                normal = unicodedata.normalize(form, text)  # type: ignore[arg-type]
                other = ids.get(normal.encode())
                if other is not None and normal != text:
                    found[id] = f"token {other} {shown(self._tokens[other], 20)} after {form}"
                    break
        return [
            FaultList(
                "duplicate_bytes",
                "duplicates: same bytes, two ids",
                "The same text has two ids: which one a model sees is decided by the encoder, or by who wrote the prompt.",
                "table",
                tuple(same),
            ),
            FaultList(
                "duplicate_nfc",
                "duplicates after NFC",
                "Another token is the same text in another spelling of its accents or a canonical duplicate.",
                "table",
                self._faults(composed),
            ),
            FaultList(
                "duplicate_nfkc",
                "duplicates after NFKC",
                "Another token is the same text in full width, another form of the letters or similar.",
                "table",
                self._faults(compatible),
                minor=True,
            ),
        ]

    def _told_apart(self) -> set[int]:
        """Pieces that another library keeps for places where their doubles never stand: bytes for text that no piece
        covers, and the inside of words (##)."""
        if isinstance(self._tokenizer, Tokenizer):
            return set()
        pieces = self._tokenizer.pieces
        return {id for id, piece in pieces.items() if self._kinds[id] == "byte" or piece.startswith("##")}

    # ---- rules ----

    def suspicious(self) -> FaultList:
        why = {}
        for id, token in self._tokens.items():
            if len(token) >= _SHORTEST_SUSPICIOUS and id not in self._shapes:
                rule = suspicion(token.decode())
                if rule:
                    why[id] = rule
        rules: dict[str, int] = {}
        for rule in why.values():
            rules[rule.split(":")[0]] = rules.get(rule.split(":")[0], 0) + 1
        return FaultList(
            "suspicious",
            "suspicious long tokens",
            "Long tokens that tell what the training text was full of, rather than what text needs. " + SUSPICION_RULES,
            "rule",
            self._faults(why),
            ", ".join(f"{count:,} {rule}" for rule, count in sorted(rules.items(), key=lambda item: -item[1])),
        )

    def special_in_text(self) -> FaultList:
        faults = []
        for id, content in self._entries.special.items():
            why = self._given_by_text(id, content) or _ordinary_name(content)
            if why:
                faults.append(Fault(id, content.encode(), self._kinds[id], why))
        return FaultList(
            "special_in_text",
            "special tokens that ordinary text can produce",
            "A reader's text then turns into a control signal. bbpe and tiktoken take special tokens in text only where "
            "they are allowed; Hugging Face's tokenizers take every one that stands there, whatever its name.",
            "rule",
            tuple(faults),
        )

    def _given_by_text(self, id: int, content: str) -> str | None:
        """Whether plain text gives the id even where no special token is allowed."""
        try:
            given = id in self._tokenizer.encode(content)
        except BbpeError:
            return None
        return "its text gives it even where no special token is allowed" if given else None


class _Maker(_Lists):
    """Turns what is known of the tokens of a byte-level vocabulary into lists."""

    def __init__(self, tokenizer: Tokenizer, entries: Entries, reach: Reachability, forest: MergeForest) -> None:
        super().__init__(tokenizer, entries, reach.shapes)
        self._vocabulary = tokenizer.vocabulary
        self._reach = reach
        self._forest = forest
        self._pretokenizer = Pretokenizer(tokenizer.pattern)

    # ---- unreachable ----

    def unreachable(self) -> list[FaultList]:
        reach, tokens = self._reach, self._vocabulary.tokens
        whole_rule = self._vocabulary.whole_pretoken
        parts = dict(
            zip(reach.not_by_merges, self._forest.alone.parts([tokens[id] for id in reach.not_by_merges]), strict=True)
        )
        merges = {
            id: "its bytes merge to " + " ".join(shown(tokens[part], 20) for part in found)
            if found
            else "it holds a byte that has no token"
            for id, found in parts.items()
        }
        pattern = reach.proven["pattern"]
        pieces = sum(id in reach.shapes for id in pattern)
        return [
            FaultList(
                "unreachable_by_merges",
                "unreachable by merges",
                "The merges never make the token from its bytes"
                + (", so it only ever stands as a whole pretoken, which is taken directly." if whole_rule else "."),
                "proof",
                self._faults(merges),
                f"{len(reach.whole_only):,} only as a whole pretoken" if merges and whole_rule else "",
                minor=len(reach.whole_only) == len(merges),
            ),
            FaultList(
                "unreachable_by_pattern",
                "unreachable by pattern",
                "The pattern cuts the token wherever it stands, so that no text ever gives it; it stays untrained.",
                "proof" if reach.pattern_proven else "search",
                self._faults({id: self._cut(id) for id in pattern}),
                f"{len(pattern) - pieces:,} of whole characters, {pieces:,} that end or begin inside one"
                if pieces
                else "",
            ),
            FaultList(
                "unreachable_by_normalizer",
                "unreachable by normalizer",
                "The token holds text that is never left of a text once it is normalized.",
                "proof",
                self._faults({id: self._normalized(id) for id in reach.proven["normalizer"]}),
            ),
            FaultList(
                "always_merged_on",
                "always merged on",
                "A step on the way to longer tokens that is never left standing: whatever completes its characters, "
                "it is merged with that.",
                "proof",
                self._faults(dict.fromkeys(reach.proven["neighbours"], "no token can stand beside it")),
            ),
            FaultList(
                "never_in_utf8",
                "in no valid UTF-8",
                "Bytes that text does not have; encode_bytes gives them for data that is no text.",
                "proof",
                self._faults(dict.fromkeys(reach.proven["encoding"], "no valid text has these bytes")),
                minor=True,
            ),
            FaultList(
                "not_found",
                "neither found nor excluded",
                f"No text among {reach.tried:,} gave the token, and no proof says that none does.",
                "search",
                self._faults(dict.fromkeys(reach.not_found, "no text found")),
            ),
        ]

    def _cut(self, id: int) -> str:
        if id in self._shapes:
            return "cut from whatever completes its characters"
        pieces = self._pretokenizer.split(self._tokens[id])
        return "cut into " + " ".join(shown(piece, 20) for piece in pieces)

    def _normalized(self, id: int) -> str:
        if id in self._shapes:
            return "whatever completes its characters is normalized to something else"
        text = self._tokens[id].decode()
        form = unicodedata.normalize("NFC", text)
        return f"normalized to {form!r} ({' '.join(f'U+{ord(c):04X}' for c in form[:4])})"

    def whole_only(self) -> FaultList:
        return FaultList(
            "whole_only",
            "reachable only as a whole pretoken",
            "Taken whole where it is the whole pretoken, and made by no merge inside a longer one: the same letters are "
            "cut differently by context, and a writer that keeps only merges loses the token.",
            "proof",
            self._faults(dict.fromkeys(self._reach.whole_only, "given by its own text, by no merge")),
        )


def _of_engine(tokenizer: EngineTokenizer, entries: Entries) -> Health:
    """What can be said of a tokenizer that another library runs: the lists read off its pieces, and a search."""
    shapes: dict[int, Shape | None] = {}
    for id, token in entries.tokens.items():
        try:
            token.decode()
        except UnicodeDecodeError:
            shapes[id] = shape_of(token)
    maker = _Lists(tokenizer, entries, shapes)
    why = f"{tokenizer.engine} runs it, and its rules are not those of byte-level BPE"
    missing = dict.fromkeys(
        ("unreachable by merges", "unreachable by pattern", "unreachable by normalizer", "reachable only as a whole pretoken", "always merged on"),
        why,
    )  # fmt: skip
    lists = [*maker.not_utf8(), *maker.duplicates(), maker.suspicious(), maker.special_in_text()]
    if tokenizer.engine == "none":
        missing["neither found nor excluded"] = "nothing here encodes with it"
    else:
        lists.insert(3, _not_found(tokenizer, entries, shapes))
    return Health(tuple(lists), None, None, missing)


_BEFORE = ("", "a", "中", "a ", "，", "1")
"""What is put before a piece's text; some pieces only stand inside a word, others only at its beginning."""


def _not_found(tokenizer: EngineTokenizer, entries: Entries, shapes: Shapes) -> FaultList:
    left = {id: token.decode() for id, token in entries.tokens.items() if id not in shapes and entries.kinds[id] != "byte"}  # fmt: skip
    tried = 0
    for before in _BEFORE:
        texts = [before + text.removeprefix("##") for text in left.values()]
        ids, offsets = tokenizer.encode_batch_to_numpy(texts)
        wanted = np.repeat(np.fromiter(left, np.int64, len(left)), np.diff(offsets))
        given = set(wanted[wanted == ids].tolist())
        tried += len(texts)
        left = {id: text for id, text in left.items() if id not in given}
    return FaultList(
        "not_found",
        "neither found nor excluded",
        f"None of {len(_BEFORE)} texts made for each piece gave it ({tried:,} in all); nothing is proven.",
        "search",
        tuple(Fault(id, entries.tokens[id], entries.kinds[id], "no text found") for id in left),
    )


def _canonical(vocabulary: Vocabulary, forest: MergeForest) -> Canonical | None:
    if vocabulary.ranks is None:
        return None
    without = len(forest.without_canonical_split())
    if not without:
        # Each token's canonical split is then the last merge of its run, whose parts have theirs: nothing is lost.
        return Canonical(0, 0)
    listed = MergeForest(vocabulary.replace(merges=forest.canonical_merges(), ranks=None))
    return Canonical(without, len(listed.not_made()))


# ---- Rules, stated ----

_SHORTEST_SUSPICIOUS = 8  # bytes; no rule speaks of less
_LONG_IDENTIFIER = 20
_LONG_RUN = 16
_LONG_HAN = 5
_SPAM = (
    "彩票", "时时彩", "中彩", "博彩", "赌", "投注", "开奖", "棋牌", "娱乐城", "赛车", "快三", "六合", "百家乐", "老虎机",
    "色情", "毛片", "成人", "无码", "一本道", "免费视频", "激情", "性爱", "裸聊", "久久热", "在线观看", "微信公众号", "代孕",
    "porn", "casino", "viagra", "xnxx",
)  # fmt: skip
SUSPICION_RULES = (
    f"Rules: spam = one of {len(_SPAM)} words of gambling, pornography and advertising; phrase = {_LONG_HAN} or more Han "
    "characters, longer than most words; markup = a tag, attribute, entity or address; identifier = "
    f"{_LONG_IDENTIFIER} or more letters, digits and underscores, in mixed case or with underscores; "
    f"run = {_LONG_RUN} or more characters of one or two kinds."
)
_MARKUP = re.compile(r"</|/>|<!--|=\"|&[a-z]+;|https?:|www\.|\.(?:com|org|net|html|php)\b|\\u[0-9a-f]{4}", re.I)
_IDENTIFIER = re.compile(rf"\W?(?=\w*(?:_|[a-z][A-Z]))\w{{{_LONG_IDENTIFIER},}}\W*", re.ASCII)
_HTML_TAG = re.compile(
    r"</?(?:a|abbr|b|base|big|body|br|button|caption|center|code|dd|del|div|dl|dt|em|embed|font|form|frame|h[1-6r]|head|"
    r"html|i|iframe|img|input|ins|kbd|label|li|link|map|mark|meta|nav|object|ol|option|p|param|pre|q|s|samp|script|"
    r"section|select|small|source|span|strike|strong|style|sub|sup|table|tbody|td|th|thead|time|title|tr|tt|u|ul|var|"
    r"video)>",
    re.I,
)


@cache
def _spam() -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, _SPAM)), re.I)


def suspicion(text: str) -> str | None:
    """The first rule that a token's text falls under, and what it was; None for none (see ``SUSPICION_RULES``).

    >>> suspicion("getElementsByTagName"), suspicion("中国特色社会主义"), suspicion("internationalization")
    ('identifier', 'phrase: 8 Han characters', None)
    """
    if spam := _spam().search(text):
        return f"spam: {spam.group()}"
    if not text.isascii() and (characters := len(han().findall(text))) >= _LONG_HAN:
        return f"phrase: {characters} Han characters"
    if match := _MARKUP.search(text):
        return f"markup: {match.group()}"
    if _IDENTIFIER.fullmatch(text):
        return "identifier"
    if len(text) >= _LONG_RUN and len(set(text)) <= 2 and not text.isspace():
        return f"run: {len(text)} characters"
    return None


def _ordinary_name(content: str) -> str | None:
    """Why a special token's name occurs in ordinary text; None for a name that only a special token has."""
    if _HTML_TAG.fullmatch(content):
        return "an HTML tag"
    if content.isspace():
        return "white space"
    if not re.search(r"[<>\[\]{}|｜▁\ue000-\uf8ff]", content):
        return "plain characters"
    return None
