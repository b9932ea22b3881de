# What the two learners share: `_merge.pyx` explains all of it, `_characters.pyx` builds on it.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.string cimport string
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
        uint32_t guess(uint64_t) noexcept
        uint32_t checked(uint32_t, uint64_t) noexcept
        void clear() except +
        R* data() noexcept
        uint32_t numbers() noexcept
        uint64_t size() noexcept
    void prefetch(const void*) noexcept

cdef extern from "_native/best_first.hpp" namespace "bbpe" nogil:
    cdef cppclass BestFirst:
        cppclass Item:
            count_t count
            uint64_t key
            uint32_t number
        void add(uint32_t, count_t, uint64_t) except +
        bint take(Item&) noexcept
        void open(vector[uint32_t]&) except +
        void opened() noexcept
        size_t known() noexcept
        uint32_t coming(size_t) noexcept
        void clear() noexcept

ctypedef BestFirst.Item item_t  # a pair in the queue, its key that of tokens

cdef extern from "_native/token_list.hpp" namespace "bbpe" nogil:
    cdef cppclass TokenList:
        void add(const string&) except +
        void refuse(const string&) except +
        bint joined_is_there(uint32_t, uint32_t) except +
        void add_joined(uint32_t, uint32_t) except +
        string joined(uint32_t, uint32_t) except +
        size_t length(uint32_t) noexcept
        size_t size() noexcept
        void reserve(size_t) except +

cdef extern from "_native/text_rules.hpp" namespace "bbpe" nogil:
    cdef cppclass TextRules:
        bint whole_or_piece
        uint32_t max_characters
        vector[uint8_t] characters
        bint only_pieces
        unordered_set[string] pieces_taken
        unordered_set[string] pieces_refused
        vector[string] denied
        bint allows(const string&) except +


cdef extern from * nogil:
    """
    static const uint32_t bbpe_separator = 0xFFFFFFFFu;
    static const uint32_t bbpe_inside = 0xFFFFFFFEu;
    static const uint32_t bbpe_none = 0xFFFFFFFFu;
    """
    const token_id_t SEPARATOR "bbpe_separator"  # a cell between two pretokens
    const token_id_t INSIDE "bbpe_inside"        # a cell inside a token that once was the edge of one
    const uint32_t NONE "bbpe_none"              # no pair, no id

cdef enum:  # stages of a learner
    LAID_OUT, COUNTED, EXHAUSTED, BROKEN

cdef enum:
    STRETCH = 64  # cells of one weight: groups begin at multiples of it

cdef enum:  # places among the neighbours that a merge finds
    ABSENT, BORDER, FIRST  # that of none, of the separator, and of the first symbol

cdef struct pair_t:
    uint64_t key       # left id << 32 | right id
    count_t count      # positions x counts of their pretokens, now
    uint64_t block     # where its positions begin in the pool
    uint32_t entries   # positions in the block, some of them stale
    uint32_t live      # positions that still hold the pair

cdef struct group_t:   # pretokens of equal count
    uint64_t begin     # first cell, a multiple of STRETCH
    uint64_t end       # first cell past them
    count_t count

cdef struct neighbour_t:  # what one merge does to the pair of one neighbouring symbol
    count_t count
    uint64_t cursor       # where the next position of the new pair goes
    uint32_t positions
    uint32_t step         # by how much the cursor moves then: 0 for a pair that is not kept
    uint32_t slot         # of the symbol
    uint32_t width        # of one on the left

cdef struct candidate_t:  # the best pair
    count_t count
    uint64_t key          # left id << 32 | right id, of tokens
    uint32_t number       # NONE: there is none

cdef struct seen_t:       # a replaced pair and what stands beside it, to be put in the blocks of the new pairs
    uint32_t position
    uint32_t left         # places of the neighbours
    uint32_t right


cdef inline uint64_t pair_key(token_id_t left, token_id_t right) noexcept nogil:
    return <uint64_t> left << 32 | right

cdef inline uint32_t slot_of(token_id_t symbol) noexcept nogil:
    """Where a symbol stands in a table by symbol: the separator before all others, at 0."""
    return symbol + 1

cdef inline uint64_t next_stretch(uint64_t cell) noexcept nogil:
    return (cell + STRETCH - 1) // STRETCH * STRETCH


cdef object as_array(const vector[count_t]& values)


