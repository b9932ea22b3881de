"""A bbpe tokenizer that is called as a fast tokenizer of transformers is.

What it does: enough of the call and of the attributes of ``PreTrainedTokenizerFast`` for the usual programs and for
transformers' data collators: texts and pairs to ids with masks, offsets, padding and truncation; ``pad``; ``decode``
and ``batch_decode``; texts in words, overflowing tokens; tokens and ids to one another; the named special tokens; chat
templates (``chat.py``); ``save_pretrained``. What it does not: encode (``tokenizer.py``), or import transformers. A
keyword that is not there is a TypeError.

Special tokens that stand in a text are taken as such, as transformers does, unless ``split_special_tokens`` is set.
Offsets where a normalizer changed the text are those of ``Tokenizer.encode_with_offsets``. ``decode`` never "cleans up"
spaces, as transformers 5 never does with BPE.

Compared with transformers call by call in ``tests/test_adapter_transformers.py``. Where to read next:
``post_processing.py`` for templates and truncation, ``batch_encoding.py`` and ``encoding.py`` for what a call returns.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bbpe.adapters.batch_encoding import BatchEncoding
from bbpe.adapters.chat import ChatTemplates, chosen_template, read_templates, rendered
from bbpe.adapters.encoding import Encoding, Part, Text
from bbpe.adapters.post_processing import PostProcessor, Segment, spans, truncated
from bbpe.adapters.special_search import first_of
from bbpe.atomic import atomic_write, output_errors
from bbpe.engines import EngineTokenizer
from bbpe.errors import FormatError, shown
from bbpe.formats import detect, tokenizer_json
from bbpe.formats.byte_text import is_spelling, to_bytes, to_text
from bbpe.formats.files import read_bytes
from bbpe.holdings import locate
from bbpe.io import load
from bbpe.tokenizer import Tokenizer, id_list, integer_id
from bbpe.vocabulary import SpecialToken, Template

__all__ = ["FastTokenizer", "as_transformers"]

_CONFIG = "tokenizer_config.json"
_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_NO_LIMIT = int(1e30)  # transformers' own word for "no limit"
_LARGE = int(1e20)


def as_transformers(tokenizer: Tokenizer | EngineTokenizer | str | os.PathLike[str], **options: Any) -> FastTokenizer:
    """A tokenizer to be called as a fast tokenizer of transformers is.

    Args:
        tokenizer: A tokenizer, or what ``bbpe.load`` takes: a path or a catalogue name. Of a folder that transformers
            can load, ``tokenizer_config.json`` is read too.
        **options: As for :class:`FastTokenizer`; they go before what the folder says.

    Raises:
        FormatError: It cannot be loaded, or another library runs it (SentencePiece, WordPiece ...), or the folder names
            a special token that the vocabulary has not.
    """
    source: Path | None = None
    if isinstance(tokenizer, (str, os.PathLike)):
        loaded = load(tokenizer)
        source = locate(tokenizer, None).path
        options = {**_config(source.parent), **options}
    else:
        loaded = tokenizer
    if isinstance(loaded, EngineTokenizer):
        raise FormatError(
            f"this vocabulary is run by {loaded.engine} ({loaded.reason}); load it with transformers, or use its own "
            "encode and decode"
        )
    file = source if source is not None and detect(source) == "tokenizer.json" else None
    made = FastTokenizer(loaded, file=file, **options)
    for name, content in made.special_tokens_map.items():
        if made.convert_tokens_to_ids(content) is None:
            raise FormatError(
                f"{source or 'this vocabulary'}: {name} is {content!r}, which is no token of the vocabulary; add it with "
                "add_special_tokens, or name another one"
            )
    return made


class _Named:
    """A special token by what it is for: an attribute that is a str or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tokenizer: FastTokenizer, owner: type) -> str | None:
        return tokenizer._named.get(self._name)

    def __set__(self, tokenizer: FastTokenizer, value: object) -> None:
        if value is not None and not isinstance(value, str):
            value = getattr(value, "content", None)  # an AddedToken
            if not isinstance(value, str):
                raise ValueError(f"cannot set a non-string value as the {self._name}")
        tokenizer._named[self._name] = value


