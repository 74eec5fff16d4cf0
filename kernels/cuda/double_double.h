// Sums whose rounding errors are kept, as nnscratch.kernels.double_double has them.

#pragma once

// The intrinsics are never merged with a product into one rounding, which the compiler does to `+` where it can.
__device__ inline double two_sum(double a, double b, double &error) {
    double total = __dadd_rn(a, b), other = __dsub_rn(total, a);
    error = __dadd_rn(__dsub_rn(a, __dsub_rn(total, other)), __dsub_rn(b, other));
    return total;
}

__device__ inline double two_product(double a, double b, double &error) {
    double product = __dmul_rn(a, b);
    error = fma(a, b, -product);
    return product;
}

// A number as the unevaluated sum of two, the first the larger.
struct Pair { double high, low; };

__device__ inline Pair add(Pair a, Pair b) {
    Pair sum;
    double error;
    sum.high = two_sum(a.high, b.high, error);
    sum.high = two_sum(sum.high, __dadd_rn(error, __dadd_rn(a.low, b.low)), sum.low);
    return sum;
}

__device__ inline Pair multiply(Pair a, Pair b) {
    Pair product;
    double error, high = two_product(a.high, b.high, error);
    product.high = two_sum(high, error + (a.high * b.low + a.low * b.high), product.low);
    return product;
}

// A running sum and what its additions have lost: as if in twice the digits.
struct Sum {
    double total, lost;
    __device__ inline void clear() { total = lost = 0; }
    __device__ inline void add(double v) {
        double error;
        total = two_sum(total, v, error);
        lost = __dadd_rn(lost, error);
    }
    __device__ inline void add(Sum other) {
        add(other.total);
        lost = __dadd_rn(lost, other.lost);
    }
    // Where a sum is infinite, its errors are nan.
    __device__ inline double value() const {
        double better = total + lost;
        return isfinite(better) ? better : total;
    }
};
