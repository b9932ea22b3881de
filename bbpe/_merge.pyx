# distutils: language = c++
"""THE MERGE LOOP: count pairs, pop the best, apply it, update counts (DESIGN, idea C).

What it does: learns merges from distinct pretokens and their counts, exactly as ``reference.py`` says, whose four names
stand here in the same order: ``count_pairs``, ``best_pair``, ``apply_merge``, ``learn_merges``. What it does not:
options, defaults, error texts, vocabularies (``training.py``); text and patterns (``counts.py``). It validates nothing.

All pretokens lie in one array of 4-byte *cells*, one cell a symbol at the start, a separator between two pretokens. A
token that merging makes keeps the cells of its parts and is written to the first and the last of them, so that both
neighbours of any token are found from its width, without links. Pretokens of equal count stand together: the weight of a
position comes from a cursor over the few distinct counts (473 on 30 MB of Chinese), not from a weight a cell.

Every pair knows its count and where it occurs. What keeps that small and exact is one property:

    **All occurrences of a pair (x, y) come into being at one step: when the later of x and y is made** (or at the start).
    For two tokens to become neighbours, a merge has to make one of them, there. Merges replace *every* occurrence of
    their pair, so after the step that makes z each z stands where it will ever stand; later steps only consume some.

So a pair's count never rises after its birth. A pair born with a count under ``min_count``, or too long, can be dropped
for good at birth, with no positions stored (62 % of all pairs on Chinese). A heap whose entries are only upper bounds is
exact: pop, and push back with the true count when that is lower. The positions of a pair are known at birth and need a
block of exactly that size; they ascend, because the step that collects them walks upwards. And a position *i* in the
block of (x, y) still holds the pair if and only if cell *i* is x and the cell a width of x further is y.

Cost: each merge visits its positions once, O(occurrences), plus O(1) hash look-ups a distinct neighbour. Memory: 4 bytes
a symbol, 4 a live position, some 45 a pair that still occurs ``min_count`` times.
"""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memmove
from libcpp.algorithm cimport sort
from libcpp.pair cimport pair
from libcpp.queue cimport priority_queue
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector

from bbpe._types cimport count_t, token_id_t


cdef extern from "_native/big_array.hpp" namespace "bbpe" nogil:
    cdef cppclass BigArray[T]:
        T* data() noexcept
        size_t capacity() noexcept
        void reserve(size_t) except +
        void resize(size_t) except +
        void release() noexcept
        void swap(BigArray[T]&) noexcept

cdef extern from "_native/keyed_pool.hpp" namespace "bbpe" nogil:
    cdef cppclass KeyedPool[R]:
        uint32_t find(uint64_t) noexcept
        uint32_t insert(uint64_t) except +
        void erase(uint32_t) except +
        void prefetch_key(uint64_t) noexcept
        void prefetch_record(uint64_t) noexcept
        void clear() except +
        R* data() noexcept
        uint32_t numbers() noexcept
        uint64_t size() noexcept
    void prefetch(const void*) noexcept
    uint64_t mix64(uint64_t) noexcept


cdef enum:
    AHEAD = 16              # positions between a prefetch and its use; 8 and 32 measured the same
    HEADER = 2              # cells before a block of positions: its pair's number, its capacity
    SMALL_COUNTS = 1 << 16  # pretoken counts below this are sorted by counting

cdef token_id_t SEPARATOR = 0xFFFFFFFF  # between two pretokens
cdef token_id_t INSIDE = 0xFFFFFFFE     # a cell inside a token that once was the edge of one
cdef uint32_t NONE = 0xFFFFFFFF         # no pair

cdef enum:  # stages of a learner
    LAID_OUT, COUNTED, EXHAUSTED, BROKEN

cdef struct pair_t:
    uint64_t key       # left id << 32 | right id
    count_t count      # positions x counts of their pretokens, now
    uint64_t block     # where its positions begin in the pool
    uint32_t entries   # positions in the block, some of them stale
    uint32_t live      # positions that still hold the pair

cdef struct group_t:   # pretokens of equal count
    uint64_t end       # first cell past them
    count_t count

cdef struct neighbour_t:  # what one merge does to the pair of one neighbouring id
    count_t count
    uint32_t positions
    uint32_t number       # of the new pair
    uint64_t cursor       # where its next position goes

cdef struct candidate_t:  # the best pair
    count_t count
    uint64_t key          # left id << 32 | right id, of tokens
    uint32_t number       # NONE: there is none

cdef struct bound_t:      # of a mixed pair (see CharacterLearner)
    uint64_t key
    count_t count

cdef struct seen_t:       # a neighbour seen at a position, to be put in the block of the new pair
    token_id_t neighbour
    uint32_t position

cdef neighbour_t NOTHING = [0, 0, NONE, 0]


