// Elementary functions. WGSL promises little for its own ones (`exp` may lose three ulp and two more for
// each unit of x), so that these are written out; they are the same as the CPU backend's.

fn is_nan(bits: u32) -> bool {
    return (bits & 0x7fffffffu) > 0x7f800000u;
}

// Ordered as the floats are, so that even subnormal numbers keep their order where a device flushes them.
fn order(bits: u32) -> u32 {
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// The larger one of two floats given by their bits; a NaN wins.
fn larger(a: u32, b: u32) -> u32 {
    return select(b, a, (order(a) >= order(b) || is_nan(a)) && !is_nan(b));
}

fn power_of_two(n: f32) -> f32 {
    return bitcast<f32>(u32(i32(n) + 127) << 23u);
}

// Within 2 ulp; 0 and infinity beyond the range of f32. exp(n ln 2 + r) = 2^n exp(r), |r| <= ln(2) / 2;
// source of the polynomial: Cephes, expf.
fn exponential(value: f32) -> f32 {
    if is_nan(bitcast<u32>(value)) {
        return value;
    }
    let x = clamp(value, -104.0, 89.0);
    let n = round(x * 1.44269504);
    // ln 2 in two parts, the first so short that its product with n is exact. The mask costs half an ulp of
    // the remainder, and keeps compilers from making one product of the two.
    let remainder = bitcast<f32>(bitcast<u32>(fma(n, -0.693359375, x)) & 0xfffffffeu);
    let r = fma(n, 2.12194440e-4, remainder);
    var tail = 1.98756914e-4;
    tail = fma(tail, r, 1.39819995e-3);
    tail = fma(tail, r, 8.33345186e-3);
    tail = fma(tail, r, 4.16657962e-2);
    tail = fma(tail, r, 1.66666656e-1);
    tail = fma(tail, r, 0.5);
    let y = fma(tail, r * r, r + 1.0);
    // 2^n in two factors: n reaches -150, where the result is subnormal, and 128.
    let half = round(n * 0.5);
    return y * power_of_two(half) * power_of_two(n - half);
}

// Within 3 ulp: near 0 a polynomial (Cephes, tanhf), beyond it 1 - 2 / (exp(2|x|) + 1).
fn hyperbolic_tangent(x: f32) -> f32 {
    let magnitude = abs(x);
    if magnitude < 0.625 {
        let z = x * x;
        var series = -5.70498872e-3;
        series = fma(series, z, 2.06390887e-2);
        series = fma(series, z, -5.37397155e-2);
        series = fma(series, z, 1.33314422e-1);
        series = fma(series, z, -3.33332819e-1);
        return fma(series * z, x, x);
    }
    let far = 1.0 - 2.0 / (exponential(magnitude + magnitude) + 1.0);
    return select(far, -far, x < 0.0);
}

fn logistic(x: f32) -> f32 {
    return 1.0 / (1.0 + exponential(-x));
}

// a Φ(-a) for a >= 0, with Φ by the error function, within 4e-7. Φ(-a) is a polynomial to the power of -8
// (Abramowitz and Stegun, 7.1.28); the coefficients minimise the largest error of the product.
fn gaussian_tail(magnitude: f32) -> f32 {
    // From 14 on it is below the smallest number of f32, and the polynomial is far from overflow.
    let a = min(magnitude, 14.0);
    var root = 4.2406538e-7;
    root = fma(root, a, -2.968164e-6);
    root = fma(root, a, 1.8613398e-5);
    root = fma(root, a, -1.1274055e-5);
    root = fma(root, a, 3.3890576e-4);
    root = fma(root, a, 8.333668e-4);
    root = fma(root, a, 9.514726e-3);
    root = fma(root, a, 4.879626e-2);
    root = fma(root, a, 1.087651e-1);
    root = fma(root, a, 1.0905077);
    let root2 = root * root;
    let root4 = root2 * root2;
    return a / (root4 * root4);
}

// x Φ(x) = max(x, 0) - |x| Φ(-|x|): nothing cancels where the result is near 0.
fn gelu(x: f32) -> f32 {
    if is_nan(bitcast<u32>(x)) {
        return x;
    }
    return max(x, 0.0) - gaussian_tail(abs(x));
}

// x (1 + tanh(u)) / 2 = x / (1 + exp(-2u)) with u = sqrt(2 / pi) (x + 0.044715 x^3).
fn gelu_tanh(x: f32) -> f32 {
    let u = x * fma(x * x, 0.044715 * 1.5957691, 1.5957691);
    return x / (1.0 + exponential(-u));
}

fn relu(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    return bitcast<f32>(select(bits, 0u, (bits & 0x80000000u) != 0u && !is_nan(bits)));
}

// What follows a linear layer.
fn activate(activation: u32, x: f32) -> f32 {
    switch activation {
        case 1u: { return gelu(x); }
        case 2u: { return gelu_tanh(x); }
        case 3u: { return relu(x); }
        case 4u: { return hyperbolic_tangent(x); }
        default: { return x; }
    }
}
