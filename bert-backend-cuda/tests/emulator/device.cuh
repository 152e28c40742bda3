// The host's stand-in for kernels/device.cuh: the same functions, so that g++ compiles the kernels as they are.
// A CUDA thread is a fiber; what happens between fibers is in emulator.cpp.
#pragma once
#include <cmath>
#include <cstring>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE inline

struct Dimensions {
    u32 x, y, z;
};
extern Dimensions threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {
void register_kernel(const char* name, void (*call)(const void*), u32 args_bytes, u32 threads);
void register_shared(const char* name, u32 bytes);
void* shared_object(const char* file, int line, u32 bytes, bool dynamic);
void barrier(const char* file, int line);
// All lanes of a warp bring their operands; `compute` sees them all, once.
void collective(const char* what, void* operands, void (*compute)(void** lanes));
void check_access(const void* at, u32 bytes, bool write);
void copy_async(void* shared, const void* global, bool inside);
void copies_commit();
void copies_wait(u32 count);
}  // namespace emulator

#define KERNEL(NAME, ARGS, THREADS)                                                                       \
    static void NAME(const ARGS& args);                                                                   \
    static const bool NAME##_registered = (emulator::register_kernel(                                     \
        #NAME, [](const void* args) { NAME(*(const ARGS*)args); }, sizeof(ARGS), THREADS), true);         \
    static void NAME(const ARGS& args)

#define SHARED(TYPE, NAME) TYPE& NAME = *(TYPE*)emulator::shared_object(__FILE__, __LINE__, sizeof(TYPE), false)
#define DYNAMIC_SHARED(TYPE, NAME) \
    TYPE& NAME = *(TYPE*)emulator::shared_object(__FILE__, __LINE__, sizeof(TYPE), true)
#define DYNAMIC_FLOATS(NAME, COUNT) \
    float* NAME = (float*)emulator::shared_object(__FILE__, __LINE__, 4 * (COUNT), true)
#define SHARED_BYTES(NAME, ...) \
    static const bool NAME##_shared = (emulator::register_shared(#NAME, sizeof(__VA_ARGS__)), true)

#define __syncthreads() emulator::barrier(__FILE__, __LINE__)

inline u32 min(u32 a, u32 b) {
    return a < b ? a : b;
}

inline u32 max(u32 a, u32 b) {
    return a > b ? a : b;
}

inline float shuffle_xor(float value, u32 mask) {
    struct Operands {
        float value;
        u32 mask;
        float result;
    } mine = {value, mask, 0};
    emulator::collective("shuffle_xor", &mine, [](void** lanes) {
        for (u32 lane = 0; lane < 32; lane++) {
            Operands* to = (Operands*)lanes[lane];
            to->result = ((Operands*)lanes[(lane ^ to->mask) % 32])->value;
        }
    });
    return mine.result;
}

inline u32 bits_of(float value) {
    u32 bits;
    memcpy(&bits, &value, 4);
    return bits;
}

