# Running a compiled pattern over text: the scan functions, inline so that counting and encoding compile them into their
# loops. Text is UTF-8, or units of 16 bits without surrogates (`text_t`).
#
# `pretoken_end` finds one pretoken, `cascade_end` one pretoken of a pattern of several stages, `safe_cut` a place where
# a big document may be cut. The tables come from bbpe/automaton.py; `Automaton` in _pretokenize.pyx lays them out and
# owns them. What the text model calls a character (a valid UTF-8 sequence, or one invalid byte) is decided in
# `column_at`.
#
# `match_end_plain` is the definition: one look-up of the class, one of the transition, per character. `match_end` gives
# the same and skips along runs of one state: 560 MB/s of English and 800 of Chinese on one core where the plain loop
# made 280 and 610 (llama3's pattern, Zen 4). Every buffer must have 32 readable bytes after `end`; the skipping loops
# may read them and never decide on them.
#
# `mark_boundaries` finds all pretokens of a text at once, three times as fast: its tables say the next state even where
# a match ends, so there is no branch on where; and four places of the text take their steps in turn
# (_native/steps.hpp), so that none waits for the look-up of another.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stddef cimport size_t
from libc.string cimport memset

cdef extern from "_native/units.hpp" namespace "bbpe" nogil:
    unsigned int lowest_set(uint64_t word)  # the number of the lowest bit of a word that is not 0
    size_t units_within(const uint16_t* units, size_t count, uint16_t low, uint16_t span)

cdef extern from "_native/steps.hpp" namespace "bbpe" nogil:
    cdef cppclass Cursor[Unit]:
        const Unit* begin
        const Unit* at
        const Unit* stop
        uint32_t row
    cdef cppclass Steps:
        const uint32_t* steps
        const uint32_t* pairs
        const uint8_t* ascii_pairs
        const uint8_t* kinds
        const uint8_t* kind_pairs
        const uint32_t* firsts
        const uint8_t* columns
        uint32_t step[Unit](uint32_t row, Unit unit) const
    uint32_t STEP_BOUNDARY
    uint32_t PAIRED_KINDS
    uint32_t STEP_POSSIBLE
    uint32_t STEP_HELP
    uint32_t STEP_BEFORE
    uint8_t is_boundary(const uint8_t* flags)
    void step_one[Unit](const Steps& tables, Cursor[Unit]& cursor, const Unit* origin, uint8_t* flags)
    void step_four[Unit](const Steps& tables, Cursor[Unit]* cursors, const Unit* origin, uint8_t* flags)

cdef enum:
    # A transition is the row of the next state (its number << 8) and two flags.
    ACCEPT = 1        # the match may end before this character
    RUN = 2           # the next state has a run: characters that stay in it, and may all end the match or may not
    RUN_ACCEPT = 4    # and the match may end before each of these
    ROW = 0xFFFFFF00
    DEAD = 0          # row of the state from which nothing matches
    START = 0x100     # row of the state before the first character
    CLASSES = 0x80    # columns 0-127 are the ASCII characters, then come the classes
    MAX_STAGES = 16
    FLAGS_BEFORE = 15  # readable bytes before the flags of a text

# Two ranges of ASCII characters, for testing eight bytes in one word (`outside`).
cdef struct byte_ranges_t:
    uint64_t low
    uint64_t high
    uint64_t other_low
    uint64_t other_high

# A range of 16-bit units: from `low` on, `span` more. Where there is none: U+D800 alone, which no text holds.
cdef struct unit_range_t:
    uint16_t low
    uint16_t span

cdef struct automaton_t:
    const uint32_t* transitions   # [row | column]
    const uint8_t* run_columns    # [row | column]: 1 if a character of this class stays in the state; 0 for column 0
    const uint8_t* run_blocks     # [(row >> 8) << 10 | code point >> 6]: 1 if all 64 characters of three bytes stay
    const byte_ranges_t* run_ranges  # [row >> 8]: the ASCII characters that stay in the state, or some of them
    const uint8_t* two            # [code point]: column of a character of two bytes
    const uint16_t* three         # [code point >> 6]: block of a character of three bytes
    const uint16_t* four          # [(code point >> 6) - 0x400]: block of a character of four bytes
    const uint8_t* blocks         # [block << 6 | code point & 63]: column; 0 for overlong forms and surrogates
    const uint8_t* columns        # [code point]: column of a character below U+10000, for text in units of 16 bits
    const unit_range_t* unit_runs  # [row >> 8]: the longest range from U+0800 on that stays in the state
    const uint8_t* safe           # [column << 8 | column]: 1 where there is always a boundary between the two
    Steps steps                   # for a whole text at once
    uint32_t invalid              # column of an invalid byte
    uint32_t end_of_text          # column
    uint32_t word_row             # the run that a word after a space is in, and its ranges: known before the word is
    byte_ranges_t word_ranges

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


