"""The blocks of docs/drop_in.md and docs/bulk.md run as they stand, one after the other, in a new folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("guide", ["drop_in.md", "bulk.md"])
def test_every_block_runs(guide: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / guide).read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    if "import transformers" in page or "from transformers" in page:
        pytest.importorskip("transformers")
    shutil.copytree(ROOT / "corpora" / "tiny", tmp_path / "corpora" / "tiny")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "bbpe"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from bbpe.cli import main; main()" "$@"\n', "utf-8")
    command.chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    assert len(blocks) >= 5
    # Blocks of one language that follow one another share a process: starting Python takes longer than most of them.
    runs: list[tuple[str, str]] = []
    for language, block in blocks:
        if runs and runs[-1][0] == language:
            runs[-1] = language, runs[-1][1] + block
        else:
            runs.append((language, block))
    for language, block in runs:
        arguments = ["sh", "-e", "-c", block] if language == "sh" else [sys.executable, "-W", "error", "-c", block]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
