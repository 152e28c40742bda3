// The memory that emulated kernels see, and the rules that every access must keep.
//
// g++ puts a call before each access when it compiles the kernels with -fsanitize=thread; those calls come here
// and not to the sanitizer's library. An access must lie inside one buffer (or one shared object) and be aligned
// to its width; nothing is read that was never written; and no two threads touch a byte, one of them writing,
// without a barrier between them. Threads of different blocks never meet at a barrier.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace emulator {

struct Accessor {
    uint32_t block; // counted over all launches; 0: never
    uint32_t epoch; // barriers passed
    uint32_t thread;
};

// What is known of a byte.
struct Shadow {
    Accessor writer, reader;
    bool many_readers, defined;
};

class Memory {
public:
    static constexpr size_t ARENA = size_t(1) << 28;
    static constexpr size_t SHARED = size_t(1) << 18; // the first part is for shared memory
    static constexpr size_t GAP = 4096;
    static constexpr uint8_t POISON = 0xff; // a NaN in every float type

    Memory() {
        bytes_ = (uint8_t*)reserve(ARENA);
        shadow_ = (Shadow*)reserve(ARENA * sizeof(Shadow));
        clear();
    }

    void clear() {
        madvise(bytes_, ARENA, MADV_DONTNEED);
        madvise(shadow_, ARENA * sizeof(Shadow), MADV_DONTNEED);
        buffers_.clear();
        next_ = SHARED + GAP;
    }

    // `shift` bytes past an alignment of 256.
    void* buffer(const char* name, size_t bytes, size_t shift) {
        size_t at = next_ + shift;
        next_ = (at + bytes + GAP + 255) / 256 * 256;
        if (next_ > ARENA) {
            return nullptr;
        }
        memset(bytes_ + at, POISON, bytes);
        buffers_[at] = {at + bytes, name};
        return bytes_ + at;
    }

    void define(void* pointer, size_t bytes) {
        size_t at = (uint8_t*)pointer - bytes_;
        for (size_t i = at; i < at + bytes; i++) {
            shadow_[i].defined = true;
        }
    }

    bool is_defined(const void* pointer, size_t bytes) const {
        size_t at = (const uint8_t*)pointer - bytes_;
        for (size_t i = at; i < at + bytes; i++) {
            if (!shadow_[i].defined) {
                return false;
            }
        }
        return true;
    }

    // Shared memory of the next block: nothing is written yet. The block before had `used` bytes of it.
    void begin_block(size_t used) {
        memset(bytes_, POISON, used);
        memset((void*)shadow_, 0, used * sizeof(Shadow));
    }

    bool contains(const void* pointer) const {
        return (const uint8_t*)pointer >= bytes_ && (const uint8_t*)pointer < bytes_ + ARENA;
    }

    uint8_t* shared(size_t at) {
        return bytes_ + at;
    }

    // What is wrong with an access; empty if nothing is.
    std::string access(const void* pointer, size_t width, bool write, const Accessor& by, size_t shared_used) {
        size_t at = (const uint8_t*)pointer - bytes_;
        bool shared = at < SHARED;
        std::string name = shared ? "shared memory" : owner(at, width);
        if (name.empty() || (shared && at + width > shared_used)) {
            return describe("out of bounds", nearest(at), at, width, write);
        }
        size_t unit = width >= 16 ? 16 : width;
        if ((unit & (unit - 1)) == 0 && (uintptr_t)pointer % unit != 0) {
            return describe("misaligned", name, at, width, write);
        }
        for (size_t i = at; i < at + width; i++) {
            Shadow& s = shadow_[i];
            if (!write && !s.defined) {
                return describe("read before anything was written", name, at, width, write);
            }
            if (conflict(s.writer, by) || (write && (conflict(s.reader, by) || (s.many_readers && now(s.reader, by))))) {
                return describe("race", name, at, width, write);
            }
            if (write) {
                s.writer = by;
                s.defined = true;
            } else {
                s.many_readers = now(s.reader, by) && (s.many_readers || s.reader.thread != by.thread);
                s.reader = by;
            }
        }
        return "";
    }

    uint32_t launch_first_block = 1;

private:
    struct Buffer {
        size_t end;
        std::string name;
    };

    static void* reserve(size_t bytes) {
        return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }

    std::string owner(size_t at, size_t width) const {
        auto after = buffers_.upper_bound(at);
        if (after == buffers_.begin()) {
            return "";
        }
        const Buffer& buffer = std::prev(after)->second;
        return at + width <= buffer.end ? buffer.name : "";
    }

    std::string nearest(size_t at) const {
        auto after = buffers_.upper_bound(at);
        if (at < SHARED + GAP / 2 || after == buffers_.begin()) {
            return "shared memory";
        }
        return std::prev(after)->second.name;
    }

    // Both in this launch, and with no barrier between them.
    bool now(const Accessor& before, const Accessor& by) const {
        return before.block >= launch_first_block && (before.block != by.block || before.epoch == by.epoch);
    }

    bool conflict(const Accessor& before, const Accessor& by) const {
        return now(before, by) && (before.block != by.block || before.thread != by.thread);
    }

    std::string describe(const char* what, const std::string& name, size_t at, size_t width, bool write) const {
        size_t start = 0;
        for (auto& [begin, buffer] : buffers_) {
            if (buffer.name == name) {
                start = begin;
            }
        }
        char text[200];
        snprintf(text, sizeof text, "%s: %s of %zu bytes at byte %lld of %s", what, write ? "write" : "read", width,
                 (long long)at - (long long)start, name.c_str());
        return text;
    }

    uint8_t* bytes_;
    Shadow* shadow_;
    std::map<size_t, Buffer> buffers_;
    size_t next_;
};

}  // namespace emulator
