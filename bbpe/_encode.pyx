# distutils: language = c++
"""Encode and decode (idea B of the design): cut where no token can be, remember what each segment became.

The way of the data, for one document:

    a str as CPython keeps it, in units of 8 or 16 bits (``encode_ascii``, ``encode_units``): all pretokens, then all
         cuts, then segments, for the whole text or a block of 64 units at once, so that nothing has to be foreseen
    bytes, and a str with characters from U+10000 on: UTF-8 in a padded buffer, pretoken after pretoken
         (``pretoken_end``), each cut into segments (``cut_pretoken``)
    both -> a queue of segments -> ids (``encode_queue``): from the table of characters, from the cache, or by merging
         (``encode_unknown``)

Why cutting is exact: a merge only ever makes a token of the vocabulary. Where no token that is in the text holds the
bytes on both sides of a boundary, no merge crosses it, and the two sides encode as if each stood alone. ``Cutter``
(``_native/cuts.hpp``) knows every boundary that some token spans; a hash collision there can only join two segments,
never change an id.

One pair a token: let a merge make token t somewhere in a text. Until then no merge crossed t's edges, so inside them
everything went as if t's bytes stood alone, and the last step was the last step of encoding t alone. So of all pairs
that could make t, by a merge list or by a rank table, at most one ever does, and none where t alone does not become
t. The tables keep that one. Symbols are numbered by the rank of that merge, bytes first, so a symbol is its own rank.

The one trap: the whole-pretoken rule speaks of pretokens. A segment that happens to be a token which its own merges
do not reach is that token only where it is the whole pretoken. Such segments are never cached (``encode_unknown``).

Reading order: ``merge_short`` and ``merge_symbols`` are the definition of encoding; from ``cut_stages`` on is the path
that text takes. The Python side (``tokenizer.py``) has checked all arguments before it calls; ``reference.py`` says
what must come out.
"""

import operator
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bbpe.errors import EncodeError, MissingByteError, VocabularyError, shown

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset
from libcpp.algorithm cimport sort
from libcpp.utility cimport pair
from libcpp.vector cimport vector

