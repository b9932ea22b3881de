"""Reports: the model refuses what contradicts itself, and each text rendering shows all of it, in its own way."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from strategies import CONTROLS, documents

from bbpe.errors import OutputError
from bbpe.report import (
    Column,
    Fact,
    Facts,
    Figure,
    PieceRow,
    Pieces,
    PieceToken,
    Report,
    Section,
    Series,
    Table,
    Tree,
    TreeNode,
    check_suffix,
    csv_text,
    json_text,
    markdown,
    terminal,
    write,
)
from bbpe.report.cells import is_valid, plain, shown, visible, written
from bbpe.report.json_file import as_dict
from bbpe.report.markdown import figure_table, thinned, tree_lines

COLUMNS = (
    Column("name", "Vocabulary"),
    Column("size", "Entries", kind="integer"),
    Column("zh", "Chinese", unit="tokens per character", kind="number", better="lower", note="ids ÷ characters"),
    Column("used", "Used", kind="percent", better="higher"),
    Column("lossless", "Lossless", kind="flag"),
    Column("longest", "Longest", kind="token", minor=True),
)
TABLE = Table(
    "main",
    "Tokens per character",
    COLUMNS,
    (
        {"name": "cl100k_base", "size": 100277, "zh": 1.1041, "used": 0.31, "lossless": True, "longest": b" \xe4\xb8"},
        {"name": "qwen2|x", "size": 151646, "zh": 0.6559, "used": None, "lossless": True, "longest": "中国\n".encode()},
        {"name": "llama2", "size": 32000, "zh": 1.4472, "used": math.nan, "lossless": False},
    ),
    notes=("Corpus totals.",),
    emphasized=(0,),
)
BARS = Figure("bars", "Bars", "bars", "vocabulary", "tokens", (Series("zh", ("a", "b"), (1.5, None)),))
CURVE = Figure(
    "curve",
    "Curve",
    "lines",
    "entries",
    "tokens per character",
    (
        Series("中文", tuple(range(1000, 101000, 1000)), tuple(1000 / x for x in range(1000, 101000, 1000))),
        Series("cost", (1000, 2000), (1e6, 2e6), axis="right"),
    ),
    second_axis="parameters",
)
PIECES = Pieces(
    "probe",
    "One sentence",
    "a  中\n",
    (
        PieceRow("gpt2", (PieceToken(b"a", 64), PieceToken(b"  \xe4", 5), PieceToken(b"\xb8\xad\n", 6))),
        PieceRow("bert", (PieceToken(b"a", 1), PieceToken(b"", 100, "unknown")), False, "decodes to 'a'"),
    ),
    ("Point at a token.",),
)
TREE = Tree("tree", "Tree", TreeNode(b"abc", 300, 9, "", (TreeNode(b"ab", 299, 8, "", (TreeNode(b"a", 1), TreeNode(b"b", 2))), TreeNode(b"c", 3))))  # fmt: skip
FACTS = Facts("facts", "Make-up", (Fact("Merges", 100000, "integer", note="all of them"), Fact("Holes", None)))
REPORT = Report(
    "Title",
    (Section("Results", "One.\n\nTwo.", (TABLE, BARS, CURVE, FACTS)), Section("Probe", "", (PIECES, TREE), minor=True)),
    {"Command": "bbpe compare a b", "sha256 of a": "0" * 64},
    "The answer.",
)


def on_a_terminal(report: Report, *, everything: bool = False, color: bool | None = None) -> str:
    out = io.StringIO()
    terminal.show(report, file=out, everything=everything, color=color)
    return out.getvalue()


# ---- the model ----


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Table("a b", "T", COLUMNS, ()), "no block name"),
        (lambda: Table("t", "T", (), ()), "not distinct"),
        (lambda: Table("t", "T", (Column("k", "A"), Column("k", "B")), ()), "not distinct"),
        (lambda: Table("t", "T", COLUMNS, ({"nam": "x"},)), "no column 'nam'"),
        (lambda: Table("t", "T", COLUMNS, ({"size": "12"},)), "'12' is no integer"),
        (lambda: Table("t", "T", COLUMNS, ({"size": True},)), "True is no integer"),
        (lambda: Table("t", "T", COLUMNS, ({"longest": "text"},)), "is no token"),
        (lambda: Table("t", "T", COLUMNS, ({"name": "x"},), emphasized=(1,)), "emphasized"),
        (lambda: Series("s", (1, 2), (1,), labels=("a",)), "1 labels for 2 points"),
        (lambda: Series("s", (1, 2, 3), (1,)), "3 xs and 1 ys"),
        (lambda: Series("s", (True,), (1,)), "True is no number"),
        (lambda: Series("s", (math.inf,), (1,)), "not finite"),
        (lambda: Figure("f", "F", "bars", "x", "y", ()), "no series"),
        (lambda: Figure("f", "F", "bars", "x", "y", (Series("s", (1,), (1,)),)), "categories"),
        (lambda: Figure("f", "F", "lines", "x", "y", (Series("s", ("a",), (1,)),)), "categories"),
        (lambda: Figure("f", "F", "bars", "x", "y", (Series("s", ("a",), (1,)), Series("t", ("b",), (1,)))), "same"),
        (lambda: Figure("f", "F", "lines", "x", "y", (Series("s", (1, 2), (1,)),)), "not one y for each x"),
        (lambda: Figure("f", "F", "lines", "x", "y", (Series("s", (1,), (1,), axis="right"),)), "second axis"),
        (lambda: Report("R", (Section("a", "", (TABLE,)), Section("b", "", (TABLE,)))), "two blocks"),
        (lambda: Report("R", (Section("a", "", (TABLE,)),), main_table="other"), "no table 'other'"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_is_made(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_numbers_of_numpy_become_pythons_and_missing_cells_none() -> None:
    table = Table("t", "T", COLUMNS, ({"size": np.int64(5), "zh": np.float32(0.5), "lossless": np.bool_(True)},))
    assert table.rows[0] == {"name": None, "size": 5, "zh": 0.5, "used": None, "lossless": True, "longest": None}
    assert [type(table.rows[0][key]) for key in ("size", "zh", "lossless")] == [int, float, bool]
    series = Series("s", np.array([1.0, 2.0]), np.array([np.nan, 2.0]))  # type: ignore[arg-type]
    assert series.ys == (None, 2.0)


def test_the_best_of_a_column_is_its_end_unless_all_are_equal_or_there_is_one() -> None:
    assert TABLE.best(COLUMNS[2]) == 0.6559
    assert TABLE.best(COLUMNS[3]) is None  # only one was measured
    assert TABLE.best(COLUMNS[1]) is None  # neither end is better
    same = Table("t", "T", COLUMNS, ({"zh": 1.0}, {"zh": 1.0}))
    assert same.best(COLUMNS[2]) is None
    higher = Column("x", "X", kind="number", better="higher")
    assert Table("t", "T", (higher,), ({"x": 1.0}, {"x": 2.0})).best(higher) == 2.0


# ---- cells ----


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (b" a\r\n\tb", "␣a␍⏎⇥b"),
        (b"\xe4\xb8", "⟨E4 B8⟩"),
        (b"\xadx\xe4", "⟨AD⟩x⟨E4⟩"),
        (b"\xb8\xad\xe4\xb8\xad", "⟨B8 AD⟩中"),
        (b"\xed\xa0\x80", "⟨ED A0 80⟩"),  # a surrogate is no character
        ("\u00a0\u3000", "⍽⟨U+3000⟩"),
        ("\u202e\x00\ufeff\U0010ffff", "⟨U+202E⟩⟨U+0000⟩⟨U+FEFF⟩⟨U+10FFFF⟩"),
        ("\u0301a\u0301", "◌\u0301a\u0301"),
        ("␣⟨", "⟨U+2423⟩⟨U+27E8⟩"),  # the signs themselves are spelled out, so nothing can be read in two ways
    ],
)
def test_what_a_token_shows(token: bytes | str, expected: str) -> None:
    assert shown(token) == expected


@given(documents())
def test_what_is_shown_tells_two_tokens_apart(data: bytes) -> None:
    """It can be read back: signs, spelled out characters and bytes give the token again."""
    signs = {"␣": b" ", "⏎": b"\n", "␍": b"\r", "⇥": b"\t", "⍽": "\u00a0".encode()}
    back = b""
    for text, kind in visible(data):
        if kind == "partial":
            back += bytes.fromhex(text.strip("⟨⟩"))
        elif text.startswith("⟨U+"):
            back += chr(int(text[3:-1], 16)).encode()
        elif kind == "space":
            back += signs[text]
        else:
            back += text.replace("◌", "").encode()  # only ever set before a mark that would stand alone
    assert back == data


@given(st.text(st.sampled_from(sorted(set(CONTROLS + "ab 中\u202e\u2066\u0301\n\t")))))
def test_plain_text_controls_nothing(text: str) -> None:
    left = {unicodedata.category(character) for character in plain(text) if character not in "\n\t\u200d\u200c"}
    assert not left & {"Cc", "Cf", "Cs"}


def test_a_lone_surrogate_in_a_text_is_shown_and_written() -> None:
    report = Report(
        "R", (Section("S", "\ud800", (Pieces("p", "P", "a\udfff", (PieceRow("r", (PieceToken(b"a"),)),)),)),)
    )
    assert json.loads(json_text(report).encode())["sections"][0]["blocks"][0]["text"] == "a\udfff"
    assert "⟨U+D800⟩" in markdown(report)
    assert "⟨ED BF BF⟩" in markdown(report)
    assert "⟨U+D800⟩" in on_a_terminal(report)


def test_how_values_are_written() -> None:
    assert written(Column("k", "K", kind="integer"), 1234567) == "1,234,567"
    assert written(Column("k", "K", kind="number"), 0.6512) == "0.651"
    assert written(Column("k", "K", kind="number", digits=1), 1234.56) == "1,234.6"
    assert written(Column("k", "K", kind="percent", digits=2), 0.12345) == "12.35 %"
    assert written(Column("k", "K", kind="flag"), False) == "no"
    assert written(Column("k", "K", kind="number"), None) == "–"
    assert written(Column("k", "K", kind="token"), b"\n\xe4") == "⏎⟨E4⟩"


# ---- Markdown ----


def test_markdown_has_every_number_marks_the_best_and_escapes() -> None:
    text = markdown(REPORT)
    lines = text.splitlines()
    assert lines[0] == "# Title"
    row = "| **cl100k\\_base** | 100,277 | 1.104 | 31.0 % | yes | `␣⟨E4 B8⟩` |"
    assert row in lines
    assert "| qwen2\\|x | 151,646 | **0.656** | – | yes | `中国⏎` |" in lines
    assert lines[lines.index(row) - 1].count("---:") == 3
    assert "- Merges: 100,000 (all of them)" in lines
    assert "| bert **lossy** (decodes to 'a') | 2 | `a` `·` |" in lines
    assert "Chinese: ids ÷ characters" in lines
    assert f"- **sha256 of a**: {'0' * 64}" in lines
    assert "\n\n\n" not in text


def test_no_text_of_a_cell_breaks_a_table_or_becomes_markup() -> None:
    nasty = "a|b\nc<script>`x`*y*[z](w) &amp; \u202e\\"
    table = Table("t", "T", (Column("n", "N"), Column("k", "K", kind="token")), ({"n": nasty, "k": nasty.encode()},))
    text = markdown(Report("R", (Section("S", "", (table,)),)))
    row = text.splitlines()[-1]
    assert re.sub(r"\\.", "", row).count("|") == 3
    assert "<script" not in re.sub(r"`.*`", "", row)
    assert "\u202e" not in text


def test_backticks_in_a_token_have_a_longer_fence() -> None:
    table = Table("t", "T", (Column("k", "K", kind="token"),), ({"k": b"``x`"},))
    assert "| ``` ``x` ``` |" in markdown(Report("R", (Section("S", "", (table,)),)))


def test_a_figure_that_no_table_holds_is_written_out_thinned() -> None:
    table = figure_table(CURVE)
    assert len(table.rows) <= 42
    assert table.rows[0]["x"] == 1000
    assert table.rows[-3]["x"] == 100_000  # the last of the long series
    assert {row["series"] for row in table.rows} == {"中文", "cost"}
    assert "102 points" in table.notes[0]


@given(st.integers(0, 500), st.integers(2, 60))
def test_thinning_keeps_both_ends_and_is_even(count: int, limit: int) -> None:
    kept = thinned(count, limit)
    assert len(kept) <= max(limit, 0) or len(kept) == count
    assert not count or (kept[0] == 0 and kept[-1] == count - 1)
    steps = {b - a for a, b in pairwise(kept)}
    assert not steps or max(steps) - min(steps) <= 1


def test_a_tree_is_drawn_with_branches_and_may_be_deep() -> None:
    assert list(tree_lines(TREE.root)) == [
        "abc  (id 300, rank 9)",
        "├─ ab  (id 299, rank 8)",
        "│  ├─ a  (id 1)",
        "│  └─ b  (id 2)",
        "└─ c  (id 3)",
    ]
    node = TreeNode(b"a", 0)
    for rank in range(5000):
        node = TreeNode(b"a", rank, rank, "", (node, TreeNode(b"a", 0)))
    assert sum(1 for _ in tree_lines(node)) == 10001
    assert json_text(Report("R", (Section("S", "", (Tree("t", "T", node),)),))).count('"bytes"') == 10001


# ---- CSV and JSON ----


def test_csv_holds_the_main_table_unrounded(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(REPORT))))
    assert [row["zh"] for row in rows] == ["1.1041", "0.6559", "1.4472"]
    assert rows[1]["used"] == ""
    assert rows[2]["lossless"] == "false"
    assert rows[0]["longest"] == "␣⟨E4 B8⟩"
    other = Table("other", "O", (Column("k", "K"),), ({"k": "v"},))
    both = Report("R", (Section("S", "", (TABLE, other)),), main_table="other")
    assert csv_text(both) == "k\r\nv\r\n"
    assert csv_text(both, "main") == csv_text(REPORT)
    assert write(both, tmp_path / "both.csv") == ("Tokens per character",)
    assert write(both, tmp_path / "both.json") == ()
    with pytest.raises(OutputError, match="no table"):
        write(Report("R", ()), tmp_path / "none.csv")
    with pytest.raises(ValueError, match="its tables: none"):
        csv_text(Report("R", ()))


def test_no_text_becomes_a_formula_in_a_spreadsheet() -> None:
    table = Table("t", "T", (Column("n", "N"), Column("x", "X", kind="number")), ({"n": "=1+1", "x": -2.5},))
    assert csv_text(Report("R", (Section("S", "", (table,)),))).splitlines()[1] == "'=1+1,-2.5"


def test_json_has_everything_and_gives_tokens_back() -> None:
    value = json.loads(json_text(REPORT))
    assert value == as_dict(REPORT)
    main, bars, curve, facts = value["sections"][0]["blocks"]
    assert [row["zh"] for row in main["rows"]] == [1.1041, 0.6559, 1.4472]
    assert main["rows"][0]["longest"] == {"text": None, "bytes": "20e4b8"}
    assert main["rows"][1]["longest"]["text"] == "中国\n"
    assert main["rows"][2]["used"] is None
    assert bars["series"][0]["ys"] == [1.5, None]
    assert len(curve["series"][0]["xs"]) == 100
    assert facts["facts"][0]["value"] == 100000
    probe, tree = value["sections"][1]["blocks"]
    assert b"".join(bytes.fromhex(token["bytes"]) for token in probe["rows"][0]["tokens"]) == "a  中\n".encode()
    nodes = tree["nodes"]
    assert [node["text"] for node in nodes] == ["abc", "ab", "c", "a", "b"]
    assert [node["children"] for node in nodes] == [[1, 2], [3, 4], [], [], []]
    assert nodes[0] == {"id": 300, "rank": 9, "note": "", "text": "abc", "bytes": "616263", "children": [1, 2]}
    assert value["method"] == dict(REPORT.method)


def test_json_says_infinity_in_a_way_that_json_knows() -> None:
    table = Table("t", "T", (Column("x", "X", kind="number"),), ({"x": math.inf},))
    assert json.loads(json_text(Report("R", (Section("S", "", (table,)),))))["sections"][0]["blocks"][0]["rows"] == [
        {"x": "inf"}
    ]


@given(documents())
def test_a_token_is_valid_where_python_decodes_it(data: bytes) -> None:
    assert is_valid(data) == (data.decode("utf-8", "ignore").encode() == data)


# ---- the terminal ----


def test_the_terminal_leaves_out_what_is_minor_unless_asked() -> None:
    brief, full = on_a_terminal(REPORT), on_a_terminal(REPORT, everything=True)
    assert "Longest" not in brief
    assert "One sentence" not in brief
    assert "Command" not in brief
    for text in ("Longest", "One sentence", "bbpe compare a b", "└─ c  (id 3)", "lossy", "␣␣⟨E4⟩|⟨B8 AD⟩⏎"):
        assert text in full
    for text in ("cl100k_base", "100,277", "1.104", "31.0 %", "The answer.", "a ████", " 1.500", "b  –"):
        assert text in brief
    assert "\x1b" not in full


def test_colours_only_where_asked_and_the_best_stands_out() -> None:
    coloured = on_a_terminal(REPORT, color=True, everything=True)
    assert re.search(r"\x1b\[1;32m0\.656\x1b", coloured)
    assert re.search(r"\x1b\[[0-9;]*4[0-9;]*m", coloured)  # grounds of the pieces


def test_no_text_reaches_the_terminal_raw() -> None:
    nasty = "\x1b[31mred\x07\u202e[bold]x[/bold]"
    table = Table("t", nasty, (Column("n", nasty),), ({"n": nasty},), notes=(nasty,))
    pieces = Pieces("p", nasty, nasty, (PieceRow(nasty, (PieceToken(nasty.encode()),), False, nasty),))
    bars = Figure("b", nasty, "bars", "x", "y", (Series(nasty, (nasty,), (1.0,)),))
    report = Report(nasty, (Section(nasty, nasty, (table, pieces, bars)),), {nasty: nasty}, nasty)
    text = on_a_terminal(report, everything=True)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]x[/bold]" in text  # no markup either


def test_rows_past_the_limit_are_counted_not_shown() -> None:
    table = Table("t", "T", (Column("n", "N", kind="integer"),), tuple({"n": n} for n in range(1000, 1030)), limit=3)
    report = Report("R", (Section("S", "", (table,)),))
    assert "3 of 30 rows" in on_a_terminal(report)
    assert "1,029" not in on_a_terminal(report)
    assert "1,029" in on_a_terminal(report, everything=True)
    assert "3 of 30 rows." in markdown(report)
    assert "1029" in csv_text(report)


# ---- files ----


def test_the_suffix_chooses_the_form(tmp_path: Path) -> None:
    for suffix in (".md", ".csv", ".json", ".JSON"):
        write(REPORT, tmp_path / f"r{suffix}")
    assert (tmp_path / "r.md").read_text("utf-8") == markdown(REPORT)
    assert (tmp_path / "r.json").read_text("utf-8") == json_text(REPORT) == (tmp_path / "r.JSON").read_text("utf-8")
    data = (tmp_path / "r.csv").read_bytes()
    assert data == b"\xef\xbb\xbf" + csv_text(REPORT).encode()  # a spreadsheet needs the mark to read Chinese


def test_another_suffix_and_an_existing_file_are_refused(tmp_path: Path) -> None:
    for name in ("report.pdf", "report", ".html"):
        with pytest.raises(OutputError, match=r"ends in \.html, \.md, \.csv or \.json"):
            write(REPORT, tmp_path / name)
        with pytest.raises(OutputError):
            check_suffix(name)
    path = tmp_path / "r.md"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write(REPORT, path)
    assert path.read_text() == "mine"
    write(REPORT, path, force=True)
    assert path.read_text("utf-8") == markdown(REPORT)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.md"]


def test_neighbouring_pieces_differ_in_terminals_of_few_and_of_many_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = tuple(PieceToken(b"ab") for _ in range(13))
    pieces = Pieces("p", "P", "ab" * 13, (PieceRow("r", tokens),))
    for term, setting in (("xterm", "30;4[0-9]"), ("xterm-256color", "30;48;5;[0-9]+")):
        monkeypatch.setenv("TERM", term)
        monkeypatch.delenv("COLORTERM", raising=False)
        monkeypatch.delenv("NO_COLOR", raising=False)
        out = io.StringIO()
        terminal.show_pieces(pieces, file=out, color=True)
        grounds = re.findall(rf"\x1b\[({setting})mab\x1b", out.getvalue())
        assert len(grounds) == 13
        assert all(a != b for a, b in pairwise(grounds))


def test_lines_of_pieces_end_between_two_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    tokens = tuple(PieceToken("中".encode()[:2]) for _ in range(40))
    row = PieceRow("a long name of a vocabulary, longer than its column may be", tokens, False, "note " * 30)
    text = on_a_terminal(Report("R", (Section("S", "", (Pieces("p", "P", "x", (row,)),)),)), color=True)
    plain_lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert all(cell_len(line.rstrip()) <= 60 for line in plain_lines)
    assert sum(line.count("⟨E4 B8⟩") for line in plain_lines) == 40


@pytest.mark.parametrize("width", [30, 45, 60, 80, 100, 200])
def test_a_narrow_terminal_never_cuts_a_number(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a number is another number: what does not fit stands below."""
    monkeypatch.setenv("COLUMNS", str(width))
    columns = (Column("name", "Vocabulary"), *(Column(f"c{n}", f"Measure {n}", unit="tokens per character", kind="integer") for n in range(9)))  # fmt: skip
    rows = tuple(
        {"name": f"vocabulary {row}", **{f"c{n}": 1_234_567 + 10 * row + n for n in range(9)}} for row in range(3)
    )
    text = on_a_terminal(Report("R", (Section("S", "", (Table("t", "T", columns, rows),)),)), color=True)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for row in rows:
        assert all(f"{row[f'c{n}']:,}" in text for n in range(9))
    assert re.findall(r"[\d,]{2,}", text.split("───")[-1]) == re.findall(r"1,234,\d\d\d", text.split("───")[-1])


def test_the_numbers_of_two_axes_have_columns_of_their_own() -> None:
    table = figure_table(CURVE)
    assert [column.key for column in table.columns] == ["series", "x", "left", "right"]
    assert [column.decimals for column in table.columns[1:]] == [0, 4, 0]
    assert table.rows[-1] == {"series": "cost", "x": 2000, "left": None, "right": 2e6}
