"""The report of an inspection: one screen of what to know before betting a model on a vocabulary; files have the rest.

Sections and tables marked minor are for files. Nothing is measured here: the numbers are ``analysis/inspection.py``'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone

from bbpe.analysis.against import Difference
from bbpe.analysis.coverage import UNKNOWN, Coverage, CoverageRow
from bbpe.analysis.entries import Entries, shown
from bbpe.analysis.health import Health
from bbpe.analysis.inspection import Inspection, LookUp, OnCorpus
from bbpe.analysis.makeup import Makeup
from bbpe.analysis.merge_forest import Node
from bbpe.report.model import (
    Block,
    Cell,
    Column,
    Fact,
    Facts,
    Figure,
    Report,
    Section,
    Series,
    Table,
    Tree,
    TreeNode,
)

_SHOWN_ROWS = 20  # of a long table, until a click
_MOST_ROWS = 2000  # of tables that would hold most of the vocabulary
_HOW = {
    "proof": "proof",
    "search": "search",
    "table": "read off",
    "rule": "rule",
    "corpus": "corpus",
}
_MEANING_OF_HOW = (
    "proof: decided for every text, over the pattern's automaton and the merges; search: texts were tried and none "
    "gave the token; read off: follows from the tokens alone; rule: a stated rule, which may be wrong about a token; "
    "corpus: counted on the corpus."
)


def inspection_report(inspection: Inspection, *, method: Mapping[str, str] | None = None) -> Report:
    """Make the report of an inspection.

    Args:
        inspection: What was found.
        method: More of how to repeat it: the command, hashes of files.
    """
    makeup, coverage, health = inspection.makeup, inspection.coverage, inspection.health
    entries = inspection.entries
    sections = [
        Section("Make-up", blocks=(_facts(makeup),)),
        Section("Chinese", blocks=(_chinese_facts(coverage),)),
        Section("Faults", blocks=(_faults(health, len(entries)),)),
    ]
    if inspection.corpus is not None:
        sections.append(Section("On the corpus", blocks=(_corpus_facts(inspection.corpus, entries),)))
    if inspection.difference is not None:
        sections.append(_against(inspection.difference))
    sections += [
        Section("Scripts and lengths", blocks=_script_blocks(makeup), minor=True),
        Section("Pattern and rules", " ".join(makeup.pattern), blocks=(_rules(makeup),), minor=True),
        Section("Chinese characters and words", blocks=tuple(_coverage_blocks(coverage, entries)), minor=True),
    ]
    if inspection.corpus is not None:
        sections.append(Section("Use on the corpus", blocks=tuple(_use_blocks(inspection.corpus, entries)), minor=True))
    sections.append(Section("Faulty tokens", _canonical_note(health), blocks=tuple(_fault_tables(health)), minor=True))
    return Report(
        f"Inside {inspection.name}",
        tuple(sections),
        method=_method(inspection, method or {}),
        summary=summary(inspection),
        main_table="faults",
    )


def summary(inspection: Inspection) -> str:
    """What somebody should know before betting a model on the vocabulary, in a few sentences."""
    makeup, health, coverage = inspection.makeup, inspection.health, inspection.coverage
    sentences = [f"{len(inspection.entries):,} entries, {makeup.algorithm}, run by {makeup.engine}. {makeup.lossless}."]
    level1, level2 = coverage["gb2312-1"], coverage["gb2312-2"]
    sentences.append(
        f"Of the Chinese characters, {level1.share:.1%} of the common ones and {level2.share:.1%} of the less common "
        f"are one token; {coverage.longer_words:,} tokens are Chinese words of two characters or more."
    )
    if health.reachability is not None:
        lost = len(health.reachability.unreachable) - len(health["never_in_utf8"])
        why = [
            f"{len(health[name]):,} {word}"
            for name, word in (
                ("unreachable_by_pattern", "by its pattern"),
                ("unreachable_by_normalizer", "by its normalizer"),
                ("always_merged_on", "always merged on"),
            )
            if health[name].faults
        ]
        merges = len(health.reachability.proven["merges"])
        if merges:
            why.insert(0, f"{merges:,} by its merges")
        if lost:
            sentences.append(
                f"{lost:,} token{'s' * (lost != 1)} can come out of no text and stay{'s' * (lost == 1)} untrained ({', '.join(why)})."
            )
        else:
            sentences.append("Every token can come out of some text.")
        if health["not_found"].faults:
            sentences.append(f"Of {len(health['not_found']):,} more no text was found that gives them.")
    return " ".join(sentences)


# ---- One screen ----


def _facts(makeup: Makeup) -> Facts:
    entries = makeup.entries
    words = {"byte": "bytes", "merge": "merges", "piece": "pieces", "special": "special", "reserved": "reserved"}
    kinds = [f"{count:,} {words[kind]}" for kind, count in makeup.kinds.items()]
    kinds += [f"{makeup.holes:,} holes in the ids"] if makeup.holes else []
    kinds += [f"{makeup.missing_bytes} bytes have no token"] if makeup.missing_bytes else []
    total = len(entries)
    scripts = ", ".join(f"{row.script} {len(row) / total:.1%}" for row in makeup.scripts[:5])
    longest = [shown(entries.tokens[row.longest[0]], 18) for row in makeup.scripts[:2] if row.characters is not None]
    mean_characters = _mean(makeup.by_characters)
    mean_bytes = _mean(makeup.by_bytes)
    cases = makeup.cases
    variants = (
        f"{cases.tokens:,} tokens are {cases.words:,} words in several cases and with or without a space"
        if cases.words
        else "no words with case"
    )
    spaces = f"spaces up to {_longest(makeup.spaces)}, newlines up to {_longest(makeup.newlines)}, tabs up to {_longest(makeup.tabs)}"
    return Facts(
        "makeup",
        "",
        (
            Fact("size", f"{total:,} entries = {' + '.join(kinds)}"),
            Fact("scripts", scripts),
            Fact("length", f"{mean_characters:.1f} characters, {mean_bytes:.1f} bytes on average; longest {', '.join(longest)}"),
            Fact("digits", _digits(makeup)),
            Fact("runs", spaces),
            Fact("words", variants),
            Fact("pattern", " ".join(_telling(makeup.pattern))),
            Fact("normalizer", makeup.normalizer),
            Fact("template", makeup.template),
        ),
    )  # fmt: skip


def _digits(makeup: Makeup) -> str:
    digits = makeup.digits
    known = [f"{count:,} of {10**length:,}" for length, count in digits.numbers.items() if length <= 3]
    return f"{digits.policy}; whole numbers: {', '.join(known) or 'none'}"


def _telling(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """The sentences on a pattern that one screen has room for."""
    return tuple(s for s in sentences if s is sentences[0] or s.startswith(("Words are", "A Chinese", "What it")))


def _mean(lengths: Mapping[int, int]) -> float:
    return sum(length * count for length, count in lengths.items()) / max(1, sum(lengths.values()))


def _longest(runs: Mapping[int, int]) -> int:
    return max(runs, default=0)


def _chinese_facts(coverage: Coverage) -> Facts:
    names = {
        "gb2312-1": "GB 2312 level 1",
        "gb2312-2": "GB 2312 level 2",
        "simplified": "only simplified",
        "traditional": "only traditional",
        "block-4e00": "Unified Ideographs",
    }
    facts = [Fact(title, _covered(coverage[name])) for name, title in names.items()]
    words = ", ".join(f"{len(words.ids):,} of {words.characters}" for words in coverage.words if words.characters < 6)
    longer = sum(len(words.ids) for words in coverage.words if words.characters >= 6)
    words += f", {longer:,} of 6 or more" if longer else ""
    facts.append(Fact("tokens by characters", words or "none"))
    first = coverage.costly[:10]
    if first:
        where = "most frequent" if first[0].count is not None else "among the common ones"
        costly = " ".join(f"{each.character}{'' if each.tokens == UNKNOWN else each.tokens}" for each in first)
        facts.append(Fact("cost 2 or more", f"{len(coverage.costly):,}, {where}: {costly}"))
    return Facts("chinese", "", tuple(facts))


def _covered(row: CoverageRow) -> str:
    costs = [f"{count:,} cost {tokens}" for tokens, count in row.costs.items() if tokens > 1]
    costs += [f"{row.costs[UNKNOWN]:,} unknown"] if row.costs.get(UNKNOWN) else []
    return f"{row.share:.1%} one token ({row.single:,} of {len(row.characters):,})" + "".join(f", {part}" for part in costs)  # fmt: skip


def _faults(health: Health, entries: int) -> Table:
    columns = (
        Column("fault", "Tokens that are …"),
        Column("tokens", "Tokens", kind="integer"),
        Column("share", "Share", kind="percent", digits=2, note="Of all entries."),
        Column("how", "Known by", note=_MEANING_OF_HOW),
        Column("detail", "Detail or example"),
        Column("meaning", "What it means", minor=True),
    )
    # What is in the way comes first, what belongs to byte-level vocabularies last; the kinds of UTF-8 pieces are one row.
    found = sorted((listed for listed in health.lists if listed.faults), key=lambda listed: listed.minor)
    rows: list[dict[str, Cell]] = [
        {
            "fault": listed.title,
            "tokens": len(listed),
            "share": len(listed) / max(1, entries),
            "how": _HOW[listed.how],
            "detail": listed.detail or f"such as {shown(listed.faults[0].token, 24)}",
            "meaning": listed.meaning,
        }
        for listed in found
        if not listed.name.startswith("not_utf8") and listed.name != "whole_only"
    ]
    starts, ends, mixes = (len(health[f"not_utf8_{kind}"]) for kind in ("starts", "ends", "mixes"))
    if starts or ends:
        rows.append(
            {
                "fault": "not valid UTF-8",
                "tokens": starts + ends,
                "share": (starts + ends) / max(1, entries),
                "how": _HOW["table"],
                "detail": f"{starts:,} start in a character, {ends:,} end in one, {mixes:,} mixed",
                "meaning": health["not_utf8_ends"].meaning,
            }
        )
    notes = []
    by_how: dict[str, list[str]] = {}
    for listed in health.lists:
        if not listed.faults and not (listed.name.startswith("not_utf8") and (starts or ends)):
            by_how.setdefault(_HOW[listed.how], []).append(listed.title)
    if by_how:
        notes.append("None: " + "; ".join(f"{', '.join(titles)} ({how})" for how, titles in by_how.items()) + ".")
    for why in dict.fromkeys(health.not_applicable.values()):
        what = [name for name, reason in health.not_applicable.items() if reason == why]
        notes.append(f"Not looked for: {', '.join(what)}: {why}.")
    if health.canonical is not None and health.canonical.without_split:
        notes.append(_canonical_note(health))
    return Table("faults", "", columns, tuple(rows), notes=tuple(notes))


def _canonical_note(health: Health) -> str:
    canonical = health.canonical
    if canonical is None or not canonical.without_split:
        return ""
    return (
        f"As a merge list of canonical splits it would lose {canonical.unreachable:,} tokens: {canonical.without_split:,} "
        "have no canonical two-part split. Write all splits instead, as bbpe does."
    )


def _corpus_facts(found: OnCorpus, entries: Entries) -> Facts:
    usage = found.usage
    tokens = max(1, usage.tokens)
    ordinary = max(1, len(entries.tokens))
    facts = [
        Fact("text", f"{usage.documents:,} documents, {usage.characters:,} characters, {usage.bytes:,} bytes"),
        Fact(
            "tokens",
            f"{usage.tokens:,}: {usage.tokens / max(1, usage.characters):.4f} tokens per character, "
            f"{usage.bytes / tokens:.4f} bytes per token",
        ),
        Fact("tokens of the output that are not valid UTF-8", found.not_utf8 / tokens, kind="percent", digits=2),
        Fact("tokens of the vocabulary that are used", f"{found.used / ordinary:.1%} ({found.used:,} of {ordinary:,})"),
    ]
    if found.removable:
        free = sum(1 for _, cost in found.removable if cost == 0)
        tenth = found.removable[: len(found.removable) // 2]
        cost = sum(cost for _, cost in tenth)
        facts.append(
            Fact(
                "cheapest to remove",
                f"{free:,} tokens at no cost here; the cheaper half of those that nothing is built from "
                f"({len(tenth):,}) would add at most {cost / tokens:.2%}",
            )
        )
    return Facts("corpus", "", tuple(facts))


def _against(difference: Difference) -> Section:
    a, b = difference.first, difference.second
    columns = (
        Column("what", "Tokens"),
        Column("tokens", "Number", kind="integer"),
        Column("examples", "Examples"),
    )
    rows: tuple[dict[str, Cell], ...] = (
        {"what": "in both, same id", "tokens": len(difference.kept), "examples": ""},
        {
            "what": "in both, another id",
            "tokens": len(difference.moved),
            "examples": ", ".join(f"{shown(a.tokens[here], 16)} {here}→{there}" for here, there in difference.moved[:3]),
        },
        {
            "what": f"only in {a.name}",
            "tokens": len(difference.removed),
            "examples": _some(a, difference.removed),
        },
        {"what": f"only in {b.name}", "tokens": len(difference.added), "examples": _some(b, difference.added)},
        {
            "what": "special tokens that differ",
            "tokens": len(difference.special),
            "examples": ", ".join(content for content, _, _ in difference.special[:3]),
        },
    )  # fmt: skip
    needed: tuple[dict[str, Cell], ...] = tuple(
        {"what": condition.name, "holds": condition.holds, "note": condition.note}
        for condition in difference.conditions
    )
    return Section(
        f"Against {b.name}",
        difference.verdict,
        blocks=(
            Table("difference", "", columns, rows),
            Table(
                "conditions",
                f"What an exact extension of {a.name} needs",
                (Column("what", "What"), Column("holds", "Holds", kind="flag"), Column("note", "Found")),
                needed,
            ),
        ),
    )


def _some(entries: Entries, ids: Iterable[int]) -> str:
    return ", ".join(shown(entries.tokens[id], 16) for id in itertools.islice(ids, 5))


# ---- The rest ----


def _script_blocks(makeup: Makeup) -> tuple[Block, ...]:
    entries = makeup.entries
    columns = (
        Column("script", "Script"),
        Column("tokens", "Tokens", kind="integer"),
        Column("share", "Share", kind="percent"),
        Column("characters", "Characters", "a token", kind="number", digits=2),
        Column("bytes", "Bytes", "a token", kind="number", digits=2),
        Column("longest", "Longest tokens"),
    )
    rows: tuple[dict[str, Cell], ...] = tuple(
        {
            "script": row.script,
            "tokens": len(row),
            "share": len(row) / len(entries),
            "characters": row.characters,
            "bytes": row.bytes,
            "longest": "  ".join(shown(entries.tokens[id], 40) for id in row.longest),
        }
        for row in makeup.scripts
    )
    top = makeup.scripts[:16]
    lengths = range(1, 33)
    return (
        Figure(
            "scripts_figure",
            "Tokens by script",
            "bars",
            "Script",
            "Tokens",
            (Series("tokens", tuple(row.script for row in top), tuple(len(row) for row in top)),),
            table="scripts",
        ),
        Table("scripts", "Scripts", columns, rows, limit=_SHOWN_ROWS),
        Figure(
            "lengths_figure",
            "Tokens by length",
            "histogram",
            "Length (1 to 32)",
            "Tokens",
            (
                Series("characters", tuple(lengths), tuple(makeup.by_characters.get(n, 0) for n in lengths)),
                Series("bytes", tuple(lengths), tuple(makeup.by_bytes.get(n, 0) for n in lengths)),
            ),
            table="lengths",
        ),
        Table(
            "lengths",
            "Lengths",
            (
                Column("length", "Length", kind="integer"),
                Column("characters", "Tokens of so many characters", kind="integer"),
                Column("bytes", "Tokens of so many bytes", kind="integer"),
            ),
            tuple(
                {
                    "length": length,
                    "characters": makeup.by_characters.get(length, 0),
                    "bytes": makeup.by_bytes.get(length, 0),
                }
                for length in sorted({*makeup.by_characters, *makeup.by_bytes})
            ),
            limit=_SHOWN_ROWS,
        ),
    )


def _rules(makeup: Makeup) -> Facts:
    digits, cases = makeup.digits, makeup.cases
    runs = ", ".join(map(str, makeup.spaces)) or "none"
    return Facts(
        "rules",
        "",
        (
            Fact("algorithm", makeup.algorithm),
            Fact("engine", makeup.engine),
            Fact("normalizer", makeup.normalizer),
            Fact("decoding", makeup.lossless),
            Fact("12345678 is cut into", _sizes(digits.cut)),
            Fact("12345678 is encoded as", _sizes(digits.encoded)),
            Fact("numbers that are tokens", ", ".join(f"{count:,} of {n} digits" for n, count in digits.numbers.items())),
            Fact("runs of spaces that are tokens", runs),
            Fact("word with the most tokens", f"{cases.widest}: {', '.join(map(repr, cases.forms))}" if cases.forms else "none"),
        ),
    )  # fmt: skip


def _sizes(sizes: tuple[int, ...] | None) -> str:
    return "not known" if sizes is None else " + ".join(map(str, sizes)) + " digits"


def _coverage_blocks(coverage: Coverage, entries: Entries) -> Iterable[Block]:
    highest = max((tokens for row in (*coverage.standards, *coverage.blocks) for tokens in row.costs), default=1)
    columns = (
        Column("list", "Characters"),
        Column("size", "Number", kind="integer"),
        Column("share", "One token", kind="percent"),
        *(Column(f"cost_{n}", f"Cost {n}", kind="integer") for n in range(1, highest + 1)),
        Column("unknown", "Unknown", kind="integer"),
    )

    def rows(found: Iterable[CoverageRow]) -> tuple[dict[str, Cell], ...]:
        return tuple(
            {
                "list": row.characters.title,
                "size": len(row.characters),
                "share": row.share,
                **{f"cost_{n}": row.costs.get(n, 0) for n in range(1, highest + 1)},
                "unknown": row.costs.get(UNKNOWN, 0),
            }
            for row in found
        )

    note = (
        ("Read off the pieces: another library encodes, and puts spaces before a text.",) if coverage.read_off else ()
    )
    every = (*coverage.standards, *coverage.blocks)
    yield Figure(
        "coverage_figure",
        "Chinese characters that are one token",
        "bars",
        "Characters",
        "Share",
        (Series("one token", tuple(row.characters.title for row in every), tuple(row.share for row in every)),),
        table="coverage",
    )
    yield Table("coverage", "Coverage of Chinese characters", columns, rows(every), notes=note)
    with_counts = bool(coverage.costly) and coverage.costly[0].count is not None
    yield Table(
        "costly",
        "Characters that cost two tokens or more"
        + (", the most frequent of the corpus first" if with_counts else ", of GB 2312 level 1"),
        (
            Column("character", "Character"),
            Column("tokens", "Tokens", kind="integer", note="None: the vocabulary cannot say it."),
            Column("count", "In the corpus", kind="integer"),
        ),
        tuple(
            {
                "character": each.character,
                "tokens": None if each.tokens == UNKNOWN else each.tokens,
                "count": each.count,
            }
            for each in coverage.costly
        ),
        limit=_SHOWN_ROWS,
    )
    yield Table(
        "words",
        "Tokens that are Han characters and nothing else",
        (
            Column("characters", "Characters", kind="integer"),
            Column("tokens", "Tokens", kind="integer"),
            Column("used", "In the corpus", kind="integer"),
            Column("examples", "Most used" if with_counts else "First by id"),
        ),
        tuple(
            {
                "characters": words.characters,
                "tokens": len(words.ids),
                "used": words.used,
                "examples": "  ".join(entries.tokens[id].decode() for id in words.ids[:12]),
            }
            for words in coverage.words
        ),
    )


def _use_blocks(found: OnCorpus, entries: Entries) -> Iterable[Block]:
    usage = found.usage
    curve = usage.curve()
    if curve:
        yield Figure(
            "use_figure",
            "Use by rank",
            "lines",
            "Rank",
            "Times used",
            (Series("tokens", tuple(rank for rank, _ in curve), tuple(count for _, count in curve)),),
            x_scale="log",
            y_scale="log",
        )
    ordered = sorted(entries.kinds, key=lambda id: (-int(usage.counts[id]), id))[:200]
    tokens = max(1, usage.tokens)
    yield Table(
        "most_used",
        "Tokens used most",
        (
            Column("token", "Token", kind="token"),
            Column("id", "Id", kind="integer"),
            Column("count", "Times used", kind="integer"),
            Column("share", "Of all tokens", kind="percent", digits=2),
        ),
        tuple(
            {
                "token": _bytes(entries, id),
                "id": id,
                "count": int(usage.counts[id]),
                "share": int(usage.counts[id]) / tokens,
            }
            for id in ordered
        ),
        limit=_SHOWN_ROWS,
    )
    if found.removable:
        yield Table(
            "removable",
            "Tokens whose removal would cost least",
            (
                Column("token", "Token", kind="token"),
                Column("id", "Id", kind="integer"),
                Column("cost", "Tokens more, at most", kind="integer"),
            ),
            tuple({"token": entries.tokens[id], "id": id, "cost": cost} for id, cost in found.removable[:_MOST_ROWS]),
            notes=(
                f"Of {len(found.removable):,} tokens that no other is built from the first {_MOST_ROWS:,}, "
                "the newest first among equals.",
            ),
            limit=_SHOWN_ROWS,
        )


def _bytes(entries: Entries, id: int) -> bytes:
    return entries.tokens[id] if id in entries.tokens else entries.special[id].encode()


def _fault_tables(health: Health) -> Iterable[Table]:
    for listed in health.lists:
        if not listed.faults:
            continue
        notes = [listed.meaning, f"Known by {_HOW[listed.how]}."]
        rows = listed.faults
        if listed.name == "unused" and len(rows) > _MOST_ROWS:
            rows = rows[:_MOST_ROWS]
            notes.append(f"The first {_MOST_ROWS:,} of {len(listed):,}.")
        yield Table(
            listed.name,
            listed.title[:1].upper() + listed.title[1:],
            (
                Column("token", "Token", kind="token"),
                Column("id", "Id", kind="integer"),
                Column("kind", "Kind"),
                Column("why", "Why"),
            ),
            tuple({"token": fault.token, "id": fault.id, "kind": fault.kind, "why": fault.why} for fault in rows),
            notes=tuple(notes),
            limit=_SHOWN_ROWS,
        )


def _method(inspection: Inspection, more: Mapping[str, str]) -> dict[str, str]:
    from bbpe import __version__
    from bbpe.unicode import unicode_version

    method = {**more, "bbpe": __version__, "Unicode": unicode_version(), "known by": _MEANING_OF_HOW}
    if inspection.corpus is not None:
        for source in inspection.corpus.usage.sources:
            method[f"corpus {source.path}"] = f"{source.bytes:,} bytes, sha256 {source.sha256}"
    method["seconds"] = ", ".join(f"{part} {seconds:.1f}" for part, seconds in inspection.seconds.items())
    method["made"] = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return method


# ---- Single tokens ----


def look_up_report(looked_up: LookUp, asked: str) -> Report:
    """Make the report of tokens that were looked up, each with its merge tree.

    Args:
        looked_up: What was found.
        asked: What was looked for.
    """
    found, total = looked_up.found, looked_up.total
    columns = (
        Column("token", "Token", kind="token"),
        Column("id", "Id", kind="integer"),
        Column("kind", "Kind"),
        Column("bytes", "Bytes"),
        Column("merges", "Merges", kind="integer", note="Merges that build it."),
    )
    rows: tuple[dict[str, Cell], ...] = tuple(
        {
            "token": each.token,
            "id": each.id,
            "kind": each.kind,
            "bytes": each.token.hex(" ").upper(),
            "merges": None if each.tree is None else sum(bool(node.parts) and node.merged for node in each.tree.walk()),
        }
        for each in found
    )
    trees = tuple(
        Tree(f"tree_{number}", f"Merges of {shown(each.token)}", _tree(each.tree))
        for number, each in enumerate(found)
        if each.tree is not None and each.tree.parts
    )
    summary = f"{total:,} tokens" if total != 1 else "1 token"
    if len(found) < total:
        summary += f", of which the first {len(found):,} are shown (--limit shows more)"
    return Report(
        f"{asked} in {looked_up.name}", (Section("Tokens", blocks=(Table("tokens", "", columns, rows), *trees)),), summary=f"{summary}."
    )  # fmt: skip


def _tree(root: Node) -> TreeNode:
    """Without recursion: parts first, since a node comes before its parts in a walk."""
    made: dict[int, TreeNode] = {}
    for node in reversed(list(root.walk())):
        if node.id not in made:
            note = "" if node.merged else "no merge makes it; its bytes merge to these parts"
            parts = tuple(made[part.id] for part in node.parts)
            made[node.id] = TreeNode(node.token, node.id, node.rank, note, parts)
    return made[root.id]
