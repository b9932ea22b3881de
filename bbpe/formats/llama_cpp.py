"""llama.cpp's pre-tokenizers: which ``tokenizer.ggml.pre`` does what, and whether its own converter knows a tokenizer.

A GGUF file carries no pattern. It carries a *name*, and llama.cpp has code for that name: regular expressions that are
applied one after another (as the stages of a ``Pattern``), whether a pretoken that is a token is taken whole
(``ignore_merges``), and whether a beginning token is added by default. The table below is what the code does, spelled
for ``regex``; ``matching`` says which names do exactly what a pattern says, by comparing automata, not by the name that
a publisher gave. llama.cpp's expressions often differ from the published ones: it has no ``\\p{Lu}``, so its gpt-4o and
tekken take every letter but a-z (A-Z) for both cases, and its ``'[sS]`` is not ``(?i:'s)``, which also finds ``'ſ``
(U+017F). The latter touches nearly every pattern and nearly no text, so it is no reason to refuse: ``matching`` says
it, and ``harmless_long_s`` shows for most vocabularies that it changes no id.

llama.cpp's converter knows a tokenizer by the sha256 of the ids that it gives one text (``chkhsh``); ``check_hash``
computes it.

Source: ggml-org/llama.cpp, ``src/llama-vocab.cpp`` at 00ad355e009e; ``conversion/base.py`` at 00bd27a621f9. The tests
compare the table with llama.cpp itself, of a later version, and where the two part (``glm4``) that one is followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from bbpe.automaton import Inexpressible, Machine, compile_pattern
from bbpe.errors import PatternError
from bbpe.patterns import Pattern, get_pattern
from bbpe.vocabulary import Vocabulary

_LONG_S = "ſ".encode()


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """What llama.cpp does for one value of ``tokenizer.ggml.pre``.

    Attributes:
        name: The value.
        stages: Its expressions, as ``regex`` reads them; empty where none says what its code does.
        whole_pretoken: Whether a pretoken that is a token is taken whole, before any merge.
        adds_beginning: Whether a beginning token is added where the file does not say.
        why_not: Where ``stages`` is empty: why.
    """

    name: str
    stages: tuple[str, ...]
    whole_pretoken: bool = False
    adds_beginning: bool = False
    why_not: str = ""

    @property
    def pattern(self) -> Pattern:
        """What cuts the text.

        Raises:
            PatternError: No pattern says it.
        """
        if not self.stages:
            raise PatternError(f"llama.cpp's pre-tokenizer {self.name!r} is no pattern: {self.why_not}")
        return get_pattern(self.stages)


_S = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_LLAMA3 = rf"{_S}|{_WORD}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_END}"
_QWEN2 = rf"{_S}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_END}"
# The one white-space character that this leaves before a word is a pretoken all the same, as GPT-2's own \s+ makes it.
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PUNCTUATION = r"[\p{P}\$\+<=>\^~\|]+"
_BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
_MARKED = r"[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"
_ASCII_SYMBOL = r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
_DEEPSEEK3 = rf"{_ASCII_SYMBOL}|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?{_MARKED}[\r\n]*|{_END}"
_HAN_KANA = "[一-龥\u3040-\u309f\u30a0-\u30ff]+"

# Before an expression without \p{…} llama.cpp makes U+000B of all white space past ASCII, so that a set that holds such
# characters (U+3000 is common in Chinese) does not match them.
_ASIAN = "[\u0800-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-\u9fa5\uac00-\ud7ff]+"
_DEEPSEEK = tuple(
    _ASIAN if stage.startswith("[\u4e00") else stage.replace("\u3000-\u3002", "\u3001-\u3002")
    for stage in get_pattern("deepseek-v2").stages
)


def _cased(letters: str, contraction: str, digits: str) -> str:
    """gpt-4o and tekken: any letter that is not a-z, then any that is not A-Z; ``letters`` is what is no letter."""
    lead, upper, lower = r"[^\r\n\p{L}\p{N}]?", rf"[^a-z{letters}]", rf"[^A-Z{letters}]"
    return (
        rf"{lead}{upper}*{lower}+{contraction}|{lead}{upper}+{lower}*{contraction}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_END}"
    )


# Names that llama.cpp treats alike stand in one row; the first is the one that bbpe writes.
_TABLE: tuple[tuple[tuple[str, ...], tuple[str, ...], bool, bool], ...] = (
    (
        ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"),
        (_LLAMA3,),
        True,
        True,
    ),
    (("glm4",), (_LLAMA3,), True, False),  # without the rule before llama.cpp of 2026
    (("dbrx", "smaug-bpe", "chatglm-bpe"), (_LLAMA3,), False, False),
    (
        (
            *("gpt-2", "mpt", "olmo", "phi-2", "jais", "trillion", "granite-docling", "gigachat", "a.x-4.0", "mellum"),
            *("modern-bert", "exaone4", "roberta-bpe", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de"),
            "jina-v2-code",
        ),
        (_GPT2,),
        False,
        False,
    ),
    (
        ("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"),
        (_QWEN2,),
        False,
        False,
    ),
    (
        ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"),
        (_cased(r"\P{L}", f"{_S}?", r"\p{N}{1,3}"),),
        False,
        False,
    ),
    (("granite-embed-multi-97m",), (_cased(r"\p{N}\p{P}\p{S}\p{Z}\p{C}", f"{_S}?", r"\p{N}{1,3}"),), True, False),
    (("tekken",), (_cased(r"\P{L}", "", r"\p{N}"),), True, True),
    (("bloom", "gpt3-finnish", "poro-chat"), (_BLOOM,), False, False),
    (("viking",), (_BLOOM, r"\p{N}"), False, False),
    (("deepseek-llm",), _DEEPSEEK, False, False),
    (
        ("deepseek-coder",),
        ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _ASIAN, r"\p{N}"),
        False,
        False,
    ),
    (("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"), (r"\p{N}{1,3}", _HAN_KANA, _DEEPSEEK3), False, False),
    (
        ("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"),
        (r"\p{N}", _GPT2),
        False,
        False,
    ),
    (("falcon",), (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]"), False, False),
    (("default",), (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"), False, False),
    (
        ("qwen35",),
        (rf"{_S}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_END}",),
        False,
        False,
    ),
    (
        ("bailingmoe", "bailingmoe2", "llada-moe"),
        (
            rf"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
            r"|\s*[\r\n]|\s+(?!\S)|\s+",
        ),
        False,
        False,
    ),
    (("seed-coder",), (rf"{_S}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_END}",), False, False),
    (("ufakzeka",), (rf"{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_END}",), False, False),
    (("laguna",), (r"[^\n]+|[\n]+", _QWEN2), False, False),
    (
        ("minicpm5",),
        (r"\p{N}{1,3}", rf"{_S}|{_WORD}|\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_END}"),
        True,
        False,
    ),
    (
        ("jais-2",),
        (
            rf"{_S}|{_WORD}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s{{512}}(?!\S)|\s{{256}}(?!\S)"
            r"|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|\s{4}(?!\S)|\s{1,2}(?!\S)|\s",
        ),
        False,
        False,
    ),
    (
        ("exaone-moe",),
        (
            rf"{_S}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+",
        ),
        False,
        False,
    ),
    (
        ("chameleon",),
        (
            *("<sentinel:[0-9]+>", "(?:IMGIMG)(?:(?:A|B|C|D|E|F|G|H|I){1,4})Z", r"[\t\n]|    |  ", r"\p{N}"),
            *(r"[\p{P}!-/:-@\[-`{-~]", _GPT2),
        ),
        False,
        True,
    ),
)
_NO_PATTERN: Mapping[str, str] = {
    "youtu": "llama.cpp does not read the \\p{Lu} of its expression as a category",
    "kimi-k2": "its code treats Chinese by rules of its own",
    "afmoe": "its code groups digits from the right",
    "superbpe": "one of its expressions matches the empty string",
    "tiny_aya": "it groups digits from the right",
    "cohere2moe": "it groups digits from the right",
    "gemma4": "its tokens are text, not bytes",
    "granite-embed-multi-311m": "its tokens are text, not bytes",
    "sarvam-moe": "its tokens are text, not bytes",
    "whitespace": "its tokens are text, not bytes",
}


@lru_cache(maxsize=1)
def pre_tokenizers() -> Mapping[str, PreTokenizer]:
    """All values of ``tokenizer.ggml.pre`` that bbpe knows, by name.

    >>> pre_tokenizers()["llama-bpe"].whole_pretoken
    True
    """
    known = {name: PreTokenizer(name, stages, whole, adds) for names, stages, whole, adds in _TABLE for name in names}
    known |= {name: PreTokenizer(name, (), why_not=why) for name, why in _NO_PATTERN.items()}
    return MappingProxyType(known)


@dataclass(frozen=True, slots=True)
class Match:
    """A pre-tokenizer of llama.cpp that cuts text as a pattern does.

    Attributes:
        name: Its name.
        whole_pretoken: Whether it takes pretokens whole.
        exact: False where the two part at one thing: the pattern takes ``'ſ`` for ``'s``, llama.cpp does not.
    """

    name: str
    whole_pretoken: bool
    exact: bool


@lru_cache(maxsize=64)
def matching(pattern: Pattern) -> tuple[Match, ...]:
    """The pre-tokenizers that cut every text as ``pattern`` does, but for ``'ſ``; exact ones first.

    Decided by comparing automata stage by stage, so a pattern of other stages that happens to do the same is not found,
    nor one that no automaton can be made of.
    """
    theirs = _machines(pattern.stages)
    found = []
    if theirs is not None:
        for names, stages, whole, _ in _TABLE:
            if len(stages) == len(theirs):
                for exact, spelling in ((True, stages), (False, _with_long_s(stages))):
                    mine = _machines(spelling)
                    if mine is not None and all(map(Machine.same_matches, mine, theirs)):
                        found += [Match(name, whole, exact) for name in names]
                        break
    return tuple(sorted(found, key=lambda match: not match.exact))


def _with_long_s(stages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(stage.replace("'[sS]", "'[sSſ]").replace("'(?:[sSdD", "'(?:[sSſdD") for stage in stages)


@lru_cache(maxsize=128)
def _machines(stages: tuple[str, ...]) -> tuple[Machine, ...] | None:
    try:
        return tuple(map(compile_pattern, stages))
    except (Inexpressible, PatternError):
        return None


def harmless_long_s(vocabulary: Vocabulary) -> bool:
    """Whether no text gets other ids because ``'ſ`` is taken for ``'s`` or not.

    The two part only at the boundary after ``'ſ`` before a letter. Where no token bridges it (holds all or the last
    byte of ſ and the first byte of what follows), no merge crosses it, and both sides get their ids alone. Where
    pretokens are taken whole this is not enough, since the pretoken is another one.
    """
    if vocabulary.whole_pretoken:
        return False
    for token in vocabulary.tokens.values():
        at = token.find(_LONG_S)
        while at >= 0:
            if len(token) > at + 2:
                return False
            at = token.find(_LONG_S, at + 2)
        if len(token) > 1 and token[0] == _LONG_S[1] and not 0x80 <= token[1] < 0xC0:
            return False
    return True


# --- the converter's check text ---

_CHECK_TEXT = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 "
    "3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ "
    "------======= нещо на Български ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? "
    "'M not sure I'll make it, 'D you like some tea? We'Ve a'lL"
)


def check_hash(encode: Callable[[str], Sequence[int]]) -> str:
    """llama.cpp's ``chkhsh`` of a tokenizer: the sha256 of the ids of its check text, as Python prints the list.

    Args:
        encode: Text to ids, with what the model's own tokenizer puts around a text.
    """
    return hashlib.sha256(str([int(id) for id in encode(_CHECK_TEXT)]).encode()).hexdigest()


def published_names(digest: str) -> tuple[str, ...]:
    """The pre-tokenizers that llama.cpp's converter picks for a ``chkhsh``; none where it refuses the tokenizer."""
    return tuple(name for name, hashes in _HASHES.items() if digest in hashes.split())


