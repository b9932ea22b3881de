// A pattern's automaton that goes on after each match: a step says the next state and whether a match ended before this
// character. Four places of one text take their steps in turn, so that none waits for the look-up of another, and each
// takes two steps at once where neither needs help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "units.hpp"

namespace bbpe {

// A step is the row of the next state, and these, which but for the third are what is written down for the character.
constexpr uint32_t STEP_BOUNDARY = 1;   // a match ended before it, and the next one begins
constexpr uint32_t STEP_POSSIBLE = 2;   // a match may end before it, but may go on
constexpr uint32_t STEP_HELP = 4;       // the match ended earlier, where it last could, or none begins here
constexpr uint32_t STEP_BEFORE = 8;     // a match ended one character earlier: the last character began the next one
constexpr uint32_t STEP_ROW = 0xFFFFFF00;

constexpr uint32_t PAIRED_KINDS = 64;

// Whether a pretoken begins or ends at a place of the flags.
inline uint8_t is_boundary(const uint8_t* flags) noexcept {
    return (flags[0] | flags[1] >> 3) & STEP_BOUNDARY;
}

// The last flag at a place or before it that is not 0: there is one. Reads 15 before the place.
inline const uint8_t* last_flag(const uint8_t* flags) noexcept {
#if defined(BBPE_SSE2)
    while (true) {
        const __m128i sixteen = _mm_loadu_si128(reinterpret_cast<const __m128i*>(flags - 15));
        const int zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_setzero_si128()));
        if (zeros != 0xFFFF) return flags - 15 + highest_set(static_cast<unsigned>(zeros ^ 0xFFFF));
        flags -= 16;
    }
#else
    while (*flags == 0) flags--;
    return flags;
#endif
}

// The tables of one automaton.
struct Steps {
    const uint32_t* steps;     // [row | column]
    const uint32_t* firsts;    // [column] -> the row after a match's first character, and flags; row 0: none begins so
    const uint8_t* columns;    // of 16-bit units; of ASCII the column is the character
    const uint32_t* pairs;     // [row | column of a pair]: the row after both in the upper half, and what is written down
                               // for the first and for the second in a byte each; or STEP_HELP
    const uint8_t* ascii_pairs;  // [first | second << 8] -> column of a pair; NULL: there are too many columns
    const uint8_t* kinds;        // of 16-bit units, by what they do; below PAIRED_KINDS
    const uint8_t* kind_pairs;   // [first kind * PAIRED_KINDS | second kind] -> column of a pair

    uint32_t column(uint8_t unit) const noexcept { return unit; }
    uint32_t column(uint16_t unit) const noexcept { return columns[unit]; }
    template <class Unit>
    uint32_t step(uint32_t row, Unit unit) const noexcept { return steps[row | column(unit)]; }
    bool has_pairs() const noexcept { return ascii_pairs; }
    uint32_t pair(uint32_t row, const uint8_t* text) const noexcept {
        return pairs[row | ascii_pairs[text[0] | text[1] << 8]];
    }
    uint32_t pair(uint32_t row, const uint16_t* text) const noexcept {
        return pairs[row | kind_pairs[kinds[text[0]] * PAIRED_KINDS | kinds[text[1]]]];
    }
};

// Where one of the places is, up to where it goes, and its state.
template <class Unit>
struct Cursor {
    const Unit* begin;
    const Unit* at;
    const Unit* stop;
    uint32_t row;
};

// One of the four while they go on: its text and flags, counted from wherever all four are at the same index.
template <class Unit>
struct Lane {
    const Unit* text;
    uint8_t* flags;
    uint32_t row;

    void write(size_t index, uint32_t step) noexcept {
        flags[index] = static_cast<uint8_t>(step);
        row = step & STEP_ROW;
    }
    void write_pair(size_t index, uint32_t pair) noexcept {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        flags[index] = static_cast<uint8_t>(pair);
        flags[index + 1] = static_cast<uint8_t>(pair >> 8);
#else
        const uint16_t both = static_cast<uint16_t>(pair);
        std::memcpy(flags + index, &both, 2);
#endif
        row = pair >> 8 & STEP_ROW;
    }

    void leave(size_t index, Cursor<Unit>& cursor) const noexcept {
        cursor.at = text + index;
        cursor.row = row;
    }

