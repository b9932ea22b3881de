# distutils: language = c++
"""THE MERGE LOOP: count pairs, pop the best, apply it, update counts (DESIGN, idea C).

What it does: learns merges from distinct pretokens and their counts, exactly as ``reference.py`` says, whose four names
stand here in the same order: ``count_pairs``, ``best_pair``, ``apply_merge``, ``learn_merges``. What it does not:
options, defaults, error texts, vocabularies (``training/``); text and patterns (``counts.py``). It validates nothing.
Where next: ``_characters.pyx`` has a quicker beginning for Chinese and its like.

All pretokens lie in one array of 4-byte *cells*, one cell a symbol at the start, a separator between two pretokens. A
token that merging makes keeps the cells of its parts and is written to the first and the last of them, so that both
neighbours of any token are found from its width, without links. Pretokens of equal count stand together and begin at a
multiple of 64 cells, so that one weight does for 64 of them (there are 473 distinct counts on 30 MB of Chinese).

Every pair knows its count and where it occurs. What keeps that small and exact is one property:

    **All occurrences of a pair (x, y) come into being at one step: when the later of x and y is made**, or at the
    start. For two tokens to become neighbours, a merge has to make one of them, there. Merges replace *every*
    occurrence of their pair, so after the step that makes z each z stands where it will ever stand; later steps only
    consume some.

So a pair's count never rises after its birth. A pair born with a count under ``min_count``, or too long, can be dropped
for good at birth, with no positions stored (63 % of all pairs on Chinese). So can one under the count that the last
merge wanted will win with, if only that were known: ``lower_bar`` guesses it, and where the guess was too high all
pairs are counted again, in what the text has become. (Half the time and two thirds of the memory.)

A queue whose entries are only upper bounds is exact: take one, and add it again when the true count is lower. The
positions of a pair are known at birth and need a block of exactly that size; they ascend, because the step that
collects them walks upwards. And a position *i* in the block of (x, y) still holds the pair if and only if cell *i* is x
and the cell a width of x further is y: what merges with either writes over one of the two.

Cost: each merge visits its positions once, O(occurrences), and does O(1) hash look-ups a distinct neighbour. Memory: 4
bytes a symbol, 4 a live position, some 50 a pair that is kept.
"""

import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove
from libcpp.algorithm cimport sort
from libcpp.pair cimport pair
from libcpp.string cimport string
from libcpp.vector cimport vector

from bbpe._types cimport count_t, token_id_t


cdef extern from "Python.h":
    int PyGC_Disable()
    int PyGC_Enable()
    void PyObject_GC_UnTrack(void*)

cdef enum:
    AHEAD = 16              # positions between a prefetch and its use; 8 and 32 measured the same
    ROOMY = 1 << 20         # more positions than this do not get three times the room that they need
    FEW_CELLS = 1 << 22     # of a text whose pairs are counted once, if the guess at how often they occur is right
    MANY_MERGES = 1 << 17   # there is room at once for so many
    MORE_OF_CHARACTERS = 120_000  # merges, after which they win with twice the count that follows from other text
    EDGE = 256              # as a left symbol below 256: the separator
    BYTE_PAIRS = (EDGE + 1) << 8
    HEADER = 2              # cells before a block of positions: its pair's number, its capacity
    SMALL_COUNTS = 1 << 16  # pretoken counts below this are sorted by counting

cdef struct byte_pair_t:
    count_t count
    uint32_t positions

cdef neighbour_t NOTHING = [0, 0, 0, 0, 0, 0]


MOST_APART = STRETCH
"""Cells between pretokens of different counts, at most, beside the separator of each pretoken."""


cdef class Rules:
    """What tokens may be made, by the characters in them: ``reference.may_be_added`` says what it means.

    Args:
        utf8_safe: Whole characters or a single piece of one.
        max_chars: So many characters and pieces.
        characters: uint8[0x110000] by code point: 0 refused, 1 taken, 2 taken at the beginning of a token only.
        pieces: The only pieces of characters that are taken.
        pieces_refused: Pieces that are not taken.
        deny: Byte strings that no token may hold.
    """

    cdef TextRules rules

    def __init__(self, bint utf8_safe=False, *, max_chars=None, const uint8_t[::1] characters=None, pieces=None,
                 pieces_refused=(), deny=()):
        self.rules.whole_or_piece = utf8_safe
        self.rules.max_characters = 0xFFFFFFFF if max_chars is None else min(max_chars, 0xFFFFFFFE)
        if characters is not None:
            self.rules.characters.assign(&characters[0], &characters[0] + characters.shape[0])
        self.rules.only_pieces = pieces is not None
        for piece in pieces or ():
            self.rules.pieces_taken.insert(<string> piece)
        for piece in pieces_refused:
            self.rules.pieces_refused.insert(<string> piece)
        for part in deny:
            self.rules.denied.push_back(<string> part)

    @property
    def only_utf8_safe(self):
        """Whether nothing is asked for but whole characters or a single piece of one."""
        return (self.rules.whole_or_piece and self.rules.max_characters == 0xFFFFFFFF and self.rules.characters.empty()
                and not self.rules.only_pieces and self.rules.pieces_refused.empty() and self.rules.denied.empty())

    def allows(self, bytes token):
        """Whether the token may be made."""
        return bool(self.rules.allows(<string> token))


cdef inline uint32_t meet(uint32_t* places, neighbour_t* neighbours, uint32_t end, token_id_t symbol,
                          count_t weight) noexcept nogil:
    """Note a symbol beside one more position: its place among the neighbours, which is `end` when it is new."""
    cdef uint32_t slot = slot_of(symbol)
    cdef uint32_t place = places[slot]
    cdef neighbour_t* at
    place |= end & (0 - <uint32_t> (place == ABSENT))  # of a choice the compiler makes a branch
    places[slot] = place
    at = neighbours + place
    at.slot = slot
    at.count += weight
    at.positions += 1
    return place