cdef fused text_t:    # text as UTF-8 bytes, or in units of 16 bits without surrogates
    uint8_t
    uint16_t


cdef inline uint32_t column_at(const automaton_t* machine, const text_t* at, const text_t* end,
                               uint32_t* length) noexcept nogil:
    """Column of the character at `at` (< end) and its length there. Reads only before `end` what it decides on."""
    if text_t is uint16_t:
        length[0] = 1
        return machine.columns[at[0]]
    else:
        return byte_column_at(machine, at, end, length)


cdef inline uint32_t byte_column_at(const automaton_t* machine, const uint8_t* at, const uint8_t* end,
                                    uint32_t* length) noexcept nogil:
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


cdef inline uint64_t load8(const uint8_t* at) noexcept nogil:
    return <uint64_t>load4(at) | <uint64_t>load4(at + 4) << 32


cdef inline uint64_t outside(uint64_t word, const byte_ranges_t* ranges) noexcept nogil:
    """The top bit of each byte that is in neither range. With seven bits x, x + 0x80 - low reaches the top bit from
    `low` on and x + 0x7F - high after `high`; no byte carries into the next."""
    cdef uint64_t low = word & 0x7F7F7F7F7F7F7F7FULL
    cdef uint64_t inside = (low + ranges.low) ^ (low + ranges.high)
    inside |= (low + ranges.other_low) ^ (low + ranges.other_high)
    return (word | ~inside) & 0x8080808080808080ULL


cdef inline const uint8_t* skip_ascii(const uint8_t* at, const uint8_t* end,
                                      const byte_ranges_t* ranges) noexcept nogil:
    """The first byte from `at` on, at most `end`, that is in neither range."""
    cdef uint64_t found
    while at < end:
        found = outside(load8(at), ranges)
        if found:
            at += lowest_set(found) >> 3
            return at if at < end else end
        at += 8
    return end


cdef inline const text_t* skip_run(const automaton_t* machine, uint32_t row, const text_t* at, const text_t* end,
                                   uint32_t* length) noexcept nogil:
    """Past the characters from `at` (< end) that stay in the state, or the first of them.

    `length` becomes that of each. Stopping early is no error: the caller looks at every character after `at` itself.
    """
    if text_t is uint16_t:
        length[0] = 1
        return skip_units(machine, row, at, end)
    else:
        return skip_bytes(machine, row, at, end, length)


cdef inline const uint16_t* skip_units(const automaton_t* machine, uint32_t row, const uint16_t* at,
                                       const uint16_t* end) noexcept nogil:
    cdef unit_range_t run = machine.unit_runs[row >> 8]
    while at < end:
        if <uint16_t>(at[0] - run.low) <= run.span:
            at += units_within(at, end - at, run.low, run.span)
        elif machine.run_columns[row | machine.columns[at[0]]]:
            at += 1
        else:
            break
    return at


cdef inline const uint8_t* skip_bytes(const automaton_t* machine, uint32_t row, const uint8_t* at, const uint8_t* end,
                                      uint32_t* length) noexcept nogil:
    """Past the characters from `at` on that stay in the state, as far as they are all ASCII or all of three bytes."""
    cdef const uint8_t* blocks
    cdef uint32_t word
    cdef uint32_t block
    cdef uint32_t column
    if at[0] < 0x80:
        length[0] = 1
        # Which ranges to test is known before the transitions are, if the row is the likely one.
        if row == machine.word_row:
            return skip_ascii(at, end, &machine.word_ranges)
        return skip_ascii(at, end, &machine.run_ranges[row >> 8])
    length[0] = 3
    blocks = machine.run_blocks + (row << 2)
    # One branch for each character, well predicted, so that the next is looked at before this one is decided. (Four at
    # once without branches was slower: the next position then waits for the look-ups.)
    while end - at >= 3:
        word = load4(at)
        if (word & 0x00C0C0F0) != 0x008080E0:
            break
        block = (word & 0x0F) << 6 | (word >> 8 & 0x3F)
        if not blocks[block]:
            column = machine.blocks[<uint32_t>machine.three[block] << 6 | (word >> 16 & 0x3F)]
            if not machine.run_columns[row | column]:
                break
        at += 3
    return at


