// Host emulation of CUDA kernels: one fiber a thread, block after block. Fibers run in a random order that a seed
// fixes, and are switched at barriers and where the lanes of a warp meet. What the hardware leaves undefined ends
// the launch with a message: barriers that not all threads reach, an access outside a buffer, a race.
//
// It shows that kernels compute what they should under the rules of the language. It isn't a GPU: that the inline
// PTX does what device.cuh says, and how fast it is, only a GPU can show.
#include <link.h>

#include <algorithm>

#include "device.cuh"
#include "fibers.hpp"
#include "memory.hpp"

Dimensions threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

void register_kernel(const char* name, void (*call)(const void*), u32 args_bytes, u32 threads) {
    Kernel& kernel = kernels()[name];
    kernel.call = call;
    kernel.args_bytes = args_bytes;
    kernel.threads = threads;
}

void register_shared(const char* name, u32 bytes) {
    kernels()[name].shared_bytes = bytes;
}

void* shared_object(const char* file, int line, u32 bytes, bool dynamic) {
    std::string key = std::string(file) + ":" + std::to_string(line);
    auto found = shared_objects.find(key);
    if (found == shared_objects.end()) {
        if (dynamic && bytes > shared_limit) {
            fail("the launch gives too little dynamic shared memory");
        }
        if (!dynamic && shared_used + bytes > (48 << 10)) {
            fail("more than 48 KiB of static shared memory");
        }
        found = shared_objects.emplace(key, shared_used).first;
        shared_used = (shared_used + bytes + 15) / 16 * 16;
    }
    return memory.shared(found->second);
}

void check_access(const void* at, u32 bytes, bool write) {
    if (!inside_kernel) {
        return;
    }
    if (memory.contains(at)) {
        Accessor by = {block_count, epoch, current};
        std::string wrong = memory.access(at, bytes, write, by, shared_used);
        if (!wrong.empty()) {
            fail(wrong);
        }
        return;
    }
    const u8* byte = (const u8*)at;
    bool in_stack = byte >= stacks && byte < stacks + STACK * MOST_THREADS;
    bool in_arguments = byte >= arguments.data() && byte < arguments.data() + arguments.size();
    if (in_stack || in_arguments) {
        return;
    }
    // Constants and the emulator's own variables.
    inside_kernel = false;
    static const std::pair<const u8*, const u8*> image = [] {
        std::pair<const u8*, const u8*> range;
        dl_iterate_phdr(
            [](dl_phdr_info* info, size_t, void* range) {
                for (int i = 0; i < info->dlpi_phnum; i++) {
                    const u8* start = (const u8*)info->dlpi_addr;
                    const u8* end = start + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
                    if ((const u8*)&threadIdx >= start && (const u8*)&threadIdx < end) {
                        *(std::pair<const u8*, const u8*>*)range = {start, end};
                    }
                }
                return 0;
            },
            &range);
        return range;
    }();
    inside_kernel = true;
    if (byte < image.first || byte >= image.second) {
        fail("an access far outside of all buffers");
    }
}

void copy_async(void* shared, const void* global, bool inside) {
    if (inside) {
        check_access(global, 16, false);
    }
    check_access(shared, 16, true);
    memset(shared, Memory::POISON, 16); // until the copy is waited for
    fibers[current].copies.push_back({shared, global, inside, false});
}

// Groups are marked by an entry without addresses.
void copies_commit() {
    fibers[current].copies.push_back({nullptr, nullptr, false, true});
}

void copies_wait(u32 count) {
    auto& copies = fibers[current].copies;
    u32 groups = 0;
    for (const PendingCopy& copy : copies) {
        groups += copy.committed;
    }
    size_t done = 0;
    for (; done < copies.size() && groups > count; done++) {
        const PendingCopy& copy = copies[done];
        if (copy.committed) {
            groups--;
            continue;
        }
        check_access(copy.shared, 16, true);
        if (copy.inside) {
            memcpy(copy.shared, copy.global, 16);
        } else {
            memset(copy.shared, 0, 16);
        }
    }
    copies.erase(copies.begin(), copies.begin() + done);
}

}  // namespace emulator

using namespace emulator;

extern "C" {

// A buffer of poison that kernels may write and, once written, read.
void* emulator_buffer(const char* name, size_t bytes, size_t shift) {
    return memory.buffer(name, bytes, shift);
}

void emulator_define(void* pointer, size_t bytes) {
    memory.define(pointer, bytes);
}

int emulator_is_defined(const void* pointer, size_t bytes) {
    return memory.is_defined(pointer, bytes);
}

void emulator_clear() {
    memory.clear();
}

// Threads of a block, bytes of arguments, bytes of dynamic shared memory. 0 if there is such a kernel.
int emulator_kernel(const char* name, u32 facts[3]) {
    auto found = kernels().find(name);
    if (found == kernels().end()) {
        return 1;
    }
    facts[0] = found->second.threads;
    facts[1] = found->second.args_bytes;
    facts[2] = found->second.shared_bytes;
    return 0;
}

// Runs a kernel. 0 if all went well; otherwise `message` says what did not.
int emulate(const char* name, const u32 grid[3], u32 threads, u32 dynamic_shared, const void* args, u32 args_bytes,
            u64 seed, char* message, size_t message_bytes) {
    auto found = kernels().find(name);
    failure.clear();
    if (found == kernels().end()) {
        failure = "no such kernel";
    } else if (found->second.threads != threads || found->second.args_bytes != args_bytes) {
        failure = "the kernel takes " + std::to_string(found->second.threads) + " threads and " +
                  std::to_string(found->second.args_bytes) + " bytes of arguments";
    } else {
        kernel = &found->second;
        arguments.assign((const u8*)args, (const u8*)args + args_bytes);
        gridDim = {grid[0], grid[1], grid[2]};
        blockDim = {threads, 1, 1};
        shared_limit = dynamic_shared;
        random_state = seed * 0x9e3779b97f4a7c15 + 1;
        memory.launch_first_block = block_count + 1;
        std::vector<u32> blocks(grid[0] * grid[1] * grid[2]);
        for (u32 i = 0; i < blocks.size(); i++) {
            blocks[i] = i;
            std::swap(blocks[i], blocks[random_below(i + 1)]);
        }
        for (u32 block : blocks) {
            blockIdx = {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
            run_block(threads);
            if (!failure.empty()) {
                break;
            }
        }
    }
    snprintf(message, message_bytes, "%s", failure.c_str());
    return !failure.empty();
}

// What g++ calls before each access of the kernels.
#define ACCESS(WIDTH)                                                                                     \
    void __tsan_read##WIDTH(void* at) { check_access(at, WIDTH, false); }                                 \
    void __tsan_write##WIDTH(void* at) { check_access(at, WIDTH, true); }                                 \
    void __tsan_unaligned_read##WIDTH(void* at) { check_access(at, WIDTH, false); }                       \
    void __tsan_unaligned_write##WIDTH(void* at) { check_access(at, WIDTH, true); }
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
void __tsan_read_range(void* at, size_t bytes) { check_access(at, bytes, false); }
void __tsan_write_range(void* at, size_t bytes) { check_access(at, bytes, true); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
