"""The record of an extension: what was asked for, what was added, what was checked. Written as ``extension.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from bbpe.corpus import Source, with_escaped_names
from bbpe.embeddings import EmbeddingPlan
from bbpe.errors import BbpeError, FormatError
from bbpe.extension.options import ExtensionOptions
from bbpe.training import opened_record

FORMAT = "bbpe-extension"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Witness:
    """A text in which a token occurs.

    Attributes:
        text: The text, where it is valid UTF-8.
        hex: Else its bytes.
    """

    text: str | None = None
    hex: str | None = None

    @classmethod
    def of(cls, data: bytes) -> Witness:
        """A witness from bytes."""
        try:
            return cls(text=data.decode())
        except UnicodeDecodeError:
            return cls(hex=data.hex())


@dataclass(frozen=True, slots=True)
class AddedToken:
    """One token of an extension.

    Attributes:
        id: Its id.
        token: Its bytes as text; None where they are no valid UTF-8.
        hex: Else its bytes.
        left: The id of its left part, possibly a new one.
        right: The id of its right part.
        count: The count that its merge won with.
        occurrences: How often it occurs in the training text in the end; None where that was not measured.
        documents: In how many documents of it.
        helper: It was not asked for: a step on the way to a word or token that was.
        witness: A text in which it occurs.
    """

    id: int
    token: str | None
    hex: str | None
    left: int
    right: int
    count: int
    occurrences: int | None
    documents: int | None
    helper: bool
    witness: Witness


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """Before and after on one text.

    Attributes:
        name: Its name: the file's, without folder and suffixes.
        role: ``"training"`` or ``"guard"``.
        documents: Documents in it.
        documents_changed: Those in which a new token occurs; None where the text could not be read twice.
        characters: Characters, each invalid byte being one.
        bytes: Bytes.
        tokens_before: Tokens with the base.
        tokens_after: Tokens with the extension.
    """

    name: str
    role: str
    documents: int = 0
    documents_changed: int | None = 0
    characters: int = 0
    bytes: int = 0
    tokens_before: int = 0
    tokens_after: int = 0

    @property
    def tokens_per_character(self) -> tuple[float, float]:
        """Before and after; 0 for an empty text."""
        characters = max(1, self.characters)
        return self.tokens_before / characters, self.tokens_after / characters

    def plus(self, **more: int) -> CorpusRow:
        """The row with more text in it."""
        return replace(self, **{name: getattr(self, name) + value for name, value in more.items()})


@dataclass(frozen=True, slots=True)
class GainPoint:
    """One size of the extension on the way, a prefix of its merges.

    Attributes:
        added: Tokens added.
        tokens: Tokens that the counted text has with it.
        tokens_per_character: The same, by the characters of the text.
        gain: Tokens that the last addition saved, for each million characters; 0 before the first.
    """

    added: int
    tokens: int
    tokens_per_character: float
    gain: float


@dataclass(frozen=True, slots=True)
class Price:
    """What the UTF-8 rule costs: the same extension learned once more without it.

    Attributes:
        sample: One in so many distinct pretokens of the training text was used for both; 1: all.
        tokens_with: Tokens of that text with the rule.
        tokens_without: Tokens without it.
        character_and_a_half: How many tokens the extension without it would have that the rule refuses.
    """

    sample: int
    tokens_with: int
    tokens_without: int
    character_and_a_half: int

    @property
    def share(self) -> float:
        """How many more tokens the rule costs, as a share."""
        return self.tokens_with / max(1, self.tokens_without) - 1


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A token that somebody should look at, and why."""

    id: int
    token: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What became of a word list or of another vocabulary's tokens.

    Attributes:
        kind: ``"words"`` or ``"tokens"``.
        given: Distinct entries.
        already: Those that are tokens of the base.
        made: Those that are single tokens now.
        helpers: Added tokens that nobody asked for, as text or hex.
        cut: Entries that the pattern cuts.
        incomplete: Entries that are still several tokens: the limit or a rule ended the way to them.
        duplicates: Entries that stood in the list several times.
        left_out: Tokens of the other vocabulary that are no text.
    """

    kind: str
    given: int
    already: int
    made: int
    helpers: tuple[str, ...]
    cut: tuple[str, ...]
    incomplete: tuple[str, ...]
    duplicates: tuple[str, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class ExtensionReport:
    """How an extension came about and what was checked. The same extension gives the same report, to the byte.

    Attributes:
        base: Name, entries and rows of the base.
        options: What was asked for.
        sources: The files read, each with its size and sha256.
        stop: What ended it: ``"add"``, ``"until_gain"``, ``"min_count"`` (no pair left that may be merged and occurs
            often enough), ``"targets"`` (all that was asked for is made) or ``"reserved"`` (no id left to reuse).
        added: The new tokens in learning order.
        ids_reused: Ids among theirs that the base had reserved or left unused.
        special_tokens_replaced: Reserved special tokens that gave up their ids.
        corpora: Before and after: the training text, then the guards.
        curve: Size of the extension against tokens of the counted text.
        price: What the UTF-8 rule costs; None where there is no such rule, or the tokens were chosen by a list.
        targets: What became of a word list or of another vocabulary's tokens.
        suspicious: Tokens to look at.
        base_unreachable: Ids of the base that its own merges do not bring back; they stay as they are.
        guarantees: What was checked, in words, with numbers.
        not_as_ranks: Why a rank table would give other ids, so that no ``.tiktoken`` is written; None where it would
            not.
        warnings: What a user should know.
        versions: Of bbpe and its Unicode tables.
        plan: What the rows of the embedding matrix start with.
    """

    base: Mapping[str, Any]
    options: ExtensionOptions
    sources: tuple[Source, ...]
    stop: str
    added: tuple[AddedToken, ...]
    ids_reused: tuple[int, ...]
    special_tokens_replaced: tuple[str, ...]
    corpora: tuple[CorpusRow, ...]
    curve: tuple[GainPoint, ...]
    price: Price | None
    targets: TargetReport | None
    suspicious: tuple[Suspicion, ...]
    base_unreachable: tuple[int, ...]
    guarantees: Mapping[str, str]
    not_as_ranks: str | None
    warnings: tuple[str, ...]
    versions: Mapping[str, str]
    plan: EmbeddingPlan = field(repr=False)

    __hash__ = None  # type: ignore[assignment]  # mappings

    def to_json(self) -> str:
        """The report as JSON text: one added token, point, corpus or plan row a line, ending in a newline."""
        record: dict[str, Any] = {"format": FORMAT, "format_version": FORMAT_VERSION}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "plan":
                value = value.to_record()
            elif each.name == "corpora":
                value = [{**asdict(row), "tokens_per_character": row.tokens_per_character} for row in value]
            elif each.name == "price" and value is not None:
                value = {**asdict(value), "share": value.share}
            else:
                value = as_plain(value)
            record[each.name] = value
        return with_escaped_names(laid_out(record)) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ExtensionReport:
        """Read what :meth:`to_json` wrote.

        Raises:
            FormatError: The text is something else.
        """
        try:
            record = opened_record(text, "record of an extension", FORMAT, FORMAT_VERSION)
            options = record.pop("options")
            for row in record["corpora"]:
                del row["tokens_per_character"]
            for token in record["added"]:
                token["witness"] = Witness(**token["witness"])
            price, targets = record.pop("price"), record.pop("targets")
            if price is not None:
                del price["share"]
            return cls(
                base=record.pop("base"),
                options=ExtensionOptions(**_tupled(options)),
                sources=tuple(Source(**each) for each in record.pop("sources")),
                added=tuple(AddedToken(**each) for each in record.pop("added")),
                corpora=tuple(CorpusRow(**each) for each in record.pop("corpora")),
                curve=tuple(GainPoint(**each) for each in record.pop("curve")),
                price=None if price is None else Price(**price),
                targets=None if targets is None else TargetReport(**_tupled(targets)),
                suspicious=tuple(
                    Suspicion(each["id"], each["token"], tuple(each["reasons"])) for each in record.pop("suspicious")
                ),
                plan=EmbeddingPlan.from_record(record.pop("plan")),
                **_tupled(record),
            )
        except FormatError:
            raise
        except BbpeError as error:
            raise FormatError(f"this is no record of an extension: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"this is no record of an extension: {type(error).__name__}: {error}") from None


def _tupled(record: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}


def as_plain(value: Any) -> Any:
    """A field of a report as JSON has it: dataclasses as objects, tuples as arrays."""
    if isinstance(value, tuple):
        return [as_plain(item) for item in value]
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value


def laid_out(value: Any, depth: int = 0) -> str:
    """JSON that a person can read: an item of a list of records, or of a mapping that holds more, is one line."""
    inner, outer = " " * (depth + 2), " " * depth
    if isinstance(value, Mapping) and any(isinstance(item, (Mapping, list, tuple)) for item in value.values()):
        rows = [
            f"{inner}{json.dumps(str(key), ensure_ascii=False)}: {laid_out(item, depth + 2)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(rows) + f"\n{outer}}}"
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        return "[\n" + ",\n".join(inner + json.dumps(item, ensure_ascii=False) for item in value) + f"\n{outer}]"
    return json.dumps(value, ensure_ascii=False)