cdef inline uint64_t pair_key(token_id_t left, token_id_t right) noexcept nogil:
    return <uint64_t> left << 32 | right


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

    The arrays are read here and not kept. The caller has checked everything: fewer than 2**32 - 2 symbols and
    pretokens together, a total count below 2**63, ids below 2**32 - 2, every symbol in ``tokens``.
    """

    cdef BigArray[token_id_t] cells
    cdef uint64_t used_cells
    cdef vector[group_t] groups
    cdef vector[uint64_t] places         # by pretoken: its first cell, if asked for
    cdef uint64_t shortest
    cdef bint only_bytes                 # no symbol is 256 or more

    cdef KeyedPool[pair_t] pairs
    cdef BigArray[uint32_t] pool         # blocks: number of the pair (NONE: free), capacity, positions
    cdef uint64_t pool_used
    cdef priority_queue[pair[count_t, uint64_t]] heap  # (count, ~key): highest count first, then smallest key
    cdef count_t floor                   # pairs with a lower count are not in the heap yet

    cdef vector[uint32_t] width          # in cells, by symbol
    cdef vector[uint32_t] length         # in bytes, by symbol
    cdef vector[string] tokens           # by id
    cdef unordered_set[string] taken
    cdef token_id_t next_id
    cdef count_t min_count
    cdef uint32_t max_token_bytes

    cdef vector[neighbour_t] left_of     # by symbol; all zero between merges
    cdef vector[neighbour_t] right_of
    cdef vector[token_id_t] lefts        # symbols that have an entry there
    cdef vector[token_id_t] rights
    cdef BigArray[seen_t] seen_left
    cdef BigArray[seen_t] seen_right

    cdef vector[token_id_t] learned_left
    cdef vector[token_id_t] learned_right
    cdef vector[count_t] learned_count
    cdef vector[count_t] curve
    cdef count_t corpus_tokens
    cdef int stage

    def __init__(self, symbols, const int64_t[::1] offsets, const count_t[::1] counts, tokens, *,
                 byte_ids=None, taken=(), token_id_t first_id=256, count_t min_count=2, max_token_bytes=None,
                 uint64_t shortest=2, bint note_places=False):
        cdef const uint8_t[::1] bytes_view
        cdef const token_id_t[::1] ids_view
        cdef const token_id_t[::1] map_view
        cdef const uint8_t* as_bytes = NULL
        cdef const token_id_t* as_ids = NULL
        cdef const token_id_t* byte_map = NULL
        cdef Py_ssize_t pretokens = counts.shape[0]

        self.min_count = min_count
        self.shortest = shortest
        self.next_id = first_id
        self.max_token_bytes = 0xFFFFFFFF if max_token_bytes is None else max_token_bytes
        for token in tokens:
            self.add_token(token if token is not None else b"")
        while self.tokens.size() < first_id:  # a hole between the base's last id and the first new one
            self.add_token(b"")
        for id in range(first_id):
            self.add_symbol(<uint32_t> self.tokens[id].size(), 1)
        for token in taken:
            self.taken.insert(<string> token)

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
        self.tokens.push_back(token)
        if token.size():
            self.taken.insert(token)
        return 0

    cdef int add_symbol(self, uint32_t length, uint32_t width) except -1 nogil:
        """What a cell may hold next. Symbols are the ids of tokens (but see CharacterLearner)."""
        self.length.push_back(length)
        self.width.push_back(width)
        self.left_of.push_back(NOTHING)
        self.right_of.push_back(NOTHING)
        return 0

    cdef int lay_out(self, const uint8_t* as_bytes, const token_id_t* as_ids, const token_id_t* byte_map,
                     const int64_t* offsets, const count_t* counts, Py_ssize_t pretokens) except -1 nogil:
        """Write the pretokens into the cells, those of equal count together.

        A counting sort that writes cells directly; the few pretokens with a high count are sorted by comparison.
        Pretokens of one symbol have no pair and are only counted (unless ``shortest`` says otherwise).
        """
        cdef vector[uint64_t] cursors     # by count: where its next pretoken goes
        cdef vector[pair[count_t, Py_ssize_t]] large
        cdef uint64_t at = 1, size
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
                at += size
                group.end = at
                group.count = count
                self.groups.push_back(group)
        sort(large.begin(), large.end())
        for q in range(<Py_ssize_t> large.size()):
            p = large[q].second
            at += <uint64_t> (offsets[p + 1] - offsets[p]) + 1
            group.end = at
            group.count = large[q].first
            if self.groups.size() and self.groups.back().count == group.count:
                self.groups.back().end = at
            else:
                self.groups.push_back(group)
        self.used_cells = at
        self.cells.resize(at)
        cells = self.cells.data()
        cells[0] = SEPARATOR
        for p in range(pretokens):
            size = <uint64_t> (offsets[p + 1] - offsets[p])
            count = counts[p]
            if size >= self.shortest and count < SMALL_COUNTS:
                if self.places.size():
                    self.places[p] = cursors[count]
                self.write_pretoken(cells + cursors[count], as_bytes, as_ids, byte_map, offsets[p], size)
                cursors[count] += size + 1
        at = 1
        for q in range(<Py_ssize_t> self.groups.size()):  # past the small counts
            if self.groups[q].count < SMALL_COUNTS:
                at = self.groups[q].end
        for q in range(<Py_ssize_t> large.size()):
            p = large[q].second
            size = <uint64_t> (offsets[p + 1] - offsets[p])
            if self.places.size():
                self.places[p] = at
            self.write_pretoken(cells + at, as_bytes, as_ids, byte_map, offsets[p], size)
            at += size + 1
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
        self.floor = 0
        if self.only_bytes:
            return self.count_byte_pairs()
        return self.count_any_pairs()

    cdef int count_byte_pairs(self) except -1 nogil:
        """The same, for symbols that are all below 256: dense tables by pair instead of a hash table."""
        cdef const token_id_t* cells = self.cells.data()
        cdef vector[count_t] counts
        cdef vector[uint32_t] live
        cdef vector[uint64_t] cursors   # by pair: where its next position goes; 0 for a pair that is not kept
        cdef uint64_t i = 1, g, total = 0
        cdef count_t weight
        cdef token_id_t left, right
        cdef uint32_t dense, number
        counts.resize(1 << 16, 0)
        live.resize(1 << 16, 0)
        cursors.resize(1 << 16, 0)
        for g in range(self.groups.size()):
            weight = self.groups[g].count
            left = SEPARATOR
            for i in range(i, self.groups[g].end):
                right = cells[i]
                if left != SEPARATOR and right != SEPARATOR:
                    dense = left << 8 | right
                    counts[dense] += weight
                    live[dense] += 1
                left = right
            i = self.groups[g].end
        for dense in range(1 << 16):
            left = dense >> 8
            right = dense & 255
            if counts[dense] >= self.min_count and self.length[left] + self.length[right] <= self.max_token_bytes:
                self.add_pair(pair_key(left, right), counts[dense], live[dense])
                total += HEADER + <uint64_t> live[dense]
        self.pool.resize(total + total // 8 + 1024)
        self.pool_used = 0
        for number in range(self.pairs.numbers()):
            self.new_block(number, self.pairs.data()[number].live)
            dense = <uint32_t> ((self.pairs.data()[number].key >> 32) << 8 | <uint32_t> self.pairs.data()[number].key)
            cursors[dense] = self.pairs.data()[number].block
            self.pairs.data()[number].entries = self.pairs.data()[number].live
        left = SEPARATOR
        for i in range(1, self.used_cells):
            right = cells[i]
            if left != SEPARATOR and right != SEPARATOR:
                dense = left << 8 | right
                if cursors[dense]:
                    self.pool.data()[cursors[dense]] = <uint32_t> (i - 1)
                    cursors[dense] += 1
            left = right
        return 0

    cdef int count_any_pairs(self) except -1 nogil:
        """The same, for symbols of any number: by left symbol, so that only dense tables are touched at random.

        A counting sort puts the positions of each left symbol together, ascending, at the end of the pool; from there
        they go, one left symbol after the other, into blocks at its beginning. (A hash look-up a position and pass took
        three times as long on Chinese.)
        """
        cdef const token_id_t* cells = self.cells.data()
        cdef uint64_t last = self.used_cells - 1   # the last separator
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
        cdef seen_t* seen
        cdef neighbour_t* right_of = self.right_of.data()
        cdef neighbour_t* at
        cdef pair_t* record
        cdef uint32_t i, p
        cdef token_id_t y
        cdef uint64_t g = 0, need = 0, capacity
        cdef uint32_t* pool
        self.seen_right.reserve(positions)
        seen = self.seen_right.data()
        pool = self.pool.data() + begin
        for i in range(positions):
            seen[i].position = pool[i]
        for i in range(positions):
            if i + AHEAD < positions:
                prefetch(cells + seen[i + AHEAD].position)
            p = seen[i].position
            if p >= self.groups[g].end:
                g = self.group_after(p, g)
            y = cells[p + 1]
            seen[i].neighbour = y
            at = right_of + y
            if at.positions == 0:
                self.rights.push_back(y)
            at.count += self.groups[g].count
            at.positions += 1
        for i in range(<uint32_t> self.rights.size()):
            y = self.rights[i]
            at = right_of + y
            self.note_pair(left, y, at.count)
            if (at.count < self.min_count
                    or <uint64_t> self.length[left] + self.length[y] > self.max_token_bytes):
                at.number = NONE
            else:
                at.number = self.add_pair(pair_key(left, y), at.count, at.positions)
                need += HEADER + <uint64_t> at.positions
        capacity = self.pool.capacity()
        if self.pool_used + need + rest > capacity:  # many pairs with few positions: their headers need more room
            self.pool.resize(capacity + capacity // 4 + need)
            memmove(self.pool.data() + self.pool.capacity() - rest, self.pool.data() + capacity - rest,
                    rest * sizeof(uint32_t))
        for i in range(<uint32_t> self.rights.size()):
            at = right_of + self.rights[i]
            if at.number != NONE:
                self.new_block(at.number, at.positions)
                record = self.pairs.data() + at.number
                record.entries = at.positions
                at.cursor = record.block
        pool = self.pool.data()
        for i in range(positions):
            at = right_of + seen[i].neighbour
            if at.number != NONE:
                pool[at.cursor] = seen[i].position
                at.cursor += 1
        for i in range(<uint32_t> self.rights.size()):
            right_of[self.rights[i]] = NOTHING
        self.rights.clear()
        return 0

    cdef int note_pair(self, token_id_t left, token_id_t right, count_t count) except -1 nogil:
        """Called for every pair there is before the first merge, also for those that are not kept."""
        return 0

    cdef inline uint64_t group_after(self, uint64_t position, uint64_t group) noexcept nogil:
        """The group of a position that is past the end of ``group``."""
        cdef uint64_t low = group + 1, high = self.groups.size(), half
        while low < high:
            half = (low + high) // 2
            if self.groups[half].end <= position:
                low = half + 1
            else:
                high = half
        return low

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
        """Give a pair a block at the end of the pool; ``reserve_blocks`` has made room."""
        cdef pair_t* record = self.pairs.data() + number
        self.pool.data()[self.pool_used] = number
        self.pool.data()[self.pool_used + 1] = capacity
        record.block = self.pool_used + HEADER
        record.entries = 0
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

    cdef int fill_heap(self) except -1 nogil:
        """Lower the floor and push the pairs above it; the heap is empty.

        Most pairs are never near the top: only those with at least a quarter of the best count go into the heap.
        """
        cdef count_t best = 0
        cdef pair_t* records = self.pairs.data()
        cdef uint32_t n
        for n in range(self.pairs.numbers()):
            best = max(best, records[n].count)
        if best == 0:
            return 0
        self.floor = max(self.min_count, best >> 2)
        for n in range(self.pairs.numbers()):
            if records[n].count >= self.floor:
                self.offer(records[n].key, records[n].count)
        return 0

    cdef int offer(self, uint64_t key, count_t count) except -1 nogil:
        """Put a pair of symbols into the heap, under the ids of its tokens: they break ties."""
        self.heap.push(pair[count_t, uint64_t](count, ~key))
        return 0

    cdef token_id_t token_of(self, token_id_t symbol) noexcept nogil:
        """The id of a symbol's token."""
        return symbol

    cdef token_id_t symbol_of(self, token_id_t id) noexcept nogil:
        """The symbol of a token that is in the heap."""
        return id

    cdef int best_pair(self, candidate_t* best) except -1 nogil:
        """Take the pair with the highest count, of equal ones the smallest ids, out of the heap."""
        cdef count_t count
        cdef uint64_t key
        cdef uint32_t number
        cdef string token
        best.number = NONE
        best.count = 0
        while True:
            if self.heap.empty():
                self.fill_heap()
                if self.heap.empty():
                    return 0
            count = self.heap.top().first
            key = ~self.heap.top().second
            self.heap.pop()
            number = self.pairs.find(pair_key(self.symbol_of(key >> 32), self.symbol_of(<token_id_t> key)))
            if number == NONE:
                continue
            if self.pairs.data()[number].count != count:
                if self.pairs.data()[number].count >= self.floor:
                    self.heap.push(pair[count_t, uint64_t](self.pairs.data()[number].count, ~key))
                continue
            token = self.tokens[key >> 32]
            token.append(self.tokens[<token_id_t> key])
            if self.taken.count(token):
                self.drop_pair(number)
                continue
            best.number = number
            best.count = count
            best.key = key
            return 0

    cdef int put_back(self, const candidate_t* candidate) except -1 nogil:
        """Return a pair that ``best_pair`` gave and that is not to be merged now."""
        if candidate.number != NONE:
            self.heap.push(pair[count_t, uint64_t](candidate.count, ~candidate.key))
        return 0

    # ---- apply merge -----------------------------------------------------------------------------

    cdef int apply_merge(self, uint32_t number) except -1 nogil:
        """Replace a pair by a new id at all its positions; update the counts around them.

        While walking, only the neighbours are noted: their ids with weights in two dense tables, their positions in two
        lists. Then, once a distinct neighbour, the old pair's count falls and the new pair is born or dropped.
        """
        cdef pair_t merged = self.pairs.data()[number]
        cdef token_id_t a = <token_id_t> (merged.key >> 32)
        cdef token_id_t b = <token_id_t> merged.key
        cdef token_id_t z = <token_id_t> self.width.size()
        cdef uint32_t width_a = self.width[a]
        cdef uint32_t width_b = self.width[b]
        cdef token_id_t* cells = self.cells.data()
        cdef uint32_t* positions = self.pool.data() + merged.block
        cdef uint32_t entries = merged.entries
        cdef uint32_t i, n, p, middle, end
        cdef token_id_t x, y
        cdef uint64_t g = 0, total
        cdef count_t weight = 0, replaced = 0
        cdef uint64_t group_end = 0
        cdef neighbour_t* left_of
        cdef neighbour_t* right_of
        cdef neighbour_t* at
        cdef seen_t* seen_left
        cdef seen_t* seen_right
        cdef uint32_t lefts = 0, rights = 0
        cdef bint in_a_row
        self.new_token(self.token_of(a), self.token_of(b), merged.count)
        self.add_symbol(self.length[a] + self.length[b], width_a + width_b)
        self.seen_left.reserve(entries)
        self.seen_right.reserve(entries)
        seen_left = self.seen_left.data()
        seen_right = self.seen_right.data()
        left_of = self.left_of.data()
        right_of = self.right_of.data()

        for i in range(entries):
            if i + AHEAD < entries:
                prefetch(cells + positions[i + AHEAD])
            p = positions[i]
            middle = p + width_a
            if cells[p] != a or cells[middle] != b:
                continue
            end = middle + width_b
            if p >= group_end:
                if p >= self.groups[g].end:
                    g = self.group_after(p, g)
                group_end = self.groups[g].end
                weight = self.groups[g].count
            x = cells[p - 1]
            y = cells[end]
            replaced += weight
            if x != SEPARATOR:
                at = left_of + x
                if at.positions == 0:
                    self.lefts.push_back(x)
                at.count += weight
                at.positions += 1
                seen_left[lefts].neighbour = x
                seen_left[lefts].position = p - self.width[x]
                lefts += 1
            if y != SEPARATOR:
                at = right_of + y
                if at.positions == 0:
                    self.rights.push_back(y)
                at.count += weight
                at.positions += 1
                seen_right[rights].neighbour = y
                seen_right[rights].position = p
                rights += 1
            cells[middle - 1] = INSIDE
            cells[middle] = INSIDE
            cells[p] = z
            cells[end - 1] = z
        self.corpus_tokens -= replaced
        self.curve.push_back(self.corpus_tokens)
        self.drop_pair(number)

        total = 0
        for n in range(<uint32_t> self.lefts.size()):
            if n + 8 < self.lefts.size():
                self.pairs.prefetch_key(pair_key(self.lefts[n + 8], a))
                self.pairs.prefetch_record(pair_key(self.lefts[n + 4], a))
            x = self.lefts[n]
            if x != z:
                self.lose(pair_key(x, a), left_of + x)
            total += self.weigh(left_of + x, x)
        for n in range(<uint32_t> self.rights.size()):
            if n + 8 < self.rights.size():
                self.pairs.prefetch_key(pair_key(b, self.rights[n + 8]))
                self.pairs.prefetch_record(pair_key(b, self.rights[n + 4]))
            y = self.rights[n]
            self.lose(pair_key(b, y), right_of + y)
            if y == a:  # two merged in a row: the pair (z, a), noted at the first, was gone again at the second
                right_of[a].count -= left_of[z].count
                right_of[a].positions -= left_of[z].positions
            total += self.weigh(right_of + y, y)
        self.reserve_blocks(total)
        for n in range(<uint32_t> self.lefts.size()):
            if n + 8 < self.lefts.size():
                self.pairs.prefetch_key(pair_key(self.lefts[n + 8], z))
            x = self.lefts[n]
            self.bear(pair_key(x, z), left_of + x)
        for n in range(<uint32_t> self.rights.size()):
            if n + 8 < self.rights.size():
                self.pairs.prefetch_key(pair_key(z, self.rights[n + 8]))
            y = self.rights[n]
            self.bear(pair_key(z, y), right_of + y)

        positions = self.pool.data()
        for i in range(lefts):
            at = left_of + seen_left[i].neighbour
            if at.number != NONE:
                positions[at.cursor] = seen_left[i].position
                at.cursor += 1
        in_a_row = left_of[z].positions != 0
        for i in range(rights):
            at = right_of + seen_right[i].neighbour
            if at.number != NONE:
                if in_a_row and seen_right[i].neighbour == a and cells[seen_right[i].position + width_a + width_b] != a:
                    continue
                positions[at.cursor] = seen_right[i].position
                at.cursor += 1

        for n in range(<uint32_t> self.lefts.size()):
            left_of[self.lefts[n]] = NOTHING
        for n in range(<uint32_t> self.rights.size()):
            right_of[self.rights[n]] = NOTHING
        self.lefts.clear()
        self.rights.clear()
        return 0

    cdef int new_token(self, token_id_t left, token_id_t right, count_t count) except -1 nogil:
        """Give the next id to the token that a pair of tokens makes."""
        cdef string token = self.tokens[left]
        token.append(self.tokens[right])
        self.learned_left.push_back(left)
        self.learned_right.push_back(right)
        self.learned_count.push_back(count)
        self.add_token(token)
        self.next_id += 1
        return 0

    cdef int lose(self, uint64_t key, const neighbour_t* lost) except -1 nogil:
        """The old pair beside a merged one loses its occurrences there."""
        cdef uint32_t number = self.pairs.find(key)
        cdef pair_t* record
        if number != NONE:
            record = self.pairs.data() + number
            record.count -= lost.count
            record.live -= lost.positions
            if record.count < self.min_count:
                self.drop_pair(number)
        return 0

    cdef uint64_t weigh(self, neighbour_t* at, token_id_t neighbour) noexcept nogil:
        """Pool cells that the new pair with this neighbour needs: none when it can never be merged."""
        if at.count < self.min_count or <uint64_t> self.length[neighbour] + self.length.back() > self.max_token_bytes:
            at.number = NONE
            return 0
        at.number = 0
        return HEADER + <uint64_t> at.positions

    cdef int bear(self, uint64_t key, neighbour_t* at) except -1 nogil:
        """Record a new pair, unless ``weigh`` has ruled it out."""
        cdef pair_t* record
        if at.number == NONE:
            return 0
        at.number = self.add_pair(key, at.count, at.positions)
        self.new_block(at.number, at.positions)
        record = self.pairs.data() + at.number
        record.entries = at.positions
        at.cursor = record.block
        if at.count >= self.floor:
            self.offer(key, at.count)
        return 0

    # ---- learn merges ----------------------------------------------------------------------------

    cdef int learn_merges(self, uint64_t merges, uint64_t work) except -1 nogil:
        """Merge the best pair until ``merges`` are learned, ``work`` positions are visited or no pair is left."""
        cdef candidate_t best
        cdef uint64_t visited = 0
        if self.stage == LAID_OUT:
            self.count_pairs()
            self.stage = COUNTED
            return 0
        while self.learned_left.size() < merges and visited < work:
            self.best_pair(&best)
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
        self.pool.release()
        self.seen_left.release()
        self.seen_right.release()

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
        """Pairs that could still be merged."""
        return self.pairs.size()


