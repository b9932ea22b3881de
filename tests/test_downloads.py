"""Downloads from a server on this machine that truncates, lies, redirects, stalls and sends other bytes: what stands
under a file's name is whole and right, or not there, or the old file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import web
from web import Behaviour, Web

from bbpe import catalogue, downloads, io
from bbpe.corpus import Progress
from bbpe.downloads import Patience, get
from bbpe.errors import BbpeError, DownloadError, FormatError, OutputError
from bbpe.formats import tokenizer_json, vocab_merges
from bbpe.holdings import holding
from bbpe.patterns import get_pattern
from bbpe.vocabulary import SpecialToken, Vocabulary

TABLE = b"".join(b"%s %d\n" % (base64.b64encode(bytes([byte])), byte) for byte in range(256)) + b"dGg= 256\ndGhl 257\n"
SHA256 = hashlib.sha256(TABLE).hexdigest()
OTHER = TABLE + b"dGhlIA== 258\n"
QUICK = Patience(seconds=0.4, attempts=3, pause=0.0, redirects=5)
NAME = "toy"


@pytest.fixture
def site() -> Iterator[Web]:
    with web.serving() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloads, "_BLOCK", 100)
    return tmp_path


@pytest.fixture
def entry(site: Web, home: Path, monkeypatch: pytest.MonkeyPatch) -> catalogue.Entry:
    """The only entry of the catalogue: one file, with its sha256 and size, at ``/file``."""
    file = catalogue.PublishedFile("toy.tiktoken", SHA256, len(TABLE), url=f"{site.address}/file")
    toy = catalogue.Entry(
        name=NAME,
        aliases=("plaything",),
        family="Toys",
        algorithm="byte-level bpe",
        format="tiktoken",
        files=(file,),
        pattern=get_pattern("gpt2"),
        special_tokens=(SpecialToken("<end>", 300),),
        normalizer=None,
        lowercase=None,
        template=catalogue.Template(),
        licence="none",
        gated=False,
        note="",
        folder=NAME,
    )
    use(monkeypatch, toy)
    return toy


def use(monkeypatch: pytest.MonkeyPatch, *changed: catalogue.Entry) -> None:
    monkeypatch.setattr(catalogue, "entries", lambda: {entry.name: entry for entry in changed})


def with_file(entry: catalogue.Entry, **changes: object) -> catalogue.Entry:
    return replace(entry, files=(replace(entry.files[0], **changes),))


def target(home: Path) -> Path:
    return home / "vocabs" / NAME / "toy.tiktoken"


def left_in_downloads(home: Path) -> list[str]:
    """What is there besides the files that hold locks."""
    return sorted(path.name for path in (home / "downloads").iterdir() if path.suffix != ".busy")


def assert_nothing_came(home: Path) -> None:
    assert not target(home).exists()
    assert not (home / catalogue.LOCK).exists()


# --- when all is well ---


def test_a_file_is_downloaded_verified_and_loads(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    with pytest.raises(FormatError, match="'bbpe vocab get toy' downloads it"):
        io.load("plaything")
    seen: list[Progress] = []
    got = get("plaything", progress=seen.append, patience=QUICK)
    assert got.fetched == (downloads.Fetched(target(home), SHA256, len(TABLE), "catalogue"),)
    assert target(home).read_bytes() == TABLE
    assert left_in_downloads(home) == []
    assert seen[0] == Progress("downloading toy.tiktoken", 0, len(TABLE), "bytes")
    assert seen[-1] == Progress("downloading toy.tiktoken", len(TABLE), len(TABLE), "bytes")
    loaded = io.load(NAME)
    assert loaded.vocabulary.special_tokens == entry.special_tokens
    assert loaded.vocabulary.name == NAME
    assert holding(entry).state == "publisher's"


def test_what_is_there_is_not_downloaded_again(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert get(NAME, patience=QUICK) == downloads.Got(entry, (), "publisher's")
    assert len(site.seen) == 1
    target(home).write_bytes(OTHER)  # of another size: another revision, as far as anybody knows
    with pytest.raises(FormatError, match=r"damaged or changed: .*catalogue\.lock has recorded"):
        get(NAME, patience=QUICK)
    assert get(NAME, force=True, patience=QUICK).fetched
    assert target(home).read_bytes() == TABLE


def test_a_copy_of_ones_own_is_left_alone_without_force(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    target(home).parent.mkdir(parents=True)
    target(home).with_name("mine.tiktoken").write_bytes(OTHER)
    assert get(NAME, patience=QUICK) == downloads.Got(entry, (), "other copy")
    assert site.seen == []
    assert len(io.load(NAME)) == 260
    get(NAME, force=True, patience=QUICK)
    assert sorted(path.name for path in target(home).parent.iterdir()) == ["mine.tiktoken", "toy.tiktoken"]
    assert len(io.load(NAME)) == 259  # the file that the name stands for wins


def test_names_that_are_none(entry: catalogue.Entry, home: Path) -> None:
    with pytest.raises(FormatError, match="'tyo' is no name of the catalogue"):
        get("tyo")
    with pytest.raises(FormatError, match=r"'playthings' is no name .*; did you mean toy\?"):
        get("playthings")


# --- servers as they are ---


@pytest.mark.parametrize(
    "behaviour",
    [
        web.chunked(TABLE),
        web.honest(TABLE, etag=None),
        web.honest(TABLE, etag='W/"weak"'),
        web.ignoring_ranges(TABLE),
    ],
)
def test_servers_that_say_little(entry: catalogue.Entry, site: Web, home: Path, behaviour: Behaviour) -> None:
    site.pages["/file"] = [behaviour]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE


def test_an_answer_that_is_compressed_on_the_way(entry: catalogue.Entry, site: Web, home: Path) -> None:
    import gzip

    packed = gzip.compress(TABLE)
    site.pages["/file"] = [lambda answer: answer.reply(200, packed, Content_Encoding="gzip")]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE


def test_redirects_are_followed(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.redirecting("/second", 301)]
    site.pages["/second"] = [web.redirecting(f"{site.address}/third", 307)]
    site.pages["/third"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (lambda: web.redirecting("/file"), "more than 5 redirects, one after another"),
        (
            lambda: web.redirecting("ftp://127.0.0.1/file"),
            "redirected to 'ftp://127.0.0.1/file', which is no web address",
        ),
        (lambda: web.redirecting("file:///etc/passwd"), "which is no web address"),
        (lambda: web.redirecting("http://example.com/file"), "redirected from https to 'http://example.com/file'"),
        (lambda: web.redirecting("http://[bad/"), "redirected to no web address"),
        (lambda: web.refusing(302), "the server answered HTTP 302"),
    ],
)
def test_redirects_that_are_not_followed(
    entry: catalogue.Entry, site: Web, home: Path, page: Callable[[], Behaviour], message: str
) -> None:
    site.pages["/file"] = [page()]
    with pytest.raises(DownloadError, match=message):
        get(NAME, patience=QUICK)
    assert_nothing_came(home)


@pytest.mark.parametrize(
    ("status", "message", "requests"),
    [
        (401, r"/file: refused \(HTTP 401\)$", 1),
        (403, r"/file: refused \(HTTP 403\)$", 1),
        (404, r"/file: not there any more \(HTTP 404\)", 1),
        (410, r"/file: not there any more \(HTTP 410\)", 1),
        (418, r"/file: the server answered HTTP 418", 1),
        (204, r"/file: the server answered HTTP 204", 1),
        (500, r"/file: the server answered HTTP 500, 3 times$", 3),
        (429, r"/file: the server answered HTTP 429, 3 times$", 3),
        (416, r"/file: the server answered HTTP 416, .*, 3 times$", 3),
    ],
)
def test_refusals(entry: catalogue.Entry, site: Web, home: Path, status: int, message: str, requests: int) -> None:
    site.pages["/file"] = [web.refusing(status)]
    with pytest.raises(DownloadError, match=message):
        get(NAME, patience=QUICK)
    assert len(site.seen) == requests
    assert_nothing_came(home)


def test_a_server_that_is_busy_for_a_while(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.refusing(503), web.hanging_up, web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE


def test_no_network(entry: catalogue.Entry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for url, message in (
        (
            "http://127.0.0.1:9/file",
            r"no connection to 127\.0\.0\.1 \(Connection refused\); a file that is put by hand",
        ),
        ("http://nowhere.invalid/file", r"no connection to nowhere\.invalid \("),
        ("http://[bad/file", "no web address"),
        ("bad", "bad: No scheme supplied"),
    ):
        use(monkeypatch, with_file(entry, url=url))
        with pytest.raises(DownloadError, match=message) as raised:
            get(NAME, patience=QUICK)
        assert "\n" not in str(raised.value)
    use(monkeypatch, with_file(entry, url=None))
    with pytest.raises(DownloadError, match="no address"):
        get(NAME, patience=QUICK)
    assert_nothing_came(home)


def test_a_proxy_that_is_not_there(entry: catalogue.Entry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    use(monkeypatch, with_file(entry, url="http://nowhere.invalid/file"))
    with pytest.raises(DownloadError, match=r"nowhere\.invalid: the proxy does not let it through"):
        get(NAME, patience=QUICK)


def test_a_certificate_that_nobody_vouches_for(
    entry: catalogue.Entry, site: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, with_file(entry, url=site.address.replace("http:", "https:") + "/file"))  # it speaks no TLS at all
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1: its certificate was not accepted"):
        get(NAME, patience=QUICK)


# --- what comes is broken ---


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (web.honest(b"X" + TABLE[1:]), rf"not the file that was expected: sha256 .*, but the catalogue says {SHA256}"),
        (
            web.honest(OTHER),
            r"the server announces 2,\d\d\d bytes, but the catalogue says 2,\d\d\d; nothing of it was kept",
        ),
        (web.honest(TABLE[:-9]), r"the server announces 2,\d\d\d bytes, but the catalogue says"),
        (web.honest(b""), r"the server announces 0 bytes, but the catalogue says"),
        (web.claiming(TABLE, len(TABLE) + 100), r"the server announces 2,\d\d\d bytes, but the catalogue says"),
        (web.claiming(TABLE, 100), "the server announces 100 bytes, but the catalogue says"),
        (web.chunked(OTHER), r"more than 2,\d\d\d bytes came; nothing was kept"),
        (web.chunked(TABLE[:-9]), r"it ended after 2,\d\d\d of 2,\d\d\d bytes, 3 times; 2,\d\d\d bytes are kept"),
        (
            web.chunked(TABLE[:-9], complete=False),
            r"the connection broke before the end, 3 times; 2,\d\d\d bytes are kept",
        ),
        (web.hanging_up, r"the connection to 127\.0\.0\.1 broke, 3 times$"),
    ],
)
def test_wrong_bytes_never_get_the_name(
    entry: catalogue.Entry, site: Web, home: Path, behaviour: Behaviour, message: str
) -> None:
    site.pages["/file"] = [behaviour]
    with pytest.raises(DownloadError, match=message):
        get(NAME, patience=QUICK)
    assert_nothing_came(home)
    site.pages["/file"] = [web.honest(TABLE)]  # and what was left does not stand in the way of the next try
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE


def test_an_old_file_stays_until_the_new_one_is_verified(entry: catalogue.Entry, site: Web, home: Path) -> None:
    target(home).parent.mkdir(parents=True)
    target(home).write_bytes(OTHER)
    for behaviour in (web.honest(b"X" + TABLE[1:]), web.breaking_off(TABLE, 100), web.refusing(404)):
        site.pages["/file"] = [behaviour]
        with pytest.raises(DownloadError):
            get(NAME, force=True, patience=QUICK)
        assert target(home).read_bytes() == OTHER
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, force=True, patience=QUICK)
    assert target(home).read_bytes() == TABLE


# --- going on where it ended ---


def test_a_truncated_download_goes_on_by_itself(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.breaking_off(TABLE, 1000), web.breaking_off(TABLE, 500), web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges() == [None, "bytes=1000-", "bytes=1500-"]
    assert [headers.get("If-Range") for _, _, headers in site.seen] == [None, '"one"', '"one"']


def test_a_download_that_stalls_goes_on(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.stalling(TABLE, 1000), web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges() == [None, "bytes=1000-"]
    site.pages["/file"] = [web.stalling(TABLE, 0)]
    with pytest.raises(DownloadError, match=r"nothing came for 0\.4 s, 2 times$"):
        get(NAME, force=True, patience=replace(QUICK, attempts=2))


def test_a_later_call_goes_on_where_the_last_one_ended(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.breaking_off(TABLE, 1000)]
    with pytest.raises(DownloadError, match="1,000 bytes are kept, and the next download goes on from there"):
        get(NAME, patience=replace(QUICK, attempts=1))
    assert_nothing_came(home)
    assert left_in_downloads(home) == ["toy--toy.tiktoken", "toy--toy.tiktoken.json"]
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges() == [None, "bytes=1000-"]
    assert left_in_downloads(home) == []


@pytest.mark.parametrize(
    ("then", "ranges"),
    [
        (web.ignoring_ranges(TABLE), [None, "bytes=1000-"]),  # sends all of it, which is taken
        (web.honest(TABLE, etag='"two"'), [None, "bytes=1000-"]),  # another file by now: all of it
        (web.refusing(416), None),
        (lambda answer: answer.reply(206, TABLE[900:], Content_Range=f"bytes 900-2000/{len(TABLE)}"), None),
        (lambda answer: answer.reply(206, TABLE[1000:]), None),
        (lambda answer: answer.reply(206, TABLE[1000:], Content_Range="bytes nonsense"), None),
        (web.breaking_off(OTHER, len(OTHER), etag='"other"'), None),  # part of another file, though asked not to
    ],
)
def test_servers_that_cannot_go_on(
    entry: catalogue.Entry, site: Web, home: Path, then: Behaviour, ranges: list[str | None] | None
) -> None:
    site.pages["/file"] = [web.breaking_off(TABLE, 1000), then, web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges() == (ranges or [None, "bytes=1000-", None])


def test_garbage_left_by_an_earlier_try_is_doubted_before_the_publisher(
    entry: catalogue.Entry, site: Web, home: Path
) -> None:
    site.pages["/file"] = [web.breaking_off(TABLE, 1000), web.honest(TABLE)]
    with pytest.raises(DownloadError):
        get(NAME, patience=replace(QUICK, attempts=1))
    partial = home / "downloads" / "toy--toy.tiktoken"
    partial.write_bytes(b"X" * 1000)
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges() == [None, "bytes=1000-", None]


@pytest.mark.parametrize("notes", ["", "[]", "{}", '{"address": "elsewhere", "etag": null}', '{"address": 1}'])
def test_a_part_of_nobody_knows_what_is_not_continued(
    entry: catalogue.Entry, site: Web, home: Path, notes: str
) -> None:
    (home / "downloads").mkdir()
    (home / "downloads" / "toy--toy.tiktoken").write_bytes(TABLE[:1000])
    (home / "downloads" / "toy--toy.tiktoken.json").write_text(notes)
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert (target(home).read_bytes(), site.ranges()) == (TABLE, [None])


def test_without_a_hash_nothing_is_continued_that_the_server_does_not_vouch_for(
    entry: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, with_file(entry, sha256=None))
    site.pages["/file"] = [web.breaking_off(TABLE, 1000, etag='W/"weak"'), web.honest(TABLE)]
    with pytest.raises(DownloadError):
        get(NAME, patience=replace(QUICK, attempts=1))
    get(NAME, patience=QUICK)
    assert (target(home).read_bytes(), site.ranges()) == (TABLE, [None, None])


@pytest.mark.parametrize("known", [True, False])
def test_a_storm(entry: catalogue.Entry, site: Web, home: Path, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty downloads, each of up to four answers drawn at random: the file is right or not there, whatever happens,
    and one honest answer in the end brings it."""
    random = Random(7)
    changed = entry if known else with_file(entry, sha256=None, size=None)
    use(monkeypatch, changed)
    damaged = b"X" + TABLE[1:]
    draw: list[Callable[[], Behaviour]] = [
        lambda: web.honest(TABLE),
        lambda: web.honest(TABLE, etag='"two"'),
        lambda: web.breaking_off(TABLE, random.randrange(len(TABLE))),
        lambda: web.breaking_off(TABLE, random.randrange(len(TABLE)), etag=None),
        lambda: web.breaking_off(OTHER, random.randrange(len(TABLE)), etag='"other"'),
        lambda: web.breaking_off(damaged, random.randrange(1, len(TABLE)), etag='"damaged"'),
        lambda: web.ignoring_ranges(TABLE),
        lambda: web.claiming(TABLE, random.randrange(2 * len(TABLE))) if known else web.hanging_up,
        lambda: web.chunked(TABLE[: random.randrange(len(TABLE))]) if known else web.refusing(500),
        lambda: web.chunked(TABLE, complete=False),
        lambda: web.refusing(random.choice([404, 416, 500, 503])),
        lambda: web.redirecting("/file"),
        lambda: web.hanging_up,
    ]
    outcomes = set()
    for _ in range(40):
        site.pages["/file"] = [random.choice(draw)() for _ in range(random.randint(1, 4))]
        try:
            get(NAME, force=True, patience=QUICK)
            outcomes.add("came")
        except DownloadError:
            outcomes.add("did not")
        assert not target(home).exists() or target(home).read_bytes() == TABLE
        site.pages["/file"] = [web.honest(TABLE)]
        get(NAME, force=True, patience=QUICK)
        assert target(home).read_bytes() == TABLE
        if random.random() < 0.5:
            target(home).unlink()
    assert outcomes == {"came", "did not"}