    // The match ended before: go back to where it last could, and begin the next one there. False where it could nowhere.
    bool go_back(const Steps& tables, size_t index) noexcept {
        const uint8_t* written = last_flag(flags + index - 1);
        if (!(*written & STEP_POSSIBLE)) return false;
        const size_t back = static_cast<size_t>(flags + index - 1 - written);
        const uint32_t first = tables.firsts[tables.column(text[index - 1 - back])] & STEP_ROW;
        flags[index - 1 - back] ^= STEP_POSSIBLE | STEP_BOUNDARY;
        if (first == 0) return false;
        text -= back;
        flags -= back;
        row = first;
        return true;
    }
};

// Moves four cursors on, until one of them is at its stop or needs help from outside. Writes to `flags`, which has one
// for each unit of the text from `origin` on and is not 0 where a cursor begins. The tables are copied, so that they
// stay in registers: for all the compiler knows a flag may be written over one of their addresses.
template <class Unit>
inline void step_four(const Steps tables, Cursor<Unit>* cursors, const Unit* origin, uint8_t* flags) noexcept {
    Lane<Unit> a{cursors[0].at, flags + (cursors[0].at - origin), cursors[0].row};
    Lane<Unit> b{cursors[1].at, flags + (cursors[1].at - origin), cursors[1].row};
    Lane<Unit> c{cursors[2].at, flags + (cursors[2].at - origin), cursors[2].row};
    Lane<Unit> d{cursors[3].at, flags + (cursors[3].at - origin), cursors[3].row};
    size_t rounds = static_cast<size_t>(cursors[0].stop - cursors[0].at);
    for (int i = 1; i < 4; i++) {
        const size_t left = static_cast<size_t>(cursors[i].stop - cursors[i].at);
        if (left < rounds) rounds = left;
    }
    size_t i = 0;
    while (i < rounds) {
        for (; tables.has_pairs() && i + 1 < rounds; i += 2) {
            const uint32_t pair_a = tables.pair(a.row, a.text + i);
            const uint32_t pair_b = tables.pair(b.row, b.text + i);
            const uint32_t pair_c = tables.pair(c.row, c.text + i);
            const uint32_t pair_d = tables.pair(d.row, d.text + i);
            if ((pair_a | pair_b | pair_c | pair_d) & STEP_HELP) break;
            a.write_pair(i, pair_a);
            b.write_pair(i, pair_b);
            c.write_pair(i, pair_c);
            d.write_pair(i, pair_d);
        }
        if (i == rounds) break;
        const uint32_t step_a = tables.step(a.row, a.text[i]);
        const uint32_t step_b = tables.step(b.row, b.text[i]);
        const uint32_t step_c = tables.step(c.row, c.text[i]);
        const uint32_t step_d = tables.step(d.row, d.text[i]);
        if ((step_a | step_b | step_c | step_d) & STEP_HELP) {
            if (step_a & STEP_HELP && !a.go_back(tables, i)) break;
            if (step_b & STEP_HELP && !b.go_back(tables, i)) break;
            if (step_c & STEP_HELP && !c.go_back(tables, i)) break;
            if (step_d & STEP_HELP && !d.go_back(tables, i)) break;
            continue;
        }
        a.write(i, step_a);
        b.write(i, step_b);
        c.write(i, step_c);
        d.write(i, step_d);
        i++;
    }
    a.leave(i, cursors[0]);
    b.leave(i, cursors[1]);
    c.leave(i, cursors[2]);
    d.leave(i, cursors[3]);
}

// The same for one cursor.
template <class Unit>
inline void step_one(const Steps tables, Cursor<Unit>& cursor, const Unit* origin, uint8_t* flags) noexcept {
    Lane<Unit> lane{cursor.at, flags + (cursor.at - origin), cursor.row};
    size_t i = 0;
    while (lane.text + i < cursor.stop) {
        for (; tables.has_pairs() && lane.text + i + 1 < cursor.stop; i += 2) {
            const uint32_t pair = tables.pair(lane.row, lane.text + i);
            if (pair & STEP_HELP) break;
            lane.write_pair(i, pair);
        }
        if (lane.text + i == cursor.stop) break;
        const uint32_t step = tables.step(lane.row, lane.text[i]);
        if (step & STEP_HELP) {
            if (!lane.go_back(tables, i)) break;
            continue;
        }
        lane.write(i, step);
        i++;
    }
    lane.leave(i, cursor);
}

}  // namespace bbpe
