# cython: auto_pickle=False
"""Count pretokens: run an automaton over text and count what it cuts off, without the GIL.

What it does: :class:`PretokenCounter` holds how often each distinct pretoken occurred; :func:`plan` finds where the
text of a chunk may be cut and which parts of it are no text (special tokens); :func:`sorted_counts` turns several
counters into arrays in byte order. What it does not: read files, start threads, normalize, check its arguments more
than memory safety needs. ``counts.py`` does all of that; read it first. The tables are in ``_native/byte_counts.hpp``.

Text is always a ``bytes`` object that ends with :data:`PADDING` bytes more than the text: scanners read ahead.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcpy, memset
from libcpp.string cimport string
from libcpp.vector cimport vector

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject

from bbpe._pretokenize cimport FLAGS_BEFORE, Automaton, automaton_t, cut_before, mark_until, pretoken_end, safe_cut
from bbpe._types cimport count_t

import numpy as np

PADDING = 32
cdef int64_t PADDING_BYTES = PADDING

cdef enum:
    WINDOW = 1 << 13        # bytes of ASCII whose boundaries are marked at once; the flags stay in the first cache
    SHORTEST_MARKED = 64    # shorter text before another character is not worth setting out for
    WORTH_GIVING_BACK = 1 << 26  # bytes
    LARGEST_KEPT = 1 << 22  # bytes: of a block of text in all its forms
    AHEAD = 8               # documents

cdef extern from "_native/byte_counts.hpp" namespace "bbpe" nogil:
    cdef cppclass ByteCounts:
        ByteCounts() except +
        bint push(const uint8_t* at, size_t length) noexcept
        void add_marked(const uint8_t* text, size_t count, const uint8_t* flags) except +
        void flush() except +
        void discard() noexcept
        void add(const uint8_t* at, size_t length, int64_t count) except +
        size_t size() noexcept
        size_t memory() noexcept
        size_t growth(size_t more) noexcept
        int64_t sorting() noexcept
        void sample_hashes(vector[uint64_t]& hashes, int64_t& size, int64_t& characters) except +

    cdef struct ByteCountSums:
        int64_t bytes
        int64_t characters
        int64_t invalid_bytes
        int64_t strings

    cdef cppclass SortedByteCounts:
        void prepare(const vector[ByteCounts*]& tables, size_t buckets) except +
        size_t parts()
        void gather(size_t part) except +
        void sort(size_t bucket) except +
        size_t size(size_t bucket)
        int64_t bytes(size_t bucket)
        ByteCountSums fill(size_t bucket, uint8_t* data, int64_t base, int64_t* ends, int64_t* counts) noexcept
        ByteCountSums fill_some(size_t bucket, size_t first, size_t last, uint8_t* data, int64_t size, int64_t base,
                                int64_t* ends, int64_t* counts) noexcept
        size_t fitting(size_t bucket, size_t first, size_t rows, int64_t most, int64_t& total) noexcept
        void free(size_t bucket) except +

    void c_release_free_memory "bbpe::release_free_memory"() noexcept
    void c_keep_freed_memory "bbpe::keep_freed_memory"(size_t bytes) noexcept
    void prefetch(const void* address) noexcept

cdef extern from "_native/sorted_runs.hpp" namespace "bbpe" nogil:
    cdef struct SortedRun:
        const uint8_t* data
        const int64_t* offsets
        const int64_t* counts
        int64_t at
        int64_t end
        int64_t multiplier
        uint64_t prefix

    int64_t merge_runs(vector[SortedRun]& runs, uint8_t* data, int64_t* ends, int64_t* counts) except +

cdef extern from "_native/transcode.hpp" namespace "bbpe" nogil:
    cdef cppclass Units:
        const void* data
        size_t length
        int width
        size_t most_bytes()
    uint8_t* write_utf8(const Units& document, uint8_t* out)

cdef extern from "Python.h":
    PyObject* PyBytes_FromStringAndSize(const char* text, Py_ssize_t size)
    char* PyBytes_AsString(PyObject* text)
    int _PyBytes_Resize(PyObject** text, Py_ssize_t size) except -1
    void Py_DECREF(PyObject* object)
    int PyUnicode_KIND(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)
    bint PyUnicode_IS_ASCII(object text)

cdef extern from "_native/string_search.hpp" namespace "bbpe" nogil:
    cdef cppclass StringSearch:
        void add(const string& text) except +
        size_t longest() noexcept
        const uint8_t* find(const uint8_t* at, const uint8_t* limit, const uint8_t* end, size_t& length) noexcept

cdef extern from "_native/units.hpp" namespace "bbpe" nogil:
    bint c_all_ascii "bbpe::all_ascii"(const uint8_t* bytes) noexcept

cdef extern from "_native/utf8.hpp" namespace "bbpe" nogil:
    void c_count_characters "bbpe::count_characters"(
        const uint8_t* at, const uint8_t* end, int64_t& characters, int64_t& invalid) noexcept
    const uint8_t* character_floor(const uint8_t* begin, const uint8_t* at, const uint8_t* end) noexcept
    const uint8_t* whole_characters(const uint8_t* begin, const uint8_t* end) noexcept
    size_t utf8_sequence(const uint8_t* at, const uint8_t* end) noexcept
    bint is_inert(const uint8_t* at, const uint8_t* end) noexcept
    bint c_all_inert "bbpe::all_inert"(const uint8_t* at, const uint8_t* end) noexcept
    const uint8_t* next_not_inert(const uint8_t* at, const uint8_t* end) noexcept


def utf8_block(list documents not None):
    """Documents as UTF-8, side by side.

    Args:
        documents: str or bytes, each.

    Returns:
        ``(data, ends)``: bytes with padding, and where each document ends, int64. Where a str holds a lone surrogate,
        its place in the list instead.
    """
    cdef vector[Units] found
    cdef vector[int64_t] ends
    cdef Units one
    cdef size_t i, most = 0
    cdef PyObject* room
    cdef uint8_t* begin
    cdef uint8_t* out
    for document in documents:
        if isinstance(document, str):
            one.data = PyUnicode_DATA(document)
            one.length = PyUnicode_GET_LENGTH(document)
            one.width = 0 if PyUnicode_IS_ASCII(document) else PyUnicode_KIND(document)
        else:
            one.data = PyBytes_AS_STRING(document)
            one.length = PyBytes_GET_SIZE(document)
            one.width = 0
        most += one.most_bytes()
        found.push_back(one)
    ends.resize(found.size())
    room = PyBytes_FromStringAndSize(NULL, most + PADDING)
    if room == NULL:
        raise MemoryError()
    begin = out = <uint8_t*> PyBytes_AsString(room)
    with nogil:
        for i in range(found.size()):
            out = write_utf8(found[i], out)
            if out == NULL:
                break
            ends[i] = out - begin
    if out == NULL:
        Py_DECREF(room)
        return i
    memset(out, 0, PADDING)
    _PyBytes_Resize(&room, out - begin + PADDING)  # in place: it only becomes shorter
    data = <object> room
    Py_DECREF(room)  # `data` has its own reference
    return data, _array(ends)


def add_strings(items not None, list source, Py_ssize_t at, list batch not None, int64_t size, int64_t enough):
    """Move the next documents of an iterator to a batch, as long as they are str and shorter than a block.

    Args:
        items: The iterator.
        source: The list that it goes through, if it does: documents are asked for before they are looked at, which
            would wait for each.
        at: How many documents it has given already.
        batch: Where they are appended.
        size: Bytes of the batch, about.
        enough: Bytes of a block: the batch is full when it has as many.

    Returns:
        ``(size, other)``: ``size`` then; and None at the end of the items, else a tuple: empty where the batch is full,
        or with the first item that is no such str and was not appended.
    """
    cdef int64_t most
    for item in items:
        at += 1
        if source is not None and at + AHEAD <= PyList_GET_SIZE(source):
            prefetch(PyList_GET_ITEM(source, at + AHEAD - 1))
        if type(item) is not str:
            return size, (item,)
        # Three bytes a character are the most, but for rare ones that make a block somewhat larger.
        most = PyUnicode_GET_LENGTH(item) * (1 if PyUnicode_IS_ASCII(item) else 3)
        if most > enough:
            return size, (item,)
        batch.append(item)
        size += most + 16  # 16: empty documents must fill a block too, some day
        if size >= enough:
            return size, ()
    return size, None


cdef inline const uint8_t* ascii_end(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """The first byte from `at` on that is not ASCII, or `end`. May read seven bytes past it."""
    cdef uint64_t eight
    while end - at >= 64 and at[0] < 0x80 and c_all_ascii(at):
        at += 64
    while at < end:
        memcpy(&eight, at, 8)
        if eight & 0x8080808080808080ULL:
            break
        at += 8
    while at < end and at[0] < 0x80:
        at += 1
    return min(at, end)


cdef class SpecialStrings:
    """The special tokens to look for in text, as UTF-8. Immutable."""

    cdef StringSearch search

    def __init__(self, strings):
        cdef bytes text
        for text in strings:
            self.search.add(<string> text)


def plan(bytes data not None, const int64_t[::1] starts not None, const int64_t[::1] ends not None, bint complete,
         SpecialStrings specials, Automaton first_stage, bint normalized):
    """Find the texts in a chunk, and where to cut its last one if that goes on.

    A text is what lies between special tokens, or between one and the edge of its document. Where the last document is
    not complete, everything is decided only as far as no later byte can change it.

    Args:
        data: The chunk and its padding.
        starts: Where each document begins, ascending.
        ends: Where each ends.
        complete: Whether the last document ends here.
        specials: What to cut out, or ``None``.
        first_stage: The automaton whose safe cuts are used, or ``None`` when a document cannot be cut.
        normalized: Whether a cut must also be one that normalization form C respects.

    Returns:
        ``(starts, ends, stop, rest)``: the texts as int64 arrays; where to stop counting in the last text (its end may
        lie beyond, to be looked at only); where the bytes begin that belong to the next chunk.
    """
    cdef Py_ssize_t n = starts.shape[0], i
    cdef const uint8_t* base = <const uint8_t*> data
    cdef int64_t size = len(data) - PADDING_BYTES
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef const uint8_t* limit
    cdef const uint8_t* found
    cdef const uint8_t* cut
    cdef const automaton_t* machine = &first_stage.machine if first_stage is not None else NULL
    cdef StringSearch* search = &specials.search if specials is not None else NULL
    cdef size_t length = 0, longest = search.longest() if search != NULL else 0
    cdef vector[int64_t] text_starts, text_ends
    cdef int64_t stop, rest
    cdef bint last
    _check_spans(starts, ends, size)
    if n == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), 0, size
    if complete and longest == 0:
        return np.asarray(starts), np.asarray(ends), ends[n - 1], size
    with nogil:
        stop = 0
        rest = size
        cut = NULL
        for i in range(n):
            last = i == n - 1 and not complete
            at = base + starts[i]
            end = base + ends[i]
            # No special token begins before `limit` that has not been found; beyond, one may be arriving.
            limit = end if not last or longest == 0 else max(at, end - (longest - 1))
            while longest:
                found = search.find(at, limit, end, length)
                if found == NULL:
                    break
                if found > at:
                    text_starts.push_back(at - base)
                    text_ends.push_back(found - base)
                at = found + length
                limit = max(limit, at)
            if not last:
                if end > at:
                    text_starts.push_back(at - base)
                    text_ends.push_back(end - base)
                continue
            limit = whole_characters(at, limit)
            if machine != NULL and limit > at:
                cut = safe_cut(machine, at, limit, limit)
                while normalized and cut != NULL and not _inert_around(at, cut, limit):
                    cut = safe_cut(machine, at, cut - 1, limit) if cut - 1 > at else NULL
            if cut != NULL:
                text_starts.push_back(at - base)
                text_ends.push_back(limit - base)
                stop = cut - base
                rest = stop
            else:
                rest = at - base
        if cut == NULL and text_ends.size():
            stop = text_ends.back()
    return _array(text_starts), _array(text_ends), stop, rest


cdef bint _inert_around(const uint8_t* begin, const uint8_t* cut, const uint8_t* end) noexcept nogil:
    """Whether the characters on both sides of ``cut`` are inert under normalization."""
    cdef const uint8_t* before = cut - 1
    cdef int back
    for back in range(1, 5):
        if cut - back < begin:
            break
        if utf8_sequence(cut - back, cut) == <size_t> back:
            before = cut - back
            break
    return is_inert(before, cut) and is_inert(cut, end)


cdef _array(vector[int64_t]& values):
    result = np.empty(values.size(), np.int64)
    cdef int64_t[::1] view = result
    if values.size():
        memcpy(&view[0], values.data(), values.size() * sizeof(int64_t))
    return result


cdef int _check_spans(const int64_t[::1] starts, const int64_t[::1] ends, int64_t size) except -1:
    """Whatever the caller got wrong, no byte outside the text is read."""
    cdef Py_ssize_t i
    cdef int64_t before = 0
    if starts.shape[0] != ends.shape[0] or size < 0:
        raise ValueError("spans without two ends, or text without padding")
    for i in range(starts.shape[0]):
        if starts[i] < before or ends[i] < starts[i] or ends[i] > size:
            raise ValueError(f"span {i} ({starts[i]}..{ends[i]}) lies outside the text or overlaps")
        before = ends[i]
    return 0


def lines_not_inert(bytes data not None, const int64_t[::1] starts not None, const int64_t[::1] ends not None):
    """The lines in these spans that normalization form C may change: where they begin and end, as two int64 arrays.

    A line break joins with nothing, so each line normalizes by itself.
    """
    cdef const uint8_t* base = <const uint8_t*> data
    cdef const uint8_t* at
    cdef const uint8_t* end
    cdef const uint8_t* begin
    cdef vector[int64_t] begins
    cdef vector[int64_t] line_ends
    cdef Py_ssize_t i
    _check_spans(starts, ends, len(data) - PADDING_BYTES)
    with nogil:
        for i in range(starts.shape[0]):
            at = base + starts[i]
            end = base + ends[i]
            while True:
                begin = at
                at = next_not_inert(at, end)
                if at == end:
                    break
                while at > begin and (at - 1)[0] != 10:
                    at -= 1
                begins.push_back(at - base)
                at = <const uint8_t*> memchr(at, 10, end - at)
                if at == NULL:
                    at = end
                line_ends.push_back(at - base)
    return _array(begins), _array(line_ends)


def all_inert(bytes data not None, const int64_t[::1] starts not None, const int64_t[::1] ends not None):
    """Whether normalization form C certainly changes none of these spans; quick, and may say no without need."""
    cdef const uint8_t* base = <const uint8_t*> data
    cdef bint inert = True
    cdef Py_ssize_t i
    _check_spans(starts, ends, len(data) - PADDING_BYTES)
    with nogil:
        for i in range(starts.shape[0]):
            if not c_all_inert(base + starts[i], base + ends[i]):
                inert = False
                break
    return inert


def count_characters(bytes data not None):
    """Characters in ``data``, each invalid byte being one, and how many of them are invalid bytes."""
    cdef int64_t characters = 0, invalid = 0
    cdef const uint8_t* base = <const uint8_t*> data
    cdef Py_ssize_t size = len(data)
    with nogil:
        c_count_characters(base, base + size, characters, invalid)
    return characters, invalid


cdef class PretokenCounter:
    """Distinct pretokens and how often each occurred. One thread at a time may use it.

    Attributes:
        cut: How many pretokens were longer than ``max_pretoken_bytes`` and were counted in pieces.
    """

    cdef ByteCounts* table
    cdef int64_t longest
    cdef readonly int64_t cut

    def __cinit__(self, *args, **kwargs):
        c_keep_freed_memory(LARGEST_KEPT)  # a block's memory is soon that of the next: a sixth of the time, for English
        self.table = new ByteCounts()

    def __init__(self, max_pretoken_bytes=None):
        self.longest = 0x7FFFFFFFFFFFFFFF if max_pretoken_bytes is None else max_pretoken_bytes
        self.cut = 0
        if self.longest < 4:
            raise ValueError("max_pretoken_bytes must be at least 4, the longest character")

    def __dealloc__(self):
        del self.table

    def __len__(self):
        return self.table.size()

    @property
    def memory(self):
        """Bytes that the table holds."""
        return self.table.memory()

    @property
    def sorting(self):
        """Bytes that sorting the table takes more than it has."""
        return self.table.sorting()

    def growth(self, size_t more):
        """Bytes by which the table's slots grow before it holds ``more`` pretokens more."""
        return self.table.growth(more)

    def sample(self):
        """One distinct pretoken in 32, by its hash: those below 2**59. Equal pretokens have equal hashes.

        Returns:
            ``(hashes, bytes, characters)``: uint64, and the sums over these pretokens, each once.
        """
        cdef vector[uint64_t] hashes
        cdef uint64_t[::1] view
        cdef int64_t size = 0, characters = 0
        with nogil:
            self.table.sample_hashes(hashes, size, characters)
        result = np.empty(hashes.size(), np.uint64)
        view = result
        if hashes.size():
            memcpy(&view[0], hashes.data(), hashes.size() * sizeof(uint64_t))
        return result, size, characters

    cdef int _clear(self) except -1:
        cdef ByteCounts* fresh = new ByteCounts()
        del self.table
        self.table = fresh
        return 0

    def count(self, bytes data not None, const int64_t[::1] starts not None, const int64_t[::1] ends not None,
              int64_t stop, tuple stages not None):
        """Count the pretokens of texts.

        Args:
            data: Text and its padding.
            starts: Where each text begins.
            ends: Where each ends.
            stop: Where to stop in the last text, a place where a pretoken ends.
            stages: The pattern's automata.

        Raises:
            MemoryError: The distinct pretokens do not fit.
        """
        cdef const uint8_t* base = <const uint8_t*> data
        cdef vector[const automaton_t*] machines
        cdef Automaton stage
        cdef Py_ssize_t i, n = starts.shape[0]
        for stage in stages:
            machines.push_back(&stage.machine)
        _check_spans(starts, ends, len(data) - PADDING_BYTES)
        if machines.size() == 0 or (n and not starts[n - 1] <= stop <= ends[n - 1]):
            raise ValueError("no automaton, or a stop outside the last text")
        try:
            with nogil:
                for i in range(n):
                    self._scan(&machines[0], machines.size(), base + starts[i],
                               base + (stop if i == n - 1 else ends[i]), base + ends[i])
                self.table.flush()
        except BaseException:
            self.table.discard()  # what is queued points into `data`
            raise

    cdef int _scan(self, const automaton_t** stages, size_t n, const uint8_t* at, const uint8_t* stop,
                   const uint8_t* end) except -1 nogil:
        """Count what the stages make of [at, stop); each sees a piece of the stage before as a whole text."""
        cdef const uint8_t* next
        cdef const automaton_t* machine = stages[0]
        cdef ByteCounts* table = self.table
        if n > 1:
            while at < stop:
                next = pretoken_end(machine, at, end)
                self._scan(stages + 1, n - 1, at, next, next)
                at = next
        else:
            while at < stop:
                at = self._scan_ascii(machine, at, stop, end)
                if at == stop:
                    break
                next = pretoken_end(machine, at, end)
                if next - at > self.longest:
                    self._add_pieces(at, next)
                elif table.push(at, next - at):
                    table.flush()
                at = next
        if at != stop:
            with gil:
                raise AssertionError("a chunk was cut inside a pretoken: a safe cut was not safe")
        return 0

    cdef const uint8_t* _scan_ascii(self, const automaton_t* machine, const uint8_t* at, const uint8_t* stop,
                                    const uint8_t* end) except NULL nogil:
        """Count as far as the text from a boundary on is ASCII, for a good piece of it; the boundary reached.

        All boundaries of a window are marked at once, which takes a third of the time of finding them one by one.
        """
        cdef uint8_t room[FLAGS_BEFORE + WINDOW + 65]
        cdef uint8_t* flags = room + FLAGS_BEFORE
        cdef const uint8_t* cut
        cdef const uint8_t* limit
        while at < stop and self.longest >= WINDOW:
            limit = ascii_end(at, min(stop, at + WINDOW))
            # At the edge of another character only a look at all of it could tell whether there is a boundary.
            cut = stop if limit == stop else cut_before(machine, at, limit - 1) if limit > at else NULL
            if cut == NULL or (cut - at < SHORTEST_MARKED and cut != stop):
                break
            mark_until(machine, at, cut, end, at, flags)
            memset(flags + (cut - at) + 1, 0, 64)
            self.table.add_marked(at, cut - at, flags)
            at = cut
        return at

    def count_ends(self, bytes data not None, int64_t start, const uint64_t[::1] pretoken_ends not None):
        """Count pretokens that another engine found.

        Args:
            data: Text and its padding.
            start: Where the first pretoken begins.
            pretoken_ends: Where each pretoken ends, in bytes from ``start``.
        """
        cdef const uint8_t* at = <const uint8_t*> data
        cdef int64_t size = len(data) - PADDING_BYTES - start
        cdef uint64_t before = 0
        cdef Py_ssize_t i
        if start < 0 or size < 0:
            raise ValueError("start lies outside the text")
        at += start
        for i in range(pretoken_ends.shape[0]):
            if pretoken_ends[i] <= before or pretoken_ends[i] > <uint64_t> size:
                raise ValueError(f"pretoken {i} is empty or lies outside the text")
            before = pretoken_ends[i]
        try:
            with nogil:
                before = 0
                for i in range(pretoken_ends.shape[0]):
                    if <int64_t> (pretoken_ends[i] - before) > self.longest:
                        self._add_pieces(at + before, at + pretoken_ends[i])
                    elif self.table.push(at + before, pretoken_ends[i] - before):
                        self.table.flush()
                    before = pretoken_ends[i]
                self.table.flush()
        except BaseException:
            self.table.discard()
            raise

    cdef int _add_pieces(self, const uint8_t* at, const uint8_t* end) except -1 nogil:
        """Count a pretoken that is too long as pieces of whole characters, each as long as may be."""
        cdef const uint8_t* next
        self.cut += 1
        while at < end:
            next = end if end - at <= self.longest else character_floor(at, at + self.longest, end)
            if self.table.push(at, next - at):
                self.table.flush()
            at = next
        return 0

    def add(self, const uint8_t[::1] data not None, const int64_t[::1] offsets not None,
            const count_t[::1] counts not None):
        """Add counts of the form that :func:`sorted_counts` gives.

        Args:
            data: The bytes of all pretokens, one after another.
            offsets: n + 1 offsets into ``data``.
            counts: How often each occurred.
        """
        cdef Py_ssize_t i, n = counts.shape[0]
        cdef const uint8_t* base
        cdef uint8_t tail[64]
        cdef int64_t length, size = data.shape[0]
        if offsets.shape[0] != n + 1:
            raise ValueError("offsets must be one more than counts")
        for i in range(n):
            if offsets[i] < 0 or offsets[i + 1] <= offsets[i] or offsets[i + 1] > size:
                raise ValueError(f"pretoken {i} is empty or lies outside the data")
        if n == 0:
            return
        base = &data[0]
        with nogil:
            for i in range(n):
                length = offsets[i + 1] - offsets[i]
                if offsets[i] + 16 > size:  # a short string is read as 16 bytes, which these last are not
                    memcpy(tail, base + offsets[i], length)
                    self.table.add(tail, length, counts[i])
                else:
                    self.table.add(base + offsets[i], length, counts[i])