# --- hashes that are not known beforehand ---


@pytest.fixture
def unknown(entry: catalogue.Entry, monkeypatch: pytest.MonkeyPatch) -> catalogue.Entry:
    """The entry without sha256 and size."""
    changed = with_file(entry, sha256=None, size=None)
    use(monkeypatch, changed)
    return changed


def test_the_first_download_records_the_hash(unknown: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    assert [file.vouched for file in get(NAME, patience=QUICK).fetched] == ["first download"]
    assert catalogue.recorded() == {"toy/toy.tiktoken": catalogue.Recorded(SHA256, len(TABLE), f"{site.address}/file")}
    assert json.loads((home / "catalogue.lock").read_text())["format"] == "bbpe catalogue lock"
    assert holding(unknown).state == "publisher's"
    assert [file.vouched for file in get(NAME, force=True, patience=QUICK).fetched] == ["earlier download"]


def test_later_downloads_are_checked_against_the_record(unknown: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE), web.honest(OTHER)]
    get(NAME, patience=QUICK)
    with pytest.raises(
        DownloadError, match=r"an earlier download had .* remove toy/toy\.tiktoken from .*catalogue\.lock"
    ):
        get(NAME, force=True, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    (home / "catalogue.lock").unlink()
    get(NAME, force=True, patience=QUICK)
    assert target(home).read_bytes() == OTHER


def test_later_loads_are_checked_against_the_record(unknown: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    target(home).write_bytes(OTHER)
    for name in (NAME, str(target(home)), str(target(home).parent)):
        with pytest.raises(
            FormatError, match=r"damaged or changed: .*; 'bbpe vocab get toy --force' fetches it again, or"
        ):
            io.load(name)
    assert holding(unknown).state == "damaged"


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><title>Log in</title>",
        b"",
        b'{"error": "Repository not found"}',
        TABLE[:-3],
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + SHA256.encode() + b"\nsize 2410\n",
    ],
)
def test_what_nobody_vouches_for_has_to_be_a_vocabulary(
    unknown: catalogue.Entry, site: Web, home: Path, content: bytes
) -> None:
    site.pages["/file"] = [web.honest(content)]
    with pytest.raises(
        DownloadError, match=r"/file: what came is no tiktoken file: toy\.tiktoken.*nothing of it was kept"
    ):
        get(NAME, patience=QUICK)
    assert_nothing_came(home)
    assert left_in_downloads(home) == []


