// Uninitialised growable memory and the few machine operations that the native core shares.
// Containers only: nothing here knows what a token or a merge is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace bbpe {

// Ask for huge pages for every page that has a byte of this memory: mappings that are advised in part cannot be moved as a
// whole, and growing would copy. It is advice: where it is not taken, nothing is lost.
inline void prefer_huge_pages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = uintptr_t{1} << 12;
  uintptr_t begin = reinterpret_cast<uintptr_t>(memory) & ~(page - 1);
  uintptr_t end = (reinterpret_cast<uintptr_t>(memory) + bytes + page - 1) & ~(page - 1);
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)memory, (void)bytes;
#endif
}

// Give freed memory back to the system: the next large consumer takes its memory fresh, and both would count.
inline void release_free_memory() noexcept {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

// Have the C library keep what is freed from here on, for those who ask next. glibc takes arrays of 128 KiB and more
// from the system and gives them back when they are freed, and clearing what the system gives can take as long as filling
// it; but the largest array that was freed so, up to 32 MiB, becomes the new limit, and twice its size what may lie free.
inline void keep_freed_memory(size_t bytes) noexcept {
#if defined(__GLIBC__)
  void* volatile array = std::malloc(bytes);  // volatile: or the compiler would leave both out
  std::free(array);
#else
  (void)bytes;
#endif
}

// Unset memory that `std::free` gives back. Large tables are read at random places, and then most of the waiting is for
// translations of addresses: they ask for huge pages before they are first touched.
inline void* allocate(size_t bytes) {
  void* memory = nullptr;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr size_t huge = size_t{1} << 21;
  if (bytes >= huge / 2) {
    size_t rounded = (bytes + huge - 1) & ~(huge - 1);
    if (rounded < bytes || posix_memalign(&memory, huge, rounded) != 0) throw std::bad_alloc();
    prefer_huge_pages(memory, rounded);
    return memory;
  }
#endif
  memory = std::malloc(bytes ? bytes : 1);
  if (!memory) throw std::bad_alloc();
  return memory;
}

// An array of plain values. Growing keeps the first `kept` values and leaves the rest unset.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  T* data() { return data_; }
  size_t capacity() const { return capacity_; }

  void reserve(size_t wanted, size_t kept = 0) {
    if (wanted <= capacity_) return;
    size_t grown = capacity_ + capacity_ / 2;
    if (grown < wanted) grown = wanted;
    if (kept == 0) release();  // nothing to keep: do not copy
    resize(grown);
  }

  void resize(size_t count) {  // exactly so many, of which those that were there before are kept
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    void* fresh = std::realloc(static_cast<void*>(data_), (count ? count : 1) * sizeof(T));
    if (!fresh) throw std::bad_alloc();
    if (count > capacity_ && count * sizeof(T) >= size_t{1} << 22) prefer_huge_pages(fresh, count * sizeof(T));
    data_ = static_cast<T*>(fresh);
    capacity_ = count;
  }

  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
  }

  void zero(size_t count) {  // a fresh array of `count` zero values
    fresh(count);
    std::memset(static_cast<void*>(data_), 0, count * sizeof(T));
  }

  void release() {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }

 private:
  void fresh(size_t count) {
    release();
    if (count > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
    data_ = static_cast<T*>(allocate(count * sizeof(T)));
    capacity_ = count;
  }

  T* data_ = nullptr;
  size_t capacity_ = 0;
};

inline uint64_t load64(const void* address) {
  uint64_t value;
  std::memcpy(&value, address, 8);
  return value;
}

inline uint32_t load32(const void* address) {
  uint32_t value;
  std::memcpy(&value, address, 4);
  return value;
}

// The two halves of a 64 x 64 bit product folded together: a cheap hash of two words.
inline uint64_t mix64(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
  __uint128_t product = static_cast<__uint128_t>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
#elif defined(_MSC_VER) && defined(_M_X64)
  uint64_t high;
  uint64_t low = _umul128(a, b, &high);
  return low ^ high;
#else
  uint64_t ah = a >> 32, al = static_cast<uint32_t>(a), bh = b >> 32, bl = static_cast<uint32_t>(b);
  uint64_t mid = ah * bl + ((al * bl) >> 32), mid2 = al * bh + static_cast<uint32_t>(mid);
  return (a * b) ^ (ah * bh + (mid >> 32) + (mid2 >> 32));
#endif
}

// A hash of `length` bytes; reads up to 7 bytes past the end.
inline uint64_t hash_bytes(const uint8_t* text, size_t length) {
  uint64_t hash = 0x9E3779B97F4A7C15ull ^ length;
  while (length > 8) {
    hash = mix64(hash ^ load64(text), 0xD6E8FEB86659FD93ull);
    text += 8;
    length -= 8;
  }
  uint64_t last = length ? load64(text) & (~0ull >> (8 * (8 - length))) : 0;
  return mix64(hash ^ last, 0xA0761D6478BD642Full);
}

// Ask for the memory at an address that will be read soon.
inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

}  // namespace bbpe
