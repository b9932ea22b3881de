// A growable array of plain values for the few arrays that hold a whole corpus.
//
// Unlike std::vector it does not touch memory that nobody has written, grows without a second copy where the system can
// move pages (Linux mremap), gives memory back when it shrinks, and asks for huge pages: the arrays are walked in
// scattered order, and with 4 KiB pages every second access is a TLB miss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bbpe {

template <class T>
class BigArray {
    static_assert(std::is_trivially_copyable<T>::value, "BigArray moves its values as bytes");

public:
    BigArray() = default;
    ~BigArray() { release(); }
    BigArray(const BigArray&) = delete;
    BigArray& operator=(const BigArray&) = delete;

    T* data() noexcept { return data_; }
    std::size_t capacity() const noexcept { return capacity_; }

    // Room for at least `wanted` values; what is there stays. Throws std::bad_alloc, and then nothing has changed.
    void reserve(std::size_t wanted) {
        if (wanted > capacity_) resize(wanted);
    }

    // Room for exactly `wanted` values (up to a huge page); the first min(old, wanted) stay.
    void resize(std::size_t wanted) {
        if (wanted == 0) {
            release();
            return;
        }
        if (wanted > std::numeric_limits<std::size_t>::max() / sizeof(T) / 2) throw std::bad_alloc();
        const std::size_t bytes = wanted * sizeof(T);
#if defined(__linux__)
        if (bytes >= MAPPED || mapped_) {
            // Whole huge pages: Linux places such a mapping so that all of it can have them.
            const std::size_t rounded = (bytes + MAPPED - 1) / MAPPED * MAPPED;
            void* fresh;
            if (mapped_) {
                fresh = mremap(data_, mapped_, rounded, MREMAP_MAYMOVE);
                if (fresh == MAP_FAILED) throw std::bad_alloc();
            } else {
                fresh = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                if (fresh == MAP_FAILED) throw std::bad_alloc();
                if (data_) std::memcpy(fresh, data_, capacity_ * sizeof(T));
                std::free(data_);
            }
            data_ = static_cast<T*>(fresh);
            mapped_ = rounded;
            capacity_ = rounded / sizeof(T);
#if defined(MADV_HUGEPAGE)
            madvise(data_, mapped_, MADV_HUGEPAGE);  // a wish: the result is the same where it is refused
#endif
            return;
        }
#endif
        void* fresh = std::realloc(data_, bytes);
        if (!fresh) throw std::bad_alloc();
        data_ = static_cast<T*>(fresh);
        capacity_ = wanted;
    }

    void release() noexcept {
#if defined(__linux__)
        if (mapped_) {
            munmap(data_, mapped_);
        } else {
            std::free(data_);
        }
        mapped_ = 0;
#else
        std::free(data_);
#endif
        data_ = nullptr;
        capacity_ = 0;
    }

    void swap(BigArray& other) noexcept {
#if defined(__linux__)
        std::swap(mapped_, other.mapped_);
#endif
        std::swap(data_, other.data_);
        std::swap(capacity_, other.capacity_);
    }

private:
#if defined(__linux__)
    static constexpr std::size_t MAPPED = std::size_t{1} << 21;  // one huge page; smaller arrays stay on the heap
    std::size_t mapped_ = 0;
#endif
    T* data_ = nullptr;
    std::size_t capacity_ = 0;
};

}  // namespace bbpe
