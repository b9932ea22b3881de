"""Write ``bbpe/_compiled_patterns.py``: the stages of the named patterns, compiled.

Compiling takes some 10 ms, which every process would spend that trains, counts or encodes. Run
``python scripts/make_compiled_patterns.py`` after a change of the patterns, of the compiler or of the tables of Unicode, and
commit the result; a test compares it with what the compiler says.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from bbpe.automaton import compile_pattern
from bbpe.patterns import named_patterns
from bbpe.unicode import unicode_version

TARGET = Path(__file__).resolve().parent.parent / "bbpe" / "_compiled_patterns.py"


def source() -> str:
    """The module's text."""
    stages = dict.fromkeys(stage for pattern in named_patterns().values() for stage in pattern.stages)
    written = {stage: compile_pattern(stage).written() for stage in stages}
    names: dict[str, str] = {}  # of the ranges, which many stages share
    for _, ranges, _ in written.values():
        names.setdefault(ranges, f"RANGES_{len(names)}")
    parts = [
        f'"""The stages of the named patterns, compiled, of Unicode {unicode_version()}.\n\n'
        "Written by scripts/make_compiled_patterns.py; not to be edited. Read through bbpe.patterns.\n"
        '"""\n\n# fmt: off\n'
    ]
    parts += [f"{name} = {_filled(ranges)}\n" for ranges, name in names.items()]
    parts.append("STAGES: dict[str, tuple[str, str, str]] = {\n")
    for stage, (rows, ranges, safe) in written.items():
        parts.append(f"    {stage!r}: ({_filled(rows)}, {names[ranges]}, {_filled(safe)}),\n")
    return "".join([*parts, "}\n"])


def _filled(text: str) -> str:
    return '"""\n' + textwrap.fill(text, 118, break_on_hyphens=False) + '\n"""'


if __name__ == "__main__":
    TARGET.write_text(source(), "utf-8")
