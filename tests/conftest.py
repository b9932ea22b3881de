"""What every test may use: the data folder, when it is there, and slices of its corpora."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture(scope="session")
def bbpe_home() -> Path:
    """The folder of published vocabularies and corpora; the test is skipped where there is none."""
    home = os.environ.get("BBPE_HOME")
    if not home:
        pytest.skip("BBPE_HOME is not set: published vocabularies and corpora are needed")
    return Path(home)


@pytest.fixture(scope="session")
def read_corpus(bbpe_home: Path) -> Callable[..., bytes]:
    """The first bytes of a corpus by its name in ``corpora/``, without the ``.zst``; cut at a character's edge."""

    def read(name: str, limit: int | None = None) -> bytes:
        path = bbpe_home / "corpora" / name
        if path.exists():
            with path.open("rb") as file:
                data = file.read(-1 if limit is None else limit)
        else:
            with zstd.open(path.with_name(path.name + ".zst"), "rb") as file:
                data = file.read(-1 if limit is None else limit)
        return data.decode("utf-8", "ignore").encode() if limit is not None else data

    return read
