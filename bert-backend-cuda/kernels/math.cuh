// Elementary functions, and what follows a linear layer.
#pragma once
#include <common.cuh>

DEVICE float logistic(float x) {
    return 1.0f / (1.0f + expf(-x));
}

DEVICE float relu(float x) {
    return x > 0.0f || is_nan(x) ? x : 0.0f;
}

// x Φ(x), with Φ by the error function. `normcdff` keeps its digits where Φ is small. Below -15 the result is
// less than the smallest f32, and minus infinity must not meet Φ = 0.
DEVICE float gelu(float x) {
    return x < -15.0f ? -0.0f : x * normcdff(x);
}

// Φ(x) + x φ(x)
DEVICE float gelu_slope(float x) {
    float density = 0.398942280f * expf(-0.5f * x * x);
    return fabsf(x) > 15.0f ? (x > 0.0f ? 1.0f : 0.0f) : normcdff(x) + x * density;
}

// x (1 + tanh(u)) / 2 = x / (1 + exp(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
DEVICE float gelu_tanh(float x) {
    return x < -15.0f ? -0.0f : x / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)));
}

DEVICE float gelu_tanh_slope(float x) {
    if (fabsf(x) > 15.0f) {
        return x > 0.0f ? 1.0f : 0.0f;
    }
    float s = logistic(1.5957691f * (x + 0.044715f * x * x * x));
    return s + x * s * (1.0f - s) * 1.5957691f * (1.0f + 0.134145f * x * x);
}

enum Activation : u32 { IDENTITY = 0, GELU = 1, GELU_TANH = 2, RELU = 3, TANH = 4 };

DEVICE float activate(u32 activation, float x) {
    switch (activation) {
        case GELU: return gelu(x);
        case GELU_TANH: return gelu_tanh(x);
        case RELU: return relu(x);
        case TANH: return tanhf(x);
        default: return x;
    }
}

// The derivative at x.
DEVICE float activation_slope(u32 activation, float x) {
    switch (activation) {
        case GELU: return gelu_slope(x);
        case GELU_TANH: return gelu_tanh_slope(x);
        case RELU: return x > 0.0f ? 1.0f : 0.0f;
        case TANH: {
            float y = tanhf(x);
            return 1.0f - y * y;
        }
        default: return 1.0f;
    }
}