def test_a_file_without_a_known_size_may_not_be_endless(
    unknown: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_FILE_BYTES", 2000)
    for behaviour, message in (
        (web.honest(TABLE), r"2,\d\d\d bytes; a vocabulary file has at most 2,000"),
        (web.chunked(TABLE), "more than 2,000 bytes came; nothing was kept"),
    ):
        site.pages["/file"] = [behaviour]
        with pytest.raises(DownloadError, match=message):
            get(NAME, patience=QUICK)
        assert_nothing_came(home)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": "bbpe catalogue lock", "version": 2}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_lock_is_an_error_and_no_licence(
    unknown: catalogue.Entry, site: Web, home: Path, content: bytes
) -> None:
    (home / "catalogue.lock").write_bytes(content)
    site.pages["/file"] = [web.honest(TABLE)]
    with pytest.raises(FormatError, match=r"catalogue\.lock: "):
        get(NAME, patience=QUICK)
    assert not target(home).exists()


@pytest.mark.parametrize(
    "item", ["{}", '{"sha256": "a", "size": 1, "source": ""}', "7", '{"sha256": 5, "size": 1, "source": ""}']
)
def test_a_lock_with_damaged_items(unknown: catalogue.Entry, home: Path, item: str) -> None:
    (home / "catalogue.lock").write_text(
        f'{{"format": "bbpe catalogue lock", "version": 1, "files": {{"toy/toy.tiktoken": {item}}}}}'
    )
    with pytest.raises(FormatError, match="delete it to record the hashes anew"):
        catalogue.recorded()


