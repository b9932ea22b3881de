"""Write docs/cli.md from the help texts of the command line. ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bbpe.cli import COMMANDS, group

TARGET = Path(__file__).parent.parent / "docs" / "cli.md"
INTRODUCTION = """\
# The command line

Made by `scripts/make_cli_docs.py` from the help texts; a test says whether it is current.
"""


def help_of(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    """The help text as `bbpe NAME --help` prints it, 100 columns wide."""
    settings = {**command.context_settings, "max_content_width": 100}
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, **settings)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def page() -> str:
    """The whole page."""
    top = click.Context(group, info_name="bbpe")
    sections = [INTRODUCTION, f"```text\n{help_of(group, 'bbpe')}\n```\n"]
    for name in COMMANDS:
        command = group.get_command(top, name)
        assert command is not None
        sections.append(f"## bbpe {name}\n\n```text\n{help_of(command, name, top)}\n```\n")
        if isinstance(command, click.Group):
            inside = click.Context(command, info_name=name, parent=top)
            for part, subcommand in sorted(command.commands.items()):
                sections.append(f"### bbpe {name} {part}\n\n```text\n{help_of(subcommand, part, inside)}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit(f"{TARGET} is not current: run {Path(__file__).name}")
    else:
        TARGET.write_text(text, encoding="utf-8")
