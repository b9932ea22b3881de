// A pattern's automaton that goes on after each match: a step says the next state and whether a match ended before this
// character. Four places of one text take their steps in turn, so that none waits for the look-up of another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bbpe {

constexpr uint32_t STEP_HELP = 2;             // the match ended earlier, or none begins here: look closer
constexpr uint32_t STEP_ROW = 0xFFFFFF00;

// Where one of the places is, up to where it goes, and its state.
template <class Unit>
struct Cursor {
    const Unit* begin;
    const Unit* at;
    const Unit* stop;
    uint32_t row;
};

inline uint32_t column_of(const uint8_t*, uint8_t unit) noexcept { return unit; }
inline uint32_t column_of(const uint8_t* columns, uint16_t unit) noexcept { return columns[unit]; }

// Moves a cursor on until it is at its stop or needs help. Writes to `flags`, which has one for each unit of the text
// from `origin` on, 1 where a match ended before it, else 0.
template <class Unit>
inline void step_one(const uint32_t* steps, const uint8_t* columns, Cursor<Unit>& cursor, const Unit* origin,
                     uint8_t* flags) noexcept {
    const Unit* at = cursor.at;
    uint32_t row = cursor.row;
    for (; at < cursor.stop; at++) {
        const uint32_t step = steps[row | column_of(columns, *at)];
        if (step & STEP_HELP) break;
        flags[at - origin] = static_cast<uint8_t>(step);
        row = step & STEP_ROW;
    }
    cursor.at = at;
    cursor.row = row;
}

// Moves four cursors on, until one of them is at its stop or needs help.
template <class Unit>
inline void step_four(const uint32_t* steps, const uint8_t* columns, Cursor<Unit>* cursors, const Unit* origin,
                      uint8_t* flags) noexcept {
    const Unit *a = cursors[0].at, *b = cursors[1].at, *c = cursors[2].at, *d = cursors[3].at;
    uint32_t rows_a = cursors[0].row, rows_b = cursors[1].row, rows_c = cursors[2].row, rows_d = cursors[3].row;
    size_t rounds = static_cast<size_t>(cursors[0].stop - a);
    for (int i = 1; i < 4; i++) {
        const size_t left = static_cast<size_t>(cursors[i].stop - cursors[i].at);
        if (left < rounds) rounds = left;
    }
    uint8_t* flags_a = flags + (a - origin);
    uint8_t* flags_b = flags + (b - origin);
    uint8_t* flags_c = flags + (c - origin);
    uint8_t* flags_d = flags + (d - origin);
    size_t i = 0;
    for (; i < rounds; i++) {
        const uint32_t step_a = steps[rows_a | column_of(columns, a[i])];
        const uint32_t step_b = steps[rows_b | column_of(columns, b[i])];
        const uint32_t step_c = steps[rows_c | column_of(columns, c[i])];
        const uint32_t step_d = steps[rows_d | column_of(columns, d[i])];
        if ((step_a | step_b | step_c | step_d) & STEP_HELP) break;
        flags_a[i] = static_cast<uint8_t>(step_a);
        flags_b[i] = static_cast<uint8_t>(step_b);
        flags_c[i] = static_cast<uint8_t>(step_c);
        flags_d[i] = static_cast<uint8_t>(step_d);
        rows_a = step_a & STEP_ROW;
        rows_b = step_b & STEP_ROW;
        rows_c = step_c & STEP_ROW;
        rows_d = step_d & STEP_ROW;
    }
    cursors[0].at = a + i;
    cursors[1].at = b + i;
    cursors[2].at = c + i;
    cursors[3].at = d + i;
    cursors[0].row = rows_a;
    cursors[1].row = rows_b;
    cursors[2].row = rows_c;
    cursors[3].row = rows_d;
}

}  // namespace bbpe
