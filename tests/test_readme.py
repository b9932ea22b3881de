"""Every block of the README runs as it stands, in a copy of what a new user has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import bbpe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.splitlines()) <= 150


def test_every_block_runs_in_order(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "corpora" / "tiny", tmp_path / "corpora" / "tiny")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "bbpe"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from bbpe.cli import main; main()" "$@"\n', "utf-8")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(bbpe.__file__).parent.parent),
    }
    run = 0
    for language, block in BLOCKS:
        if "pip install" in block:  # continuous integration runs these two
            continue
        arguments = ["sh", "-e", "-c", block] if language == "sh" else [sys.executable, "-c", block]
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        run += 1
    assert run >= 4
    assert (tmp_path / "tiny-2k" / "tokenizer.json").exists()
    assert (tmp_path / "ids.npy").exists()


def test_continuous_integration_runs_the_install_and_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    first, second = (block for _, block in BLOCKS if "pip install" in block)
    assert first.strip() in script
    assert second.strip() in script
