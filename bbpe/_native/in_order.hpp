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

  // Let go of what waited. That is little, unless the system held a thread up for long: then the C library would keep it.
  void finish() {
    size_t freed = 0;
    for (Buffer<uint32_t>& each : spare_) freed += each.capacity() * sizeof(uint32_t);
    spare_.clear();
    if (freed >= worth_releasing) release_free_memory();
  }

  // Take a finished chunk. If it has to wait, `ids` is another buffer afterwards.
  void put(size_t chunk, Buffer<uint32_t>& ids, size_t count) {
    size_t place;
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
      place = claim(count);
    }
    copy(place, ids.data(), count);
    while (true) {
      Waiting first;
      {
        std::lock_guard<std::mutex> hold(turn_);
        auto found = waiting_.find(next_);
        if (found == waiting_.end()) return;
        first = std::move(found->second);
        waiting_.erase(found);
        place = claim(first.count);
      }
      copy(place, first.ids.data(), first.count);
      std::lock_guard<std::mutex> hold(turn_);
      spare_.push_back(std::move(first.ids));
    }
  }

 private:
  static constexpr size_t worth_releasing = size_t{1} << 22;

  struct Waiting {
    Buffer<uint32_t> ids;
    size_t count = 0;
  };

  size_t claim(size_t count) {
    next_ += 1;
    placed_ += count;
    return placed_ - count;
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
  std::map<size_t, Waiting> waiting_;
  std::vector<Buffer<uint32_t>> spare_; // whose ids have been copied
  std::shared_mutex moving_;            // of where `out_` is
};

}  // namespace bbpe
