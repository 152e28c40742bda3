// Fibers: one a CUDA thread, a block of them at a time. They run in a random order that a seed fixes, and give way
// where a block meets at a barrier and where the lanes of a warp meet. Who waits for somebody that never comes ends
// the launch.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <vector>

#include "device.cuh"
#include "memory.hpp"

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

}  // namespace emulator