cdef class MergeLearner:
    cdef BigArray[token_id_t] cells
    cdef uint64_t used_cells
    cdef vector[group_t] groups
    cdef BigArray[count_t] weights       # by stretch of cells: the count of their pretokens
    cdef vector[uint64_t] places         # by pretoken: its first cell, if asked for
    cdef uint64_t shortest
    cdef bint only_bytes                 # no symbol is 256 or more

    cdef KeyedPool[pair_t] pairs
    cdef BigArray[uint32_t] pool         # blocks: number of the pair (NONE: free), capacity, positions
    cdef uint64_t pool_used
    cdef BestFirst queue                 # of pairs, by numbers that may belong to others by now
    cdef vector[uint32_t] opened         # taken out of the queue, to be put in order

    cdef vector[uint32_t] width          # in cells, by symbol
    cdef vector[uint32_t] length         # in bytes, by symbol
    cdef TokenList tokens                # by id
    cdef unordered_set[string] kept      # what pairs make that are never dropped for being rare
    cdef bint keeps                      # something is
    cdef vector[uint8_t] in_kept         # by id, where something is
    cdef token_id_t next_id
    cdef count_t min_count
    cdef count_t bar                     # pairs that occur less often are not kept for now; at least min_count
    cdef uint64_t learned_before         # merges when the bar was set
    cdef count_t left_out                # count of the most frequent one that was not kept when all were counted
    cdef uint32_t max_token_bytes
    cdef TextRules rules                 # what tokens may be made, where `restricted`
    cdef bint restricted

    cdef vector[uint32_t] left_place     # by slot: place in `lefts`; between merges ABSENT, but for the separator
    cdef vector[uint32_t] right_place
    cdef vector[neighbour_t] lefts       # by place, in the order in which they are met; all zero between merges
    cdef vector[neighbour_t] rights
    cdef vector[uint32_t] beside         # numbers of the old pairs with them, first the left ones
    cdef BigArray[seen_t] seen

    cdef vector[token_id_t] learned_left
    cdef vector[token_id_t] learned_right
    cdef vector[count_t] learned_count
    cdef vector[count_t] curve
    cdef count_t corpus_tokens
    cdef int stage

    cdef int add_token(self, const string& token) except -1 nogil
    cdef int reserve(self, uint64_t merges) except -1 nogil
    cdef int add_symbol(self, uint32_t length, uint32_t width) except -1 nogil
    cdef int add_slot(self) except -1 nogil
    cdef int reserve_neighbours(self, uint64_t positions) except -1 nogil
    cdef void clear_symbols(self) noexcept nogil
    cdef int lay_out(self, const uint8_t* as_bytes, const token_id_t* as_ids, const token_id_t* byte_map,
                     const int64_t* offsets, const count_t* counts, Py_ssize_t pretokens) except -1 nogil
    cdef void write_pretoken(self, token_id_t* cells, const uint8_t* as_bytes, const token_id_t* as_ids,
                             const token_id_t* byte_map, int64_t offset, uint64_t size) noexcept nogil
    cdef int weigh_stretches(self) except -1 nogil
    cdef int count_pairs(self) except -1 nogil
    cdef int count_again(self) except -1 nogil
    cdef int close_up(self) except -1 nogil
    cdef void lower_bar(self, uint64_t merges) noexcept nogil
    cdef int count_byte_pairs(self) except -1 nogil
    cdef int count_any_pairs(self) except -1 nogil
    cdef int count_right_of(self, token_id_t left, uint64_t begin, uint32_t positions, uint64_t rest) except -1 nogil
    cdef int note_pair(self, token_id_t left, token_id_t right, count_t count) except -1 nogil
    cdef uint32_t add_pair(self, uint64_t key, count_t count, uint32_t live) except 0xFFFFFFFF nogil
    cdef void new_block(self, uint32_t number, uint32_t capacity) noexcept nogil
    cdef int drop_pair(self, uint32_t number) except -1 nogil
    cdef int reserve_blocks(self, uint64_t wanted) except -1 nogil
    cdef uint64_t key_of_tokens(self, uint64_t key) noexcept nogil
    cdef int offer(self, uint32_t number) except -1 nogil
    cdef void fetch_coming(self) noexcept nogil
    cdef token_id_t token_of(self, token_id_t symbol) noexcept nogil
    cdef int best_pair(self, candidate_t* best) except -1 nogil
    cdef int put_back(self, const candidate_t* candidate) except -1 nogil
    cdef int apply_merge(self, uint32_t number) except -1 nogil
    cdef int apply_pair(self, token_id_t left, token_id_t right) except -1 nogil
    cdef int new_token(self, token_id_t left, token_id_t right, count_t count) except -1 nogil
    cdef int lose(self, uint64_t key, uint32_t guess, const neighbour_t* lost) except -1 nogil
    cdef uint64_t weigh(self, neighbour_t* at, token_id_t left, token_id_t right) except 0xFFFFFFFFFFFFFFFF nogil
    cdef int may_make(self, token_id_t left, token_id_t right) except -1 nogil
    cdef int is_kept(self, token_id_t left, token_id_t right) except -1 nogil
    cdef int bear(self, uint64_t key, neighbour_t* at) except -1 nogil
    cdef void store(self, uint32_t replaced, uint32_t last_left, uint32_t last_right) noexcept nogil
    cdef int learn_merges(self, uint64_t merges, uint64_t work) except -1 nogil
    cdef void release(self) noexcept nogil