cdef inline const text_t* match_end(const automaton_t* machine, const text_t* begin,
                                    const text_t* end) noexcept nogil:
    """As `match_end_plain`, and skips the run of a state in loops whose loads do not wait for one another."""
    cdef const text_t* at = begin
    cdef const text_t* last = NULL
    cdef const text_t* before
    cdef uint32_t row = START
    cdef uint32_t length = 0
    cdef uint32_t transition
    while at < end:
        transition = machine.transitions[row | column_at(machine, at, end, &length)]
        row = transition & ROW
        if row == DEAD:
            # Nearly always ACCEPT is here: testing it before anything else made English a quarter slower.
            return at if transition & ACCEPT else last
        if transition & ACCEPT:
            last = at
        at += length
        if transition & RUN and at < end:
            before = at
            at = skip_run(machine, row, at, end, &length)
            if transition & RUN_ACCEPT and at != before:
                last = at - length
    if machine.transitions[row | machine.end_of_text] & ACCEPT:
        last = end
    return last


cdef inline const text_t* gap_end(const automaton_t* machine, const text_t* begin, const text_t* end) noexcept nogil:
    """Where the text that no match begins in ends: the first place after `begin` where a match begins, or `end`.

    The run of the dead state is the characters that no match begins with. Where a match was tried in vain, its first
    state's run is remembered: a later try that comes to the same state inside that run goes the same way from there, in
    vain again. (Without this, looking for white space at the end of a text would scan every space in the middle of it
    to the last of its run.)
    """
    cdef const text_t* at = begin
    cdef const text_t* vain_end = begin
    cdef uint32_t vain_row = DEAD
    cdef uint32_t length = 0
    cdef uint32_t row, skipped
    column_at(machine, at, end, &length)
    at += length
    while at < end:
        at = skip_run(machine, DEAD, at, end, &length)
        if at < end:
            row = machine.transitions[START | column_at(machine, at, end, &length)] & ROW
            if row != DEAD and not (row == vain_row and at + length <= vain_end):
                if match_end(machine, at, end) != NULL:
                    break
                vain_row = row
                vain_end = at + length
                while vain_end < end:
                    if (machine.transitions[row | column_at(machine, vain_end, end, &skipped)] & ROW) != row:
                        break
                    vain_end += skipped
                    if vain_end < end:
                        vain_end = skip_run(machine, row, vain_end, end, &skipped)
            at += length
    return at


cdef inline const text_t* pretoken_end(const automaton_t* machine, const text_t* begin,
                                       const text_t* end) noexcept nogil:
    """End of the pretoken that begins at `begin` (< end). `end` is the end of the text, not of a chunk."""
    cdef const text_t* found = match_end(machine, begin, end)
    return found if found != NULL else gap_end(machine, begin, end)


# ---- The boundaries of a whole text at once ----

cdef inline void settle(const automaton_t* machine, Cursor[text_t]* cursor, const text_t* start, const text_t* end,
                        const text_t* origin, uint8_t* flags) noexcept nogil:
    """Go on from a boundary; past the stop the cursor is finished, and its row DEAD."""
    cdef uint32_t length = 0, row
    cdef const text_t* following
    while start < cursor.stop:
        flags[start - origin] = 1
        row = machine.transitions[START | column_at(machine, start, end, &length)] & ROW
        if row != DEAD:
            cursor.row = row
            cursor.at = start + 1
            return
        following = pretoken_end(machine, start, end)
        memset(flags + (start - origin) + 1, 0, following - start - 1)
        start = following
    flags[cursor.stop - origin] = 1
    cursor.row = DEAD
    cursor.at = cursor.stop


