// Numbered things with a count and a key, the highest count first, of equal ones the smallest key.
//
// Counts in the queue are upper bounds: who takes an item looks whether it still holds, and adds it again if it does not.
// Since nearly all that is added comes later than what is taken, only the items that come next are kept in order. The
// others stand in buckets by their count, unordered and as bare numbers, so that adding one is a single store. (A binary
// heap of all took a fifth of the time of merging on English.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "units.hpp"  // highest_set

namespace bbpe {

class BestFirst {
public:
    struct Item {
        std::int64_t count;
        std::uint64_t key;
        std::uint32_t number;
    };

    BestFirst() : buckets_(BUCKETS) {}

    // `count` is at least 0.
    void add(std::uint32_t number, std::int64_t count, std::uint64_t key) {
        const std::uint32_t bucket = bucket_of(static_cast<std::uint64_t>(count));
        if (bucket < open_) {
            buckets_[bucket].push_back(number);
            waiting_++;
        } else if (opening_) {
            items_.push_back(Item{count, key, number});
        } else {
            late_.push_back(Item{count, key, number});
            std::push_heap(late_.begin(), late_.end(), comes_after);
        }
    }

    // Takes the best item; false where none is in order, and the next bucket has to be opened.
    bool take(Item& item) {
        if (next_ < items_.size() && (late_.empty() || !comes_after(items_[next_], late_.front()))) {
            item = items_[next_++];
            return true;
        }
        if (late_.empty()) return false;
        item = late_.front();
        std::pop_heap(late_.begin(), late_.end(), comes_after);
        late_.pop_back();
        return true;
    }

    // Opens the next bucket: its numbers are to be added again, with their counts as they are now, before `opened`.
    // None where there is nothing more. Only when `take` has found nothing.
    void open(std::vector<std::uint32_t>& numbers) {
        numbers.clear();
        items_.clear();
        next_ = 0;
        if (waiting_ == 0) return;
        do open_--;
        while (buckets_[open_].empty());
        numbers.swap(buckets_[open_]);
        waiting_ -= numbers.size();
        opening_ = true;
    }

    void opened() {
        opening_ = false;
        std::sort(items_.begin(), items_.end(), [](const Item& one, const Item& other) { return comes_after(other, one); });
    }

    // How many items that come next are known, and the number of one of them.
    std::size_t known() const noexcept { return items_.size() - next_; }
    std::uint32_t coming(std::size_t place) const noexcept { return items_[next_ + place].number; }

    void clear() {
        for (auto& bucket : buckets_) std::vector<std::uint32_t>().swap(bucket);
        std::vector<Item>().swap(items_);
        std::vector<Item>().swap(late_);
        next_ = waiting_ = 0;
        open_ = BUCKETS;
    }

private:
    static constexpr std::uint32_t EXACT = 8, STEPS = 7;  // bits: smaller counts have a bucket each; in a power of two
    static constexpr std::uint32_t BUCKETS = ((64 - EXACT + 1) << STEPS) + (1u << STEPS);

    // Never falls where the count rises: the bits behind the first one, `STEPS` of them, and where that stands.
    static std::uint32_t bucket_of(std::uint64_t count) noexcept {
        const std::uint32_t shift = count >> EXACT ? highest_set(count) + 1 - EXACT : 0;
        return (shift << STEPS) + static_cast<std::uint32_t>(count >> shift);
    }

    static bool comes_after(const Item& one, const Item& other) noexcept {
        return one.count != other.count ? one.count < other.count : one.key > other.key;
    }

    std::vector<std::vector<std::uint32_t>> buckets_;
    std::vector<Item> items_;  // of the open bucket, in order
    std::vector<Item> late_;   // added since, or better: a heap
    std::size_t next_ = 0;     // in items_
    std::uint64_t waiting_ = 0;
    std::uint32_t open_ = BUCKETS;  // buckets below are not open
    bool opening_ = false;
};

}  // namespace bbpe
