"""Download the files of a catalogue entry into ``$BBPE_HOME/vocabs``, so that what stands there is whole and right.

What comes is written to ``$BBPE_HOME/downloads``, where the next try goes on from; it takes its name in ``vocabs`` only
when its size and sha256 are those of the catalogue. Where the catalogue knows no sha256, the vocabulary has to load, and
its sha256 is recorded in ``$BBPE_HOME/catalogue.lock``: later downloads and loads are checked against that.

Plain HTTPS is the rule (``requests``, which tiktoken needs too, so that proxies and certificates are as in other
programs); :data:`Way` has the other one, ``huggingface_hub`` with its cache and its login. A mirror of the hub is named
by ``$HF_ENDPOINT``, a token for gated files by ``$HF_TOKEN``; it is sent to that host alone, and never in plain text over
a network. bbpe downloads nothing unless it is asked to: ``bbpe.load`` only says how.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from bbpe import catalogue
from bbpe.corpus import Progress
from bbpe.errors import BbpeError, DownloadError, FormatError, MissingExtraError, OutputError
from bbpe.formats.files import MAX_FILE_BYTES
from bbpe.holdings import State, holding, is_here
from bbpe.io import atomic_write, load

if TYPE_CHECKING:
    import requests

Way = Literal["https", "huggingface_hub"]
Report = Callable[[Progress], None]

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_BLOCK = 1 << 16  # bytes; what a broken connection loses at most
_FOLLOWED = (301, 302, 303, 307, 308)
_TRIED_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download tries.

    Attributes:
        seconds: Without a byte, until a connection counts as dead.
        attempts: Tries for one file, each going on where the last one ended.
        pause: Seconds before the second try; twice that before the third, and so on.
        redirects: Followed one after another.
    """

    seconds: float = 30.0
    attempts: int = 4
    pause: float = 1.0
    redirects: int = 10


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was downloaded: where it is, its sha256 and bytes, and who vouches for the sha256."""

    path: Path
    sha256: str
    size: int
    vouched: Literal["catalogue", "earlier download", "first download"]


@dataclass(frozen=True, slots=True)
class Got:
    """What :func:`get` did.

    Attributes:
        entry: For which entry.
        fetched: The files that were downloaded; none where it was there already.
        state: What was there before.
    """

    entry: catalogue.Entry
    fetched: tuple[Fetched, ...]
    state: State


def get(
    name: str,
    *,
    force: bool = False,
    way: Way = "https",
    progress: Report | None = None,
    patience: Patience | None = None,
) -> Got:
    """Download a vocabulary of the catalogue, unless it is there.

    Args:
        name: Of the catalogue.
        force: Download the publisher's files whatever is there. Files of the same names are replaced when the new ones
            are verified; others stay.
        way: ``"huggingface_hub"`` asks that library, for files that are on the hub.
        progress: Called with what has come.
        patience: When to give up.

    Raises:
        FormatError: There is no such name; what is there is damaged; or what came is no such vocabulary.
        DownloadError: It cannot be had, or is not what it should be.
        OutputError: It cannot be written.
        MissingExtraError: ``huggingface_hub`` is asked for and not installed.
    """
    entry = catalogue.find(name)
    if entry is None:
        raise FormatError(catalogue.unknown(name))
    if entry.own:
        raise FormatError(f"{entry.name}: added by the user ({entry.note}); there is nowhere to download it from")
    if is_here(entry) and not force:
        found = holding(entry)
        if found.state == "damaged":
            raise FormatError(found.problem)
        return Got(entry, (), found.state)
    downloads = catalogue.home() / "downloads"
    with _writing(catalogue.home()):
        downloads.mkdir(parents=True, exist_ok=True)
    with _alone(downloads / f"{entry.folder}.busy", f"{entry.name}: another process is downloading it"):
        state: State = "absent" if not is_here(entry) else "other copy"
        recorded = catalogue.recorded()
        arrivals = [downloads / f"{entry.folder}--{file.name}" for file in entry.files]
        fetched = tuple(
            _fetch(entry, file, arrival, recorded, way, progress, patience or Patience())
            for file, arrival in zip(entry.files, arrivals, strict=True)
        )
        if any(file.vouched != "catalogue" for file in fetched):
            _check_it_loads(entry, arrivals)
        with _writing(entry.path()):
            entry.path().mkdir(parents=True, exist_ok=True)
        for file, arrival in zip(fetched, arrivals, strict=True):
            with atomic_write(file.path, force=True) as target, open(arrival, "rb") as source:
                shutil.copyfileobj(source, target)
        _record(entry, fetched)
        for arrival in arrivals:
            _forget(arrival)
    return Got(entry, fetched, state)


# --- what came ---


def _fetch(
    entry: catalogue.Entry,
    file: catalogue.PublishedFile,
    partial: Path,
    recorded: dict[str, catalogue.Recorded],
    way: Way,
    progress: Report | None,
    patience: Patience,
) -> Fetched:
    """Download one file to ``partial`` and verify it; what an earlier try left there is doubted before the publisher."""
    address = file.address()
    if address is None:
        raise DownloadError(f"{file.name}: the catalogue has no address for it")
    while True:
        continued = partial.exists()
        if way == "huggingface_hub" and file.repository is not None:
            _through_the_hub(file, partial)
        else:
            _Transfer(file, address, partial, progress, patience).run()
        try:
            return _verified(entry, file, partial, recorded)
        except DownloadError:
            if not continued:
                raise


def _verified(
    entry: catalogue.Entry, file: catalogue.PublishedFile, arrival: Path, recorded: dict[str, catalogue.Recorded]
) -> Fetched:
    """What came, once it is what the catalogue or an earlier download says; else it is removed."""
    size, digest = arrival.stat().st_size, _sha256(arrival)
    known = recorded.get(f"{entry.folder}/{file.name}")
    target = entry.path() / file.name
    if file.sha256 is not None:
        if digest == file.sha256:
            return Fetched(target, digest, size, "catalogue")
        problem = f"sha256 {digest}, but the catalogue says {file.sha256}"
    elif file.size not in (None, size):
        problem = f"{size:,} bytes, but the catalogue says {file.size:,}"
    elif known is None:
        return Fetched(target, digest, size, "first download")
    elif digest == known.sha256:
        return Fetched(target, digest, size, "earlier download")
    else:
        problem = (
            f"sha256 {digest}, but an earlier download had {known.sha256}: its publisher has changed it, or it is a "
            f"forgery; to accept it, remove {entry.folder}/{file.name} from {catalogue.lock_path()}"
        )
    _forget(arrival)
    raise DownloadError(f"{file.address()}: not the file that was expected: {problem}; nothing of it was kept")


def _check_it_loads(entry: catalogue.Entry, arrivals: list[Path]) -> None:
    """What nobody vouches for has to be a vocabulary at least, and no page that asks to log in."""
    with tempfile.TemporaryDirectory(dir=arrivals[0].parent) as folder:
        for file, arrival in zip(entry.files, arrivals, strict=True):
            shutil.copyfile(arrival, Path(folder, file.name))
        bare = entry.format in ("tiktoken", "vocab+merges")
        try:
            load(
                Path(folder, entry.files[0].name),
                format=entry.format,
                pattern=entry.pattern if bare else None,
                special_tokens={special.content: special.id for special in entry.special_tokens} if bare else None,
                lowercase=entry.lowercase,
            )
        except MissingExtraError:
            return  # it could be read, and what runs it is not installed
        except BbpeError as error:
            for arrival in arrivals:
                _forget(arrival)
            problem = str(error).replace(folder + os.sep, "")
            raise DownloadError(
                f"{entry.files[0].address()}: what came is no {entry.format} file: {problem}; nothing of it was kept"
            ) from None


def _record(entry: catalogue.Entry, fetched: tuple[Fetched, ...]) -> None:
    """Write down what was downloaded, next to what others wrote."""
    addresses = {file.name: file.address() or "" for file in entry.files}
    with _alone(catalogue.home() / "downloads" / "lock.busy", None):
        recorded = catalogue.recorded()
        for file in fetched:
            name = file.path.name
            recorded[f"{entry.folder}/{name}"] = catalogue.Recorded(file.sha256, file.size, addresses[name])
        with atomic_write(catalogue.lock_path(), force=True) as target:
            target.write(catalogue.lock_record(recorded))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# --- the way of huggingface_hub ---


def _through_the_hub(file: catalogue.PublishedFile, partial: Path) -> None:
    """Ask ``huggingface_hub``, which has a cache and a login of its own, and shows its own progress."""
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise MissingExtraError(
            "downloads through huggingface_hub need it: pip install 'bbpe[compare]'; plain HTTPS does not"
        ) from None
    assert file.repository is not None
    address = file.address() or ""
    try:
        found = huggingface_hub.hf_hub_download(
            file.repository,
            file.path,
            revision=file.revision,
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            token=_token() or None,
        )
    except errors.GatedRepoError:
        raise DownloadError(_refused(address, file)) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError):
        raise DownloadError(f"{address}: not there (or not without a token: set HF_TOKEN)") from None
    except Exception as error:  # what else it raises differs from version to version
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DownloadError(f"{address}: huggingface_hub could not download it: {reason}") from None
    with _writing(partial):
        shutil.copyfile(found, partial)


# --- the plain way ---


class _AgainError(Exception):
    """The connection broke or the server is busy; the next try may go on from what has come."""


class _Transfer:
    """One file on its way, over as many connections as it takes."""

    def __init__(
        self,
        file: catalogue.PublishedFile,
        address: str,
        partial: Path,
        progress: Report | None,
        patience: Patience,
    ) -> None:
        self._file, self._address, self._partial = file, address, partial
        self._progress, self._patience = progress, patience
        self._etag: str | None = None
        self._total: int | None = file.size
        self._limit = file.size or MAX_FILE_BYTES

    def run(self) -> None:
        """Until all of it is in ``partial``.

        Raises:
            DownloadError: It cannot be had. What has come stays, unless it cannot be right.
        """
        import requests

        self._continue_what_is_there()
        with requests.Session() as session:
            session.auth = _unchanged  # else a ~/.netrc takes the place of the token
            session.headers.update({"User-Agent": "bbpe", "Accept-Encoding": "identity"})
            for attempt in range(1, self._patience.attempts + 1):
                try:
                    self._try(session)
                    return
                except _AgainError as error:
                    if attempt == self._patience.attempts:
                        has = self._partial.stat().st_size if self._partial.exists() else 0
                        kept = f"; {has:,} bytes are kept, and the next download goes on from there" if has else ""
                        raise DownloadError(f"{self._address}: {error}, {attempt} times{kept}") from None
                    time.sleep(self._patience.pause * 2 ** (attempt - 1))

    def _continue_what_is_there(self) -> None:
        """Know what an earlier try left; remove it where nothing says that it belongs to the same file."""
        try:
            left = json.loads(_notes(self._partial).read_bytes())
            if left["address"] != self._address:
                raise ValueError
            self._etag = left["etag"] if isinstance(left["etag"], str) else None
        except (OSError, ValueError, KeyError, TypeError):
            _forget(self._partial)
            return
        if self._etag is None and self._file.sha256 is None:
            _forget(self._partial)

    def _try(self, session: requests.Session) -> None:
        """One connection."""
        import requests

        with _writing(self._partial):
            has = self._partial.stat().st_size if self._partial.exists() else 0
        if self._file.size is not None and has >= self._file.size:
            if has == self._file.size:
                return  # all had come; whether it is right is seen next
            _forget(self._partial)
            has = 0
        headers = {"Range": f"bytes={has}-"} if has else {}
        if has and self._etag:
            headers["If-Range"] = self._etag
        response = self._response(session, headers)
        with response:
            if response.status_code == 416:
                _forget(self._partial)
                raise _AgainError("the server answered HTTP 416, that it has no such part of the file")
            start = self._start_of(response, has)
            self._note(response)
            try:
                self._receive(response, start)
            except requests.exceptions.RequestException as error:
                raise _AgainError(_broken(error, self._patience)) from None

    def _response(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        """The answer with the file, after all redirects."""
        import requests

        address = self._address
        token = _token() if self._file.repository is not None and _is_private(address) else ""
        home_host = _parts_of(address).netloc
        for _ in range(self._patience.redirects + 1):
            trusted = token and _parts_of(address).netloc == home_host
            authorization = {"Authorization": f"Bearer {token}"} if trusted else {}
            try:
                response = session.get(
                    address,
                    headers={**headers, **authorization},
                    stream=True,
                    allow_redirects=False,
                    timeout=self._patience.seconds,
                )
            except requests.exceptions.RequestException as error:
                raise self._no_answer(error, address) from None
            except ValueError as error:  # requests looks where it would be redirected to
                raise DownloadError(f"{self._address}: redirected to no web address ({error})") from None
            if response.status_code not in _FOLLOWED or "location" not in response.headers:
                self._check_status(response, bool(token))
                return response
            target = response.headers["location"]
            response.close()
            with contextlib.suppress(ValueError):
                target = urljoin(address, target)
            if _parts_of(target).scheme not in ("http", "https"):
                raise DownloadError(f"{self._address}: redirected to {target[:200]!r}, which is no web address")
            if _is_private(address) and not _is_private(target):
                raise DownloadError(
                    f"{self._address}: redirected from https to {target[:200]!r}, which anybody on the way could forge"
                )
            address = target
        raise DownloadError(f"{self._address}: more than {self._patience.redirects} redirects, one after another")

    def _no_answer(self, error: requests.exceptions.RequestException, address: str) -> Exception:
        import requests

        host = _parts_of(address).hostname or address
        if isinstance(error, requests.exceptions.SSLError):
            return DownloadError(f"{host}: its certificate was not accepted ({_reason(error)})")
        if isinstance(error, requests.exceptions.ProxyError):
            return DownloadError(f"{host}: the proxy does not let it through ({_reason(error)}); see HTTPS_PROXY")
        if isinstance(error, requests.exceptions.Timeout):
            return _AgainError(f"{host} did not answer for {self._patience.seconds:g} s")
        if isinstance(error, requests.exceptions.ConnectionError):
            if not re.search(r"NewConnectionError|NameResolutionError|Failed to (establish|resolve)", str(error)):
                return _AgainError(f"the connection to {host} broke")
            mirror = " (HF_ENDPOINT names a mirror of the hub)" if self._file.repository is not None else ""
            return DownloadError(
                f"no connection to {host} ({_reason(error)}){mirror}; a file that is put by hand where 'bbpe vocab show' "
                "says needs no network"
            )
        return DownloadError(f"{address}: {_reason(error)}")

    def _check_status(self, response: requests.Response, with_token: bool) -> None:
        status = response.status_code
        if status in (200, 206, 416):
            return
        response.close()
        if status in (401, 403):
            raise DownloadError(_refused(self._address, self._file, status, with_token))
        if status in (404, 410):
            raise DownloadError(f"{self._address}: not there any more (HTTP {status})")
        if status in _TRIED_AGAIN:
            raise _AgainError(f"the server answered HTTP {status}")
        raise DownloadError(f"{self._address}: the server answered HTTP {status}")

    def _start_of(self, response: requests.Response, has: int) -> int:
        """Where what comes belongs in the file: at its start, or after what is there."""
        length = response.headers.get("content-length", "")
        size = int(length) if length.isdecimal() and "content-encoding" not in response.headers else None
        if response.status_code != 206:
            self._total = self._checked_total(size)
            return 0
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        same = self._etag is None or response.headers.get("etag", self._etag) == self._etag
        if match is None or int(match[1]) != has or not has or not same:
            _forget(self._partial)
            raise _AgainError("the server sent another part of the file than it was asked for")
        self._total = self._checked_total(None if match[3] == "*" else int(match[3]))
        return has

    def _checked_total(self, announced: int | None) -> int | None:
        if announced is not None and self._file.size not in (None, announced):
            _forget(self._partial)
            raise DownloadError(
                f"{self._address}: the server announces {announced:,} bytes, but the catalogue says "
                f"{self._file.size:,}; nothing of it was kept"
            )
        if announced is not None and announced > self._limit:
            raise DownloadError(f"{self._address}: {announced:,} bytes; a vocabulary file has at most {self._limit:,}")
        return announced if announced is not None else self._file.size

    def _note(self, response: requests.Response) -> None:
        """Write beside what comes which file it is of, for whoever goes on."""
        etag = response.headers.get("etag")
        self._etag = etag if etag and etag.startswith('"') else None  # a weak one does not vouch for bytes
        with _writing(self._partial):
            _notes(self._partial).write_text(json.dumps({"address": self._address, "etag": self._etag}))

    def _receive(self, response: requests.Response, start: int) -> None:
        with _writing(self._partial), open(self._partial, "r+b" if start else "wb") as target:
            target.seek(start)
            target.truncate()
            done = start
            self._show(done)
            for block in response.iter_content(_BLOCK):
                done += len(block)
                if done > self._limit:
                    target.truncate(0)
                    raise DownloadError(f"{self._address}: more than {self._limit:,} bytes came; nothing was kept")
                target.write(block)
                self._show(done)
        if self._total is not None and done < self._total:
            raise _AgainError(f"it ended after {done:,} of {self._total:,} bytes")

    def _show(self, done: int) -> None:
        if self._progress is not None:
            self._progress(Progress(f"downloading {self._file.name}", done, self._total, "bytes"))


def _unchanged(request: Any) -> Any:
    return request


def _broken(error: requests.exceptions.RequestException, patience: Patience) -> str:
    """Why a transfer ended early."""
    if "timed out" in str(error).lower():
        return f"nothing came for {patience.seconds:g} s"
    return "the connection broke before the end"


def _reason(error: BaseException) -> str:
    """The innermost reason of a chain of exceptions, in a few words."""
    while True:
        inner = next(
            (item for item in (getattr(error, "reason", None), *error.args) if isinstance(item, Exception)), None
        )
        if inner is None:
            break
        error = inner
    text = " ".join(str(getattr(error, "strerror", None) or error).rsplit(": ", 1)[-1].split())
    return re.sub(r"^.*\[Errno -?\d+\] |\)$", "", text)[:200] or type(error).__name__


def _refused(address: str, file: catalogue.PublishedFile, status: int = 403, with_token: bool = False) -> str:
    if file.repository is None:
        return f"{address}: refused (HTTP {status})"
    page = f"{catalogue.HUB}/{file.repository}"
    token = "and that HF_TOKEN is of that account" if with_token else "then set HF_TOKEN to a token of that account"
    first = "check that the licence is accepted" if with_token else "its licence has to be accepted first"
    return f"{address}: refused (HTTP {status}): {first} on {page}, {token}"


def _token() -> str:
    """The user's token for the hub, or nothing."""
    return next((value.strip() for name in _TOKENS if (value := os.environ.get(name, "")).strip()), "")


