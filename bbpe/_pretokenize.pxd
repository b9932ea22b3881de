# Running a compiled pattern over bytes: the scan functions, inline so that counting and encoding have them in their loops.
#
# `pretoken_end` finds one pretoken, `cascade_end` one pretoken of a pattern of several stages, `safe_cut` a place where a
# big document may be cut. The tables come from bbpe/automaton.py; `Automaton` in _pretokenize.pyx lays them out and owns
# them. What the text model calls a character (a valid UTF-8 sequence, or one invalid byte) is decided in `column_at`.
#
# `match_end_plain` is the definition: one look-up of the class, one of the transition, per character. `match_end` gives
# the same and skips along runs of one state. Every buffer must have 32 readable bytes after `end`; what they hold is
# read by the skipping loops and never decided on.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t

cdef enum:
    # A transition is the row of the next state (its number << 8) and two flags.
    ACCEPT = 1        # the match may end before this character
    RUN = 2           # the next state has a run: characters that lead from it to itself
    ROW = 0xFFFFFF00
    DEAD = 0          # row of the state from which nothing matches
    START = 0x100     # row of the state before the first character
    CLASSES = 0x80    # columns 0-127 are the ASCII characters, then come the classes
    MAX_STAGES = 16

cdef struct automaton_t:
    const uint32_t* transitions   # [row | column]
    const uint8_t* run_bytes      # [row | byte]: 1 if this ASCII character stays in the state; 0 for bytes >= 0x80
    const uint8_t* run_columns    # [row | column]: 1 if a character of this column stays in the state
    const uint8_t* run_accepts    # [row >> 8]: 1 if the characters of its run carry ACCEPT
    const uint8_t* two            # [code point]: column of a character of two bytes
    const uint16_t* three         # [code point >> 6]: block of a character of three bytes; an empty one for what is invalid
    const uint16_t* four          # [(code point >> 6) - 0x400]: block of a character of four bytes
    const uint8_t* blocks         # [block << 6 | code point & 63]: column; 0 in the empty block
    const uint8_t* safe           # [column << 8 | column]: 1 where there is always a boundary between the two
    uint32_t invalid              # column of an invalid byte
    uint32_t end_of_text          # column

cdef struct cascade_t:
    automaton_t stages[MAX_STAGES]
    uint32_t count

# Where the current piece of each stage ends; set up by `cascade_begin`, moved on by `cascade_end`.
cdef struct cascade_cursor_t:
    const uint8_t* ends[MAX_STAGES]


cdef class Automaton:
    cdef automaton_t machine
    cdef readonly object tables   # the numpy arrays that `machine` points into


cdef class Cascade:
    cdef cascade_t machine
    cdef readonly tuple automata


cdef inline uint32_t column_at(const automaton_t* machine, const uint8_t* at, const uint8_t* end,
                               uint32_t* length) noexcept nogil:
    """Column of the character at `at` (< end) and its length in bytes. Reads only before `end` what it decides on."""
    cdef uint32_t first = at[0]
    cdef uint32_t code_point
    cdef uint32_t column
    cdef size_t left = <size_t>(end - at)
    length[0] = 1
    if first < 0x80:
        return first
    if first < 0xE0:
        if first >= 0xC2 and left >= 2 and (at[1] & 0xC0) == 0x80:
            length[0] = 2
            return machine.two[(first & 0x1F) << 6 | (at[1] & 0x3F)]
    elif first < 0xF0:
        if left >= 3 and (at[1] & 0xC0) == 0x80 and (at[2] & 0xC0) == 0x80:
            column = machine.blocks[<uint32_t>machine.three[(first & 0x0F) << 6 | (at[1] & 0x3F)] << 6 | (at[2] & 0x3F)]
            if column != 0:  # else overlong or a surrogate
                length[0] = 3
                return column
    elif first < 0xF5:
        if left >= 4 and (at[1] & 0xC0) == 0x80 and (at[2] & 0xC0) == 0x80 and (at[3] & 0xC0) == 0x80:
            code_point = (first & 0x07) << 18 | (at[1] & 0x3F) << 12 | (at[2] & 0x3F) << 6 | (at[3] & 0x3F)
            if 0x10000 <= code_point < 0x110000:
                length[0] = 4
                return machine.blocks[<uint32_t>machine.four[(code_point >> 6) - 0x400] << 6 | (code_point & 0x3F)]
    return machine.invalid


cdef inline const uint8_t* match_end_plain(const automaton_t* machine, const uint8_t* begin,
                                           const uint8_t* end) noexcept nogil:
    """End of the match that begins at `begin` (< end), NULL if none does: the definition."""
    cdef const uint8_t* at = begin
    cdef const uint8_t* last = NULL
    cdef uint32_t row = START
    cdef uint32_t length = 0
    cdef uint32_t transition
    while at < end:
        transition = machine.transitions[row | column_at(machine, at, end, &length)]
        if transition & ACCEPT:
            last = at
        row = transition & ROW
        if row == DEAD:
            return last
        at += length
    if machine.transitions[row | machine.end_of_text] & ACCEPT:
        last = end
    return last


