"""``bbpe convert``: a vocabulary to another format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bbpe.cli import options, output

if TYPE_CHECKING:
    from bbpe.conversion import Conversion, LlamaCpp


@click.command(name="convert", short_help="Write a vocabulary in another format.")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@click.option("--from", "source_format", metavar="FORMAT", help="Format of IN.  [default: told by its content]")
@click.option("--to", "target_format", metavar="FORMAT", help="Format of OUT.  [default: told by its name]")
@click.option("--pattern", metavar="NAME|REGEX", help="The pattern, where IN does not carry it.")
@click.option(
    "--special",
    multiple=True,
    metavar="TOKEN=ID",
    help='A special token, where IN does not carry them; may be given several times. "none" for none.',
)
@click.option("--drop-normalizer", is_flag=True, help="Leave the normalizer out where OUT cannot say it.")
@click.option("--pre", metavar="NAME", help="For GGUF: llama.cpp's pre-tokenizer, with its pattern instead of IN's.")
@click.option("--bos", metavar="TOKEN", help="For GGUF: the special token that begins a text.")
@click.option("--eos", metavar="TOKEN", help="For GGUF: the special token that ends a text.")
@click.option("--pad", metavar="TOKEN", help="For GGUF: the padding token.")
@click.option("--no-verify", is_flag=True, help="Do not compare with the library that OUT is for.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@options.output_options
def command(
    source: str,
    target: str,
    source_format: str | None,
    target_format: str | None,
    pattern: str | None,
    special: tuple[str, ...],
    drop_normalizer: bool,
    pre: str | None,
    bos: str | None,
    eos: str | None,
    pad: str | None,
    no_verify: bool,
    as_json: bool,
    quiet: bool,
    force: bool,
) -> None:
    """Write the byte-level vocabulary IN (a file, a folder, or a name such as llama3) in the format of OUT.

    \b
    OUT                        format
      a folder                 directory: tokenizer.json and tokenizer_config.json, for transformers
      out.json                 tokenizer.json
      out.tiktoken             tiktoken, with a sidecar for pattern and special tokens
      vocab.json, merges.txt   vocab+merges: both, with a sidecar
      out.gguf                 gguf: a vocabulary for llama.cpp

    What was written is loaded by the library that OUT is for and gives the same ids on some 100,000 texts, or it is not
    left there. What OUT cannot say exactly is refused with the reason.

    \b
    Example:
      bbpe convert tiny-2000 tiny-2000.gguf
    """
    from bbpe.conversion import Changes, convert
    from bbpe.formats.gguf_file import Roles

    done = convert(
        source,
        target,
        source_format=source_format,
        target_format=target_format,
        pattern=pattern,
        special_tokens=_special_tokens(special),
        changes=Changes(drop_normalizer=drop_normalizer, pre=pre, roles=Roles(bos, eos, pad)),
        force=force,
        verify=not no_verify,
    )
    if as_json:
        output.print_json(_record(done))
    else:
        output.print_result("\n".join(_lines(done)))
    for note in done.notes:
        output.note(note, quiet)


def _special_tokens(given: tuple[str, ...]) -> dict[str, int] | None:
    """``TOKEN=ID`` as content to id; the last ``=`` is the one that counts."""
    if not given:
        return None
    if given == ("none",):
        return {}
    tokens: dict[str, int] = {}
    for text in given:
        content, equals, digits = text.rpartition("=")
        if not equals or not content or not (digits.isascii() and digits.isdigit()):
            raise click.BadParameter(
                f"{text!r} is not TOKEN=ID, for example '<|endoftext|>=50256'", param_hint="--special"
            )
        if content in tokens:
            raise click.BadParameter(f"{content!r} is given twice", param_hint="--special")
        tokens[content] = int(digits)
    return tokens


def _record(done: Conversion) -> dict[str, Any]:
    ranks = done.ranks
    return {
        "source": done.source,
        "path": str(done.target),
        "format": done.format,
        "files": [path.name for path in done.files],
        "vocab_size": done.vocab_size,
        "read_as": done.read_as,
        "written_as": done.written_as,
        "merges": done.merges,
        "ranks": None
        if ranks is None
        else {
            "tokens": ranks.tokens,
            "splits": ranks.splits,
            "canonical": ranks.canonical is not None,
            "without_canonical": ranks.without_canonical,
            "unreachable": ranks.unreachable,
            "unreachable_by_canonical": ranks.unreachable_by_canonical,
        },
        "unreachable": done.unreachable,
        "verification": None
        if done.verification is None
        else {
            "library": done.verification.library,
            "compared": done.verification.compared,
            "texts": done.verification.texts,
            "ids": done.verification.ids,
        },
        "llama_cpp": {
            "pre": done.llama_cpp.pre,
            "reason": done.llama_cpp.reason,
            "chkhsh": done.llama_cpp.check_hash,
            "published": list(done.llama_cpp.published),
        },
        "notes": list(done.notes),
    }


def _lines(done: Conversion) -> list[str]:
    lines = [f"{done.target}: {done.vocab_size:,} entries as {done.format}, from {done.source}", _merges(done)]
    if done.unreachable and done.ranks is None:
        lines.append(f"unreachable: {done.unreachable:,} tokens that {done.read_as} alone never make")
    verified = done.verification
    if verified is None:
        lines.append("not verified")
    else:
        lines.append(
            f"verified: {verified.library} gives the same {verified.ids:,} ids on {verified.texts:,} texts "
            f"({verified.compared})"
        )
    lines.append(_llama_cpp(done.llama_cpp))
    return lines


def _merges(done: Conversion) -> str:
    ranks = done.ranks
    if ranks is None:
        if done.written_as == "ranks":
            kept = "kept" if done.read_as == "ranks" else "in the place of the merges, whose order ids follow"
            return f"merges: none; ranks, {kept}"
        return f"merges: {done.merges:,}, kept as they are"
    if ranks.canonical is not None:
        return (
            f"merges: {done.merges:,}, one for each token of two bytes or more (canonical, proven to do what ranks do)"
        )
    return (
        f"merges: {done.merges:,}, all splits of {ranks.tokens:,} tokens; {ranks.without_canonical:,} have no canonical "
        f"two-part split, {ranks.unreachable:,} are unreachable by the ranks alone "
        f"(canonical merges would make it {ranks.unreachable_by_canonical:,})"
    )


def _llama_cpp(found: LlamaCpp) -> str:
    pre = f"its pre-tokenizer {found.pre!r} does the same" if found.pre else f"no: {found.reason}"
    if found.check_hash is None:
        return f"llama.cpp: {pre}"
    known = f"knows as {', '.join(found.published)}" if found.published else "does not know"
    return f"llama.cpp: {pre}; chkhsh {found.check_hash}, which its converter {known}"
