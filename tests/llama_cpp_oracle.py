"""llama.cpp itself, as an oracle: its C functions in the shared library of the package ``xllamacpp``.

That package has no function that only tokenizes, but it exports llama.cpp's. They are called through ``ctypes`` with the
layout of one version, so another version is not used; tests that ask for it are skipped then.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import pytest

VERSION = "2026.10.11549"
_VOCAB_ONLY = 72  # the offset of `bool vocab_only` in this version's llama_model_params
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_messages: list[bytes] = []
_log = _LOG(lambda level, text, data: _messages.append(text))  # kept alive: llama.cpp calls it


class _ModelParameters(ctypes.Structure):
    """Larger than the real structure; both are passed in memory, so that only its beginning counts."""

    _fields_ = [("bytes", ctypes.c_ubyte * 256)]


def library() -> Any:
    """The functions; the test is skipped where they cannot be had."""
    try:
        found = importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("xllamacpp is not installed: it holds llama.cpp, with which ids are compared")
    if found != VERSION:
        pytest.skip(f"xllamacpp {found} is installed; the structures of {VERSION} are known here")
    import xllamacpp  # loads what the functions need

    (path,) = Path(xllamacpp.__file__).parent.glob("xllamacpp*.so")
    functions = ctypes.CDLL(str(path))
    functions.llama_model_default_params.restype = _ModelParameters
    functions.llama_model_load_from_file.argtypes = [ctypes.c_char_p, _ModelParameters]
    functions.llama_model_load_from_file.restype = ctypes.c_void_p
    functions.llama_model_free.argtypes = [ctypes.c_void_p]
    functions.llama_model_get_vocab.argtypes = [ctypes.c_void_p]
    functions.llama_model_get_vocab.restype = ctypes.c_void_p
    for name in ("bos", "eos", "pad", "n_tokens", "get_add_bos", "get_add_eos"):
        function = getattr(functions, f"llama_vocab_{name}")
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_bool if "add" in name else ctypes.c_int32
    functions.llama_tokenize.argtypes = [
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32),
        *(ctypes.c_bool, ctypes.c_bool),
    ]
    functions.llama_log_set.argtypes = [_LOG, ctypes.c_void_p]
    functions.llama_log_set(_log, None)
    return functions


class LlamaCpp:
    """The vocabulary of a GGUF file, in llama.cpp."""

    def __init__(self, path: Path) -> None:
        self._model = None
        self._functions = library()  # skips the test where llama.cpp is not there
        parameters = self._functions.llama_model_default_params()
        parameters.bytes[_VOCAB_ONLY] = 1
        _messages.clear()
        self._model = self._functions.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise RuntimeError(b"".join(_messages[-4:]).decode("utf-8", "replace"))
        self._vocabulary = self._functions.llama_model_get_vocab(self._model)

    def __del__(self) -> None:
        if self._model:
            self._functions.llama_model_free(self._model)

    def __getattr__(self, name: str) -> Any:
        """``bos``, ``eos``, ``pad``, ``n_tokens``, ``get_add_bos``, ``get_add_eos``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._functions, f"llama_vocab_{name}")(self._vocabulary)

    def encode(self, text: str, *, template: bool = False, special: bool = False) -> list[int]:
        """Ids of a text, with the tokens that begin and end it, and with special tokens parsed, or without."""
        data = text.encode()
        room = len(data) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._functions.llama_tokenize(self._vocabulary, data, len(data), ids, room, template, special)
        assert 0 <= count <= room
        return ids[:count]
