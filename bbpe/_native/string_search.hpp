// Where a text first contains one of a few strings: the leftmost place, and there the longest string.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bbpe {

class StringSearch {
public:
    void add(const std::string& text) {  // not empty
        const uint8_t first = static_cast<uint8_t>(text[0]);
        std::vector<std::string>& same = by_first_[first];
        same.insert(std::find_if(same.begin(), same.end(),
                                 [&](const std::string& other) { return other.size() < text.size(); }),
                    text);
        longest_ = std::max(longest_, text.size());
        begins_[first] = true;
        if (same.size() == 1) {
            firsts_++;
            only_first_ = first;
        }
    }

    size_t longest() const noexcept { return longest_; }  // 0 when there are no strings

    // Where the first occurrence begins that begins before `limit` and ends by `end`; nullptr when there is none.
    const uint8_t* find(const uint8_t* at, const uint8_t* limit, const uint8_t* end, size_t& length) const noexcept {
        if (longest_ == 0) return nullptr;
        while (at < limit) {
            if (firsts_ == 1) {
                at = static_cast<const uint8_t*>(std::memchr(at, only_first_, static_cast<size_t>(limit - at)));
                if (!at) return nullptr;
            } else {
                while (!begins_[*at]) {
                    if (++at == limit) return nullptr;
                }
            }
            for (const std::string& text : by_first_[*at]) {
                if (text.size() <= static_cast<size_t>(end - at) && std::memcmp(at, text.data(), text.size()) == 0) {
                    length = text.size();
                    return at;
                }
            }
            at++;
        }
        return nullptr;
    }

private:
    std::vector<std::string> by_first_[256];  // longest first
    bool begins_[256] = {false};
    size_t longest_ = 0;
    int firsts_ = 0;  // how many different first bytes
    uint8_t only_first_ = 0;
};

}  // namespace bbpe
