// Which byte strings may be added to a vocabulary, by the characters in them: `reference.may_be_added` says what the
// rules mean. A string is whole characters, and may begin (the head) and end (the tail) with a piece of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "utf8.hpp"

namespace bbpe {

class TextRules {
  public:
    bool whole_or_piece = false;           // never a character and a half
    uint32_t max_characters = 0xFFFFFFFFu; // a piece counts as one
    // By code point: 0 refused, 1 taken, 2 taken at the beginning only; empty: every character is taken.
    std::vector<uint8_t> characters;
    bool only_pieces = false;              // pieces have to be among `pieces_taken`
    std::unordered_set<std::string> pieces_taken;
    std::unordered_set<std::string> pieces_refused;
    std::vector<std::string> denied;       // substrings that no string may hold

    bool allows(const std::string& text) const {
        const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
        const uint8_t* end = begin + text.size();
        if (max_characters != 0xFFFFFFFFu) {
            uint32_t count = begin < end && is_continuation(*begin);
            for (const uint8_t* at = begin; at < end; at++) count += !is_continuation(*at);
            if (count > max_characters) return false;
        }
        const uint8_t* at = begin;
        while (at < end && is_continuation(*at)) at++;
        const size_t head = static_cast<size_t>(at - begin);
        bool ordered = head <= 3;
        const bool by_character = !characters.empty();
        while (ordered && at < end) {
            const size_t length = utf8_sequence(at, end);
            if (length == 0) break;
            if (by_character) {
                const uint8_t verdict = characters[code_point(at, length)];
                if (verdict == 0 || (verdict == 2 && at != begin)) return false;
            }
            at += length;
        }
        const size_t tail = ordered ? static_cast<size_t>(end - at) : 0;
        if (!ordered || (tail && !unfinished(at, end))) {
            return !whole_or_piece && !by_character && !only_pieces && pieces_refused.empty() && !holds_denied(text);
        }
        if (whole_or_piece && (head || tail) && head != text.size() && tail != text.size()) return false;
        if (head && !piece_allowed(text.substr(0, head))) return false;
        if (tail && !piece_allowed(text.substr(text.size() - tail))) return false;
        return !holds_denied(text);
    }

  private:
    bool piece_allowed(const std::string& piece) const {
        return (!only_pieces || pieces_taken.count(piece)) && !pieces_refused.count(piece);
    }

    bool holds_denied(const std::string& text) const {
        for (const std::string& part : denied)
            if (text.find(part) != std::string::npos) return true;
        return false;
    }

    static uint32_t code_point(const uint8_t* at, size_t length) noexcept {
        switch (length) {
            case 1: return at[0];
            case 2: return (at[0] & 0x1Fu) << 6 | (at[1] & 0x3Fu);
            case 3: return (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
            default: return (at[0] & 7u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
        }
    }

    // Whether more bytes could make [at, end) one character; no complete one begins there.
    static bool unfinished(const uint8_t* at, const uint8_t* end) noexcept {
        const uint8_t lead = at[0];
        const size_t needed = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
        const size_t length = static_cast<size_t>(end - at);
        if (lead < 0xC2 || lead > 0xF4 || length >= needed) return false;
        for (size_t i = 1; i < length; i++)
            if (!is_continuation(at[i])) return false;
        if (length > 1) {
            if (lead == 0xE0 && at[1] < 0xA0) return false;
            if (lead == 0xED && at[1] > 0x9F) return false;
            if (lead == 0xF0 && at[1] < 0x90) return false;
            if (lead == 0xF4 && at[1] > 0x8F) return false;
        }
        return true;
    }
};

}  // namespace bbpe
