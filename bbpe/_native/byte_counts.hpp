// How often each distinct byte string occurs: a hash table made for hundreds of millions of additions.
//
// A string of up to 8 bytes is one word, and lives in its slot with its count: nine in ten pretokens of English. One of
// up to 15 bytes lives whole in its slot, too, two words with its length in the top byte: one cache line answers for it.
// A longer one lives in an arena with its count, and its slot holds 32 bits of its hash and where it lies.
// The table is split into partitions by hash, so that growth doubles one small part at a time, each at a fill of its own:
// memory stays close to what the strings need, and grows smoothly with them.
// Additions are queued and done some dozens at a time: the slots are prefetched while the caller looks for more.
//
// Measured on 30 MB of Chinese (789 k distinct of 1.7 M, 26 MB of bytes): about 50 MB in all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "buffer.hpp"
#include "units.hpp"  // flag_mask, lowest_set
#include "utf8.hpp"

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace bbpe {

inline uint64_t swap_bytes(uint64_t value) {
#if defined(_MSC_VER)
    return _byteswap_uint64(value);
#else
    return __builtin_bswap64(value);
#endif
}

// Eight bytes as a little-endian integer on every machine: the first byte is the lowest.
inline uint64_t load64(const uint8_t* at) {
    uint64_t value;
    std::memcpy(&value, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = swap_bytes(value);
#endif
    return value;
}

inline void store64(uint8_t* at, uint64_t value) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = swap_bytes(value);
#endif
    std::memcpy(at, &value, 8);
}

inline uint64_t fold_multiply(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
#else
    const uint64_t a0 = a & 0xFFFFFFFF, a1 = a >> 32, b0 = b & 0xFFFFFFFF, b1 = b >> 32;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (middle & 0xFFFFFFFF);
    return (a * b) ^ (a1 * b1 + (middle >> 32) + (other >> 32));
#endif
}

class ByteCounts {
public:
    static constexpr int partitions = 32;
    static constexpr size_t word_bytes = 8;    // longest string kept as one word; one that ends in a zero byte is not
    static constexpr size_t short_bytes = 15;  // longest string kept in its slot

    // One distinct string on its way to being sorted: eight of its bytes as an integer, and what it has besides. Those of
    // a word are all of it, so that an item has all that there is to know of it.
    struct Item {
        uint64_t prefix;
        uint64_t rest;  // of a word the count, shifted left, and 1; else a Short's address with bit 1 set, or a Record's
    };

    ByteCounts() : parts_(new Partition[partitions]) {
        for (int i = 0; i < partitions; i++) parts_[i].set_limits(static_cast<size_t>(i));
    }

    // Queue one more occurrence of the string at `at`, which must stay there, with 16 readable bytes after it, until
    // flush(). Returns whether flush() must be called before the next push().
    bool push(const uint8_t* at, size_t length) noexcept {
        if (is_word(at, length)) {
            PendingWord& pending = word_queue_[words_queued_++];
            pending.bytes = load_word(at, length);
            const uint64_t hash = hash_word(pending.bytes);
            pending.slot = parts_[hash >> 59].words.slot(hash);
            prefetch(pending.slot);
            return words_queued_ == queue_size;
        }
        if (length <= short_bytes) {
            PendingShort& pending = short_queue_[shorts_queued_++];
            load_key(at, length, pending.low, pending.high);
            const uint64_t hash = hash_key(pending.low, pending.high);
            pending.slot = parts_[hash >> 59].shorts.slot(hash);
            prefetch(pending.slot);
            return shorts_queued_ == queue_size;
        }
        PendingLong& pending = long_queue_[longs_queued_++];
        pending.at = at;
        pending.length = length;
        pending.hash = hash_bytes(at, length);
        prefetch(parts_[pending.hash >> 59].longs.slot(static_cast<uint32_t>(pending.hash)));
        return longs_queued_ == queue_size;
    }

    // One more occurrence of each of the strings that a text, its first `count` bytes, is cut into: before each byte that
    // `flag_mask` finds. It finds those at `text` and at `text + count`, and 64 zeros follow; 16 bytes after the text are readable. Throws std::bad_alloc.
    void add_marked(const uint8_t* text, size_t count, const uint8_t* flags) {
        const uint8_t* begin = text;
        for (size_t base = 0; base <= count; base += 64) {
            uint64_t cuts = flag_mask(flags + base);
            if (base == 0) cuts &= ~uint64_t{1};
            for (; cuts; cuts &= cuts - 1) {
                const uint8_t* const end = text + base + lowest_set(cuts);
                if (push(begin, static_cast<size_t>(end - begin))) flush();
                begin = end;
            }
        }
    }

    // Do all that was queued. Throws std::bad_alloc.
    void flush() {
        // Most are found where they were looked for. Once a table has grown the slots are elsewhere.
        bool grown = false;
        const size_t words = words_queued_, shorts = shorts_queued_;
        for (size_t i = 0; i < words; i++) {
            const PendingWord& pending = word_queue_[i];
            if (!grown && pending.slot->bytes == pending.bytes) {
                pending.slot->count++;
            } else {
                const uint64_t hash = hash_word(pending.bytes);
                grown |= parts_[hash >> 59].add_word(pending.bytes, hash, 1);
            }
        }
        words_queued_ = 0;
        grown = false;
        for (size_t i = 0; i < shorts; i++) {
            const PendingShort& pending = short_queue_[i];
            if (!grown && pending.slot->low == pending.low && pending.slot->high == pending.high) {
                pending.slot->count++;
            } else {
                const uint64_t hash = hash_key(pending.low, pending.high);
                grown |= parts_[hash >> 59].add_short(pending.low, pending.high, hash, 1);
            }
        }
        shorts_queued_ = 0;
        for (size_t i = 0; i < longs_queued_; i++) {  // the slots have arrived; now ask for what they point to
            const PendingLong& pending = long_queue_[i];
            parts_[pending.hash >> 59].prefetch_long(static_cast<uint32_t>(pending.hash));
        }
        for (size_t i = 0; i < longs_queued_; i++) {
            const PendingLong& pending = long_queue_[i];
            parts_[pending.hash >> 59].add_long(pending.at, pending.length, static_cast<uint32_t>(pending.hash), 1);
        }
        longs_queued_ = 0;
    }

    // Forget what was queued, because its text is going away.
    void discard() noexcept { words_queued_ = shorts_queued_ = longs_queued_ = 0; }

    // Add `count` occurrences at once. 16 bytes after the string must be readable. Throws std::bad_alloc.
    void add(const uint8_t* at, size_t length, int64_t count) {
        if (is_word(at, length)) {
            const uint64_t bytes = load_word(at, length), hash = hash_word(bytes);
            parts_[hash >> 59].add_word(bytes, hash, count);
        } else if (length <= short_bytes) {
            uint64_t low, high;
            load_key(at, length, low, high);
            const uint64_t hash = hash_key(low, high);
            parts_[hash >> 59].add_short(low, high, hash, count);
        } else {
            const uint64_t hash = hash_bytes(at, length);
            parts_[hash >> 59].add_long(at, length, static_cast<uint32_t>(hash), count);
        }
    }

    size_t size() const noexcept {
        size_t total = 0;
        for (int i = 0; i < partitions; i++) total += parts_[i].used();
        return total;
    }

    // Bytes that the table holds.
    size_t memory() const noexcept {
        size_t total = sizeof(*this) + partitions * sizeof(Partition);
        for (int i = 0; i < partitions; i++) total += parts_[i].slot_bytes() + parts_[i].chunk_total;
        return total;
    }

    // Bytes by which its slots grow before it holds `more` strings more.
    size_t growth(size_t more) const noexcept {
        size_t total = 0;
        for (int i = 0; i < partitions; i++) total += parts_[i].growth(more / partitions);
        return total;
    }

    // Bytes that SortedByteCounts takes more than the table has: an item a string, with some spare room; but by then the
    // slots of long strings are free, of which the system gets most back. (7 M of Chinese: 70 MB, measured 48.)
    int64_t sorting() const noexcept {
        int64_t total = 0;
        for (int i = 0; i < partitions; i++) {
            total += static_cast<int64_t>(parts_[i].used() * (sizeof(Item) + 2));
            total -= static_cast<int64_t>(parts_[i].longs.bytes() / 4 * 3);
        }
        return total;
    }

    // Append the hashes of one string in 32, those below 2**59: of equal strings in two tables they are equal. Adds up
    // their bytes, and those that begin a character.
    void sample_hashes(std::vector<uint64_t>& hashes, int64_t& bytes, int64_t& characters) const {
        const Partition& part = parts_[0];
        hashes.reserve(hashes.size() + part.used());
        part.each([&](const Item& item) {
            uint8_t buffer[16];
            const uint8_t* at = ByteCounts::bytes(item, buffer);
            const size_t size = length(item);
            hashes.push_back(is_word(item)    ? hash_word(swap_bytes(item.prefix))
                             : is_short(item) ? as_short(item)->hash()
                                              : hash_bytes(at, size));
            bytes += static_cast<int64_t>(size);
            for (size_t i = 0; i < size; i++) characters += (at[i] & 0xC0) != 0x80;
        });
    }

    // Append the prefixes of one partition's strings, in no order: a fair sample of all of them.
    void sample(int which, std::vector<uint64_t>& prefixes) const {
        parts_[which].each([&](const Item& item) { prefixes.push_back(item.prefix); });
    }

    // Take over the words and the short strings of a partition of another table, which is left without: most are in both.
    void absorb(int which, ByteCounts& other) { parts_[which].absorb(other.parts_[which]); }

    // Distribute the strings of the partitions from `first` up to `last`: those from pivots[b-1] up to, not including,
    // pivots[b] go to buckets[b]. Nothing may be added to them afterwards; the slots of their long strings are freed.
    void distribute(int first, int last, const std::vector<uint64_t>& pivots, std::vector<std::vector<Item>>& buckets) {
        size_t expected = 0;
        for (int i = first; i < last; i++) expected += parts_[i].used();
        expected /= buckets.size();
        for (auto& bucket : buckets) bucket.reserve(bucket.size() + expected + expected / 8 + 1);
        for (int i = first; i < last; i++) {
            parts_[i].each([&](const Item& item) {
                size_t bucket = 0;  // a few dozen comparisons without a branch: a search would mispredict each of its own
                for (const uint64_t pivot : pivots) bucket += item.prefix >= pivot;
                buckets[bucket].push_back(item);
            });
            parts_[i].longs.slots.reset();
        }
    }

    static bool is_word(const Item& item) noexcept { return item.rest & 1; }
    static size_t length(const Item& item) noexcept {
        if (is_word(item)) return 8 - lowest_set(item.prefix) / 8;
        return is_short(item) ? as_short(item)->high >> 56 : as_record(item)->length;
    }
    static int64_t count(const Item& item) noexcept {
        if (is_word(item)) return static_cast<int64_t>(item.rest >> 1);
        return is_short(item) ? as_short(item)->count : as_record(item)->count;
    }
    static void add(Item& item, int64_t count) noexcept {
        if (is_word(item)) {
            item.rest += static_cast<uint64_t>(count) << 1;
        } else {
            (is_short(item) ? as_short(item)->count : as_record(item)->count) += count;
        }
    }
    // Fetch what is not in the item itself.
    static void fetch(const Item& item) noexcept {
        const uint64_t itself = reinterpret_cast<uintptr_t>(&item);  // of a word: without a branch on which it is
        prefetch(reinterpret_cast<const void*>(static_cast<uintptr_t>(is_word(item) ? itself : item.rest)));
    }
    // Eight bytes from `depth` on as an integer that orders as they do (first byte highest), zeros after the end.
    static uint64_t prefix(const Item& item, size_t depth) noexcept {
        if (is_word(item)) return depth == 0 ? item.prefix : 0;
        if (is_short(item)) {
            const Short* entry = as_short(item);
            if (depth == 0) return swap_bytes(entry->low);
            return depth == 8 ? swap_bytes(entry->high & ~(0xFFull << 56)) : 0;
        }
        const Record* record = as_record(item);
        if (depth >= record->length) return 0;
        const size_t left = record->length - depth;
        uint8_t bytes[8] = {0};
        std::memcpy(bytes, record->bytes() + depth, left < 8 ? left : 8);
        return swap_bytes(load64(bytes));
    }
    // Compare two strings that are equal up to `depth`, byte by byte and then by length: below, at or above 0.
    static int compare(const Item& a, const Item& b, size_t depth) noexcept {
        uint8_t short_a[16], short_b[16];
        const uint8_t* bytes_a = bytes(a, short_a);
        const uint8_t* bytes_b = bytes(b, short_b);
        const size_t length_a = length(a), length_b = length(b);
        const int order = std::memcmp(bytes_a + depth, bytes_b + depth, std::min(length_a, length_b) - depth);
        return order ? order : length_a < length_b ? -1 : length_a > length_b;
    }
    static void copy(const Item& item, uint8_t* to) noexcept {
        uint8_t buffer[16];
        const uint8_t* from = bytes(item, buffer);
        std::memcpy(to, from, length(item));
    }

private:
    static constexpr size_t queue_size = 64;
    static constexpr size_t chunk_bytes = 1 << 16;
    static constexpr uint32_t chunk_bits = 13;  // 8-byte units in a chunk, as a power of two
    static constexpr uint64_t seed = 0x9E3779B97F4A7C15ull, key1 = 0xA0761D6478BD642Full, key2 = 0xE7037ED1A0B428DBull;

    struct Word {
        uint64_t bytes;  // zeros after them; 0 in a free slot
        int64_t count;
        bool is_free() const noexcept { return bytes == 0; }
        uint64_t hash() const noexcept { return hash_word(bytes); }
    };
    struct Short {
        uint64_t low, high;  // the bytes, zeros after them; the top byte of `high` is the length, 0 in a free slot
        int64_t count;
        bool is_free() const noexcept { return high == 0; }
        uint64_t hash() const noexcept { return hash_key(low, high); }
    };
    struct Long {
        uint32_t low_hash, unit;  // unit 0: a free slot
        bool is_free() const noexcept { return unit == 0; }
        uint64_t hash() const noexcept { return low_hash; }
    };
    struct Record {
        int64_t count;
        uint32_t length;
        const uint8_t* bytes() const noexcept { return reinterpret_cast<const uint8_t*>(this) + 12; }
        uint8_t* bytes() noexcept { return reinterpret_cast<uint8_t*>(this) + 12; }
    };
    struct PendingWord {
        uint64_t bytes;
        Word* slot;  // where it is looked for first; so in the next
    };
    struct PendingShort {
        uint64_t low, high;
        Short* slot;
    };
    struct PendingLong {
        const uint8_t* at;
        size_t length;
        uint64_t hash;
    };

    static bool is_short(const Item& item) noexcept { return item.rest & 2; }
    static Short* as_short(const Item& item) noexcept { return reinterpret_cast<Short*>(item.rest & ~uint64_t{2}); }
    static Record* as_record(const Item& item) noexcept { return reinterpret_cast<Record*>(item.rest); }

    // Where the bytes are; those of a short string are put into `buffer`, 16 bytes.
    static const uint8_t* bytes(const Item& item, uint8_t* buffer) noexcept {
        if (is_word(item)) {
            store64(buffer, swap_bytes(item.prefix));
            return buffer;
        }
        if (!is_short(item)) return as_record(item)->bytes();
        store64(buffer, as_short(item)->low);
        store64(buffer + 8, as_short(item)->high);
        return buffer;
    }

    static bool is_word(const uint8_t* at, size_t length) noexcept {
        return length <= word_bytes && at[length - 1] != 0;
    }
    static uint64_t load_word(const uint8_t* at, size_t length) noexcept {
        static constexpr uint64_t masks[] = {0,
                                             0xFF,
                                             0xFFFF,
                                             0xFFFFFF,
                                             0xFFFFFFFF,
                                             0xFFFFFFFFFF,
                                             0xFFFFFFFFFFFF,
                                             0xFFFFFFFFFFFFFF,
                                             0xFFFFFFFFFFFFFFFF};
        return load64(at) & masks[length];
    }
    static void load_key(const uint8_t* at, size_t length, uint64_t& low, uint64_t& high) noexcept {
        low = load64(at);
        high = load64(at + 8);
        if (length < 8) {
            low &= (1ull << (8 * length)) - 1;
            high = 0;
        } else {
            high &= (1ull << (8 * (length - 8))) - 1;
        }
        high |= static_cast<uint64_t>(length) << 56;
    }
    static uint64_t hash_word(uint64_t bytes) noexcept { return fold_multiply(bytes, key1); }
    static uint64_t hash_key(uint64_t low, uint64_t high) noexcept { return fold_multiply(low ^ key1, high ^ key2); }
    static uint64_t hash_bytes(const uint8_t* at, size_t length) noexcept {  // length > 15
        uint64_t hash = seed ^ length;
        const uint8_t* const last = at + length - 16;
        for (; at < last; at += 16) hash = fold_multiply(load64(at) ^ key1, load64(at + 8) ^ hash);
        return fold_multiply(fold_multiply(load64(last) ^ key2, load64(last + 8) ^ hash), key1 ^ length);
    }

    // Open addressing with linear probing. `Slot` says what is free, and the hash of what is not.
    template <class Slot>
    struct Table {
        std::unique_ptr<Slot[]> slots{new Slot[64]()};
        size_t mask = 63;
        size_t used = 0;
        size_t limit = 0;  // of used slots: one more, and there will be twice as many

        size_t bytes() const noexcept { return (mask + 1) * sizeof(Slot); }
        size_t growth(size_t more) const noexcept { return used + more > limit ? bytes() : 0; }
        Slot* slot(uint64_t hash) const noexcept { return slots.get() + (hash & mask); }

        // To be called when a free slot was filled. Returns whether the slots are elsewhere now.
        bool filled(size_t percent) {
            used++;
            if (used <= limit) return false;
            grow(percent);
            return true;
        }

        void set_limit(size_t percent) noexcept { limit = (mask + 1) * percent / 100; }

        void grow(size_t percent) {
            const size_t wider = mask * 2 + 1;
            std::unique_ptr<Slot[]> grown(new Slot[wider + 1]());
            for (size_t i = 0; i <= mask; i++) {
                if (slots[i].is_free()) continue;
                size_t at = slots[i].hash() & wider;
                while (!grown[at].is_free()) at = (at + 1) & wider;
                grown[at] = slots[i];
            }
            slots = std::move(grown);
            mask = wider;
            set_limit(percent);
        }
    };

    struct Partition {
        Table<Word> words;
        Table<Short> shorts;
        Table<Long> longs;
        size_t percent = 0;  // of its slots that may be used
        std::vector<std::unique_ptr<uint8_t[]>> chunks;
        size_t current = 0;              // index of the chunk being filled
        size_t filled = chunk_bytes;     // bytes used of it
        size_t chunk_total = 0;          // bytes of all chunks

        size_t used() const noexcept { return words.used + shorts.used + longs.used; }
        size_t slot_bytes() const noexcept { return words.bytes() + shorts.bytes() + longs.bytes(); }
        // Full at 58 % to 82 %, 70 % on average. If all partitions were full at the same fill all would grow within the
        // same megabyte of text, for their sizes hardly differ, and the table's memory would double.
        void set_limits(size_t which) noexcept {
            percent = 58 + 24 * which / (partitions - 1);
            words.set_limit(percent);
            shorts.set_limit(percent);
            longs.set_limit(percent);
        }
        size_t growth(size_t more) const noexcept {
            return words.growth(more) + shorts.growth(more) + longs.growth(more);
        }

        Record* record(uint32_t unit) const noexcept {
            const size_t offset = size_t{unit & ((1u << chunk_bits) - 1)} * 8;
            return reinterpret_cast<Record*>(chunks[unit >> chunk_bits].get() + offset);
        }

        // A string that has become more frequent than the one in the slot where it is looked for first takes that slot. All
        // slots between the two are taken, so each is still found.
        template <class Slot>
        static void come_home(Table<Slot>& table, uint64_t hash, Slot& slot) noexcept {
            Slot& home = *table.slot(hash);
            if (home.count < slot.count) std::swap(home, slot);
        }

        // Returns whether the slots of words are elsewhere now; and so does the next of those of short strings.
        bool add_word(uint64_t bytes, uint64_t hash, int64_t count) {
            for (size_t at = hash & words.mask;; at = (at + 1) & words.mask) {
                Word& slot = words.slots[at];
                if (slot.bytes == bytes) {
                    slot.count += count;
                    come_home(words, hash, slot);
                    return false;
                }
                if (slot.is_free()) {
                    slot = Word{bytes, count};
                    return words.filled(percent);
                }
            }
        }

        bool add_short(uint64_t low, uint64_t high, uint64_t hash, int64_t count) {
            for (size_t at = hash & shorts.mask;; at = (at + 1) & shorts.mask) {
                Short& slot = shorts.slots[at];
                if (slot.low == low && slot.high == high) {
                    slot.count += count;
                    come_home(shorts, hash, slot);
                    return false;
                }
                if (slot.is_free()) {
                    slot = Short{low, high, count};
                    return shorts.filled(percent);
                }
            }
        }

        void prefetch_long(uint32_t hash) const noexcept {
            const Long& slot = longs.slots[hash & longs.mask];
            if (slot.unit && slot.low_hash == hash) prefetch(record(slot.unit));
        }

        void add_long(const uint8_t* bytes, size_t length, uint32_t hash, int64_t count) {
            for (size_t at = hash & longs.mask;; at = (at + 1) & longs.mask) {
                Long& slot = longs.slots[at];
                if (slot.is_free()) {
                    const uint32_t unit = store(bytes, length, count);
                    slot = Long{hash, unit};
                    longs.filled(percent);
                    return;
                }
                if (slot.low_hash == hash) {
                    Record* found = record(slot.unit);
                    if (found->length == length && std::memcmp(found->bytes(), bytes, length) == 0) {
                        found->count += count;
                        return;
                    }
                }
            }
        }

        // Slots are in the order of their hashes, nearly, in both tables. So every sixteenth first, then those after them,
        // and so on: taken one by one they would all go to where this table is fuller than its limit allows.
        template <class Slot, class Add>
        static void each_spread(Table<Slot>& table, Add add) {
            for (size_t begin = 0; begin < 16; begin++) {
                for (size_t i = begin; i <= table.mask; i += 16) {
                    if (!table.slots[i].is_free()) add(table.slots[i]);
                }
            }
            table = Table<Slot>();
        }

        void absorb(Partition& other) {
            each_spread(other.words, [&](const Word& word) { add_word(word.bytes, word.hash(), word.count); });
            each_spread(other.shorts, [&](const Short& each) { add_short(each.low, each.high, each.hash(), each.count); });
        }

        uint32_t store(const uint8_t* bytes, size_t length, int64_t count) {
            if (length > UINT32_MAX - 64) throw std::bad_alloc();
            const size_t needed = (12 + length + 7) & ~size_t{7};
            size_t chunk = current, offset = filled;
            if (needed > chunk_bytes) {  // a chunk of its own; the current one stays current
                chunk = add_chunk(needed);
                offset = chunk == 0 ? 8 : 0;
            } else {
                if (filled + needed > chunk_bytes) {
                    current = add_chunk(chunk_bytes);
                    filled = 0;
                }
                chunk = current;
                offset = filled;
                filled += needed;
            }
            Record* made = reinterpret_cast<Record*>(chunks[chunk].get() + offset);
            made->count = count;
            made->length = static_cast<uint32_t>(length);
            std::memcpy(made->bytes(), bytes, length);
            return static_cast<uint32_t>((chunk << chunk_bits) + offset / 8);
        }

        size_t add_chunk(size_t size) {
            if (chunks.empty()) chunks.emplace_back(nullptr);  // unit 0 means a free slot: chunk 0 is never used
            if (chunks.size() >> (32 - chunk_bits)) throw std::bad_alloc();
            chunks.emplace_back(new uint8_t[size]);
            chunk_total += size;
            return chunks.size() - 1;
        }

        template <class Visit>
        void each(Visit visit) const {
            const auto show = [&](uint64_t rest) {
                Item item{0, rest};
                item.prefix = prefix(item, 0);
                visit(item);
            };
            for (size_t i = 0; i <= words.mask; i++) {
                const Word& word = words.slots[i];
                if (!word.is_free()) visit(Item{swap_bytes(word.bytes), static_cast<uint64_t>(word.count) << 1 | 1});
            }
            for (size_t i = 0; i <= shorts.mask; i++) {
                if (!shorts.slots[i].is_free()) show(reinterpret_cast<uintptr_t>(&shorts.slots[i]) | 2);
            }
            if (!longs.slots) return;
            for (size_t i = 0; i <= longs.mask; i++) {
                if (i + 8 <= longs.mask && !longs.slots[i + 8].is_free()) prefetch(record(longs.slots[i + 8].unit));
                if (!longs.slots[i].is_free()) show(reinterpret_cast<uintptr_t>(record(longs.slots[i].unit)));
            }
        }
    };

    std::unique_ptr<Partition[]> parts_;
    size_t words_queued_ = 0, shorts_queued_ = 0, longs_queued_ = 0;
    PendingWord word_queue_[queue_size];
    PendingShort short_queue_[queue_size];
    PendingLong long_queue_[queue_size];
};

// What all occurrences of some strings have.
struct ByteCountSums {
    int64_t bytes = 0, characters = 0, invalid_bytes = 0, strings = 0;
};

// Several tables on their way to one list of distinct strings in byte order. The steps that take a number may run at
// the same time on different numbers; between two steps all must be done:
// prepare(), gather(0 .. parts - 1), sort(0 .. buckets - 1), then fill(0 .. buckets - 1).
// What is in several tables is brought together: short strings in the first table when they are gathered, long ones when
// they are sorted and stand next to each other.
class SortedByteCounts {
public:
    using Item = ByteCounts::Item;

    // The tables must outlive this object, and change.
    void prepare(const std::vector<ByteCounts*>& tables, size_t buckets) {
        tables_ = tables;
        std::vector<uint64_t> prefixes;
        for (const ByteCounts* table : tables_) table->sample(0, prefixes);
        std::sort(prefixes.begin(), prefixes.end());
        pivots_.clear();
        for (size_t i = 1; i < buckets; i++) {
            pivots_.push_back(prefixes.empty() ? 0 : prefixes[i * prefixes.size() / buckets]);
        }
        gathered_.assign(parts(), std::vector<std::vector<Item>>(buckets));
        sorted_.assign(buckets, {});
        bytes_.assign(buckets, 0);
    }

    size_t parts() const { return ByteCounts::partitions / together; }

    void gather(size_t part) {
        const int first = static_cast<int>(part) * together, last = first + together;
        for (size_t table = 1; table < tables_.size(); table++) {
            for (int which = first; which < last; which++) tables_[0]->absorb(which, *tables_[table]);
        }
        for (ByteCounts* table : tables_) table->distribute(first, last, pivots_, gathered_[part]);
    }

    void sort(size_t bucket) {
        std::vector<Item>& items = sorted_[bucket];
        size_t total = 0;
        for (auto& part : gathered_) total += part[bucket].size();
        items.reserve(total);
        for (auto& part : gathered_) {
            items.insert(items.end(), part[bucket].begin(), part[bucket].end());
            std::vector<Item>().swap(part[bucket]);
        }
        sort_items(items);
        int64_t bytes = 0;
        for (const Item& item : items) bytes += static_cast<int64_t>(ByteCounts::length(item));
        bytes_[bucket] = bytes;
    }

    size_t size(size_t bucket) const { return sorted_[bucket].size(); }
    int64_t bytes(size_t bucket) const { return bytes_[bucket]; }

    // Write bucket after bucket: `data` is where this bucket's bytes begin, `base` how many bytes stand before them;
    // `ends` and `counts` are where its first string's numbers go. Frees the bucket.
    ByteCountSums fill(size_t bucket, uint8_t* data, int64_t base, int64_t* ends, int64_t* counts) {
        const size_t size = sorted_[bucket].size();
        const ByteCountSums sums = fill_some(bucket, 0, size, data, bytes_[bucket], base, ends, counts);
        free(bucket);
        return sums;
    }

    // The same for the strings from `first` up to `last` of the bucket, which stays; they have `size` bytes.
    ByteCountSums fill_some(size_t bucket, size_t first, size_t last, uint8_t* data, int64_t size, int64_t base,
                            int64_t* ends, int64_t* counts) const noexcept {
        const std::vector<Item>& items = sorted_[bucket];
        int64_t offset = 0;
        for (size_t i = first; i < last; i++) {
            if (i + 16 < last) ByteCounts::fetch(items[i + 16]);  // strings lie in the order of arrival
            if (ByteCounts::is_word(items[i]) && offset + 8 <= size) {
                store64(data + offset, swap_bytes(items[i].prefix));
            } else {
                ByteCounts::copy(items[i], data + offset);
            }
            offset += static_cast<int64_t>(ByteCounts::length(items[i]));
            ends[i - first] = base + offset;
            counts[i - first] = ByteCounts::count(items[i]);
        }
        // On its own: what characters there are decides on branches, which should not wait for strings from far away.
        ByteCountSums sums;
        const uint8_t* at = data;
        for (size_t i = 0; i < last - first; i++) {
            const uint8_t* const end = data + (ends[i] - base);
            int64_t characters = 0, invalid = 0;
            if (end - at <= 8 && at + 8 <= data + size && is_ascii(load64(at), end - at)) {  // nine in ten of English
                characters = end - at;
            } else {
                count_characters(at, end, characters, invalid);
            }
            sums.bytes += (end - at) * counts[i];
            sums.characters += characters * counts[i];
            sums.invalid_bytes += invalid * counts[i];
            sums.strings += counts[i];
            at = end;
        }
        return sums;
    }

    // Strings of a bucket from `first` on that have, all together, at most `most` bytes and number at most `rows`; at
    // least one. Adds their bytes to `total`.
    size_t fitting(size_t bucket, size_t first, size_t rows, int64_t most, int64_t& total) const noexcept {
        const std::vector<Item>& items = sorted_[bucket];
        size_t last = first;
        while (last < items.size() && last - first < rows) {
            const int64_t length = static_cast<int64_t>(ByteCounts::length(items[last]));
            if (last > first && total + length > most) break;
            total += length;
            last++;
        }
        return last - first;
    }

    void free(size_t bucket) { std::vector<Item>().swap(sorted_[bucket]); }

private:
    // Whether the first bytes of eight, one at least, are ASCII.
    static bool is_ascii(uint64_t eight, std::ptrdiff_t length) noexcept {
        return !(eight & 0x8080808080808080u & ~uint64_t{0} >> (64 - 8 * length));
    }

    static constexpr int together = 2;  // partitions of a part
    static constexpr std::ptrdiff_t few = 12;

    // Byte order, by eight bytes at a time: sort by the prefix; where a few prefixes are equal, compare the strings;
    // where many are, those strings that have ended come first by length, and the rest are sorted by their next eight
    // bytes. A stack of its own, because equal prefixes may be a megabyte long.
    static void sort_items(std::vector<Item>& items) {
        struct Range {
            size_t begin, end, depth;
        };
        std::vector<Range> stack{{0, items.size(), 0}};
        Buffer<Item> scratch;
        bool repeated = false;
        while (!stack.empty()) {
            const Range range = stack.back();
            stack.pop_back();
            sort_by_prefix(items.data() + range.begin, range.end - range.begin, scratch);
            const size_t next = range.depth + 8;
            size_t asked = range.begin;
            for (size_t first = range.begin; first < range.end;) {
                for (; asked < range.end && asked < first + 24; asked++) {  // ask for what must be compared further
                    const uint64_t prefix = items[asked].prefix;
                    if ((asked > first && prefix == items[asked - 1].prefix) ||
                        (asked + 1 < range.end && prefix == items[asked + 1].prefix)) {
                        ByteCounts::fetch(items[asked]);
                    }
                }
                size_t last = first + 1;
                while (last < range.end && items[last].prefix == items[first].prefix) last++;
                Item* const begin = items.data() + first;
                Item* const end = items.data() + last;
                Item* ended = begin;
                if (last - first > 1) {
                    ended = std::partition(begin, end,
                                           [next](const Item& item) { return ByteCounts::length(item) <= next; });
                    std::sort(begin, ended, [](const Item& a, const Item& b) {
                        return ByteCounts::length(a) < ByteCounts::length(b);
                    });
                    repeated |= add_up(begin, ended, [](const Item& a, const Item& b) {
                        return ByteCounts::length(a) == ByteCounts::length(b);
                    });
                }
                if (end - ended > few) {
                    for (Item* item = ended; item != end; item++) item->prefix = ByteCounts::prefix(*item, next);
                    stack.push_back({static_cast<size_t>(ended - items.data()), last, next});
                } else if (end - ended > 1) {
                    std::sort(ended, end, [next](const Item& a, const Item& b) {
                        return ByteCounts::compare(a, b, next) < 0;
                    });
                    repeated |= add_up(ended, end, [next](const Item& a, const Item& b) {
                        return ByteCounts::compare(a, b, next) == 0;
                    });
                }
                first = last;
            }
        }
        if (repeated) {
            items.erase(std::remove_if(items.begin(), items.end(), [](const Item& item) { return item.rest == 0; }),
                        items.end());
        }
    }

    // Of equal strings next to one another the first gets all counts, and nothing is left of the others.
    template <class Equal>
    static bool add_up(Item* begin, Item* end, Equal equal) {
        bool any = false;
        for (Item* first = begin; first != end;) {
            Item* other = first + 1;
            for (; other != end && equal(*first, *other); other++) {
                ByteCounts::add(*first, ByteCounts::count(*other));
                other->rest = 0;
                any = true;
            }
            first = other;
        }
        return any;
    }

    // Many are sorted by counting their bytes, from the lowest to the highest, which mispredicts no branch: a third of
    // std::sort's time on a million prefixes.
    static void sort_by_prefix(Item* items, size_t size, Buffer<Item>& scratch) {
        if (size < 1024) {
            std::sort(items, items + size, [](const Item& a, const Item& b) { return a.prefix < b.prefix; });
            return;
        }
        scratch.reserve(size);
        std::vector<size_t> starts(8 * 256, 0);
        for (size_t i = 0; i < size; i++) {
            for (size_t digit = 0; digit < 8; digit++) starts[digit * 256 + (items[i].prefix >> 8 * digit & 0xFF)]++;
        }
        Item* from = items;
        Item* to = scratch.data();
        for (size_t digit = 0; digit < 8; digit++) {
            size_t* const start = starts.data() + digit * 256;
            if (start[from[0].prefix >> 8 * digit & 0xFF] == size) continue;  // all have the same
            size_t sum = 0;
            for (size_t value = 0; value < 256; value++) sum += std::exchange(start[value], sum);
            for (size_t i = 0; i < size; i++) to[start[from[i].prefix >> 8 * digit & 0xFF]++] = from[i];
            std::swap(from, to);
        }
        if (from != items) std::copy(from, from + size, items);
    }

    std::vector<ByteCounts*> tables_;
    std::vector<uint64_t> pivots_;
    std::vector<std::vector<std::vector<Item>>> gathered_;  // [part][bucket]
    std::vector<std::vector<Item>> sorted_;                 // [bucket]
    std::vector<int64_t> bytes_;
};

}  // namespace bbpe
