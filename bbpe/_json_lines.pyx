# cython: auto_pickle=False
"""Documents out of lines of JSON, without the GIL: Python's parser would hold all threads up.

What it does: takes the text of one field out of line after line. What it does not: explain what is wrong with a line,
or read the rare forms of JSON; it stops before such a line, and ``corpus.py`` reads that one. See
``_native/json_lines.hpp``.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcpy
from libcpp.string cimport string
from libcpp.vector cimport vector

import numpy as np

cdef extern from "_native/json_lines.hpp" namespace "bbpe" nogil:
    cdef cppclass JsonLines:
        JsonLines(const string& field) except +
        const uint8_t* take(const uint8_t* at, const uint8_t* end, size_t enough) except +
        string text
        vector[int64_t] ends
        int64_t lines


def take_documents(const uint8_t[::1] data not None, Py_ssize_t at, bytes field not None, size_t enough):
    """Take documents from whole lines of JSON.

    Args:
        data: Lines; the last may lack its newline.
        at: Where to begin, the beginning of a line.
        field: The name of the field, UTF-8.
        enough: Stop when this much text has been taken, in bytes.

    Returns:
        ``(text, ends, at, lines)``: the documents one after another; where each ends in ``text``, int64; where the
        first line begins that was not taken (because there is enough, or because it needs another parser); how many
        lines were taken, blank ones included.
    """
    cdef Py_ssize_t size = data.shape[0]
    cdef JsonLines* lines
    cdef const uint8_t* base
    cdef const uint8_t* stopped
    cdef int64_t[::1] view
    if not 0 <= at < size:
        raise ValueError("no line begins there")
    base = &data[0]
    lines = new JsonLines(<string> field)
    try:
        with nogil:
            stopped = lines.take(base + at, base + size, enough)
        ends = np.empty(lines.ends.size(), np.int64)
        if lines.ends.size():
            view = ends
            memcpy(&view[0], lines.ends.data(), lines.ends.size() * sizeof(int64_t))
        text = PyBytes_FromStringAndSize(lines.text.data(), <Py_ssize_t> lines.text.size())
        return text, ends, stopped - base, lines.lines
    finally:
        del lines