def _parts_of(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError as error:
        raise DownloadError(f"{address[:200]!r}: no web address ({error})") from None


def _is_private(address: str) -> bool:
    """Whether nobody on the way can read or forge: encrypted, or not leaving this machine."""
    parts = _parts_of(address)
    return parts.scheme == "https" or (parts.hostname or "") in _LOCAL_HOSTS


# --- files on the way ---


def _notes(partial: Path) -> Path:
    return partial.with_name(partial.name + ".json")


def _forget(partial: Path) -> None:
    for path in (partial, _notes(partial)):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """The system's complaints, as an ``OutputError`` that names the file. Those of the network stay what they are."""
    try:
        yield
    except (BbpeError, _AgainError):
        raise
    except OSError as error:
        if type(error).__module__.startswith(("requests", "urllib3")):
            raise
        raise OutputError(f"{error.filename or path}: cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _alone(path: Path, busy: str | None) -> Iterator[None]:
    """Hold a file's lock, which ends with the process at the latest; wait for it, or say that it is ``busy``."""
    with _writing(path), open(path, "ab") as file:
        try:
            _lock(file.fileno(), wait=busy is None)
        except OSError:
            raise DownloadError(busy or f"{path}: cannot be locked") from None
        yield


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, wait: bool) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int, *, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
