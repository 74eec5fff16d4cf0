// What follows a matrix product: the bias and the activation, in place, and their gradients.
//
// What limits it: memory. The product is cuBLAS's, and it leaves its result in the second-level cache where that is large
// enough; a bias and an activation as operations of their own would each read and write it again. Here it is read once and
// written once. The activation is a constant of the compilation, so that no element asks which one it is.

#include "common.h"

// ACTIVATION: 0 none, 1 rectifier, 2 sigmoid, 3 tanh.
__device__ inline A activated(A z) {
#if ACTIVATION == 1
    return z > 0 || z != z ? z : A(0);
#elif ACTIVATION == 2
    double e = exp(-fabs((double)z));
    return (A)((z >= 0 ? 1 : z < 0 ? e : z) / (1 + e));
#elif ACTIVATION == 3
    return (A)tanh((double)z);
#else
    return z;
#endif
}

// The derivative, by the activation's result.
__device__ inline A slope(A y) {
#if ACTIVATION == 1
    return y > 0 ? A(1) : A(0);
#elif ACTIVATION == 2
    return y * (1 - y);
#elif ACTIVATION == 3
    return 1 - y * y;
#else
    return A(1);
#endif
}

// y (rows, columns) <- activation(y + bias); `bias` (columns) or null.
extern "C" __global__ void epilogue(T *y, const T *bias, long long n, int columns) {
    FOR_EACH(i, n) put(y, i, activated(get(y, i) + (bias ? get(bias, i % columns) : A(0))));
}

// dz <- dy * activation'(z), where y is the activation's result.
extern "C" __global__ void epilogue_gradient(const T *dy, const T *y, T *dz, long long n) {
    FOR_EACH(i, n) put(dz, i, get(dy, i) * slope(get(y, i)));
}

// The sums of columns, the bias's gradient, in two steps with a fixed order: a block of 32 columns and 8 rows of threads goes
// down its part of the rows, so that a warp reads 32 neighbours of a row; then the parts are added one after the other.
extern "C" __global__ void __launch_bounds__(256) column_parts(const T *x, double *parts, long long rows, int columns) {
    __shared__ double tile[8][33];
    int column = blockIdx.x * 32 + threadIdx.x;
    long long begin = rows * blockIdx.y / gridDim.y, end = rows * (blockIdx.y + 1) / gridDim.y;
    double sum = 0;
    if (column < columns)
        for (long long row = begin + threadIdx.y; row < end; row += 8) sum += get(x, row * columns + column);
    tile[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || column >= columns) return;
    for (int i = 1; i < 8; ++i) sum += tile[i][threadIdx.x];
    parts[(long long)blockIdx.y * columns + column] = sum;
}

extern "C" __global__ void sum_of_column_parts(const double *parts, T *out, int count, int columns) {
    FOR_EACH(i, columns) {
        double sum = 0;
        for (int part = 0; part < count; ++part) sum += parts[(long long)part * columns + i];
        put(out, i, sum);
    }
}
