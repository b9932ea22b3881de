// Where text may be cut: between two characters that no token can span. Most of it is about characters of three bytes in
// UTF-8 (Han, kana, Hangul, Thai, ...), which are named by their 16 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "units.hpp"

namespace bbpe {

constexpr uint32_t FACTOR = 0x9E3779B1;   // of the hash of two characters: 2^32 over the golden ratio

// What is known of the block of 64 units before.
struct BlockBefore {
    uint64_t three;   // which of its units have three bytes
    uint64_t leads;   // after which of them some token goes on with a part of a character
};

// A token may span the boundary between characters l and r in four ways:
// - it is l and r: a *pair*;
// - it holds l, r and a third character whole: a *triple*, which is there only if the third one is;
// - it holds one whole and the other in part, or both in part: a pair again, of every such l and r, or where these are
//   too many a set: of the first bytes that may follow l, or of the last bytes that may precede r.
// A hash collision only joins what could be cut.
struct Cutter {
    const uint64_t* pairs;        // at the hash of two characters, two bits: a pair; a triple
    const uint64_t* parted;       // at the same hash, a bit: some token holds only a part of one of the two
    const uint64_t* triples;      // at the hash of three characters, a bit
    const uint16_t* edges;        // character -> which of the sets of leads, and << 8 which of the sets of tails
    const uint16_t* lead_sets;    // low halves of the first bytes that some token holds after this character's end
    const uint64_t* tail_sets;    // low 6 bits of the last bytes that some token holds before this character
    const uint64_t* byte_pairs;   // last byte << 8 | first byte, a bit: some token holds the two side by side
    int shift;                    // 32 - bits of the hash of two characters
    int triple_shift;             // and of three

    uint32_t place(uint32_t left, uint32_t right) const noexcept {
        return (left | right << 16) * FACTOR >> shift;
    }

    uint32_t triple_place(uint32_t first, uint32_t second, uint32_t third) const noexcept {
        return (first * 0x9E3779B1u + second * 0x85EBCA77u + third * 0xC2B2AE3Du) >> triple_shift;
    }

    // Whether some token may go over the edge of one of the two characters into the other: 0 or 1.
    uint64_t over_edges(uint32_t left, uint32_t right) const noexcept {
        return (lead_sets[edges[left] & 0xFF] >> (right >> 12) | tail_sets[edges[right] >> 8] >> (left & 0x3F)) & 1;
    }

    // Whether some token may span the boundary between two characters, whatever is beside them: 0 or 1.
    uint64_t spans(uint32_t left, uint32_t right) const noexcept {
        const uint32_t bits = place(left, right) << 1;
        return (pairs[bits >> 6] >> (bits & 63) & 3) != 0 || over_edges(left, right);
    }

    // Whether some token may span it and hold less than both whole: 0 or 1.
    uint64_t parts(uint32_t left, uint32_t right) const noexcept {
        const uint32_t bit = place(left, right);
        return (parted[bit >> 6] >> (bit & 63) & 1) | over_edges(left, right);
    }

    uint64_t spans_bytes(uint32_t left, uint32_t right) const noexcept {
        const uint32_t bit = left << 8 | right;
        return byte_pairs[bit >> 6] >> (bit & 63) & 1;
    }

    bool is_triple(uint32_t first, uint32_t second, uint32_t third) const noexcept {
        const uint32_t bit = triple_place(first, second, third);
        return triples[bit >> 6] >> (bit & 63) & 1;
    }

    // One bit for each of 64 units, none a surrogate: whether there is a cut before it, where it or the one before it
    // has three bytes; else 0. Reads two units before and one after.
    uint64_t cuts(const uint16_t* units, BlockBefore& before) const noexcept {
        const uint64_t three = three_byte_mask(units);
        const uint64_t three_before = three << 1 | before.three >> 63;
        if ((three | three_before) == 0) {
            before = {0, 0};
            return 0;
        }
        uint64_t pair, triple, leads, tails;
        look_up(units, pair, triple, leads, tails);
        uint64_t spanned = pair;
        // Few are left to look closer at: characters with edges, and triples.
        for (uint64_t left = (tails | leads << 1 | before.leads >> 63) & ~spanned; left; left &= left - 1) {
            const unsigned i = lowest_set(left);
            spanned |= over_edges(units[static_cast<int>(i) - 1], units[i]) << i;
        }
        for (uint64_t left = triple & ~spanned & three & three_before; left; left &= left - 1) {
            const int i = static_cast<int>(lowest_set(left));
            const bool found = is_triple(units[i - 2], units[i - 1], units[i]) || is_triple(units[i - 1], units[i], units[i + 1]);
            spanned |= static_cast<uint64_t>(found) << i;
        }
        uint64_t cut = three & three_before & ~spanned;
        for (uint64_t left = three ^ three_before; left; left &= left - 1) {
            const int i = static_cast<int>(lowest_set(left));
            cut |= (spans_bytes(last_byte(units[i - 1]), first_byte(units[i])) ^ 1) << i;
        }
        before.three = three;
        before.leads = leads;
        return cut;
    }

 private:
    // Of 64 units: which are with the one before a pair, or in a triple; which have sets of leads, or of tails.
    void look_up(const uint16_t* units, uint64_t& pair, uint64_t& triple, uint64_t& leads,
                 uint64_t& tails) const noexcept {
        uint32_t at[64];
        uint8_t bits[64];
        uint16_t edge[64];
        places(units, at);
        for (int i = 0; i < 64; i++) {
            bits[i] = static_cast<uint8_t>(pairs[at[i] >> 5] >> (2 * at[i] & 63) & 3);
            edge[i] = edges[units[i]];
        }
        pair = bit_mask<0>(bits);
        triple = bit_mask<1>(bits);
        leads = low_byte_mask(edge);
        tails = high_byte_mask(edge);
    }

#if defined(BBPE_SSE2)
    __m128i four_places(__m128i pairs_of_units) const noexcept {
        const __m128i factor = _mm_set1_epi32(static_cast<int>(FACTOR));
        const __m128i even = _mm_mul_epu32(pairs_of_units, factor);
        const __m128i odd = _mm_mul_epu32(_mm_srli_epi64(pairs_of_units, 32), factor);
        const __m128i all = _mm_unpacklo_epi32(_mm_shuffle_epi32(even, 0x08), _mm_shuffle_epi32(odd, 0x08));
        return _mm_srl_epi32(all, _mm_cvtsi32_si128(shift));
    }
#endif

    // The place of each of 64 units with the one before it.
    void places(const uint16_t* units, uint32_t* out) const noexcept {
#if defined(BBPE_SSE2)
        for (int i = 0; i < 64; i += 8) {
            const __m128i left = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + i - 1));
            const __m128i right = _mm_loadu_si128(reinterpret_cast<const __m128i*>(units + i));
            __m128i* to = reinterpret_cast<__m128i*>(out + i);
            _mm_storeu_si128(to, four_places(_mm_unpacklo_epi16(left, right)));
            _mm_storeu_si128(to + 1, four_places(_mm_unpackhi_epi16(left, right)));
        }
#else
        for (int i = 0; i < 64; i++) out[i] = place(units[i - 1], units[i]);
#endif
    }
};

}  // namespace bbpe