def sorted_counts(list counters not None, map_parallel, size_t buckets):
    """Add counters up into arrays of distinct pretokens in byte order. The counters are emptied.

    Args:
        counters: At least one :class:`PretokenCounter`; none may be used afterwards.
        map_parallel: ``map_parallel(function, range)`` calls ``function`` for every number, in any order, from as many
            threads as it likes, and returns when all are done.
        buckets: Into how many parts the sorting is divided.

    Returns:
        ``(data, offsets, counts, sums)``: uint8, int64 (n + 1), int64 (n), and of all occurrences the bytes, the
        characters, the invalid bytes, and how many there are.
    """
    cdef _Sorting sorting = _Sorting(counters, buckets)
    map_parallel(sorting.gather, range(sorting.parts))
    map_parallel(sorting.sort, range(buckets))
    sorting.allocate()
    map_parallel(sorting.fill, range(buckets))
    data, offsets, counts = sorting.data, sorting.offsets, sorting.counts
    sums = tuple(map(sum, zip(*sorting.sums)))
    del sorting
    _clear(counters)
    return data, offsets, counts, sums


cdef int _clear(list counters) except -1:
    """Empty them, and give back what they had, unless it is so little that it is soon used again."""
    cdef size_t held = 0
    cdef PretokenCounter counter
    for counter in counters:
        held += counter.table.memory()
        counter._clear()
    if held >= WORTH_GIVING_BACK:
        release_free_memory()
    return 0


