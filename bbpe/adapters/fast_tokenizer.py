"""A bbpe tokenizer that is called as a fast tokenizer of transformers is.

What it does: enough of the call and of the attributes of ``PreTrainedTokenizerFast`` for the usual programs and for
transformers' data collators: texts and pairs to ids with masks, offsets, padding and truncation; ``pad``; ``decode``
and ``batch_decode``; tokens and ids to one another; the named special tokens. What it does not: encode
(``tokenizer.py``), import transformers, or offer chat templates, texts that are split into words already, overflowing
tokens and ``save_pretrained`` (``bbpe.save`` writes the folder).

Special tokens that stand in a text are taken as such, as transformers does, unless ``split_special_tokens`` is set.
Offsets where a normalizer changed the text are those of ``Tokenizer.encode_with_offsets``. ``decode`` never "cleans up"
spaces, as transformers 5 never does with BPE.

Compared with transformers call by call in ``tests/test_adapter_transformers.py``. Where to read next:
``post_processing.py`` for templates and truncation, ``batch_encoding.py`` for what a call returns.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bbpe.adapters.batch_encoding import BatchEncoding
from bbpe.adapters.post_processing import PostProcessor, Segment, truncated
from bbpe.adapters.special_search import first_of
from bbpe.engines import EngineTokenizer
from bbpe.errors import FormatError
from bbpe.formats import detect
from bbpe.formats.byte_text import is_spelling, to_bytes, to_text
from bbpe.formats.files import read_bytes
from bbpe.holdings import locate
from bbpe.io import load
from bbpe.tokenizer import Tokenizer
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
        self._file = file
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
        return PostProcessor.of_template(Template(before, after))

    # ---- the call ----

    def __call__(
        self,
        text: str | Sequence[Any],
        text_pair: str | Sequence[str] | None = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """The ids of a text, or of several, with what a model and a data collator need beside them.

        Args:
            text: A text, a list of texts, or a list of pairs.
            text_pair: The second text, or texts.
            add_special_tokens: Put the template around the texts.
            padding: True or ``"longest"``, ``"max_length"``, False or ``"do_not_pad"``.
            truncation: True or ``"longest_first"``, ``"only_first"``, ``"only_second"``, False or
                ``"do_not_truncate"``. None is True where ``max_length`` is given and ``padding`` is not.
            max_length: In tokens, the template included; ``model_max_length`` where None.
            pad_to_multiple_of: Pad further, to a multiple of this.
            padding_side: Instead of the tokenizer's own.
            return_tensors: ``"np"`` or ``"pt"``; lists when None.
            return_token_type_ids: Return ``token_type_ids``; None: where ``model_input_names`` has them.
            return_attention_mask: Return ``attention_mask``; None: likewise.
            return_special_tokens_mask: Return ``special_tokens_mask``: 1 for the template and for padding.
            return_offsets_mapping: Return ``offset_mapping``: the characters of each token, (0, 0) for the template.
            return_length: Return ``length``.
            split_special_tokens: Instead of the tokenizer's own.
            verbose: Warn where ``max_length`` does nothing.

        Raises:
            EncodeError: A lone surrogate, or a byte for which the vocabulary has no token.
            TypeError: What is no text.
            ValueError: Options in contradiction, or no padding token to pad with.
        """
        pairs, batched = _pairs(text, text_pair)
        pad, cut, limit = self._strategies(padding, truncation, max_length, pad_to_multiple_of, verbose)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        rows = self._rows(pairs, add_special_tokens, cut, limit, return_offsets_mapping, split)
        side = padding_side if padding_side is not None else self.padding_side
        if pad != "do_not_pad":
            width = limit if pad == "max_length" else max((len(row.ids) for row in rows), default=0)
            self._pad_rows(rows, width or 0, pad_to_multiple_of, side)
        names = self.model_input_names
        data: dict[str, list[Any]] = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids:
            data["token_type_ids"] = [row.type_ids() for row in rows]
        if "attention_mask" in names if return_attention_mask is None else return_attention_mask:
            data["attention_mask"] = [row.attention_mask() for row in rows]
        if return_special_tokens_mask:
            data["special_tokens_mask"] = [[int(each is None) for each in row.sequences()] for row in rows]
        if return_offsets_mapping:
            data["offset_mapping"] = [row.offsets for row in rows]
        if return_length:
            data["length"] = [len(row.ids) for row in rows]
        whole: dict[str, Any] = data
        if not batched and return_tensors is None:
            whole = {name: value[0] for name, value in data.items()}
            if return_length:
                whole["length"] = data["length"]  # transformers leaves this one a list
        return BatchEncoding(
            whole,
            tokens=_Tokens(self, [row.ids for row in rows]),
            sequences=[row.sequences() for row in rows],
            tensor_type=return_tensors,
            n_sequences=max((len(pair) for pair in pairs), default=1),
        )

    def encode(self, text: str, text_pair: str | None = None, **options: Any) -> Any:
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
        self, pairs: list[tuple[str, ...]], add: bool, cut: str, limit: int | None, offsets: bool, split: bool
    ) -> list[_Row]:
        """What comes out for each text or pair before padding."""
        flat = [text for pair in pairs for text in pair]
        encoded = iter(self._encoded(flat, offsets, split))
        rows = []
        for pair in pairs:
            parts = [next(encoded) for _ in pair]
            processor = self._post_processor
            if limit is not None and cut != "do_not_truncate":
                room = limit - (processor.added(len(pair) > 1) if add else 0)
                if room < 0:
                    raise ValueError(
                        f"max_length is {limit}, but {limit - room} special tokens stand around the text; "
                        "ask for more, or pass add_special_tokens=False"
                    )
                kept = truncated(tuple(len(ids) for ids, _ in parts), room, cut)
                parts = [
                    (_side(ids, size, self.truncation_side), _side(places, size, self.truncation_side))
                    for (ids, places), size in zip(parts, kept, strict=True)
                ]
            if offsets and processor.trim_offsets:
                parts = [(ids, processor.trimmed(places, map(self._tokenizer.token, ids))) for ids, places in parts]
            if add:
                layout = processor.pair if len(pair) > 1 else processor.single
            else:
                types = (0, processor.second_type_id)
                layout = tuple(Segment(number, (), types[number]) for number in range(len(pair)))
            rows.append(_Row.of(parts, layout, offsets))
        return rows

    def _encoded(self, texts: list[str], offsets: bool, split: bool) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Ids and, where they are wanted, offsets of each text."""
        tokenizer = self._tokenizer
        if offsets:
            allowed = self._unsplit if split else "all"
            return [tokenizer.encode_with_offsets(text, allowed_special=allowed) for text in texts]
        # Texts without special tokens, which are most, go in one batch on all cores.
        looked_for = self._unsplit if split else frozenset(self._specials)
        special = [first_of(looked_for, text) is not None for text in texts]
        plain = iter(tokenizer.encode_batch([text for text, has in zip(texts, special, strict=True) if not has]))
        return [
            (tokenizer.encode(text, allowed_special=looked_for) if has else next(plain), [])
            for text, has in zip(texts, special, strict=True)
        ]

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

    def _pad_rows(self, rows: list[_Row], width: int, multiple: int | None, side: str) -> None:
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

    # ---- decoding ----

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **options: Any) -> Any:
        """The text of some ids, or the texts of a batch of them; ids that are not in the vocabulary are passed over.

        Args:
            token_ids: An id, a list, an array or a tensor of them, or a batch.
            skip_special_tokens: Leave special tokens out.
            **options: ``clean_up_tokenization_spaces`` is accepted, and does nothing to BPE.

        Raises:
            OverflowError: A negative id.
        """
        for name in options.keys() - {"clean_up_tokenization_spaces"}:
            raise TypeError(f"decode takes no {name!r}")
        if isinstance(token_ids, Mapping):
            token_ids = token_ids["input_ids"]
        ids = _as_lists(token_ids)
        if isinstance(ids, list) and ids and isinstance(ids[0], (list, tuple)):
            return [self.decode(row, skip_special_tokens) for row in ids]
        wanted = [ids] if isinstance(ids, int) else [int(id) for id in ids]
        if any(id < 0 for id in wanted):
            raise OverflowError("can't convert negative int to unsigned")
        tokens = self._tokenizer.vocabulary.tokens
        skipped = self._skipped if skip_special_tokens else frozenset()
        known = [id for id in wanted if id not in skipped and (id in tokens or id in self._special_by_id)]
        return self._tokenizer.decode(known)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = False, **options: Any) -> list[str]:
        """The text of each list of ids; as :meth:`decode`."""
        found = self.decode(sequences, skip_special_tokens, **options)
        return [found] if isinstance(found, str) else found

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The spelling of an id, or of each of several; None for one that is not in the vocabulary."""
        if isinstance(ids, int):
            return self._token_of(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token_of(int(id)) for id in ids if int(id) not in skipped]

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
        return len(added)

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


@dataclass(slots=True)
class _Row:
    """What comes out for one text or pair: ids, and runs of them as (text of a pair or None, how many, type)."""

    ids: list[int]
    offsets: list[tuple[int, int]] | None
    runs: list[tuple[int | None, int, int]]
    padding: tuple[int, int] = (0, 0)  # ids before and after

    @classmethod
    def of(
        cls, parts: list[tuple[list[int], list[tuple[int, int]]]], layout: tuple[Segment, ...], offsets: bool
    ) -> _Row:
        if len(layout) == 1:
            ids, places = parts[0]
            return cls(ids, places if offsets else None, [(0, len(ids), layout[0].type_id)])
        row = cls([], [] if offsets else None, [])
        for segment in layout:
            if segment.sequence is None:
                ids, places = list(segment.ids), [(0, 0)] * len(segment.ids)
            else:
                ids, places = parts[segment.sequence]
            row.ids += ids
            if row.offsets is not None:
                row.offsets += places
            row.runs.append((segment.sequence, len(ids), segment.type_id))
        return row

    def pad(self, size: int, id: int, type_id: int, side: str) -> None:
        if size <= 0:
            return
        self.ids = _padded(self.ids, size, id, side)
        if self.offsets is not None:
            self.offsets = _padded(self.offsets, size, (0, 0), side)
        run = (None, size, type_id)
        self.runs = [run, *self.runs] if side == "left" else [*self.runs, run]
        self.padding = (size, 0) if side == "left" else (0, size)

    def type_ids(self) -> list[int]:
        return [type_id for _, size, type_id in self.runs for _ in range(size)]

    def sequences(self) -> list[int | None]:
        return [sequence for sequence, size, _ in self.runs for _ in range(size)]

    def attention_mask(self) -> list[int]:
        before, after = self.padding
        return [0] * before + [1] * (len(self.ids) - before - after) + [0] * after


class _Tokens(Sequence[Sequence[str]]):
    """The spellings of the ids of each text, made when they are asked for."""

    def __init__(self, tokenizer: FastTokenizer, rows: list[list[int]]) -> None:
        self._tokenizer = tokenizer
        self._rows = rows

    def __getitem__(self, index: Any) -> Any:
        return self._tokenizer.convert_ids_to_tokens(self._rows[index])

    def __len__(self) -> int:
        return len(self._rows)


def _pairs(text: Any, text_pair: Any) -> tuple[list[tuple[str, ...]], bool]:
    """The texts or pairs to encode, and whether they are a batch."""
    if isinstance(text, str):
        if text_pair is not None and not isinstance(text_pair, str):
            raise TypeError("text_pair is a str where text is one")
        return [(text, text_pair) if text_pair else (text,)], False
    if not isinstance(text, (list, tuple)):
        raise ValueError(f"text is a str, a list of str, or a list of pairs of str, not {type(text).__name__}")
    if text_pair is not None:
        if isinstance(text_pair, str):
            raise TypeError(
                "when tokenizing batches of text, `text_pair` must be a list or tuple with the same length as `text`."
            )
        if len(text) != len(text_pair):
            raise ValueError(
                f"batch length of `text`: {len(text)} does not match batch length of `text_pair`: {len(text_pair)}."
            )
        pairs: list[tuple[Any, ...]] = list(zip(text, text_pair, strict=True))
    else:
        pairs = [tuple(each) if isinstance(each, (list, tuple)) else (each,) for each in text]
    for number, pair in enumerate(pairs):
        if len(pair) not in (1, 2) or not all(isinstance(each, str) for each in pair):
            raise TypeError(f"text {number} is neither a str nor a pair of them")
    return pairs, True


def _choice(what: str, value: Any, words: Mapping[Any, str], known: tuple[str, ...]) -> str:
    value = getattr(value, "value", value)  # transformers' enumerations
    if value is None or isinstance(value, bool):
        if value in words:
            return words[value]
    elif value in known:
        return str(value)
    raise ValueError(f"{what} is True, False or one of {', '.join(known)}, not {value!r}")


def _side(items: list[Any], size: int, side: str) -> list[Any]:
    """What stays of a list of which the end on one side is cut off."""
    return items[:size] if side == "right" else items[len(items) - size :] if items else items


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
        return {}
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
