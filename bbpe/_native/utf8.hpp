// UTF-8 as bbpe reads it: a character is a valid sequence (no surrogates, nothing overlong, at most U+10FFFF) or ONE
// invalid byte, which is what Python's surrogateescape makes of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bbpe {

inline bool is_continuation(uint8_t byte) noexcept { return (byte & 0xC0) == 0x80; }

// Length of the valid sequence that begins at `at` and lies before `end`; 0 where there is none.
inline size_t utf8_sequence(const uint8_t* at, const uint8_t* end) noexcept {
    const uint8_t lead = at[0];
    const ptrdiff_t left = end - at;
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return left >= 2 && is_continuation(at[1]) ? 2 : 0;
    if (lead < 0xF0) {
        if (left < 3 || !is_continuation(at[1]) || !is_continuation(at[2])) return 0;
        if (lead == 0xE0 && at[1] < 0xA0) return 0;
        return lead == 0xED && at[1] > 0x9F ? 0 : 3;
    }
    if (lead > 0xF4 || left < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3])) return 0;
    if (lead == 0xF0 && at[1] < 0x90) return 0;
    return lead == 0xF4 && at[1] > 0x8F ? 0 : 4;
}

// Characters in [at, end), and how many of them are invalid bytes.
inline void count_characters(const uint8_t* at, const uint8_t* end, int64_t& characters, int64_t& invalid) noexcept {
    while (at < end) {
        // Most text by far: ASCII, and three bytes whose first is neither E0 nor ED.
        if (*at < 0x80) {
            characters++;
            at++;
            continue;
        }
        if (end - at >= 3 && (*at & 0xF0) == 0xE0 && *at != 0xE0 && *at != 0xED && is_continuation(at[1]) &&
            is_continuation(at[2])) {
            characters++;
            at += 3;
            continue;
        }
        const size_t length = utf8_sequence(at, end);
        characters++;
        invalid += length == 0;
        at += length ? length : 1;
    }
}

// The last character boundary that is not after `at`, for text [begin, end) and begin < at.
inline const uint8_t* character_floor(const uint8_t* begin, const uint8_t* at, const uint8_t* end) noexcept {
    if (at >= end) return end;
    if (!is_continuation(*at)) return at;
    for (int back = 1; back <= 3 && at - back >= begin; back++) {
        const uint8_t* lead = at - back;
        if (is_continuation(*lead)) continue;
        return lead + utf8_sequence(lead, end) > at ? lead : at;
    }
    return at;
}

// `end`, or where the character begins that more bytes after `end` might complete.
inline const uint8_t* whole_characters(const uint8_t* begin, const uint8_t* end) noexcept {
    for (int back = 1; back <= 3 && end - back >= begin; back++) {
        const uint8_t lead = end[-back];
        if (is_continuation(lead)) continue;
        const int length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
        return length > back ? end - back : end;
    }
    return end;
}

// Whether normalization form C leaves the character at `at` alone, whatever stands before it: it is in that form, is no
// combining mark and combines with nothing before it (NFC_Quick_Check=Yes and combining class 0). So a text of such
// characters is normalized, and a boundary before one of them is where normalization can be cut. The ranges are some of
// those characters, those of most text; that they are right is tested against Python's unicodedata.
inline bool is_inert(const uint8_t* at, const uint8_t* end) noexcept {
    const uint8_t lead = at[0];
    if (lead < 0x80) return true;
    const size_t length = utf8_sequence(at, end);
    if (length == 0) return true;  // an invalid byte is no character of Unicode
    if (length == 2) {
        const uint32_t code = (lead & 0x1Fu) << 6 | (at[1] & 0x3Fu);
        return code <= 0x2FF || (code >= 0x388 && code <= 0x481);  // Latin; Greek and Cyrillic
    }
    if (length == 3) {
        const uint32_t code = (lead & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
        return (code >= 0x309B && code <= 0x9FFF) || (code >= 0xAC00 && code <= 0xD7A3) ||  // kana to Han; Hangul syllables
               (code >= 0x3000 && code <= 0x3029) || (code >= 0xFF00 && code <= 0xFFEF) ||  // CJK punctuation, wide forms
               (code >= 0x3030 && code <= 0x3096) || (code >= 0xE000 && code <= 0xF8FF) ||  // kana; private use
               (code >= 0x2010 && code <= 0x2027) || (code >= 0x2030 && code <= 0x20BF) ||  // punctuation to currencies
               (code >= 0x2100 && code <= 0x2125) || (code >= 0x212C && code <= 0x2328) ||  // letters, arrows, mathematics
               (code >= 0x232B && code <= 0x2ADB) || (code >= 0x1E00 && code <= 0x1EFF) ||  // shapes; Latin for Vietnamese
               (code >= 0xFE00 && code <= 0xFE0F) || (code >= 0xFE30 && code <= 0xFE6B);    // emoji's selectors
    }
    const uint32_t code = (lead & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
    return (code >= 0x1F000 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x2F7FF);  // emoji; rare Han
}

// The first character that is not inert, or `end`.
inline const uint8_t* next_not_inert(const uint8_t* at, const uint8_t* end) noexcept {
    while (at < end) {
        if (end - at >= 8) {
            uint64_t word;
            std::memcpy(&word, at, 8);
            if (!(word & 0x8080808080808080ull)) {
                at += 8;
                continue;
            }
        }
        // Most Han, from U+4000 on: nearly all of Chinese text, and all of it inert.
        if (end - at >= 3 && at[0] >= 0xE4 && at[0] <= 0xE9 && is_continuation(at[1]) && is_continuation(at[2])) {
            at += 3;
            continue;
        }
        if (!is_inert(at, end)) return at;
        const size_t length = utf8_sequence(at, end);
        at += length ? length : 1;
    }
    return end;
}

inline bool all_inert(const uint8_t* at, const uint8_t* end) noexcept { return next_not_inert(at, end) == end; }

}  // namespace bbpe
