"""Compiled patterns laid out for running; the scan functions are in ``_pretokenize.pxd``.

``Automaton`` is one stage of a pattern, ``Cascade`` a pattern of any number of stages. Both are immutable and may be
used from many threads. They are made by ``patterns.Pretokenizer`` from the tables of ``automaton.compile_pattern``.
"""

import sys

import numpy as np

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t
from libc.string cimport memcmp, memcpy, memset
from libcpp.vector cimport vector

__all__ = ["Automaton", "Cascade"]

cdef enum:
    PADDING = 32

    BLOCK = 64
    CODE_POINTS = 0x110000
    PLANE = 0x10000                        # code points that 16 bits number

cdef uint8_t[BLOCK] NO_COLUMNS             # of characters that are none: zeros


cdef Py_ssize_t write_columns(uint8_t* columns, Py_ssize_t first, Py_ssize_t stop, const int32_t[::1] starts,
                              const int32_t[::1] ids, Py_ssize_t at) noexcept:
    """Write the columns of the code points from `first` up to `stop`, of which none is in a range before number `at`.

    Returns:
        The number of the range of the last one.
    """
    cdef Py_ssize_t place = first, end
    while place < stop:
        while at + 1 < starts.shape[0] and starts[at + 1] <= place:
            at += 1
        end = min(stop, starts[at + 1]) if at + 1 < starts.shape[0] else stop
        memset(columns + (place - first), CLASSES + ids[at], end - place)
        place = end
    return at


def _columns(const int32_t[::1] starts, const int32_t[::1] ids):
    """Column of every code point below U+10000, uint8, without the two-level layout; 0 for surrogates."""
    columns = np.empty(PLANE, dtype=np.uint8)
    cdef uint8_t[::1] view = columns
    write_columns(&view[0], 0, PLANE, starts, ids, 0)
    invalid = int(columns[0xD800])
    columns[0xD800:0xE000] = 0
    return columns, invalid