cdef inline uint32_t byte_pair_of(token_id_t* left, token_id_t right) noexcept nogil:
    """The place of a pair in a table by left symbol and right one, both below 256; and the right one is the next left.

    A separator, which may be either, has a row of its own behind the others.
    """
    cdef uint32_t edge = 0 - <uint32_t> (right == SEPARATOR)
    cdef uint32_t place = (left[0] << 8 | right) & ~edge | (EDGE << 8) & edge
    left[0] = right & ~edge | EDGE & edge
    return place


cdef class MergeLearner:
    """Learns merges from pretokens, some at a time.

    Args:
        symbols: All distinct pretokens, one after the other: bytes (uint8), or ids of a base vocabulary (uint32).
        offsets: Where each pretoken begins in ``symbols``, and the end: int64, one more than pretokens.
        counts: How often each pretoken occurs: int64, at least 1.
        tokens: Token bytes by id; None where the base has a hole. No pair that makes one of them is learned.
        byte_ids: uint32[256], the id of each byte, when ``symbols`` are bytes.
        taken: Further byte strings that no pair may make (special tokens).
        first_id: The id that the first merge makes; ids go on from there.
        min_count: Pairs that occur less often are not learned; at least 1.
        max_token_bytes: Pairs that make a longer token are not learned.
        shortest: Pretokens of fewer symbols are only counted.
        note_places: Remember where each pretoken begins in the cells.
        rules: What tokens may be made; None: all.
        keep: Byte strings, with every part of each: a pair that makes one is kept however rarely it occurs, so that
            ``apply_pair`` finds it.

    The arrays are read here and not kept. The caller has checked everything: fewer than 2**32 - 2 symbols and
    pretokens together, a total count below 2**63, ids below 2**32 - 2, every symbol in ``tokens``.
    """

    def __init__(self, symbols, const int64_t[::1] offsets, const count_t[::1] counts, tokens, *,
                 byte_ids=None, taken=(), token_id_t first_id=256, count_t min_count=2, max_token_bytes=None,
                 uint64_t shortest=2, bint note_places=False, Rules rules=None, keep=()):
        cdef const uint8_t[::1] bytes_view
        cdef const token_id_t[::1] ids_view
        cdef const token_id_t[::1] map_view
        cdef const uint8_t* as_bytes = NULL
        cdef const token_id_t* as_ids = NULL
        cdef const token_id_t* byte_map = NULL
        cdef Py_ssize_t pretokens = counts.shape[0]

        self.min_count = min_count
        self.bar = min_count
        self.shortest = shortest
        self.next_id = first_id
        self.max_token_bytes = 0xFFFFFFFF if max_token_bytes is None else max_token_bytes
        self.restricted = rules is not None
        if rules is not None:
            self.rules = rules.rules
        for token in keep:
            self.kept.insert(<string> token)
        self.keeps = not self.kept.empty()
        for token in tokens:
            self.add_token(token if token is not None else b"")
        while self.tokens.size() < first_id:  # a hole between the base's last id and the first new one
            self.add_token(b"")
        for id in range(first_id):
            self.add_symbol(<uint32_t> self.tokens.length(id), 1)
        for token in taken:
            self.tokens.refuse(<string> token)

        if byte_ids is not None:
            map_view = byte_ids
            byte_map = &map_view[0]
        if pretokens == 0 or symbols.shape[0] == 0:
            self.stage = EXHAUSTED
        elif byte_map != NULL:
            bytes_view = symbols
            as_bytes = &bytes_view[0]
            self.only_bytes = True
        else:
            ids_view = symbols
            as_ids = &ids_view[0]
        if self.stage != EXHAUSTED:
            if note_places:
                self.places.resize(pretokens, 0)
            with nogil:
                self.lay_out(as_bytes, as_ids, byte_map, &offsets[0], &counts[0], pretokens)
        self.curve.push_back(self.corpus_tokens)

    # ---- the layout ------------------------------------------------------------------------------

    cdef int add_token(self, const string& token) except -1 nogil:
        """The token with the next id; an empty one is a hole."""
        self.tokens.add(token)
        if self.keeps:
            self.in_kept.push_back(self.kept.count(token))
        return 0

    cdef int reserve(self, uint64_t merges) except -1 nogil:
        """Room for what so many merges make: growing by copies would touch three times the memory."""
        cdef uint64_t symbols = self.width.size() + merges
        self.tokens.reserve(merges)
        self.width.reserve(symbols)
        self.length.reserve(symbols)
        self.left_place.reserve(symbols + 1)
        self.right_place.reserve(symbols + 1)
        self.learned_left.reserve(merges)
        self.learned_right.reserve(merges)
        self.learned_count.reserve(merges)
        self.curve.reserve(merges + 1)
        return 0

    cdef int add_symbol(self, uint32_t length, uint32_t width) except -1 nogil:
        """What a cell may hold next. Symbols are the ids of tokens (but see CharacterLearner)."""
        self.length.push_back(length)
        self.width.push_back(width)
        return self.add_slot()

    cdef int add_slot(self) except -1 nogil:
        """Room for one more neighbour, and for the separator before the first."""
        while self.left_place.size() < self.width.size() + 1:
            self.left_place.push_back(BORDER if self.left_place.empty() else ABSENT)
            self.right_place.push_back(BORDER if self.right_place.empty() else ABSENT)
        return 0

    cdef int reserve_neighbours(self, uint64_t positions) except -1 nogil:
        """Room for what stands beside so many positions."""
        cdef uint64_t most = FIRST + min(positions, <uint64_t> self.width.size())
        if self.lefts.size() < most:
            self.lefts.resize(most, NOTHING)
            self.rights.resize(most, NOTHING)
        return 0

    cdef void clear_symbols(self) noexcept nogil:
        self.length.clear()
        self.width.clear()
        self.left_place.clear()
        self.right_place.clear()

    cdef int lay_out(self, const uint8_t* as_bytes, const token_id_t* as_ids, const token_id_t* byte_map,
                     const int64_t* offsets, const count_t* counts, Py_ssize_t pretokens) except -1 nogil:
        """Write the pretokens into the cells, those of equal count together.

        A counting sort that writes cells directly; the few pretokens with a high count are sorted by comparison.
        Pretokens of one symbol have no pair and are only counted (unless ``shortest`` says otherwise).
        """
        cdef vector[uint64_t] cursors     # by count: where its next pretoken goes
        cdef vector[pair[count_t, Py_ssize_t]] large
        cdef uint64_t at = STRETCH, size, first_large
        cdef Py_ssize_t p, q
        cdef count_t count
        cdef group_t group
        cdef token_id_t* cells
        cursors.resize(SMALL_COUNTS, 0)
        self.corpus_tokens = 0
        for p in range(pretokens):
            size = <uint64_t> (offsets[p + 1] - offsets[p])
            count = counts[p]
            self.corpus_tokens += <count_t> size * count
            if size >= self.shortest:
                if count < SMALL_COUNTS:
                    cursors[count] += size + 1
                else:
                    large.push_back(pair[count_t, Py_ssize_t](count, p))
        for count in range(SMALL_COUNTS):
            size = cursors[count]
            if size:
                cursors[count] = at
                group.begin = at
                group.end = at + size
                group.count = count
                self.groups.push_back(group)
                at = next_stretch(group.end)
        first_large = self.groups.size()
        sort(large.begin(), large.end())
        for q in range(<Py_ssize_t> large.size()):
            p = large[q].second
            size = <uint64_t> (offsets[p + 1] - offsets[p]) + 1
            if self.groups.size() and self.groups.back().count == large[q].first:
                self.groups.back().end = self.groups.back().end + size
            else:
                group.begin = at
                group.end = at + size
                group.count = large[q].first
                self.groups.push_back(group)
            at = next_stretch(self.groups.back().end)
        self.used_cells = at
        self.cells.resize(at)
        cells = self.cells.data()
        for p in range(STRETCH):
            cells[p] = SEPARATOR
        for p in range(pretokens):
            size = <uint64_t> (offsets[p + 1] - offsets[p])
            count = counts[p]
            if size >= self.shortest and count < SMALL_COUNTS:
                if self.places.size():
                    self.places[p] = cursors[count]
                self.write_pretoken(cells + cursors[count], as_bytes, as_ids, byte_map, offsets[p], size)
                cursors[count] += size + 1
        for q in range(<Py_ssize_t> large.size()):
            p = large[q].second
            size = <uint64_t> (offsets[p + 1] - offsets[p])
            if q == 0 or large[q].first != large[q - 1].first:
                at = self.groups[first_large].begin
                first_large += 1
            if self.places.size():
                self.places[p] = at
            self.write_pretoken(cells + at, as_bytes, as_ids, byte_map, offsets[p], size)
            at += size + 1
        return self.weigh_stretches()

    cdef int weigh_stretches(self) except -1 nogil:
        """Note the weights of cells by their groups, and separate these up to the next."""
        cdef token_id_t* cells = self.cells.data()
        cdef count_t* weights
        cdef uint64_t g, at
        self.weights.resize(self.used_cells // STRETCH)
        weights = self.weights.data()
        for g in range(self.groups.size()):
            for at in range(self.groups[g].end, next_stretch(self.groups[g].end)):
                cells[at] = SEPARATOR
            for at in range(self.groups[g].begin // STRETCH, next_stretch(self.groups[g].end) // STRETCH):
                weights[at] = self.groups[g].count
        return 0

    cdef void write_pretoken(self, token_id_t* cells, const uint8_t* as_bytes, const token_id_t* as_ids,
                             const token_id_t* byte_map, int64_t offset, uint64_t size) noexcept nogil:
        cdef uint64_t i
        if as_bytes != NULL:
            for i in range(size):
                cells[i] = byte_map[as_bytes[<uint64_t> offset + i]]
        else:
            for i in range(size):
                cells[i] = as_ids[<uint64_t> offset + i]
        cells[size] = SEPARATOR

    # ---- count pairs -----------------------------------------------------------------------------

    cdef int count_pairs(self) except -1 nogil:
        """Count all pairs and store their positions: the state before the first merge."""
        if self.only_bytes:
            return self.count_byte_pairs()
        return self.count_any_pairs()

    cdef void lower_bar(self, uint64_t merges) noexcept nogil:
        """Choose how often a pair has to occur to be kept until ``merges`` are learned in all, about.

        Too low costs time for pairs that are never merged; too high, another count of what the text has become by then.
        The counts that merges win with fall, from some hundred merges on, a little slower than the power -1.5 of their
        number. (On 30 MB of English from 1,315 for the 1,465th to 15 for the 31,744th, of Chinese from 1,805 to 25: 2.5
        to 4.4 times the bytes by that power of the merges.) In text of whole characters they stay higher, the more so
        the more merges there are: 1.3 times what follows from the 800th at the 16,000th, 2 to 3 times at the 100,000th
        (10, 30 and 98 MB of Chinese; the constants keep just below what was found there).
        """
        cdef uint64_t learned = self.learned_count.size()
        cdef double share = <double> learned / <double> merges
        cdef double falling = 0
        cdef count_t bar
        if learned:
            falling = <double> self.learned_count.back() * share * sqrt(share)
        if self.keeps:
            bar = 0
        elif learned == 0 and self.stage == LAID_OUT:
            bar = self.corpus_tokens >> 13  # some hundred merges
            if self.used_cells <= FEW_CELLS:  # or all of them: rarer pairs take memory, which little text has
                bar = min(bar, <count_t> (2 * <double> self.corpus_tokens / (<double> merges * sqrt(<double> merges))))
        elif learned == self.learned_before:
            bar = self.left_out >> 3
        elif self.stage == LAID_OUT:  # begun with whole characters
            bar = min(self.bar >> 1, <count_t> (falling * (1 + <double> merges / MORE_OF_CHARACTERS) + 1.25))
        else:
            bar = min(self.bar >> 1, <count_t> falling)
        self.bar = max(self.min_count, bar)
        self.left_out = 0
        self.learned_before = learned

    cdef int count_again(self) except -1 nogil:
        """Count all pairs of what the text has become, with the bar where it is now."""
        self.close_up()
        self.pairs.clear()
        self.queue.clear()
        self.only_bytes = False
        return self.count_pairs()

    cdef int close_up(self) except -1 nogil:
        """Rewrite the cells with one a token, without pretokens of one token: they have no pair any more."""
        cdef token_id_t* cells = self.cells.data()
        cdef uint64_t source, target = STRETCH, start, g, groups = 0
        cdef group_t group
        cdef token_id_t token
        for g in range(self.groups.size()):
            source = self.groups[g].begin
            group.begin = start = target
            while source < self.groups[g].end:
                token = cells[source]
                cells[target] = token
                target += 1
                if token != SEPARATOR:
                    source += self.width[token]
                    continue
                source += 1
                if target == start + 2:
                    target = start
                start = target
            if target > group.begin:
                group.end = target
                group.count = self.groups[g].count
                self.groups[groups] = group
                groups += 1
                target = next_stretch(target)
        self.groups.resize(groups)
        self.used_cells = target
        for token in range(<token_id_t> self.width.size()):
            self.width[token] = 1
        return self.weigh_stretches()

    cdef int count_byte_pairs(self) except -1 nogil:
        """The same, for symbols that are all below 256: a dense table by pair instead of a hash table.

        Where pretokens end and which pairs are not kept nobody can guess: so there is no branch on either.
        """
        cdef const token_id_t* cells = self.cells.data()
        cdef vector[byte_pair_t] table
        cdef byte_pair_t* at
        cdef uint64_t i, g, total = 0
        cdef count_t weight
        cdef token_id_t left, right
        cdef uint32_t dense, number
        cdef uint32_t* pool
        table.resize(BYTE_PAIRS)
        for g in range(self.groups.size()):
            weight = self.groups[g].count
            left = EDGE
            for i in range(self.groups[g].begin, self.groups[g].end):
                at = table.data() + byte_pair_of(&left, cells[i])
                at.count += weight
                at.positions += 1
        for dense in range(1 << 16):
            at = &table[dense]
            left = dense >> 8
            right = dense & 255
            if ((at.count >= self.bar or (self.keeps and at.count and self.is_kept(left, right)))
                    and self.length[left] + self.length[right] <= self.max_token_bytes
                    and (not self.restricted or self.may_make(left, right))):
                self.add_pair(pair_key(left, right), at.count, at.positions)
                total += HEADER + <uint64_t> at.positions
            elif at.count < self.bar:
                self.left_out = max(self.left_out, at.count)
        # Room that is not used costs nothing, and closing gaps does; where there is much text it has to be done.
        self.pool.resize(max(self.used_cells, total + max(total // 8, min(2 * total, <uint64_t> ROOMY))) + 1024)
        self.pool_used = 0
        # From here on `count` is where the next position goes, and `positions` by how much that moves then.
        for dense in range(BYTE_PAIRS):
            table[dense].positions = 0
        for number in range(self.pairs.numbers()):
            dense = <uint32_t> ((self.pairs.data()[number].key >> 32) << 8 | <uint32_t> self.pairs.data()[number].key)
            self.new_block(number, self.pairs.data()[number].live)
            table[dense].count = <count_t> self.pairs.data()[number].block
            table[dense].positions = 1
            self.offer(number)
        for dense in range(BYTE_PAIRS):
            if table[dense].positions == 0:
                table[dense].count = <count_t> self.pool_used  # the free cell behind the last block
        pool = self.pool.data()
        left = EDGE
        for i in range(STRETCH, self.used_cells):
            at = table.data() + byte_pair_of(&left, cells[i])
            pool[at.count] = <uint32_t> (i - 1)
            at.count += at.positions
        return 0

    cdef int count_any_pairs(self) except -1 nogil:
        """The same, for symbols of any number: by left symbol, so that only dense tables are touched at random.

        A counting sort puts the positions of each left symbol together, ascending, at the end of the pool; from there
        they go, one left symbol after the other, into blocks at its beginning. (A hash look-up a position and pass took
        three times as long on Chinese.)
        """
        cdef const token_id_t* cells = self.cells.data()
        cdef uint64_t last = self.used_cells - 1   # a separator
        cdef vector[uint64_t] ends                 # by left symbol: end of its positions, among the sorted ones
        cdef uint64_t total = 0, i, source
        cdef uint32_t n
        cdef token_id_t left
        cdef uint32_t* sorted_positions
        ends.resize(self.width.size(), 0)
        for i in range(1, last):
            if cells[i] != SEPARATOR and cells[i + 1] != SEPARATOR:
                ends[cells[i]] += 1
                total += 1
        self.pool.resize(total + total // 8 + 1024)
        self.pool_used = 0
        source = self.pool.capacity() - total
        sorted_positions = self.pool.data() + source
        i = 0
        for left in range(<token_id_t> ends.size()):  # starts first; filling makes them ends
            n = <uint32_t> ends[left]
            ends[left] = i
            i += n
        for i in range(1, last):
            if cells[i] != SEPARATOR and cells[i + 1] != SEPARATOR:
                sorted_positions[ends[cells[i]]] = <uint32_t> i
                ends[cells[i]] += 1
        i = 0
        for left in range(<token_id_t> ends.size()):
            n = <uint32_t> (ends[left] - i)
            if n:
                self.count_right_of(left, source + i, n, total - ends[left])
                source = self.pool.capacity() - total  # it moves when the pool has to grow
            i = ends[left]
        return 0

    cdef int count_right_of(self, token_id_t left, uint64_t begin, uint32_t positions, uint64_t rest) except -1 nogil:
        """Count and store the pairs with a left symbol, whose positions stand in the pool, before ``rest`` others."""
        cdef const token_id_t* cells = self.cells.data()
        cdef const count_t* weights = self.weights.data()
        cdef seen_t* seen
        cdef uint32_t* right_place = self.right_place.data()
        cdef neighbour_t* rights
        cdef neighbour_t* at
        cdef uint32_t i, p, place, end = FIRST
        cdef token_id_t y
        cdef uint64_t need = 1, capacity
        cdef uint32_t* pool
        self.seen.reserve(positions)
        self.reserve_neighbours(positions)
        seen = self.seen.data()
        rights = self.rights.data()
        pool = self.pool.data() + begin
        for i in range(positions):
            if i + AHEAD < positions:
                prefetch(cells + pool[i + AHEAD])
            p = pool[i]
            place = meet(right_place, rights, end, cells[p + 1], weights[p // STRETCH])
            end += place == end
            seen[i].position = p
            seen[i].right = place
        for i in range(FIRST, end):
            at = rights + i
            y = at.slot - 1
            right_place[at.slot] = ABSENT
            self.note_pair(left, y, at.count)
            if ((at.count < self.bar and not (self.keeps and self.is_kept(left, y)))
                    or <uint64_t> self.length[left] + self.length[y] > self.max_token_bytes
                    or (self.restricted and not self.may_make(left, y))):
                at.step = 0
                if at.count < self.bar:
                    self.left_out = max(self.left_out, at.count)
            else:
                at.step = 1
                need += HEADER + <uint64_t> at.positions
                self.pairs.prefetch_key(pair_key(left, y))
        capacity = self.pool.capacity()
        if self.pool_used + need + rest > capacity:  # many pairs with few positions: their headers need more room
            self.pool.resize(capacity + capacity // 4 + need)
            memmove(self.pool.data() + self.pool.capacity() - rest, self.pool.data() + capacity - rest,
                    rest * sizeof(uint32_t))
        for i in range(FIRST, end):
            if rights[i].step:
                self.bear(pair_key(left, rights[i].slot - 1), rights + i)
        pool = self.pool.data()
        for i in range(FIRST, end):
            if not rights[i].step:
                rights[i].cursor = self.pool_used  # the free cell behind the last block
        for i in range(positions):
            at = rights + seen[i].right
            pool[at.cursor] = seen[i].position
            at.cursor += at.step
        for i in range(FIRST, end):
            rights[i] = NOTHING
        return 0

    cdef int note_pair(self, token_id_t left, token_id_t right, count_t count) except -1 nogil:
        """Called for every pair there is before the first merge, also for those that are not kept."""
        return 0

    cdef uint32_t add_pair(self, uint64_t key, count_t count, uint32_t live) except 0xFFFFFFFF nogil:
        """A new record, without a block."""
        cdef uint32_t number = self.pairs.insert(key)
        cdef pair_t* record = self.pairs.data() + number
        record.count = count
        record.block = 0
        record.entries = 0
        record.live = live
        return number

    # ---- blocks of positions ---------------------------------------------------------------------

    cdef void new_block(self, uint32_t number, uint32_t capacity) noexcept nogil:
        """Give a pair a block at the end of the pool, which has room; its positions are still to be written."""
        cdef pair_t* record = self.pairs.data() + number
        self.pool.data()[self.pool_used] = number
        self.pool.data()[self.pool_used + 1] = capacity
        record.block = self.pool_used + HEADER
        record.entries = capacity
        self.pool_used += HEADER + capacity

    cdef int drop_pair(self, uint32_t number) except -1 nogil:
        """Forget a pair that can never be merged (again)."""
        self.pool.data()[self.pairs.data()[number].block - HEADER] = NONE
        self.pairs.data()[number].count = 0
        self.pairs.erase(number)
        return 0

    cdef int reserve_blocks(self, uint64_t wanted) except -1 nogil:
        """Room for blocks of ``wanted`` cells at the end of the pool: close the gaps, and grow if that is not enough.

        Blocks move down in the order in which they stand. A block of which a quarter is stale loses that on the way.
        """
        cdef uint32_t* pool = self.pool.data()
        cdef token_id_t* cells = self.cells.data()
        cdef uint64_t source = 0, target = 0, begin, kept, size
        cdef uint32_t number, i, position, w
        cdef token_id_t left, right
        cdef pair_t* record
        if self.pool_used + wanted <= self.pool.capacity():
            return 0
        while source < self.pool_used:
            number = pool[source]
            size = HEADER + <uint64_t> pool[source + 1]
            if number != NONE:
                record = self.pairs.data() + number
                begin = source + HEADER
                if (record.entries - record.live) * <uint64_t> 4 > record.entries:
                    left = <token_id_t> (record.key >> 32)
                    right = <token_id_t> record.key
                    w = self.width[left]
                    kept = target + HEADER
                    for i in range(record.entries):
                        if i + AHEAD < record.entries:
                            prefetch(cells + pool[begin + i + AHEAD])
                        position = pool[begin + i]
                        if cells[position] == left and cells[position + w] == right:
                            pool[kept] = position
                            kept += 1
                    record.entries = <uint32_t> (kept - target - HEADER)
                else:
                    memmove(pool + target + HEADER, pool + begin, <size_t> record.entries * sizeof(uint32_t))
                pool[target] = number
                pool[target + 1] = record.entries
                record.block = target + HEADER
                target += HEADER + <uint64_t> record.entries
            source += size
        self.pool_used = target
        if target + wanted + (target >> 4) > self.pool.capacity():
            self.pool.resize(target + wanted + (target >> 2) + 1024)
        return 0

    # ---- best pair -------------------------------------------------------------------------------

    cdef int offer(self, uint32_t number) except -1 nogil:
        """Put a pair into the queue, under the ids of its tokens: they break ties."""
        cdef pair_t* record = self.pairs.data() + number
        self.queue.add(number, record.count, record.key)
        return 0

    cdef uint64_t key_of_tokens(self, uint64_t key) noexcept nogil:
        """The key of a pair in the queue: that of its tokens."""
        return key

    cdef token_id_t token_of(self, token_id_t symbol) noexcept nogil:
        """The id of a symbol's token."""
        return symbol

    cdef int best_pair(self, candidate_t* best) except -1 nogil:
        """Take the pair with the highest count, of equal ones the smallest ids, out of the queue."""
        cdef item_t item
        cdef pair_t* record
        cdef size_t i
        best.number = NONE
        best.count = 0
        while True:
            if not self.queue.take(item):
                self.queue.open(self.opened)
                if self.opened.empty():
                    return 0
                for i in range(self.opened.size()):
                    if i + AHEAD < self.opened.size():
                        prefetch(self.pairs.data() + self.opened[i + AHEAD])
                    if self.pairs.data()[self.opened[i]].count:
                        self.offer(self.opened[i])
                self.queue.opened()
                continue
            record = self.pairs.data() + item.number
            if record.count == 0 or self.key_of_tokens(record.key) != item.key:
                continue  # dropped; the number may be that of another pair by now
            if record.count != item.count:
                self.offer(item.number)
                continue
            if self.tokens.joined_is_there(item.key >> 32, <token_id_t> item.key):
                self.drop_pair(item.number)
                continue
            best.number = item.number
            best.count = item.count
            best.key = item.key
            self.fetch_coming()
            return 0

    cdef void fetch_coming(self) noexcept nogil:
        """Ask for the memory of the pairs that come next: their merges wait for little else, most being short.

        A record first, its positions when it is nearer, and then the cells.
        """
        cdef size_t known = self.queue.known()
        cdef pair_t* records = self.pairs.data()
        cdef pair_t* record
        cdef const uint32_t* positions
        cdef uint32_t i
        if known > 6:
            prefetch(records + self.queue.coming(6))
        if known > 3:
            prefetch(self.pool.data() + records[self.queue.coming(3)].block)
        if known > 1:
            record = records + self.queue.coming(1)
            if record.count:
                positions = self.pool.data() + record.block
                for i in range(min(record.entries, <uint32_t> AHEAD)):
                    prefetch(self.cells.data() + positions[i])

    cdef int put_back(self, const candidate_t* candidate) except -1 nogil:
        """Return a pair that ``best_pair`` gave and that is not to be merged now."""
        if candidate.number != NONE:
            self.queue.add(candidate.number, candidate.count, candidate.key)
        return 0

    # ---- apply merge -----------------------------------------------------------------------------

    cdef int apply_merge(self, uint32_t number) except -1 nogil:
        """Replace a pair by a new id at all its positions; update the counts around them.

        While walking, only the neighbours are noted: with weights in two dense tables, with positions in a list. Then,
        once a distinct neighbour, the old pair's count falls and the new pair is born or dropped.

        What can be done without a branch is: guesses that go wrong take longer than all else here. So positions that
        hold the pair no longer are sorted out first, and separators are neighbours like any other, with slot 0.
        """
        cdef pair_t merged = self.pairs.data()[number]
        cdef token_id_t a = <token_id_t> (merged.key >> 32)
        cdef token_id_t b = <token_id_t> merged.key
        cdef token_id_t z = <token_id_t> self.width.size()
        cdef uint32_t width_a = self.width[a]
        cdef uint32_t width_b = self.width[b]
        cdef token_id_t* cells = self.cells.data()
        cdef const count_t* weights = self.weights.data()
        cdef uint32_t* positions = self.pool.data() + merged.block
        cdef uint32_t entries = merged.entries
        cdef uint32_t i, n, p, middle, end, place
        cdef uint32_t last_left = FIRST, last_right = FIRST, seen = 0  # one past the last
        cdef count_t weight, replaced = 0
        cdef uint64_t total
        cdef uint32_t* left_place
        cdef uint32_t* right_place
        cdef neighbour_t* lefts
        cdef neighbour_t* rights
        cdef neighbour_t* at
        cdef uint32_t* beside
        cdef seen_t* seen_here
        self.new_token(self.token_of(a), self.token_of(b), merged.count)
        self.add_symbol(self.length[a] + self.length[b], width_a + width_b)
        self.pairs.prefetch_key(merged.key)
        if merged.live != entries:
            n = 0
            for i in range(entries):
                if i + AHEAD < entries:
                    prefetch(cells + positions[i + AHEAD])
                p = positions[i]
                positions[n] = p
                n += (cells[p] == a) & (cells[p + width_a] == b)
            entries = n
        self.seen.reserve(entries)
        self.reserve_neighbours(entries)
        seen_here = self.seen.data()
        left_place = self.left_place.data()
        right_place = self.right_place.data()
        lefts = self.lefts.data()
        rights = self.rights.data()

        for i in range(entries):
            if i + AHEAD < entries:
                prefetch(cells + positions[i + AHEAD])
            p = positions[i]
            middle = p + width_a
            if a == b and (cells[p] != a or cells[middle] != b):
                continue  # the second of two that overlap
            end = middle + width_b
            weight = weights[p // STRETCH]
            replaced += weight
            seen_here[seen].position = p
            place = meet(left_place, lefts, last_left, cells[p - 1], weight)
            seen_here[seen].left = place
            last_left += place == last_left
            place = meet(right_place, rights, last_right, cells[end], weight)
            seen_here[seen].right = place
            last_right += place == last_right
            seen += 1
            cells[middle - 1] = INSIDE
            cells[middle] = INSIDE
            cells[p] = z
            cells[end - 1] = z
        self.corpus_tokens -= replaced
        self.curve.push_back(self.corpus_tokens)
        self.drop_pair(number)

        for n in range(FIRST, last_left):
            self.pairs.prefetch_key(pair_key(lefts[n].slot - 1, a))
        for n in range(FIRST, last_right):
            self.pairs.prefetch_key(pair_key(b, rights[n].slot - 1))
        self.beside.resize(last_left + last_right)
        beside = self.beside.data()
        for n in range(FIRST, last_left):
            beside[n] = self.pairs.guess(pair_key(lefts[n].slot - 1, a))
        for n in range(FIRST, last_right):
            beside[last_left + n] = self.pairs.guess(pair_key(b, rights[n].slot - 1))
        total = 0
        for n in range(FIRST, last_left):
            at = lefts + n
            self.lose(pair_key(at.slot - 1, a), beside[n], at)
            at.width = self.width[at.slot - 1]
            total += self.weigh(at, at.slot - 1, z)
            if at.step:
                self.pairs.prefetch_key(pair_key(at.slot - 1, z))
        for n in range(FIRST, last_right):
            at = rights + n
            self.lose(pair_key(b, at.slot - 1), beside[last_left + n], at)
            if at.slot == slot_of(a):  # two merged in a row: (z, a), noted at the first, was gone at the second
                at.count -= lefts[left_place[slot_of(z)]].count
                at.positions -= lefts[left_place[slot_of(z)]].positions
            total += self.weigh(at, z, at.slot - 1)
            if at.step:
                self.pairs.prefetch_key(pair_key(z, at.slot - 1))
        if total:
            self.reserve_blocks(total + 1)
            for n in range(FIRST, last_left):
                if lefts[n].step:
                    self.bear(pair_key(lefts[n].slot - 1, z), lefts + n)
            for n in range(FIRST, last_right):
                if rights[n].step:
                    self.bear(pair_key(z, rights[n].slot - 1), rights + n)
            if left_place[slot_of(z)]:  # two merged in a row
                for i in range(seen):
                    if (seen_here[i].right == right_place[slot_of(a)]
                            and cells[seen_here[i].position + width_a + width_b] != a):
                        seen_here[i].right = BORDER
            self.store(seen, last_left, last_right)
        lefts[BORDER] = NOTHING
        rights[BORDER] = NOTHING
        for n in range(FIRST, last_left):
            left_place[lefts[n].slot] = ABSENT
            lefts[n] = NOTHING
        for n in range(FIRST, last_right):
            right_place[rights[n].slot] = ABSENT
            rights[n] = NOTHING
        return 0

    cdef void store(self, uint32_t replaced, uint32_t last_left, uint32_t last_right) noexcept nogil:
        """Write positions into the blocks of the new pairs with the neighbours seen there; one free cell must follow.

        Those of pairs that are not kept all go to that cell: a branch for each would be a guess.
        """
        cdef uint32_t* pool = self.pool.data()
        cdef const seen_t* seen = self.seen.data()
        cdef neighbour_t* lefts = self.lefts.data()
        cdef neighbour_t* rights = self.rights.data()
        cdef neighbour_t* at
        cdef uint32_t i
        for i in range(BORDER, last_left):
            if not lefts[i].step:
                lefts[i].cursor = self.pool_used
        for i in range(BORDER, last_right):
            if not rights[i].step:
                rights[i].cursor = self.pool_used
        for i in range(replaced):
            at = lefts + seen[i].left
            pool[at.cursor] = seen[i].position - at.width
            at.cursor += at.step
            at = rights + seen[i].right
            pool[at.cursor] = seen[i].position
            at.cursor += at.step

    cdef int apply_pair(self, token_id_t left, token_id_t right) except -1 nogil:
        """Merge a pair that another text has chosen, wherever it stands here; it has to be one that is always kept."""
        cdef uint32_t number = self.pairs.find(pair_key(left, right))
        if number != NONE:
            return self.apply_merge(number)
        self.new_token(left, right, 0)
        self.add_symbol(self.length[left] + self.length[right], self.width[left] + self.width[right])
        self.curve.push_back(self.corpus_tokens)
        return 0

    cdef int new_token(self, token_id_t left, token_id_t right, count_t count) except -1 nogil:
        """Give the next id to the token that a pair of tokens makes."""
        self.learned_left.push_back(left)
        self.learned_right.push_back(right)
        self.learned_count.push_back(count)
        self.tokens.add_joined(left, right)
        if self.keeps:
            self.in_kept.push_back(self.kept.count(self.tokens.joined(left, right)))
        self.next_id += 1
        return 0

    cdef int lose(self, uint64_t key, uint32_t guess, const neighbour_t* lost) except -1 nogil:
        """The old pair beside a merged one loses its occurrences there."""
        cdef uint32_t number = self.pairs.checked(guess, key)
        cdef pair_t* record
        if number != NONE and self.pairs.data()[number].count:  # (b, a) stands on both sides, and may be dropped by now
            record = self.pairs.data() + number
            record.count -= lost.count
            record.live -= lost.positions
            if record.count < self.bar and not (
                    self.keeps and record.count and self.is_kept(<token_id_t> (key >> 32), <token_id_t> key)):
                self.drop_pair(number)
        return 0

    cdef uint64_t weigh(self, neighbour_t* at, token_id_t left, token_id_t right) except 0xFFFFFFFFFFFFFFFF nogil:
        """Pool cells that the new pair with a neighbour needs: none, and no step, when it can never be merged."""
        if ((at.count < self.bar and not (self.keeps and at.count and self.is_kept(left, right)))
                or <uint64_t> self.length[left] + self.length[right] > self.max_token_bytes
                or (self.restricted and not self.may_make(left, right))):
            return 0
        at.step = 1
        return HEADER + <uint64_t> at.positions

    cdef int may_make(self, token_id_t left, token_id_t right) except -1 nogil:
        """Whether the rules take the token of a pair. Asked once, at the pair's birth."""
        return self.rules.allows(self.tokens.joined(self.token_of(left), self.token_of(right)))

    cdef int is_kept(self, token_id_t left, token_id_t right) except -1 nogil:
        """Whether a pair of tokens is to be kept however rarely it occurs. The parts of what is kept are among it."""
        if not self.in_kept[left] or not self.in_kept[right]:
            return 0
        return self.kept.count(self.tokens.joined(left, right))

    cdef int bear(self, uint64_t key, neighbour_t* at) except -1 nogil:
        """Record a new pair, whose positions are still to be written."""
        cdef uint32_t number = self.add_pair(key, at.count, at.positions)
        self.new_block(number, at.positions)
        at.cursor = self.pairs.data()[number].block
        self.offer(number)
        return 0

    # ---- learn merges ----------------------------------------------------------------------------

    cdef int learn_merges(self, uint64_t merges, uint64_t work) except -1 nogil:
        """Merge the best pair until ``merges`` are learned, ``work`` positions are visited or no pair is left."""
        cdef candidate_t best
        cdef uint64_t visited = 0
        if self.stage == LAID_OUT:
            self.reserve(min(merges - self.learned_left.size(), <uint64_t> MANY_MERGES))
            self.lower_bar(merges)
            self.count_pairs()
            self.stage = COUNTED
            return 0
        while self.learned_left.size() < merges and visited < work:
            self.best_pair(&best)
            if best.number == NONE and self.bar > self.min_count:
                self.lower_bar(merges)
                return self.count_again()
            if best.number == NONE:
                self.stage = EXHAUSTED
                self.release()
                return 0
            visited += self.pairs.data()[best.number].entries + 1
            self.apply_merge(best.number)
        return 0

    cdef void release(self) noexcept nogil:
        """Give back what only further merges would need."""
        self.cells.release()
        self.weights.release()
        self.pool.release()
        self.seen.release()

    def learn(self, uint64_t merges, uint64_t work=1 << 22):
        """Learn on, without the GIL, until ``merges`` are learned in all or about ``work`` positions are visited.

        Returns:
            False when no pair is left that could be merged.
        """
        if self.stage == BROKEN:
            raise MemoryError("an earlier step ran out of memory")
        if self.stage == EXHAUSTED:
            return False
        try:
            with nogil:
                self.learn_merges(merges, work)
        except MemoryError:
            self.stage = BROKEN
            self.release()
            raise
        return self.stage != EXHAUSTED

    def __len__(self):
        """Merges learned so far."""
        return self.learned_left.size()

    @property
    def merges(self):
        """(left id, right id) of each merge, in learning order: uint32[merges, 2]."""
        result = np.empty((self.learned_left.size(), 2), np.uint32)
        cdef token_id_t[:, ::1] view = result
        cdef Py_ssize_t i
        for i in range(view.shape[0]):
            view[i, 0] = self.learned_left[i]
            view[i, 1] = self.learned_right[i]
        return result

    @property
    def counts(self):
        """The count that each merge won with: int64[merges]."""
        return as_array(self.learned_count)

    @property
    def corpus_tokens(self):
        """Tokens in the whole corpus before the first merge and after each: int64[merges + 1]."""
        return as_array(self.curve)

    @property
    def live_pairs(self):
        """Pairs that are kept to be merged."""
        return self.pairs.size()


cdef object as_array(const vector[count_t]& values):
    result = np.empty(values.size(), np.int64)
    cdef count_t[::1] view = result
    cdef Py_ssize_t i
    for i in range(view.shape[0]):
        view[i] = values[i]
    return result


def spelled(base, const token_id_t[:, ::1] merges not None):
    """The tokens that merges on top of single bytes make, as a vocabulary keeps them.

    Args:
        base: The bytes by id; the first merge makes the id after theirs.
        merges: (left id, right id) of each merge, in learning order: uint32[merges, 2]. No two make the same bytes.

    Returns:
        ``(tokens, ids, pairs, made)``: id to bytes, bytes to id, the merges as pairs, and the ids that they make.
    """
    # So many pairs would set Python's collector of cycles to work 40 times, the last time on all that there is.
    cdef bint collects = PyGC_Disable()
    try:
        return spelled_at_rest(base, merges)
    finally:
        if collects:
            PyGC_Enable()


cdef tuple spelled_at_rest(base, const token_id_t[:, ::1] merges):
    cdef list by_id = list(base)
    cdef Py_ssize_t first = len(by_id), merge, size, coming, side
    cdef list numbers = list(range(first + merges.shape[0]))  # one object for each id, wherever it stands
    cdef tuple pairs = PyTuple_New(merges.shape[0])
    cdef dict tokens = {}
    cdef dict ids = {}
    cdef bytes left, right, token
    for merge in range(merges.shape[0]):
        if merge + AHEAD < merges.shape[0]:  # what a later merge joins lies anywhere
            for side in range(2):
                coming = merges[merge + AHEAD, side]
                if coming < first + merge:
                    prefetch(PyList_GET_ITEM(by_id, coming))
                    prefetch(PyList_GET_ITEM(numbers, coming))
        if merges[merge, 0] >= first + merge or merges[merge, 1] >= first + merge:
            raise ValueError(f"merge {merge} joins tokens that are not made before it")
        left = by_id[merges[merge, 0]]
        right = by_id[merges[merge, 1]]
        size = PyBytes_GET_SIZE(left)
        token = PyBytes_FromStringAndSize(NULL, size + PyBytes_GET_SIZE(right))
        memcpy(PyBytes_AS_STRING(token), PyBytes_AS_STRING(left), size)
        memcpy(PyBytes_AS_STRING(token) + size, PyBytes_AS_STRING(right), PyBytes_GET_SIZE(right))
        by_id.append(token)
        pair_of_ids = (numbers[merges[merge, 0]], numbers[merges[merge, 1]])
        # Integers refer to nothing. The collector would find that out, after looking at each pair.
        PyObject_GC_UnTrack(<void*> pair_of_ids)
        Py_INCREF(pair_of_ids)
        PyTuple_SET_ITEM(pairs, merge, pair_of_ids)
    for merge in range(len(by_id)):
        tokens[numbers[merge]] = by_id[merge]
        ids[by_id[merge]] = numbers[merge]
    made = tuple(numbers[first:])
    PyObject_GC_UnTrack(<void*> pairs)  # nor do these, then
    PyObject_GC_UnTrack(<void*> made)
    return tokens, ids, pairs, made
