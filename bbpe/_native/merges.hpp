// Merging by rank: what two symbols merge into, and short segments that merge side by side.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "buffer.hpp"
#include "units.hpp"

namespace bbpe {

// A symbol is numbered by the rank of the merge that makes it; NO_SYMBOL is what pairs make that do not merge.
constexpr int SYMBOL_BITS = 21;  // three symbols in one word
constexpr uint32_t NO_SYMBOL = (uint32_t{1} << SYMBOL_BITS) - 1;
constexpr uint64_t NO_PAIR = ~uint64_t{0};   // in a slot of the table of pairs
constexpr int MOST_SEEDS = 1 << 16;          // that are tried

// ---- Pairs ----

// What pairs of symbols merge into: a perfect hash. Pairs with the same upper bits of their hash are a group, and each
// group has a seed with which all pairs of the table have slots of their own. So a look-up is one read in a table that
// is up to four fifths full, and no branch; with open addressing every fourth was a wrong guess of the processor's.
struct PairTable {
    const uint64_t* slots;   // left, right and resulting symbol, SYMBOL_BITS each; or NO_PAIR
    const uint16_t* seeds;
    int shift;               // 64 - bits of the number of slots
    int group_shift;         // and of groups

    static uint64_t key(uint32_t left, uint32_t right) noexcept {
        return static_cast<uint64_t>(left) << SYMBOL_BITS | right;
    }
    uint64_t group(uint64_t key) const noexcept { return key * 0x9E3779B97F4A7C15u >> group_shift; }
    uint64_t slot(uint64_t key) const noexcept {
        return (key * 0x9E3779B97F4A7C15u ^ seeds[group(key)]) * 0xD6E8FEB86659FD93u >> shift;
    }
    // What the pair with this key makes, if the slot is its own: then what differs from the key is a symbol, else it is
    // more than any. It is hard to foresee, so it is no branch.
    uint32_t merge_in(uint64_t slot, uint64_t key) const noexcept {
        return static_cast<uint32_t>(std::min(slots[slot] ^ key << SYMBOL_BITS, uint64_t{NO_SYMBOL}));
    }

    // The symbol, and so the rank, that two adjacent symbols merge into, or NO_SYMBOL.
    uint32_t merge_of(uint32_t left, uint32_t right) const noexcept {
        const uint64_t wanted = key(left, right);
        return merge_in(slot(wanted), wanted);
    }
};

// Puts the pairs of a group into free slots; false, and nothing is there, if one of them is not free.
inline bool place_pairs(const PairTable& table, const uint64_t* begin, const uint64_t* end, uint64_t* slots) noexcept {
    for (const uint64_t* pair = begin; pair < end; pair++) {
        uint64_t& slot = slots[table.slot(*pair >> SYMBOL_BITS)];
        if (slot != NO_PAIR) {
            while (pair-- > begin) slots[table.slot(*pair >> SYMBOL_BITS)] = NO_PAIR;
            return false;
        }
        slot = *pair;
    }
    return true;
}

// Makes the table of distinct pairs, each with what it makes as in a slot.
inline PairTable index_pairs(const uint64_t* pairs, size_t count, Buffer<uint64_t>& slots, Buffer<uint16_t>& seeds) {
    PairTable table{};
    size_t size = 64, groups = 16;
    for (table.shift = 58; 4 * size < 5 * count; table.shift--) size *= 2;
    for (table.group_shift = 60; 4 * groups < count; table.group_shift--) groups *= 2;
    std::vector<size_t> starts(groups + 1), order(groups);   // of each group in `grouped`; groups by how large they are
    std::vector<uint64_t> grouped(count);
    for (size_t i = 0; i < count; i++) starts[table.group(pairs[i] >> SYMBOL_BITS) + 1]++;
    for (size_t i = 0; i < groups; i++) starts[i + 1] += starts[i];
    std::vector<size_t> next(starts);
    for (size_t i = 0; i < count; i++) grouped[next[table.group(pairs[i] >> SYMBOL_BITS)]++] = pairs[i];
    for (size_t i = 0; i < groups; i++) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&starts](size_t a, size_t b) {
        return starts[a + 1] - starts[a] > starts[b + 1] - starts[b];
    });
    while (true) {
        slots.zero(size);
        std::fill(slots.data(), slots.data() + size, NO_PAIR);
        seeds.zero(groups);
        table.slots = slots.data();
        table.seeds = seeds.data();
        size_t placed = 0;
        for (; placed < groups; placed++) {
            const uint64_t* begin = grouped.data() + starts[order[placed]];
            const uint64_t* end = grouped.data() + starts[order[placed] + 1];
            uint16_t& seed = seeds.data()[order[placed]];
            int tries = 0;
            while (!place_pairs(table, begin, end, slots.data()) && tries < MOST_SEEDS) {
                seed += 0x9E37;   // odd, so that every number comes once
                tries++;
            }
            if (tries == MOST_SEEDS) break;
        }
        if (placed == groups) return table;
        size *= 2;
        table.shift--;
    }
}

