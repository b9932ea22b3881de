# distutils: language = c++
"""Characters first: the merge loop for text that is mostly characters of several bytes.

What it does: chooses the learner that is fastest for a text (``learner``), and learns the first merges of Chinese, say,
once a character instead of once an occurrence. What it does not: change any merge. ``_merge.pyx`` is the loop itself
and says what a learner does; ``CharacterLearner`` says here why it may begin differently.
"""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.pair cimport pair
from libcpp.queue cimport priority_queue
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

from bbpe._merge cimport (
    BROKEN, COUNTED, LAID_OUT, NONE, SEPARATOR, STRETCH, BigArray, KeyedPool, MergeLearner, as_array, candidate_t,
    group_t, next_stretch, pair_key, pair_t
)
from bbpe._types cimport count_t, token_id_t


cdef extern from "_native/utf8.hpp" namespace "bbpe" nogil:
    size_t utf8_sequence(const uint8_t*, const uint8_t*) noexcept


cdef enum:
    SAMPLE = 1 << 19    # bytes of distinct pretokens to try on, about: 1 % of the time on 30 MB of Chinese
    SMALL = 8           # so many samples are learned from without a trial: it would cost more than it saves
    LONG_STAGE = 50     # merges in the first stage of the trial that make it worth while on all the text

cdef struct bound_t:      # of a mixed pair (see CharacterLearner)
    uint64_t key
    count_t count


@cython.final
cdef class Symbols:
    """Symbols in memory that a learner can go on using when it has read them."""

    cdef BigArray[token_id_t] array
    cdef Py_ssize_t size


