// Text in units of 16 bits (as CPython keeps most Chinese) as UTF-8: the two kinds of run that nearly all text is of.
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

namespace bbpe {

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

inline void store_three(uint32_t unit, uint8_t* out) noexcept {
    out[0] = static_cast<uint8_t>(0xE0 | unit >> 12);
    out[1] = static_cast<uint8_t>(0x80 | (unit >> 6 & 0x3F));
    out[2] = static_cast<uint8_t>(0x80 | (unit & 0x3F));
}

inline bool is_three(uint32_t unit) noexcept { return unit >= 0x800 && (unit & 0xF800) != 0xD800; }

inline size_t three_byte_units_plain(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    size_t done = 0;
    while (done + 4 <= count && is_three(units[done]) && is_three(units[done + 1]) && is_three(units[done + 2]) &&
           is_three(units[done + 3])) {
        for (size_t i = 0; i < 4; i++) store_three(units[done + i], out + 3 * (done + i));
        done += 4;
    }
    return done;
}

#if defined(BBPE_SSSE3)
BBPE_SSSE3 inline size_t three_byte_units_ssse3(const uint16_t* units, size_t count, uint8_t* out) noexcept {
    const __m128i top = _mm_set1_epi16(static_cast<short>(0xF800));
    const __m128i surrogate = _mm_set1_epi16(static_cast<short>(0xD800));
    const __m128i first = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    size_t done = 0;
    for (; done + 8 <= count; done += 8) {
        const __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + done));
        const __m128i high = _mm_and_si128(eight, top);
        const __m128i other =
            _mm_or_si128(_mm_cmpeq_epi16(high, _mm_setzero_si128()), _mm_cmpeq_epi16(high, surrogate));
        if (_mm_movemask_epi8(other) != 0) break;
        const __m128i lead = _mm_or_si128(_mm_srli_epi16(eight, 12), _mm_set1_epi16(static_cast<short>(0x80E0)));
        const __m128i middle = _mm_and_si128(_mm_slli_epi16(eight, 2), _mm_set1_epi16(0x3F00));
        const __m128i last =
            _mm_or_si128(_mm_and_si128(eight, _mm_set1_epi16(0x3F)), _mm_set1_epi16(static_cast<short>(0x80)));
        const __m128i front = _mm_or_si128(lead, middle);
        const __m128i low = _mm_shuffle_epi8(_mm_unpacklo_epi16(front, last), first);
        const __m128i up = _mm_shuffle_epi8(_mm_unpackhi_epi16(front, last), first);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * done), low);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * done + 12), up);
    }
    return done;
}
#endif

// Writes the first units as long as they are characters of three bytes (from U+0800, no surrogates), in steps; returns
// how many. May write four bytes more.
inline size_t three_byte_units(const uint16_t* units, size_t count, uint8_t* out) noexcept {
#if defined(BBPE_SSSE3)
    static const bool known = __builtin_cpu_supports("ssse3");
    if (known) return three_byte_units_ssse3(units, count, out);
#endif
    return three_byte_units_plain(units, count, out);
}

}  // namespace bbpe
