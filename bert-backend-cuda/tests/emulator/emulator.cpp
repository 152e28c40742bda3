// Host emulation of CUDA kernels: one fiber a thread, block after block. Fibers run in a random order that a seed
// fixes, and are switched at barriers and where the lanes of a warp meet. What the hardware leaves undefined ends
// the launch with a message: barriers that not all threads reach, an access outside a buffer, a race.
//
// It shows that kernels compute what they should under the rules of the language. It isn't a GPU: that the inline
// PTX does what device.cuh says, and how fast it is, only a GPU can show.
#include <link.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <vector>

#include "device.cuh"
#include "memory.hpp"

Dimensions threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
namespace {

constexpr size_t STACK = 128 << 10;
constexpr u32 MOST_THREADS = 1024;

struct Kernel {
    void (*call)(const void*);
    u32 args_bytes, threads, shared_bytes;
};

struct PendingCopy {
    void* shared;
    const void* global;
    bool inside, committed;
};

enum class State { Ready, Barrier, Collective, Done };

struct Fiber {
    jmp_buf context;
    ucontext_t entry;
    bool started;
    State state;
    std::string site; // of the barrier or collective that it waits at
    void* operands;
    std::vector<PendingCopy> copies;
};

std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> kernels;
    return kernels;
}

Memory memory;
std::vector<Fiber> fibers(MOST_THREADS);
u8* stacks = (u8*)mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
jmp_buf scheduler;
std::string failure;
u64 random_state;

const Kernel* kernel;
std::vector<u8> arguments;
u32 current, block_count = 0, epoch, shared_used, shared_limit;
bool inside_kernel = false;
std::map<std::string, u32> shared_objects;

u64 random_below(u64 bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

[[noreturn]] void fail(const std::string& what) {
    failure = what + " (block " + std::to_string(blockIdx.x) + " " + std::to_string(blockIdx.y) + " " +
              std::to_string(blockIdx.z) + ", thread " + std::to_string(threadIdx.x) + ")";
    inside_kernel = false;
    _longjmp(scheduler, 1);
}

void enter() {
    kernel->call(arguments.data());
    fibers[current].state = State::Done;
    inside_kernel = false;
    _longjmp(scheduler, 1);
}

// Gives the processor to another fiber; comes back when this one is ready again.
void wait(State state, const std::string& site) {
    Fiber& fiber = fibers[current];
    fiber.state = state;
    fiber.site = site;
    inside_kernel = false;
    if (_setjmp(fiber.context) == 0) {
        _longjmp(scheduler, 1);
    }
}

void resume(u32 thread) {
    Fiber& fiber = fibers[thread];
    current = thread;
    threadIdx = {thread, 0, 0};
    if (_setjmp(scheduler) != 0) {
        return;
    }
    inside_kernel = true;
    if (fiber.started) {
        _longjmp(fiber.context, 1);
    }
    fiber.started = true;
    getcontext(&fiber.entry);
    fiber.entry.uc_stack.ss_sp = stacks + STACK * thread;
    fiber.entry.uc_stack.ss_size = STACK;
    makecontext(&fiber.entry, enter, 0);
    setcontext(&fiber.entry);
}

// Lets go those who wait for one another: a block at a barrier, a warp at a collective.
bool release(u32 threads) {
    u32 at_barrier = 0, done = 0;
    for (u32 i = 0; i < threads; i++) {
        at_barrier += fibers[i].state == State::Barrier;
        done += fibers[i].state == State::Done;
    }
    if (at_barrier == threads) {
        for (u32 i = 0; i < threads; i++) {
            if (fibers[i].site != fibers[0].site) {
                failure = "divergent barriers: " + fibers[i].site + " and " + fibers[0].site;
                return false;
            }
            fibers[i].state = State::Ready;
        }
        epoch++;
        return true;
    }
    if (at_barrier + done == threads) {
        failure = "divergent barrier: " + std::to_string(done) + " threads ended, others wait";
        return false;
    }
    failure = "deadlock: a warp does not meet";
    return false;
}

void run_block(u32 threads) {
    for (u32 i = 0; i < threads; i++) {
        fibers[i].started = false;
        fibers[i].state = State::Ready;
        fibers[i].copies.clear();
    }
    memory.begin_block(shared_used);
    shared_objects.clear();
    shared_used = 0;
    block_count++;
    epoch = 0;
    std::vector<u32> ready;
    while (failure.empty()) {
        ready.clear();
        u32 done = 0;
        for (u32 i = 0; i < threads; i++) {
            if (fibers[i].state == State::Ready) {
                ready.push_back(i);
            }
            done += fibers[i].state == State::Done;
        }
        if (done == threads || (ready.empty() && !release(threads))) {
            return;
        }
        // A random order; whoever becomes ready meanwhile waits for the next round.
        while (!ready.empty() && failure.empty()) {
            u32 pick = random_below(ready.size());
            resume(ready[pick]);
            ready[pick] = ready.back();
            ready.pop_back();
        }
    }
}

}  // namespace

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

void barrier(const char* file, int line) {
    wait(State::Barrier, std::string(file) + ":" + std::to_string(line));
}

void collective(const char* what, void* operands, void (*compute)(void** lanes)) {
    u32 first = current / 32 * 32;
    fibers[current].operands = operands;
    fibers[current].site = what;
    fibers[current].state = State::Collective;
    void* lanes[32];
    for (u32 i = 0; i < 32; i++) {
        const Fiber& lane = fibers[first + i];
        if (lane.state != State::Collective) {
            return wait(State::Collective, what);
        }
        if (lane.site != what) {
            fail("lanes of a warp meet in different operations: " + lane.site + " and " + what);
        }
        lanes[i] = lane.operands;
    }
    inside_kernel = false;
    compute(lanes);
    inside_kernel = true;
    for (u32 i = 0; i < 32; i++) {
        fibers[first + i].state = State::Ready;
    }
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
