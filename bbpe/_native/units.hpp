// Text in units of 16 bits, as CPython keeps most text that is not ASCII: to UTF-8, and eight or 64 at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define BBPE_SSE2 1
#endif
#if defined(BBPE_SSE2) && (defined(__GNUC__) || defined(__clang__))
#include <tmmintrin.h>
#define BBPE_SSSE3 __attribute__((target("ssse3")))
#endif
#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace bbpe {

// The number of the lowest bit of a word that is not 0.
inline unsigned lowest_set(uint64_t word) noexcept {
#if defined(_MSC_VER)
    unsigned long index;
    _BitScanForward64(&index, word);
    return static_cast<unsigned>(index);
#else
    return static_cast<unsigned>(__builtin_ctzll(word));
#endif
}

// And of the highest.
inline unsigned highest_set(uint64_t word) noexcept {
#if defined(_MSC_VER)
    unsigned long index;
    _BitScanReverse64(&index, word);
    return static_cast<unsigned>(index);
#else
    return 63u - static_cast<unsigned>(__builtin_clzll(word));
#endif
}

inline bool is_surrogate(uint32_t code) noexcept { return (code & 0xFFFFF800u) == 0xD800; }

// The last and the first byte in UTF-8 of a character below U+10000.
inline uint32_t last_byte(uint32_t unit) noexcept { return unit < 0x80 ? unit : 0x80 | (unit & 0x3F); }
inline uint32_t first_byte(uint32_t unit) noexcept {
    return unit < 0x80 ? unit : unit < 0x800 ? 0xC0 | unit >> 6 : 0xE0 | unit >> 12;
}

// ---- Masks of 64: one bit for each ----

// Whether each unit, none a surrogate, has three bytes in UTF-8.
inline uint64_t three_byte_mask(const uint16_t* units) noexcept {
    uint64_t mask = 0;
#if defined(BBPE_SSE2)
    const __m128i below = _mm_set1_epi16(0x7FF);
    for (int i = 0; i < 4; i++) {
        const __m128i* at = reinterpret_cast<const __m128i*>(units + 16 * i);
        const __m128i first = _mm_cmpeq_epi16(_mm_subs_epu16(_mm_loadu_si128(at), below), _mm_setzero_si128());
        const __m128i second = _mm_cmpeq_epi16(_mm_subs_epu16(_mm_loadu_si128(at + 1), below), _mm_setzero_si128());
        const int short_ones = _mm_movemask_epi8(_mm_packs_epi16(first, second));
        mask |= static_cast<uint64_t>(static_cast<uint16_t>(~short_ones)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) mask |= static_cast<uint64_t>(units[i] >= 0x800) << i;
#endif
    return mask;
}

// Whether this bit of each byte is set.
template <int Bit>
inline uint64_t bit_mask(const uint8_t* bytes) noexcept {
    uint64_t mask = 0;
#if defined(BBPE_SSE2)
    for (int i = 0; i < 4; i++) {
        const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
        const int found = _mm_movemask_epi8(_mm_slli_epi16(sixteen, 7 - Bit));
        mask |= static_cast<uint64_t>(static_cast<uint16_t>(found)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) mask |= static_cast<uint64_t>(bytes[i] >> Bit & 1) << i;
#endif
    return mask;
}

// Whether all bytes are ASCII.
inline bool all_ascii(const uint8_t* bytes) noexcept {
#if defined(BBPE_SSE2)
    const __m128i* at = reinterpret_cast<const __m128i*>(bytes);
    const __m128i first = _mm_or_si128(_mm_loadu_si128(at), _mm_loadu_si128(at + 1));
    const __m128i second = _mm_or_si128(_mm_loadu_si128(at + 2), _mm_loadu_si128(at + 3));
    return _mm_movemask_epi8(_mm_or_si128(first, second)) == 0;
#else
    uint8_t found = 0;
    for (int i = 0; i < 64; i++) found |= bytes[i];
    return found < 0x80;
#endif
}

// Where pretokens begin or end (steps.hpp says what the flags are): a bit of each, or another of the next. Reads 65.
inline uint64_t flag_mask(const uint8_t* flags) noexcept {
    uint64_t mask = 0;
#if defined(BBPE_SSE2)
    for (int i = 0; i < 4; i++) {
        const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(flags + 16 * i));
        const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i*>(flags + 16 * i + 1));
        const int found = _mm_movemask_epi8(_mm_or_si128(_mm_slli_epi16(here, 7), _mm_slli_epi16(next, 4)));
        mask |= static_cast<uint64_t>(static_cast<uint16_t>(found)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) mask |= static_cast<uint64_t>((flags[i] | flags[i + 1] >> 3) & 1) << i;
#endif
    return mask;
}

// Whether the low byte, or the high byte, of each is not 0.
template <bool High>
inline uint64_t byte_mask(const uint16_t* values) noexcept {
    uint64_t mask = 0;
#if defined(BBPE_SSE2)
    for (int i = 0; i < 4; i++) {
        const __m128i* at = reinterpret_cast<const __m128i*>(values + 16 * i);
        __m128i first = _mm_loadu_si128(at), second = _mm_loadu_si128(at + 1);
        first = High ? _mm_srli_epi16(first, 8) : _mm_and_si128(first, _mm_set1_epi16(0xFF));
        second = High ? _mm_srli_epi16(second, 8) : _mm_and_si128(second, _mm_set1_epi16(0xFF));
        const int zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_packus_epi16(first, second), _mm_setzero_si128()));
        mask |= static_cast<uint64_t>(static_cast<uint16_t>(~zeros)) << (16 * i);
    }
