// From ids to bytes and from UTF-8 to the units of a Python str.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "utf8.hpp"

namespace bbpe {

// The bytes of a short token and what stands behind them: one move of a fixed size copies it, whatever its length.
struct Spelling {
    static constexpr size_t size = 16;
    uint8_t text[size];
};

constexpr uint8_t unspelled = 255;  // stands for a length: of a longer token, or of no token

// What the bytes of a text are as characters: how many, and the largest that its widest kind allows.
struct Shape {
    size_t characters;
    uint32_t largest;  // 0x7F, 0xFF, 0xFFFF or 0x10FFFF
};

inline bool is_plain_three(const uint8_t* at) noexcept {  // a valid sequence of three bytes, of those that most are
    uint32_t word;
    std::memcpy(&word, at, 4);
    const uint32_t lead = word & 0xFF;
    return (word & 0xC0C0F0) == 0x8080E0 && lead != 0xE0 && lead != 0xED;
}

// Whether [at, end) is valid UTF-8, and what it is then. Reads up to 3 bytes past the end.
inline bool shape_of(const uint8_t* at, const uint8_t* end, Shape& shape) noexcept {
    size_t characters = 0;
    uint8_t widest = 0;  // the highest lead byte
    while (at < end) {
        uint64_t word;
        if (end - at >= 8) {
            std::memcpy(&word, at, 8);
            if (!(word & 0x8080808080808080ull)) {
                at += 8;
                characters += 8;
                continue;
            }
        }
        if (*at < 0x80) {
            at++;
            characters++;
            continue;
        }
        while (end - at >= 3 && is_plain_three(at)) {
            if (*at > widest) widest = *at;
            at += 3;
            characters++;
        }
        if (at >= end || *at < 0x80) continue;
        const size_t length = utf8_sequence(at, end);
        if (length == 0) return false;
        if (*at > widest) widest = *at;
        at += length;
        characters++;
    }
    shape.characters = characters;
    shape.largest = widest == 0 ? 0x7F : widest < 0xC4 ? 0xFF : widest < 0xF0 ? 0xFFFF : 0x10FFFF;
    return true;
}

// Writes valid UTF-8 as one unit for each character.
template <class Unit>
inline void widen(const uint8_t* at, const uint8_t* end, Unit* out) noexcept {
    while (at < end) {
        if (end - at >= 8) {
            uint64_t word;
            std::memcpy(&word, at, 8);
            if (!(word & 0x8080808080808080ull)) {
                for (int i = 0; i < 8; i++) out[i] = at[i];
                at += 8;
                out += 8;
                continue;
            }
        }
        const uint32_t lead = at[0];
        if (lead < 0x80) {
            *out++ = static_cast<Unit>(lead);
            at++;
        } else if (lead < 0xE0) {
            *out++ = static_cast<Unit>((lead & 0x1F) << 6 | (at[1] & 0x3Fu));
            at += 2;
        } else if (lead < 0xF0) {
            do {  // they come in runs
                *out++ = static_cast<Unit>((at[0] & 0xFu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu));
                at += 3;
            } while (at < end && (at[0] & 0xF0) == 0xE0);
        } else {
            *out++ = static_cast<Unit>((lead & 7) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu));
            at += 4;
        }
    }
}

}  // namespace bbpe