@cython.final
cdef class CharacterLearner(MergeLearner):
    """The same merges for text that is mostly characters of several bytes, sooner and in 60 % of the memory.

    Starting from bytes, four replacements in five on Chinese text join bytes inside a character, and do the same to
    every occurrence of it. So begin with one cell a *character*, and with each distinct character once, weighted, in a
    small learner of its own (``inside``). As long as every merge was either

    - *inside*: both sides are pieces of one character, or
    - *whole*: both sides are one or more whole characters,

    a character that is not yet one token has the same pieces at all of its occurrences, and the two kinds are told
    apart by their bytes: no character's bytes begin another's (UTF-8 says the length in the first byte), pieces behind
    the first begin with a continuation byte, and nothing else does. Hence each pair of ids is counted in one place
    only: inside pairs, exactly, by ``inside``; whole pairs, exactly, by the pairs of cells of which both are single
    tokens; *mixed* pairs, such as (的, first byte of a character), not at all. The count of a mixed pair is bounded by
    its occurrences in the text as it was at the start: a whole merge only takes some away.

    When the best inside or whole pair no longer beats every bound, this first stage is over (on 30 MB of Chinese after
    1,499 merges and 80 % of all replacements): the cells are rewritten as tokens, and the plain learner goes on.
    A wrong guess about the text costs time and never gives a different merge.

    A symbol of the first stage is a byte's token, a character, or a token made by a whole merge; ``ids`` gives its
    token. For the bounds, the pairs of characters at the start are kept by left character (rows) and by right one
    (columns): when the first or last piece of a character changes, its column or row says which mixed pairs gain and
    lose. Like counts, bounds never rise after birth, and for the same reason.

    Where tokens are to be whole characters or a single piece of one (``utf8_safe``) no mixed pair may ever be merged,
    and every inside and every whole pair may. Then there is nothing to bound, and the first stage lasts to the end.
    """

    cdef MergeLearner inside
    cdef bint by_character               # the first stage is not over
    cdef bint counted
    cdef bint unmixed                    # no mixed pair may be merged
    cdef uint64_t switched_at
    cdef token_id_t first_symbol         # of characters; those of bytes stand before it
    cdef vector[token_id_t] ids          # token of a symbol; NONE for a character in pieces
    cdef vector[token_id_t] symbols      # symbol of a token; NONE for a piece
    cdef vector[uint32_t] character_at   # by cell of `inside`
    cdef vector[token_id_t] first        # first and last piece, by symbol, of bytes and characters
    cdef vector[token_id_t] last
    cdef vector[vector[uint32_t]] waiting  # by character: pairs that go into the queue when it is one token

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

    def __init__(self, Symbols symbols, characters, const int64_t[::1] offsets, const count_t[::1] counts, tokens, *,
                 byte_ids, count_t corpus_bytes, taken=(), first_id=256, min_count=2, max_token_bytes=None,
                 rules=None):
        cdef const uint32_t[::1] sizes
        cdef const count_t[::1] weights
        cdef const token_id_t[::1] id_of_byte = byte_ids
        cdef const uint8_t[::1] data
        cdef Py_ssize_t c, offset = 0
        cdef uint64_t cell
        super().__init__(<token_id_t[:symbols.size]> symbols.array.data(), offsets, counts, tokens, taken=taken,
                         first_id=first_id, min_count=min_count, max_token_bytes=max_token_bytes, shortest=1,
                         rules=rules)
        self.pool.swap((<BigArray[uint32_t]*> &symbols.array)[0])  # they stand in the cells now
        self.unmixed = rules is not None
        data, sizes, weights = characters
        places = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=places[1:])
        self.inside = MergeLearner(np.asarray(data), places, np.asarray(weights), tokens, byte_ids=byte_ids,
                                   taken=taken, first_id=first_id, min_count=min_count,
                                   max_token_bytes=max_token_bytes, note_places=True)
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

    # ---- ids and the queue ----

    cdef token_id_t token_of(self, token_id_t symbol) noexcept nogil:
        return self.ids[symbol] if self.by_character else symbol

    cdef uint64_t key_of_tokens(self, uint64_t key) noexcept nogil:
        if not self.by_character:
            return key
        return pair_key(self.ids[key >> 32], self.ids[<token_id_t> key])

    cdef int offer(self, uint32_t number) except -1 nogil:
        """A pair with a character in pieces waits for that character."""
        cdef pair_t* record = self.pairs.data() + number
        cdef token_id_t left = <token_id_t> (record.key >> 32)
        cdef token_id_t right = <token_id_t> record.key
        if not self.by_character:
            return MergeLearner.offer(self, number)
        if self.ids[left] == NONE:
            self.waiting[left].push_back(number)
        elif self.ids[right] == NONE:
            self.waiting[right].push_back(number)
        else:
            self.queue.add(number, record.count, pair_key(self.ids[left], self.ids[right]))
        return 0

    cdef int may_make(self, token_id_t left, token_id_t right) except -1 nogil:
        """A pair of whole characters may always be merged, whether or not they are tokens yet."""
        if self.by_character:
            return 1
        return MergeLearner.may_make(self, left, right)

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
        self.cut = self.min_count if self.unmixed else max(self.min_count, best >> 12)
        self.bar = self.cut  # the stage ends where the best count falls below it
        self.row_starts.resize(characters + 1, 0)
        self.column_starts.resize(characters + 1, 0)
        self.count_pairs()
        for u in range(1, characters + 1):  # `note_pair` left the ends of rows and the sizes of columns
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
        if self.by_character and not self.unmixed and (left >= self.first_symbol or right >= self.first_symbol):
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
        length = <uint32_t> self.tokens.length(z)
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
            positions.clear()
            positions.swap(self.waiting[u])
            for number in positions:
                if self.pairs.data()[number].count:  # else it was dropped; one that has its number now waits twice
                    self.offer(number)
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
        """Rewrite the cells as tokens; symbols are the ids of tokens from here on.

        They are written where the positions of pairs stood, which are found anew, in the memory of the old cells: first
        touching fresh memory costs more than all that is written to it.
        """
        cdef const token_id_t* source = self.cells.data()
        cdef token_id_t* target
        cdef vector[group_t] groups
        cdef group_t group
        cdef uint64_t at = STRETCH, i, g, start, p, end
        cdef uint64_t pieces, most = 1  # of a character
        cdef token_id_t u
        self.pairs.clear()
        self.queue.clear()
        vector[vector[uint32_t]]().swap(self.waiting)
        vector[token_id_t]().swap(self.row_others)  # clear() would keep the memory
        vector[count_t]().swap(self.row_counts)
        vector[token_id_t]().swap(self.column_others)
        vector[count_t]().swap(self.column_counts)
        self.bounds.clear()
        for u in range(<token_id_t> self.ids.size()):
            if self.ids[u] == NONE:
                p = inside.places[u - self.first_symbol]
                end = p + self.length[u]
                pieces = 0
                while p < end:
                    p += inside.width[inside.cells.data()[p]]
                    pieces += 1
                most = max(most, pieces)
        # Room for as many pieces in every cell is far too much, and costs nothing where nothing is written.
        self.pool.reserve(self.used_cells * most)
        target = self.pool.data()
        for i in range(STRETCH):
            target[i] = SEPARATOR
        for g in range(self.groups.size()):
            group = self.groups[g]
            i = group.begin
            group.begin = at
            while i < group.end:
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
            if at > group.begin:
                group.end = at
                groups.push_back(group)
                at = next_stretch(at)
        self.groups.swap(groups)
        self.cells.swap((<BigArray[token_id_t]*> &self.pool)[0])
        self.cells.resize(at)
        self.used_cells = at
        self.weigh_stretches()
        self.by_character = False
        self.switched_at = self.learned_left.size()
        self.clear_symbols()
        for i in range(self.next_id):
            self.add_symbol(<uint32_t> self.tokens.length(i), 1)
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