cdef object as_array(const vector[count_t]& values):
    result = np.empty(values.size(), np.int64)
    cdef count_t[::1] view = result
    cdef Py_ssize_t i
    for i in range(view.shape[0]):
        view[i] = values[i]
    return result


# ---- characters first ----------------------------------------------------------------------------


@cython.final
cdef class CharacterLearner(MergeLearner):
    """The same merges for text that is mostly characters of several bytes, several times as fast, in half the memory.

    Starting from bytes, four merges in five on Chinese text join bytes inside a character: they do the same to every
    occurrence of it. So begin with a cell a *character*, and with each distinct character once, weighted, in a small
    learner of its own (``inside``). As long as every merge was either

    - *inside*: both sides are pieces of one character, or
    - *whole*: both sides are one or more whole characters,

    a character that is not yet one token has the same tokens at all of its occurrences, and the two kinds can be told
    apart by their bytes: no character's bytes begin another's (UTF-8 says its length in its first byte), pieces behind
    the first begin with a continuation byte, and nothing else does. Hence each pair of ids is counted in one place
    only: inside pairs, exactly, by ``inside``; whole pairs, exactly, by the pairs of cells of which both are single
    tokens; *mixed* pairs, such as (的, first byte of a character), not at all. Their counts are bounded from above by those
    in the text as it was at the start: a whole merge only takes occurrences away.

    When the best inside or whole pair no longer beats every bound, the first stage is over (on 30 MB of Chinese after
    some 1,300 merges, which hold 80 % of all replacements): the cells are rewritten as tokens, and the plain learner
    goes on. A wrong guess about the text costs time and never a different merge.

    A symbol of the first stage is a byte's token, a character, or a token made by a whole merge; ``ids`` gives its token.
    Of the bounds the pairs of characters at the start are kept, by left character (rows) and by right one (columns): when
    the first or last piece of a character changes, its row or column says which mixed pairs gain and lose.
    """

    cdef MergeLearner inside
    cdef bint by_character               # the first stage is not over
    cdef bint counted
    cdef uint64_t switched_at
    cdef token_id_t first_symbol         # of characters; those of bytes stand before it
    cdef vector[token_id_t] ids          # token of a symbol; NONE for a character in pieces
    cdef vector[token_id_t] symbols      # symbol of a token; NONE for a piece
    cdef vector[uint32_t] character_at   # by cell of `inside`
    cdef vector[token_id_t] first        # first and last piece, by symbol, of bytes and characters
    cdef vector[token_id_t] last
    cdef vector[vector[uint64_t]] waiting  # by character: pairs that go into the heap when it is one token
    cdef bint in_vain                    # no pair in the heap until another character is one token

    cdef vector[uint64_t] row_starts
    cdef vector[token_id_t] row_others
    cdef vector[count_t] row_counts
    cdef vector[uint64_t] column_starts
    cdef vector[token_id_t] column_others
    cdef vector[count_t] column_counts
    cdef KeyedPool[bound_t] bounds       # of mixed pairs, by tokens
    cdef priority_queue[pair[count_t, uint64_t]] highest  # of them; counts may be out of date
    cdef count_t cut                     # lower bounds are not kept, and the stage ends with it
    cdef vector[count_t] lost            # by token, all zero between merges
    cdef vector[count_t] gained
    cdef vector[token_id_t] touched

    def __init__(self, symbols, characters, const int64_t[::1] offsets, const count_t[::1] counts, tokens, *,
                 byte_ids, count_t corpus_bytes, taken=(), first_id=256, min_count=2, max_token_bytes=None):
        cdef const uint32_t[::1] sizes
        cdef const count_t[::1] weights
        cdef const token_id_t[::1] id_of_byte = byte_ids
        cdef const uint8_t[::1] data
        cdef Py_ssize_t c, offset = 0
        cdef uint64_t cell
        super().__init__(symbols, offsets, counts, tokens, taken=taken, first_id=first_id, min_count=min_count,
                         max_token_bytes=max_token_bytes, shortest=1)
        data, sizes, weights = characters
        places = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=places[1:])
        self.inside = MergeLearner(np.asarray(data), places, np.asarray(weights), tokens, byte_ids=byte_ids, taken=taken,
                                   first_id=first_id, min_count=min_count, max_token_bytes=max_token_bytes,
                                   note_places=True)
        self.corpus_tokens = corpus_bytes
        self.curve[0] = corpus_bytes
        self.first_symbol = first_id
        self.by_character = True
        for id in range(first_id):
            self.ids.push_back(id)
            self.symbols.push_back(id)
            self.first.push_back(id)
            self.last.push_back(id)
        self.character_at.resize(self.inside.used_cells, NONE)
        for c in range(sizes.shape[0]):
            self.add_symbol(sizes[c], 1)
            self.ids.push_back(NONE)
            self.first.push_back(id_of_byte[data[offset]])
            offset += sizes[c]
            self.last.push_back(id_of_byte[data[offset - 1]])
            for cell in range(self.inside.places[c], self.inside.places[c] + sizes[c]):
                self.character_at[cell] = <uint32_t> c
        self.waiting.resize(self.ids.size())

    @property
    def merges_by_character(self):
        """Merges learned before the cells were rewritten as tokens."""
        return len(self) if self.by_character else self.switched_at

    # ---- ids and the heap ----

    cdef token_id_t token_of(self, token_id_t symbol) noexcept nogil:
        return self.ids[symbol] if self.by_character else symbol

    cdef token_id_t symbol_of(self, token_id_t id) noexcept nogil:
        return self.symbols[id] if self.by_character else id

    cdef int offer(self, uint64_t key, count_t count) except -1 nogil:
        """A pair with a character in pieces waits for that character."""
        cdef token_id_t left = <token_id_t> (key >> 32)
        cdef token_id_t right = <token_id_t> key
        if not self.by_character:
            return MergeLearner.offer(self, key, count)
        if self.ids[left] == NONE:
            self.waiting[left].push_back(key)
        elif self.ids[right] == NONE:
            self.waiting[right].push_back(key)
        else:
            return MergeLearner.offer(self, pair_key(self.ids[left], self.ids[right]), count)
        return 0

    cdef int fill_heap(self) except -1 nogil:
        cdef count_t best = 0, best_waiting = 0
        cdef pair_t* records = self.pairs.data()
        cdef uint32_t n
        cdef uint64_t u
        if not self.by_character:
            return MergeLearner.fill_heap(self)
        if self.in_vain:
            return 0
        for n in range(self.pairs.numbers()):
            if records[n].count <= best:
                continue
            if self.ids[records[n].key >> 32] == NONE or self.ids[<token_id_t> records[n].key] == NONE:
                best_waiting = max(best_waiting, records[n].count)
            else:
                best = records[n].count
        self.in_vain = best == 0
        self.floor = max(self.min_count, (best if best else best_waiting) >> 2)
        for u in range(self.waiting.size()):
            self.waiting[u].clear()
        for n in range(self.pairs.numbers()):
            if records[n].count >= self.floor:
                self.offer(records[n].key, records[n].count)
        return 0

    # ---- mixed pairs ----

    cdef int count_characters(self, MergeLearner inside) except -1 nogil:
        """Count the pairs of characters, and the bounds of mixed pairs."""
        cdef uint32_t n
        cdef count_t best = 0
        cdef uint64_t characters = self.ids.size(), u, k
        cdef token_id_t right
        inside.count_pairs()
        inside.stage = COUNTED
        for n in range(inside.pairs.numbers()):
            best = max(best, inside.pairs.data()[n].count)
        self.cut = max(self.min_count, best >> 12)
        self.row_starts.resize(characters + 1, 0)
        self.column_starts.resize(characters + 1, 0)
        self.count_pairs()
        for u in range(1, characters + 1):  # `note_pair` has put ends of rows, where there are any, and sizes of columns
            self.row_starts[u] = max(self.row_starts[u], self.row_starts[u - 1])
            self.column_starts[u] += self.column_starts[u - 1]
        self.column_others.resize(self.row_others.size())
        self.column_counts.resize(self.row_others.size())
        for u in range(characters):
            for k in range(self.row_starts[u], self.row_starts[u + 1]):
                right = self.row_others[k]
                self.column_starts[right] -= 1
                self.column_others[self.column_starts[right]] = <token_id_t> u
                self.column_counts[self.column_starts[right]] = self.row_counts[k]
        for n in range(self.bounds.numbers()):
            self.note_bound(n)
        return 0

    cdef int note_pair(self, token_id_t left, token_id_t right, count_t count) except -1 nogil:
        """Pairs of characters, left ones ascending: the rows; and the first bounds."""
        if self.by_character and (left >= self.first_symbol or right >= self.first_symbol):
            self.row_others.push_back(right)
            self.row_counts.push_back(count)
            self.row_starts[left + 1] = self.row_others.size()
            self.column_starts[right] += 1
            self.gain(pair_key(self.last[left], self.first[right]), count)
        return 0

    cdef int gain(self, uint64_t key, count_t count) except -1 nogil:
        """A mixed pair of tokens may occur so often more."""
        cdef uint32_t number = self.bounds.find(key)
        if number == NONE:
            number = self.bounds.insert(key)
            self.bounds.data()[number].count = 0
        self.bounds.data()[number].count += count
        return 0

    cdef int lower(self, uint64_t key, count_t count) except -1 nogil:
        """A mixed pair occurs so often less."""
        cdef uint32_t number = self.bounds.find(key)
        if number != NONE:
            self.bounds.data()[number].count -= count
            if self.bounds.data()[number].count < self.cut:
                self.forget_bound(number)
        return 0

    cdef int forget_bound(self, uint32_t number) except -1 nogil:
        self.bounds.data()[number].count = 0
        self.bounds.erase(number)
        return 0

    cdef int note_bound(self, uint32_t number) except -1 nogil:
        """Keep a new bound only if it is not under the cut: like counts, bounds never rise after birth."""
        cdef bound_t* record = self.bounds.data() + number
        if record.count >= self.cut:
            self.highest.push(pair[count_t, uint64_t](record.count, record.key))
        else:
            self.forget_bound(number)
        return 0

    cdef int highest_bound(self, count_t* bound) except -1 nogil:
        """No mixed pair that occurs ``cut`` times occurs more often than this."""
        cdef count_t count
        cdef uint64_t key
        cdef uint32_t number
        bound[0] = 0
        while not self.highest.empty():
            count = self.highest.top().first
            key = self.highest.top().second
            number = self.bounds.find(key)
            if number != NONE and self.bounds.data()[number].count == count:
                bound[0] = count
                return 0
            self.highest.pop()
            if number != NONE:
                self.highest.push(pair[count_t, uint64_t](self.bounds.data()[number].count, key))
        return 0

    # ---- inside merges ----

    cdef int merge_inside(self, MergeLearner inside, const candidate_t* best) except -1 nogil:
        """Apply a merge to the characters that hold the pair, once each; then see what it does to mixed pairs."""
        cdef token_id_t a = <token_id_t> (best.key >> 32)
        cdef token_id_t b = <token_id_t> best.key
        cdef token_id_t z = self.next_id
        cdef vector[uint32_t] positions
        cdef vector[token_id_t] firsts, lasts  # characters of which z is now the first, the last piece
        cdef vector[uint64_t] born
        cdef uint64_t begin = inside.pairs.data()[best.number].block
        cdef uint64_t start, k, i
        cdef uint32_t width, length, p, number
        cdef token_id_t u, v
        cdef count_t before = inside.corpus_tokens
        for i in range(inside.pairs.data()[best.number].entries):
            positions.push_back(inside.pool.data()[begin + i])
        inside.apply_merge(best.number)
        self.new_token(a, b, best.count)
        self.symbols.resize(self.next_id, NONE)
        self.lost.resize(self.next_id, 0)
        self.gained.resize(self.next_id, 0)
        self.corpus_tokens -= before - inside.corpus_tokens
        self.curve.push_back(self.corpus_tokens)
        width = inside.width[z]
        length = <uint32_t> self.tokens[z].size()
        for i in range(positions.size()):
            p = positions[i]
            if inside.cells.data()[p] != z or inside.cells.data()[p + width - 1] != z:
                continue  # consumed before, by an earlier merge or an overlapping position
            u = self.first_symbol + self.character_at[p]
            start = inside.places[self.character_at[p]]
            if p == start:
                firsts.push_back(u)
            if p + width == start + self.length[u]:
                lasts.push_back(u)

        # Characters that end in z now, and ended in b: their pairs with what stands on the right. A pair is mixed no
        # longer when z is a whole character and the right one, too, was one token before.
        for i in range(lasts.size()):
            u = lasts[i]
            for k in range(self.row_starts[u], self.row_starts[u + 1]):
                v = self.row_others[k]
                self.shift(self.first[v], self.row_counts[k], self.length[u] > length or self.ids[v] == NONE)
            self.last[u] = z
        for i in range(self.touched.size()):
            v = self.touched[i]
            self.lower(pair_key(b, v), self.lost[v])
            self.rise(pair_key(z, v), self.gained[v], born)
            self.lost[v] = 0
            self.gained[v] = 0
        self.touched.clear()
        for i in range(firsts.size()):
            u = firsts[i]
            if self.length[u] == length:
                self.ids[u] = z
                self.symbols[z] = u
        # Characters that begin with z now, and began with a: their pairs with what stands on the left.
        for i in range(firsts.size()):
            u = firsts[i]
            for k in range(self.column_starts[u], self.column_starts[u + 1]):
                v = self.column_others[k]
                self.shift(self.last[v], self.column_counts[k], self.ids[u] == NONE or self.ids[v] == NONE)
            self.first[u] = z
        for i in range(self.touched.size()):
            v = self.touched[i]
            self.lower(pair_key(v, a), self.lost[v])
            self.rise(pair_key(v, z), self.gained[v], born)
            self.lost[v] = 0
            self.gained[v] = 0
        self.touched.clear()
        for i in range(born.size()):
            number = self.bounds.find(born[i])
            if number != NONE:
                self.note_bound(number)

        # At most one character has become one token: pairs that waited for it can be merged now.
        u = self.symbols[z]
        if u != NONE:
            self.in_vain = False
            positions.clear()
            born.swap(self.waiting[u])
            self.waiting[u].clear()
            for k in range(born.size()):
                number = self.pairs.find(born[k])
                if number != NONE and self.pairs.data()[number].count >= self.floor:
                    self.offer(born[k], self.pairs.data()[number].count)
        return 0

    cdef int shift(self, token_id_t neighbour, count_t count, bint mixed) except -1 nogil:
        """Occurrences beside a piece that changes: lost with the old piece, and gained with the new if still mixed."""
        if self.lost[neighbour] == 0:
            self.touched.push_back(neighbour)
        self.lost[neighbour] += count
        if mixed:
            self.gained[neighbour] += count
        return 0

    cdef int rise(self, uint64_t key, count_t count, vector[uint64_t]& born) except -1 nogil:
        """A new mixed pair; under the cut it is never kept, since bounds, like counts, never rise after birth."""
        if count >= self.cut:
            self.gain(key, count)
            born.push_back(key)
        return 0

    # ---- learn merges, and the end of the stage ----

    def learn(self, uint64_t merges, uint64_t work=1 << 22):
        """As in MergeLearner."""
        cdef MergeLearner inside = self.inside
        if not self.by_character:
            return MergeLearner.learn(self, merges, work)
        if self.stage == BROKEN:
            raise MemoryError("an earlier step ran out of memory")
        try:
            with nogil:
                if self.counted:
                    self.learn_by_character(inside, merges, work)
                else:
                    self.count_characters(inside)
                    self.counted = True
        except MemoryError:
            self.stage = BROKEN
            self.release()
            raise
        if not self.by_character:
            self.inside = None
        return True

    cdef int learn_by_character(self, MergeLearner inside, uint64_t merges, uint64_t work) except -1 nogil:
        """The better of the best inside and the best whole pair, as long as it beats every mixed one."""
        cdef candidate_t within, outside
        cdef count_t best, bound
        cdef uint64_t visited = 0
        while self.learned_left.size() < merges and visited < work:
            inside.best_pair(&within)
            self.best_pair(&outside)
            self.highest_bound(&bound)
            best = max(within.count, outside.count)
            if best < self.cut or best <= bound:
                self.become_plain(inside)
                return 0
            if within.count > outside.count or (within.count == outside.count and within.key < outside.key):
                self.put_back(&outside)
                visited += inside.pairs.data()[within.number].entries + 1
                self.merge_inside(inside, &within)
            else:
                inside.put_back(&within)
                visited += self.pairs.data()[outside.number].entries + 1
                self.apply_merge(outside.number)
                inside.add_token(string())  # both number their tokens alike
                inside.add_symbol(0, 1)
                inside.next_id += 1
        return 0

    cdef int add_symbol(self, uint32_t length, uint32_t width) except -1 nogil:
        if self.by_character and self.next_id > self.first_symbol:  # made by a whole merge
            self.symbols.resize(self.next_id, NONE)
            self.lost.resize(self.next_id, 0)
            self.gained.resize(self.next_id, 0)
            self.symbols[self.next_id - 1] = <token_id_t> self.ids.size()
            self.ids.push_back(self.next_id - 1)
        return MergeLearner.add_symbol(self, length, width)

    cdef int become_plain(self, MergeLearner inside) except -1 nogil:
        """Rewrite the cells as tokens; symbols are the ids of tokens from here on."""
        cdef BigArray[token_id_t] cells
        cdef const token_id_t* source = self.cells.data()
        cdef token_id_t* target
        cdef vector[group_t] groups
        cdef uint64_t size = 1, begin = 1, at, i, g, start, p, end
        cdef token_id_t u
        cdef vector[uint32_t] pieces
        self.pairs.clear()
        self.pool.release()
        self.heap = priority_queue[pair[count_t, uint64_t]]()
        vector[token_id_t]().swap(self.row_others)  # clear() would keep the memory
        vector[count_t]().swap(self.row_counts)
        vector[token_id_t]().swap(self.column_others)
        vector[count_t]().swap(self.column_counts)
        self.bounds.clear()
        for u in range(<token_id_t> self.ids.size()):
            pieces.push_back(1)
            if self.ids[u] == NONE:
                p = inside.places[u - self.first_symbol]
                end = p + self.length[u]
                pieces[u] = 0
                while p < end:
                    p += inside.width[inside.cells.data()[p]]
                    pieces[u] += 1
        i = 1
        while i < self.used_cells:
            if source[i] == SEPARATOR:
                size += 1
                i += 1
            else:
                size += pieces[source[i]]
                i += self.width[source[i]]
        cells.resize(size)
        target = cells.data()
        target[0] = SEPARATOR
        at = 1
        i = 1
        for g in range(self.groups.size()):
            while i < self.groups[g].end:
                start = at
                while source[i] != SEPARATOR:
                    u = source[i]
                    i += self.width[u]
                    if self.ids[u] != NONE:
                        target[at] = self.ids[u]
                        at += 1
                        continue
                    p = inside.places[u - self.first_symbol]
                    end = p + self.length[u]
                    while p < end:
                        target[at] = inside.cells.data()[p]
                        p += inside.width[target[at]]
                        at += 1
                i += 1
                if at == start + 1:
                    at = start  # one token: it has no pair
                else:
                    target[at] = SEPARATOR
                    at += 1
            if at > begin:
                groups.push_back(self.groups[g])
                groups.back().end = at
            begin = at
        self.groups.swap(groups)
        self.cells.swap(cells)
        self.used_cells = at
        self.by_character = False
        self.switched_at = self.learned_left.size()
        self.width.clear()
        self.length.clear()
        self.left_of.clear()
        self.right_of.clear()
        for i in range(self.next_id):
            self.add_symbol(<uint32_t> self.tokens[i].size(), 1)
        self.stage = LAID_OUT
        return 0


