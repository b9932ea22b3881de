// Several sorted lists of byte strings with counts, merged into one; equal strings become one with the sum.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "byte_counts.hpp"  // load64, swap_bytes

namespace bbpe {

// A list of strings one after another, with n + 1 offsets and n counts, ascending, without repeats.
struct SortedRun {
    const uint8_t* data;
    const int64_t* offsets;
    const int64_t* counts;
    int64_t at, end;      // what is left: strings at .. end - 1
    int64_t multiplier;   // of its counts
    uint64_t prefix;      // the first eight bytes of the string at `at`, to be compared as a number

    const uint8_t* bytes() const noexcept { return data + offsets[at]; }
    size_t length() const noexcept { return static_cast<size_t>(offsets[at + 1] - offsets[at]); }
    void look() noexcept {
        const size_t size = length();
        if (size >= 8) {
            prefix = swap_bytes(load64(bytes()));
            return;
        }
        prefix = 0;
        for (size_t i = 0; i < size; i++) prefix |= static_cast<uint64_t>(bytes()[i]) << (56 - 8 * i);
    }
};

// Byte order, then length. Strings of which one is the other and zeros have equal prefixes: the bytes decide.
inline int compare_heads(const SortedRun& a, const SortedRun& b) noexcept {
    if (a.prefix != b.prefix) return a.prefix < b.prefix ? -1 : 1;
    const size_t length_a = a.length(), length_b = b.length();
    const int order = std::memcmp(a.bytes(), b.bytes(), std::min(length_a, length_b));
    return order ? order : length_a < length_b ? -1 : length_a > length_b;
}

// Merge all that is left in the runs. `data`, `ends` and `counts` have room for all of it. Returns how many strings
// there are; the last of `ends` says how many bytes.
inline int64_t merge_runs(std::vector<SortedRun>& runs, uint8_t* data, int64_t* ends, int64_t* counts) {
    std::vector<SortedRun*> heap;
    for (SortedRun& run : runs) {
        if (run.at == run.end) continue;
        run.look();
        heap.push_back(&run);
    }
    const auto later = [](const SortedRun* a, const SortedRun* b) { return compare_heads(*a, *b) > 0; };
    std::make_heap(heap.begin(), heap.end(), later);
    int64_t size = 0, strings = 0;
    const uint8_t* last = nullptr;
    int64_t last_length = -1;
    while (!heap.empty()) {
        SortedRun& run = *heap.front();
        const int64_t length = static_cast<int64_t>(run.length());
        if (length == last_length && std::memcmp(last, run.bytes(), static_cast<size_t>(length)) == 0) {
            counts[strings - 1] += run.counts[run.at] * run.multiplier;
        } else {
            std::memcpy(data + size, run.bytes(), static_cast<size_t>(length));
            last = data + size;
            last_length = length;
            size += length;
            ends[strings] = size;
            counts[strings] = run.counts[run.at] * run.multiplier;
            strings++;
        }
        if (++run.at == run.end) {
            std::pop_heap(heap.begin(), heap.end(), later);
            heap.pop_back();
            continue;
        }
        run.look();
        // Sift the new head down: mostly it stays where it is, or goes one step.
        size_t at = 0;
        for (;;) {
            size_t child = 2 * at + 1;
            if (child >= heap.size()) break;
            if (child + 1 < heap.size() && later(heap[child], heap[child + 1])) child++;
            if (!later(heap[at], heap[child])) break;
            std::swap(heap[at], heap[child]);
            at = child;
        }
    }
    return strings;
}

}  // namespace bbpe
