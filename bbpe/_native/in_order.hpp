// Ids that threads make chunk by chunk, laid side by side in the order of the chunks.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "buffer.hpp"

namespace bbpe {

// Where a chunk's ids go is known once all chunks before it are done. Threads take chunks in order, so it nearly always
// is when the chunk is done: its ids are copied to where they stay while they are in the nearest cache. A chunk that is
// done too early waits in the buffer that it was made in, and whoever places the chunk before it places it too.
class InOrder {
 public:
  void start(Buffer<uint32_t>* out) { out_ = out; }
  size_t size() const { return placed_; }

  // Take a finished chunk. If it has to wait, `ids` is another buffer afterwards.
  void put(size_t chunk, Buffer<uint32_t>& ids, size_t count) {
    size_t place, ahead;
    {
      std::lock_guard<std::mutex> hold(turn_);
      if (chunk != next_) {
        Waiting& waiting = waiting_[chunk];
        waiting.count = count;
        waiting.ids.swap(ids);
        if (!spare_.empty()) {
          ids.swap(spare_.back());
          spare_.pop_back();
        }
        return;
      }
      place = claim(count, ahead);
    }
    touch(ahead);
    copy(place, ids.data(), count);
    while (true) {
      Waiting first;
      {
        std::lock_guard<std::mutex> hold(turn_);
        auto found = waiting_.find(next_);
        if (found == waiting_.end()) return;
        first = std::move(found->second);
        waiting_.erase(found);
        place = claim(first.count, ahead);
      }
      touch(ahead);
      copy(place, first.ids.data(), first.count);
      std::lock_guard<std::mutex> hold(turn_);
      spare_.push_back(std::move(first.ids));
    }
  }

 private:
  static constexpr size_t STRIDE = size_t{1} << 19;  // ids on a huge page of 2 MiB
  static constexpr size_t NOTHING = SIZE_MAX;

  struct Waiting {
    Buffer<uint32_t> ids;
    size_t count = 0;
  };

  // The place of the next chunk. Every `STRIDE` ids somebody has to touch the memory that will be needed soon.
  size_t claim(size_t count, size_t& ahead) {
    next_ += 1;
    placed_ += count;
    ahead = NOTHING;
    if (placed_ + 2 * STRIDE > touched_) {
      ahead = touched_;
      touched_ += STRIDE;
    }
    return placed_ - count;
  }

  // Where two threads come to a fresh page at once, the system clears two for them and throws one away; a huge page takes
  // as long as encoding a chunk. So one of them comes before the others need it.
  void touch(size_t place) {
    if (place == NOTHING) return;
    std::shared_lock<std::shared_mutex> stays(moving_);
    if (place < out_->capacity()) *const_cast<volatile uint32_t*>(out_->data() + place) = 0;
  }

  void copy(size_t place, const uint32_t* ids, size_t count) {
    if (count == 0) return;
    {
      std::shared_lock<std::shared_mutex> stays(moving_);
      if (place + count <= out_->capacity()) {
        std::memcpy(out_->data() + place, ids, count * sizeof(uint32_t));
        return;
      }
    }
    std::unique_lock<std::shared_mutex> moves(moving_);
    out_->reserve(place + count, out_->capacity());
    std::memcpy(out_->data() + place, ids, count * sizeof(uint32_t));
  }

  Buffer<uint32_t>* out_ = nullptr;
  std::mutex turn_;                     // of all below
  size_t next_ = 0;                     // the first chunk that has no place yet
  size_t placed_ = 0;                   // ids of the chunks before it
  size_t touched_ = 0;                  // up to here somebody has touched the memory, or is about to
  std::map<size_t, Waiting> waiting_;
  std::vector<Buffer<uint32_t>> spare_; // whose ids have been copied
  std::shared_mutex moving_;            // of where `out_` is
};

}  // namespace bbpe