# ---- which learner ---------------------------------------------------------------------------------


cdef inline uint32_t character_length(const uint8_t* text, const uint8_t* end) noexcept nogil:
    """Bytes of the character, by its first byte; 0 where the bytes are not built as UTF-8 builds them."""
    cdef uint32_t length, i
    if text[0] < 0x80:
        return 1
    if text[0] < 0xC0:
        return 0
    length = 2 if text[0] < 0xE0 else 3 if text[0] < 0xF0 else 4 if text[0] < 0xF8 else 0
    if text + length > end:
        return 0
    for i in range(1, length):
        if text[i] & 0xC0 != 0x80:
            return 0
    return length


cdef int pays_by_character(const uint8_t* data, const int64_t* offsets, const count_t* counts,
                           Py_ssize_t pretokens) except -1 nogil:
    """Whether CharacterLearner pays: from byte pairs in about 1 MB of the pretokens.

    It does if characters of several bytes are a good part of the text and the first merges will be inside them. Not in
    Cyrillic, say, where a space and the first byte of most letters are the most frequent pair of all.
    """
    cdef vector[count_t] inside, mixed
    cdef uint64_t several = 0, all_bytes = 0
    cdef Py_ssize_t step = <Py_ssize_t> (offsets[pretokens] >> 20) + 1
    cdef Py_ssize_t p = 0
    cdef int64_t i
    cdef uint8_t x, y
    cdef count_t best_inside = 0, best_mixed = 0
    inside.resize(1 << 16, 0)
    mixed.resize(1 << 16, 0)
    while p < pretokens:
        for i in range(offsets[p], offsets[p + 1]):
            y = data[i]
            all_bytes += 1
            several += y >= 0x80
            if i > offsets[p]:
                x = data[i - 1]
                if y & 0xC0 == 0x80:
                    inside[<uint32_t> x << 8 | y] += counts[p]
                elif x >= 0x80 or y >= 0x80:
                    mixed[<uint32_t> x << 8 | y] += counts[p]
        p += step
    for p in range(1 << 16):
        best_inside = max(best_inside, inside[p])
        best_mixed = max(best_mixed, mixed[p])
    return several * 10 >= all_bytes * 3 and best_inside >= 2 * best_mixed


