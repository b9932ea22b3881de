"""Writing that is all or nothing: an output stands under its name only when all of it is on the disk.

What is written lies beside its final name and is renamed at the end; a crash leaves the old output or the new one,
whole. :func:`atomic_write` does it for a file, :func:`atomic_files` for a file and its sidecar, :func:`atomic_directory`
for a folder; :func:`take_name` gives a folder its name that was filled over several processes, each of which held the
lock of :func:`locked`. What a killed process left beside an output is removed by the next that writes the same one: see
:func:`temporary_folder`, and :func:`remove_dead` for files.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import platform
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bbpe.errors import OutputError

__all__ = [
    "atomic_directory",
    "atomic_files",
    "atomic_write",
    "locked",
    "output_error",
    "output_errors",
    "refuse_existing_file",
    "refuse_existing_folder",
    "refuse_input",
    "remove_dead",
    "remove_temporaries",
    "sync_folder",
    "take_name",
    "temporary_folder",
]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when it is complete.

    It is written beside ``path`` and renamed at the end of the ``with`` block; after an exception nothing of it is
    left.

    Raises:
        OutputError: ``path`` exists and ``force`` is false, or it cannot be written (no permission, disk full).
    """
    target = Path(path)
    with output_errors(target):
        refuse_existing_file(target, force)
        final = Path(os.path.realpath(target))  # a symbolic link stays one
        with _locked_new(final.parent, final.name, _new_file) as temporary:
            try:
                with open(temporary, "r+b") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                refuse_existing_file(target, force)
                os.replace(temporary, final)
                sync_folder(final.parent)
            finally:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)


def remove_dead(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left that were writing ``path`` with :func:`atomic_write`. To be called by whoever
    writes large files: the folder is listed for it."""
    final = Path(os.path.realpath(path))
    _remove_dead(final.parent, final.name)


@contextlib.contextmanager
def atomic_directory(
    path: str | os.PathLike[str], force: bool = False, replaceable: Collection[str] | None = None
) -> Iterator[Path]:
    """A folder that takes its name only when it is complete.

    Yields the folder to fill, which lies beside ``path``. With ``force`` the old folder is exchanged for the new one
    in one step where the system can (Linux, macOS), else in two renames, and removed afterwards.

    Args:
        path: The final folder; its parent has to exist.
        force: Replace a folder that exists.
        replaceable: The names that a folder to be replaced may hold. Any other name in it is an error even with
            ``force``: a mistyped path must not cost somebody's files. None allows all.

    Raises:
        OutputError: ``path`` exists and ``force`` is false, holds other files, or cannot be written (no permission,
            disk full).
    """
    target = Path(path)
    with output_errors(target):
        refuse_existing_folder(target, force, replaceable)
        final = Path(os.path.realpath(target))
        with temporary_folder(final.parent, final.name) as temporary:
            yield temporary
            for folder, _, names in os.walk(temporary):
                for name in names:
                    _sync_file(Path(folder, name))
                sync_folder(Path(folder))
            take_name(temporary, target, force, replaceable)


def take_name(folder: Path, target: Path, force: bool = False, replaceable: Collection[str] | None = None) -> None:
    """Rename a finished folder, whose files are on the disk, to ``target``, in whose parent it lies.

    A folder that is replaced has the other's name afterwards, and is not removed.

    Args:
        folder: The finished folder.
        target: Its name.
        force: Replace a folder that exists.
        replaceable: As for :func:`atomic_directory`.

    Raises:
        OutputError: ``target`` exists and may not be replaced, or the system refuses.
    """
    with output_errors(target):
        refuse_existing_folder(target, force, replaceable)
        final = Path(os.path.realpath(target))
        if final.exists():
            _exchange(folder, final)
        else:
            os.rename(folder, final)
        sync_folder(final.parent)


def locked(path: Path) -> IO[bytes] | None:
    """A file that is locked until it is closed or the process ends; None where another process has locked it.

    On Windows nothing is locked: whoever starts two processes at once is on his own.

    Raises:
        OSError: The file cannot be opened.
    """
    file = path.open("ab")
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def remove_temporaries(folder: Path) -> None:
    """Remove what a process left in a folder that was killed while it wrote there; call it with the folder locked."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


@contextlib.contextmanager
def atomic_files(path: Path, names: Sequence[str], force: bool) -> Iterator[Path]:
    """A folder to write several files in, which take their names beside ``path`` one right after the other.

    Two files cannot be renamed in one step. A crash in between leaves a new file beside an old sidecar, which the
    sidecar's sha256 tells on reading.
    """
    with output_errors(path):
        for name in names:
            refuse_existing_file(path.with_name(name), force)
        final = Path(os.path.realpath(path))
        with temporary_folder(final.parent, final.name) as temporary:
            yield temporary
            for name in names:
                _sync_file(temporary / name)
            for name in names:
                refuse_existing_file(path.with_name(name), force)
            for name in names:
                os.replace(temporary / name, os.path.realpath(path.with_name(name)))
            sync_folder(temporary.parent)


@contextlib.contextmanager
def temporary_folder(place: Path, name: str) -> Iterator[Path]:
    """A new folder ``.NAME.….tmp`` in ``place``, gone when the ``with`` block ends, whatever it is called by then.

    A kill leaves it. Whoever makes the next one of the same name in the same place on the same machine removes it: a
    lock on the folder, which ends with the process, tells the dead from the living. Where folders cannot be locked
    (Windows, some network file systems) nobody can tell, and nothing is removed.

    Raises:
        OSError: It cannot be made.
    """
    _remove_dead(place, name)
    with _locked_new(place, name, Path.mkdir) as folder:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked_new(place: Path, name: str, make: Callable[[Path], object]) -> Iterator[Path]:
    """A new temporary name, what ``make`` made of it, and a lock on that."""
    while True:
        path = place / f"{_begin(name)}{secrets.token_hex(6)}.tmp"
        make(path)
        lock = _lock(path)
        if lock is not None:
            break  # else another process took it for dead before it was locked, and removes it
    try:
        yield path
    finally:
        if lock != _UNKNOWN:
            os.close(lock)


def _new_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))


