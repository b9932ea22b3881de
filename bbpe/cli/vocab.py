"""``bbpe vocab``: published vocabularies by name: what there is, where it comes from, and getting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import output, progress

if TYPE_CHECKING:
    from bbpe.catalogue import Entry
    from bbpe.downloads import Way
    from bbpe.holdings import Holding

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress and no notes.")
_SHOWN_TOKENS = 12


@click.group(name="vocab", short_help="List, download and add vocabularies by name.")
def command() -> None:
    """Vocabularies by name: the published ones that bbpe knows, and your own.

    What is downloaded or added lies in $BBPE_HOME/vocabs (by default in the user's cache folder), and every command
    that takes a vocabulary takes its name. Nothing is ever downloaded but by `bbpe vocab get`.

    \b
    Example:
      bbpe vocab list
      bbpe vocab show qwen2.5
    """


@command.command("list")
@click.option("--here", is_flag=True, help="Only those that are there.")
@json_option
def list_command(here: bool, as_json: bool) -> None:
    """List all names, and which of them are there."""
    from bbpe import catalogue
    from bbpe.holdings import is_here

    entries = [(entry, is_here(entry)) for entry in (*catalogue.entries().values(), *catalogue.own_entries())]
    shown = [(entry, there) for entry, there in entries if there or not here]
    if as_json:
        output.print_json([{**_record(entry), "here": there} for entry, there in shown])
        return
    rows = [("name", "here", "MB", "licence", "models")]
    for entry, there in shown:
        licence = entry.licence + (" (to be accepted)" if entry.gated else "")
        size = "?" if entry.size is None else f"{entry.size / 1e6:.1f}"
        rows.append((entry.name, "own" if entry.own else "yes" if there else "-", size, licence, entry.family))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for name, there_, size, licence, family in rows:
        line = f"{name:{widths[0]}}  {there_:{widths[1]}}  {size:>{widths[2]}}  {licence:{widths[3]}}  {family}"
        output.print_result(line.rstrip())


@command.command("show")
@click.argument("name")
@json_option
def show_command(name: str, as_json: bool) -> None:
    """Show what is known of NAME, and check what is there of it."""
    from bbpe.holdings import named

    found = named(name)
    if as_json:
        output.print_json({**_record(found.entry), **_here(found)})
        return
    for key, value in _described(found):
        output.print_result(f"{key + ':':16}{value}")


@command.command("get")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Download whatever is there; replace it when what came is verified.")
@click.option(
    "--way",
    type=click.Choice(["https", "huggingface_hub"]),
    default="https",
    show_default=True,
    help="How to reach the Hugging Face hub; huggingface_hub brings its own cache and login.",
)
@json_option
@quiet_option
def get_command(names: tuple[str, ...], force: bool, way: Way, as_json: bool, quiet: bool) -> None:
    """Download NAME... from where its publisher keeps it, and verify it.

    A download that was broken off goes on where it ended. Where the licence has to be accepted, accept it on the page
    that the error names and set HF_TOKEN to your token; HF_ENDPOINT names a mirror of the Hugging Face hub.

    \b
    Example:
      bbpe vocab get qwen2.5 deepseek-v3
    """
    from bbpe.downloads import get
    from bbpe.holdings import holding

    done = []
    for name in names:
        with progress.shown(quiet) as show:
            got = get(name, force=force, way=way, progress=show)
        found = holding(got.entry)
        done.append({**_record(got.entry), **_here(found), "downloaded": bool(got.fetched)})
        if not got.fetched:
            copy = " (not the publisher's file; --force downloads that)" if got.state == "other copy" else ""
            output.note(f"{got.entry.name}: there already{copy}", quiet)
        for file in got.fetched:
            how = {
                "catalogue": "the catalogue's sha256",
                "earlier download": "the sha256 of an earlier download",
                "first download": f"sha256 {file.sha256}, not known before and recorded now",
            }[file.vouched]
            output.note(f"{file.path.name}: {file.size:,} bytes, {how}", quiet)
        if not as_json:
            output.print_result(str(found.path))
    if as_json:
        output.print_json(done)


@command.command("where")
@click.argument("name")
@json_option
def where_command(name: str, as_json: bool) -> None:
    """Print the path of the file of NAME that is there."""
    from bbpe.errors import FormatError
    from bbpe.holdings import named

    found = named(name)
    if as_json:
        output.print_json(_here(found))
    elif found.problem:
        raise FormatError(found.problem)
    elif found.path is None:
        raise FormatError(f"{found.entry.name}: there is none; 'bbpe vocab get {found.entry.name}' downloads it")
    else:
        output.print_result(str(found.path))


@command.command("add")
@click.argument("name")
@click.argument("path")
@click.option("--format", "format_", metavar="FORMAT", help="The file's format.  [default: by its content]")
@click.option("--pattern", metavar="NAME|REGEX", help="What a .tiktoken or a merges.txt does not say.")
@click.option(
    "--special", "special", multiple=True, metavar="TOKEN=ID", help="A special token that the file does not name."
)
@click.option("--no-special", is_flag=True, help="There are none.")
@click.option("--lowercase/--cased", "lowercase", default=None, help="What a WordPiece vocab.txt does not say.")
@click.option("--force", is_flag=True, help="Replace what was added under this name before.")
@json_option
@quiet_option
def add_command(
    name: str,
    path: str,
    format_: str | None,
    pattern: str | None,
    special: tuple[str, ...],
    no_special: bool,
    lowercase: bool | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Keep a copy of the vocabulary at PATH under NAME.

    \b
    Example:
      bbpe vocab add mine mine.tiktoken --pattern llama3 --special '<|endoftext|>=32000'
    """
    from bbpe import io
    from bbpe.holdings import holding

    if special and no_special:
        raise click.UsageError("--special and --no-special contradict each other")
    tokens = dict(_special_token(text) for text in special) if special or no_special else None
    entry = io.add(name, path, format=format_, pattern=pattern, special_tokens=tokens, lowercase=lowercase, force=force)
    found = holding(entry)
    if as_json:
        output.print_json({**_record(entry), **_here(found)})
    else:
        output.note(f"{entry.name}: {entry.format}, {', '.join(file.name for file in entry.files)}", quiet)
        output.print_result(str(found.path))


def _special_token(text: str) -> tuple[str, int]:
    """``<s>=32000``; the last ``=`` counts."""
    content, _, id = text.rpartition("=")
    if not content or not id.isdecimal() or not id.isascii():
        raise click.BadParameter(f"{text!r} is no TOKEN=ID", param_hint="--special")
    return content, int(id)


def _record(entry: Entry) -> dict[str, Any]:
    """An entry as JSON."""
    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "family": entry.family,
        "own": entry.own,
        "algorithm": entry.algorithm,
        "format": entry.format,
        "pattern": None if entry.pattern is None else entry.pattern.name or list(entry.pattern.stages),
        "normalizer": entry.normalizer,
        "lowercase": entry.lowercase,
        "special_tokens": {special.content: special.id for special in entry.special_tokens},
        "template": {"before": list(entry.template.before), "after": list(entry.template.after)},
        "licence": entry.licence,
        "gated": entry.gated,
        "files": [
            {"name": file.name, "size": file.size, "sha256": file.sha256, "source": file.address()}
            for file in entry.files
        ],
        "note": entry.note,
    }