def learner(symbols, const int64_t[::1] offsets, const count_t[::1] counts, tokens, *, byte_ids=None, by_character=None,
            **options):
    """The learner that is fastest for the text: arguments as for MergeLearner, which says what they mean.

    Args:
        by_character: Whether to begin with whole characters, where the bytes are built as UTF-8; None: if it pays. The
            merges are the same.
    """
    cdef const uint8_t[::1] data
    cdef Py_ssize_t pretokens = counts.shape[0]
    cdef int pays
    if byte_ids is None or by_character is False or symbols.shape[0] == 0:
        return MergeLearner(symbols, offsets, counts, tokens, byte_ids=byte_ids, **options)
    data = symbols
    if by_character is None:
        with nogil:
            pays = pays_by_character(&data[0], &offsets[0], &counts[0], pretokens)
        by_character = bool(pays)
    found = to_characters(data, offsets, counts, byte_ids, options.get("first_id", 256)) if by_character else None
    if found is None:
        return MergeLearner(symbols, offsets, counts, tokens, byte_ids=byte_ids, **options)
    cells, starts, characters, corpus_bytes = found
    return CharacterLearner(cells, characters, starts, counts, tokens, byte_ids=byte_ids, corpus_bytes=corpus_bytes,
                            **options)


cdef object to_characters(const uint8_t[::1] data, const int64_t[::1] offsets, const count_t[::1] counts,
                          const token_id_t[::1] byte_ids, token_id_t first_symbol):
    """The pretokens as symbols of characters, and the distinct characters: bytes, sizes, weights.

    None where the bytes are not built as UTF-8 builds them: then pieces and characters cannot be told apart.
    """
    cdef Py_ssize_t pretokens = counts.shape[0], p
    cdef vector[token_id_t] short_ones   # by the payload bits of characters of 2 and 3 bytes; 0: not seen yet
    cdef unordered_map[uint32_t, token_id_t] long_ones
    cdef vector[count_t] weights
    cdef vector[uint8_t] spelled, sizes
    cdef const uint8_t* text
    cdef const uint8_t* end
    cdef uint32_t length, code, i
    cdef token_id_t* slot
    cdef uint64_t total = 0, at = 0
    cdef count_t corpus_bytes = 0
    cdef bint sound = True
    starts = np.empty(pretokens + 1, np.int64)
    cdef int64_t[::1] starts_view = starts
    with nogil:
        for p in range(data.shape[0]):
            total += data[p] & 0xC0 != 0x80
    cells = np.empty(total, np.uint32)
    cdef token_id_t[::1] cells_view = cells
    with nogil:
        short_ones.resize(0x800 + 0x10000, 0)
        for p in range(pretokens):
            starts_view[p] = <int64_t> at
            text = &data[0] + offsets[p]
            end = &data[0] + offsets[p + 1]
            corpus_bytes += (end - text) * counts[p]
            while text < end:
                length = character_length(text, end)
                if length == 1:
                    cells_view[at] = byte_ids[text[0]]
                elif length == 0:
                    sound = False
                    break
                else:
                    if length == 2:
                        slot = &short_ones[(text[0] & 31) << 6 | (text[1] & 63)]
                    elif length == 3:
                        slot = &short_ones[0x800 + ((text[0] & 15) << 12 | (text[1] & 63) << 6 | (text[2] & 63))]
                    else:
                        code = (<uint32_t> text[0] << 24 | <uint32_t> text[1] << 16 | <uint32_t> text[2] << 8 | text[3])
                        slot = &long_ones[code]
                    if slot[0] == 0:
                        slot[0] = first_symbol + <token_id_t> weights.size()
                        weights.push_back(0)
                        sizes.push_back(<uint8_t> length)
                        for i in range(length):
                            spelled.push_back(text[i])
                    weights[slot[0] - first_symbol] += counts[p]
                    cells_view[at] = slot[0]
                at += 1
                text += length
            if not sound:
                break
    if not sound or weights.size() == 0:
        return None
    starts_view[pretokens] = <int64_t> at
    cdef uint8_t[::1] spelled_view = np.empty(spelled.size(), np.uint8)
    cdef uint32_t[::1] sizes_view = np.empty(sizes.size(), np.uint32)
    for p in range(<Py_ssize_t> spelled.size()):
        spelled_view[p] = spelled[p]
    for p in range(<Py_ssize_t> sizes.size()):
        sizes_view[p] = sizes[p]
    return cells, starts, (spelled_view, sizes_view, as_array(weights)), corpus_bytes