cdef inline uint32_t load4(const uint8_t* at) noexcept nogil:
    return <uint32_t>at[0] | <uint32_t>at[1] << 8 | <uint32_t>at[2] << 16 | <uint32_t>at[3] << 24


cdef inline const uint8_t* match_end(const automaton_t* machine, const uint8_t* begin,
                                     const uint8_t* end) noexcept nogil:
    """As `match_end_plain`, and skips the run of a state in loops whose loads do not wait for one another."""
    cdef const uint8_t* at = begin
    cdef const uint8_t* last = NULL
    cdef const uint8_t* previous
    cdef const uint8_t* run
    cdef uint32_t row = START
    cdef uint32_t length = 0
    cdef uint32_t transition
    cdef uint32_t word
    cdef uint32_t column
    while at < end:
        transition = machine.transitions[row | column_at(machine, at, end, &length)]
        if transition & ACCEPT:
            last = at
        row = transition & ROW
        if row == DEAD:
            return last
        at += length
        if transition & RUN:
            previous = NULL
            run = machine.run_bytes + row
            while at < end and run[at[0]]:
                previous = at
                at += 1
            run = machine.run_columns + row
            while end - at >= 3:
                word = load4(at)
                if (word & 0x00C0C0F0) != 0x008080E0:
                    break
                column = machine.blocks[
                    <uint32_t>machine.three[(word & 0x0F) << 6 | (word >> 8 & 0x3F)] << 6 | (word >> 16 & 0x3F)]
                if not run[column]:
                    break
                previous = at
                at += 3
            if previous != NULL and machine.run_accepts[row >> 8]:
                last = previous
    if machine.transitions[row | machine.end_of_text] & ACCEPT:
        last = end
    return last


cdef inline const uint8_t* gap_end(const automaton_t* machine, const uint8_t* begin, const uint8_t* end) noexcept nogil:
    """Where the text that no match begins in ends: the first place after `begin` where a match begins, or `end`."""
    cdef const uint8_t* at = begin
    cdef uint32_t length = 0
    column_at(machine, at, end, &length)
    at += length
    while at < end:
        if (machine.transitions[START | column_at(machine, at, end, &length)] & ROW) != DEAD:
            if match_end(machine, at, end) != NULL:
                break
        at += length
    return at


cdef inline const uint8_t* pretoken_end(const automaton_t* machine, const uint8_t* begin,
                                        const uint8_t* end) noexcept nogil:
    """End of the pretoken that begins at `begin` (< end). `end` is the end of the text, not of a chunk."""
    cdef const uint8_t* found = match_end(machine, begin, end)
    return found if found != NULL else gap_end(machine, begin, end)


cdef inline void cascade_begin(const cascade_t* cascade, cascade_cursor_t* cursor, const uint8_t* begin) noexcept nogil:
    cdef uint32_t stage
    for stage in range(cascade.count):
        cursor.ends[stage] = begin


cdef inline const uint8_t* cascade_end(const cascade_t* cascade, cascade_cursor_t* cursor, const uint8_t* begin,
                                       const uint8_t* end) noexcept nogil:
    """End of the pretoken that begins at `begin` (< end), where the one before ended or the text begins.

    Each stage sees a piece of the stage before it as a whole text. A stage whose piece ended at `begin` takes its next
    one; so do then all after it.
    """
    cdef uint32_t stage
    cdef const uint8_t* limit = end
    for stage in range(cascade.count):
        if cursor.ends[stage] == begin:
            cursor.ends[stage] = pretoken_end(&cascade.stages[stage], begin, limit)
        limit = cursor.ends[stage]
    return limit


cdef inline const uint8_t* safe_cut(const automaton_t* machine, const uint8_t* begin, const uint8_t* stop,
                                    const uint8_t* end) noexcept nogil:
    """The last q in (begin, stop] where a pretoken ends whatever stands before `begin` and from q's character on.

    NULL if there is none. A whole character must stand at q before `end`. The text on the left of a cut is scanned with
    the *text's* end as `end`, until a pretoken ends at q: the edge of a chunk is not the end of the text. Of a cascade,
    ask the first stage: a boundary there is one of every stage.
    """
    cdef const uint8_t* at = stop
    cdef const uint8_t* before
    cdef uint32_t length = 0
    cdef uint32_t left
    cdef uint32_t right
    if end - at < 1:
        at = end - 1
    while at > begin:
        # A byte 80-BF may be the inside of a character; any other byte begins one.
        if (at[0] & 0xC0) != 0x80:
            right = column_at(machine, at, end, &length)
            if not (right == machine.invalid and at[0] >= 0xC2 and end - at < 4):  # may be cut off by `end`
                before = at - 1
                while before > begin and (before[0] & 0xC0) == 0x80 and at - before < 4:
                    before -= 1
                left = column_at(machine, before, at, &length)
                if before + length != at:
                    left = machine.invalid
                if machine.safe[left << 8 | right]:
                    return at
        at -= 1
    return NULL
