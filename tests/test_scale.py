"""docs/scale.md: its commands run, its tables are what the records say, its sums follow from them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bbpe.cli import run
from bbpe.count_files import read_counts
from bbpe.counts import count_pretokens

sys.path.append(str(Path(__file__).parent.parent))

from benchmarks import growth

pytest.importorskip("pyarrow")

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that need no Spark; the others run in test_spark.py."""
    shutil.copytree(ROOT / "corpora" / "tiny", tmp_path / "corpora" / "tiny")
    monkeypatch.chdir(tmp_path)
    commands = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
    assert all(command.startswith("bbpe ") for command in commands)
    here = [command for command in commands if "spark" not in command]
    assert len(here) >= 6
    for command in here:
        arguments = [*shlex.split(command)[1:], "-q"]
        # A limit of memory is for the whole process, and this one holds what earlier tests left.
        alone = "--memory" in arguments
        code = _run_alone(arguments) if alone else run(arguments)
        assert code == 0, command
    expected = count_pretokens([Path("corpora/tiny/train") / name for name in ("zh.txt", "en.txt")])
    assert read_counts("zh.parquet") + read_counts("en.parquet") == expected


def _run_alone(arguments: list[str]) -> int:
    command = [sys.executable, "-c", "from bbpe.cli import main; main()", *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode


def test_the_tables_are_what_the_records_say() -> None:
    assert growth.rendered(PAGE) == PAGE


def test_the_law_that_is_fitted() -> None:
    """Exact where the numbers follow one; the residuals are of the numbers, and the last size is held out."""
    sizes = [10**power for power in range(3, 9)]
    law = growth.Law.fitted(sizes, [round(7 * size**0.6) for size in sizes])
    assert law.k == pytest.approx(7, rel=1e-2)
    assert law.beta == pytest.approx(0.6, rel=1e-3)
    assert max(map(abs, law.residuals)) < 0.01 > abs(law.held_out)
    bent = growth.Law.fitted(sizes, [1000, 2000, 4000, 8000, 16000, 16000])
    assert bent.held_out == pytest.approx(-0.5)
    assert bent.residuals[0] < 0 > bent.residuals[-1]


def test_the_records_are_of_every_size_from_one_megabyte_on() -> None:
    for (task, _, _), line in growth.records().items():
        if task != "count":
            continue
        sizes = [point["bytes"] for point in line["points"]]
        assert sizes[0] < 1.1e6
        assert sizes[-1] > 97e6
        assert len(sizes) == 8
        for point in line["points"]:
            distinct = [point["at_least"][str(least)]["distinct"] for least in growth.LEASTS]
            assert distinct == sorted(distinct, reverse=True)
            assert point["at_least"]["1"]["bytes"] == point["bytes"]