cdef inline void help(const automaton_t* machine, Cursor[text_t]* cursor, const text_t* end, const text_t* origin,
                      uint8_t* flags) noexcept nogil:
    """Find where the pretoken ends that the cursor is in, and go on from there."""
    cdef const text_t* start = cursor.at - 1
    cdef const text_t* following
    # Where the cursor is, nothing is written yet.
    while start > cursor.begin and not (flags[start - origin] & STEP_BOUNDARY
                                        or (start + 1 < cursor.at and flags[start + 1 - origin] & STEP_BEFORE)):
        start -= 1
    flags[start - origin] |= STEP_BOUNDARY
    following = pretoken_end(machine, start, end)
    memset(flags + (start - origin) + 1, 0, following - start - 1)
    settle(machine, cursor, following, end, origin, flags)


cdef inline void finish(const automaton_t* machine, Cursor[text_t]* cursor, const text_t* end, const text_t* origin,
                        uint8_t* flags) noexcept nogil:
    """At its stop, which is a boundary: whether the cursor's pretoken is what ends there."""
    cdef uint32_t length = 0, column = machine.end_of_text, transition
    if cursor.stop < end:
        column = column_at(machine, cursor.stop, end, &length)
    transition = machine.transitions[cursor.row | column]
    if transition & ACCEPT:  # a match that could end here does: it would not end at a boundary if it went on
        flags[cursor.stop - origin] = 1
        cursor.row = DEAD
    else:
        help(machine, cursor, end, origin, flags)


cdef inline void run_alone(const automaton_t* machine, Cursor[text_t]* cursor, const text_t* end, const text_t* origin,
                           uint8_t* flags) noexcept nogil:
    while cursor.row != DEAD:
        step_one(machine.steps, cursor[0], origin, flags)
        if cursor.at == cursor.stop:
            finish(machine, cursor, end, origin, flags)
        else:
            help(machine, cursor, end, origin, flags)


cdef inline const text_t* cut_before(const automaton_t* machine, const text_t* lowest, const text_t* at) noexcept nogil:
    """The last place in (lowest, at] where there is always a boundary, or NULL."""
    cdef uint32_t length = 0
    while at > lowest:
        if machine.safe[column_at(machine, at - 1, at, &length) << 8 | column_at(machine, at, at + 1, &length)]:
            return at
        at -= 1
    return NULL


cdef inline void mark_boundaries(const automaton_t* machine, const text_t* begin, const text_t* end,
                                 const text_t* origin, uint8_t* flags) noexcept nogil:
    """Write the flags of `begin` to `end`, for `flag_mask` and `is_boundary`. `flags` begins at `origin`.

    Text in bytes must be ASCII. Four parts of the text, cut where there is always a boundary, go side by side. Before
    the flags FLAGS_BEFORE bytes are readable, whatever they are.
    """
    mark_until(machine, begin, end, end, origin, flags)


cdef inline void mark_until(const automaton_t* machine, const text_t* begin, const text_t* stop, const text_t* end,
                            const text_t* origin, uint8_t* flags) noexcept nogil:
    """The same for a part of a text, `begin` to `stop`, both boundaries: only that part need be ASCII."""
    cdef Cursor[text_t] cursors[4]
    cdef const text_t* cut = begin
    cdef size_t part = (stop - begin) // 4
    cdef int i, running = 4
    if begin == stop:
        return
    cursors[0].begin = begin
    if part >= 24:
        for i in range(1, 4):
            cut = cut_before(machine, begin + i * part - part // 2, begin + i * part)
            if cut == NULL:
                break
            cursors[i - 1].stop = cut
            cursors[i].begin = cut
    if part < 24 or cut == NULL:
        cursors[0].stop = stop
        settle(machine, &cursors[0], begin, end, origin, flags)
        run_alone(machine, &cursors[0], end, origin, flags)
        return
    cursors[3].stop = stop
    for i in range(4):
        settle(machine, &cursors[i], cursors[i].begin, end, origin, flags)
        running -= cursors[i].row == DEAD
    while running == 4:
        step_four(machine.steps, cursors, origin, flags)
        for i in range(4):
            if cursors[i].at == cursors[i].stop:
                finish(machine, &cursors[i], end, origin, flags)
                running -= cursors[i].row == DEAD
            elif machine.steps.step(cursors[i].row, cursors[i].at[0]) & STEP_HELP:
                help(machine, &cursors[i], end, origin, flags)
                running -= cursors[i].row == DEAD
    for i in range(4):
        run_alone(machine, &cursors[i], end, origin, flags)


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
            if length > 1 or at[0] < 0x80 or end - at >= 4:  # else it may be a character that `end` cuts
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