# --- several files ---


def test_a_pair_comes_whole_or_not_at_all(
    entry: catalogue.Entry, site: Web, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {**{byte: bytes([byte]) for byte in range(256)}, 256: b"th", 257: b"the"}
    vocabulary = Vocabulary(tokens, merges=[(116, 104), (256, 101)], pattern=get_pattern("gpt2"))
    source = tmp_path / "source"
    source.mkdir()
    vocab_merges.write(vocabulary, source)
    files = tuple(catalogue.PublishedFile(name, url=f"{site.address}/{name}") for name in ("vocab.json", "merges.txt"))
    use(monkeypatch, replace(entry, format="vocab+merges", files=files, special_tokens=()))
    site.pages["/vocab.json"] = [web.honest((source / "vocab.json").read_bytes())]
    with pytest.raises(DownloadError, match=r"merges\.txt: not there any more"):
        get(NAME, patience=QUICK)
    assert not (home / "vocabs").exists()
    site.pages["/merges.txt"] = [web.honest((source / "merges.txt").read_bytes()[:-4])]
    with pytest.raises(DownloadError, match=r"what came is no vocab\+merges file"):
        get(NAME, patience=QUICK)
    assert not (home / "vocabs").exists()
    site.pages["/merges.txt"] = [web.honest((source / "merges.txt").read_bytes())]
    assert [file.path.name for file in get(NAME, patience=QUICK).fetched] == ["vocab.json", "merges.txt"]
    assert io.load(NAME).vocabulary == vocabulary


def test_entries_that_share_a_file_share_its_download(
    entry: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, entry, replace(entry, name="toy-chat", aliases=(), special_tokens=(SpecialToken("<chat>", 301),)))
    site.pages["/file"] = [web.honest(TABLE)]
    get("toy-chat", patience=QUICK)
    assert get(NAME, patience=QUICK).fetched == ()
    assert io.load("toy-chat").special_tokens == {"<chat>": 301}
    assert io.load(NAME).special_tokens == {"<end>": 300}
    assert io.load(target(home)).special_tokens == {"<end>": 300}  # by its folder, which is named for that one


def test_downloads_at_the_same_time_are_all_recorded(
    entry: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"toy-{number}" for number in range(8)]
    use(monkeypatch, *(replace(with_file(entry, sha256=None), name=name, folder=name) for name in names))
    site.pages["/file"] = [web.honest(TABLE)]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda name: get(name, patience=QUICK), names))) == 8
    assert sorted(catalogue.recorded()) == [f"{name}/toy.tiktoken" for name in names]


