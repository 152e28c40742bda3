// A function of each element of a view, or of each pair of elements of two views of one shape. The result is
// row-major. One thread an element: `blocks = ceil(length / 256)`.
//
// map: x view -> out [length]; zip: a, b views of one shape -> out [length]
#include <math.cuh>

const u32 THREADS = 256;

struct MapArgs {
    const u32* x; // bits of f32 or u32: a copy keeps them all
    u32* out;
    View view;
    u32 length;
    float operand;
};

struct ZipArgs {
    const float* a;
    const float* b;
    float* out;
    View a_view;
    View b_view;
    u32 length;
};

struct Copy {
    static DEVICE u32 of(u32 bits, float) {
        return bits;
    }
};

struct ToFloat {
    static DEVICE u32 of(u32 bits, float) {
        return bits_of((float)bits);
    }
};

// Towards zero; what lies outside becomes the nearest u32, and a NaN 0.
struct ToUnsigned {
    static DEVICE u32 of(u32 bits, float) {
        float x = float_of(bits);
        return x >= 4294967296.0f ? 0xffffffff : x >= 1.0f ? (u32)x : 0;
    }
};

// A function of floats.
#define FUNCTION(NAME, RESULT)                  \
    struct NAME {                               \
        static DEVICE u32 of(u32 bits, float operand) { \
            float x = float_of(bits);           \
            return bits_of(RESULT);             \
        }                                       \
    };

FUNCTION(Scale, x * operand)
FUNCTION(Offset, x + operand)
FUNCTION(Exp, expf(x))
FUNCTION(Log, logf(x))
FUNCTION(Sqrt, sqrtf(x))
FUNCTION(Reciprocal, 1.0f / x)
FUNCTION(Tanh, tanhf(x))
FUNCTION(Sigmoid, logistic(x))
FUNCTION(Relu, relu(x))
FUNCTION(Gelu, gelu(x))
FUNCTION(GeluTanh, gelu_tanh(x))

template <class Op>
DEVICE void map(const MapArgs& args) {
    u32 index = blockIdx.x * THREADS + threadIdx.x;
    if (index < args.length) {
        args.out[index] = Op::of(args.x[place(args.view, index)], args.operand);
    }
}

#define MAP(NAME, OP) \
    KERNEL(NAME, MapArgs, THREADS) { map<OP>(args); }

MAP(map_copy, Copy)
MAP(map_to_float, ToFloat)
MAP(map_to_unsigned, ToUnsigned)
MAP(map_scale, Scale)
MAP(map_offset, Offset)
MAP(map_exp, Exp)
MAP(map_log, Log)
MAP(map_sqrt, Sqrt)
MAP(map_reciprocal, Reciprocal)
MAP(map_tanh, Tanh)
MAP(map_sigmoid, Sigmoid)
MAP(map_relu, Relu)
MAP(map_gelu, Gelu)
MAP(map_gelu_tanh, GeluTanh)

struct Sub {
    static DEVICE float of(float a, float b) {
        return a - b;
    }
};

struct Mul {
    static DEVICE float of(float a, float b) {
        return a * b;
    }
};

struct Div {
    static DEVICE float of(float a, float b) {
        return a / b;
    }
};

template <class Op>
DEVICE void zip(const ZipArgs& args) {
    u32 index = blockIdx.x * THREADS + threadIdx.x;
    if (index < args.length) {
        args.out[index] = Op::of(args.a[place(args.a_view, index)], args.b[place(args.b_view, index)]);
    }
}

#define ZIP(NAME, OP) \
    KERNEL(NAME, ZipArgs, THREADS) { zip<OP>(args); }

ZIP(zip_add, Sum)
ZIP(zip_sub, Sub)
ZIP(zip_mul, Mul)
ZIP(zip_div, Div)
ZIP(zip_max, Max)