class _NamedId:
    """The id of a special token by what it is for; None where there is none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removesuffix("_id")

    def __get__(self, tokenizer: FastTokenizer, owner: type) -> int | None:
        content = tokenizer._named.get(self._name)
        return None if content is None else tokenizer._id_of(content)

    def __set__(self, tokenizer: FastTokenizer, value: int | None) -> None:
        tokenizer._named[self._name] = None if value is None else tokenizer._token_of(value)


class FastTokenizer:
    """What ``PreTrainedTokenizerFast`` of transformers does, done by bbpe. Picklable.

    Args:
        tokenizer: What encodes.
        file: The tokenizer.json that it was loaded from, for what a vocabulary does not keep: the template of pairs and
            whether offsets are trimmed.
        model_max_length: The longest input of the model, in tokens; for ``truncation=True`` without ``max_length``.
        padding_side: ``"right"`` or ``"left"``.
        truncation_side: ``"right"`` or ``"left"``.
        model_input_names: What a call returns when nothing else is asked for; the first is that of the ids.
        extra_special_tokens: Special tokens that have no name, for ``all_special_tokens``.
        split_special_tokens: Take special tokens that stand in a text as plain text (not those with ``special``
            False).
        add_bos_token: With ``add_eos_token``: put ``bos_token`` and ``eos_token`` around texts in place of the
            vocabulary's template. Given one, the other is False. (In a folder with a tokenizer.json transformers
            ignores what ``tokenizer_config.json`` says of them, and so is it here.)
        add_eos_token: See ``add_bos_token``.
        chat_template: For :meth:`apply_chat_template`: a template, or several by their names.
        **named: ``bos_token``, ``eos_token``, ``unk_token``, ``sep_token``, ``pad_token``, ``cls_token``,
            ``mask_token``.
    """

    is_fast = True
    bos_token, eos_token, unk_token = _Named(), _Named(), _Named()
    sep_token, pad_token, cls_token, mask_token = _Named(), _Named(), _Named(), _Named()
    bos_token_id, eos_token_id, unk_token_id = _NamedId(), _NamedId(), _NamedId()
    sep_token_id, pad_token_id, cls_token_id, mask_token_id = _NamedId(), _NamedId(), _NamedId(), _NamedId()

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        file: Path | None = None,
        model_max_length: int | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] = ("input_ids", "attention_mask"),
        extra_special_tokens: Sequence[str] = (),
        split_special_tokens: bool = False,
        add_bos_token: bool | None = None,
        add_eos_token: bool | None = None,
        chat_template: ChatTemplates | None = None,
        **named: str | None,
    ) -> None:
        if not isinstance(tokenizer, Tokenizer):
            raise TypeError(
                f"tokenizer is a Tokenizer, not {type(tokenizer).__name__}; bbpe.as_transformers loads names"
            )
        for side in (padding_side, truncation_side):
            if side not in ("right", "left"):
                raise ValueError(f"a side is 'right' or 'left', not {side!r}")
        for name in named:
            if name not in _NAMES:
                raise TypeError(f"FastTokenizer takes no {name!r}")
        self.model_max_length = _NO_LIMIT if model_max_length is None else model_max_length
        self.padding_side, self.truncation_side = padding_side, truncation_side
        self.model_input_names = list(model_input_names)
        self.extra_special_tokens = [str(getattr(token, "content", token)) for token in extra_special_tokens]
        self.split_special_tokens = split_special_tokens
        self.pad_token_type_id = 0
        self.name_or_path = tokenizer.vocabulary.name or ""
        self.deprecation_warnings: dict[str, bool] = {}  # collators write into it
        self.chat_template = chat_template
        self._file = file
        self._added: tuple[SpecialToken, ...] = ()  # since the file was loaded
        self._template: Template | None = None  # instead of the vocabulary's
        self._vocab_size: int | None = None
        self._named: dict[str, Any] = dict.fromkeys(_NAMES)
        self._set_tokenizer(tokenizer)
        for name, value in named.items():
            setattr(self, name, value)
        self._post_processor = self._found_post_processor(add_bos_token, add_eos_token)

    def _set_tokenizer(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._specials = {special.content: special for special in tokenizer.vocabulary.special_tokens}
        # What even split_special_tokens leaves whole.
        self._unsplit = frozenset(content for content, special in self._specials.items() if not special.special)
        self._skipped = frozenset(special.id for special in self._specials.values() if special.special)
        self._special_by_id = {special.id: special.content for special in self._specials.values()}

    def _found_post_processor(self, bos: bool | None, eos: bool | None) -> PostProcessor:
        template = self._tokenizer.vocabulary.template
        made = PostProcessor.of_template(template)
        if self._file is not None:
            made = PostProcessor.of_json(_post_processor_of(self._file), template)
        if bos is None and eos is None:
            return made
        # transformers lays the named tokens around the text, whatever the file says.
        around = [
            (self._named[name],) if wanted and self._named[name] is not None else ()
            for name, wanted in (("bos_token", bos), ("eos_token", eos))
        ]
        before, after = (tuple(self._known_id(content) for content in side) for side in around)
        self._template = Template(before, after)
        return PostProcessor.of_template(self._template)

    # ---- the call ----

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
        max_target_length: int | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """The ids of a text, or of several, with what a model and a data collator need beside them.

        Args:
            text: A text, a list of texts, or a list of pairs.
            text_pair: The second text, or texts.
            text_target: What the model is to say: its ids are ``labels``; alone, they are what is returned.
            text_pair_target: The second text of that.
            add_special_tokens: Put the template around the texts.
            padding: True or ``"longest"``, ``"max_length"``, False or ``"do_not_pad"``.
            truncation: True or ``"longest_first"``, ``"only_first"``, ``"only_second"``, False or
                ``"do_not_truncate"``. None is True where ``max_length`` is given and ``padding`` is not.
            max_length: In tokens, the template included; ``model_max_length`` where None.
            stride: How many tokens a row of overflowing ones repeats of the row before it.
            is_split_into_words: Each text is a list of its words, which are encoded one by one.
            pad_to_multiple_of: Pad further, to a multiple of this.
            padding_side: Instead of the tokenizer's own.
            return_tensors: ``"np"`` or ``"pt"``; lists when None.
            return_token_type_ids: Return ``token_type_ids``; None: where ``model_input_names`` has them.
            return_attention_mask: Return ``attention_mask``; None: likewise.
            return_overflowing_tokens: What truncation cuts off makes rows of its own, behind the row it was cut off;
                ``overflow_to_sample_mapping`` has the number of the text of each row.
            return_special_tokens_mask: Return ``special_tokens_mask``: 1 for the template and for padding.
            return_offsets_mapping: Return ``offset_mapping``: the characters of each token, (0, 0) for the template.
            return_length: Return ``length``.
            split_special_tokens: Instead of the tokenizer's own.
            max_target_length: ``max_length`` of targets.
            verbose: Warn where ``max_length`` does nothing.

        Raises:
            EncodeError: A lone surrogate, or a byte for which the vocabulary has no token.
            TypeError: What is no text; a keyword that is not one of these.
            ValueError: Options in contradiction, or no padding token to pad with.
        """
        if text is None and text_target is None:
            raise ValueError("You need to specify either `text` or `text_target`.")
        options: dict[str, Any] = {
            "add_special_tokens": add_special_tokens,
            "stride": stride,
            "is_split_into_words": is_split_into_words,
            "pad_to_multiple_of": pad_to_multiple_of,
            "padding_side": padding_side,
            "return_tensors": return_tensors,
            "return_token_type_ids": return_token_type_ids,
            "return_attention_mask": return_attention_mask,
            "return_overflowing_tokens": return_overflowing_tokens,
            "return_special_tokens_mask": return_special_tokens_mask,
            "return_offsets_mapping": return_offsets_mapping,
            "return_length": return_length,
            "split_special_tokens": split_special_tokens,
        }
        strategies = self._strategies(padding, truncation, max_length, pad_to_multiple_of, verbose)
        found = None if text is None else self._call(text, text_pair, strategies, **options)
        if text_target is None:
            assert found is not None
            return found
        pad, cut, limit = strategies
        strategies = pad, cut, limit if max_target_length is None else max_target_length
        targets = self._call(text_target, text_pair_target, strategies, **options)
        if found is None:
            return targets
        found["labels"] = targets["input_ids"]
        return found

    def _call(
        self,
        text: Any,
        text_pair: Any,
        strategies: tuple[str, str, int | None],
        *,
        add_special_tokens: bool,
        stride: int,
        is_split_into_words: bool,
        pad_to_multiple_of: int | None,
        padding_side: str | None,
        return_tensors: str | None,
        return_token_type_ids: bool | None,
        return_attention_mask: bool | None,
        return_overflowing_tokens: bool,
        return_special_tokens_mask: bool,
        return_offsets_mapping: bool,
        return_length: bool,
        split_special_tokens: bool | None,
    ) -> BatchEncoding:
        """A call for one of texts and targets; ``strategies`` as :meth:`_strategies` gives them."""
        pad, cut, limit = strategies
        pairs, batched = _pairs(text, text_pair, is_split_into_words)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        parts = iter(self._parts([each for pair in pairs for each in pair], return_offsets_mapping, split))
        overflow = return_overflowing_tokens
        samples = [
            self._rows(tuple(itertools.islice(parts, len(pair))), add_special_tokens, cut, limit, stride, overflow)
            for pair in pairs
        ]
        if pad != "do_not_pad":
            # The longest of the texts; of what was cut off them nothing is longer, but where left is cut off.
            width = limit if pad == "max_length" else max((len(rows[0]) for rows in samples), default=0)
            side = padding_side if padding_side is not None else self.padding_side
            self._pad_rows([row for found in samples for row in found], width or 0, pad_to_multiple_of, side)
        rows = [row for found in samples for row in found]
        names = self.model_input_names
        data: dict[str, list[Any]] = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids:
            data["token_type_ids"] = [row.type_ids for row in rows]
        if "attention_mask" in names if return_attention_mask is None else return_attention_mask:
            data["attention_mask"] = [row.attention_mask for row in rows]
        if return_special_tokens_mask:
            data["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
        if return_offsets_mapping:
            data["offset_mapping"] = [row.offsets for row in rows]
        if return_length:
            data["length"] = [len(row) for row in rows]
        if return_overflowing_tokens:
            data["overflow_to_sample_mapping"] = [number for number, found in enumerate(samples) for _ in found]
        whole: dict[str, Any] = data
        if not batched and return_tensors is None and not return_overflowing_tokens:
            whole = {name: value[0] for name, value in data.items()}
            if return_length:
                whole["length"] = data["length"]  # transformers leaves this one a list
        return BatchEncoding(whole, rows, return_tensors)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids of a text or a pair; options as for a call."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text or a pair, spelled as in ``tokenizer.json``.

        A special token that takes white space along is spelled without it.
        """
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def _rows(
        self, parts: tuple[Part, ...], add: bool, cut: str, limit: int | None, stride: int, overflow: bool
    ) -> list[Encoding]:
        """What comes out for a text or a pair before padding: one row, and with ``overflow`` those of what truncation
        cuts off."""
        processor = self._post_processor
        paired = len(parts) > 1
        if add:
            layout = processor.pair if paired else processor.single
        else:
            types = (0, processor.second_type_id)
            layout = tuple(Segment(number, (), types[number]) for number in range(len(parts)))
        if limit is None or cut == "do_not_truncate":
            return [Encoding.of(parts, layout, self)]
        room = limit - (processor.added(paired) if add else 0)
        if room < 0:
            raise ValueError(
                f"max_length is {limit}, but {limit - room} special tokens stand around the text; "
                "ask for more, or pass add_special_tokens=False"
            )
        if stride < 0 or stride > limit - (processor.added(False) if add else 0):
            raise ValueError(f"stride is {stride}; a row has room for {room} tokens of a text, which has to be more")
        sizes = tuple(len(part.ids) for part in parts)
        kept = truncated(sizes, room, cut)
        if kept == sizes:
            return [Encoding.of(parts, layout, self)]
        windows = [
            [part.cut(*span) for span in spans(len(part.ids), size, stride, self.truncation_side, overflow)]
            for part, size in zip(parts, kept, strict=True)
        ]
        first, *rest = windows[0]
        # In the order of tokenizers: what was cut off the first text comes before the first row goes on.
        second = [(part,) for part in windows[1]] if paired else [()]
        chosen = [(first, *second[0]), *((part, *other) for part in rest for other in second)]
        chosen += [(first, *other) for other in second[1:]]
        return [Encoding.of(each, layout, self) for each in chosen]

    def _parts(self, texts: list[Text], offsets: bool, split: bool) -> list[Part]:
        """The tokens of each text, and where they are wanted their characters."""
        tokenizer = self._tokenizer
        allowed = self._unsplit if split else frozenset(self._specials)
        if offsets:
            found = []
            for text in texts:
                if isinstance(text, str):
                    ids, places = tokenizer.encode_with_offsets(text, allowed_special=allowed)
                    found.append(Part(ids, text, split, known=places))
                    continue
                encoded = [tokenizer.encode_with_offsets(word, allowed_special=allowed) for word in text]
                ids = [id for each, _ in encoded for id in each]
                found.append(Part(ids, text, split, known=[place for _, each in encoded for place in each]))
            return found
        # Texts without special tokens, which are most, go in one batch on all cores.
        in_words = any(not isinstance(text, str) for text in texts)
        flat: list[Any] = [word for text in texts for word in ([text] if isinstance(text, str) else text)]
        special = [first_of(allowed, word) is not None for word in flat]
        plain = iter(tokenizer.encode_batch([word for word, has in zip(flat, special, strict=True) if not has]))
        lists = [
            tokenizer.encode(word, allowed_special=allowed) if has else next(plain)
            for word, has in zip(flat, special, strict=True)
        ]
        if in_words:
            rest = iter(lists)
            lists = [[id for ids in itertools.islice(rest, len(text)) for id in ids] for text in texts]
        return [Part(ids, text, split) for ids, text in zip(lists, texts, strict=True)]

    def offsets_of(self, text: Text, split: bool) -> list[tuple[int, int]]:
        """The characters of each token of a text, or of each word's tokens in that word."""
        known = self._parts([text], True, split)[0].known
        assert known is not None
        return known

    def words_of(self, text: Text, split: bool) -> list[int]:
        """The number of the word of each token of a text: the pretokens, counted, or the words as they were given."""
        tokenizer = self._tokenizer
        allowed = self._unsplit if split else frozenset(self._specials)
        if not isinstance(text, str):
            sizes = [len(tokenizer.encode(word, allowed_special=allowed)) for word in text]
            return [number for number, size in enumerate(sizes) for _ in range(size)]
        lengths = [len(token) for token in tokenizer.tokens(text, allowed_special=allowed)]
        ends = np.cumsum([len(pretoken) for pretoken in tokenizer.pretokens(text, allowed_special=allowed)])
        found: list[int] = np.searchsorted(ends, np.cumsum(lengths), "left").tolist()
        return found

    def trimmed(self, offsets: list[tuple[int, int]], ids: list[int]) -> list[tuple[int, int]]:
        """Offsets without the spaces at their edges, where the tokenizer.json says so."""
        processor = self._post_processor
        return processor.trimmed(offsets, map(self._tokenizer.token, ids)) if processor.trim_offsets else offsets

    # ---- padding ----

    def _strategies(
        self, padding: Any, truncation: Any, limit: int | None, multiple: int | None, verbose: bool
    ) -> tuple[str, str, int | None]:
        """Padding and truncation by their names, and the length that either asks for."""
        if limit is not None and padding is False and truncation is None:
            truncation = True
        truncates = truncation not in (None, False, "do_not_truncate")
        if padding is True and limit is not None and not truncates and verbose:
            warnings.warn(
                "`max_length` is ignored when `padding`=`True` and there is no truncation strategy. "
                "To pad to max length, use `padding='max_length'`.",
                stacklevel=3,
            )
        pad = _choice(
            "padding", padding, {True: "longest", False: "do_not_pad"}, ("longest", "max_length", "do_not_pad")
        )
        cut = _choice(
            "truncation",
            truncation,
            {True: "longest_first", False: "do_not_truncate", None: "do_not_truncate"},
            ("longest_first", "only_first", "only_second", "do_not_truncate"),
        )
        if limit is None and (pad == "max_length" or truncates):
            if self.model_max_length > _LARGE:
                pad = "do_not_pad" if pad == "max_length" else pad
                cut = "do_not_truncate"
            else:
                limit = self.model_max_length
        if pad != "do_not_pad" and self.pad_token_id is None:
            raise ValueError(
                "Asking to pad but the tokenizer does not have a padding token. "
                "Please select a token to use as `pad_token` `(tokenizer.pad_token = tokenizer.eos_token e.g.)` "
                "or add a new pad token via `tokenizer.add_special_tokens({'pad_token': '[PAD]'})`."
            )
        if cut != "do_not_truncate" and pad != "do_not_pad" and multiple is not None and limit and limit % multiple:
            raise ValueError(
                "Truncation and padding are both activated but "
                f"truncation length ({limit}) is not a multiple of pad_to_multiple_of ({multiple})."
            )
        return pad, cut, limit

    def _pad_rows(self, rows: list[Encoding], width: int, multiple: int | None, side: str) -> None:
        pad = self.pad_token_id
        assert pad is not None  # _strategies has asked
        if multiple:
            width = -(-width // multiple) * multiple
        for row in rows:
            row.pad(width - len(row.ids), pad, self.pad_token_type_id, side)

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad what was encoded before: one text or a batch, as a mapping of lists or a list of mappings.

        ``input_ids``, ``attention_mask`` (made where it is missing), ``token_type_ids`` and ``special_tokens_mask`` are
        padded; whatever else there is stays as it is. Arguments as for a call.

        Raises:
            ValueError: There are no ``input_ids``, columns of different lengths, or no padding token.
        """
        if isinstance(encoded_inputs, (list, tuple)) and encoded_inputs and isinstance(encoded_inputs[0], Mapping):
            encoded_inputs = {name: [each[name] for each in encoded_inputs] for name in encoded_inputs[0]}
        main = self.model_input_names[0]
        if not isinstance(encoded_inputs, Mapping) or main not in encoded_inputs:
            given = list(encoded_inputs) if isinstance(encoded_inputs, Mapping) else type(encoded_inputs).__name__
            raise ValueError(
                "You should supply an encoding or a list of encodings to this method "
                f"that includes {main}, but you provided {given}"
            )
        data = {name: _as_lists(value) for name, value in encoded_inputs.items()}
        required = data[main]
        if not required:
            return BatchEncoding({**data, "attention_mask": []} if return_attention_mask else data)
        if return_tensors is None:
            return_tensors = _kind_of(encoded_inputs[main])
        strategy, _, limit = self._strategies(padding, False, max_length, None, verbose)
        single = not isinstance(required[0], list)
        if single:
            data = {name: [value] for name, value in data.items()}
            required = data[main]
        if any(not isinstance(value, list) or len(value) != len(required) for value in data.values()):
            raise ValueError("some columns have a different batch size than others")
        width = limit if strategy == "max_length" else max(map(len, required))
        assert width is not None
        if pad_to_multiple_of:
            width = -(-width // pad_to_multiple_of) * pad_to_multiple_of
        mask = "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        if mask and "attention_mask" not in data:
            data["attention_mask"] = [[1] * len(ids) for ids in required]
        fill = {main: self.pad_token_id, "token_type_ids": self.pad_token_type_id, "special_tokens_mask": 1}
        if mask:
            fill["attention_mask"] = 0
        side = padding_side if padding_side is not None else self.padding_side
        if side not in ("right", "left"):
            raise ValueError(f"Invalid padding strategy:{side}")
        if strategy != "do_not_pad":
            missing = [max(0, width - len(ids)) for ids in required]
            for name, value in fill.items():
                if name in data:
                    data[name] = [_padded(row, n, value, side) for row, n in zip(data[name], missing, strict=True)]
        if single:
            data = {name: value[0] for name, value in data.items()}
        return BatchEncoding(data, tensor_type=return_tensors)

    # ---- chats ----

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """The chat template that :meth:`apply_chat_template` uses with these arguments.

        Raises:
            ValueError: There is none.
        """
        return chosen_template(self.chat_template, chat_template, tools is not None)

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        tokenize: bool = True,
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **variables: Any,
    ) -> Any:
        """A conversation, or several, as the model's chat template writes it: ids, or text without ``tokenize``.

        Args:
            conversation: A list of messages, dicts with a role and a content; or a list of such lists.
            tools: JSON schemas of what the model may call.
            documents: What it may quote from.
            chat_template: A template, or the name of one of the tokenizer's.
            add_generation_prompt: Begin the assistant's next message.
            continue_final_message: Leave the last message open; with a str that field of it, ``content`` else.
            tokenize: Return ids.
            padding: As for a call; so with the following three.
            truncation: See ``padding``.
            max_length: See ``padding``.
            return_tensors: See ``padding``.
            return_dict: Return what a call does, not the ids alone.
            return_assistant_tokens_mask: Return ``assistant_masks``: 1 for tokens of ``{% generation %}`` blocks.
            tokenizer_kwargs: Further options of the call.
            **variables: What the template sees besides.

        Raises:
            MissingExtraError: jinja2 is not installed.
            TypeError: Something is no JSON, which is all that a template may see; a tool that is a function.
            ValueError: There is no template, an empty conversation, or options in contradiction. (A template that
                refuses a conversation raises jinja2's own error.)
        """
        if variables.pop("sanitize_control_tokens", False):
            raise TypeError("apply_chat_template takes no 'sanitize_control_tokens'; pass messages that are safe")
        if return_assistant_tokens_mask and not (tokenize and return_dict):
            raise ValueError("return_assistant_tokens_mask needs tokenize and return_dict")
        if continue_final_message and (add_generation_prompt or return_assistant_tokens_mask):
            other = "add_generation_prompt" if add_generation_prompt else "return_assistant_tokens_mask"
            raise ValueError(f"continue_final_message and {other} contradict one another")
        template = self.get_chat_template(chat_template, tools)
        batched = (
            isinstance(conversation, (list, tuple)) and bool(conversation) and not isinstance(conversation[0], Mapping)
        )
        written = [
            rendered(
                template,
                each,
                tools=tools,
                documents=documents,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                variables={**self.special_tokens_map, **variables},
            )
            for each in (conversation if batched else [conversation])
        ]
        texts = [text for text, _ in written]
        if not tokenize:
            return texts if batched else texts[0]
        found = self(
            texts if batched else texts[0],
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            add_special_tokens=False,
            return_tensors=return_tensors,
            **(tokenizer_kwargs or {}),
        )
        if not return_dict:
            return found["input_ids"]
        if return_assistant_tokens_mask:
            masks = [_generated(row, spans) for row, (_, spans) in zip(found.encodings or (), written, strict=True)]
            found["assistant_masks"] = masks if batched or return_tensors else masks[0]
            found.convert_to_tensors(return_tensors)
        return found

    # ---- decoding ----

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **options: Any) -> Any:
        """The text of some ids, or the texts of a batch of them; ids that are not in the vocabulary are passed over.

        Args:
            token_ids: An id, a list, an array or a tensor of them, or a batch.
            skip_special_tokens: Leave special tokens out.
            **options: ``clean_up_tokenization_spaces`` is accepted, and does nothing to BPE.

        Raises:
            OverflowError: A negative id, or one of more than 32 bits; with its position.
            TypeError: What is no integer.
        """
        for name in options.keys() - {"clean_up_tokenization_spaces"}:
            raise TypeError(f"decode takes no {name!r}")
        if isinstance(token_ids, Mapping) and "input_ids" in token_ids:
            token_ids = token_ids["input_ids"]
        given = _listed(token_ids)
        if isinstance(given, list) and given and isinstance(_listed(given[0]), (list, tuple)):
            found = []
            for number, row in enumerate(given):
                try:
                    found.append(self.decode(row, skip_special_tokens))
                except (TypeError, OverflowError) as error:
                    raise type(error)(f"list {number}: {error}") from None
            return found
        tokens = self._tokenizer.vocabulary.tokens
        skipped = self._skipped if skip_special_tokens else frozenset()
        wanted = _ids([given] if _is_int(given) else given)
        return self._tokenizer.decode(
            [id for id in wanted if id not in skipped and (id in tokens or id in self._special_by_id)]
        )

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """The text of each list of ids; as :meth:`decode`."""
        found = self.decode(sequences, skip_special_tokens, **options)
        return [found] if isinstance(found, str) else found

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The spelling of an id, or of each of several; None for one that is not in the vocabulary; errors as for
        ``decode``."""
        given = _listed(ids)
        if _is_int(given):
            return self._token_of(_ids([given])[0])
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token_of(id) for id in _ids(given) if id not in skipped]

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a spelling, or of each of several; that of ``unk_token``, or None, for an unknown one."""
        if tokens is None or isinstance(tokens, str):
            return None if tokens is None else self._id_of(tokens)
        return [self._id_of(token) for token in tokens]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text that spellings stand for together."""
        spelled = (to_bytes(token) if is_spelling(token) else token.encode() for token in tokens)
        return b"".join(spelled).decode("utf-8", "replace")

    # ---- what it is ----

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer at work."""
        return self._tokenizer

    def __len__(self) -> int:
        """Entries, special tokens included."""
        return len(self._tokenizer)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<FastTokenizer over {self._tokenizer!r}>"

    @property
    def vocab_size(self) -> int:
        """Entries of the model, without tokens that its tokenizer.json lists only as added ones; all, without such a
        file."""
        if self._vocab_size is None:
            file = self._file
            self._vocab_size = len(self) if file is None else len(json.loads(read_bytes(file))["model"]["vocab"])
        return self._vocab_size

    def get_vocab(self) -> dict[str, int]:
        """Spelling to id, of all entries."""
        vocab = {to_text(token): id for id, token in self._tokenizer.vocabulary.tokens.items()}
        return {**vocab, **self._tokenizer.special_tokens}

    @property
    def vocab(self) -> dict[str, int]:
        """Spelling to id, of all entries."""
        return self.get_vocab()

    def get_added_vocab(self) -> dict[str, int]:
        """Special tokens and their ids, by id."""
        return dict(sorted(self._tokenizer.special_tokens.items(), key=lambda item: item[1]))

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """The named special tokens that are set."""
        return {name: content for name, content in self._named.items() if content is not None}

    @property
    def all_special_tokens(self) -> list[str]:
        """The named special tokens and the extra ones, each once."""
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of these."""
        found: list[int] = self.convert_tokens_to_ids(self.all_special_tokens)
        return found

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each id that is a special token by name, else 0.

        Raises:
            NotImplementedError: Ids around which the template does not stand yet: ask for the mask in the call.
            ValueError: A second list of ids.
        """
        if not already_has_special_tokens:
            raise NotImplementedError("get_special_tokens_mask is for ids that have their special tokens already")
        if token_ids_1 is not None:
            raise ValueError("ids that have their special tokens already are one sequence: give no second")
        special = set(self.all_special_ids)
        return [int(int(id) in special) for id in token_ids_0]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many ids the template puts around a text, or around a pair."""
        return self._post_processor.added(pair)

    # ---- more special tokens ----

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any]) -> int:
        """Name special tokens, and add those that are not in the vocabulary behind its last id.

        Args:
            special_tokens_dict: ``{"pad_token": "[PAD]"}`` and so on; ``extra_special_tokens`` names a list, which
                replaces the one there was.

        Returns:
            How many were added.

        Raises:
            ValueError: An unknown name.
        """
        wanted: list[str] = []
        for name, value in special_tokens_dict.items():
            if name in ("extra_special_tokens", "additional_special_tokens"):
                contents = [str(getattr(token, "content", token)) for token in value]
                self.extra_special_tokens = contents
                wanted += contents
            elif name in _NAMES:
                setattr(self, name, value)
                wanted.append(self._named[name])
            else:
                raise ValueError(f"Key {name} is not a valid special token. Valid keys are: {', '.join(_NAMES)}")
        return self.add_tokens(wanted, special_tokens=True)

    def add_tokens(self, new_tokens: str | Sequence[Any], special_tokens: bool = False) -> int:
        """Add atomic tokens behind the vocabulary's last id; those that it has already stay.

        Args:
            new_tokens: Their texts.
            special_tokens: Whether ``skip_special_tokens`` leaves them out.

        Returns:
            How many were added.
        """
        given = [new_tokens] if isinstance(new_tokens, str) else new_tokens
        contents = dict.fromkeys(str(getattr(token, "content", token)) for token in given)
        vocabulary = self._tokenizer.vocabulary
        next_id = vocabulary.id_space
        added = [
            SpecialToken(content, next_id + number, special=special_tokens)
            for number, content in enumerate(content for content in contents if content not in self._specials)
        ]
        if added:
            changed = vocabulary.replace(special_tokens=(*vocabulary.special_tokens, *added))
            self._set_tokenizer(Tokenizer(changed, training_record=self._tokenizer.training_record))
            self._added = (*self._added, *added)
        return len(added)

    # ---- files ----

    def save_pretrained(self, save_directory: str | os.PathLike[str], **options: Any) -> tuple[str, ...]:
        """Write the tokenizer into a folder, which is made where there is none, as transformers loads it from there.

        ``tokenizer.json``, ``tokenizer_config.json`` and, where there is one, ``chat_template.jinja`` (others in
        ``chat_templates``) take the place of files of these names, each all or nothing; other files stay.

        Args:
            save_directory: The folder.
            **options: ``legacy_format`` and ``push_to_hub`` as far as they are None or False.

        Returns:
            The files written.

        Raises:
            FormatError: A tokenizer.json cannot say this vocabulary.
            OutputError: The folder cannot be written.
            TypeError: An option that is not there.
        """
        for name, value in options.items():
            if name not in ("legacy_format", "push_to_hub") or value:
                raise TypeError(f"save_pretrained takes no {name}={value!r}; bbpe writes a local folder")
        folder = Path(save_directory)
        templates = self.chat_template
        named = {"default": templates} if isinstance(templates, str) else dict(templates or {})
        for name in named:
            if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
                raise ValueError(f"{name!r} cannot be the name of a file for a chat template")
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if set(named) - {"default"}:
                (folder / "chat_templates").mkdir(exist_ok=True)
        contents = {folder / "tokenizer.json": self._json(), folder / _CONFIG: self._config_json()}
        for name, template in named.items():
            file_name = "chat_template.jinja" if name == "default" else f"chat_templates/{name}.jinja"
            contents[folder / file_name] = template.encode()
        for path, data in contents.items():
            with atomic_write(path, force=True) as file:
                file.write(data)
        return tuple(map(str, contents))

    def _json(self) -> bytes:
        """A tokenizer.json: the one that was loaded and the tokens added since, where it says the rest."""
        vocabulary = self._tokenizer.vocabulary
        if self._file is not None and self._template is None:
            data = read_bytes(self._file)
            if self._added:
                record = json.loads(data)
                record["model"]["vocab"].update({special.content: special.id for special in self._added})
                flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
                listed = record.setdefault("added_tokens", [])
                there = {each["content"] for each in listed}  # the folder may be the one that was loaded, saved before
                listed.extend(
                    {"id": special.id, "content": special.content, **flags, "special": special.special}
                    for special in self._added
                    if special.content not in there
                )
                data = json.dumps(record, ensure_ascii=False, indent=2).encode()
            return data
        if self._template is not None:
            vocabulary = vocabulary.replace(template=self._template)
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, "tokenizer.json")
            tokenizer_json.write(vocabulary, path)
            return path.read_bytes()

    def _config_json(self) -> bytes:
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": self.model_max_length,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "model_input_names": self.model_input_names,
            **self.special_tokens_map,
        }
        if self.extra_special_tokens:
            config["extra_special_tokens"] = self.extra_special_tokens
        if self.split_special_tokens:
            config["split_special_tokens"] = True
        return (json.dumps(config, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()

    # ---- inside ----

    def _id_of(self, token: str) -> int | None:
        special = self._specials.get(token)
        if special is not None:
            return special.id
        id = self._tokenizer.vocabulary.ids.get(to_bytes(token)) if is_spelling(token) else None
        unknown = self._named["unk_token"]
        return id if id is not None or unknown is None or unknown == token else self._id_of(unknown)

    def _known_id(self, token: str) -> int:
        id = self._id_of(token)
        if id is None:
            raise FormatError(f"{token!r} is no token of this vocabulary")
        return id

    def _token_of(self, id: int) -> str | None:
        content = self._special_by_id.get(id)
        if content is not None:
            return content
        token = self._tokenizer.vocabulary.tokens.get(id)
        return None if token is None else to_text(token)


def _pairs(text: Any, text_pair: Any, in_words: bool) -> tuple[list[tuple[Text, ...]], bool]:
    """The texts or pairs to encode, and whether they are a batch."""
    if in_words:
        return _pairs_of_words(text, text_pair)
    if isinstance(text, str):
        if text_pair is not None and not isinstance(text_pair, str):
            raise TypeError("text_pair is a str where text is one")
        return [(text, text_pair) if text_pair else (text,)], False
    if not isinstance(text, (list, tuple)):
        raise ValueError(f"text is a str, a list of str, or a list of pairs of str, not {type(text).__name__}")
    if text_pair is not None:
        pairs: list[tuple[Any, ...]] = _zipped(text, text_pair)
    else:
        pairs = [tuple(each) if isinstance(each, (list, tuple)) else (each,) for each in text]
    for number, pair in enumerate(pairs):
        if len(pair) not in (1, 2) or not all(isinstance(each, str) for each in pair):
            raise TypeError(f"text {number} is neither a str nor a pair of them")
    return pairs, True


def _pairs_of_words(text: Any, text_pair: Any) -> tuple[list[tuple[Text, ...]], bool]:
    """The same where each text is a list of its words."""
    if not isinstance(text, (list, tuple)):
        raise ValueError(
            f"with is_split_into_words text is a list of words or of such lists, not {type(text).__name__}"
        )
    batched = bool(text) and isinstance(text[0], (list, tuple))
    pairs: list[tuple[Any, ...]]
    if not batched:
        pairs = [(text, text_pair) if text_pair else (text,)]
    elif text_pair is not None:
        pairs = _zipped(text, text_pair)
    else:  # a pair is two lists
        pairs = [tuple(each) if each and isinstance(each[0], (list, tuple)) else (each,) for each in text]
    for number, pair in enumerate(pairs):
        if len(pair) not in (1, 2) or not all(
            isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words) for words in pair
        ):
            raise TypeError(f"text {number} is neither a list of words nor a pair of them")
    return [tuple(list(words) for words in pair) for pair in pairs], batched


def _zipped(text: Sequence[Any], text_pair: Any) -> list[tuple[Any, ...]]:
    if isinstance(text_pair, str):
        raise TypeError(
            "when tokenizing batches of text, `text_pair` must be a list or tuple with the same length as `text`."
        )
    if len(text) != len(text_pair):
        raise ValueError(
            f"batch length of `text`: {len(text)} does not match batch length of `text_pair`: {len(text_pair)}."
        )
    return list(zip(text, text_pair, strict=True))


def _generated(row: Encoding, spans: list[tuple[int, int]]) -> list[int]:
    """1 for the tokens of these characters, else 0, as transformers finds them."""
    mask = [0] * len(row)
    for begin, end in spans:
        first, last = row.char_to_token(begin), row.char_to_token(end - 1)
        if first is None:  # cut off
            break
        last = last + 1 if last else len(row)
        mask[first:last] = [1] * (last - first)
    return mask


def _choice(what: str, value: Any, words: Mapping[Any, str], known: tuple[str, ...]) -> str:
    value = getattr(value, "value", value)  # transformers' enumerations
    if value is None or isinstance(value, bool):
        if value in words:
            return words[value]
    elif value in known:
        return str(value)
    raise ValueError(f"{what} is True, False or one of {', '.join(known)}, not {value!r}")


def _padded(items: list[Any], size: int, item: Any, side: str) -> list[Any]:
    return [item] * size + items if side == "left" else items + [item] * size


def _as_lists(value: Any) -> Any:
    """Arrays and tensors as lists of int, and so what stands in lists."""
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, str, tuple)):
        return [_as_lists(each) for each in value]
    return list(value) if isinstance(value, tuple) else value