#else
    for (int i = 0; i < 64; i++) mask |= static_cast<uint64_t>((High ? values[i] >> 8 : values[i] & 0xFF) != 0) << i;
#endif
    return mask;
}

inline uint64_t low_byte_mask(const uint16_t* values) noexcept { return byte_mask<false>(values); }
inline uint64_t high_byte_mask(const uint16_t* values) noexcept { return byte_mask<true>(values); }

// ---- Runs and copies ----

// How many of the first units are from `low` on and at most `span` more. May read eight units past `count`.
inline size_t units_within(const uint16_t* units, size_t count, uint16_t low, uint16_t span) noexcept {
    size_t done = 0;
#if defined(BBPE_SSE2)
    const __m128i lows = _mm_set1_epi16(static_cast<short>(low));
    const __m128i spans = _mm_set1_epi16(static_cast<short>(span));
    for (; done < count; done += 8) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + done));
        const __m128i beyond = _mm_subs_epu16(_mm_sub_epi16(eight, lows), spans);  // 0: within
        const int within = _mm_movemask_epi8(_mm_cmpeq_epi16(beyond, _mm_setzero_si128()));
        if (within != 0xFFFF) {
            done += lowest_set(static_cast<unsigned>(~within)) >> 1;
            break;
        }
    }
    return done < count ? done : count;
#else
    while (done < count && static_cast<uint16_t>(units[done] - low) <= span) done++;
    return done;
#endif
}

// Copies units; whether none of them is a surrogate.
inline bool copy_units(const uint16_t* units, size_t count, uint16_t* out) noexcept {
    size_t i = 0;
    bool found = false;
#if defined(BBPE_SSE2)
    const __m128i top = _mm_set1_epi16(static_cast<short>(0xF800));
    const __m128i surrogate = _mm_set1_epi16(static_cast<short>(0xD800));
    __m128i surrogates = _mm_setzero_si128();
    for (; i + 8 <= count; i += 8) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + i));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), eight);
        surrogates = _mm_or_si128(surrogates, _mm_cmpeq_epi16(_mm_and_si128(eight, top), surrogate));
    }
    found = _mm_movemask_epi8(surrogates) != 0;
#endif
    for (; i < count; i++) {
        out[i] = units[i];
        found |= is_surrogate(units[i]);
    }
    return !found;
}

// Copies characters below U+0100 to units of 16 bits.
inline void widen_units(const uint8_t* characters, size_t count, uint16_t* out) noexcept {
    for (size_t i = 0; i < count; i++) out[i] = characters[i];
}

// ---- To UTF-8 ----

inline void store_three(uint32_t unit, uint8_t* out) noexcept {
    out[0] = static_cast<uint8_t>(0xE0 | unit >> 12);
    out[1] = static_cast<uint8_t>(0x80 | (unit >> 6 & 0x3F));
    out[2] = static_cast<uint8_t>(0x80 | (unit & 0x3F));
}

inline size_t spell_plain(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    uint8_t* const start = out;
    for (size_t i = 0; i < count; i++) {
        const uint32_t unit = units[i];
        if (unit >= 0x800) {
            store_three(unit, out);
            out += 3;
        } else if (unit < 0x80) {
            *out++ = static_cast<uint8_t>(unit);
        } else {
            out[0] = static_cast<uint8_t>(0xC0 | unit >> 6);
            out[1] = static_cast<uint8_t>(0x80 | (unit & 0x3F));
            out += 2;
        }
    }
    return static_cast<size_t>(out - start);
}

// Writes the first units as long as they are ASCII, in steps of eight; returns how many. May write eight bytes more.
inline size_t ascii_units(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    size_t done = 0;
    for (; done + 8 <= count; done += 8) {
#if defined(BBPE_SSE2)
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + done));
        const __m128i beyond = _mm_and_si128(eight, _mm_set1_epi16(static_cast<short>(0xFF80)));
        if (_mm_movemask_epi8(_mm_cmpeq_epi16(beyond, _mm_setzero_si128())) != 0xFFFF) break;
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + done), _mm_packus_epi16(eight, eight));
#else
        uint16_t any = 0;
        for (size_t i = 0; i < 8; i++) any |= units[done + i];
        if (any >= 0x80) break;
        for (size_t i = 0; i < 8; i++) out[done + i] = static_cast<uint8_t>(units[done + i]);
