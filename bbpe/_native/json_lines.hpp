// The text of one string field of each line of JSON, for lines that are plainly well-formed.
//
// A line is taken only when it is certainly a valid JSON object whose field is a string that has a UTF-8 form. Every
// other line (an error, or something rare such as NaN or a key with an escape) is left to the caller, who has a full
// parser and knows what to say. Bytes from 0x80 on are copied as they are, valid UTF-8 or not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bbpe {

class JsonLines {
public:
    explicit JsonLines(const std::string& field) : field_(field) {}

    // Take lines from `at` until one is not plain, `text` holds `enough` bytes, or `end`. Each line ends with a newline,
    // the last one at least with `end`. Returns where the first line begins that was not taken.
    const uint8_t* take(const uint8_t* at, const uint8_t* end, size_t enough) {
        text.clear();
        ends.clear();
        lines = 0;
        while (at < end && text.size() < enough) {
            const void* newline = std::memchr(at, '\n', static_cast<size_t>(end - at));
            const uint8_t* stop = newline ? static_cast<const uint8_t*>(newline) : end;
            at_ = at;
            end_ = stop;
            const size_t before = text.size();
            skip_space();
            if (at_ != end_) {
                found_ = false;
                if (!object(0) || !found_) {
                    text.resize(before);
                    return at;
                }
                skip_space();
                if (at_ != end_) {
                    text.resize(before);
                    return at;
                }
                ends.push_back(static_cast<int64_t>(text.size()));
            }
            lines++;
            at = stop + (newline ? 1 : 0);
        }
        return at;
    }

    std::string text;           // what was taken, one document after another
    std::vector<int64_t> ends;  // where each document ends in it
    int64_t lines = 0;          // how many lines were taken, blank ones included

private:
    static constexpr int deepest = 64;
    static constexpr ptrdiff_t longest_number = 300;  // Python refuses integers of more than 4300 digits

    bool more() const noexcept { return at_ < end_; }

    bool accept(char wanted) noexcept {
        if (!more() || *at_ != static_cast<uint8_t>(wanted)) return false;
        at_++;
        return true;
    }

    void skip_space() noexcept {
        while (more() && (*at_ == ' ' || *at_ == '\t' || *at_ == '\r')) at_++;
    }

    bool value(int depth) {
        if (!more() || depth > deepest) return false;
        switch (*at_) {
            case '{': return object(depth);
            case '[': return array(depth);
            case '"': return string(nullptr);
            case 't': return word("true", 4);
            case 'f': return word("false", 5);
            case 'n': return word("null", 4);
            default: return number();
        }
    }

    bool object(int depth) {
        if (!accept('{')) return false;
        skip_space();
        if (accept('}')) return true;
        do {
            skip_space();
            const uint8_t* key = at_ + 1;
            if (!string(nullptr)) return false;
            const size_t length = static_cast<size_t>(at_ - 1 - key);
            skip_space();
            if (!accept(':')) return false;
            skip_space();
            bool wanted = false;
            if (depth == 0) {
                if (std::memchr(key, '\\', length)) return false;  // may spell the field's name
                wanted = length == field_.size() && std::memcmp(key, field_.data(), length) == 0;
            }
            if (wanted) {
                // Of a key that comes twice the last counts.
                text.resize(found_ ? begun_ : text.size());
                begun_ = text.size();
                found_ = true;
                if (!string(&text)) return false;
            } else if (!value(depth + 1)) {
                return false;
            }
            skip_space();
        } while (accept(','));
        return accept('}');
    }

    bool array(int depth) {
        if (!accept('[')) return false;
        skip_space();
        if (accept(']')) return true;
        do {
            skip_space();
            if (!value(depth + 1)) return false;
            skip_space();
        } while (accept(','));
        return accept(']');
    }

    bool word(const char* spelled, size_t length) noexcept {
        if (static_cast<size_t>(end_ - at_) < length || std::memcmp(at_, spelled, length) != 0) return false;
        at_ += length;
        return true;
    }

    bool digits() noexcept {
        const uint8_t* first = at_;
        while (more() && *at_ >= '0' && *at_ <= '9') at_++;
        return at_ > first;
    }

    bool number() noexcept {
        const uint8_t* first = at_;
        accept('-');
        const bool zero = more() && *at_ == '0';
        const uint8_t* whole = at_;
        if (!digits() || (zero && at_ - whole > 1)) return false;
        if (accept('.') && !digits()) return false;
        if (more() && (*at_ == 'e' || *at_ == 'E')) {
            at_++;
            if (!accept('+')) accept('-');
            if (!digits()) return false;
        }
        return at_ - first <= longest_number;
    }

    // A string; its text is appended to `into` unless that is null.
    bool string(std::string* into) {
        if (!accept('"')) return false;
        for (;;) {
            const uint8_t* run = at_;
            while (more() && *at_ >= 0x20 && *at_ != '"' && *at_ != '\\') at_++;
            if (into) into->append(reinterpret_cast<const char*>(run), static_cast<size_t>(at_ - run));
            if (!more() || *at_ < 0x20) return false;
            if (*at_++ == '"') return true;
            if (!escape(into)) return false;
        }
    }

    bool escape(std::string* into) {
        if (!more()) return false;
        char plain;
        switch (*at_++) {
            case '"': plain = '"'; break;
            case '\\': plain = '\\'; break;
            case '/': plain = '/'; break;
            case 'b': plain = '\b'; break;
            case 'f': plain = '\f'; break;
            case 'n': plain = '\n'; break;
            case 'r': plain = '\r'; break;
            case 't': plain = '\t'; break;
            case 'u': return unicode(into);
            default: return false;
        }
        if (into) into->push_back(plain);
        return true;
    }

    bool unicode(std::string* into) {
        uint32_t code = 0, second = 0;
        if (!hex4(code)) return false;
        if (code >= 0xD800 && code <= 0xDFFF) {  // a pair; one alone is for the caller to refuse
            if (code > 0xDBFF || !accept('\\') || !accept('u') || !hex4(second)) return false;
            if (second < 0xDC00 || second > 0xDFFF) return false;
            code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
        }
        if (!into) return true;
        const auto add = [into](uint32_t byte) { into->push_back(static_cast<char>(byte)); };
        if (code < 0x80) {
            add(code);
        } else if (code < 0x800) {
            add(0xC0 | code >> 6);
            add(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            add(0xE0 | code >> 12);
            add(0x80 | (code >> 6 & 0x3F));
            add(0x80 | (code & 0x3F));
        } else {
            add(0xF0 | code >> 18);
            add(0x80 | (code >> 12 & 0x3F));
            add(0x80 | (code >> 6 & 0x3F));
            add(0x80 | (code & 0x3F));
        }
        return true;
    }

    bool hex4(uint32_t& code) noexcept {
        if (end_ - at_ < 4) return false;
        code = 0;
        for (int i = 0; i < 4; i++) {
            const uint8_t digit = *at_++;
            if (digit >= '0' && digit <= '9') {
                code = code << 4 | (digit - '0');
            } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
                code = code << 4 | ((digit | 0x20) - 'a' + 10);
            } else {
                return false;
            }
        }
        return true;
    }

    const std::string field_;
    const uint8_t* at_ = nullptr;
    const uint8_t* end_ = nullptr;
    size_t begun_ = 0;
    bool found_ = false;
};

}  // namespace bbpe