def _blocks(const uint8_t[::1] columns, const int32_t[::1] starts, const int32_t[::1] ids):
    """The columns in two levels: the distinct blocks, uint8 of shape (blocks, 64), and which each 64 code points have.

    Those from U+10000 on have the column of their range. Characters of three bytes below U+0800 would be overlong: the
    blocks there have column 0.
    """
    which = np.empty(CODE_POINTS // BLOCK, dtype=np.uint16)
    cdef uint16_t[::1] number = which
    cdef int32_t[256] uniform                  # numbers of the blocks of one column, or -1
    cdef uint8_t[BLOCK] scratch
    cdef const uint8_t* at
    cdef Py_ssize_t i, range_at = 0
    cdef list blocks = []
    cdef dict numbers = {}
    memset(uniform, 0xFF, sizeof(uniform))
    for i in range(number.shape[0]):
        if i < 0x800 // BLOCK:
            at = NO_COLUMNS
        elif i < PLANE // BLOCK:
            at = &columns[i * BLOCK]
        else:
            range_at = write_columns(scratch, i * BLOCK, (i + 1) * BLOCK, starts, ids, range_at)
            at = scratch
        if memcmp(at, at + 1, BLOCK - 1) == 0:
            if uniform[at[0]] < 0:
                uniform[at[0]] = <int32_t>len(blocks)
                blocks.append(PyBytes_FromStringAndSize(<const char*>at, BLOCK))
            number[i] = <uint16_t>uniform[at[0]]
        else:
            block = PyBytes_FromStringAndSize(<const char*>at, BLOCK)
            found = numbers.setdefault(block, len(blocks))
            if <Py_ssize_t>found == len(blocks):
                blocks.append(block)
            number[i] = found
    return np.frombuffer(b"".join(blocks), dtype=np.uint8).reshape(-1, BLOCK), which


def _run_blocks(const uint8_t[:, ::1] stays, const uint8_t[:, ::1] blocks, const uint16_t[::1] which):
    """For each state and each block, whether all its characters stay in the state: uint8, shape (states, blocks)."""
    result = np.empty((stays.shape[0], which.shape[0]), dtype=np.uint8)
    cdef uint8_t[:, ::1] view = result
    cdef uint8_t[::1] distinct = np.empty(blocks.shape[0], dtype=np.uint8)
    cdef Py_ssize_t state, i, k
    for state in range(stays.shape[0]):
        for i in range(blocks.shape[0]):
            distinct[i] = 1
            for k in range(BLOCK):
                if not stays[state, blocks[i, k]]:
                    distinct[i] = 0
                    break
        for i in range(which.shape[0]):
            view[state, i] = distinct[which[i]]
    return result


cdef list _stretches(const uint8_t[::1] members):
    """Where members stand next to one another: (first, stop)."""
    cdef Py_ssize_t i, first = 0
    cdef list found = []
    for i in range(members.shape[0] + 1):
        if i == members.shape[0] or not members[i]:
            if first < i:
                found.append((first, i))
            first = i + 1
    return found


def _ranges(const uint8_t[::1] members):
    """The two longest ranges of a set of ASCII characters as ``byte_ranges_t``; skipping fewer than all is no error."""
    longest = sorted(_stretches(members), key=lambda edge: edge[0] - edge[1])[:2]
    words = []
    for low, stop in [*longest, (0, 0), (0, 0)][:2]:
        every = 0x0101010101010101
        words += [(0x80 - low) * every, (0x80 - stop) * every]
    return words


def _unit_range(const uint8_t[::1] blocks):
    """The longest range of a set of blocks as ``unit_range_t``."""
    stretches = _stretches(blocks)
    if not stretches:
        return 0xD800, 0
    first, stop = max(stretches, key=lambda edge: edge[1] - edge[0])
    return first * BLOCK, (stop - first) * BLOCK - 1


def _part_by_last_class(next_state, accept):
    """The same machine, with states parted where that says at which character the next match begins.

    In a state that is always entered with a possible end of the match before the last character, a match that can go on
    no further ends there: as white space does whose last character belongs to the word after it. What that character
    begins depends on its class, so such a state gets a copy for each state that those classes begin with.

    Returns:
        next_state, accept, and for each state the one that its last character begins the next match with; 0 where the
        match does not end before the last character, or may end after it.
    """
    states, columns = next_state.shape
    characters = slice(columns - 1)
    first = next_state[1, characters]
    late = np.zeros(states, dtype=bool)
    late[next_state[:, characters]] = True
    late[next_state[:, characters][~accept[:, characters]]] = False
    late[0] = False
    origin = list(range(states))               # of each state of the new machine
    beginnings = [0] * states
    copies = []                                # (state, what its last character begins, copy)
    for state in np.flatnonzero(late).tolist():
        begun = np.unique(first[(next_state[:, characters] == state).any(axis=0)]).tolist()
        beginnings[state] = begun[0]
        for other in begun[1:]:
            copies.append((state, other, len(origin)))
            origin.append(state)
            beginnings.append(other)
    undivided = next_state[origin]
    parted = undivided.copy()
    for state, begun, copy in copies:
        parted[:, characters][(undivided[:, characters] == state) & (first == begun)] = copy
    return parted, accept[origin], np.array(beginnings)


def _distinct(columns):
    """The distinct columns of a table, and for each column which it is."""
    rows = np.ascontiguousarray(columns.T)
    numbers = {}
    keys = rows.view(f"V{rows.shape[1] * rows.itemsize}").reshape(-1).tolist()
    which = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    return np.frombuffer(b"".join(numbers), dtype=rows.dtype).reshape(-1, rows.shape[1]).T, which


def _pairs(steps, columns):
    """Two steps at once; only a few dozen kinds of pairs differ in what they do.

    Args:
        steps: Shape (states, 256).
        columns: Of 16-bit units.

    Returns:
        ``pairs``, ``ascii_pairs``, ``kinds`` and ``kind_pairs`` of ``Steps``; None where there are too many kinds.
    """
    distinct, kind = _distinct(steps)
    if distinct.shape[1] > PAIRED_KINDS:
        return None
    kind = kind.astype(np.uint8)
    first = distinct[:, :, None]
    second = distinct[distinct >> 8]           # [state, first, second]
    both = second >> 8 << 16 | (second & 0xFF) << 8 | (first & 0xFF)
    both[(first | second) & <uint32_t>STEP_HELP != 0] = <uint32_t>STEP_HELP
    both, column = _distinct(both.reshape(len(steps), -1))
    if both.shape[1] > 256:
        return None
    pairs = np.zeros((len(steps), 256), np.uint32)
    pairs[:, : both.shape[1]] = both
    kind_pairs = np.zeros((PAIRED_KINDS, PAIRED_KINDS), np.uint8)
    kind_pairs[: distinct.shape[1], : distinct.shape[1]] = column.reshape(distinct.shape[1], -1)
    ascii_pairs = np.zeros((256, 256), np.uint8)  # [second, first]
    ascii_pairs[:CLASSES, :CLASSES] = kind_pairs[np.ix_(kind[:CLASSES], kind[:CLASSES])].T
    return pairs, ascii_pairs, kind[columns], kind_pairs


@cython.final
cdef class Automaton:
    """One stage of a pattern, ready to run.

    Args:
        next_state, accept: shape (states, classes + 1), the last column being the end of the text; state 0 is dead and
            state 1 the start.
        class_starts, class_ids: ranges of code points of one class.
        safe: shape (classes, classes).

    The shapes are those of ``automaton.Machine`` and are trusted.
    """

    def __init__(self, next_state, accept, class_starts, class_ids, safe):
        next_state, accept, beginnings = _part_by_last_class(next_state, accept)
        states, columns = next_state.shape
        classes = columns - 1
        if states < 2 or classes < 1 or classes > 0x7F - 1 or states >= 1 << 16:
            raise ValueError(f"a machine of {states} states and {classes} classes cannot be laid out")
        ranges_of_classes = (
            np.ascontiguousarray(class_starts, dtype=np.int32), np.ascontiguousarray(class_ids, dtype=np.int32)
        )
        code_points, invalid = _columns(*ranges_of_classes)
        ascii_classes = code_points[:CLASSES] - CLASSES
        # Every state's row: 128 ASCII characters, then the classes, then the end of the text.
        source = np.concatenate([ascii_classes, np.arange(columns)]).astype(np.intp)
        width = len(source)
        following = next_state[:, source]
        ends = accept[:, source]
        stays = following == np.arange(states)[:, None]
        stays[0] = following[1] == 0  # in a gap: the characters that no match begins with
        stays[:, -1] = False
        # All characters of a run must treat the end of the match alike, or skipping could not say where it may end.
        # The larger part is kept.
        accepting = (stays & ends).sum(axis=1) > (stays & ~ends).sum(axis=1)
        stays &= ends == accepting[:, None]
        transitions = np.zeros((states, 256), dtype=np.uint32)
        transitions[:, :width] = (
            following.astype(np.uint32) << 8
            | np.where(stays.any(axis=1)[following], RUN, 0)
            | np.where((stays.any(axis=1) & accepting)[following], RUN_ACCEPT, 0)
            | np.where(ends, ACCEPT, 0)
        )
        # A step goes on after the match: with the row to which the pretoken's first character leads.
        first = following[1].astype(np.uint32) << 8
        steps = np.full((states, 256), <uint32_t>STEP_HELP, dtype=np.uint32)
        steps[:, :width] = np.where(
            following != 0,
            following.astype(np.uint32) << 8 | np.where(ends, <uint32_t>STEP_POSSIBLE, 0),
            np.where(ends & (first != 0), first | <uint32_t>STEP_BOUNDARY, <uint32_t>STEP_HELP),
        )
        # Or with the row to which the last character before leads, if it began the next pretoken.
        late = np.where(steps & <uint32_t>STEP_HELP, steps[beginnings] | <uint32_t>STEP_BEFORE, 0)
        late[(beginnings == 0)[:, None] | (late & <uint32_t>STEP_HELP != 0)] = 0
        steps = np.where(late, late, steps)
        ranges = np.array([_ranges(row) for row in stays[:, :CLASSES].astype(np.uint8, "C")], dtype=np.uint64)
        # For characters of three bytes; those that are none have column 0 and stay nowhere.
        run_columns = np.zeros((states, 256), dtype=np.uint8)
        run_columns[:, CLASSES:width] = stays[:, CLASSES:]
        blocks, block_of = _blocks(code_points, *ranges_of_classes)
        three = block_of[: PLANE // BLOCK]
        run_blocks = _run_blocks(run_columns, blocks, three)
        runs = np.array([_unit_range(row) for row in run_blocks], dtype=np.uint16)
        pairs = np.zeros((256, 256), dtype=np.uint8)
        within = np.concatenate([ascii_classes, np.arange(classes)]).astype(np.intp)
        pairs[: len(within), : len(within)] = safe[np.ix_(within, within)]
        self.tables = {
            "transitions": transitions,
            "steps": steps,
            "run_columns": run_columns,
            "run_ranges": ranges,
            "run_blocks": run_blocks,
            "unit_runs": runs,
            "columns": code_points,
            "two": np.ascontiguousarray(code_points[:0x800]),
            "three": np.ascontiguousarray(three),
            "four": np.ascontiguousarray(block_of[PLANE // BLOCK :]),
            "blocks": blocks,
            "safe": pairs,
        }
        paired = _pairs(steps[:, :width], self.tables["columns"])
        if paired is not None:
            self.tables.update(zip(("pairs", "ascii_pairs", "kinds", "kind_pairs"), paired))
        for table in self.tables.values():
            table.flags.writeable = False
        cdef const uint32_t[:, ::1] transitions_view = transitions
        cdef const uint8_t[:, ::1] run_columns_view = self.tables["run_columns"]
        cdef const uint64_t[:, ::1] run_ranges_view = ranges
        cdef const uint8_t[:, ::1] run_blocks_view = run_blocks
        cdef const uint32_t[:, ::1] steps_view = steps
        cdef const uint32_t[:, ::1] pairs_view
        cdef const uint8_t[:, ::1] ascii_pairs_view, kind_pairs_view
        cdef const uint8_t[::1] kinds_view
        cdef const uint16_t[:, ::1] unit_runs_view = runs
        cdef const uint8_t[::1] columns_view = self.tables["columns"]
        cdef const uint8_t[::1] two_view = self.tables["two"]
        cdef const uint16_t[::1] three_view = self.tables["three"]
        cdef const uint16_t[::1] four_view = self.tables["four"]
        cdef const uint8_t[:, ::1] blocks_view = self.tables["blocks"]
        cdef const uint8_t[:, ::1] safe_view = self.tables["safe"]
        self.machine.transitions = &transitions_view[0, 0]
        self.machine.run_columns = &run_columns_view[0, 0]
        self.machine.run_blocks = &run_blocks_view[0, 0]
        self.machine.run_ranges = <const byte_ranges_t*>&run_ranges_view[0, 0]
        self.machine.unit_runs = <const unit_range_t*>&unit_runs_view[0, 0]
        self.machine.columns = &columns_view[0]
        self.machine.steps.steps = &steps_view[0, 0]
        self.machine.steps.firsts = self.machine.transitions + START
        self.machine.steps.columns = self.machine.columns
        self.machine.steps.ascii_pairs = NULL
        if paired is not None:
            pairs_view, ascii_pairs_view, kinds_view, kind_pairs_view = paired
            self.machine.steps.pairs = &pairs_view[0, 0]
            self.machine.steps.ascii_pairs = &ascii_pairs_view[0, 0]
            self.machine.steps.kinds = &kinds_view[0]
            self.machine.steps.kind_pairs = &kind_pairs_view[0, 0]
        self.machine.two = &two_view[0]
        self.machine.three = &three_view[0]
        self.machine.four = &four_view[0]
        self.machine.blocks = &blocks_view[0, 0]
        self.machine.safe = &safe_view[0, 0]
        self.machine.invalid = invalid
        self.machine.end_of_text = CLASSES + classes
        # What state a word is in is known only after two transitions, but it is nearly always this one.
        word = next_state[next_state[1, ascii_classes[ord(" ")]], ascii_classes[ord("a")]]
        self.machine.word_row = word << 8
        self.machine.word_ranges = self.machine.run_ranges[<uint32_t>word]

    def ends(self, data: bytes, plain: bool = False, size: int | None = None):
        """The end offset in bytes of each pretoken, uint64.

        Args:
            data: the text.
            plain: take the loop that is the definition, one character at a time; for tests.
            size: the text is only this many bytes of ``data``, and the rest what happens to stand after it; for tests.
        """
        cdef Py_ssize_t length_of_text = len(data) if size is None else size
        if not 0 <= length_of_text <= len(data):
            raise ValueError(f"size {size} is not within the text of {len(data)} bytes")
        cdef bytes padded = data + bytes(PADDING)
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(padded)
        cdef const uint8_t* end = begin + length_of_text
        cdef const uint8_t* at = begin
        cdef const uint8_t* found
        cdef bint plainly = plain
        cdef uint32_t length = 0
        cdef vector[uint64_t] ends
        with nogil:
            while at < end:
                if plainly:
                    found = match_end_plain(&self.machine, at, end)
                    if found == NULL:
                        found = at
                        while True:
                            column_at(&self.machine, found, end, &length)
                            found += length
                            if found >= end or match_end_plain(&self.machine, found, end) != NULL:
                                break
                    at = found
                else:
                    at = pretoken_end(&self.machine, at, end)
                ends.push_back(<uint64_t>(at - begin))
        return _to_array(ends)

    def boundaries(self, text: str):
        """As ``ends``, in characters, of a text without surrogates or characters from U+10000 on, all at once."""
        cdef Py_ssize_t length = len(text)
        cdef bytes padded
        cdef vector[uint8_t] flags
        flags.resize(FLAGS_BEFORE + length + 2)
        if length and text.isascii():
            padded = text.encode("ascii") + bytes(PADDING)
            mark_boundaries(&self.machine, <const uint8_t*>PyBytes_AS_STRING(padded),
                            <const uint8_t*>PyBytes_AS_STRING(padded) + length,
                            <const uint8_t*>PyBytes_AS_STRING(padded), flags.data() + FLAGS_BEFORE)
        elif length:
            padded = text.encode("utf-16-le" if sys.byteorder == "little" else "utf-16-be") + bytes(2 * PADDING)
            if len(padded) != 2 * (length + PADDING):
                raise ValueError("the text has characters from U+10000 on")
            mark_boundaries(&self.machine, <const uint16_t*>PyBytes_AS_STRING(padded),
                            <const uint16_t*>PyBytes_AS_STRING(padded) + length,
                            <const uint16_t*>PyBytes_AS_STRING(padded), flags.data() + FLAGS_BEFORE)
        return [place for place in range(1, length + 1) if is_boundary(&flags[FLAGS_BEFORE + place])]

    def safe_cut(self, data: bytes, stop: int):
        """The last offset in (0, stop] where a boundary is certain, None if there is none; for tests."""
        if not 0 <= stop <= len(data):
            raise ValueError(f"stop {stop} is outside of the text of {len(data)} bytes")
        cdef bytes padded = data + bytes(PADDING)
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(padded)
        cdef Py_ssize_t offset = stop
        cdef const uint8_t* cut = safe_cut(&self.machine, begin, begin + offset, begin + PyBytes_GET_SIZE(data))
        return None if cut == NULL else cut - begin


@cython.final
cdef class Cascade:
    """The stages of a pattern, each of which splits the pieces of the one before it."""

    def __init__(self, automata):
        self.automata = tuple(automata)
        if not 1 <= len(self.automata) <= MAX_STAGES:
            raise ValueError(f"a pattern has 1 to {MAX_STAGES} stages, not {len(self.automata)}")
        cdef Automaton automaton
        cdef uint32_t stage = 0
        for automaton in self.automata:
            self.machine.stages[stage] = automaton.machine
            stage += 1
        self.machine.count = stage

    def ends(self, data: bytes):
        """The end offset in bytes of each pretoken, uint64."""
        cdef bytes padded = data + bytes(PADDING)
        cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(padded)
        cdef const uint8_t* end = begin + PyBytes_GET_SIZE(data)
        cdef const uint8_t* at = begin
        cdef cascade_cursor_t cursor
        cdef vector[uint64_t] ends
        with nogil:
            cascade_begin(&self.machine, &cursor, begin)
            while at < end:
                at = cascade_end(&self.machine, &cursor, at, end)
                ends.push_back(<uint64_t>(at - begin))
        return _to_array(ends)


cdef _to_array(vector[uint64_t]& ends):
    result = np.empty(ends.size(), dtype=np.uint64)
    cdef uint64_t[::1] view = result
    if ends.size():
        memcpy(&view[0], ends.data(), ends.size() * sizeof(uint64_t))
    return result