from cpython.buffer cimport (
    PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact, PyLong_FromUnsignedLong
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from bbpe._pretokenize cimport (
    FLAGS_BEFORE, MAX_STAGES, Automaton, automaton_t, is_boundary, mark_boundaries, pretoken_end, text_t
)
from bbpe._types cimport token_id_t

cdef extern from "Python.h":
    void* PyUnicode_DATA(object text)
    PyObject** PySequence_Fast_ITEMS(object sequence)
    object PyUnicode_New(Py_ssize_t size, uint32_t largest)
    int PyGC_Disable()
    int PyGC_Enable()
    object PyUnicode_DecodeUTF8(const char* text, Py_ssize_t size, const char* errors)

cdef extern from "Python.h" nogil:  # of objects that are held elsewhere: counting references to each would write to it
    bint is_str "PyUnicode_Check"(PyObject* text)
    bint is_bytes "PyBytes_Check"(PyObject* text)
    int kind_of "PyUnicode_KIND"(PyObject* text)
    void* characters_of "PyUnicode_DATA"(PyObject* text)
    Py_ssize_t length_of "PyUnicode_GET_LENGTH"(PyObject* text)
    bint is_ascii "PyUnicode_IS_ASCII"(PyObject* text)
    char* octets_of "PyBytes_AS_STRING"(PyObject* text)
    Py_ssize_t size_of "PyBytes_GET_SIZE"(PyObject* text)
    void count_reference "Py_INCREF"(PyObject* value)

cdef extern from "_native/buffer.hpp" namespace "bbpe" nogil:
    cdef cppclass Buffer[T]:
        T* data()
        size_t capacity()
        void reserve(size_t wanted, size_t kept) except +MemoryError
        void zero(size_t count) except +MemoryError
        void resize(size_t count) except +MemoryError
        void swap(Buffer& other)
        void release()
    uint64_t load64(const void* address)
    uint32_t load32(const void* address)
    uint64_t mix64(uint64_t a, uint64_t b)
    uint64_t hash_bytes(const uint8_t* text, size_t length)
    void prefetch(const void* address)

cdef extern from "_native/decode.hpp" namespace "bbpe" nogil:
    cdef cppclass Spelling:
        uint8_t* text
    cdef cppclass Shape:
        size_t characters
        uint32_t largest
    size_t SPELLED "bbpe::Spelling::size"   # bytes of the longest token that has a spelling
    uint8_t UNSPELLED "bbpe::unspelled"
    bint shape_of(const uint8_t* at, const uint8_t* end, Shape& shape)
    void widen[Unit](const uint8_t* at, const uint8_t* end, Unit* out)

cdef extern from "_native/in_order.hpp" namespace "bbpe" nogil:
    cdef cppclass InOrder:
        void start(Buffer[token_id_t]* out)
        size_t size()
        void finish()
        void put(size_t chunk, Buffer[token_id_t]& ids, size_t count) except +MemoryError

cdef extern from "_native/units.hpp" namespace "bbpe" nogil:
    unsigned int lowest_set(uint64_t word)
    bint copy_units(const uint16_t* units, size_t count, uint16_t* out)
    void widen_units(const uint8_t* characters, size_t count, uint16_t* out)
    size_t spell(const uint16_t* units, size_t count, uint8_t* out)
    bint ascii_block(const uint16_t* units, uint8_t* out)
    bint is_surrogate(uint32_t unit)
    uint64_t flag_mask(const uint8_t* flags)

cdef extern from "_native/transcode.hpp" namespace "bbpe" nogil:
    cdef cppclass Units:
        const void* data
        size_t length
        int width
        size_t most_bytes() const
    uint8_t* write_utf8(const Units& document, uint8_t* out)

cdef extern from "_native/cuts.hpp" namespace "bbpe" nogil:
    cdef cppclass BlockBefore:
        uint64_t three
        uint64_t leads
    cdef cppclass Cutter:
        const uint64_t* pairs
        const uint64_t* parted
        const uint64_t* triples
        const uint16_t* edges
        const uint16_t* lead_sets
        const uint64_t* tail_sets
        const uint64_t* byte_pairs
        int shift
        int triple_shift
        uint32_t place(uint32_t left, uint32_t right) const
        uint32_t triple_place(uint32_t first, uint32_t second, uint32_t third) const
        uint64_t spans(uint32_t left, uint32_t right) const
        uint64_t parts(uint32_t left, uint32_t right) const
        uint64_t spans_bytes(uint32_t left, uint32_t right) const
        uint64_t cuts(const uint16_t* units, BlockBefore& before) const

cdef extern from *:
    """
    #include <functional>
    #include <atomic>
    #include <vector>
    #include <queue>
    #if defined(_MSC_VER)
    #include <intrin.h>
    static inline int count_trailing_zeros(uint64_t bits) { unsigned long at; _BitScanForward64(&at, bits); return at; }
    #else
    static inline int count_trailing_zeros(uint64_t bits) { return __builtin_ctzll(bits); }
    #endif
    typedef std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<uint64_t>> lowest_first;
    """
    cdef cppclass lowest_first:
        lowest_first()
        bint empty() nogil
        uint64_t top() nogil
        void pop() nogil
        void push(uint64_t) except +MemoryError nogil
    int count_trailing_zeros(uint64_t bits) nogil
    cdef cppclass atomic_size "std::atomic<size_t>":
        size_t fetch_add(size_t) nogil
        void store(size_t) nogil

cdef int MAX_SPACES = os.cpu_count() or 1
cdef object new_array = np.empty
cdef object uint32 = np.dtype(np.uint32)

cdef enum:
    PADDING = 32             # readable bytes after every text, see _pretokenize.pxd
    TEXTS_AHEAD = 16         # of what is not in the cache: asked for so many before they are looked at
    INTS_AHEAD = 16
    SHORT = 15               # bytes of the longest cache key
    SHORT_IDS = 4            # ids in a cache entry; also how far past the ids a copy may write
    QUEUE = 256              # segments cut before they are encoded: time for memory to answer
    NARROWED = 1 << 12       # ASCII characters between others that are turned into bytes in blocks, for one queue
    MIN_BUCKETS = 1 << 13    # of two cache entries, one cache line each: 512 KiB a thread
    MAX_BUCKETS = 1 << 18    # 16 MiB; two for each token, between these
    LONG = 46                # bytes of the longest key of the cache for long segments
    LONG_IDS = 20
    LONG_SLOTS = 1 << 13     # 1 MiB a thread
    LONG_FROM = 96           # symbols from which merging rank by rank, or by a heap, beats a linear scan
    HEAP_FROM = 96           # parts of a token from which a heap beats a linear scan for the lowest rank
    MIN_SPAN_BITS = 18       # 64 KiB of pairs
    MAX_SPAN_BITS = 23       # 2 MiB
    SPAN_SPARSITY = 16       # places for each pair: more is more memory to wait for, fewer joins segments in vain
    RELEASE_FROM = 4096      # bytes of text from which giving up the GIL pays
    CHUNK = 1 << 16          # bytes of text that a thread of a batch takes at a time
    LARGE_RESULT = 1 << 18   # ids from which a result is made in memory that is used again: 1 MiB
    KEPT_RESULTS = 1 << 23   # ids for which an encoder keeps such memory at most: 32 MiB
    DENSE_IDS = 1 << 26      # ids up to here are looked up directly when decoding
    SPELLED_IDS = 1 << 20    # and up to here their bytes are, in 17 bytes an id

    SYMBOL_BITS = 21         # three symbols in one word of the pair table
    MAX_SYMBOLS = (1 << SYMBOL_BITS) - 1

cdef uint32_t NO_MERGE = ~<uint32_t>0
cdef uint64_t NO_PAIR = ~<uint64_t>0
cdef uint64_t NO_RANK = ~<uint64_t>0
cdef uint32_t BYTE = <uint32_t>1 << 31     # marks a byte among places in the list of tokens
cdef token_id_t MISSING = ~<token_id_t>0   # stands where a byte has no token; never a real id (vocabulary.MAX_ID)
cdef uint64_t PARTED = <uint64_t>1 << 62     # marks a boundary that a token spans with a part of a character
cdef uint64_t TRIPLE = <uint64_t>1 << 63     # and one with a third character
cdef uint64_t COUNT_BITS = <uint64_t>3 << 60
cdef uint64_t IN_LONG_CACHE = <uint64_t>1 << 62
cdef uint64_t NOWHERE = ~<uint64_t>0
cdef uint64_t NO_KEY = ~<uint64_t>0          # no key: those have zeros in their two highest bits
cdef uint64_t LOW_MASK[SHORT + 1]
cdef uint64_t HIGH_MASK[SHORT + 1]


cdef void fill_masks() noexcept:
    cdef int length
    for length in range(SHORT + 1):
        LOW_MASK[length] = ~<uint64_t>0 if length >= 8 else (<uint64_t>1 << (8 * length)) - 1
        HIGH_MASK[length] = 0 if length <= 8 else (<uint64_t>1 << (8 * (length - 8))) - 1

fill_masks()


cdef struct known_merge:   # how a token comes about when its bytes stand alone
    uint32_t left          # places in the list of tokens; BYTE + value for a byte
    uint32_t right
    uint64_t rank          # NO_RANK: it does not

cdef struct rules_t:       # what merges, as it was given
    const uint32_t* listed     # of a merge list: left, right and resulting place, by rank; NULL: a rank table
    const uint64_t* keys       # of a merge list: hash of two places -> the two, or NO_PAIR
    const uint32_t* numbers    # the same hash -> their rank
    uint64_t mask
    const uint32_t* rank_of    # of a rank table: place -> rank

cdef struct cache_slot:    # a segment of at most SHORT bytes that is at most SHORT_IDS ids
    uint64_t low           # its first eight bytes
    uint64_t high          # the rest; ids - 1 in bits 60-61, or 1 in bit 62: more; its length in bits 56-59; 0: empty
    token_id_t ids[SHORT_IDS]

cdef struct segment_t:     # a segment on its way from being cut to being encoded
    const uint8_t* text
    uint64_t length        # bytes << 1 | whether it is a whole pretoken
    uint64_t place         # of its answer among those of the queue
    uint64_t low           # its key, as in cache_slot; NO_KEY if it is longer than SHORT
    uint64_t high
    cache_slot* bucket     # where the answer is, if it is known: two slots, the one that was asked for last first

cdef struct long_slot:     # a segment of at most LONG bytes that is at most LONG_IDS ids
    uint8_t length         # 0: empty
    uint8_t count
    uint8_t text[LONG]
    token_id_t ids[LONG_IDS]

cdef struct part_t:        # a symbol of a long segment
    uint32_t symbol
    uint32_t merge         # what it merges into with the next, or NO_MERGE
    uint32_t following     # where the next begins, and the one before
    uint32_t preceding

cdef struct waiting_t:     # a place that waits for the turn of its merge
    uint32_t place
    uint32_t next          # the one that came after it to the same merge

cdef struct queue_t:       # who waits for a merge; says nothing where its bit in `turns` is not set
    uint32_t first
    uint32_t last
    uint32_t length

cdef struct tables_t:      # all that encoding reads and never writes; shared by threads
    const uint64_t* pairs            # hash of two symbols -> left, right and resulting symbol, SYMBOL_BITS each
    int pair_shift
    uint64_t pair_mask
    const uint64_t* pair_filter      # the same hash, more of it -> whether some pair has it
    int filter_shift
    const uint32_t* byte_pairs       # first byte << 8 | second -> resulting symbol
    const token_id_t* ids            # symbol -> id; the first 256 symbols are the bytes
    const cache_slot* characters     # characters of three UTF-8 bytes, by their 16 bits, as segments of their own
    Cutter cutter                    # where text may be cut
    const uint64_t* character_symbols   # character -> the symbols it becomes alone, three times SYMBOL_BITS; 0: none
    bint whole_pretoken
    const uint64_t* token_slots      # hash of bytes -> upper half of it, place in the list of tokens + 1; 0: empty
    uint64_t token_mask
    const uint8_t* token_data
    const uint64_t* token_starts     # place -> where its bytes start; one more for the end
    const token_id_t* token_ids      # place -> id
    uint64_t longest_token           # in bytes
    const uint8_t* reached           # place -> whether its bytes alone become it by merging
    bint all_reached                 # by merging
    bint all_characters              # of three bytes are known alone
    bint ordered                     # every merge ranks after those that make its parts
    uint32_t symbol_count
    uint64_t bucket_mask             # of the cache
    const automaton_t* stages[MAX_STAGES]
    int stage_count

cdef struct document_t:
    const void* data
    size_t length          # in units of `kind` bytes
    bint ascii
    int kind               # 0: UTF-8 or any other bytes; 1, 2, 4: as PyUnicode_KIND


# ---- Merging: the definition ----

cdef inline uint64_t hash_of_pair(uint64_t key) noexcept nogil:
    """Of a left symbol and a right one, side by side; its highest bits say where the pair is."""
    return key * <uint64_t>0x9E3779B97F4A7C15


cdef inline uint32_t merge_of(const tables_t* tables, uint32_t left, uint32_t right) noexcept nogil:
    """The symbol, and so the rank, that two adjacent symbols merge into, or NO_MERGE."""
    cdef uint64_t key = <uint64_t>left << SYMBOL_BITS | right
    cdef uint64_t hash = hash_of_pair(key)
    cdef uint64_t slot = hash >> tables.pair_shift
    cdef uint64_t found
    if not tables.pair_filter[hash >> tables.filter_shift >> 6] >> (hash >> tables.filter_shift & 63) & 1:
        return NO_MERGE        # most pairs do not merge: a bit says so where the table would wait for memory
    while True:
        found = tables.pairs[slot]
        if found >> SYMBOL_BITS == key:
            return found & MAX_SYMBOLS
        if found == NO_PAIR:
            return NO_MERGE
        slot = (slot + 1) & tables.pair_mask


cdef inline void ask_for_merge(const tables_t* tables, uint32_t left, uint32_t right) noexcept nogil:
    """Ask for the memory that ``merge_of`` will read."""
    cdef uint64_t hash = hash_of_pair(<uint64_t>left << SYMBOL_BITS | right)
    prefetch(tables.pair_filter + (hash >> tables.filter_shift >> 6))
    prefetch(tables.pairs + (hash >> tables.pair_shift))


cdef int merge_symbols(const tables_t* tables, int count, uint32_t* symbols, uint32_t* merges) noexcept nogil:
    """Merge symbols: the lowest rank first, the leftmost of equals, until none applies. How many there are then.

    ``merges`` has the merge of each symbol with the next. Quadratic, so for fewer than LONG_FROM.
    """
    cdef int i, at
    cdef uint32_t best
    while count > 1:
        best = NO_MERGE
        at = 0
        for i in range(count - 1):
            if merges[i] < best:
                best = merges[i]
                at = i
        if best == NO_MERGE:
            break
        symbols[at] = best
        if at > 0:               # half of the time would be waiting for the one and then for the other
            ask_for_merge(tables, symbols[at - 1], best)
        if at + 2 < count:
            ask_for_merge(tables, best, symbols[at + 2])
        count -= 1
        for i in range(at + 1, count):
            symbols[i] = symbols[i + 1]
        for i in range(at, count - 1):
            merges[i] = merges[i + 1]
        if at < count - 1:
            merges[at] = merge_of(tables, best, symbols[at + 1])
        if at > 0:
            merges[at - 1] = merge_of(tables, symbols[at - 1], best)
    return count


cdef int merge_short(const tables_t* tables, const uint8_t* text, int count, uint32_t* symbols,
                     uint32_t* merges) noexcept nogil:
    """Merge the bytes of a segment of fewer than LONG_FROM. Writes the symbols and returns how many there are."""
    cdef int i
    for i in range(count):
        symbols[i] = text[i]
    for i in range(count - 1):
        merges[i] = tables.byte_pairs[<size_t>text[i] << 8 | text[i + 1]]
    return merge_symbols(tables, count, symbols, merges)


cdef int merge_characters(const tables_t* tables, const uint8_t* text, int length, uint32_t* symbols,
                          uint32_t* merges) noexcept nogil:
    """As ``merge_short``, for characters of three bytes, beginning with what each becomes alone; 0 if that may differ.

    It is the same where every token that spans a boundary between two of them holds both whole, and every merge ranks
    after those that make its parts (``ordered``). Then lowest rank first is rank after rank. A merge crosses a boundary
    first with a symbol that ends there and one that begins there; together they are such a token, so both characters
    were whole before, by merges of lower rank. So what joins characters comes after what makes them, and that a third
    character is whole already changes nothing: nothing of a lower rank than its own merges touches it.
    """
    cdef int count = 0
    cdef uint32_t code, previous = 0
    cdef uint64_t known
    cdef const uint8_t* at = text
    if length % 3 != 0:
        return 0
    while at < text + length:
        if not is_three_bytes(load32(at)):
            return 0
        code = code_of(load32(at))
        if at > text and tables.cutter.parts(previous, code):
            return 0
        known = tables.character_symbols[code]
        if known == 0:
            return 0
        if count > 0:
            merges[count - 1] = merge_of(tables, symbols[count - 1], known & MAX_SYMBOLS)
        while True:
            symbols[count] = known & MAX_SYMBOLS
            merges[count] = NO_MERGE
            count += 1
            known >>= SYMBOL_BITS
            if known == 0:
                break
        previous = code
        at += 3
    return merge_symbols(tables, count, symbols, merges)


cdef size_t merge_long(const tables_t* tables, Workspace space, const uint8_t* text, size_t count) except? 0 nogil:
    """The same for any length. Symbols end up in ``space.symbols``; how many is returned."""
    if count >= <size_t>0xFFFFFFFF // 3:
        with gil:
            raise MemoryError("a single pretoken of more than a gigabyte cannot be encoded")
    space.symbols.reserve(count, 0)
    if tables.ordered:
        return merge_by_rank(tables, space, text, count)
    return merge_by_heap(tables, space, text, count)


cdef size_t merge_by_rank(const tables_t* tables, Workspace space, const uint8_t* text, size_t count) except? 0 nogil:
    """Merge rank after rank, in O(n), where every merge ranks after those that make its parts.

    Then what a merge makes possible ranks after it, so once the turn of a rank has come nobody joins its queue any
    more. A place that has merged otherwise by then is skipped. Places of a queue do not overlap unless the two parts
    are the same; then the leftmost goes first.
    """
    cdef size_t i, k, length, used = 0, kept = 0
    cdef size_t words = tables.symbol_count // 64 + 1
    cdef uint32_t rank, at, after, before
    cdef uint64_t turns
    cdef bint in_order
    cdef queue_t* queue
    space.parts.reserve(count, 0)
    space.in_turn.reserve(3 * count, 0)   # one each at first, and two for each merge
    if space.turns.capacity() < words:
        space.turns.zero(words)
        space.queues.reserve(64 * words, 0)
    cdef part_t* parts = space.parts.data()
    for i in range(count):
        parts[i].symbol = text[i]
        parts[i].following = <uint32_t>(i + 1)
        parts[i].preceding = <uint32_t>(i - 1)
        parts[i].merge = tables.byte_pairs[<size_t>text[i] << 8 | text[i + 1]] if i + 1 < count else NO_MERGE
        used += wait_for_turn(space, parts[i].merge, <uint32_t>i, used)
    for i in range(words):
        while space.turns.data()[i] != 0:
            turns = space.turns.data()[i]
            rank = <uint32_t>(64 * i) + count_trailing_zeros(turns)
            space.turns.data()[i] = turns & (turns - 1)
            queue = space.queues.data() + rank
            length = queue.length
            space.places.reserve(length, 0)
            at = queue.first
            in_order = True
            for k in range(length):
                space.places.data()[k] = space.in_turn.data()[at].place
                in_order &= k == 0 or space.places.data()[k] > space.places.data()[k - 1]
                at = space.in_turn.data()[at].next
            if not in_order:
                sort(space.places.data(), space.places.data() + length)
            for k in range(length):
                if k + 8 < length:
                    prefetch(parts + space.places.data()[k + 8])
                at = space.places.data()[k]
                if parts[at].merge != rank:
                    continue
                after = parts[at].following
                parts[after].merge = NO_MERGE
                after = parts[after].following
                parts[at].symbol = rank
                parts[at].following = after
                parts[at].merge = NO_MERGE
                if after < count:
                    parts[after].preceding = at
                    parts[at].merge = merge_of(tables, rank, parts[after].symbol)
                    used += wait_for_turn(space, parts[at].merge, at, used)
                if at > 0:
                    before = parts[at].preceding
                    parts[before].merge = merge_of(tables, parts[before].symbol, rank)
                    used += wait_for_turn(space, parts[before].merge, before, used)
    i = 0
    while i < count:
        space.symbols.data()[kept] = parts[i].symbol
        kept += 1
        i = parts[i].following
    return kept


cdef inline size_t wait_for_turn(Workspace space, uint32_t merge, uint32_t place, size_t used) noexcept nogil:
    """Put a place into the queue of its merge, if it has one; how many were put."""
    cdef queue_t* queue = space.queues.data() + merge
    cdef uint64_t* turns = space.turns.data() + (merge >> 6)
    cdef uint64_t bit = <uint64_t>1 << (merge & 63)
    if merge == NO_MERGE:
        return 0
    space.in_turn.data()[used].place = place
    if turns[0] & bit:
        space.in_turn.data()[queue.last].next = <uint32_t>used
        queue.length += 1
    else:
        turns[0] |= bit
        queue.first = <uint32_t>used
        queue.length = 1
    queue.last = <uint32_t>used
    return 1


cdef size_t merge_by_heap(const tables_t* tables, Workspace space, const uint8_t* text, size_t count) except? 0 nogil:
    """The same in O(n log n), for any table: a heap of ``rank << 32 | place`` over a linked list of symbols.

    A heap entry is stale when its place is gone or merges at another rank by now.
    """
    cdef size_t i, kept
    cdef uint64_t entry
    cdef uint32_t at, after, left, merge
    space.merges.reserve(count, 0)
    space.links.reserve(2 * count, 0)
    cdef uint32_t* symbols = space.symbols.data()
    cdef uint32_t* merges = space.merges.data()
    cdef uint32_t* following = space.links.data()
    cdef uint32_t* preceding = space.links.data() + count
    cdef lowest_first heap
    for i in range(count):
        symbols[i] = text[i]
        following[i] = <uint32_t>(i + 1)
        preceding[i] = <uint32_t>(i - 1)
        merges[i] = NO_MERGE
        if i + 1 < count:
            merges[i] = tables.byte_pairs[<size_t>text[i] << 8 | text[i + 1]]
            if merges[i] != NO_MERGE:
                heap.push(<uint64_t>merges[i] << 32 | i)
    while not heap.empty():
        entry = heap.top()
        heap.pop()
        at = <uint32_t>entry
        merge = merges[at]
        if merge == NO_MERGE or merge != entry >> 32:
            continue
        after = following[at]
        symbols[at] = merge
        merges[after] = NO_MERGE
        following[at] = following[after]
        merges[at] = NO_MERGE
        if following[at] < count:
            preceding[following[at]] = at
            merges[at] = merge_of(tables, merge, symbols[following[at]])
            if merges[at] != NO_MERGE:
                heap.push(<uint64_t>merges[at] << 32 | at)
        if at > 0:
            left = preceding[at]
            merges[left] = merge_of(tables, symbols[left], merge)
            if merges[left] != NO_MERGE:
                heap.push(<uint64_t>merges[left] << 32 | left)
    kept = 0
    i = 0
    while i < count:
        symbols[kept] = symbols[i]
        kept += 1
        i = following[i]
    return kept


# ---- One segment ----

cdef inline uint32_t find_token(const tables_t* tables, const uint8_t* text, size_t length) noexcept nogil:
    """The place + 1 of these bytes in the list of tokens, or 0."""
    cdef uint64_t hash = hash_bytes(text, length)
    cdef uint64_t slot = hash & tables.token_mask
    cdef uint64_t found
    cdef uint64_t start
    cdef uint32_t place
    while True:
        found = tables.token_slots[slot]
        if found == 0:
            return 0
        if (found ^ hash) >> 32 == 0:
            place = <uint32_t>found - 1
            start = tables.token_starts[place]
            if (tables.token_starts[place + 1] - start == length
                    and memcmp(tables.token_data + start, text, length) == 0):
                return <uint32_t>found
        slot = (slot + 1) & tables.token_mask


cdef token_id_t* encode_unknown(const tables_t* tables, Workspace space, const segment_t* segment,
                                token_id_t* out) except NULL nogil:
    """Encode a segment that the short cache did not know; remember it where the answer does not depend on ``whole``.

    A token that its own merges do not reach is itself only as a whole pretoken, so nothing is remembered of it.
    """
    cdef const uint8_t* text = segment.text
    cdef size_t length = segment.length >> 1
    cdef bint whole = segment.length & 1
    cdef uint32_t short_symbols[LONG_FROM]
    cdef uint32_t short_merges[LONG_FROM]
    cdef uint32_t* symbols = short_symbols
    cdef size_t count, i
    cdef uint32_t token = 0
    cdef long_slot* slot
    cdef bint memorable = True
    if length <= LONG and (length > SHORT or is_in_long_cache(segment)):
        slot = space.long_cache.data() + (hash_bytes(text, length) & (LONG_SLOTS - 1))
        if slot.length == length and memcmp(slot.text, text, length) == 0:
            memcpy(out, slot.ids, slot.count * sizeof(token_id_t))
            return out + slot.count
    # Of short tokens most are in the cache from the start, and merging comes to the others as well, if it reaches all.
    if length <= tables.longest_token and (length > SHORT or not tables.all_reached):
        token = find_token(tables, text, length)
    if token != 0 and (tables.reached[token - 1] or (whole and tables.whole_pretoken)):
        out[0] = tables.token_ids[token - 1]
        count = 1
        memorable = tables.reached[token - 1]
    else:
        memorable = token == 0 or not tables.whole_pretoken
        count = 0
        if length < LONG_FROM:
            if tables.ordered and text[0] & 0xF0 == 0xE0:
                count = merge_characters(tables, text, <int>length, symbols, short_merges)
            if count == 0:
                count = merge_short(tables, text, <int>length, symbols, short_merges)
        else:
            count = merge_long(tables, space, text, length)
            symbols = space.symbols.data()
        for i in range(count):
            out[i] = tables.ids[symbols[i]]
    if not memorable:
        return out + count
    if length <= SHORT:
        remember(segment.bucket, segment.low, segment.high, out, count)
        if count <= SHORT_IDS:
            return out + count
    if length <= LONG and count <= LONG_IDS:
        slot = space.long_cache.data() + (hash_bytes(text, length) & (LONG_SLOTS - 1))
        slot.length = <uint8_t>length
        slot.count = <uint8_t>count
        memcpy(slot.text, text, length)
        memcpy(slot.ids, out, count * sizeof(token_id_t))
    return out + count


cdef inline void remember(cache_slot* bucket, uint64_t low, uint64_t high, const token_id_t* ids,
                          size_t count) noexcept nogil:
    """Put what a short segment becomes into its bucket of a cache, or that it is in the long cache. The older goes."""
    bucket[1] = bucket[0]
    bucket[0].low = low
    bucket[0].high = high | (<uint64_t>(count - 1) << 60 if count <= SHORT_IDS else IN_LONG_CACHE)
    memcpy(bucket[0].ids, ids, min(count, <size_t>SHORT_IDS) * sizeof(token_id_t))


cdef inline bint is_in_long_cache(const segment_t* segment) noexcept nogil:
    """Whether the bucket of a short segment says that it was put into the long cache."""
    cdef const cache_slot* slot = segment.bucket
    cdef uint64_t high = segment.high | IN_LONG_CACHE
    return ((slot[0].low == segment.low and slot[0].high == high)
            or (slot[1].low == segment.low and slot[1].high == high))


cdef inline uint64_t low_key(const uint8_t* text, uint64_t length) noexcept nogil:
    return load64(text) & LOW_MASK[length]


cdef inline uint64_t high_key(const uint8_t* text, uint64_t length) noexcept nogil:
    return (load64(text + 8) & HIGH_MASK[length]) | length << 56


cdef inline size_t bucket_of(uint64_t low, uint64_t high, uint64_t bucket_mask) noexcept nogil:
    """The first of the two slots of the cache where a key may be."""
    return 2 * (mix64(low ^ <uint64_t>0x9E3779B97F4A7C15, high ^ <uint64_t>0xD6E8FEB86659FD93) & bucket_mask)


cdef inline bint is_answer(const cache_slot* slot, const segment_t* segment) noexcept nogil:
    return slot.low == segment.low and (slot.high ^ segment.high) & ~COUNT_BITS == 0


cdef inline void swap_slots(cache_slot* bucket) noexcept nogil:
    """Bring the second of a bucket to the front, where it is found without a wrong guess the next time."""
    cdef cache_slot first = bucket[0]
    bucket[0] = bucket[1]
    bucket[1] = first


cdef inline token_id_t* copy_answers(const cache_slot** answer, const cache_slot** end, token_id_t* out) noexcept nogil:
    """Write the ids that these answers hold: always all four, so that there is no branch on how many."""
    cdef const cache_slot* slot
    while answer < end:
        slot = answer[0]
        memcpy(out, slot.ids, sizeof(slot.ids))
        out += (slot.high >> 60) + 1
        answer += 1
    return out


cdef inline void ask_for(const tables_t* tables, Workspace space, segment_t* segment) noexcept nogil:
    """Find out where the answer of a segment may be, and ask for that memory."""
    cdef uint64_t length = segment.length >> 1
    if length <= SHORT:
        segment.low = low_key(segment.text, length)
        segment.high = high_key(segment.text, length)
        segment.bucket = space.cache.data() + bucket_of(segment.low, segment.high, tables.bucket_mask)
        prefetch(segment.bucket)
    else:
        segment.low = NO_KEY
        segment.high = NO_KEY
        segment.bucket = <cache_slot*>tables.characters   # has no such key


cdef int encode_queue(const tables_t* tables, Workspace space, segment_t* tail) except -1 nogil:
    """Encode the segments that wait in the queue, in order, and those between them whose answers are known already.

    First the memory where the answers may be is asked for, then they are read.
    """
    cdef segment_t* segment = space.queue
    while segment < tail:
        ask_for(tables, space, segment)
        segment += 1
    return read_answers(tables, space, tail)


cdef int read_answers(const tables_t* tables, Workspace space, segment_t* tail) except -1 nogil:
    """The second half of ``encode_queue``."""
    cdef segment_t* segment = space.queue
    cdef cache_slot* bucket
    cdef const cache_slot** answers = space.answers
    cdef token_id_t* out = space.out
    cdef uint64_t done = 0
    if <uint64_t>(tail - segment) == space.waiting:
        while segment < tail:
            bucket = segment.bucket
            if not is_answer(bucket, segment):
                if not is_answer(bucket + 1, segment):
                    out = encode_unknown(tables, space, segment, out)
                    segment += 1
                    continue
                swap_slots(bucket)
            memcpy(out, bucket.ids, sizeof(bucket.ids))   # always all four: no branch on how many
            out += (bucket.high >> 60) + 1
            segment += 1
    else:
        while segment < tail:
            bucket = segment.bucket
            if not is_answer(bucket, segment):
                # What follows changes the bucket, where answers before this one may be: so those are written first.
                out = copy_answers(answers + done, answers + segment.place, out)
                done = segment.place
                if not is_answer(bucket + 1, segment):
                    out = encode_unknown(tables, space, segment, out)
                    done += 1
                    segment += 1
                    continue
                swap_slots(bucket)
            answers[segment.place] = bucket
            segment += 1
        out = copy_answers(answers + done, answers + space.waiting, out)
    space.waiting = 0
    space.out = out
    return 0


cdef inline segment_t* push_segment(const tables_t* tables, Workspace space, segment_t* tail, const uint8_t* begin,
                                    const uint8_t* end, bint whole) except NULL nogil:
    """Put a segment into the queue."""
    tail.text = begin
    tail.length = <uint64_t>(end - begin) << 1 | whole
    tail.place = space.waiting
    tail += 1
    space.waiting += 1
    if space.waiting == QUEUE:
        encode_queue(tables, space, tail)
        tail = space.queue
    return tail


# ---- One pretoken in UTF-8: cut it where no token can be ----

cdef inline bint is_three_bytes(uint32_t word) noexcept nogil:
    """Whether a character of three bytes begins here (or what has its form: bytes are all that counts)."""
    return (word & <uint32_t>0x00C0C0F0) == <uint32_t>0x008080E0


cdef inline uint32_t code_of(uint32_t word) noexcept nogil:
    """The 16 bits of a character of three bytes."""
    return (word & 0xF) << 12 | (word >> 2 & 0xFC0) | (word >> 16 & 0x3F)


cdef segment_t* cut_pretoken(const tables_t* tables, Workspace space, segment_t* tail, const uint8_t* begin,
                             const uint8_t* end) except NULL nogil:
    """Cut a pretoken that may hold characters of three bytes (Han, kana, Hangul, Thai, …) into segments."""
    cdef Cutter cutter = tables.cutter       # a copy, which no store to the queue can change
    cdef const cache_slot* characters = tables.characters
    cdef const cache_slot** answers = space.answers
    cdef const uint8_t* at = begin
    cdef const uint8_t* segment = begin
    cdef uint32_t word = load32(at)
    cdef uint32_t code, previous
    cdef uint64_t cut, waiting
    while at < end:
        if not is_three_bytes(word) or end - at < 3:
            at += 1
            word = load32(at)
            continue
        if at > segment and not cutter.spans_bytes((at - 1)[0], at[0]):
            tail = push_segment(tables, space, tail, segment, at, False)
            segment = at
        # A run of such characters. Whether there is a cut is hard to foresee, so it is no branch: each segment so far
        # is written down, and stays written if there is one; as the answer of a character alone, if it is one.
        previous = code_of(word)
        at += 3
        word = load32(at)
        waiting = space.waiting
        while is_three_bytes(word) and end - at >= 3:
            code = code_of(word)
            tail.text = segment
            tail.length = <uint64_t>(at - segment) << 1
            tail.place = waiting
            answers[waiting] = characters + previous
            cut = cutter.spans(previous, code) ^ 1
            tail += cut & ((at - segment != 3) | (characters[previous].high == 0))
            waiting += cut
            segment = at if cut else segment
            if waiting == QUEUE:
                space.waiting = waiting
                encode_queue(tables, space, tail)
                tail = space.queue
                waiting = 0
            previous = code
            at += 3
            word = load32(at)
        space.waiting = waiting
        if at == end:
            return push_last(tables, space, tail, segment, end, previous, segment == begin)
        if not cutter.spans_bytes((at - 1)[0], at[0]):
            tail = push_last(tables, space, tail, segment, at, previous, False)
            segment = at
    return push_segment(tables, space, tail, segment, end, segment == begin)


cdef inline segment_t* push_last(const tables_t* tables, Workspace space, segment_t* tail, const uint8_t* begin,
                                 const uint8_t* end, uint32_t code, bint whole) except NULL nogil:
    """Put a segment that ends with a character of three bytes into the queue; no branch on whether it is one alone."""
    cdef const cache_slot* own = tables.characters + code
    space.answers[space.waiting] = own
    tail.text = begin
    tail.length = <uint64_t>(end - begin) << 1 | whole
    tail.place = space.waiting
    tail += (end - begin != 3) | (own.high == 0)
    space.waiting += 1
    if space.waiting == QUEUE:
        encode_queue(tables, space, tail)
        tail = space.queue
    return tail


cdef inline segment_t* push_pretoken(const tables_t* tables, Workspace space, segment_t* tail, const uint8_t* begin,
                                     const uint8_t* end) except NULL nogil:
    """Put a pretoken into the queue: as one segment if it is short and holds no character of three bytes or more."""
    cdef uint64_t low, high
    if end - begin <= SHORT:
        low = load64(begin) & LOW_MASK[end - begin]
        high = load64(begin + 8) & HIGH_MASK[end - begin]
        if ((low & (low << 1) & (low << 2)) | (high & (high << 1) & (high << 2))) & <uint64_t>0x8080808080808080 == 0:
            return push_segment(tables, space, tail, begin, end, True)   # no byte from 0xE0 on
    return cut_pretoken(tables, space, tail, begin, end)


cdef segment_t* cut_stages(const tables_t* tables, Workspace space, segment_t* tail, int stage, const uint8_t* begin,
                           const uint8_t* end) except NULL nogil:
    """Cut by this stage of the pattern; pass the pieces to the next, or into the queue as pretokens."""
    cdef const automaton_t* machine = tables.stages[stage]
    cdef bint last = stage + 1 == tables.stage_count
    cdef const uint8_t* cut
    while begin < end:
        cut = pretoken_end(machine, begin, end)
        if last:
            tail = push_pretoken(tables, space, tail, begin, cut)
        else:
            tail = cut_stages(tables, space, tail, stage + 1, begin, cut)
        begin = cut
    return tail


# ---- The same for a whole text at once, 64 units at a time ----

cdef int mark_pretokens(const tables_t* tables, int stage, const text_t* origin, const text_t* begin,
                        const text_t* end, uint8_t* flags) noexcept nogil:
    """As ``mark_boundaries``, by this stage of the pattern and those after it."""
    cdef const automaton_t* machine = tables.stages[stage]
    cdef const text_t* cut
    if stage + 1 == tables.stage_count:
        mark_boundaries(machine, begin, end, origin, flags)
        return 0
    while begin < end:
        cut = pretoken_end(machine, begin, end)
        mark_pretokens(tables, stage + 1, origin, begin, cut, flags)
        begin = cut
    return 0


cdef const uint8_t* find_pretokens(const tables_t* tables, Workspace space, const text_t* text,
                                   uint64_t count) except NULL nogil:
    """For each unit of a text, and for its end, the flags of ``_native/steps.hpp``. Then 64 zeros."""
    cdef uint8_t* flags
    space.flags.reserve(FLAGS_BEFORE + count + 65, 0)
    flags = space.flags.data() + FLAGS_BEFORE
    memset(flags + count, 0, 65)
    flags[0] = 1
    mark_pretokens(tables, 0, text, text, text + count, flags)
    return flags


cdef int encode_ascii(const tables_t* tables, Workspace space, const uint8_t* text, uint64_t count) except -1 nogil:
    """Encode text that is all ASCII: every pretoken is a segment."""
    cdef const uint8_t* flags = find_pretokens(tables, space, text, count)
    cdef segment_t* tail = space.queue
    cdef segment_t* full = &space.queue[64]
    cdef const uint8_t* segment = text
    cdef const uint8_t* at
    cdef uint64_t base, cuts
    for base in range(0, count + 1, 64):
        cuts = flag_mask(flags + base)
        if base == 0:
            cuts &= ~<uint64_t>1
        while cuts != 0:
            at = text + base + lowest_set(cuts)
            cuts &= cuts - 1
            tail.text = segment
            tail.length = <uint64_t>(at - segment) << 1 | 1
            ask_for(tables, space, tail)
            tail += 1
            segment = at
        if tail > full:
            space.waiting = tail - space.queue
            read_answers(tables, space, tail)
            tail = space.queue
    space.waiting = tail - space.queue
    return read_answers(tables, space, tail)


cdef int encode_units(const tables_t* tables, Workspace space, const uint16_t* units, uint64_t count) except -1 nogil:
    """Encode text in units of 16 bits, none a surrogate; before it are two zeros, after it 65.

    There is no branch on where text is cut, but three passes over each block: where pretokens end is known; between
    which characters no token can be; and from these, the segments.
    """
    cdef const uint8_t* flags = find_pretokens(tables, space, units, count)
    cdef Cutter cutter = tables.cutter
    cdef const cache_slot** answers = space.answers
    cdef segment_t* tail = space.queue
    cdef uint64_t[QUEUE + 1] starts          # of the segments that wait, and of the next
    cdef uint16_t[64] numbers                # unit of the block -> which segment ends before it
    cdef uint64_t base, cuts, remaining, single, three, at, waiting = 0
    cdef uint64_t was_cut = 0, had_three = 0
    cdef uint64_t narrowed = 0               # characters in `space.narrowed`
    cdef uint64_t ascii_from = NOWHERE       # from here on to the end of the block; they end at `narrowed`
    cdef BlockBefore before
    cdef unsigned int k
    before.three = 0
    before.leads = 0
    starts[0] = 0
    for base in range(0, count + 1, 64):
        cuts = cutter.cuts(units + base, before) | flag_mask(flags + base)
        three = before.three
        # Single are those characters of three bytes that have a cut on both sides: their answers are known.
        single = (cuts << 1 | was_cut) & (three << 1 | had_three)
        if not tables.all_characters:
            single = 0
        was_cut = cuts >> 63
        had_three = three >> 63
        if three == 0 and narrowed < NARROWED and ascii_block(units + base, space.narrowed + narrowed):
            ascii_from = min(ascii_from, base)
            narrowed += 64
        else:
            ascii_from = NOWHERE
        if base == 0:
            cuts &= ~<uint64_t>1
        remaining = cuts
        while remaining != 0:
            k = lowest_set(remaining)
            remaining &= remaining - 1
            answers[waiting] = tables.characters + units[base + k - 1]
            numbers[k] = <uint16_t>waiting
            waiting += 1
            starts[waiting] = base + k
        remaining = cuts & ~single
        while remaining != 0:
            k = lowest_set(remaining)
            remaining &= remaining - 1
            tail.place = numbers[k]
            at = starts[tail.place]
            if at >= ascii_from:
                tail.text = space.narrowed + (narrowed + at - base - 64)
            else:
                tail.text = <const uint8_t*>(units + at)
            tail.length = (base + k - at) << 1 | (is_boundary(flags + at) & is_boundary(flags + base + k))
            tail += 1
        if waiting > QUEUE - 64:
            starts[0] = starts[waiting]
            space.waiting = waiting
            spell_queue(space, tail)
            encode_queue(tables, space, tail)
            tail = space.queue
            waiting = 0
            narrowed = 0
            ascii_from = NOWHERE
    space.waiting = waiting
    spell_queue(space, tail)
    return encode_queue(tables, space, tail)


cdef int spell_queue(Workspace space, const segment_t* tail) except -1 nogil:
    """Turn the segments in the queue from units into UTF-8."""
    cdef segment_t* segment = space.queue
    cdef const uint16_t* units
    cdef uint8_t* out
    cdef uint64_t count, length = PADDING
    while segment < tail:
        length += 3 * (segment.length >> 1)
        segment += 1
    space.text.reserve(length, 0)
    out = space.text.data()
    segment = space.queue
    while segment < tail:
        if <size_t>(segment.text - space.narrowed) < NARROWED:   # it is ASCII, and there as such
            segment += 1
            continue
        units = <const uint16_t*>segment.text
        count = segment.length >> 1
        length = spell(units, count, out)
        segment.text = out
        segment.length = length << 1 | (segment.length & 1)
        out += length
        segment += 1
    return 0


# ---- Text in, ids out ----

cdef int64_t to_utf8(const document_t* document, Workspace space) except? -1 nogil:
    """Write a document as UTF-8 into ``space.text``, padded: its length in bytes, or -2 - place of a lone surrogate."""
    cdef Units units = units_of(document)
    cdef const uint8_t* end
    space.text.reserve(units.most_bytes() + PADDING, 0)
    end = write_utf8(units, space.text.data())
    if end == NULL:
        return -2 - surrogate_place(document)
    return end - space.text.data()


cdef inline Units units_of(const document_t* document) noexcept nogil:
    cdef Units units
    units.data = document.data
    units.length = document.length
    units.width = document.kind
    return units


cdef int64_t surrogate_place(const document_t* document) noexcept nogil:
    """Where the first surrogate stands, in a document that has one."""
    cdef int64_t place = 0
    if document.kind == 2:
        while not is_surrogate((<const uint16_t*>document.data)[place]):
            place += 1
    else:
        while not is_surrogate((<const uint32_t*>document.data)[place]):
            place += 1
    return place


cdef inline bint look_at(PyObject* text, document_t* document) noexcept nogil:
    """A view of a str or bytes, which the caller keeps alive; whether it is one."""
    if is_str(text):
        document.data = characters_of(text)
        document.length = <size_t>length_of(text)
        document.ascii = is_ascii(text)
        document.kind = 0 if document.ascii else kind_of(text)
        return True
    if is_bytes(text):
        document.data = octets_of(text)
        document.length = <size_t>size_of(text)
        document.kind = 0
        document.ascii = False
        return True
    return False


cdef document_t as_document(object text) except *:
    """The same of what no one has looked at yet."""
    cdef document_t document
    if not look_at(<PyObject*>text, &document):
        raise TypeError(f"text is str, not {type(text).__name__}")
    return document


cdef inline void ask_for_text(list texts, size_t i) noexcept:
    """Texts lie anywhere in memory: one after another, each would take a tenth of a microsecond to come."""
    if i < <size_t>len(texts):
        prefetch(<const void*>PyList_GET_ITEM(texts, i))


def first_other(list texts, bint as_bytes):
    """The place of the first text that is no str, or no bytes; None where all are."""
    cdef size_t i
    cdef PyObject* text
    for i in range(<size_t>len(texts)):
        ask_for_text(texts, i + TEXTS_AHEAD)
        text = PyList_GET_ITEM(texts, i)
        if not (is_bytes(text) if as_bytes else is_str(text)):
            return i
    return None


cdef class Workspace:
    """What one thread needs to encode: up to 17 MiB of caches, and room for the text at hand and its ids.

    A segment of ``LONG_FROM`` bytes or more asks for 12 bytes a token of the vocabulary besides, which stay.
    """

    cdef Buffer[cache_slot] cache
    cdef Buffer[long_slot] long_cache
    cdef Buffer[uint8_t] text
    cdef Buffer[uint16_t] units
    cdef Buffer[uint8_t] flags
    cdef uint8_t[NARROWED + PADDING] narrowed
    cdef Buffer[token_id_t] ids
    cdef size_t used               # ids in it
    cdef bint sound                # no lack of memory left anything half done in it
    cdef token_id_t* out           # where the next id goes
    cdef segment_t[QUEUE] queue
    cdef (const cache_slot*)[QUEUE] answers   # of all that waits; of the segments in the queue not yet
    cdef uint64_t waiting          # how many
    cdef Buffer[uint32_t] symbols
    cdef Buffer[uint32_t] merges
    cdef Buffer[uint32_t] links
    cdef Buffer[part_t] parts
    cdef Buffer[waiting_t] in_turn
    cdef Buffer[uint32_t] places
    cdef Buffer[queue_t] queues    # merge -> who waits for it
    cdef Buffer[uint64_t] turns    # merge -> whether anybody does; all 0 between calls

    def __cinit__(self, Encoder encoder):
        encoder._fill_cache(self.cache)
        self.long_cache.zero(LONG_SLOTS)
        self.used = 0
        self.waiting = 0

    cdef int trim(self) except -1:
        """Give back what an unusually large text needed."""
        if self.text.capacity() > (1 << 22):
            self.text.release()
        if self.units.capacity() > (1 << 21):
            self.units.release()
        if self.flags.capacity() > (1 << 22):
            self.flags.release()
        if self.ids.capacity() > (1 << 20):
            self.ids.release()
        if self.symbols.capacity() > (1 << 20):
            self.symbols.release()
            self.merges.release()
            self.links.release()
            self.parts.release()
            self.in_turn.release()
            self.places.release()
        return 0


cdef inline size_t most_ids(const document_t* document) noexcept nogil:
    """The most ids that a document can have, and room for what the last copy writes too much."""
    return units_of(document).most_bytes() + SHORT_IDS


cdef int64_t encode_document(const tables_t* tables, Workspace space, const document_t* document,
                             token_id_t* room) except? -1 nogil:
    """Write the ids of a document to ``room`` for ``most_ids``; how many, or -2 - place of a lone surrogate."""
    cdef int64_t length
    cdef segment_t* tail
    cdef uint16_t* units
    space.waiting = 0
    space.out = room
    if document.kind == 1 or document.kind == 2:
        space.units.reserve(document.length + 8 + 72, 0)
        units = space.units.data() + 8
        memset(units - 8, 0, 8 * sizeof(uint16_t))
        memset(units + document.length, 0, 72 * sizeof(uint16_t))
        if document.kind == 1:
            widen_units(<const uint8_t*>document.data, document.length, units)
        elif not copy_units(<const uint16_t*>document.data, document.length, units):
            return -2 - surrogate_place(document)
        encode_units(tables, space, units, document.length)
        return space.out - room
    length = to_utf8(document, space)
    if length < 0:
        return length
    if document.ascii:
        encode_ascii(tables, space, space.text.data(), length)
        return space.out - room
    tail = cut_stages(tables, space, space.queue, 0, space.text.data(), space.text.data() + length)
    encode_queue(tables, space, tail)
    return space.out - room


cdef class Encoder:
    """The tables of one vocabulary, ready to encode and decode. Safe to use from many threads at once.

    Args:
        tokens: The bytes of every token.
        ids: Their ids, uint32, in the same order.
        merges: ``(left, right, result)`` as places in ``tokens``, uint32, by rank; or None for a rank table.
        ranks: The rank of each token, uint32, for a rank table; or None.
        whole_pretoken: Whether a pretoken that is a token is taken whole.
        automata: One ``Automaton`` a stage of the pattern, or None: then only ``encode_pretokens`` can be used.
        specials: ``(content in UTF-8, id)`` of special tokens, for decoding.
    """

    cdef tables_t tables
    cdef tuple automata
    cdef list spaces               # workspaces that no thread is using
    cdef bint all_bytes
    cdef Buffer[uint64_t] pairs
    cdef Buffer[uint64_t] pair_filter
    cdef Buffer[uint32_t] byte_pairs
    cdef Buffer[token_id_t] symbol_ids
    cdef Buffer[token_id_t] token_ids
    cdef Buffer[uint8_t] reached
    cdef uint32_t byte_places[256]          # byte -> its place in the list of tokens + 1; 0: it has no token
    cdef Buffer[cache_slot] characters
    cdef vector[uint32_t] reached_places    # places of the tokens that merging reaches, by rank
    cdef list result_memory                 # memory of results that are gone, for the next ones
    cdef Buffer[uint64_t] spanned_pairs
    cdef Buffer[uint64_t] spanned_triples
    cdef Buffer[uint64_t] spanned_bytes
    cdef Buffer[uint16_t] edges
    cdef Buffer[uint16_t] lead_sets
    cdef Buffer[uint64_t] tail_sets
    cdef Buffer[uint64_t] parted
    cdef Buffer[uint64_t] character_symbols
    cdef Buffer[uint64_t] token_slots
    cdef Buffer[uint8_t] token_data
    cdef Buffer[uint64_t] token_starts
    cdef uint32_t entries          # tokens and special tokens, for decoding
    cdef uint32_t token_count
    cdef Buffer[uint32_t] entry_of_id       # id -> entry + 1 (dense ids)
    cdef uint64_t id_space
    cdef dict sparse_entry_of_id            # the same for sparse ids
    cdef list ready_ints                    # id -> int object, made at the first list
    cdef Buffer[Spelling] spellings         # id -> its bytes, if they are few
    cdef Buffer[uint8_t] spelled_lengths    # id -> how many they are, or UNSPELLED
    cdef size_t spelled_ids

    def __init__(self, list tokens, const token_id_t[::1] ids, merges, ranks, bint whole_pretoken, automata,
                 list specials):
        self.spaces = []
        self.result_memory = []
        self.automata = tuple(automata) if automata is not None else ()
        self.ready_ints = None
        self._store_tokens(tokens, ids, specials)
        self._make_spellings()
        self._index_tokens()
        cdef vector[pair[uint64_t, uint32_t]] order
        self._index_pairs(self._reach_tokens(merges, ranks), order)
        self.tables.whole_pretoken = whole_pretoken
        self._find_spans()
        self._encode_characters()
        self._size_cache(order)
        cdef Automaton automaton
        self.tables.stage_count = <int>len(self.automata)
        for stage, automaton in enumerate(self.automata):
            self.tables.stages[<int>stage] = &automaton.machine

    # ---- building ----

    cdef int _store_tokens(self, list tokens, const token_id_t[::1] ids, list specials) except -1:
        """Lay all tokens' bytes side by side, then the special tokens'; map ids to them."""
        cdef uint64_t size = 0, at = 0
        cdef uint32_t entry = 0
        cdef bytes token
        cdef token_id_t id
        self.token_count = <uint32_t>len(tokens)
        self.entries = <uint32_t>(len(tokens) + len(specials))
        for token in tokens:
            size += <uint64_t>PyBytes_GET_SIZE(token)
        for token, _ in specials:
            size += <uint64_t>PyBytes_GET_SIZE(token)
        self.token_data.zero(size + PADDING)
        self.token_starts.reserve(self.entries + 1, 0)
        self.token_ids.reserve(self.token_count, 0)
        self.tables.longest_token = max(map(len, tokens), default=0)
        self.id_space = max([int(np.max(ids)) if self.token_count else -1] + [id for _, id in specials]) + 1
        self.sparse_entry_of_id = None
        if self.id_space <= DENSE_IDS:
            self.entry_of_id.zero(self.id_space)
        else:
            self.sparse_entry_of_id = {}
        for token in tokens:
            self.token_ids.data()[entry] = ids[entry]
            self._store_entry(token, ids[entry], entry, at)
            at += <uint64_t>PyBytes_GET_SIZE(token)
            entry += 1
        for token, id in specials:
            self._store_entry(token, id, entry, at)
            at += <uint64_t>PyBytes_GET_SIZE(token)
            entry += 1
        self.token_starts.data()[entry] = at
        self.tables.token_data = self.token_data.data()
        self.tables.token_starts = self.token_starts.data()
        self.tables.token_ids = self.token_ids.data()
        return 0

    cdef int _store_entry(self, bytes token, token_id_t id, uint32_t entry, uint64_t at) except -1:
        memcpy(self.token_data.data() + at, PyBytes_AS_STRING(token), PyBytes_GET_SIZE(token))
        self.token_starts.data()[entry] = at
        if self.sparse_entry_of_id is None:
            self.entry_of_id.data()[id] = entry + 1
        else:
            self.sparse_entry_of_id[id] = entry + 1
        return 0

    cdef int _make_spellings(self) except -1:
        """Lay the short tokens' bytes out by id, for decoding."""
        cdef uint64_t start, length
        cdef uint32_t entry
        cdef size_t id, ids = 0 if self.sparse_entry_of_id is not None else min(self.id_space, <uint64_t>SPELLED_IDS)
        self.spellings.reserve(ids, 0)
        self.spelled_lengths.reserve(ids + 1, 0)
        for id in range(ids):
            entry = self.entry_of_id.data()[id]
            self.spelled_lengths.data()[id] = UNSPELLED
            if entry != 0:
                start = self.token_starts.data()[entry - 1]
                length = self.token_starts.data()[entry] - start
                if length <= SPELLED:
                    self.spelled_lengths.data()[id] = <uint8_t>length
                    memcpy(self.spellings.data()[id].text, self.token_data.data() + start, SPELLED)
        self.spelled_ids = ids
        return 0

    cdef int _index_tokens(self) except -1:
        """A hash table from bytes to places in the list of tokens."""
        cdef uint64_t size = 64, slot, hash
        cdef uint32_t place
        cdef const uint64_t* starts = self.token_starts.data()
        cdef int byte
        while size < 2 * <uint64_t>self.token_count:
            size *= 2
        self.token_slots.zero(size)
        self.tables.token_mask = size - 1
        self.tables.token_slots = self.token_slots.data()
        for byte in range(256):
            self.byte_places[byte] = 0
        with nogil:
            for place in range(self.token_count):
                hash = hash_bytes(self.token_data.data() + starts[place], starts[place + 1] - starts[place])
                slot = hash & (size - 1)
                while self.token_slots.data()[slot] != 0:
                    slot = (slot + 1) & (size - 1)
                self.token_slots.data()[slot] = (hash >> 32 << 32) | (place + 1)
                if starts[place + 1] - starts[place] == 1:
                    self.byte_places[self.token_data.data()[starts[place]]] = place + 1
        return 0

    cdef object _reach_tokens(self, merges, ranks):
        """Encode every token alone, by the rules as given: ``(known_merge of each token, as bytes)``.

        Any two adjacent parts of a token are a stretch of its bytes, so a rank table needs no pairs here: the rank of a
        pair is that of the stretch. A merge list first becomes a hash table of its pairs.
        """
        cdef const uint32_t[:, ::1] listed
        cdef const uint32_t[::1] rank_of
        cdef rules_t rules
        cdef uint32_t place, i, count, at, rule_count = 0
        cdef uint64_t best, size = 64, slot, key
        cdef Buffer[uint64_t] rule_keys
        cdef Buffer[uint32_t] rule_numbers
        cdef Buffer[uint32_t] starts_of      # where each part begins, in bytes from the token's start
        cdef Buffer[uint32_t] parts          # each part: a place in the list of tokens, or BYTE + value
        cdef Buffer[uint64_t] values         # each pair of parts: its rank
        cdef Buffer[uint32_t] made           # and the place of the token that it makes
        cdef known_merge* known
        cdef const uint8_t* text
        cdef const uint64_t* starts = self.token_starts.data()
        cdef bytes result = PyBytes_FromStringAndSize(NULL, self.token_count * sizeof(known_merge))
        known = <known_merge*>PyBytes_AS_STRING(result)
        self.reached.zero(self.token_count + 1)
        self.tables.reached = self.reached.data()
        starts_of.reserve(self.tables.longest_token + 1, 0)
        parts.reserve(self.tables.longest_token + 1, 0)
        values.reserve(self.tables.longest_token + 1, 0)
        made.reserve(self.tables.longest_token + 1, 0)
        rules.listed = NULL
        if merges is not None:
            listed = merges
            rule_count = <uint32_t>listed.shape[0]
            while size < 2 * <uint64_t>rule_count:
                size *= 2
            rule_keys.reserve(size, 0)
            rule_numbers.reserve(size, 0)
            for slot in range(size):
                rule_keys.data()[slot] = NO_PAIR
            for i in range(rule_count):
                key = <uint64_t>listed[i, 0] << 32 | listed[i, 1]
                slot = mix64(key, <uint64_t>0x9E3779B97F4A7C15) & (size - 1)
                while rule_keys.data()[slot] != NO_PAIR:
                    slot = (slot + 1) & (size - 1)
                rule_keys.data()[slot] = key
                rule_numbers.data()[slot] = i
            rules.listed = &listed[0, 0] if rule_count else rule_numbers.data()
            rules.keys = rule_keys.data()
            rules.numbers = rule_numbers.data()
            rules.mask = size - 1
        else:
            rank_of = ranks
            rules.rank_of = &rank_of[0] if self.token_count else NULL
        with nogil:
            for place in range(self.token_count):
                known[place].rank = NO_RANK
                text = self.token_data.data() + starts[place]
                count = <uint32_t>(starts[place + 1] - starts[place])
                if count == 1:
                    self.reached.data()[place] = 1
                    continue
                starts_of.data()[count] = count
                for i in range(count):
                    starts_of.data()[i] = i
                    at = self.byte_places[text[i]]
                    parts.data()[i] = at - 1 if at != 0 else BYTE | text[i]
                for i in range(count - 1):
                    self._rate(&rules, text + i, 2, parts.data()[i], parts.data()[i + 1], values.data() + i,
                               made.data() + i)
                if count >= HEAP_FROM:
                    self._reach_long(&rules, text, count, parts.data(), values.data(), made.data(), known + place)
                    self.reached.data()[place] = known[place].rank != NO_RANK
                    continue
                while count > 1:
                    best = NO_RANK
                    at = 0
                    for i in range(count - 1):
                        if values.data()[i] < best:
                            best = values.data()[i]
                            at = i
                    if best == NO_RANK:
                        break
                    if count == 2:
                        known[place].left = parts.data()[0]
                        known[place].right = parts.data()[1]
                        known[place].rank = best
                        self.reached.data()[place] = 1
                        break
                    parts.data()[at] = made.data()[at]
                    count -= 1
                    for i in range(at + 1, count):
                        parts.data()[i] = parts.data()[i + 1]
                        starts_of.data()[i] = starts_of.data()[i + 1]
                    starts_of.data()[count] = starts_of.data()[count + 1]
                    for i in range(at, count - 1):
                        values.data()[i] = values.data()[i + 1]
                        made.data()[i] = made.data()[i + 1]
                    for i in range(at - 1 if at > 0 else 0, min(at + 1, count - 1)):
                        self._rate(&rules, text + starts_of.data()[i], starts_of.data()[i + 2] - starts_of.data()[i],
                                   parts.data()[i], parts.data()[i + 1], values.data() + i, made.data() + i)
        return result

    cdef int _reach_long(self, const rules_t* rules, const uint8_t* text, uint32_t length, uint32_t* parts,
                         uint64_t* values, uint32_t* made, known_merge* known) except -1 nogil:
        """The same for one token of any length, in O(n log n): a heap of ``rank << 32 | place`` over a linked list.

        ``parts`` has a part for every byte, ``values`` and ``made`` what each makes with the next. A heap entry is
        stale when its place is gone or merges at another rank by now.
        """
        cdef Buffer[uint32_t] links
        cdef lowest_first heap
        cdef uint32_t i, at, after, _side, count = length
        links.reserve(2 * <size_t>length, 0)
        cdef uint32_t* following = links.data()
        cdef uint32_t* preceding = links.data() + length
        values[length - 1] = NO_RANK
        for i in range(length):
            following[i] = i + 1
            preceding[i] = i - 1
            if values[i] != NO_RANK:
                heap.push(values[i] << 32 | i)
        while not heap.empty():
            at = <uint32_t>heap.top()
            if values[at] != heap.top() >> 32:
                heap.pop()
                continue
            heap.pop()
            after = following[at]
            if count == 2:
                known.left = parts[at]
                known.right = parts[after]
                known.rank = values[at]
                return 0
            count -= 1
            parts[at] = made[at]
            values[at] = NO_RANK
            values[after] = NO_RANK
            following[at] = following[after]
            if following[at] < length:
                preceding[following[at]] = at
            for _side in range(2):   # the pair of the new part with the part after it, and with the part before it
                after = following[at]
                if after < length:
                    self._rate(rules, text + at, following[after] - at, parts[at], parts[after], values + at, made + at)
                    if values[at] != NO_RANK:
                        heap.push(values[at] << 32 | at)
                if at == 0:
                    break
                at = preceding[at]
        return 0

    cdef inline void _rate(self, const rules_t* rules, const uint8_t* text, size_t length, uint32_t left,
                           uint32_t right, uint64_t* rank, uint32_t* made) noexcept nogil:
        """The rank of two parts that are a stretch of bytes, and the token that they make."""
        if rules.listed != NULL:
            self._rate_listed(rules, left, right, rank, made)
        else:
            self._rate_ranked(rules, text, length, rank, made)

    cdef inline void _rate_ranked(self, const rules_t* rules, const uint8_t* text, size_t length, uint64_t* rank,
                                  uint32_t* made) noexcept nogil:
        """The rank of a stretch of bytes that is two parts, and the token that they make."""
        cdef uint32_t found = find_token(&self.tables, text, length)
        rank[0] = NO_RANK
        if found != 0:
            rank[0] = rules.rank_of[found - 1]
            made[0] = found - 1

    cdef inline void _rate_listed(self, const rules_t* rules, uint32_t left, uint32_t right, uint64_t* rank,
                                  uint32_t* made) noexcept nogil:
        """The rank of two parts in a merge list, and the token that they make."""
        cdef uint64_t key = <uint64_t>left << 32 | right
        cdef uint64_t slot = mix64(key, <uint64_t>0x9E3779B97F4A7C15) & rules.mask
        rank[0] = NO_RANK
        while rules.keys[slot] != NO_PAIR:
            if rules.keys[slot] == key:
                rank[0] = rules.numbers[slot]
                made[0] = rules.listed[3 * <size_t>rules.numbers[slot] + 2]
                return
            slot = (slot + 1) & rules.mask

    cdef int _index_pairs(self, bytes reached, vector[pair[uint64_t, uint32_t]]& order) except -1:
        """Number the symbols by the rank of the merge that makes them; put each token's one pair into a hash table.

        ``order`` becomes ``(rank, place)`` of all tokens that merging reaches, by rank.
        """
        cdef const known_merge* known = <const known_merge*>PyBytes_AS_STRING(reached)
        cdef Buffer[uint32_t] symbol_of
        cdef uint64_t size = 64, key, slot, hash
        cdef uint32_t place, symbol, left, right
        cdef int byte, i
        if self.token_count > MAX_SYMBOLS - 256:
            raise VocabularyError(f"{self.token_count:,} tokens; at most {MAX_SYMBOLS - 256:,} can be encoded with")
        symbol_of.reserve(self.token_count, 0)
        self.symbol_ids.reserve(self.token_count + 256, 0)
        self.byte_pairs.reserve(1 << 16, 0)
        self.all_bytes = True
        for byte in range(256):
            place = self.byte_places[byte]
            self.symbol_ids.data()[byte] = self.token_ids.data()[place - 1] if place != 0 else MISSING
            if place != 0:
                symbol_of.data()[place - 1] = byte
            else:
                self.all_bytes = False
        with nogil:
            for place in range(self.token_count):
                if known[place].rank != NO_RANK:
                    order.push_back(pair[uint64_t, uint32_t](known[place].rank, place))
            sort(order.begin(), order.end())
            self.tables.ordered = True
            self.tables.pair_shift = 58
            while size < 2 * order.size():
                size *= 2
                self.tables.pair_shift -= 1
            self.pairs.zero(size)
            for slot in range(size):
                self.pairs.data()[slot] = NO_PAIR
            self.tables.filter_shift = self.tables.pair_shift - 2
            self.pair_filter.zero(4 * size // 64)
            self.tables.pair_filter = self.pair_filter.data()
            symbol = 256
            for i in range(<int>order.size()):
                symbol_of.data()[order[i].second] = symbol
                self.symbol_ids.data()[symbol] = self.token_ids.data()[order[i].second]
                symbol += 1
            for i in range(<int>order.size()):
                place = order[i].second
                left = known[place].left
                right = known[place].right
                left = left & 0xFF if left & BYTE else symbol_of.data()[left]
                right = right & 0xFF if right & BYTE else symbol_of.data()[right]
                key = <uint64_t>left << SYMBOL_BITS | right
                hash = hash_of_pair(key)
                slot = hash >> self.tables.filter_shift
                self.pair_filter.data()[slot >> 6] |= <uint64_t>1 << (slot & 63)
                slot = hash >> self.tables.pair_shift
                while self.pairs.data()[slot] != NO_PAIR:
                    slot = (slot + 1) & (size - 1)
                symbol = symbol_of.data()[place]
                self.pairs.data()[slot] = key << SYMBOL_BITS | symbol
                self.tables.ordered &= left < symbol and right < symbol
            self.tables.pairs = self.pairs.data()
            self.tables.pair_mask = size - 1
            self.tables.byte_pairs = self.byte_pairs.data()
            self.tables.ids = self.symbol_ids.data()
            self.tables.symbol_count = symbol
            for i in range(1 << 16):
                self.byte_pairs.data()[i] = merge_of(&self.tables, i >> 8, i & 0xFF)
        return 0

    cdef int _find_spans(self) except -1:
        """Note every boundary that some token spans, for ``Cutter``.

        A token may begin or end inside a character: then all characters with those last or first bytes count. One byte
        alone stands for many characters, so a last byte goes into the right character's set of tails, a first byte into
        the left character's set of leads.
        """
        cdef vector[uint64_t] found            # left << 16 | right, and PARTED or TRIPLE
        cdef vector[uint64_t] triples          # first << 32 | second << 16 | third
        cdef vector[uint16_t] leads            # of each character
        cdef vector[uint64_t] tails
        cdef Cutter* cutter = &self.tables.cutter
        cdef uint32_t bit, code
        cdef size_t i
        cdef int bits
        self.spanned_bytes.zero((1 << 16) // 64)
        cutter.byte_pairs = self.spanned_bytes.data()
        self.characters.zero((1 << 16) + 1)   # the second slot of the last bucket
        self.tables.characters = self.characters.data()
        with nogil:
            leads.resize(1 << 16)
            tails.resize(1 << 16)
            self._collect_spans(found, triples, leads, tails)
        bits = hash_bits(found.size())
        self.spanned_pairs.zero((<size_t>2 << bits) // 64)
        self.parted.zero((<size_t>1 << bits) // 64)
        cutter.pairs = self.spanned_pairs.data()
        cutter.parted = self.parted.data()
        cutter.shift = 32 - bits
        for i in range(found.size()):
            bit = cutter.place(found[i] >> 16 & 0xFFFF, found[i] & 0xFFFF)
            if found[i] & PARTED:
                self.parted.data()[bit >> 6] |= <uint64_t>1 << (bit & 63)
            bit = 2 * bit + (found[i] & TRIPLE != 0)
            self.spanned_pairs.data()[bit >> 6] |= <uint64_t>1 << (bit & 63)
        bits = hash_bits(triples.size())
        self.spanned_triples.zero((<size_t>1 << bits) // 64)
        cutter.triples = self.spanned_triples.data()
        cutter.triple_shift = 32 - bits
        for i in range(triples.size()):
            bit = cutter.triple_place(triples[i] >> 32, triples[i] >> 16 & 0xFFFF, triples[i] & 0xFFFF)
            self.spanned_triples.data()[bit >> 6] |= <uint64_t>1 << (bit & 63)
        # Few sets occur; a byte for each character keeps them in the nearest cache.
        self.edges.zero(1 << 16)
        self.lead_sets.zero(256)
        self.tail_sets.zero(256)
        cutter.edges = self.edges.data()
        cutter.lead_sets = self.lead_sets.data()
        cutter.tail_sets = self.tail_sets.data()
        for code in range(1 << 16):
            self.edges.data()[code] = (set_number(self.lead_sets.data(), leads[code])
                                       | set_number(self.tail_sets.data(), tails[code]) << 8)
        return 0

    cdef int _collect_spans(self, vector[uint64_t]& found, vector[uint64_t]& triples, vector[uint16_t]& leads,
                            vector[uint64_t]& tails) except -1 nogil:
        cdef const uint8_t* data = self.token_data.data()
        cdef const uint64_t* starts = self.token_starts.data()
        cdef uint32_t place, bit, k, j
        cdef uint64_t i, before, after
        cdef uint32_t left, left_step, left_count, right, right_count   # left + k * left_step, right + j
        for place in range(self.token_count):
            for i in range(starts[place] + 1, starts[place + 1]):
                bit = <uint32_t>data[i - 1] << 8 | data[i]
                self.spanned_bytes.data()[bit >> 6] |= <uint64_t>1 << (bit & 63)
                if data[i] & 0xF0 != 0xE0 or data[i - 1] & 0xC0 != 0x80:
                    continue
                before = min(<uint64_t>3, i - starts[place])       # bytes of the left character in this token
                after = min(<uint64_t>3, starts[place + 1] - i)    # bytes of the right one
                if before >= 2 and data[i - 2] & 0xC0 != 0x80:
                    continue
                if before == 3 and data[i - 3] & 0xF0 != 0xE0:
                    continue
                if after >= 2 and data[i + 1] & 0xC0 != 0x80:
                    continue
                if after == 3 and data[i + 2] & 0xC0 != 0x80:
                    continue
                if before == 3 and after == 3:
                    left = code_of(load32(data + i - 3))
                    right = code_of(load32(data + i))
                    if starts[place + 1] - i >= 6 and is_three_bytes(load32(data + i + 3)):
                        triples.push_back(<uint64_t>left << 32 | right << 16 | code_of(load32(data + i + 3)))
                        found.push_back(TRIPLE | left << 16 | right)
                    elif i - starts[place] >= 6 and is_three_bytes(load32(data + i - 6)):
                        triples.push_back(<uint64_t>code_of(load32(data + i - 6)) << 32 | left << 16 | right)
                        found.push_back(TRIPLE | left << 16 | right)
                    else:
                        found.push_back(left << 16 | right)
                    continue
                right = <uint32_t>(data[i] & 0xF) << 12
                right_count = 1 << 12
                if after >= 2:
                    right |= <uint32_t>(data[i + 1] & 0x3F) << 6
                    right_count = 1 << 6
                if after == 3:
                    right |= data[i + 2] & 0x3F
                    right_count = 1
                left = data[i - 1] & 0x3F
                if before == 1 and after == 3:
                    tails[right] |= <uint64_t>1 << left
                    continue
                left_step = 1 << 6
                left_count = 1 << 10
                if before >= 2:
                    left |= <uint32_t>(data[i - 2] & 0x3F) << 6
                    left_step = 1 << 12
                    left_count = 1 << 4
                if before == 3:
                    left |= <uint32_t>(data[i - 3] & 0xF) << 12
                    left_count = 1
                for k in range(left_count):
                    if right_count == 1 << 12 or left_count * right_count > 1 << 10:
                        leads[left + k * left_step] |= <uint16_t>(1 << (data[i] & 0xF))
                        continue
                    for j in range(right_count):
                        found.push_back(PARTED | (left + k * left_step) << 16 | (right + j))
        return 0

    cdef int _encode_characters(self) except -1:
        """What each character of three bytes encodes to as a segment of its own, in the form of the cache.

        A character that is a token which its merges do not reach has no entry: it depends on what stands around it.
        """
        cdef uint32_t code, token
        cdef uint32_t[3] symbols, merges
        cdef uint8_t[8 + PADDING] text
        cdef int count, i
        cdef cache_slot* own
        self.character_symbols.zero(1 << 16)
        self.tables.character_symbols = self.character_symbols.data()
        self.tables.all_characters = True
        for i in range(8 + PADDING):
            text[i] = 0
        with nogil:
            for code in range(0x800, 1 << 16):
                text[0] = <uint8_t>(0xE0 | code >> 12)
                text[1] = <uint8_t>(0x80 | (code >> 6 & 0x3F))
                text[2] = <uint8_t>(0x80 | (code & 0x3F))
                token = find_token(&self.tables, text, 3)
                if self.tables.whole_pretoken and token != 0 and not self.tables.reached[token - 1]:
                    self.tables.all_characters = False
                    continue
                count = merge_short(&self.tables, text, 3, symbols, merges)
                for i in range(count):
                    self.character_symbols.data()[code] |= <uint64_t>symbols[i] << (i * SYMBOL_BITS)
                own = self.characters.data() + code
                own.low = load64(text)
                own.high = <uint64_t>3 << 56 | <uint64_t>(count - 1) << 60
                for i in range(count):
                    own.ids[i] = self.tables.ids[symbols[i]]
        return 0

    cdef int _size_cache(self, vector[pair[uint64_t, uint32_t]]& order) except -1:
        """How large a thread's cache is, and what it holds at first."""
        cdef uint64_t buckets = MIN_BUCKETS
        cdef uint32_t place
        cdef size_t i
        while buckets < min(2 * self.token_count, <uint32_t>MAX_BUCKETS):
            buckets *= 2
        self.tables.bucket_mask = buckets - 1
        self.tables.all_reached = True
        for place in range(self.token_count):
            self.tables.all_reached &= self.reached.data()[place]
        self.reached_places.reserve(order.size())
        for i in range(order.size()):
            self.reached_places.push_back(order[i].second)
        return 0

    cdef int _fill_cache(self, Buffer[cache_slot]& cache) except -1:
        """A new cache for a thread: it begins with the tokens that merging reaches.

        The lowest ranks, which text has most of, go in last and so stay.
        """
        cdef const uint64_t* starts = self.token_starts.data()
        cdef uint64_t length, low, high, mask = self.tables.bucket_mask
        cdef uint32_t place
        cdef size_t i
        cache.zero(2 * (mask + 1))
        with nogil:
            for i in range(self.reached_places.size(), 0, -1):
                place = self.reached_places[i - 1]
                length = starts[place + 1] - starts[place]
                if length <= SHORT:
                    low = low_key(self.token_data.data() + starts[place], length)
                    high = high_key(self.token_data.data() + starts[place], length)
                    remember(cache.data() + bucket_of(low, high, mask), low, high, self.token_ids.data() + place, 1)
        return 0

    # ---- encoding ----

    cdef int _give_back(self, Workspace space) except -1:
        """Keep a workspace for the next call, but not more of them than a machine of this size uses at once."""
        space.trim()
        if space.sound and len(self.spaces) < MAX_SPACES:
            self.spaces.append(space)
        return 0

    cdef Workspace _take(self):
        """A workspace for one thread, who says at the end whether it is still sound."""
        cdef Workspace space
        try:
            space = self.spaces.pop()
        except IndexError:
            space = Workspace(self)
        space.sound = False
        return space

    cdef int _encode(self, object text, Workspace space) except -1:
        """The ids of one text into ``space.ids``."""
        cdef document_t document = as_document(text)
        cdef int64_t status
        if self.tables.stage_count == 0:
            raise RuntimeError("this pattern has no automaton: use encode_pretokens")
        space.ids.reserve(most_ids(&document), 0)
        if document.length >= RELEASE_FROM:
            with nogil:
                status = encode_document(&self.tables, space, &document, space.ids.data())
        else:
            status = encode_document(&self.tables, space, &document, space.ids.data())
        space.sound = True
        if status < 0:
            raise_surrogate(text, -2 - status, None)
        space.used = status
        if not self.all_bytes:
            self._refuse_missing(space.ids.data(), space.used, text, None)
        return 0

    cdef int _refuse_missing(self, const token_id_t* ids, size_t count, object text, object number) except -1:
        """Raise for the first byte that has no token."""
        cdef size_t i
        cdef uint64_t offset = 0
        cdef uint32_t entry
        for i in range(count):
            if ids[i] == MISSING:
                data = text.encode() if isinstance(text, str) else text
                raise MissingByteError(data[offset], offset, number)
            entry = self._entry(ids[i])
            offset += self.token_starts.data()[entry] - self.token_starts.data()[entry - 1]
        return 0

    cdef object _list(self, const token_id_t* ids, size_t count):
        """A list of ints; the int objects are shared, made once per vocabulary."""
        cdef list out
        cdef object value
        cdef PyObject** ready
        cdef PyObject** to
        cdef size_t i
        if self.ready_ints is None and self.id_space <= (1 << 20):
            self.ready_ints = list(range(self.id_space))
        out = PyList_New(count)
        if self.ready_ints is not None:
            ready = PySequence_Fast_ITEMS(self.ready_ints)
            to = PySequence_Fast_ITEMS(out)
            for i in range(count):
                if i + INTS_AHEAD < count:
                    prefetch(ready[ids[i + INTS_AHEAD]])
                to[i] = ready[ids[i]]
                count_reference(to[i])
        else:
            for i in range(count):
                value = PyLong_FromUnsignedLong(ids[i])
                Py_INCREF(value)
                PyList_SET_ITEM(out, i, value)
        return out

    def encode(self, text):
        """The ids of a str or bytes, as a list."""
        cdef Workspace space = self._take()
        try:
            self._encode(text, space)
            return self._list(space.ids.data(), space.used)
        finally:
            self._give_back(space)

    def encode_to_numpy(self, text):
        """The ids of a str or bytes, as a new uint32 array."""
        cdef Workspace space = self._take()
        cdef document_t document
        cdef Results results
        try:
            if len(text) >= LARGE_RESULT:    # straight to where they stay
                document = as_document(text)
                results = Results(self.result_memory, most_ids(&document))
                space.ids.swap(results.ids)
                try:
                    self._encode(text, space)
                finally:
                    space.ids.swap(results.ids)
                return results.array(space.used)
            self._encode(text, space)
            return id_array(space.ids.data(), space.used)
        finally:
            self._give_back(space)

    def count(self, text):
        """How many ids a str or bytes has."""
        cdef Workspace space = self._take()
        try:
            self._encode(text, space)
            return space.used
        finally:
            self._give_back(space)

    def encode_pretokens(self, bytes data, const uint64_t[::1] ends):
        """The ids of bytes whose pretokens end at the given offsets, as a new uint32 array."""
        cdef Workspace space = self._take()
        cdef const uint8_t* begin
        cdef segment_t* tail = space.queue
        cdef uint64_t i, start = 0
        cdef size_t length = PyBytes_GET_SIZE(data)
        try:
            space.used = 0
            space.text.reserve(length + PADDING, 0)
            memcpy(space.text.data(), PyBytes_AS_STRING(data), length)
            space.ids.reserve(length + SHORT_IDS, 0)
            begin = space.text.data()
            space.out = space.ids.data()
            with nogil:
                for i in range(<uint64_t>ends.shape[0]):
                    tail = push_pretoken(&self.tables, space, tail, begin + start, begin + ends[i])
                    start = ends[i]
                encode_queue(&self.tables, space, tail)
            space.sound = True
            space.used = space.out - space.ids.data()
            if not self.all_bytes:
                self._refuse_missing(space.ids.data(), space.used, data, None)
            return id_array(space.ids.data(), space.used)
        finally:
            self._give_back(space)

    def encode_batch(self, list texts, int threads):
        """The ids of every text: ``(ids, offsets)``, uint32 and int64; text i is ``ids[offsets[i]:offsets[i + 1]]``."""
        cdef Batch batch = Batch(self, texts)
        threads = min(threads, batch.chunks())
        if threads <= 1:
            batch.work()
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(batch.work) for _ in range(threads)]:
                    done.result()
        return batch.finished()

    def as_lists(self, const token_id_t[::1] ids, const int64_t[::1] offsets):
        """Ids and offsets as a list of lists of ints.

        Python's collector of cycles would go through all of them again and again while they are made, which takes
        three times as long as making them, and could find nothing: it rests meanwhile.
        """
        cdef Py_ssize_t i
        cdef const token_id_t* start = &ids[0] if ids.shape[0] else NULL
        cdef bint collects = PyGC_Disable()
        try:
            return [self._list(start + offsets[i], offsets[i + 1] - offsets[i]) for i in range(offsets.shape[0] - 1)]
        finally:
            if collects:
                PyGC_Enable()

    # ---- decoding ----

    cdef inline uint32_t _entry(self, uint64_t id) except? 0:
        """The entry + 1 of an id, or 0."""
        if self.sparse_entry_of_id is not None:
            return self.sparse_entry_of_id.get(id, 0)
        return self.entry_of_id.data()[id] if id < self.id_space else 0

    def decode_array(self, ids):
        """The bytes of an array of ids: contiguous uint32."""
        cdef Py_buffer view
        PyObject_GetBuffer(ids, &view, PyBUF_SIMPLE)   # a typed memoryview costs half a microsecond more
        try:
            return self._bytes(<const token_id_t*>view.buf, view.len // sizeof(token_id_t))
        finally:
            PyBuffer_Release(&view)

    def decode_list(self, list ids):
        """The bytes of a list of ids, each an int."""
        cdef Buffer[token_id_t] numbers
        cdef Py_ssize_t count = read_ids(ids, numbers)
        return self._bytes(numbers.data(), count)

    def text_of_array(self, ids, str errors not None):
        """The text of an array of ids; bytes that are no valid UTF-8 as ``bytes.decode`` treats them."""
        cdef Py_buffer view
        PyObject_GetBuffer(ids, &view, PyBUF_SIMPLE)
        try:
            return self._text(<const token_id_t*>view.buf, view.len // sizeof(token_id_t), errors)
        finally:
            PyBuffer_Release(&view)

    def text_of_list(self, list ids, str errors not None):
        """The text of a list of ids, each an int."""
        cdef Buffer[token_id_t] numbers
        cdef Py_ssize_t count = read_ids(ids, numbers)
        return self._text(numbers.data(), count, errors)

    cdef bytes _bytes(self, const token_id_t* ids, size_t count):
        cdef size_t size = self._size(ids, count)
        cdef bytes result = PyBytes_FromStringAndSize(NULL, size)
        self._spell(ids, count, <uint8_t*>PyBytes_AS_STRING(result), size)
        return result

    cdef object _text(self, const token_id_t* ids, size_t count, str errors):
        """CPython's own decoder, made for anything, takes three times as long for Chinese."""
        cdef size_t size = self._size(ids, count)
        cdef Buffer[uint8_t] data
        cdef const uint8_t* end
        cdef Shape shape
        data.reserve(size + PADDING, 0)
        self._spell(ids, count, data.data(), size + SPELLED)
        end = data.data() + size
        if not shape_of(data.data(), end, shape):
            return PyUnicode_DecodeUTF8(<const char*>data.data(), size, errors.encode())
        text = PyUnicode_New(shape.characters, shape.largest)
        if shape.largest == 0x7F:
            memcpy(PyUnicode_DATA(text), data.data(), size)
        elif shape.largest == 0xFF:
            widen(data.data(), end, <uint8_t*>PyUnicode_DATA(text))
        elif shape.largest == 0xFFFF:
            widen(data.data(), end, <uint16_t*>PyUnicode_DATA(text))
        else:
            widen(data.data(), end, <uint32_t*>PyUnicode_DATA(text))
        return text

    cdef size_t _size(self, const token_id_t* ids, size_t count) except? 0:
        """How many bytes some ids have.

        Raises:
            EncodeError: One of them is no id of the vocabulary.
        """
        cdef size_t i, size = 0
        cdef uint32_t entry
        cdef const uint8_t* lengths = self.spelled_lengths.data()
        for i in range(count):
            if ids[i] < self.spelled_ids and lengths[ids[i]] != UNSPELLED:
                size += lengths[ids[i]]
                continue
            entry = self._entry(ids[i])
            if entry == 0:
                raise EncodeError(f"id {ids[i]} at position {i} is not an id of this vocabulary")
            size += self.token_starts.data()[entry] - self.token_starts.data()[entry - 1]
        return size

    cdef int _spell(self, const token_id_t* ids, size_t count, uint8_t* out, size_t room) except -1:
        """Write the bytes of ids that are known to be there. Near the end of the room, no more than those."""
        cdef size_t i, length
        cdef uint32_t entry
        cdef const uint8_t* lengths = self.spelled_lengths.data()
        cdef const Spelling* spellings = self.spellings.data()
        cdef const uint8_t* text
        cdef uint8_t* fast_end = out + room - SPELLED if room >= SPELLED else out - 1
        for i in range(count):
            if ids[i] < self.spelled_ids and lengths[ids[i]] != UNSPELLED:
                length = lengths[ids[i]]
                if out <= fast_end:
                    memcpy(out, spellings[ids[i]].text, SPELLED)   # one move; what is too much is overwritten next
                else:
                    memcpy(out, spellings[ids[i]].text, length)
            else:
                entry = self._entry(ids[i])
                text = self.token_data.data() + self.token_starts.data()[entry - 1]
                length = self.token_starts.data()[entry] - self.token_starts.data()[entry - 1]
                memcpy(out, text, length)
            out += length
        return 0


cdef Py_ssize_t read_ids(list ids, Buffer[token_id_t]& numbers) except -1:
    """The numbers of a list of ints; how many.

    Raises:
        TypeError: Something else stands in it.
        EncodeError: A number is no id of any vocabulary.
    """
    cdef Py_ssize_t i, count = PyList_GET_SIZE(ids)
    cdef object value
    cdef int64_t number
    numbers.reserve(count, 0)
    for i in range(count):
        value = <object>PyList_GET_ITEM(ids, i)
        if not PyLong_CheckExact(value):
            if isinstance(value, (bool, np.bool_)):
                raise TypeError(f"ids are integers; the one at position {i} is {value}")
            try:
                value = operator.index(value)
            except TypeError:
                raise TypeError(f"ids are integers; the one at position {i} is {shown(value)}") from None
            if PyList_GET_SIZE(ids) != count:  # by code of the caller's, which looking at the id ran
                raise RuntimeError("the list of ids changed its length while it was decoded")
        try:
            number = value
        except OverflowError:
            number = -1
        if number < 0 or number >= MISSING:
            raise EncodeError(f"id {shown(value)} at position {i} is not an id of this vocabulary")
        numbers.data()[i] = <token_id_t>number
    return count


cdef class Results:
    """Memory for the ids of a large result. When the last array on it is gone, its encoder has it for the next result.

    The operating system clears memory before it gives it, which can take longer than encoding does.
    """

    cdef Buffer[token_id_t] ids
    cdef list home                   # where memory that no array uses waits; None while it does

    def __init__(self, list home, size_t room):
        cdef Results kept
        self.home = home
        try:
            kept = home.pop()
            self.ids.swap(kept.ids)
        except IndexError:
            pass
        self.ids.reserve(room, self.ids.capacity())

    cdef object array(self, size_t count):
        """These first ids, as an array."""
        if count < LARGE_RESULT:    # it would keep more than it holds
            return id_array(self.ids.data(), count)
        self.ids.resize(count)
        return np.frombuffer(self, dtype=uint32)

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.ids.data(), self.ids.capacity() * sizeof(token_id_t), False, flags)

    def __del__(self):
        cdef Results kept
        cdef size_t others = 0
        if self.home is None or self.ids.capacity() < LARGE_RESULT:
            return
        for kept in self.home:
            others += kept.ids.capacity()
        if others >= KEPT_RESULTS:
            return
        if others + self.ids.capacity() > KEPT_RESULTS:
            self.ids.resize(KEPT_RESULTS - others)
        kept = Results.__new__(Results)
        kept.ids.swap(self.ids)
        self.home.append(kept)


cdef class Batch:
    """Texts that several threads encode together: each takes the next chunk of them until none is left."""

    cdef Encoder encoder
    cdef list texts
    cdef PyObject** items                      # of `texts`, which nobody else has
    cdef vector[size_t] chunk_starts           # first text of each chunk; one more for the end
    cdef vector[size_t] chunk_rooms            # the most ids that each chunk may have
    cdef vector[int64_t] counts                # ids of each text
    cdef Results results
    cdef InOrder order
    cdef atomic_size next_chunk
    cdef list bad                              # (document, place) of lone surrogates

    def __init__(self, Encoder encoder, list texts):
        cdef document_t document
        cdef size_t i, size = 0, room = 0, length = 0
        self.encoder = encoder
        self.texts = texts
        self.items = PySequence_Fast_ITEMS(texts)
        self.next_chunk.store(0)
        self.bad = []
        self.counts.resize(len(texts))
        self.chunk_starts.push_back(0)
        for i in range(self.counts.size()):
            ask_for_text(texts, i + TEXTS_AHEAD)
            if not look_at(self.items[i], &document):
                raise TypeError(f"text {i} is {type(texts[i]).__name__}, not str")
            length += document.length
            size += document.length * max(document.kind, 1)
            room += most_ids(&document)
            if size >= CHUNK or i + 1 == self.counts.size():
                self.chunk_starts.push_back(i + 1)
                self.chunk_rooms.push_back(room)
                size = room = 0
        # Seldom too little, and what is not written to takes no memory.
        self.results = Results(encoder.result_memory, length + length // 2)
        self.order.start(&self.results.ids)

    cdef int chunks(self):
        return <int>self.chunk_starts.size() - 1

    def work(self):
        cdef Workspace space = self.encoder._take()
        try:
            with nogil:
                self._work(space)
            space.sound = True
        finally:
            self.encoder._give_back(space)

    cdef int _work(self, Workspace space) except -1 nogil:
        cdef document_t document
        cdef size_t chunk, i
        cdef int64_t status
        while True:
            chunk = self.next_chunk.fetch_add(1)
            if chunk + 1 >= self.chunk_starts.size():
                return 0
            space.used = 0
            space.ids.reserve(self.chunk_rooms[chunk], 0)
            for i in range(self.chunk_starts[chunk], self.chunk_starts[chunk + 1]):
                look_at(self.items[i], &document)
                status = encode_document(&self.encoder.tables, space, &document, space.ids.data() + space.used)
                if status < 0:
                    # All chunks before this one are taken and will be finished, so the first bad text will be known.
                    self.next_chunk.store(self.chunk_starts.size())
                    with gil:
                        self.bad.append((i, -2 - status))
                    return 0
                self.counts[i] = status
                space.used += status
            self.order.put(chunk, space.ids, space.used)

    cdef tuple finished(self):
        """The ids of all texts, and where each text's begin."""
        cdef size_t i
        if self.bad:
            number, place = min(self.bad)
            raise_surrogate(self.texts[number], place, number)
        self.order.finish()
        ids = self.results.array(self.order.size())
        offsets = np.empty(len(self.texts) + 1, dtype=np.int64)
        cdef const token_id_t[::1] view = ids
        cdef int64_t[::1] offset = offsets
        offset[0] = 0
        for i in range(self.counts.size()):
            offset[i + 1] = offset[i] + self.counts[i]
        if not self.encoder.all_bytes:
            for i in range(self.counts.size()):
                if offset[i + 1] > offset[i]:
                    self.encoder._refuse_missing(&view[offset[i]], offset[i + 1] - offset[i], self.texts[i], i)
        return ids, offsets


cdef int hash_bits(size_t count) noexcept:
    """How many bits a hash has that tells so many apart, mostly."""
    cdef int bits = MIN_SPAN_BITS
    while bits < MAX_SPAN_BITS and <size_t>1 << bits < SPAN_SPARSITY * count:
        bits += 1
    return bits


def all_within(list texts, bytes bits):
    """Whether each character of each str is one of those below U+10000 whose bit is set."""
    cdef const uint8_t* members = <const uint8_t*>PyBytes_AS_STRING(bits)
    cdef document_t document
    cdef const uint8_t* ones
    cdef const uint16_t* twos
    cdef uint8_t within = 1
    cdef size_t i
    if PyBytes_GET_SIZE(bits) != 1 << 13:
        raise ValueError("one bit for each character below U+10000")
    for text in texts:
        document = as_document(text)
        if document.kind == 2:
            twos = <const uint16_t*>document.data
            for i in range(document.length):
                within &= members[twos[i] >> 3] >> (twos[i] & 7)
        elif document.kind < 2:
            ones = <const uint8_t*>document.data
            for i in range(document.length):
                within &= members[ones[i] >> 3] >> (ones[i] & 7)
        else:
            within = 0
        if not within:
            return False
    return True


cdef fused bit_set:
    uint16_t
    uint64_t


cdef uint16_t set_number(bit_set* sets, bit_set wanted) noexcept:
    """The number of a set among 256, which it is put among if it is new; number 0 is the empty set.

    Should there be more than a byte can number, the last one is everything: a bridge too many, never one too few.
    """
    cdef uint16_t number = 0
    while number < 255 and sets[number] != wanted and (number == 0 or sets[number] != 0):
        number += 1
    sets[number] = wanted if number < 255 else ~<bit_set>0
    return number


cdef object id_array(const token_id_t* ids, size_t count):
    array = new_array(count, dtype=uint32)
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)   # a typed memoryview costs half a microsecond more
    memcpy(view.buf, ids, count * sizeof(token_id_t))
    PyBuffer_Release(&view)
    return array


cdef int raise_surrogate(object text, int64_t place, object number) except -1:
    where = f"position {place}" if number is None else f"position {place} of text {number}"
    raise EncodeError(
        f"the text holds a lone surrogate U+{ord(text[place]):04X} at {where}, which no UTF-8 can say; "
        "pass errors='replace' to encode U+FFFD in its place"
    )