def _here(found: Holding) -> dict[str, Any]:
    """What is there of an entry, as JSON."""
    return {
        "state": found.state,
        "path": None if found.path is None else str(found.path),
        "present_files": [str(path) for path in found.files],
        "problem": found.problem or None,
    }


def _described(found: Holding) -> list[tuple[str, str]]:
    """An entry, and what is there of it, in words."""
    entry = found.entry
    lines = [("name", entry.name)]
    if entry.aliases:
        lines.append(("other names", ", ".join(entry.aliases)))
    lines += [("models", entry.family), ("algorithm", entry.algorithm), ("format", entry.format)]
    if entry.pattern is not None:
        lines.append(("pattern", str(entry.pattern)))
    if entry.normalizer:
        lines.append(("normalizer", entry.normalizer))
    if entry.lowercase is not None:
        lines.append(("lower case", "yes, and accents are stripped" if entry.lowercase else "no"))
    if entry.special_tokens:
        shown = ", ".join(f"{special.content} {special.id}" for special in entry.special_tokens[:_SHOWN_TOKENS])
        more = len(entry.special_tokens) - _SHOWN_TOKENS
        lines.append(("special tokens", shown + (f", and {more:,} more" if more > 0 else "")))
    names = {special.id: special.content for special in entry.special_tokens}
    for side, ids in (("before a text", entry.template.before), ("after a text", entry.template.after)):
        if ids:
            lines.append((side, " ".join(names.get(id, str(id)) for id in ids)))
    lines.append(("licence", entry.licence + (" (to be accepted before a download)" if entry.gated else "")))
    for file in entry.files:
        size = "size not known" if file.size is None else f"{file.size:,} bytes"
        lines.append(("file", f"{file.name}, {size}"))
        lines.append(("sha256", file.sha256 or "not known: the first download records it"))
        if file.address():
            lines.append(("from", str(file.address())))
    if entry.note:
        lines.append(("note", entry.note))
    state = {
        "publisher's": "the publisher's, verified",
        "other copy": "another copy than the catalogue's file; trusted by its name",
        "own": "yours, as it was added",
        "damaged": found.problem,
        "absent": f"no; 'bbpe vocab get {entry.name}' downloads it, or put it there by hand",
    }[found.state]
    lines.append(("here", state))
    lines += [("path", str(path)) for path in found.files or [entry.path() / file.name for file in entry.files]]
    return lines