def _begin(name: str) -> str:
    """How temporary names begin. The machine is in it: a lock may be known to one of several that share a disk."""
    return f".{name[:100]}.{zlib.crc32(platform.node().encode()):08x}"


def _remove_dead(place: Path, name: str) -> None:
    with contextlib.suppress(OSError):
        for left in os.listdir(place):
            if not (left.startswith(_begin(name)) and left.endswith(".tmp") and len(left) == len(_begin(name)) + 16):
                continue
            lock = _lock(place / left)
            if lock is not None and lock != _UNKNOWN:
                if stat.S_ISDIR(os.fstat(lock).st_mode):
                    shutil.rmtree(place / left, ignore_errors=True)
                else:
                    os.unlink(place / left)
                os.close(lock)


_UNKNOWN = -1


def _lock(path: Path) -> int | None:
    """A descriptor that locks a file or folder until it is closed; None where another process holds it or the folder is gone;
    ``_UNKNOWN`` where nobody can tell."""
    try:
        fcntl: Any = importlib.import_module("fcntl")
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except (ImportError, OSError):
        return _UNKNOWN
    found: int | None = None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            found = descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        found = _UNKNOWN
    if found != descriptor:
        os.close(descriptor)
    return found


@contextlib.contextmanager
def output_errors(target: Path) -> Iterator[None]:
    """The system's complaints, as an ``OutputError`` that names the output."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise output_error(target, error) from error


def output_error(target: Path, error: OSError, left: str | None = None) -> OutputError:
    """What the system says of an output in our words.

    Args:
        target: The output.
        error: What the system said.
        left: What is left, where that is not nothing.
    """
    if error.errno == errno.ENOENT and not target.parent.exists():
        reason = f"the folder {target.parent} does not exist"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = f"no space left ({error.strerror})"
    else:
        reason = error.strerror or str(error)
    return OutputError(f"{target}: cannot be written: {reason}; {left or 'nothing was left there'}")


def refuse_existing_file(target: Path, force: bool) -> None:
    """Check that a file may take this name; errors as for :func:`atomic_write`."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise OutputError(f"{target}: is a folder; give the path of a file in it")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{target}: is no regular file; bbpe does not replace it")
    if not force:
        raise OutputError(f"{target}: exists already; choose another name or pass force (--force) to replace it")


def refuse_existing_folder(target: Path, force: bool, replaceable: Collection[str] | None = None) -> None:
    """Check that a folder may take this name; arguments and errors as for :func:`take_name`."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        raise OutputError(f"{target}: exists already and is no folder")
    if not force:
        raise OutputError(f"{target}: exists already; choose another name or pass force (--force) to replace it")
    if replaceable is not None:
        others = sorted(set(os.listdir(target)).difference(replaceable))
        if others:
            shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
            raise OutputError(
                f"{target}: holds other files ({shown}), which force (--force) does not remove; choose another name"
            )


def refuse_input(target: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse an output that is one of the inputs, or the folder that one is in: ``force`` would replace what is read.

    Args:
        target: The output, a file or a folder.
        inputs: Files and folders; names of what is neither are passed over.

    Raises:
        OutputError: It is, also where the two have different names.
    """
    if not os.path.exists(target):
        return
    is_folder = os.path.isdir(target)
    for path in inputs:
        if not os.path.exists(path):
            continue
        for place in (path, os.path.dirname(path) or os.curdir) if is_folder else (path,):
            if os.path.samefile(place, target):
                raise OutputError(
                    f"{os.fspath(target)}: is part of the input, which force (--force) does not replace; choose another "
                    "name"
                )


def _beside(final: Path) -> Path:
    """A new name in the same folder, so that renaming never crosses file systems."""
    return final.with_name(f".{final.name[:100]}.{secrets.token_hex(6)}.tmp")


def _sync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make renames in a folder last; not every system can, and the files themselves are safe without."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Exchange two folders' names in one step where the system can, else in two; afterwards ``new`` is the old
    folder."""
    if _exchange_in_one_step(new, old):
        return
    aside = _beside(old)
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    os.rename(aside, new)


def _exchange_in_one_step(first: Path, second: Path) -> bool:
    exchange = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            at_cwd = -100
            return bool(library.renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), exchange) == 0)
        if sys.platform == "darwin":
            return bool(library.renamex_np(os.fsencode(first), os.fsencode(second), exchange) == 0)
    except (OSError, AttributeError):  # no such function in this C library
        pass
    return False
