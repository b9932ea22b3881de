# cython: auto_pickle=False
"""The run of a vocabulary's merges on each token's own bytes: where the last merge joined, and by which ranks.

What it does: for every token at once what ``encode_pretoken`` of ``reference.py`` does for one, and notes the last
merge. What it does not: know of patterns, or of the whole-pretoken rule. What the numbers mean is said in
``analysis/merge_forest.py``, which checks the arguments. The run on one token is quadratic in its length: tokens are
short, and the caller refuses those that are not.
"""

from cython.operator cimport dereference
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

import numpy as np

cdef int64_t NO_MERGE = <int64_t> 1 << 62
cdef uint32_t NO_TOKEN = 0xFFFFFFFF


cdef class _Table:
    """What two adjacent parts merge to: by their bytes in a rank table, by their numbers in a merge list."""

    cdef bint by_bytes
    cdef unordered_map[string, uint32_t] rank_of
    cdef unordered_map[uint64_t, uint32_t] place_of
    cdef vector[uint32_t] made
    cdef uint32_t byte_number[256]

    cdef int64_t rank(self, const uint8_t* token, const int64_t* edges, const uint32_t* parts) except -1 nogil:
        """The rank of the pair that begins at the first of these edges; NO_MERGE where it does not merge."""
        cdef unordered_map[string, uint32_t].iterator by_bytes
        cdef unordered_map[uint64_t, uint32_t].iterator by_number
        if self.by_bytes:
            by_bytes = self.rank_of.find(string(<const char*> token + edges[0], edges[2] - edges[0]))
            return NO_MERGE if by_bytes == self.rank_of.end() else <int64_t> dereference(by_bytes).second
        by_number = self.place_of.find(<uint64_t> parts[0] << 32 | parts[1])
        return NO_MERGE if by_number == self.place_of.end() else <int64_t> dereference(by_number).second


def last_merges(
    const uint8_t[::1] data not None,
    const int64_t[::1] ends not None,
    const uint32_t[::1] ranks,
    const uint32_t[:, ::1] merges,
):
    """Run the merges on each token's own bytes.

    Args:
        data: The tokens, one after another; token i ends at ``ends[i]``. All are distinct.
        ends: Ascending.
        ranks: Of a rank table, the rank of each token; else None.
        merges: Of a merge list, (left, right, made) by rank, as numbers of tokens, shape (merges, 3); else None.

    Returns:
        ``(parts, left, rank, highest)``, each of shape (tokens,): how many parts are left at the end, 0 where a byte
        has no token; for one part, the bytes of the left half of the last merge, else 0; its rank, -1 for none; the
        highest rank of the merges before it, -1 for none.
    """
    cdef Py_ssize_t tokens = ends.shape[0]
    cdef Py_ssize_t number, place, best, at, left_over
    cdef int64_t begin = 0, length, lowest, last, high
    cdef vector[int64_t] edges
    cdef vector[int64_t] pair_ranks
    cdef vector[uint32_t] parts
    cdef const uint8_t* token
    cdef bint known
    cdef _Table table = _Table()
    table.by_bytes = ranks is not None
    for place in range(256):
        table.byte_number[place] = NO_TOKEN
    found_parts = np.zeros(tokens, np.int32)
    found_left = np.zeros(tokens, np.int32)
    found_rank = np.full(tokens, -1, np.int64)
    found_highest = np.full(tokens, -1, np.int64)
    cdef int[::1] out_parts = found_parts
    cdef int[::1] out_left = found_left
    cdef int64_t[::1] out_rank = found_rank
    cdef int64_t[::1] out_highest = found_highest
    if tokens == 0:
        return found_parts, found_left, found_rank, found_highest
    with nogil:
        for number in range(tokens):
            length = ends[number] - begin
            if length == 1:
                table.byte_number[data[begin]] = <uint32_t> number
            if table.by_bytes:
                table.rank_of[string(<const char*> &data[begin], length)] = ranks[number]
            begin = ends[number]
        if not table.by_bytes:
            for place in range(merges.shape[0]):
                table.place_of[<uint64_t> merges[place, 0] << 32 | merges[place, 1]] = <uint32_t> place
                table.made.push_back(merges[place, 2])
        begin = 0
        for number in range(tokens):
            token = &data[begin]
            length = ends[number] - begin
            begin = ends[number]
            edges.clear()
            parts.clear()
            pair_ranks.clear()
            known = True
            for at in range(length):
                edges.push_back(at)
                parts.push_back(table.byte_number[token[at]])
                known = known and parts.back() != NO_TOKEN
            edges.push_back(length)
            if not known and not table.by_bytes:
                continue  # no listed pair has such a byte; a rank table may still join it
            for at in range(length - 1):
                pair_ranks.push_back(table.rank(token, &edges[at], &parts[at]))
            last = -1
            high = -1
            while pair_ranks.size():
                best = 0
                lowest = pair_ranks[0]
                for at in range(1, <Py_ssize_t> pair_ranks.size()):
                    if pair_ranks[at] < lowest:
                        lowest = pair_ranks[at]
                        best = at
                if lowest == NO_MERGE:
                    break
                high = max(high, last)
                last = lowest
                if pair_ranks.size() == 1:
                    out_left[number] = <int> edges[1]
                if not table.by_bytes:
                    parts[best] = table.made[lowest]
                parts.erase(parts.begin() + best + 1)
                edges.erase(edges.begin() + best + 1)
                pair_ranks.erase(pair_ranks.begin() + best)
                left_over = <Py_ssize_t> pair_ranks.size()
                if best:
                    pair_ranks[best - 1] = table.rank(token, &edges[best - 1], &parts[best - 1])
                if best < left_over:
                    pair_ranks[best] = table.rank(token, &edges[best], &parts[best])
            for at in range(<Py_ssize_t> edges.size() - 1):
                if edges[at + 1] - edges[at] == 1 and table.byte_number[token[edges[at]]] == NO_TOKEN:
                    parts.clear()  # a byte is left that has no token
                    break
            out_parts[number] = <int> parts.size()
            out_rank[number] = last
            out_highest[number] = high
    return found_parts, found_left, found_rank, found_highest