def test_a_file_that_a_later_catalogue_has_in_another_revision_stays_good(
    entry: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one of the same size: the record says that it is as it was downloaded."""
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    later = with_file(entry, sha256="0" * 64)
    use(monkeypatch, later)
    assert len(io.load(NAME)) == 259
    assert holding(later).state == "other copy"


# --- the hub ---


@pytest.fixture
def gated(entry: catalogue.Entry, site: Web, monkeypatch: pytest.MonkeyPatch) -> catalogue.Entry:
    """The entry in a repository of the hub, of which the server is a mirror."""
    changed = with_file(entry, url=None, repository="toys/toy", revision="v1", path="sub/toy model")
    monkeypatch.setenv("HF_ENDPOINT", site.address + "/")
    use(monkeypatch, changed)
    return changed


PAGE = "/toys/toy/resolve/v1/sub/toy%20model"


def test_a_mirror_of_the_hub(gated: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages[PAGE] = [web.honest(TABLE)]
    assert gated.files[0].address() == site.address + PAGE
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert "Authorization" not in site.seen[0][2]


def test_a_licence_that_has_to_be_accepted_first(
    gated: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages[PAGE] = [web.with_token("right", web.honest(TABLE))]
    with pytest.raises(
        DownloadError,
        match=r"refused \(HTTP 401\): its licence has to be accepted first on https://huggingface\.co/toys/toy, then set "
        "HF_TOKEN to a token of that account$",
    ):
        get(NAME, patience=QUICK)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(
        DownloadError, match=r"refused \(HTTP 403\): check that the licence is accepted .* HF_TOKEN is of"
    ):
        get(NAME, patience=QUICK)
    assert_nothing_came(home)
    monkeypatch.setenv("HF_TOKEN", "right")
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", " right\n")
    get(NAME, force=True, patience=QUICK)


def test_the_token_goes_to_no_other_server(
    gated: catalogue.Entry, site: Web, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither after a redirect, nor to addresses that are not the hub's, nor in place of a ~/.netrc."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other-secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with web.serving() as elsewhere:
        elsewhere.pages["/file"] = [web.honest(TABLE)]
        site.pages[PAGE] = [web.redirecting("/here")]
        site.pages["/here"] = [web.redirecting(f"{elsewhere.address}/file")]
        get(NAME, patience=QUICK)
        assert [headers.get("Authorization") for _, _, headers in site.seen] == ["Bearer secret"] * 2
        assert [headers.get("Authorization") for _, _, headers in elsewhere.seen] == [None]
        use(monkeypatch, with_file(gated, repository=None, url=f"{elsewhere.address}/file"))
        get(NAME, force=True, patience=QUICK)
        assert elsewhere.seen[-1][2].get("Authorization") is None
    assert "secret" not in (home / "catalogue.lock").read_text()


def test_the_token_is_never_sent_in_plain_text_over_a_network() -> None:
    assert [
        downloads._is_private(address)
        for address in ("https://hub.example/x", "http://127.0.0.1:80/x", "http://[::1]/x", "http://localhost/x")
    ] == [True] * 4
    for address in ("http://hub.example/x", "http://localhost.evil.example/x", "http://127.0.0.1.evil.example/"):
        assert not downloads._is_private(address)


HUB_SCRIPT = """
from dataclasses import replace
from bbpe import catalogue, downloads
entry = catalogue.entries()["qwen2"]
file = replace(entry.files[0], path="tokenizer.json", sha256=SHA256, size=None, revision="v1", repository="toys/toy")
catalogue.entries = lambda: {"toy": replace(entry, name="toy", folder="toy", files=(file,))}
try:
    print([got.vouched for got in downloads.get("toy", way="huggingface_hub").fetched])
except downloads.DownloadError as error:
    print(error)
"""


def test_through_huggingface_hub(site: Web, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    vocabulary = Vocabulary({byte: bytes([byte]) for byte in range(256)}, merges=[], pattern=get_pattern("qwen2"))
    tokenizer_json.write(vocabulary, tmp_path / "made.json")
    content = (tmp_path / "made.json").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    environment = {
        **os.environ,
        "BBPE_HOME": str(home),
        "HF_ENDPOINT": site.address,
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }

    def run(sha256: str) -> str:
        code = HUB_SCRIPT.replace("SHA256", repr(sha256))
        process = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert process.stderr == "" or process.returncode == 0, process.stderr
        return process.stdout.strip()

    page = "/toys/toy/resolve/v1/tokenizer.json"
    site.pages[page] = [web.refusing(404, X_Error_Code="EntryNotFound")]
    assert "not there (or not without a token: set HF_TOKEN)" in run(digest)
    site.pages[page] = [web.refusing(403, X_Error_Code="GatedRepo")]
    assert "refused (HTTP 403): its licence has to be accepted first on https://huggingface.co/toys/toy" in run(digest)
    site.pages[page] = [web.honest(content, etag=f'"{digest}"', X_Repo_Commit="c" * 40)]
    assert "not the file that was expected: sha256" in run("0" * 64)
    assert run(digest) == "['catalogue']"
    assert (home / "vocabs" / "toy" / "tokenizer.json").read_bytes() == content


def test_huggingface_hub_is_named_when_it_is_missing(
    gated: catalogue.Entry, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BbpeError, match=r"pip install 'bbpe\[compare\]'"):
        get(NAME, way="huggingface_hub")


# --- processes ---

SCRIPT = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from bbpe import catalogue, downloads
    address, sha256, size = sys.argv[1:]
    entry = catalogue.entries()["r50k_base"]
    file = catalogue.PublishedFile("toy.tiktoken", sha256, int(size), url=address)
    catalogue.entries = lambda: {"toy": replace(entry, name="toy", folder="toy", files=(file,))}
    downloads._BLOCK = 100
    downloads.get("toy", force=True, patience=downloads.Patience(seconds=20))
    """
)


