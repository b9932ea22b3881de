"""Patterns by name, their spelling in four dialects, and ``Pretokenizer``, which splits text with one.

A pattern decides where merges can never cross. It is written as a regular expression, or as several that are applied
one after another (*stages*: each splits every piece of the stage before as if it were a whole text). Every stage
isolates its matches; what stands between two matches is a pretoken too.

**One pattern, four dialects.** A pattern is carried to other programs as text, and these read the same text
differently: ``$`` is the end of the text in tiktoken, also before a last newline in ``regex``, the end of any line in
Oniguruma; ``{1,3}+`` takes nothing back in ``regex`` and tiktoken, and repeats in Oniguruma; Oniguruma's ``\\w`` is
another set. ``Pattern.spelling`` gives the text for each dialect. Nothing is copied in good faith: the spelling is
parsed as its dialect reads it, compiled, and the automaton compared with the pattern's own (``Machine.same_matches``,
which decides equality). For llama.cpp there is only a name; its code for that name is not checked here.

**The named patterns** and where they come from are in ``_NAMED`` below. Falcon's pre-tokenizer has no pattern: its last
two stages (``Digits`` and ``[0-9][0-9][0-9]``) run after the bytes have become the characters of GPT-2's alphabet, in
which for example the bytes B2, B3 and B9 are the digits ² ³ ¹, so they cut inside characters. No pattern over text says
that.

How a pattern is compiled is in ``automaton.py``; running it, in ``_pretokenize.pyx``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bbpe._pretokenize import Automaton, Cascade
from bbpe.automaton import Inexpressible, Machine, compile_pattern
from bbpe.errors import PatternError
from bbpe.expression import Dialect, spell_out

MAX_STAGES = 16


class SlowPatternWarning(UserWarning):
    """A pattern that no automaton can be made of runs on the ``regex`` package: the same pretokens, more slowly."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern: what it is, not yet compiled. Two patterns are equal when their stages are.

    Attributes:
        stages: regular expressions in the dialect of ``regex`` (PyPI), one for each stage.
        name: the name of a named pattern.
    """

    stages: tuple[str, ...]
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.stages, tuple) or not all(isinstance(stage, str) for stage in self.stages):
            raise TypeError(f"stages is a tuple of regular expressions, not {self.stages!r}")
        if not 1 <= len(self.stages) <= MAX_STAGES:
            raise PatternError(f"a pattern has 1 to {MAX_STAGES} stages, not {len(self.stages)}")

    def __str__(self) -> str:
        return self.name or " then ".join(self.stages)

    def spelling(self, dialect: Literal["regex", "tiktoken", "oniguruma", "llama.cpp"]) -> str | tuple[str, ...]:
        """How another program writes this pattern.

        Returns:
            ``regex`` and ``oniguruma``: one expression for each stage (for tokenizer.json, a ``Split`` with behaviour
            ``Isolated`` each). ``tiktoken``: one string. ``llama.cpp``: the value of ``tokenizer.ggml.pre``.

        Raises:
            PatternError: that dialect has none that is proven to give the same pretokens; the message says why.

        >>> get_pattern("cl100k").spelling("oniguruma")[0][-28:]
        '\\\\s+\\\\z|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s'
        """
        if dialect == "regex":
            return self.stages
        if dialect == "llama.cpp":
            return self._llama_cpp_name()
        if dialect == "tiktoken":
            if len(self.stages) > 1:
                raise PatternError(f"pattern {self} has {len(self.stages)} stages; tiktoken takes one expression")
            if isinstance(_machines(self.stages), tuple) and not self.covers_everything:
                raise PatternError(
                    f"pattern {self} leaves some text between its matches, which tiktoken would drop in silence"
                )
            return _spelled(self, "tiktoken")[0]
        if dialect == "oniguruma":
            return _spelled(self, "oniguruma")
        raise PatternError(f"unknown dialect {dialect!r}; known: regex, tiktoken, oniguruma, llama.cpp")

    def _llama_cpp_name(self) -> str:
        named = _by_stages().get(self.stages)
        if named is None or named.llama_cpp is None:
            raise PatternError(f"llama.cpp has no name for the pattern {self}; known: {', '.join(llama_cpp_names())}")
        return named.llama_cpp

    def protecting(self, strings: Iterable[str]) -> Pattern:
        """The pattern in which every occurrence of one of these strings is a pretoken: ``reference.protecting``.

        Of occurrences that overlap the leftmost counts, and of those that begin at one place the longest.

        Raises:
            PatternError: A stage begins with flags such as ``(?i)``, which would apply to the strings, too; there are
                as many stages as there may be; an empty string; or more strings than an automaton can tell apart, which
                is some 80 words, or 120 different characters.

        >>> Pretokenizer(get_pattern("llama3").protecting(["C++", "cat"])).split("C++ concatenates")
        [b'C++', b' con', b'cat', b'enates']
        """
        longest_first = sorted(set(strings), key=lambda string: (-len(string), string))
        if not longest_first:
            return self
        if not longest_first[-1]:
            raise PatternError("a string to protect is empty; leave it out")
        for stage in self.stages:
            if re.match(r"\(\?[a-zA-Z0-9]+\)", stage):
                raise PatternError(f"pattern {self} begins with flags for all of it; write (?i:...) to protect strings")
        isolated = "|".join(re.sub(r"[][\\.^$*+?{}()|]", r"\\\g<0>", string) for string in longest_first)
        protected = Pattern((isolated, *(f"{isolated}|{stage}" for stage in self.stages)))
        too_many = _machines(protected.stages)
        if isinstance(too_many, str) and not isinstance(_machines(self.stages), str):
            reason = too_many.rpartition("': ")[2].rpartition('": ')[2]
            raise PatternError(f"{len(longest_first)} strings to protect are too many for one pattern: {reason}")
        return protected

    @property
    def covers_everything(self) -> bool:
        """Whether no text is ever left between two matches. A pattern that runs on ``regex`` is not shown to."""
        machines = _machines(self.stages)
        # A later stage only splits further.
        return isinstance(machines, tuple) and any(machine.covers_everything for machine in machines)


@dataclass(frozen=True, slots=True)
class _Named:
    """A published pattern.

    Attributes:
        source: where it was read.
        stages: as ``regex`` reads it.
        tiktoken, oniguruma: where another spelling is needed or is the published one.
        llama_cpp: the value of ``tokenizer.ggml.pre``.
        published: further published spellings, (dialect, stages), that mean the same.
    """

    name: str
    source: str
    stages: tuple[str, ...]
    tiktoken: str | None = None
    oniguruma: tuple[str, ...] | None = None
    llama_cpp: str | None = None
    published: tuple[tuple[Dialect, tuple[str, ...]], ...] = ()


_TIKTOKEN = "openai/tiktoken, tiktoken_ext/openai_public.py at 4e71bbe0c078"
_LLAMA_CPP = "ggml-org/llama.cpp, src/llama-vocab.cpp at 00ad355e009e"
_CASED = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_CASED_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_DEEPSEEK_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556"
    "\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4"
    "\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b"
    "\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
_BLOOM_STOPS = ".,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c"


def _deepseek(newlines: str, spaces_at_the_end: str) -> tuple[str, ...]:
    return (
        newlines,
        rf"\s?[{_DEEPSEEK_LETTERS}]+",
        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        spaces_at_the_end,
        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
        r"\p{N}+",
    )


_NAMED = (
    _Named(
        "gpt2",
        f"the GPT-2 release, quoted in {_TIKTOKEN}; also GPT-NeoX, Aquila and the default of tokenizers' ByteLevel",
        (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",),
        llama_cpp="gpt-2",
        published=(
            ("tiktoken", (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",)),
            ("tiktoken", (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",)),
            ("oniguruma", (r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",)),
        ),
    ),
    _Named(
        "cl100k",
        _TIKTOKEN,
        (
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s+\Z|\s*[\r\n]|\s+(?!\S)|\s",
        ),
        tiktoken=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
            r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
        oniguruma=(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s+\z|\s*[\r\n]|\s+(?!\S)|\s",
        ),
    ),
    _Named(
        "llama3",
        "meta-llama/llama-models, models/llama3/tokenizer.py at a9c89c471f79; also GLM-4 and the cl100k of tiktoken "
        "before 0.8 (without \\s++$, so white space at the end of a text is cut after its last newline)",
        (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",),
        llama_cpp="llama-bpe",
    ),
    _Named(
        "qwen2",
        "Qwen/Qwen-7B, tokenization_qwen.py; the tokenizer.json of Qwen2 and Qwen2.5",
        (rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",),
        llama_cpp="qwen2",
    ),
    _Named(
        "o200k",
        _TIKTOKEN,
        (
            rf"{_CASED}{_CONTRACTIONS}?|{_CASED_UPPER}{_CONTRACTIONS}?|\p{{N}}{{1,3}}"
            rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",
        ),
        llama_cpp="gpt-4o",
    ),
    _Named(
        "tekken",
        "Mistral's tekken.json (config.pattern)",
        (rf"{_CASED}|{_CASED_UPPER}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}",),
        llama_cpp="tekken",
    ),
    _Named(
        "bloom",
        _LLAMA_CPP,
        (rf" ?[^(\s|{_BLOOM_STOPS})]+",),
        llama_cpp="bloom",
        published=(("oniguruma", (rf" ?[^(\s|[{_BLOOM_STOPS}])]+",)),),
    ),
    _Named(
        "deepseek-v2",
        f"{_LLAMA_CPP} (deepseek-llm); also DeepSeek-LLM. Its vocabulary has no token of two digits, so whether a "
        "run of digits is one pretoken changes no id",
        _deepseek(r"[\r\n]", r"\s+$"),
        # The first stage leaves no newline beside anything else, so the end of a line is the end of a piece; but only
        # \z is the end of the text wherever it stands.
        oniguruma=_deepseek(r"[\r\n]", r"\s+\z"),
        llama_cpp="deepseek-llm",
        published=(
            ("oniguruma", _deepseek(r"[\r\n]", r"\s+$")),
            ("oniguruma", _deepseek("[\r\n]", r"\s+$")),
        ),
    ),
)


@lru_cache(maxsize=1)
def named_patterns() -> Mapping[str, Pattern]:
    """The published patterns by name.

    >>> sorted(named_patterns())
    ['bloom', 'cl100k', 'deepseek-v2', 'gpt2', 'llama3', 'o200k', 'qwen2', 'tekken']
    """
    return MappingProxyType({named.name: Pattern(named.stages, named.name) for named in _NAMED})


@lru_cache(maxsize=1)
def llama_cpp_names() -> Mapping[str, Pattern]:
    """llama.cpp's names (``tokenizer.ggml.pre``) and the patterns that these stand for.

    llama.cpp writes some of them differently (it has no ``\\p{Lu}``, so its gpt-4o and tekken treat other letters than
    A–Z as both cases); what is given is the pattern that the vocabulary was made with.
    """
    return MappingProxyType({n.llama_cpp: named_patterns()[n.name] for n in _NAMED if n.llama_cpp is not None})


@lru_cache(maxsize=1)
def _by_stages() -> Mapping[tuple[str, ...], _Named]:
    return {named.stages: named for named in _NAMED}


@lru_cache(maxsize=1)
def _by_spelling() -> Mapping[tuple[str, ...], Pattern]:
    found: dict[tuple[str, ...], Pattern] = {}
    for named in _NAMED:
        spellings = [named.stages, *(stages for _, stages in named.published)]
        spellings += [(named.tiktoken,)] if named.tiktoken else []
        spellings += [named.oniguruma] if named.oniguruma else []
        for spelling in spellings:
            found[spelling] = named_patterns()[named.name]
    return found


def identify(stages: str | Sequence[str]) -> Pattern | None:
    """The named pattern that a published spelling, in whichever dialect, belongs to; None if it is none of them."""
    return _by_spelling().get((stages,) if isinstance(stages, str) else tuple(stages))


def get_pattern(name_or_regex: str | Sequence[str] | Pattern) -> Pattern:
    """A pattern by name, from a regular expression, or from several (stages).

    Args:
        name_or_regex: a known name; else a regular expression in the dialect of ``regex``, or a sequence of these.

    Raises:
        PatternError: a bare word that is no known name.

    >>> get_pattern("llama3").name, get_pattern(r"\\w+|\\W").name
    ('llama3', None)
    """
    if isinstance(name_or_regex, Pattern):
        return name_or_regex
    if isinstance(name_or_regex, str):
        known = named_patterns().get(name_or_regex)
        if known is not None:
            return known
        if re.fullmatch(r"(?:[\w.-]*\w[\w.-]*)?", name_or_regex):
            raise PatternError(
                f"unknown pattern {name_or_regex!r}; known: {', '.join(sorted(named_patterns()))}. "
                f"For the expression that matches this word write (?:{name_or_regex})"
            )
        name_or_regex = (name_or_regex,)
    elif not isinstance(name_or_regex, Sequence) or not all(isinstance(stage, str) for stage in name_or_regex):
        raise TypeError(f"a pattern is a name, a regular expression or a sequence of these, not {name_or_regex!r}")
    stages = tuple(name_or_regex)
    named = _by_stages().get(stages)
    return named_patterns()[named.name] if named is not None else Pattern(stages)


def from_spelling(spelling: str | Sequence[str], dialect: Dialect) -> Pattern:
    """The pattern that another program's file spells.

    Args:
        spelling: one expression, or one for each stage.
        dialect: whose file it is.

    Raises:
        PatternError: malformed, or not proven to mean the same in the dialect of ``regex``.
    """
    stages = (spelling,) if isinstance(spelling, str) else tuple(spelling)
    known = identify(stages)
    if known is not None:
        return known
    pattern = Pattern(tuple(_translated(stage, dialect, "regex") for stage in stages))
    return identify(pattern.stages) or pattern


# --- Spellings --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _spelled(pattern: Pattern, dialect: Dialect) -> tuple[str, ...]:
    named = _by_stages().get(pattern.stages)
    if named is not None and dialect == "tiktoken" and named.tiktoken is not None:
        return (named.tiktoken,)
    if named is not None and dialect == "oniguruma" and named.oniguruma is not None:
        return named.oniguruma
    return tuple(_translated(stage, "regex", dialect) for stage in pattern.stages)


def _translated(stage: str, source: Dialect, target: Dialect) -> str:
    """The expression as ``target`` writes what ``source`` reads; the first candidate that is proven to be the same."""
    try:
        meant = compile_pattern(stage, source)
    except Inexpressible as error:
        raise PatternError(f"pattern {stage!r} cannot be carried from {source} to {target}: {error}") from None
    reasons = []
    for candidate in _candidates(stage, target):
        reason = _difference(candidate, target, meant)
        if reason is None:
            return candidate
        reasons.append(reason)
    raise PatternError(f"pattern {stage!r} has no spelling for {target} that is proven the same: {reasons[0]}")


def _difference(candidate: str, dialect: Dialect, meant: Machine) -> str | None:
    """Why an expression does not mean the same in a dialect; None if it does."""
    try:
        same = compile_pattern(candidate, dialect).same_matches(meant)
    except (PatternError, Inexpressible) as error:
        return str(error)
    return None if same else f"{dialect} reads {candidate!r} differently"


_END_OF_TEXT: Mapping[str, str] = {"regex": r"\Z", "tiktoken": "$", "oniguruma": r"\z"}


def _candidates(stage: str, target: Dialect) -> list[str]:
    """Ways to write the stage; each is checked by the caller, so a wrong one costs time, not correctness."""
    ends = re.sub(r"(?<!\\)((?:\\\\)*)(?:\\[zZ]|\$(?![^\[]*\]))", lambda m: m[1] + _END_OF_TEXT[target], stage)
    dot_all = "m" if target == "oniguruma" else "s"
    ends = re.sub(r"(?<!\\)((?:\\\\)*)\(\?[sm]:", rf"\1(?{dot_all}:", ends)
    plain = re.sub(r"([?*+}])\+", r"\1", ends)
    sets = stage.replace("(?V1)", "")
    found = [stage, ends, plain, sets, plain.replace("(?V1)", ""), "(?V1)" + ends]
    return list(dict.fromkeys(found))


# --- Splitting --------------------------------------------------------------------------------------------------------


def _compiled(stage: str) -> Machine | None:
    """A stage of a named pattern, as ``compile_pattern`` would compile it again in every process."""
    from bbpe._compiled_patterns import STAGES

    return Machine.read(*STAGES[stage]) if stage in STAGES else None


@lru_cache(maxsize=32)
def _machines(stages: tuple[str, ...]) -> tuple[Machine, ...] | str:
    """The compiled stages, or why they cannot be compiled."""
    stage = ""
    try:
        machines = []
        for stage in stages:
            machines.append(_compiled(stage) or compile_pattern(stage))  # `stage` is named in the message
    except Inexpressible as error:
        return f"{stage!r}: {error}"
    return tuple(machines)


@lru_cache(maxsize=32)
def _automata(stages: tuple[str, ...]) -> tuple[Automaton, ...]:
    machines = _machines(stages)
    assert isinstance(machines, tuple)
    return tuple(Automaton(m.next_state, m.accept, m.class_starts, m.class_ids, m.safe) for m in machines)


@lru_cache(maxsize=32)
def _regex_of(stage: str) -> Any:
    """The stage for the ``regex`` package, its sets spelled out. It is imported only here: few patterns need it."""
    regex: Any = import_module("regex")
    try:
        compiled = regex.compile(spell_out(stage), regex.VERSION0)
    except regex.error as error:
        raise PatternError(f"pattern {stage!r} does not compile: {error}") from None
    if compiled.match(""):
        raise PatternError(f"pattern {stage!r} can match the empty string; a pretoken has at least one character")
    return compiled


_warned: set[tuple[str, ...]] = set()


class Pretokenizer:
    """Splits text into pretokens.

    Immutable, picklable, usable from many threads. Compiling takes some 20 ms, but for named patterns, and is shared
    by all instances of a pattern.

    Attributes:
        pattern: the pattern.
        automata: one for each stage; None when the pattern runs on ``regex``.
    """

    __slots__ = ("_cascade", "_regexes", "automata", "pattern")

    pattern: Pattern
    automata: tuple[Automaton, ...] | None

    def __init__(self, pattern: Pattern | str | Sequence[str]) -> None:
        """
        Args:
            pattern: as ``get_pattern`` takes it.

        Raises:
            PatternError: it does not compile, can match the empty string, or is an unknown name.
        """
        self.pattern = get_pattern(pattern)
        self.automata = None
        self._cascade: Cascade | None = None
        self._regexes: tuple[Any, ...] = ()
        machines = _machines(self.pattern.stages)
        if isinstance(machines, tuple):
            self.automata = _automata(self.pattern.stages)
            self._cascade = Cascade(self.automata)
            return
        self._regexes = tuple(map(_regex_of, self.pattern.stages))
        if self.pattern.stages not in _warned:
            _warned.add(self.pattern.stages)
            warnings.warn(f"the pattern runs on the regex package, more slowly, because of {machines}",
                          SlowPatternWarning, stacklevel=2)  # fmt: skip

    def __reduce__(self) -> tuple[type[Pretokenizer], tuple[Pattern]]:
        return Pretokenizer, (self.pattern,)

    def __repr__(self) -> str:
        return f"Pretokenizer({self.pattern.name or self.pattern.stages!r})"

    def ends(self, data: bytes) -> npt.NDArray[np.uint64]:
        """The end offset in bytes of each pretoken of ``data``, ascending; the last is ``len(data)``.

        Time is linear in the text with a named pattern; see ``automaton`` for what a user's can cost.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"text to split is bytes, not {type(data).__name__}")
        if self.automata is not None and len(self.automata) == 1:
            return self.automata[0].ends(data)
        return self._ends_by_regex(data) if self._cascade is None else self._cascade.ends(data)

    def split(self, text: str | bytes) -> list[bytes]:
        """The pretokens of a text; joined, they are the text.

        Raises:
            UnicodeEncodeError: the string holds a lone surrogate.

        >>> Pretokenizer("llama3").split("It's 12345 他们说")
        [b'It', b"'s", b' ', b'123', b'45', b' \\xe4\\xbb\\x96\\xe4\\xbb\\xac\\xe8\\xaf\\xb4']
        """
        data = text.encode() if isinstance(text, str) else text
        return [data[begin:end] for begin, end in pairwise([0, *self.ends(data).tolist()])]

    def _ends_by_regex(self, data: bytes) -> npt.NDArray[np.uint64]:
        pieces = [data.decode("utf-8", "surrogateescape")] if data else []
        for stage, written in zip(self._regexes, self.pattern.stages, strict=True):
            pieces = [part for piece in pieces for part in _isolated(stage, piece, written)]
        lengths = [len(piece.encode("utf-8", "surrogateescape")) for piece in pieces]
        return np.cumsum(lengths, dtype=np.uint64)


def _isolated(stage: Any, piece: str, written: str) -> list[str]:
    """The matches of a stage in a piece and what stands between them; ``written``: the stage as the user wrote it."""
    parts = []
    at = 0
    for match in stage.finditer(piece):
        begin, end = match.span()
        if begin == end:
            raise PatternError(f"pattern {written!r} matches the empty string at character {begin} of a text")
        if begin > at:
            parts.append(piece[at:begin])
        parts.append(piece[begin:end])
        at = end
    if at < len(piece):
        parts.append(piece[at:])
    return parts