cdef int may_pay(const uint8_t* data, const int64_t* offsets, const count_t* counts, Py_ssize_t pretokens,
                 bint trial) except -1 nogil:
    """Whether a good part of the bytes belong to characters of several and, without a trial, their most frequent pair.

    Not so in Cyrillic, say, where a space and the first byte of most letters are the most frequent pair of all.
    """
    cdef vector[count_t] inside, mixed
    cdef uint64_t several = 0
    cdef Py_ssize_t p
    cdef int64_t i
    cdef uint8_t x, y
    cdef count_t best_inside = 0, best_mixed = 0
    for i in range(offsets[0], offsets[pretokens]):
        several += data[i] >= 0x80
    if several * 10 < <uint64_t> (offsets[pretokens] - offsets[0]) * 3:
        return False
    if trial:
        return True
    inside.resize(1 << 16, 0)
    mixed.resize(1 << 16, 0)
    for p in range(pretokens):
        for i in range(offsets[p], offsets[p + 1]):
            y = data[i]
            if i > offsets[p]:
                x = data[i - 1]
                if y & 0xC0 == 0x80:
                    inside[<uint32_t> x << 8 | y] += counts[p]
                elif x >= 0x80 or y >= 0x80:
                    mixed[<uint32_t> x << 8 | y] += counts[p]
    for p in range(1 << 16):
        best_inside = max(best_inside, inside[p])
        best_mixed = max(best_mixed, mixed[p])
    return best_inside >= 2 * best_mixed


def learner(symbols, offsets, counts, tokens, *, byte_ids=None, by_character=None, **options):
    """The learner that is fastest for the text: arguments as for MergeLearner, which says what they mean.

    Args:
        by_character: Whether to begin with whole characters, where the bytes are built as UTF-8. None: if that pays,
            which a trial on about ``SAMPLE`` bytes tells. (The first stage ends with the first mixed merge. That is the
            1,499th on Chinese web pages, but on classical Chinese the 7th: a comma and the first byte of what follows.)
            The merges are the same.
    """
    if options.get("rules") is None:
        options.pop("rules", None)
    elif not options["rules"].only_utf8_safe or byte_ids is None or not len(symbols) or not is_utf8(symbols):
        by_character = False  # its two kinds of merges are told apart by what no other rule takes away
    if byte_ids is not None and by_character is not False and symbols.shape[0]:
        if by_character is None:
            step = symbols.shape[0] // SAMPLE
            data, starts, times = symbols, offsets, counts
            if step >= SMALL:
                data, starts, times = sampled(symbols, offsets, counts, step)
            by_character = pays(data, starts, times, tokens, byte_ids, step >= SMALL, options)
        if by_character:
            found = character_learner(symbols, offsets, counts, tokens, byte_ids, options)
            if found is not None:
                return found
    return MergeLearner(symbols, offsets, counts, tokens, byte_ids=byte_ids, **options)


