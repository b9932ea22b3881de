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
    parts = [
        f'"""The stages of the named patterns, compiled, of Unicode {unicode_version()}.\n\n'
        "Written by scripts/make_compiled_patterns.py; not to be edited. Read through bbpe.patterns.\n"
        '"""\n\n# fmt: off\nSTAGES: dict[str, tuple[str, str, str]] = {\n'
    ]
    for stage in dict.fromkeys(stage for pattern in named_patterns().values() for stage in pattern.stages):
        texts = (textwrap.fill(text, 118, break_on_hyphens=False) for text in compile_pattern(stage).written())
        parts += [f"    {stage!r}: (\n", *(f'        """\n{text}\n""",\n' for text in texts), "    ),\n"]
    return "".join([*parts, "}\n"])


if __name__ == "__main__":
    TARGET.write_text(source(), "utf-8")