def _listed(value: Any) -> Any:
    """An array or a tensor of integers as a list of int; what is none as it is.

    Raises:
        TypeError: An array of something else.
    """
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind not in "iu":
        raise TypeError(f"ids are integers; the array has dtype {value.dtype}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError("ids are integers; some of the array are masked")
    return value.tolist() if hasattr(value, "tolist") else value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _ids(given: Any) -> list[int]:
    """Integers that may be ids, in the vocabulary or not."""
    found = [id if type(id) is int else integer_id(id, place) for place, id in enumerate(id_list(given))]
    for place, id in enumerate(found):
        if not 0 <= id < 1 << 32:
            raise OverflowError(f"id {shown(id)} at position {place} is out of range")
    return found


def _kind_of(value: Any) -> str | None:
    """Which arrays a column is made of; None for lists."""
    while isinstance(value, (list, tuple)) and len(value):
        value = value[0]
    if isinstance(value, np.ndarray):
        return "np"
    return "pt" if type(value).__module__.partition(".")[0] == "torch" else None


def _config(folder: Path) -> dict[str, Any]:
    """What ``tokenizer_config.json`` says of the options of :class:`FastTokenizer`."""
    path = folder / _CONFIG
    if not path.exists():
        templates = read_templates(folder, {})
        return {} if templates is None else {"chat_template": templates}
    try:
        record = json.loads(read_bytes(path))
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise FormatError(f"{path}: no JSON object; repair or remove it")
    known = (
        *_NAMES,
        "model_max_length",
        "padding_side",
        "truncation_side",
        "model_input_names",
        "extra_special_tokens",
        "split_special_tokens",
    )
    found = {name: record[name] for name in known if record.get(name) is not None}
    templates = read_templates(folder, record)
    if templates is not None:
        found["chat_template"] = templates
    if "extra_special_tokens" not in found and record.get("additional_special_tokens"):
        found["extra_special_tokens"] = record["additional_special_tokens"]
    for name in _NAMES:
        if isinstance(found.get(name), dict):
            found[name] = found[name].get("content")
    extra = found.get("extra_special_tokens", [])
    values = extra.values() if isinstance(extra, dict) else extra
    if extra:
        found["extra_special_tokens"] = [each["content"] if isinstance(each, dict) else each for each in values]
    return found


def _post_processor_of(path: Path) -> Any:
    """The ``post_processor`` of a tokenizer.json; the megabytes around it are not parsed a second time."""
    text = read_bytes(path).decode("utf-8")
    for match in re.finditer(r'"post_processor"\s*:\s*', text):
        value, _ = json.JSONDecoder().raw_decode(text, match.end())
        if not isinstance(value, int):  # no token of that name
            return value
    return None
