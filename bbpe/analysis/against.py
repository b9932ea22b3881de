"""Two vocabularies: what one has that the other lacks, what moved, and whether one extends the other, by which rule.

**Extension.** B extends A exactly when every text gets from B the ids of A with some of them joined. It does if both cut
text alike (pattern, normalizer) and B makes A's merges, in their order, before all others: the run of B is then the run
of A, and goes on. Compared are the merges that can ever be made: one for each token that merges reach, its last one, by
rank. By the lemma in ``formats/equivalence.py`` these alone are the same encoder, of a merge list and of a rank table.
A merge of B comes late if its rank is past all of A's, or if a part of it is itself made late: a token added at the end
of a rank table may complete an old one that nothing reached before, whose rank is low, and yet it waits for its part.
That this fails does not prove that some text loses tokens, only that it cannot be excluded so.

**A part extended.** Where A's tokens are not all in B, the rest of A (its tokens that are, and the merges among them) is
compared in the same way, by bytes instead of ids. What was left out is then described by a rule, if one fits: a
property that all left-out tokens of A have and none of the others (``removal_rule``). Rules are found by trying a list of
properties, of digits, length, script and so on; nothing is known of any published vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from bbpe.analysis.entries import PIECE_OF_CHARACTER, Entries, entries_of, scripts_of, shown
from bbpe.analysis.merge_forest import MergeForest
from bbpe.engines import EngineTokenizer
from bbpe.tokenizer import Tokenizer

_Pair: TypeAlias = tuple[bytes, bytes]
Relation = Literal["equal", "extension", "same merges", "extension of a part", "other"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that an exact extension needs.

    Attributes:
        name: What it is about.
        holds: Whether it holds; None where it cannot be decided.
        note: What was found.
    """

    name: str
    holds: bool | None
    note: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A property that tells the tokens that were left out from the others.

    Attributes:
        text: The property, to be read after "tokens that".
        matching: Tokens of A that have it.
        removed: Of those, the ones that were left out.
        exact: Whether it fits all tokens that were left out and no others.
    """

    text: str
    matching: int
    removed: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """What B has compared with A. Tokens are the same when their bytes are.

    Attributes:
        first: A's entries.
        second: B's entries.
        kept: Tokens of both with the same id, ids ascending.
        moved: (id in A, id in B) of tokens of both with different ids.
        removed: Ids in A of tokens that B lacks.
        added: Ids in B of tokens that A lacks.
        special: Special tokens: (content, id in A or None, id in B or None) of those that differ.
        order_kept: Whether the tokens of both have their ids in the same order.
        added_last: Whether all added ids are above those of the tokens of both.
        rule: What tells the removed tokens from the others; None where nothing fits, or nothing was removed.
        conditions: What an exact extension needs, one by one.
        relation: What follows.
        verdict: The relation in a sentence or two.
    """

    first: Entries
    second: Entries
    kept: tuple[int, ...]
    moved: tuple[tuple[int, int], ...]
    removed: tuple[int, ...]
    added: tuple[int, ...]
    special: tuple[tuple[str, int | None, int | None], ...]
    order_kept: bool
    added_last: bool
    rule: Rule | None
    conditions: tuple[Condition, ...]
    relation: Relation
    verdict: str


def compare_vocabularies(
    first: Tokenizer | EngineTokenizer,
    second: Tokenizer | EngineTokenizer,
    first_name: str | None = None,
    second_name: str | None = None,
) -> Difference:
    """Compare the vocabulary B (second) with A (first).

    Args:
        first: Any tokenizer.
        second: Any tokenizer.
        first_name: What to call A.
        second_name: What to call B.

    Two vocabularies of a hundred thousand tokens take some seconds.
    """
    a, b = entries_of(first, first_name or "A"), entries_of(second, second_name or "B")
    places = {token: id for id, token in b.tokens.items()}
    known = set(a.tokens.values())
    kept: list[int] = []
    moved: list[tuple[int, int]] = []
    removed: list[int] = []
    for id, token in a.tokens.items():
        if b.tokens.get(id) == token:
            kept.append(id)
        elif token in places:
            moved.append((id, places[token]))
        else:
            removed.append(id)
    added = tuple(id for id, token in b.tokens.items() if token not in known)
    common = sorted([*((id, id) for id in kept), *moved])
    order_kept = all(left[1] < right[1] for left, right in pairwise(common))
    highest = max((there for _, there in common), default=-1)
    conditions = _conditions(first, second, bool(moved), bool(removed))
    relation = _relation(conditions, bool(added), bool(common))
    rule = removal_rule(a, removed) if removed and common else None
    difference = Difference(
        a, b, tuple(kept), tuple(moved), tuple(removed), added, _special(a, b), order_kept,
        all(id > highest for id in added), rule, conditions, relation, "",
    )  # fmt: skip
    return replace(difference, verdict=_verdict(difference))


def _special(a: Entries, b: Entries) -> tuple[tuple[str, int | None, int | None], ...]:
    here = {content: id for id, content in a.special.items()}
    there = {content: id for id, content in b.special.items()}
    differing = [content for content in dict.fromkeys((*here, *there)) if here.get(content) != there.get(content)]
    return tuple((content, here.get(content), there.get(content)) for content in differing)


def _conditions(
    first: Tokenizer | EngineTokenizer, second: Tokenizer | EngineTokenizer, moved: bool, removed: bool
) -> tuple[Condition, ...]:
    tokens = Condition("tokens", not removed, "all of A's are in B" if not removed else "some of A's are not in B")
    ids = Condition("ids", not moved, "each keeps its id" if not moved else "some have another id")
    lost = [content for content, id in first.special_tokens.items() if second.special_tokens.get(content) != id]
    special = Condition(
        "special tokens",
        not lost,
        f"{len(lost):,} of A's are not B's, or have another id: {', '.join(lost[:3])}"
        if lost
        else "A's keep their ids",
    )
    if not isinstance(first, Tokenizer) or not isinstance(second, Tokenizer):
        return (
            tokens,
            ids,
            special,
            Condition("merges", None, "another library encodes: whether it joins alike is not decided"),
        )
    a, b = first.vocabulary, second.vocabulary
    forest = MergeForest(a)
    here, there = _effective(forest), _effective(MergeForest(b))
    only = b.ids.keys()
    left = here
    if removed:
        left = [pair for pair in here if pair[0] in only and pair[1] in only and pair[0] + pair[1] in only]
    cut = a.pattern == b.pattern
    normalized = a.normalizer == b.normalizer
    # Taking more pretokens whole only joins more; taking fewer matters for tokens that no merge makes.
    taken = not a.whole_pretoken or b.whole_pretoken or not forest.not_made()
    return (
        tokens,
        ids,
        special,
        _merges_condition(left, there, not removed),
        Condition("pattern", cut, str(a.pattern) if cut else f"{a.pattern} became {b.pattern}"),
        Condition(
            "normalizer",
            normalized,
            a.normalizer or "none" if normalized else f"{a.normalizer or 'none'} became {b.normalizer or 'none'}",
        ),
        Condition("whole pretokens", taken, "no token depends on them" if taken else "A takes them whole, B does not"),
    )


def _merges_condition(here: list[_Pair], there: list[_Pair], whole: bool) -> Condition:
    """Whether B makes A's merges, in order, before all others; those of A's tokens that B has, where it lacks some."""
    what = "A's" if whole else "those among A's tokens that B has"
    known = set(here)
    done = 0
    early: list[_Pair] = []
    late: set[bytes] = set()
    for pair in there:
        if done < len(here) and pair == here[done]:
            done += 1
        elif pair in known:
            break
        elif done < len(here):
            early.append(pair)
        else:
            late.add(pair[0] + pair[1])
    if done < len(here):
        note = f"B's differ from {what} from number {done + 1:,} of {len(here):,} on: {_joined(here[done])}"
        return Condition("merges", False, note)
    for left, right in sorted(early, key=lambda pair: len(pair[0] + pair[1])):  # parts before what they make
        if left not in late and right not in late:
            return Condition("merges", False, f"B makes others among {what}, such as {_joined((left, right))}")
        late.add(left + right)
    more = f", then {len(late):,} more" if late else ""
    return Condition("merges", True, f"B makes {what} first, in order: {len(here):,}{more}")


def _joined(pair: _Pair) -> str:
    return f"{shown(pair[0])} + {shown(pair[1])}"


def _effective(forest: MergeForest) -> list[_Pair]:
    """The merges that can ever be made, as bytes, by rank."""
    tokens = forest.vocabulary.tokens
    made = sorted((forest.run(id).rank, split) for id in tokens if (split := forest.split(id)) is not None)
    return [(tokens[left], tokens[right]) for _, (left, right) in made]


def _relation(conditions: tuple[Condition, ...], more: bool, common: bool) -> Relation:
    holds = {condition.name: condition.holds for condition in conditions}
    if all(holds.values()):
        return "extension" if more else "equal"
    if holds["merges"] and common:
        return "same merges" if holds["tokens"] and holds["ids"] else "extension of a part"
    return "other"


def _verdict(found: Difference) -> str:
    a, b = found.first.name, found.second.name
    both = len(found.kept) + len(found.moved)
    if both * 2 < len(found.first.tokens):
        return f"{b} is another vocabulary than {a}: {both:,} of {a}'s {len(found.first.tokens):,} tokens are in both."
    against = [f"{condition.name} ({condition.note})" for condition in found.conditions if condition.holds is False]
    made = _made(found)
    if found.relation == "equal":
        special = f" It has {len(found.special):,} special tokens more." if found.special else ""
        return f"{b} has {a}'s tokens, ids and merges: every text gets the same ids.{special}"
    if found.relation == "extension":
        return f"{made} It extends {a} exactly: every text gets {a}'s tokens, some of them joined."
    if found.relation == "same merges":
        return f"{made} It makes {a}'s merges first; but it differs in {'; '.join(against)}."
    if found.relation == "extension of a part":
        others = [text for text in against if not text.startswith(("tokens ", "ids "))]
        differs = f"; it differs in {'; '.join(others)}" if others else ", and text is cut alike"
        return f"{made} The merges of what is left come first, in order{differs}."
    if against:
        return f"{made} It is not shown to be an exact extension: it differs in {'; '.join(against)}."
    return f"{made} Whether it extends {a} exactly is not decided, since another library encodes."


def _made(found: Difference) -> str:
    """What B is made of, in words."""
    parts = [f"{found.second.name} is {found.first.name}"]
    rule = found.rule
    if found.removed and rule is not None and rule.exact:
        parts.append(f" less exactly the {len(found.removed):,} tokens that {rule.text}")
    elif found.removed:
        parts.append(f" less {len(found.removed):,} tokens")
        if rule is not None:
            stay = rule.matching - rule.removed
            parts.append(f" (of these {rule.removed:,} {rule.text}, as do {stay:,} that stay)")
    if found.moved:
        parts.append(", renumbered in order" if found.order_kept else ", in another order")
    if found.added:
        parts.append(f", plus {len(found.added):,} new tokens" + (" behind them" if found.added_last else ""))
    return "".join(parts) + "."


# ---- Rules ----

_NEARLY = 0.9


def removal_rule(entries: Entries, removed: Iterable[int]) -> Rule | None:
    """A property that the removed tokens have and the others lack; the best that fits nearly, else None.

    Args:
        entries: The vocabulary that the tokens were removed from.
        removed: Their ids.
    """
    gone = set(removed)
    best: Rule | None = None
    score = _NEARLY
    for text, has in _properties(entries, gone):
        matching = {id for id in entries.tokens if has(id)}
        hit = len(matching & gone)
        if matching == gone:
            return Rule(text, len(matching), hit, True)
        union = len(matching | gone)
        if union and hit / union > score:
            best, score = Rule(text, len(matching), hit, False), hit / union
    return best


def _properties(entries: Entries, gone: set[int]) -> Iterable[tuple[str, Callable[[int], bool]]]:
    """Properties to try, the plainest first; of those with a number, the one that the removed tokens suggest."""
    tokens = entries.tokens
    texts = {id: token.decode("utf-8", "replace") for id, token in tokens.items()}

    def matches(expression: str) -> Callable[[int], bool]:
        compiled = re.compile(expression)
        return lambda id: compiled.fullmatch(texts[id]) is not None

    yield "are two digits or more and nothing else", matches(r"[0-9]{2,}")
    yield "are three digits or more and nothing else", matches(r"[0-9]{3,}")
    yield "are four digits or more and nothing else", matches(r"[0-9]{4,}")
    yield "are two digits or more of any script and nothing else", matches(r"\d{2,}")
    yield "are two digits or more, a space before them aside", matches(r" ?\d{2,}")
    yield "are digits and nothing else", matches(r"\d+")
    yield "hold two digits in a row", matches(r"(?s).*\d\d.*")
    yield "hold a digit", matches(r"(?s).*\d.*")
    yield "are white space", lambda id: texts[id].isspace()
    yield "are two or more white-space characters", lambda id: len(texts[id]) > 1 and texts[id].isspace()
    yield "begin with a space", matches(r"(?s) .*")
    yield "hold letters in upper case", lambda id: texts[id] != texts[id].lower()
    yield "are not valid UTF-8", lambda id: _is_piece(tokens[id])
    yield "are pure ASCII", lambda id: tokens[id].isascii()
    yield "are not pure ASCII", lambda id: not tokens[id].isascii()
    shortest = min(len(tokens[id]) for id in gone)
    yield f"have {shortest:,} bytes or more", lambda id: len(tokens[id]) >= shortest
    first = min(gone)
    yield f"have an id of {first:,} or more", lambda id: id >= first
    scripts = dict(zip(texts, scripts_of(list(texts.values())), strict=True))
    scripts.update({id: PIECE_OF_CHARACTER for id, token in tokens.items() if _is_piece(token)})
    among = sorted({scripts[id] for id in gone})
    if len(among) <= 12:
        for chosen in [*([script] for script in among), among]:
            yield f"are written in {', '.join(chosen)}", lambda id, chosen=frozenset(chosen): scripts[id] in chosen  # type: ignore[misc]


def _is_piece(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return True
    return False
