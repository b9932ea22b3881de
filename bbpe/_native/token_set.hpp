// A set of short byte strings that is asked some ten thousand times for what is hardly ever in it.
//
// The strings stand in one array of slots beside their hashes, so that a look-up touches one cache line and a string is
// compared only where the hash is equal. (With std::unordered_set the look-up was a tenth of all merging on English.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "buffer.hpp"  // load64, mix64

namespace bbpe {

class TokenSet {
public:
    bool contains(const std::string& token) const noexcept {
        const std::uint32_t hash = hash_of(token);
        for (std::size_t at = hash & mask();; at = (at + 1) & mask()) {
            if (slots_[at].number == 0) return false;
            if (slots_[at].hash == hash && strings_[slots_[at].number - 1] == token) return true;
        }
    }

    void insert(const std::string& token) {
        if (contains(token)) return;
        if ((strings_.size() + 1) * 2 > slots_.size()) grow();
        strings_.push_back(token);
        place(hash_of(token), static_cast<std::uint32_t>(strings_.size()));
    }

private:
    struct Slot {
        std::uint32_t hash;
        std::uint32_t number;  // of the string, from 1 on; 0: free
    };

    static std::uint32_t hash_of(const std::string& token) noexcept {
        std::uint64_t hash = token.size(), last = 0;
        std::size_t at = 0;
        for (; at + 8 <= token.size(); at += 8) hash = mix64(hash ^ load64(token.data() + at), 0xD6E8FEB86659FD93ull);
        std::memcpy(&last, token.data() + at, token.size() - at);
        return static_cast<std::uint32_t>(mix64(hash ^ last ^ 0x9E3779B97F4A7C15ull, 0xA0761D6478BD642Full));
    }
    std::size_t mask() const noexcept { return slots_.size() - 1; }

    void place(std::uint32_t hash, std::uint32_t number) noexcept {
        std::size_t at = hash & mask();
        while (slots_[at].number) at = (at + 1) & mask();
        slots_[at] = Slot{hash, number};
    }

    void grow() {
        std::vector<Slot> before(slots_.size() * 2);
        before.swap(slots_);
        for (const Slot& slot : before) {
            if (slot.number) place(slot.hash, slot.number);
        }
    }

    std::vector<Slot> slots_ = std::vector<Slot>(1024);
    std::vector<std::string> strings_;
};

}  // namespace bbpe
