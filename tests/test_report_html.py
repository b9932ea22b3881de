"""The HTML page: in a parser, which shows that no text becomes markup, and in a real browser, where it sorts, draws,
runs the live box with bbpe's ids, says nothing on its console, and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from test_report_javascript import mixtures, published, trained

from bbpe import Tokenizer, Vocabulary
from bbpe.errors import MissingExtraError
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
    write,
)
from bbpe.report.cells import shown
from bbpe.report.figures import drawing
from bbpe.report.html import html
from bbpe.report.livebox import live_box

HOSTILE = (
    "</script><script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"
    "<!--{{7*7}}{% raw %}&lt;\u202e\u2066\x00\x1b]0;x\x07\uffff]]></style></textarea>\n${window.hacked=1}$x^2$"
)
SAMPLE = "Hello,  World 123.5\n你好，世界 naïve 😀\u202e"


def tokenizers() -> dict[str, Tokenizer]:
    """Small vocabularies of both kinds, one with a hostile name, one that lacks bytes."""
    merges = trained()
    without = {id: token for id, token in merges.vocabulary.tokens.items() if b"Q" not in token}
    return {
        "merges": merges,
        HOSTILE: Tokenizer(merges.vocabulary.replace(merges=None)),
        "NFC": trained("qwen2", normalizer="NFC"),
        "without Q": Tokenizer(Vocabulary(without, pattern=merges.pattern)),
    }


def example() -> Report:
    """A report with every kind of block, and hostile text in every place that text can come to."""
    names = ("b", HOSTILE, "中文词表", "a", "missing")
    table = Table(
        "main",
        HOSTILE,
        (
            Column("name", HOSTILE),
            Column("size", "Size", kind="integer"),
            Column("zh", "Chinese", unit=HOSTILE, kind="number", better="lower", note=HOSTILE),
            Column("lossless", "Lossless", kind="flag"),
            Column("token", "Token", kind="token"),
        ),
        tuple(
            {"name": name, "size": size, "zh": zh, "lossless": zh != 1.5, "token": HOSTILE.encode()}
            for name, size, zh in zip(names, (900, 10_000, 80, 7, None), (0.5, 1.5, 0.25, 10.0, None), strict=True)
        ),
        notes=(HOSTILE,),
        emphasized=(0,),
    )
    many = Table(
        "many", "Many", (Column("n", "N", kind="integer"),), tuple({"n": n} for n in range(3000)), limit=10
    )  # fmt: skip
    bars = Figure("bars", HOSTILE, "bars", HOSTILE, HOSTILE, (Series(HOSTILE, names, (1.0, 2.0, 0.5, 3.0, None)), Series("英文", names, (0.2, 0.3, 0.25, 0.1, 0.4))), reference=1.0, caption=HOSTILE, table="main")  # fmt: skip
    scatter = Figure("scatter", "Scatter", "scatter", "x", "y", (Series("s", (1, 2, 3, 4, 5), (5, 1, 4, 2, None), names, (1, 2, 3, 4, 5)),), size_title="entries", diagonal=True)  # fmt: skip
    curve = Figure("curve", "Curve", "lines", "entries", "tokens", (Series("中文", (8000, 16000, 32000), (0.9, None, 0.7)), Series("cost", (8000, 16000, 32000), (1e6, 2e6, 4e6), axis="right")), x_scale="log", second_axis="parameters")  # fmt: skip
    lengths = Figure("lengths", "Lengths", "histogram", "bytes", "tokens", (Series("s", (1, 2, 3, 4), (5, 1, 0)),), y_scale="log")  # fmt: skip
    pieces = Pieces("probe", HOSTILE, HOSTILE, (PieceRow(HOSTILE, (PieceToken(HOSTILE.encode(), 1, note=HOSTILE), PieceToken(b" \xe4\xb8", 2), PieceToken(b"", 3, "unknown")), False, HOSTILE),), (HOSTILE,))  # fmt: skip
    tree = Tree("tree", HOSTILE, TreeNode(HOSTILE.encode(), 9, 1, HOSTILE, (TreeNode(b"\xe4", 1), TreeNode(b"\xb8", 2))))  # fmt: skip
    facts = Facts("facts", HOSTILE, (Fact(HOSTILE, HOSTILE, note=HOSTILE, unit=HOSTILE), Fact("Size", 5, "integer")))
    box = live_box({**tokenizers(), f"engine {HOSTILE}": object()}, SAMPLE + HOSTILE)
    return Report(
        HOSTILE,
        (
            Section(HOSTILE, HOSTILE, (table, bars, scatter, curve, lengths)),
            Section("Rest", "", (many, pieces, tree, facts)),
        ),
        {HOSTILE: HOSTILE},
        HOSTILE,
        live_box=box,
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return example()


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write(report, path)
    return path


# ---- what a parser sees ----


class Elements(HTMLParser):
    """All elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.comments: list[str] = []
        self.text = ""
        self._in: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self._in.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._in and self._in[-1] == "script":
            self.scripts[-1] += data
        elif not self._in or self._in[-1] != "style":
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        while self._in and self._in.pop() != tag:
            pass

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@pytest.fixture(scope="module")
def elements(page: Path) -> Elements:
    return Elements(page.read_text("utf-8"))