def count_characters_of(const uint8_t[::1] data not None, const int64_t[::1] offsets not None,
                        const count_t[::1] counts not None):
    """Characters in all occurrences of pretokens, and how many of them are invalid bytes.

    Args:
        data: As :func:`sorted_counts` gives it; so are the others.
        offsets: n + 1 offsets into ``data``.
        counts: How often each occurs.
    """
    cdef int64_t characters = 0, invalid = 0, all_characters = 0, all_invalid = 0
    cdef Py_ssize_t i, n = counts.shape[0]
    if offsets.shape[0] != n + 1 or (n and (offsets[0] < 0 or offsets[n] > data.shape[0])):
        raise ValueError("offsets lie outside the data")
    if n == 0:
        return 0, 0
    with nogil:
        for i in range(n):
            if offsets[i + 1] < offsets[i] or offsets[i + 1] > data.shape[0]:
                break
            characters = invalid = 0
            c_count_characters(&data[0] + offsets[i], &data[0] + offsets[i + 1], characters, invalid)
            all_characters += characters * counts[i]
            all_invalid += invalid * counts[i]
    return all_characters, all_invalid


def release_free_memory():
    """Give freed memory back to the system, where the C library can."""
    with nogil:
        c_release_free_memory()


def sorted_rows(list counters not None, map_parallel, size_t buckets, size_t together, size_t rows, int64_t most):
    """The same as :func:`sorted_counts`, piece by piece, in a fraction of its memory. The counters are emptied.

    Args:
        counters: As for :func:`sorted_counts`.
        map_parallel: Likewise.
        buckets: Likewise; a piece is never more than a bucket.
        together: How many buckets are sorted at a time.
        rows: Pretokens in a piece, at most.
        most: Bytes of pretokens in a piece, at most; but for a piece of a single pretoken.

    Yields:
        What :func:`sorted_counts` returns, of each piece.
    """
    cdef _Sorting sorting = _Sorting(counters, buckets)
    cdef size_t bucket, done, first, size
    cdef int64_t total
    map_parallel(sorting.gather, range(sorting.parts))
    for first in range(0, buckets, together):
        map_parallel(sorting.sort, range(first, min(first + together, buckets)))
        for bucket in range(first, min(first + together, buckets)):
            done = 0
            while done < sorting.steps.size(bucket):
                total = 0
                size = sorting.steps.fitting(bucket, done, rows, most, total)
                yield sorting.piece(bucket, done, done + size, total)
                done += size
            sorting.steps.free(bucket)
    del sorting
    _clear(counters)