inline float float_of(u32 bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline float normcdff(float x) {
    return (float)(0.5 * erfc(-(double)x * M_SQRT1_2));
}

inline float rsqrtf(float x) {
    return (float)(1.0 / sqrt((double)x));
}

template <u32 N>
struct alignas(4 * N) Pack {
    float at[N];
};

// One access of full width, which has to be aligned to it.
template <u32 N>
inline Pack<N> load_pack(const float* from) {
    emulator::check_access(from, 4 * N, false);
    Pack<N> pack;
    memcpy(&pack, from, sizeof pack);
    return pack;
}

template <u32 N>
inline void store_pack(float* to, const Pack<N>& pack) {
    emulator::check_access(to, 4 * N, true);
    memcpy(to, &pack, sizeof pack);
}

// A matrix product of one warp: a [16, K], b [K, 8], d [16, 8], spread over the lanes as PTX says. Numbers of
// one register lie in one row of a (one column of b).
template <class Number, class Total>
struct Product {
    Total (*d)[4];
    const u32* a;
    u32 b[2];

    static Total factor(const u32* registers, u32 index) {
        const u32 in_register = 4 / sizeof(typename Number::Stored);
        typename Number::Stored stored;
        memcpy(&stored, (const u8*)&registers[index / in_register] + index % in_register * sizeof stored, sizeof stored);
        return Number::widened(stored);
    }

    static void compute(void** lanes) {
        const u32 n = 4 / sizeof(typename Number::Stored); // numbers in a register
        const u32 depth = 8 * n;
        Total d[16][8];
        for (u32 row = 0; row < 16; row++) {
            for (u32 column = 0; column < 8; column++) {
                Product* of = (Product*)lanes[row % 8 * 4 + column / 2];
                Total sum = (*of->d)[row / 8 * 2 + column % 2];
                for (u32 k = 0; k < depth; k++) {
                    // Each half of the depth has a register of its own; in it, four lanes lie side by side.
                    u32 half = k / (4 * n), lane = k % (4 * n) / n;
                    Product* left = (Product*)lanes[row % 8 * 4 + lane];
                    Product* right = (Product*)lanes[column * 4 + lane];
                    sum += factor(left->a, (half * 2 + row / 8) * n + k % n) * factor(right->b, half * n + k % n);
                }
                d[row][column] = sum;
            }
        }
        for (u32 lane = 0; lane < 32; lane++) {
            for (u32 i = 0; i < 4; i++) {
                (*((Product*)lanes[lane])->d)[i] = d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
            }
        }
    }
};

struct Bf16 {
    typedef u16 Stored;

    static inline u16 rounded(float value) {
        u32 bits = bits_of(value);
        if (value != value) {
            return 0x7fff;
        }
        return (u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
    static inline float widened(u16 stored) {
        return float_of((u32)stored << 16);
    }
    static inline u32 pack(float low, float high) {
        return rounded(low) | (u32)rounded(high) << 16;
    }
    static inline void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        Product<Bf16, float> product = {&d, a, {b0, b1}};
        emulator::collective("mma bf16", &product, Product<Bf16, float>::compute);
    }
};

struct F16 {
    typedef u16 Stored;

    static inline u16 rounded(float value) {
        _Float16 half = (_Float16)value;
        u16 bits;
        memcpy(&bits, &half, 2);
        return bits;
    }
    static inline float widened(u16 stored) {
        _Float16 half;
        memcpy(&half, &stored, 2);
        return (float)half;
    }
    static inline u32 pack(float low, float high) {
        return rounded(low) | (u32)rounded(high) << 16;
    }
    static inline void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        Product<F16, float> product = {&d, a, {b0, b1}};
        emulator::collective("mma f16", &product, Product<F16, float>::compute);
    }
};

struct Int8Number {
    typedef signed char Stored;

    static inline int widened(signed char stored) {
        return stored;
    }
};

inline void multiply_int8(int (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    Product<Int8Number, int> product = {&d, a, {b0, b1}};
    emulator::collective("mma int8", &product, Product<Int8Number, int>::compute);
}

template <bool TRANSPOSED>
struct Matrices {
    u32 (*fragment)[4];
    const void* row;

    static void compute(void** lanes) {
        for (u32 lane = 0; lane < 32; lane++) {
            for (u32 matrix = 0; matrix < 4; matrix++) {
                u16 pair[2];
                for (u32 i = 0; i < 2; i++) {
                    u32 row = TRANSPOSED ? lane % 4 * 2 + i : lane / 4;
                    u32 column = TRANSPOSED ? lane / 4 : lane % 4 * 2 + i;
                    memcpy(&pair[i], (const u16*)((Matrices*)lanes[matrix * 8 + row])->row + column, 2);
                }
                memcpy(&(*((Matrices*)lanes[lane])->fragment)[matrix], pair, 4);
            }
        }
    }
};

inline void load_matrices(u32 (&fragment)[4], const void* row) {
    emulator::check_access(row, 16, false);
    Matrices<false> mine = {&fragment, row};
    emulator::collective("ldmatrix", &mine, Matrices<false>::compute);
}

inline void load_matrices_transposed(u32 (&fragment)[4], const void* row) {
    emulator::check_access(row, 16, false);
    Matrices<true> mine = {&fragment, row};
    emulator::collective("ldmatrix trans", &mine, Matrices<true>::compute);
}

inline void copy_async(void* shared, const void* global, bool inside) {
    emulator::copy_async(shared, global, inside);
}

inline void copies_commit() {
    emulator::copies_commit();
}

template <u32 COUNT>
inline void copies_wait() {
    emulator::copies_wait(COUNT);
}