cdef bint is_utf8(const uint8_t[::1] data) except *:
    """Whether the bytes are valid UTF-8, as ``TextRules`` sees it."""
    cdef const uint8_t* at = &data[0]
    cdef const uint8_t* end = at + data.shape[0]
    cdef size_t length = 1
    with nogil:
        while at < end and length:
            length = utf8_sequence(at, end)
            at += length
    return length != 0


def trial_step(int64_t size):
    """Of how many pretokens ``learner`` tries one, before it chooses; 0 where it chooses without a trial.

    Args:
        size: Bytes of all distinct pretokens.
    """
    return size // SAMPLE if size // SAMPLE >= SMALL else 0


def trial_pays(symbols, offsets, counts, tokens, byte_ids, **options):
    """Whether ``learner`` begins with whole characters, from the pretokens it would try: every ``trial_step``-th."""
    return bool(pays(symbols, offsets, counts, tokens, byte_ids, True, options))


cdef object character_learner(symbols, offsets, counts, tokens, byte_ids, options):
    """A CharacterLearner of pretokens in bytes; None where the bytes are not built as UTF-8 builds them."""
    found = to_characters(symbols, offsets, counts, byte_ids, options.get("first_id", 256))
    if found is None:
        return None
    symbols, starts, characters, corpus_bytes = found
    return CharacterLearner(symbols, characters, starts, counts, tokens, byte_ids=byte_ids, corpus_bytes=corpus_bytes,
                            **options)


cdef bint pays(const uint8_t[::1] data, const int64_t[::1] offsets, const count_t[::1] counts, tokens, byte_ids,
               bint trial, options) except *:
    """Whether to begin with characters: what is unlikely without a trial, and then a trial, which rules do not need."""
    cdef int may
    trial = trial or "rules" in options
    with nogil:
        may = may_pay(&data[0], &offsets[0], &counts[0], counts.shape[0], trial)
    if not may or not trial or "rules" in options:
        return may
    tried = character_learner(data, offsets, without_outliers(counts), tokens, byte_ids, options)
    if tried is None:
        return False
    while len(tried) < LONG_STAGE and tried.merges_by_character == len(tried) and tried.learn(LONG_STAGE):
        pass
    return tried.merges_by_character >= LONG_STAGE


cdef object without_outliers(const count_t[::1] counts):
    """The counts of a sample, the highest thousandth lowered to the lowest of these.

    A pretoken of the sample stands for as many as were left out, but of the most frequent ones each is without its
    like: one that happens to be drawn would outweigh all others. (On 70 MB of Chinese one made the trial fail.)
    """
    cdef Py_ssize_t place = counts.shape[0] - 1 - counts.shape[0] // 1000
    return np.minimum(counts, np.partition(counts, place)[place])


cdef object sampled(const uint8_t[::1] data, const int64_t[::1] offsets, const count_t[::1] counts, Py_ssize_t step):
    """Every ``step``-th pretoken: data, offsets, counts."""
    cdef Py_ssize_t p = 0, q = 0, size
    few_offsets = np.zeros((counts.shape[0] - 1) // step + 2, np.int64)
    few_counts = np.ascontiguousarray(np.asarray(counts)[::step])
    cdef int64_t[::1] at = few_offsets
    for q in range(at.shape[0] - 1):
        at[q + 1] = at[q] + offsets[q * step + 1] - offsets[q * step]
    few = np.empty(few_offsets.max(), np.uint8)
    cdef uint8_t[::1] view = few
    for q in range(at.shape[0] - 1):
        size = at[q + 1] - at[q]
        for p in range(size):
            view[at[q] + p] = data[offsets[q * step] + p]
    return few, few_offsets, few_counts


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
    cdef Symbols symbols = Symbols()
    symbols.size = <Py_ssize_t> total
    symbols.array.resize(total)
    cdef token_id_t* cells = symbols.array.data()
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
                    cells[at] = byte_ids[text[0]]
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
                    cells[at] = slot[0]
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
    return symbols, starts, (spelled_view, sizes_view, as_array(weights)), corpus_bytes