#endif
    }
    return done;
}

// Writes 64 units as bytes; whether all of them are ASCII, else what it wrote means nothing.
inline bool ascii_block(const uint16_t* units, uint8_t* out) noexcept {
#if defined(BBPE_SSE2)
    __m128i any = _mm_setzero_si128();
    for (int i = 0; i < 64; i += 16) {
        const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + i));
        const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + i + 8));
        any = _mm_or_si128(any, _mm_or_si128(first, second));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm_packus_epi16(first, second));
    }
    const __m128i beyond = _mm_and_si128(any, _mm_set1_epi16(static_cast<short>(0xFF80)));
    return _mm_movemask_epi8(_mm_cmpeq_epi16(beyond, _mm_setzero_si128())) == 0xFFFF;
#else
    uint16_t any = 0;
    for (int i = 0; i < 64; i++) {
        any |= units[i];
        out[i] = static_cast<uint8_t>(units[i]);
    }
    return any < 0x80;
#endif
}

inline size_t three_byte_units_plain(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    size_t done = 0;
    for (; done < count && units[done] >= 0x800 && !is_surrogate(units[done]); done++) {
        store_three(units[done], out + 3 * done);
    }
    return done;
}

#if defined(BBPE_SSSE3)
// Writes eight characters of three bytes each, and four bytes more.
BBPE_SSSE3 inline void spell_eight(__m128i eight, uint8_t* out) noexcept {
    const __m128i bytes = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i first = _mm_or_si128(_mm_srli_epi16(eight, 12), _mm_set1_epi16(static_cast<short>(0x80E0)));
    const __m128i middle = _mm_and_si128(_mm_slli_epi16(eight, 2), _mm_set1_epi16(0x3F00));
    const __m128i last =
        _mm_or_si128(_mm_and_si128(eight, _mm_set1_epi16(0x3F)), _mm_set1_epi16(static_cast<short>(0x80)));
    const __m128i front = _mm_or_si128(first, middle);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(_mm_unpacklo_epi16(front, last), bytes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 12), _mm_shuffle_epi8(_mm_unpackhi_epi16(front, last), bytes));
}

BBPE_SSSE3 inline size_t three_byte_units_ssse3(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    const __m128i top = _mm_set1_epi16(static_cast<short>(0xF800));
    const __m128i surrogate = _mm_set1_epi16(static_cast<short>(0xD800));
    size_t done = 0;
    for (; done + 8 <= count; done += 8) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + done));
        const __m128i high = _mm_and_si128(eight, top);
        const __m128i other =
            _mm_or_si128(_mm_cmpeq_epi16(high, _mm_setzero_si128()), _mm_cmpeq_epi16(high, surrogate));
        if (_mm_movemask_epi8(other) != 0) break;
        spell_eight(eight, out + 3 * done);
    }
    return done;
}

// Up to eight units, most often all of three bytes or all ASCII.
BBPE_SSSE3 inline size_t spell_ssse3(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    if (count > 8) return spell_plain(units, count, out);
    const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units));
    const unsigned wanted = (1u << 2 * count) - 1;
    const __m128i shorter = _mm_cmpeq_epi16(_mm_subs_epu16(eight, _mm_set1_epi16(0x7FF)), _mm_setzero_si128());
    if ((static_cast<unsigned>(_mm_movemask_epi8(shorter)) & wanted) == 0) {
        spell_eight(eight, out);
        return 3 * count;
    }
    const __m128i ascii = _mm_cmpeq_epi16(_mm_subs_epu16(eight, _mm_set1_epi16(0x7F)), _mm_setzero_si128());
    if ((static_cast<unsigned>(_mm_movemask_epi8(ascii)) & wanted) == wanted) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(eight, eight));
        return count;
    }
    return spell_plain(units, count, out);
}
#endif

// Writes the first units as long as they are characters of three bytes, in steps; returns how many. May write four bytes
// more.
inline size_t three_byte_units(const uint16_t* units, size_t count, uint8_t* out) noexcept {
#if defined(BBPE_SSSE3)
    static const bool known = __builtin_cpu_supports("ssse3");
    if (known) return three_byte_units_ssse3(units, count, out);
#endif
    return three_byte_units_plain(units, count, out);
}

// Writes a segment, none of its units a surrogate, as UTF-8; returns how many bytes. May read eight units and write 28
// bytes, however few are asked for.
inline size_t spell(const uint16_t* units, size_t count, uint8_t* out) noexcept {
#if defined(BBPE_SSSE3)
    static const bool known = __builtin_cpu_supports("ssse3");
    if (known) return spell_ssse3(units, count, out);
#endif
    return spell_plain(units, count, out);
}

}  // namespace bbpe
