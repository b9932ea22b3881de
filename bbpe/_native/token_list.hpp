// Byte strings of tokens by id, and whether two of them make one that is there already.
//
// That is asked some ten thousand times, for what is hardly ever there. So the bytes of all tokens stand one after the
// other; two are joined behind the last, where the join stays if it becomes the next token; and a look-up reads one byte
// of each string's hash, few enough to stay in the cache, and more only where that is equal. (With std::string and a set
// of them this was a sixth of all merging on English.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "buffer.hpp"  // Buffer, hash_bytes

namespace bbpe {

class TokenList {
public:
    // The token with the next id; an empty one is a hole.
    void add(const std::string& token) {
        const Entry entry = appended(token);
        keep(entry, found(entry), static_cast<std::uint32_t>(tokens_.size()), tokens_);
    }

    // No token may be spelled like this.
    void refuse(const std::string& token) {
        const Entry entry = appended(token);
        keep(entry, found(entry), REFUSED | static_cast<std::uint32_t>(refused_.size()), refused_);
    }

    // Whether the bytes of two tokens, one after the other, are a token or refused.
    bool joined_is_there(std::uint32_t left, std::uint32_t right) {
        asked_ = Join{left, right, join(left, right), false};
        asked_.is_there = found(asked_.entry);
        return asked_.is_there;
    }

    // The token with the next id, made of two: nearly always of those that were asked for last.
    void add_joined(std::uint32_t left, std::uint32_t right) {
        if (asked_.left != left || asked_.right != right || asked_.entry.begin != used_) joined_is_there(left, right);
        keep(asked_.entry, asked_.is_there, static_cast<std::uint32_t>(tokens_.size()), tokens_);
    }

    std::string joined(std::uint32_t left, std::uint32_t right) const { return spelled(left) + spelled(right); }
    std::size_t length(std::uint32_t id) const noexcept { return tokens_[id].size; }
    std::size_t size() const noexcept { return tokens_.size(); }

    // Room for so many tokens more.
    void reserve(std::size_t more) {
        tokens_.reserve(tokens_.size() + more);
        while ((kept_ + more) * 2 > tags_.size()) grow();
    }

private:
    struct Entry {
        std::uint64_t begin;
        std::uint32_t size;
        std::uint32_t hash;
    };
    struct Join {
        std::uint32_t left, right;
        Entry entry;  // stands behind the last token as long as it begins there
        bool is_there;
    };
    static constexpr std::size_t SLACK = 8;  // hash_bytes reads past the end

    static constexpr std::uint32_t REFUSED = 0x80000000u;

    std::string spelled(std::uint32_t id) const {
        const Entry& entry = tokens_[id];
        return std::string(reinterpret_cast<const char*>(bytes_.data()) + entry.begin, entry.size);
    }

    // Bytes behind the last entry, which the next one may overwrite.
    std::uint8_t* room(std::size_t size) {
        if (used_ + size + SLACK > bytes_.size()) bytes_.resize((used_ + size + SLACK) * 2);
        return bytes_.data() + used_;
    }

    Entry hashed(std::size_t size) const noexcept {
        return Entry{used_, static_cast<std::uint32_t>(size),
                     static_cast<std::uint32_t>(hash_bytes(bytes_.data() + used_, size))};
    }

    Entry join(std::uint32_t left, std::uint32_t right) {
        const Entry one = tokens_[left], other = tokens_[right];
        const std::size_t size = std::size_t{one.size} + other.size;
        std::uint8_t* at = room(size);
        std::memcpy(at, bytes_.data() + one.begin, one.size);
        std::memcpy(at + one.size, bytes_.data() + other.begin, other.size);
        return hashed(size);
    }

    Entry appended(const std::string& token) {
        std::memcpy(room(token.size()), token.data(), token.size());
        return hashed(token.size());
    }

    // A hole, and what is there already, is kept without being found.
    void keep(const Entry& entry, bool is_there, std::uint32_t number, std::vector<Entry>& among) {
        among.push_back(entry);
        used_ += entry.size;
        if (entry.size == 0 || is_there) return;
        if ((kept_ + 1) * 2 > tags_.size()) grow();
        place(entry.hash, number);
        kept_++;
    }

    const Entry& entry_of(std::uint32_t number) const noexcept {
        return number & REFUSED ? refused_[number & ~REFUSED] : tokens_[number];
    }

    bool found(const Entry& wanted) const noexcept {
        for (std::size_t at = wanted.hash & mask();; at = (at + 1) & mask()) {
            if (tags_[at] == 0) return false;
            if (tags_[at] != tag_of(wanted.hash)) continue;
            const Entry& entry = entry_of(numbers_[at]);
            if (entry.hash == wanted.hash && entry.size == wanted.size &&
                std::memcmp(bytes_.data() + entry.begin, bytes_.data() + wanted.begin, wanted.size) == 0)
                return true;
        }
    }

    static std::uint8_t tag_of(std::uint32_t hash) noexcept { return static_cast<std::uint8_t>(hash >> 25 | 0x80); }
    std::size_t mask() const noexcept { return tags_.size() - 1; }

    void place(std::uint32_t hash, std::uint32_t number) noexcept {
        std::size_t at = hash & mask();
        while (tags_[at]) at = (at + 1) & mask();
        tags_[at] = tag_of(hash);
        numbers_[at] = number;
    }

    void grow() {
        std::vector<std::uint8_t> tags(tags_.size() * 2);
        std::vector<std::uint32_t> numbers(tags.size());
        tags.swap(tags_);
        numbers.swap(numbers_);
        for (std::size_t at = 0; at < tags.size(); at++) {
            if (tags[at]) place(entry_of(numbers[at]).hash, numbers[at]);
        }
    }

    std::vector<std::uint8_t> bytes_;
    std::uint64_t used_ = 0;
    Join asked_{0, 0, Entry{~std::uint64_t{0}, 0, 0}, false};  // the last that was asked for
    std::vector<Entry> tokens_;   // by id
    std::vector<Entry> refused_;
    std::vector<std::uint8_t> tags_ = std::vector<std::uint8_t>(1024);  // by slot: some bits of a hash; 0: free
    std::vector<std::uint32_t> numbers_ = std::vector<std::uint32_t>(1024);
    std::size_t kept_ = 0;  // slots that are not free
};

}  // namespace bbpe
