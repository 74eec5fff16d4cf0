// Optimiser steps of all parameters in one launch.
//
// What limits them: memory, 28 bytes an element for Adam in float32, if the launches do not. A network has many parameters
// that take a microsecond each, less than it takes to start a kernel, so the kernels take a table of addresses: each
// block finds its parameter by bisection and does CHUNK of its elements. Everything is read once and written once.
// The word of bounds.cu is looked at first: after a check has failed the parameters stay as they are.
// The formulas round where nnscratch.kernels.steps rounds (`Rounded` never merges a product and a sum into one rounding), so
// that float64 gives the same bits as on the CPU.

#include "common.h"

__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double times(double a, double b) { return __dmul_rn(a, b); }
__device__ inline float plus(float a, float b) { return __fadd_rn(a, b); }
__device__ inline double plus(double a, double b) { return __dadd_rn(a, b); }

struct Rounded { A v; };
__device__ inline Rounded operator+(Rounded a, Rounded b) { return {plus(a.v, b.v)}; }
__device__ inline Rounded operator-(Rounded a, Rounded b) { return {plus(a.v, -b.v)}; }
__device__ inline Rounded operator*(Rounded a, Rounded b) { return {times(a.v, b.v)}; }
__device__ inline Rounded operator/(Rounded a, Rounded b) { return {a.v / b.v}; }
__device__ inline Rounded root(Rounded a) { return {sqrt(a.v)}; }

__device__ inline Rounded read(const T *x, long long i) { return {get(x, i)}; }

struct Descent { Rounded lr, momentum, decay; bool nesterov; };

__device__ inline void descend(T *p, const T *g, T *velocity, long long i, const Descent &s) {
    Rounded value = read(p, i), update = read(g, i);
    if (s.decay.v != 0) update = update + s.decay * value;  // 0 times an infinite parameter is not a number
    if (velocity) {
        Rounded v = read(velocity, i) * s.momentum + update;
        put(velocity, i, v.v);
        update = s.nesterov ? update + s.momentum * v : v;
    }
    put(p, i, (value - s.lr * update).v);
}

// m <- keep1 m + take1 g, v <- keep2 v + take2 g g, p <- p - lr (m / scale1) / (sqrt(v / scale2) + eps); `decay` p is first
// added to g, or `shrink` p taken from p.
struct Adam { Rounded keep1, take1, keep2, take2, scale1, scale2, lr, eps, decay, shrink; };

__device__ inline void adapt(T *p, const T *g, T *m, T *v, long long i, const Adam &s) {
    Rounded value = read(p, i), h = read(g, i);
    if (s.decay.v != 0) h = h + s.decay * value;
    if (s.shrink.v != 0) value = value - s.shrink * value;
    Rounded first = read(m, i) * s.keep1 + h * s.take1, second = read(v, i) * s.keep2 + h * h * s.take2;
    put(m, i, first.v);
    put(v, i, second.v);
    put(p, i, (value - first / s.scale1 * s.lr / (root(second / s.scale2) + s.eps)).v);
}

#define DESCENT A lr, A momentum, A decay, bool nesterov
#define ADAM A keep1, A take1, A keep2, A take2, A scale1, A scale2, A lr, A eps, A decay, A shrink
#define ADAM_VALUES {keep1}, {take1}, {keep2}, {take2}, {scale1}, {scale2}, {lr}, {eps}, {decay}, {shrink}

// The table: for each parameter its first block (and, behind the last, the number of blocks), then for each its size and
// the addresses of its arrays.
struct Share { const long long *row; long long begin, end; };

__device__ inline Share share(const long long *table, int parameters, int columns) {
    int low = 0, high = parameters;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (table[middle] <= blockIdx.x) low = middle;
        else high = middle;
    }
    const long long *row = table + parameters + 1 + low * columns;
    long long begin = (blockIdx.x - table[low]) * CHUNK, end = begin + CHUNK;
    return {row + 1, begin, end < row[0] ? end : row[0]};
}

extern "C" __global__ void sgd(const long long *table, int parameters, const unsigned long long *word, DESCENT) {
    if (~*word) return;
    Descent s = {{lr}, {momentum}, {decay}, nesterov};
    Share own = share(table, parameters, 4);
    for (long long i = own.begin + threadIdx.x; i < own.end; i += blockDim.x)
        descend((T *)own.row[0], (const T *)own.row[1], (T *)own.row[2], i, s);
}

extern "C" __global__ void adam(const long long *table, int parameters, const unsigned long long *word, ADAM) {
    if (~*word) return;
    Adam s = {ADAM_VALUES};
    Share own = share(table, parameters, 5);
    for (long long i = own.begin + threadIdx.x; i < own.end; i += blockDim.x)
        adapt((T *)own.row[0], (const T *)own.row[1], (T *)own.row[2], (T *)own.row[3], i, s);
}