def start(site: Web, home: Path) -> subprocess.Popen[bytes]:
    arguments = [f"{site.address}/file", SHA256, str(len(TABLE))]
    environment = {**os.environ, "BBPE_HOME": str(home)}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=environment, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("old", [None, OTHER])
def test_killed_in_the_middle(entry: catalogue.Entry, site: Web, home: Path, old: bytes | None) -> None:
    if old is not None:
        target(home).parent.mkdir(parents=True)
        target(home).write_bytes(old)
    site.pages["/file"] = [web.stalling(TABLE, 1000), web.honest(TABLE)]
    process = start(site, home)
    partial = home / "downloads" / "toy--toy.tiktoken"
    wait_for(lambda: bool(site.seen) and partial.exists())
    with pytest.raises(DownloadError, match="toy: another process is downloading it"):
        get(NAME, force=True, patience=QUICK)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (target(home).read_bytes() if target(home).exists() else None) == old
    assert not [path for path in home.rglob("*") if path.name.endswith(".tmp")]
    get(NAME, force=True, patience=QUICK)
    assert target(home).read_bytes() == TABLE


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupted_keeps_what_has_come(entry: catalogue.Entry, site: Web, home: Path) -> None:
    site.pages["/file"] = [web.breaking_off(TABLE, 1000), web.stalling(TABLE, 0)]
    process = start(site, home)
    wait_for(lambda: len(site.seen) == 2)  # the first 1,000 bytes have come
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert_nothing_came(home)
    site.pages["/file"] = [web.honest(TABLE)]
    get(NAME, patience=QUICK)
    assert target(home).read_bytes() == TABLE
    assert site.ranges()[:2] == [None, "bytes=1000-"]


def test_a_home_that_cannot_be_written(
    entry: catalogue.Entry, site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/file"] = [web.honest(TABLE)]
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BBPE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"file.*: cannot be written: "):
        get(NAME, patience=QUICK)
    monkeypatch.setenv("BBPE_HOME", str(tmp_path))
    (tmp_path / "vocabs").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        get(NAME, patience=QUICK)
