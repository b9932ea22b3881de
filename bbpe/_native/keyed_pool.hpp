// Records found by a 64-bit key, numbered densely, numbers of erased records used again.
//
// The records stand in one array; an open-addressing index (linear probing, at most 5/8 full, tombstones) maps a key to
// its record's number. An index slot carries 32 bits of the key's hash beside the number, so that a key which is not
// there costs one cache miss, not two.
#pragma once

#include <cstdint>
#include <new>
#include <type_traits>
#include <vector>

#include "big_array.hpp"
#include "buffer.hpp"  // prefetch

namespace bbpe {

inline std::uint64_t mix64(std::uint64_t key) noexcept {
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15ull;
    key ^= key >> 29;
    key *= 0xBF58476D1CE4E5B9ull;
    return key ^ (key >> 32);
}

template <class Record>  // a plain struct with a member `key`
class KeyedPool {
    static_assert(std::is_trivially_copyable<Record>::value, "records are moved as bytes");

public:
    static constexpr std::uint32_t NONE = 0xFFFFFFFFu;

    KeyedPool() { rebuild(0); }

    std::uint32_t find(std::uint64_t key) noexcept {
        return first_with_hash(key, [&](std::uint32_t number) { return records_.data()[number].key == key; });
    }

    // The number of a new record with this key, which must not be there yet. Its other members are not set.
    // Throws std::bad_alloc, and then nothing has changed.
    std::uint32_t insert(std::uint64_t key) {
        if ((used_ + 1) * 8 > (mask_ + 1) * 5) rebuild(live_ + live_ / 4 + 1);
        std::uint32_t number;
        if (!free_.empty()) {
            number = free_.back();
            free_.pop_back();
        } else {
            if (count_ == NONE - 1) throw std::bad_alloc();
            if (count_ == records_.capacity()) records_.resize(std::size_t{count_} + count_ / 2 + 64);
            number = count_++;
        }
        records_.data()[number].key = key;
        place(slots_, mask_, key, number);
        used_++;
        live_++;
        return number;
    }

    void erase(std::uint32_t number) {
        free_.push_back(number);
        std::uint64_t at = mix64(records_.data()[number].key) & mask_;
        while (static_cast<std::uint32_t>(slots_.data()[at]) != number) at = (at + 1) & mask_;
        slots_.data()[at] = TOMBSTONE;
        live_--;
    }

    void prefetch_key(std::uint64_t key) noexcept { prefetch(slots_.data() + (mix64(key) & mask_)); }

    // The number of the first record whose key has the same bits of hash: nearly always the one that `find` would find.
    // Fetches that record without waiting for it. NONE where there surely is none.
    std::uint32_t guess(std::uint64_t key) noexcept {
        const std::uint32_t number = first_with_hash(key, [](std::uint32_t) { return true; });
        if (number != NONE) prefetch(records_.data() + number);
        return number;
    }

    // What `find` finds, if `guess` said so and nothing has been inserted since. An erased record may be the one found
    // before it was erased.
    std::uint32_t checked(std::uint32_t guess, std::uint64_t key) noexcept {
        return guess == NONE || records_.data()[guess].key == key ? guess : find(key);
    }

    void clear() {
        records_.release();
        free_.clear();
        live_ = count_ = 0;
        rebuild(0);
    }

    Record* data() noexcept { return records_.data(); }
    std::uint32_t numbers() const noexcept { return count_; }  // every number is below this; erased ones included
    std::uint64_t size() const noexcept { return live_; }

private:
    // The first record that is `right` of those whose keys have the same upper bits of hash; NONE where there is none.
    template <class Right>
    std::uint32_t first_with_hash(std::uint64_t key, Right right) noexcept {
        const std::uint64_t hash = mix64(key);
        for (std::uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
            const std::uint64_t slot = slots_.data()[at];
            if (slot == EMPTY) return NONE;
            const std::uint32_t number = static_cast<std::uint32_t>(slot);
            if ((slot >> 32) == (hash >> 32) && number != NONE && right(number)) return number;
        }
    }

    // A tombstone's number is NONE with hash bits 0; an empty slot is all ones. No record has the number NONE.
    static constexpr std::uint64_t EMPTY = ~std::uint64_t{0};
    static constexpr std::uint64_t TOMBSTONE = NONE;

    static void place(BigArray<std::uint64_t>& slots, std::uint64_t mask, std::uint64_t key,
                      std::uint32_t number) noexcept {
        const std::uint64_t hash = mix64(key);
        std::uint64_t at = hash & mask;
        while (slots.data()[at] != EMPTY) at = (at + 1) & mask;
        slots.data()[at] = (hash >> 32) << 32 | number;
    }

    // A fresh index without tombstones, at most half full with `wanted` records.
    void rebuild(std::uint64_t wanted) {
        std::uint64_t size = 64;
        while (size < wanted * 2) size *= 2;
        std::vector<bool> erased(count_, false);
        for (std::uint32_t number : free_) erased[number] = true;
        BigArray<std::uint64_t> slots;
        slots.resize(size);
        for (std::uint64_t at = 0; at < size; at++) slots.data()[at] = EMPTY;
        for (std::uint32_t number = 0; number < count_; number++)
            if (!erased[number]) place(slots, size - 1, records_.data()[number].key, number);
        slots_.swap(slots);
        mask_ = size - 1;
        used_ = live_;
    }

    BigArray<Record> records_;
    BigArray<std::uint64_t> slots_;
    std::vector<std::uint32_t> free_;
    std::uint64_t mask_ = 0;
    std::uint64_t used_ = 0;  // slots that are not empty
    std::uint64_t live_ = 0;
    std::uint32_t count_ = 0;
};

}  // namespace bbpe