def merge_sorted(list pieces not None):
    """Merge sorted pretokens with counts into one list; equal pretokens become one with the sum.

    Args:
        pieces: ``(data, offsets, counts, begin, end, multiplier)`` of each: of data, offsets and counts as
            :func:`sorted_counts` gives them the pretokens ``begin`` to ``end - 1``, counts to be multiplied.

    Returns:
        ``(data, offsets, counts)``: uint8, int64 (n + 1), int64 (n).
    """
    cdef vector[SortedRun] runs
    cdef SortedRun run
    cdef const uint8_t[::1] data
    cdef const int64_t[::1] offsets
    cdef const count_t[::1] counts
    cdef int64_t begin, end, multiplier, strings = 0, size = 0
    cdef uint8_t[::1] to_data
    cdef int64_t[::1] to_offsets
    cdef count_t[::1] to_counts
    for data, offsets, counts, begin, end, multiplier in pieces:
        if not 0 <= begin <= end <= counts.shape[0] or offsets.shape[0] != counts.shape[0] + 1:
            raise ValueError("begin and end lie outside the piece")
        if begin == end:
            continue
        if offsets[begin] < 0 or offsets[begin] > offsets[end] or offsets[end] > data.shape[0]:
            raise ValueError("offsets lie outside the data")
        run.data = &data[0]
        run.offsets = &offsets[0]
        run.counts = &counts[0]
        run.at = begin
        run.end = end
        run.multiplier = multiplier
        run.prefix = 0
        runs.push_back(run)
        strings += end - begin
        size += offsets[end] - offsets[begin]
    all_data, all_counts = np.empty(size, np.uint8), np.empty(strings, np.int64)
    all_offsets = np.zeros(strings + 1, np.int64)
    if strings == 0:
        return all_data, all_offsets, all_counts
    to_data, to_offsets, to_counts = all_data, all_offsets, all_counts
    with nogil:
        strings = merge_runs(runs, &to_data[0], &to_offsets[1], &to_counts[0])
    return all_data[:to_offsets[strings]], all_offsets[:strings + 1], all_counts[:strings]


