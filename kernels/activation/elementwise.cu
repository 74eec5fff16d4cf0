// Elementary functions, one element a thread: sigmoid, tanh, softplus, erf, erfc, binary cross-entropy.
//
// What limits them: memory. An element is read and written once, 8 bytes of float32, for which an H100's memory takes the
// time of about 40 double-precision operations of its multiprocessors. So all is computed in float64, by the formulas of
// nnscratch.kernels.activation.definition, and rounded once: both devices give the same digits, and the 4 units in the last place that
// are promised do not rest on the float32 functions of CUDA. (On GPUs for games, with 1/64 of that rate, it does cost.)
// Neighbouring threads read neighbouring elements, so that a warp's 32 reads are one or two transactions.

#include "common.h"

__device__ inline double logistic(double x) {
    double e = exp(-fabs(x));
    return (x >= 0 ? 1 : x < 0 ? e : x) / (1 + e);
}

__device__ inline double rectified_smoothly(double x) { return (x > 0 || isnan(x) ? x : 0) + log1p(exp(-fabs(x))); }

__device__ inline double loss_of_logit(double z, double y) {
    double size = fabs(z), weight = z > 0 ? 1 - y : y;
    return (weight == 0 ? 0 : size * weight) + log1p(exp(-size));
}

// The polynomials of nnscratch.kernels.activation.definition, whose comments say how they were made.
__device__ inline double erf_near(double x) {
    const double c[] = {
        0.9654687386698673, -0.1405360890227171, 0.019852496688983708, -0.0022854855611441132, 0.00021751715604160108,
        -1.7537169441124826e-05, 1.223382738352401e-06, -7.51156928660089e-08, 4.11580059766496e-09, -2.035228404899467e-10,
        9.167606746069445e-12, -3.8078827395263415e-13, 1.454817075960679e-14,
    };
    double t = 2 * x * x - 1, y = c[12];
    for (int i = 11; i >= 0; --i) y = fma(y, t, c[i]);
    return x * y;
}

__device__ inline double erfc_positive(double x) {
    const double c[] = {
        1.2329951186255526, -0.1396211168405625, 0.015379652102620026, 0.0680970542546904, -0.10103906603632413,
        0.09373283499843826, -0.06633036581166812, 0.03716751553592911, -0.016197734065728945, 0.005031969992669933,
        -0.0007577732210512849, -0.0001992567757633648, 0.00015062131406268513, -2.4398944545280832e-05, -1.1220772697788498e-05,
        5.709206053072183e-06, 2.9094470866632674e-07, -8.249198427508354e-07, 7.888177117406594e-08, 1.1009737295274889e-07,
        -2.1868462576141457e-08, -1.4709550868669278e-08, 3.950879254166685e-09, 1.7903326159489847e-09, -5.377133821031794e-10,
        -1.374652989001164e-10, 4.180821739675544e-11,
    };
    x = x < 30 ? x : isnan(x) ? x : 30;
    double t = (x - 4) / (x + 4), y = c[26];
    for (int i = 25; i >= 0; --i) y = fma(y, t, c[i]);
    // The rounding error of x*x counts 700-fold in the exponential, so the square is taken in two parts.
    double high = rint(x * 1048576.0) / 1048576.0, rest = __dmul_rn(__dsub_rn(high, x), __dadd_rn(high, x));
    y = exp(-__dmul_rn(high, high)) * (y / (1 + 2 * x));
    return y + y * (rest * (1 + rest * (0.5 + rest / 6)));
}

__device__ inline double error_function(double x) {
    return fabs(x) < 1 ? erf_near(x) : copysign(1 - erfc_positive(fabs(x)), x);
}

__device__ inline double complement(double x) {
    if (x > -1 && x < 0.5) return 1 - erf_near(x);
    double y = erfc_positive(fabs(x));
    return x < 0 ? 2 - y : y;
}

extern "C" __global__ void sigmoid(const T *x, T *y, long long n) { FOR_EACH(i, n) put(y, i, logistic(get(x, i))); }

extern "C" __global__ void hyperbolic_tangent(const T *x, T *y, long long n) {
    FOR_EACH(i, n) put(y, i, tanh((double)get(x, i)));
}

extern "C" __global__ void softplus(const T *x, T *y, long long n) {
    FOR_EACH(i, n) put(y, i, rectified_smoothly(get(x, i)));
}

extern "C" __global__ void error_function_of(const T *x, T *y, long long n) {
    FOR_EACH(i, n) put(y, i, error_function(get(x, i)));
}

extern "C" __global__ void complement_of(const T *x, T *y, long long n) {
    FOR_EACH(i, n) put(y, i, complement(get(x, i)));
}

extern "C" __global__ void binary_cross_entropy(const T *z, const T *targets, T *losses, long long n) {
    FOR_EACH(i, n) put(losses, i, loss_of_logit(get(z, i), get(targets, i)));
}