def test_no_text_becomes_an_element_or_an_attribute(elements: Elements) -> None:
    tags = [tag for tag, _ in elements.found]
    assert not {"img", "iframe", "link", "object", "base", "form", "embed", "image"} & set(tags)
    assert tags.count("script") == 3  # tables, the box's data, the box
    assert tags.count("style") == 1
    assert tags.count("textarea") == 1
    for tag, attributes in elements.found:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href"):
                assert value is not None
                assert value.startswith("#"), (tag, name, value)
    assert elements.comments == []
    assert "{{7*7}}" in elements.text  # shown as it is, and no template of anybody's


def test_nothing_that_controls_or_turns_text_is_in_the_page(page: Path) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.read_text("utf-8"))


def test_identifiers_are_unique_and_what_is_linked_is_there(elements: Elements) -> None:
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    linked = {str(attributes["href"])[1:] for tag, attributes in elements.found if tag == "a"}
    assert linked <= set(ids)
    used = {str(a["xlink:href"])[1:] for _, a in elements.found if "xlink:href" in a}
    assert used <= set(ids)


def test_the_policy_names_exactly_the_scripts_of_the_page(elements: Elements) -> None:
    policy = next(str(a["content"]) for tag, a in elements.found if tag == "meta" and "http-equiv" in a)
    run = [
        text
        for text, (_, a) in zip(elements.scripts, [e for e in elements.found if e[0] == "script"], strict=True)
        if a.get("type") != "application/json"
    ]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run}
    assert len(run) == 2
    assert set(re.findall(r"sha256-([^']+)", policy)) == hashes
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy


def test_the_same_report_is_the_same_page(report: Report, page: Path) -> None:
    assert html(report) == page.read_text("utf-8")


def test_everything_is_said(elements: Elements) -> None:
    words = " ".join(elements.text.split())
    for text in (
        "0.250",
        "10,000",
        "lossy",
        "⟨E4 B8⟩",
        "id 9 · rank 1",
        "another library runs it",
        "How to repeat this",
    ):
        assert text in words
    assert re.search(r"4 vocabularies are embedded, \d+ KB of this file", words)
    assert "2,000 of 3,000 rows are in this page" in words