cdef tuple _sums(ByteCountSums sums):
    return sums.bytes, sums.characters, sums.invalid_bytes, sums.strings


cdef class _Sorting:
    """The steps of :func:`sorted_counts`."""

    cdef SortedByteCounts steps
    cdef list counters
    cdef size_t buckets
    cdef list firsts  # of each bucket: (strings, bytes) before it
    cdef readonly object data, offsets, counts
    cdef readonly list sums

    def __init__(self, list counters, size_t buckets):
        cdef vector[ByteCounts*] tables
        cdef PretokenCounter counter
        if not counters or buckets < 1:
            raise ValueError("at least one counter and one bucket")
        for counter in counters:
            tables.push_back(counter.table)
        self.counters = counters
        self.buckets = buckets
        self.steps.prepare(tables, buckets)

    @property
    def parts(self):
        return self.steps.parts()

    def gather(self, size_t part):
        with nogil:
            self.steps.gather(part)

    def sort(self, size_t bucket):
        with nogil:
            self.steps.sort(bucket)

    cdef piece(self, size_t bucket, size_t first, size_t last, int64_t size):
        """The pretokens from ``first`` to ``last - 1`` of a sorted bucket, ``size`` bytes of them."""
        data, counts = np.empty(size, np.uint8), np.empty(last - first, np.int64)
        offsets = np.empty(last - first + 1, np.int64)
        cdef uint8_t[::1] to_data = data
        cdef int64_t[::1] to_offsets = offsets
        cdef count_t[::1] to_counts = counts
        cdef ByteCountSums sums
        offsets[0] = 0
        with nogil:
            sums = self.steps.fill_some(bucket, first, last, &to_data[0], size, 0, &to_offsets[1], &to_counts[0])
        return data, offsets, counts, _sums(sums)

    def allocate(self):
        cdef size_t bucket
        cdef int64_t strings = 0, size = 0
        self.firsts = []
        for bucket in range(self.buckets):
            self.firsts.append((strings, size))
            strings += <int64_t> self.steps.size(bucket)
            size += self.steps.bytes(bucket)
        self.data = np.empty(size, np.uint8)
        self.offsets = np.empty(strings + 1, np.int64)
        self.offsets[0] = 0
        self.counts = np.empty(strings, np.int64)
        self.sums = [(0, 0, 0, 0)] * self.buckets

    def fill(self, size_t bucket):
        cdef uint8_t[::1] data = self.data
        cdef int64_t[::1] offsets = self.offsets
        cdef count_t[::1] counts = self.counts
        cdef ByteCountSums sums
        cdef int64_t first, base
        first, base = self.firsts[bucket]
        if self.steps.size(bucket) == 0:
            return
        with nogil:
            sums = self.steps.fill(bucket, &data[base], base, &offsets[first + 1], &counts[first])
        self.sums[bucket] = _sums(sums)
