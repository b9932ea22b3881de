// The characters of a Python str, which keeps them in units of one size, as UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "units.hpp"

namespace bbpe {

// A document: bytes (width 0), or the units of a str, of 1, 2 or 4 bytes each.
struct Units {
    const void* data;
    size_t length;
    int width;

    size_t most_bytes() const noexcept { return length * (width == 0 ? 1 : width < 4 ? width + 1 : 4) + 8; }
};

inline uint8_t* put_character(uint32_t code, uint8_t* out) noexcept {
    if (code < 0x80) {
        *out++ = static_cast<uint8_t>(code);
    } else if (code < 0x800) {
        *out++ = static_cast<uint8_t>(0xC0 | code >> 6);
        *out++ = static_cast<uint8_t>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        store_three(code, out);
        out += 3;
    } else {
        *out++ = static_cast<uint8_t>(0xF0 | code >> 18);
        *out++ = static_cast<uint8_t>(0x80 | (code >> 12 & 0x3F));
        *out++ = static_cast<uint8_t>(0x80 | (code >> 6 & 0x3F));
        *out++ = static_cast<uint8_t>(0x80 | (code & 0x3F));
    }
    return out;
}

// Writes a document to room for `most_bytes`; its end, or null where it holds a lone surrogate.
inline uint8_t* write_utf8(const Units& document, uint8_t* out) noexcept {
    const size_t length = document.length;
    if (document.width == 0) {
        if (length) std::memcpy(out, document.data, length);
        return out + length;
    }
    if (document.width == 1) {
        const uint8_t* const units = static_cast<const uint8_t*>(document.data);
        for (size_t i = 0; i < length;) {
            uint64_t eight;
            if (i + 8 <= length && (std::memcpy(&eight, units + i, 8), !(eight & 0x8080808080808080ull))) {
                std::memcpy(out, &eight, 8);
                out += 8;
                i += 8;
            } else {
                out = put_character(units[i++], out);
            }
        }
        return out;
    }
    if (document.width == 2) {
        const uint16_t* const units = static_cast<const uint16_t*>(document.data);
        for (size_t i = 0; i < length;) {
            const uint32_t code = units[i];
            size_t run = 0;
            if (code < 0x80) {
                run = ascii_units(units + i, length - i, out);
                out += run;
            } else if (code >= 0x800 && !is_surrogate(code)) {
                run = three_byte_units(units + i, length - i, out);
                out += 3 * run;
            } else if (is_surrogate(code)) {
                return nullptr;
            }
            i += run;
            if (run == 0) out = put_character(units[i++], out);
        }
        return out;
    }
    const uint32_t* const units = static_cast<const uint32_t*>(document.data);
    for (size_t i = 0; i < length; i++) {
        if (is_surrogate(units[i])) return nullptr;
        out = put_character(units[i], out);
    }
    return out;
}

}  // namespace bbpe