// ---- Segments ----

constexpr unsigned MOST_PLACES = 15;   // symbols of the longest segment that `Parts` can hold

// The symbols of a short segment that merge: the pair of the lowest rank first, the leftmost of equals, until none
// does. They stand at places from 1 on. Before the first and after the last one stands NO_SYMBOL, so that no step has
// to ask whether it is at an end. A symbol stays where it is when one before it is gone: `places` says which are there.
//
// A step comes in two halves, between which memory has time to answer. It has one branch: whether it is the last.
struct Parts {
    // Of each place: what its symbol and the next merge into, << 4 | the place, so that the lowest number comes first.
    // With the highest bit but one such a number is an ordinary float, and floats are in the same order: of these,
    // unlike of integers, the oldest processors with vectors find the lowest of four at once.
    alignas(16) uint32_t merges[MOST_PLACES + 1];
    uint32_t symbols[MOST_PLACES + 2];
    uint32_t places;       // a bit for each that has a symbol, and for the two around them
    unsigned changed[2];   // the places whose merge is being looked up
    uint64_t keys[2];
    uint64_t slots[2];

    static constexpr uint32_t merge(uint32_t symbol, unsigned place) noexcept {
        return 0x40000000u | symbol << 4 | place;
    }

    // Begins with these symbols, of each of which, but the last, it is known what it and the next merge into.
    void start(const uint32_t* first_symbols, const uint32_t* first_merges, unsigned count) noexcept {
        for (uint32_t& none : merges) none = merge(NO_SYMBOL, 0);
        symbols[0] = symbols[count + 1] = NO_SYMBOL;
        for (unsigned i = 0; i < count; i++) symbols[i + 1] = first_symbols[i];
        for (unsigned i = 0; i + 1 < count; i++) merges[i + 1] = merge(first_merges[i], i + 1);
        places = (uint32_t{4} << count) - 1;
    }

    // Merges one pair and asks for what the new symbol merges into; false if none merges.
    bool merge_lowest(const PairTable& pairs) noexcept {
        const uint32_t lowest = lowest_merge();
        const uint32_t symbol = lowest >> 4 & NO_SYMBOL;
        if (symbol == NO_SYMBOL) return false;
        const unsigned at = lowest & 15;
        const uint32_t after = ~uint32_t{1} << at;
        const unsigned gone = lowest_set(places & after);
        places ^= 1u << gone;
        merges[gone] = merge(NO_SYMBOL, 0);
        symbols[at] = symbol;
        const unsigned before = highest_set(places & ~after & ~(1u << at));
        changed[0] = before;
        changed[1] = at;
        keys[0] = PairTable::key(symbols[before], symbol);
        keys[1] = PairTable::key(symbol, symbols[lowest_set(places & after)]);
        for (int i = 0; i < 2; i++) {
            slots[i] = pairs.slot(keys[i]);
            prefetch(pairs.slots + slots[i]);
        }
        return true;
    }

    // Reads what was asked for.
    void finish_step(const PairTable& pairs) noexcept {
        for (int i = 0; i < 2; i++) merges[changed[i]] = merge(pairs.merge_in(slots[i], keys[i]), changed[i]);
    }

    // Writes the ids of the symbols; how many.
    size_t write(const uint32_t* ids, uint32_t* out) const noexcept {
        size_t count = 0;
        const uint32_t last = 1u << highest_set(places);
        for (uint32_t left = places & ~(last | 1); left != 0; left &= left - 1) {
            out[count++] = ids[symbols[lowest_set(left)]];
        }
        return count;
    }

 private:
    uint32_t lowest_merge() const noexcept {
#if defined(BBPE_SSE2)
        __m128 four = _mm_load_ps(reinterpret_cast<const float*>(merges));
        for (int i = 4; i < 16; i += 4) {
            four = _mm_min_ps(four, _mm_load_ps(reinterpret_cast<const float*>(merges + i)));
        }
        four = _mm_min_ps(four, _mm_movehl_ps(four, four));
        four = _mm_min_ss(four, _mm_shuffle_ps(four, four, 1));
        return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_castps_si128(four)));
#else
        return *std::min_element(merges, merges + MOST_PLACES + 1);
#endif
    }
};

constexpr size_t SIDE_BY_SIDE = 16;

// Merges up to SIDE_BY_SIDE segments, a step of each in turn: while one waits for memory, the others go on.
inline void merge_side_by_side(const PairTable& pairs, Parts* parts, size_t count) noexcept {
    uint8_t unfinished[SIDE_BY_SIDE];
    for (size_t i = 0; i < count; i++) unfinished[i] = static_cast<uint8_t>(i);
    while (count > 0) {
        size_t left = 0;
        for (size_t i = 0; i < count; i++) {
            const uint8_t number = unfinished[i];
            unfinished[left] = number;
            left += parts[number].merge_lowest(pairs);
        }
        for (size_t i = 0; i < left; i++) parts[unfinished[i]].finish_step(pairs);
        count = left;
    }
}

}  // namespace bbpe
