# distutils: language = c++
"""Several texts, one list of merges: whose pair goes next is decided anew before each merge.

What it does: balances languages and brings in seed tokens, as ``reference.next_pair`` says. What it does not: count,
merge, or know what a text is: each text is a ``MergeLearner`` (``_merge.pyx``) of its own, and all of them apply every
merge that one of them has chosen. That is exact, since a learner's ids follow from the merges alone; and it is why
balanced languages keep pairs that occur once: such a pair may be frequent in another text. So balancing takes more
memory and time than a plain training. What seed tokens choose is a part of one of them: only such pairs are kept.
"""

import numpy as np

from libc.stdint cimport uint64_t
from libcpp.vector cimport vector

from bbpe._merge cimport BROKEN, COUNTED, EXHAUSTED, LAID_OUT, NONE, MergeLearner, as_array, candidate_t
from bbpe._types cimport count_t, token_id_t


cdef class JointLearner:
    """Learns one list of merges from several texts; the same surface as ``MergeLearner``.

    Args:
        texts: What is learned from: learners that keep every pair that another one may choose (``min_count`` 1, or
            ``keep``), and number their tokens alike.
        sides: For each text its side of a parallel text, to measure by; none where there is only one text.
        seeds: The seed tokens as a text in which each stands once; None where there are none.
        seed_tokens: How many they are.
        min_count: Pairs that occur less often in a text are not chosen for it.
    """

    cdef list texts
    cdef list sides
    cdef MergeLearner seeds
    cdef count_t seed_tokens
    cdef count_t min_count
    cdef vector[count_t] learned_count
    cdef vector[count_t] choices          # of each merge: the place of the text that chose it; after those: seeds
    cdef bint counted

    def __init__(self, texts, sides=(), MergeLearner seeds=None, *, count_t seed_tokens=0, count_t min_count=2):
        self.texts = list(texts)
        self.sides = list(sides)
        self.seeds = seeds
        self.seed_tokens = seed_tokens
        self.min_count = min_count

    @property
    def seed_merges(self):
        """Boundaries between tokens that are left inside the seed tokens: they need at most so many merges."""
        return 0 if self.seeds is None else self.seeds.corpus_tokens - self.seed_tokens

    def learn(self, uint64_t merges, uint64_t work=1 << 22):
        """As ``MergeLearner.learn``; ``merges`` is also what seed tokens have to be finished by."""
        cdef MergeLearner learner
        cdef uint64_t visited = 0
        cdef list everyone = [*self.texts, *self.sides] + ([] if self.seeds is None else [self.seeds])
        for learner in everyone:
            if learner.stage == BROKEN:
                raise MemoryError("an earlier step ran out of memory")
        try:
            if not self.counted:
                for learner in everyone:
                    if learner.stage == LAID_OUT:
                        with nogil:
                            learner.count_pairs()
                        learner.stage = COUNTED
                self.counted = True
                return True
            while self.learned_count.size() < merges and visited < work:
                if not self.step(everyone, merges - self.learned_count.size(), &visited):
                    return False
        except MemoryError:
            for learner in everyone:
                learner.stage = BROKEN
            raise
        return True

    cdef bint step(self, list everyone, uint64_t left, uint64_t* visited) except *:
        """One merge; False when no text has a pair for it."""
        cdef candidate_t best
        cdef count_t missing = self.seed_merges
        cdef Py_ssize_t chosen = -1
        cdef MergeLearner learner
        best.number = NONE
        if missing > 0 and left <= <uint64_t> missing:
            chosen = self.best_of([len(self.texts)], 1, &best)
        if chosen < 0:
            for turn in self.turns():
                chosen = self.best_of(turn, self.min_count, &best)
                if chosen >= 0:
                    break
        if chosen < 0 and missing > 0:
            chosen = self.best_of([len(self.texts)], 1, &best)
        if chosen < 0:
            return False
        for learner in everyone:
            visited[0] += 1
            number = learner.pairs.find(best.key)
            if number != NONE:
                visited[0] += learner.pairs.data()[<size_t> number].entries
            with nogil:
                learner.apply_pair(<token_id_t> (best.key >> 32), <token_id_t> best.key)
        self.learned_count.push_back(best.count)
        self.choices.push_back(chosen)
        return True

    cdef list turns(self):
        """The texts in the order in which they have their turn, those of equal right together."""
        cdef MergeLearner side
        if not self.sides:
            return [list(range(len(self.texts)))]
        lengths = [side.corpus_tokens for side in self.sides]
        return [
            [place for place, length in enumerate(lengths) if length == most]
            for most in sorted(set(lengths), reverse=True)
        ]

    cdef Py_ssize_t best_of(self, list places, count_t least, candidate_t* best) except -2:
        """The place of the text among these that has the best pair, and the pair; -1 if none occurs ``least`` times."""
        cdef MergeLearner learner, holder
        cdef candidate_t found
        cdef Py_ssize_t chosen = -1
        for place in places:
            learner = self.seeds if place == len(self.texts) else self.texts[place]
            if learner.stage == EXHAUSTED:
                continue
            with nogil:
                learner.best_pair(&found)
            if found.number == NONE or found.count < least:
                learner.put_back(&found)
            elif chosen < 0 or found.count > best.count or (found.count == best.count and found.key < best.key):
                if chosen >= 0:
                    holder = self.texts[chosen]
                    holder.put_back(best)
                best[0] = found
                chosen = place
            else:
                learner.put_back(&found)
        return chosen

    def __len__(self):
        """Merges learned so far."""
        return self.learned_count.size()

    @property
    def merges(self):
        """As ``MergeLearner.merges``."""
        return (<MergeLearner> self.texts[0]).merges

    @property
    def counts(self):
        """The count that each merge won with in the text that chose it: int64[merges]."""
        return as_array(self.learned_count)

    @property
    def corpus_tokens(self):
        """Tokens in all texts before the first merge and after each: int64[merges + 1]."""
        total = np.zeros(self.learned_count.size() + 1, np.int64)
        for learner in self.texts:
            total += learner.corpus_tokens
        return total

    @property
    def side_tokens(self):
        """Tokens in each side now."""
        cdef MergeLearner side
        return [side.corpus_tokens for side in self.sides]

    @property
    def chosen_by(self):
        """Of each merge the place of the text that chose it, or the number of texts for seed tokens: int64[merges]."""
        return as_array(self.choices)