def test_without_a_box_there_is_none_and_the_page_is_small(report: Report) -> None:
    text = html(Report(report.title, report.sections))
    tags = [tag for tag, _ in Elements(text).found]
    assert "textarea" not in tags
    assert tags.count("script") == 1
    empty = html(Report("R", (), live_box=live_box({"x": object()})))
    assert len(empty) < 30_000


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named_with_its_extra(
    report: Report, library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bbpe.report import html as module

    module._environment.cache_clear()
    for name in list(sys.modules):
        if name.split(".")[0] == library:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{library}.*bbpe\[compare\]"):
        write(report, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []
    module._environment.cache_clear()


# ---- figures ----


def test_the_text_of_a_figure_is_text_and_its_colours_are_the_pages() -> None:
    names = ("中文词表", "b")
    svg = drawing(
        Figure("f", "题", "bars", "x", "每字词数", (Series("中文", names, (1.0, 2.0)), Series("en", names, (2.0, 1.0))))
    )
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"中文词表", "b", "每字词数", "中文", "en"} <= set(texts)
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    assert "<title>中文词表, 中文: 1</title>" in svg
    assert {"var(--series-1)", "var(--series-2)", "var(--ink)", "var(--line)"} <= set(re.findall(r"var\([^)]*\)", svg))
    assert not re.search(r"#0[1-5]0\d0\d", svg)
    assert re.findall(r'https?://[^"]*', svg) == ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"]


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("kind", ["bars", "scatter", "lines", "histogram"])
@pytest.mark.parametrize(
    "ys", [(), (None,), (0.0,), (5.0,), (0.0, 0.0, 0.0), (1.0, None, 3.0), (1e-9, 1e12, 4.0), (-1.0, 2.0, 0.5), (math.inf, 1.0, 2.0)]
)  # fmt: skip
def test_any_numbers_can_be_drawn(kind: Any, scale: Any, ys: tuple[float | None, ...]) -> None:
    """Nothing measured, one value, all equal, none positive on a log axis: a drawing all the same, and no warning."""
    xs = tuple("abc"[: len(ys)]) if kind == "bars" else tuple(range(1, len(ys) + 1))
    series = Series("s", xs, ys, labels=tuple("xyz"[: len(ys)]))
    assert drawing(Figure("f", "F", kind, "x", "y", (series,), y_scale=scale)).startswith("<svg ")


def test_large_figures_are_quick_and_small() -> None:
    """A rank–frequency curve of a whole vocabulary, and a cloud: thinned by what can be seen."""
    xs = tuple(range(1, 50_001))
    series = Series("s", xs, tuple(1e6 / x for x in xs))
    for kind in ("lines", "scatter"):
        few = series if kind == "lines" else Series("s", xs[:2000], series.ys[:2000], tuple(map(str, xs[:2000])))
        svg = drawing(Figure("f", "F", kind, "rank", "uses", (few,), x_scale="log", y_scale="log"))  # type: ignore[arg-type]
        assert len(svg) < 400_000
        assert svg.count("<title>") == 0


def test_names_of_points_do_not_hide_one_another() -> None:
    """Thirty points in a heap: the names that are drawn overlap nowhere by more than a little."""
    names = tuple(f"vocabulary-{number}" for number in range(30))
    xs = tuple(0.2 + 0.01 * (number % 6) for number in range(30))
    ys = tuple(0.6 + 0.02 * (number // 6) for number in range(30))
    svg = drawing(Figure("f", "F", "scatter", "x", "y", (Series("s", (*xs, 1.0), (*ys, 2.0), (*names, "far")),)))
    boxes = []
    for style, x, y, name in re.findall(r'<text style="([^"]*)" x="([\d.]+)" y="([\d.]+)"[^>]*>(vocab[^<]*)', svg):
        width = 0.56 * 10.5 * len(name)
        left = float(x) - (width if "end" in style else width / 2 if "middle" in style else 0)
        boxes.append((left, float(y) - 8, left + width, float(y)))
    assert len(boxes) >= 12
    for number, a in enumerate(boxes):
        for b in boxes[:number]:
            across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
            down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            assert across * down <= 0.15 * 8 * 0.56 * 10.5 * len("vocabulary-0")


# ---- a real browser ----


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, which logs its console and its network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install 'bbpe[test]'")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1200,900",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        running.set_page_load_timeout(120)
        running.set_script_timeout(120)
        running.get("about:blank")  # and not the browser's own page for new tabs, which loads its scripts
        yield running
    finally:
        running.quit()


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    """The page, freshly loaded, in its ordinary size and colours."""
    for domain in ("browser", "performance"):
        browser.get_log(domain)
    _emulate(browser)
    browser.get(page.as_uri())
    return browser


def _emulate(browser: Any, width: int = 1200, scheme: str = "light", media: str = "") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    )  # fmt: skip


def _wait(browser: Any, script: str, what: str) -> Any:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        found = browser.execute_script(script)
        if found:
            return found
        time.sleep(0.05)
    status = browser.execute_script("return document.querySelector('#live-box .status')?.textContent")
    pytest.fail(f"{what} did not come; status {status!r}, console {browser.get_log('browser')}")


def _open_box(browser: Any) -> None:
    browser.execute_script("document.getElementById('live-box').scrollIntoView()")
    _wait(browser, "return document.getElementById('live-box').dataset.ready", "the live box")


def _set_text(browser: Any, text: str) -> None:
    browser.execute_script(
        "const area = document.querySelector('#live-box textarea'); area.value = arguments[0];"
        "delete document.getElementById('live-box').dataset.text; area.dispatchEvent(new Event('input'));",
        text,
    )
    _wait(browser, "return document.getElementById('live-box').dataset.text !== undefined", "the box's answer")


def _cut(browser: Any, text: str) -> list[dict[str, Any]]:
    """What the box makes of a text, one entry a vocabulary."""
    _set_text(browser, text)
    found: list[dict[str, Any]] = browser.execute_script(
        "return Array.from(document.querySelectorAll('#live-box .row'), (row) => ({name: row.dataset.name,"
        "ids: JSON.stringify(row.ids ?? null), missing: row.querySelector('.missing')?.textContent ?? null,"
        "tokens: Array.from(row.querySelectorAll('.token'), (token) => token.textContent).join('\\0')}))"
    )
    for answer in found:  # many numbers come much faster as one text
        answer["ids"] = json.loads(answer["ids"])
    return found


@contextmanager
def _silent(browser: Any) -> Iterator[None]:
    """Nothing on the console, no request but for the page itself, and no script of the text's."""
    yield
    assert browser.execute_script("return window.hacked === undefined")
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("file:")] == []
    assert len(asked) == 1, asked


def _column(browser: Any, place: int, table: str = "main") -> list[str]:
    found: list[str] = browser.execute_script(
        "const rows = document.getElementById(arguments[1]).nextElementSibling.querySelectorAll('tbody tr');"
        "return Array.from(rows).filter((row) => !row.hidden).map((row) => row.cells[arguments[0]].textContent.trim())",
        place,
        table,
    )
    return found


def _heading(browser: Any, place: int) -> Any:
    return browser.execute_script(
        "return document.getElementById('main').nextElementSibling.querySelectorAll('thead th')[arguments[0]]", place
    )


def test_tables_sort_by_a_click_and_by_the_keyboard(opened: Any) -> None:
    with _silent(opened):
        size = _heading(opened, 1)
        button = size.find_element("tag name", "button")
        assert size.get_attribute("aria-sort") is None
        button.click()
        assert size.get_attribute("aria-sort") == "descending"  # of sizes the largest is wanted first
        assert _column(opened, 1) == ["10,000", "900", "80", "7", "–"]
        button.click()
        assert size.get_attribute("aria-sort") == "ascending"
        assert _column(opened, 1) == ["7", "80", "900", "10,000", "–"]  # nothing measured stays last
        lower = _heading(opened, 2)
        lower.find_element("tag name", "button").send_keys("\ue007")  # Enter
        assert lower.get_attribute("aria-sort") == "ascending"  # fewer is better here
        assert size.get_attribute("aria-sort") is None
        assert _column(opened, 2) == ["0.250", "0.500", "1.500", "10.000", "–"]
        _heading(opened, 0).find_element("tag name", "button").click()
        assert _column(opened, 0)[-3:] == ["b", "missing", "中文词表"]
        _heading(opened, 3).find_element("tag name", "button").click()
        assert _column(opened, 3) == ["no", "yes", "yes", "yes", "yes"]
        assert _column(opened, 0)[1:3] == ["b", "中文词表"]  # equal rows keep the report's order


def test_long_tables_show_all_on_request(opened: Any) -> None:
    with _silent(opened):
        assert len(_column(opened, 0, "many")) == 10
        more = opened.find_element("css selector", "button.more")
        more.click()
        assert len(_column(opened, 0, "many")) == 2000
        assert more.get_attribute("aria-expanded") == "true"
        more.click()
        assert _column(opened, 0, "many") == [str(n) for n in range(10)]


def test_figures_are_drawn_in_the_colours_of_the_reader(opened: Any) -> None:
    with _silent(opened):
        boxes = "return Array.from(document.querySelectorAll('.drawing svg'), (svg) => [svg.getBoundingClientRect().width, svg.getBoundingClientRect().height])"
        assert len(opened.execute_script(boxes)) == 4
        assert all(width > 500 and height > 200 for width, height in opened.execute_script(boxes))
        bars = opened.execute_script(
            "return [0, 1, 2, 3].map((n) => document.getElementById(`bars--mark-0-${n}`).getBoundingClientRect().width)"
        )
        assert [round(bar / bars[0], 1) for bar in bars] == [1.0, 2.0, 0.5, 3.0]
        title = opened.execute_script("return document.querySelector('#bars--mark-0-2 title').textContent")
        assert title.startswith("中文词表, ")
        fill = "return getComputedStyle(document.querySelector('#bars--mark-0-0 path')).fill"
        ground = "return getComputedStyle(document.body).backgroundColor"
        light = opened.execute_script(fill), opened.execute_script(ground)
        _emulate(opened, scheme="dark")
        dark = opened.execute_script(fill), opened.execute_script(ground)
        assert light[1] == "rgb(255, 255, 255)"
        assert light[0] != dark[0]
        assert sum(map(int, re.findall(r"\d+", dark[1]))) < 150


def test_text_keeps_inside_figures_and_the_page_inside_a_phone(opened: Any) -> None:
    with _silent(opened):
        outside = opened.execute_script(
            """return Array.from(document.querySelectorAll('.drawing svg')).flatMap((svg) => {
              const frame = svg.getBoundingClientRect();
              return Array.from(svg.querySelectorAll('text')).filter((text) => {
                const box = text.getBoundingClientRect();
                return text.textContent.length < 40 && (box.left < frame.left - 1 || box.right > frame.right + 1
                  || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
              }).map((text) => text.textContent);
            })"""
        )
        assert outside == []
        for width in (360, 820):
            _emulate(opened, width=width)
            assert opened.execute_script("return document.documentElement.scrollWidth") <= width


def test_on_paper_it_is_light_and_without_what_paper_cannot_do(opened: Any) -> None:
    with _silent(opened):
        _emulate(opened, scheme="dark", media="print")
        assert opened.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert opened.execute_script("return document.getElementById('live').offsetHeight") == 0
        printed = opened.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
        assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def test_the_live_box_gives_bbpes_ids(opened: Any) -> None:
    with _silent(opened):
        _open_box(opened)
        assert opened.execute_script("return document.getElementById('live-box').dataset.check") == "equal"
        found = tokenizers()
        for text in [SAMPLE + HOSTILE, "Q", "", "e\u0301 Å \u1100\u1161", "a" * 3000, *mixtures(5, 25)]:
            text = text.replace("\r\n", "\n").replace("\r", "\n")  # as any text box does
            for answer, (name, tokenizer) in zip(_cut(opened, text), found.items(), strict=True):
                assert answer["name"] == name
                if "Q" in text and name == "without Q":
                    assert answer["missing"] == "cannot encode this: this vocabulary has no token for byte 0x51"
                    continue
                assert answer["ids"] == tokenizer.encode(text)
                assert answer["tokens"].split("\0") == (
                    [shown(token) for token in tokenizer.tokens(text)[:3000]] or [""]
                )


def test_the_box_shows_ids_on_request_and_bounds_what_it_draws(opened: Any) -> None:
    with _silent(opened):
        _open_box(opened)
        opened.find_element("css selector", "#live-box input.ids").click()
        _cut(opened, "ab")
        ids = opened.execute_script(
            "return Array.from(document.querySelectorAll('#live-box .row:first-child .id'), (e) => Number(e.textContent))"
        )
        assert ids == tokenizers()["merges"].encode("ab")
        opened.find_element("css selector", "#live-box input.ids").click()
        _set_text(opened, "\u4e00\x01" * 60_000)
        drawn = opened.execute_script(
            "const row = document.querySelector('#live-box .row'); return [row.ids.length, row.querySelectorAll('.token').length]"
        )
        assert drawn == [tokenizers()["merges"].count("\u4e00\x01" * 50_000), 3000]
        status = opened.execute_script("return document.querySelector('#live-box .status').textContent")
        assert status.startswith("100,000 characters. The rest of the text is not cut: 100,000 are the most.")


def test_what_differs_from_bbpe_is_said(browser: Any, tmp_path: Path) -> None:
    """The page compares its ids of the sample text with those that bbpe wrote into it."""
    from dataclasses import replace

    box = live_box({"a": trained(), "b": trained()}, "hello")
    wrong = replace(box, vocabularies=(box.vocabularies[0], replace(box.vocabularies[1], expected=(1, 2))))
    write(Report("R", (), live_box=wrong), tmp_path / "r.html")
    browser.get((tmp_path / "r.html").as_uri())
    _open_box(browser)
    status = browser.execute_script("return document.querySelector('#live-box .status').textContent")
    assert "This browser's ids for the sample text differ from bbpe's for b: do not rely on them." in status


def test_published_vocabularies_in_the_box(
    browser: Any, tmp_path: Path, bbpe_home: Path, read_corpus: Callable[..., bytes]
) -> None:
    """cl100k, llama3, o200k and qwen in one page: Chinese and English web text, and hard mixtures."""
    found = published()
    write(Report("R", (), live_box=live_box(found, SAMPLE)), tmp_path / "r.html")
    for domain in ("browser", "performance"):
        browser.get_log(domain)
    browser.get((tmp_path / "r.html").as_uri())
    with _silent(browser):
        _open_box(browser)
        assert browser.execute_script("return document.getElementById('live-box').dataset.check") == "equal"
        texts = [read_corpus(name, 8_000).decode() for name in ("zh-web.txt", "en-web.txt", "mixed-zh-en.txt")]
        for text in [*texts, "".join(mixtures(6, 200))]:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            answers = _cut(browser, text)
            assert [answer["ids"] for answer in answers] == [tokenizer.encode(text) for tokenizer in found.values()]
