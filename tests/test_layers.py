"""The order of imports: a module imports only from those above it in the house."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bbpe

PACKAGE = Path(bbpe.__file__).parent

# Lower layers first; modules in one line may not import one another, but for a package's own parts.
LAYERS = [
    ["errors", "protobuf", "_types"],
    ["_pretokenize", "atomic", "threads"],
    ["_count", "_encode", "_json_lines", "_merge", "_splits"],
    ["_characters", "_joint", "_sieve"],
    ["memory", "runs"],
    ["reference"],
    ["_unicode_tables", "_compiled_patterns"],
    ["unicode"],
    ["expression"],
    ["automaton"],
    ["patterns"],
    ["normalizer"],
    ["vocabulary"],
    ["tokenizer"],
    ["engines"],
    ["corpus"],
    ["forecast"],
    ["counts"],
    ["checkpoints", "count_files", "sifting"],
    ["mixture", "spark"],
    ["training"],
    ["catalogue"],
    ["formats"],
    ["holdings"],
    ["io"],
    ["downloads"],
    ["adapters"],
    ["bulk", "conversion"],
    ["embeddings"],
    ["extension"],
    ["checkpoint"],
    ["analysis"],
    ["report"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
SOURCES = sorted(path for pattern in ("*.py", "*.pyx", "*.pxd") for path in PACKAGE.rglob(pattern))


def home(path: Path) -> str:
    """The part of the house that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].split(".")[0]


def imports(path: Path) -> list[str]:
    """What a file imports of bbpe, by the part of the house; imports for type checkers alone do not count."""
    if path.suffix != ".py":
        lines = (line.split() for line in path.read_text("utf-8").splitlines())
        return [
            words[1].split(".")[1]
            for words in lines
            if len(words) > 2 and words[0] in ("from", "cimport", "import") and words[1].startswith("bbpe.")
        ]
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "bbpe":
            parts = node.module.split(".")
            found += [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names if alias.name in LEVEL]
        elif isinstance(node, ast.Import):
            found += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bbpe.")]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_those_above_it(path: Path) -> None:
    part = home(path)
    if part == "__init__":
        return
    assert part in LEVEL, f"{part} has no place in the order of the house: add it to LAYERS"
    for imported in imports(path):
        assert imported == part or LEVEL[imported] < LEVEL[part], f"{part} imports {imported}, which stands above it"


def test_only_tests_import_the_specification() -> None:
    assert not [path for path in SOURCES if home(path) != "reference" and "reference" in imports(path)]


def test_the_specification_imports_nothing_of_bbpe() -> None:
    assert imports(PACKAGE / "reference.py") == []


def test_public_names_are_all_there_and_have_docstrings() -> None:
    assert sorted(bbpe._HOMES) == bbpe.__all__
    for name in bbpe.__all__:
        value = getattr(bbpe, name)
        assert value.__doc__, name
        assert name in dir(bbpe)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bbpe.nothing  # noqa: B018


def test_a_public_function_and_a_module_never_share_a_name() -> None:
    modules = {home(path) for path in SOURCES}
    assert not modules & set(bbpe.__all__)


def test_importing_bbpe_loads_no_peer_library() -> None:
    code = (
        "import sys, bbpe, bbpe.cli; "
        "print(sorted({'tiktoken', 'sentencepiece', 'tokenizers', 'transformers', 'pyarrow', 'rich'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