_HASHES: Mapping[str, str] = {
    "chatglm-bpe": (
        "b6e8e1518dc4305be2fe39c313ed643381c4da5db34a98f6a04c093f8afbe99b "
        "81d72c7348a9f0ebe86f23298d37debe0a5e71149e29bd283904c02262b27516"
    ),
    "glm4": (
        "a1336059768a55c99a734006ffb02203cd450fed003e9a71886c88acf24fdbc2 "
        "9ca2dd618e8afaf09731a7cf6e2105b373ba6a1821559f258b272fe83e6eb902 "
        "cdf5f35325780597efd76153d4d1c16778f766173908894c04afc20108536267"
    ),
    "minerva-7b": "1431a23e583c97432bc230bff598d103ddb5a1f89960c8f1d1051aaa944d0b35",
    "hunyuan": "7e57df22b1fe23a7b1e1c7f3dc4e3f96d43a4eb0836d0c6bdc3436d7b2f1c664",
    "hunyuan-dense": "bba3b3366b646dbdded5dbc42d59598b849371afc42f7beafa914afaa5b70aa6",
    "falcon-h1": (
        "a6b57017d60e6edb4d88ecc2845188e0eb333a70357e45dcc9b53964a73bbae6 "
        "60476e1243776c4fb1b993dbd7a5f15ac22f83c80afdf425fa5ae01c8d44ef86 "
        "3eda48b4c4dc7de733d1a8b3e3b4a85243dbbf704da2ee9d42c6beced8897896 "
        "48f8e02c0359c0bbdd82f26909171fac1c18a457bb47573ed1fe3bbb2c1cfd4b"
    ),
    "kimi-k2": "81212dc7cdb7e0c1074ca62c5aeab0d43c9f52b8a737be7b12a777c953027890",
    "qwen2": (
        "d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c "
        "e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea"
    ),
    "qwen35": (
        "1444df51289cfa8063b96f0e62b1125440111bc79a52003ea14b6eac7016fd5f "
        "d30d75d9059f1aa2c19359de71047b3ae408c70875e8a3ccf8c5fba56c9d8af4"
    ),
    "grok-2": "66b8d4e19ab16c3bfd89bce5d785fb7e0155e8648708a1f42077cb9fe002c273",
    "jina-v2-de": (
        "b3d1dd861f1d4c5c0d2569ce36baf3f90fe8a102db3de50dd71ff860d91be3df "
        "27949a2493fc4a9f53f5b9b029c82689cfbe5d3a1929bb25e043089e28466de6"
    ),
    "gpt-2": (
        "0fe1cf6eda062318a1af7270f3331a85c539a01778ff948e24388e949c5282f4 "
        "3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454"
    ),
    "kimi-k25": "6990f1358c92b6cef7c08ef650117ed3617d123618eaac0fc8e0be73a880aa52",
    "llama-bpe": "0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5",
    "deepseek-llm": "049ecf7629871e3041641907f3de7c733e4dbfdc736f57d882ba0b0845599754",
    "deepseek-coder": "347715f544604f9118bb75ed199f68779f423cabb20db6de6f31b908d04d7821",
    "falcon": "8aeee3860c56296a157a1fe2fad249ec40aa59b1bb5709f4ade11c4e6fe652ed",
    "falcon3": "9d032fcbd5501f4a38150912590928bfb36091efb5df11b8e2124b0390e3fb1e",
    "mpt": "b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166",
    "olmo": "b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166",
    "starcoder": "35d91631860c815f952d711435f48d356ebac988362536bed955d43bfa436e34",
    "stablelm2": "32d85c31273f8019248f2559fed492d929ea28b17e51d81d3bb36fff23ca72b3",
    "refact": "6221ad2852e85ce96f791f476e0b390cf9b474c9e3d1362f53a24a06dc8220ff",
    "command-r": "9c2227e4dd922002fb81bde4fc02b0483ca4f12911410dee2255e4987644e3f8",
    "tiny_aya": "d772b220ace2baec124bed8cfafce0ead7d6c38a4b65ef11261cf9d5d62246d1",
    "dbrx": "a8594e3edff7c29c003940395316294b2c623e09894deebbc65f33f1515df79e",
    "jina-v1-en": "c7699093ba4255a91e702aa38a596aa81669f3525dae06c2953267dde580f448",
    "jina-v2-es": "171aeeedd6fb548d418a7461d053f11b6f1f1fc9b387bd66640d28a4b9f5c643",
    "jina-v5-nano": "a023e9fdc5a11f034d3ef515b92350e56fb2af1f66c6b6811a4444ea9bf8763d",
    "smaug-bpe": "c136ed14d01c2745d4f60a9596ae66800e2b61fa45643e72436041855ad4089d",
    "poro-chat": "c7ea5862a53e4272c035c8238367063e2b270d51faa48c0f09e9d5b54746c360",
    "jina-v2-code": "7967bfa498ade6b757b064f31e964dddbb80f8f9a4d68d4ba7998fcf281c531a",
    "viking": "7fc505bd3104ca1083b150b17d088b59534ede9bde81f0dd2090967d7fe52cee",
    "jais": "b53802fb28e26d645c3a310b34bfe07da813026ec7c7716883404d5e0f8b1901",
    "jais-2": "bc5108ee1eb6a3d600cadd065f63190fbd0554dbc9e4bbd6a0d977970afc8d2a",
    "codeshell": "7b3e7548e4308f52a76e8229e4e6cc831195d0d1df43aed21ac6c93da05fec5f",
    "tekken": "63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e",
    "smollm": "855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249",
    "bloom": "3c30d3ad1d6b64202cd222813e7736c2db6e1bd6d67197090fc1211fbc612ae7",
    "gpt3-finnish": "bc01ce58980e1db43859146dc51b1758b3b88729b217a74792e9f8d43e479d21",
    "exaone": "4e2b24cc4770243d65a2c9ec19770a72f08cffc161adbb73fcbb6b7dd45a0aae",
    "phi-2": "fcace8b9cac38ce847670c970cd5892031a753a1ef381abd1d9af00f713da085",
    "chameleon": "60824e3c0d9401f89943cbb2fff727f0e2d4c545ba4df2d6e4f09a6db0f5b450",
    "roberta-bpe": "8b5a93ed704057481f240da0be7e7dca721d7f8f4755263b6807227a2cbeae65",
    "gigachat": "ad851be1dba641f2e3711822f816db2c265f788b37c63b4e1aeacb9ee92de8eb",
    "megrez": "d4c8f286ea6b520b3d495c4455483cfa2302c0cfcd4be05d781b6a8a0a7cdaf1",
    "deepseek-v3": "877081d19cf6996e2c4ff0e1236341e9b7bde288f5311a56a937f0afbbb3aeb5",
    "deepseek-r1-qwen": "b3f499bb4255f8ca19fccd664443283318f2fd2414d5e0b040fbdd0cc195d6c5",
    "gpt-4o": "ccc2ef013c104be7bae2965776d611e1d7a8a2a9c547dd93a682c9a9fc80352e",
    "superbpe": "7dec86086fcc38b66b7bc1575a160ae21cf705be7718b9d5598190d7c12db76f",
    "trillion": "1994ffd01900cfb37395608534236ecd63f2bd5995d6cb1004dda1af50240f15",
    "bailingmoe": "96a5f08be6259352137b512d4157e333e21df7edd3fcd152990608735a65b224",
    "llama4": "d353350c764d8c3b39c763113960e4fb4919bea5fbf208a0e3b22e8469dc7406",
    "pixtral": "0e9433cbbb161f89e264eb32e8e64bfe69e834973ffca5d41d3948a604a3e2a3",
    "seed-coder": "d5f1dd6f980fec569fb218a81a7658ac45fc56b38c5a0adeb1c232fbe04ef5ec",
    "a.x-4.0": "b0a6b1c0bd5998ebd9df08611efde34a4ff03faed45ae09c43e6b31ebd4b94cf",
    "midm-2.0": "f6791d196f87ce6b56a7d234be618e0d58f8cda3549416635b2bebcd22cd95c4",
    "lfm2": "169bf0296a13c4d9b7672313f749eb36501d931022de052aad6e36f2bf34dd51",
    "exaone4": "2085e1638f6c377a0aa4ead21b27bb4cb941bf800df86ed391011769c1758dfb",
    "mellum": "a1e163ecab2e718a4c829d1148b6e86824ec36163bb71941c3dca9cd5ac25756",
    "modern-bert": "a0b64b4385f123663873756336c085744376d015ff328bb1d901598f63c44152",
    "afmoe": "49fc0303c9e0d2c2c565c510f64b2d9b271276acdcdadff733249eda9f7d59df",
    "bailingmoe2": "9b1be57e70d20d9501b2b3186e792d81181ae36ada3903c26f9fea418cf87206",
    "granite-docling": "53e325976a6e142379c19b09afcae354f2f496f147afa8f9e189a33fe4e3024e",
    "minimax-m2": "f4f37b6c8eb9ea29b3eac6bb8c8487c5ab7885f8d8022e67edc1c68ce8403e95",
    "kormo": "4a2e2abae11ca2b86d570fc5b44be4d5eb5e72cc8f22dd136a94b37da83ab665",
    "youtu": "9d70134b369a70e5735009b6de918f7581b5211f7c074d1f89f753aea8248af1",
    "solar-open": "16389f0a1f51ee53e562ffd51c371dc508639ab0e4261502071836e50e223e91",
    "exaone-moe": "6c81ce329e0802883b22eabab0d3fa48357337ef1ecb45443828bf1f6254833f",
    "joyai-llm": "b4b8ca1f9769494fbd956ebc4c249de6131fb277a4a3345a7a92c7dd7a55808d",
    "kanana2": "e4d54df1ebc1f2b91acd986c5b51aa50837d5faf7c7398e73c1f9e9ee5d19869",
    "f2llmv2": "862f827721df956049dff5ca81a57f29e575280bc622e290d3bf4e35eca29015",
    "sarvam-moe": "62f6fb0a6fd5098caeabb19b07a5c1099cafc8b9c40eab6ea89ece4ec02fbc57",
}
