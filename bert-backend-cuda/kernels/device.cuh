// What kernels ask of the hardware beyond CUDA C: shared memory, conversions, copies and tensor cores, as
// inline PTX. No header of the CUDA toolkit is needed, so that NVRTC compiles the kernels wherever it is found.
// The host emulation has a file of the same name with the same functions.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define DEVICE __device__ __forceinline__

// A kernel takes one struct of arguments; THREADS is how many threads a block has, always.
#define KERNEL(NAME, ARGS, THREADS) \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME(const __grid_constant__ ARGS args)

// An object in shared memory: of fixed size, or as the dynamic part of the launch, which may pass 48 KiB.
#define SHARED(TYPE, NAME) __shared__ TYPE NAME
#define DYNAMIC_SHARED(TYPE, NAME)                           \
    extern __shared__ __align__(16) u8 dynamic_shared[];     \
    TYPE& NAME = *reinterpret_cast<TYPE*>(dynamic_shared)

// COUNT floats, where only the launch knows how many.
#define DYNAMIC_FLOATS(NAME, COUNT)                      \
    extern __shared__ __align__(16) u8 dynamic_shared[]; \
    float* NAME = reinterpret_cast<float*>(dynamic_shared)

// Tells the host how much dynamic shared memory a kernel takes: a global variable `NAME_shared`.
#define SHARED_BYTES(NAME, ...) extern "C" __device__ u32 NAME##_shared = sizeof(__VA_ARGS__)

const u32 ALL_LANES = 0xffffffff;

DEVICE float shuffle_xor(float value, u32 mask) {
    return __shfl_xor_sync(ALL_LANES, value, mask);
}

DEVICE u32 bits_of(float value) {
    return __float_as_uint(value);
}

DEVICE float float_of(u32 bits) {
    return __uint_as_float(bits);
}

// Up to four floats that lie together, moved by one instruction.
template <u32 N>
struct alignas(4 * N) Pack {
    float at[N];
};

template <u32 N>
DEVICE Pack<N> load_pack(const float* from) {
    return *reinterpret_cast<const Pack<N>*>(from);
}

template <u32 N>
DEVICE void store_pack(float* to, const Pack<N>& pack) {
    *reinterpret_cast<Pack<N>*>(to) = pack;
}

// Two floats rounded to the nearest, ties to even; `low` in the lower half.
struct Bf16 {
    static DEVICE u32 pack(float low, float high) {
        u32 packed;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
        return packed;
    }

    // d [16, 8] += a [16, 16] b [16, 8], summed in f32; one matrix a warp.
    static DEVICE void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
};

struct F16 {
    static DEVICE u32 pack(float low, float high) {
        u32 packed;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
        return packed;
    }

    static DEVICE void multiply(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        asm volatile(
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
};

// d [16, 8] += a [16, 32] b [32, 8] of 8-bit integers, exact.
DEVICE void multiply_int8(int (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

DEVICE u32 shared_address(const void* pointer) {
    return (u32)__cvta_generic_to_shared(pointer);
}

// Four matrices [8, 8] of 16-bit numbers from shared memory: lane i gives the address of row i % 8 of matrix
// i / 8, and gets of each matrix the numbers 2 * (i % 4) and the next of row i / 4.
DEVICE void load_matrices(u32 (&fragment)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed.
DEVICE void load_matrices_transposed(u32 (&fragment)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// Starts a copy of 16 bytes to shared memory, of zeros if not `inside`.
DEVICE void copy_async(void* shared, const void* global, bool inside) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(inside ? 16 : 0)
                 : "memory");
}

// Ends a group of copies.
DEVICE void copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until no more than COUNT groups of this thread's copies are under way.
template <u32 COUNT>
DEVICE void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(COUNT) : "memory");
}
