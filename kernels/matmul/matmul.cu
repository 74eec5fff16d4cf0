// What stands around a matrix product: operands rounded before it, the bias and the activation after it, the bias's gradient.
//
// What limits it: memory. The product is cuBLAS's, and it leaves its result in the second-level cache where that is large
// enough; a bias and an activation as operations of their own would each read and write it again. Here it is read once and
// written once. The activation is a constant of the compilation, so that no element asks which one it is.

#include "common.h"

// ACTIVATION: 0 none, 1 rectifier, 2 tanh.
__device__ inline A activated(A z) {
#if ACTIVATION == 1
    return z > 0 || z != z ? z : A(0);
#elif ACTIVATION == 2
    return (A)tanh((double)z);
#else
    return z;
#endif
}

// y (rows, columns) <- activation(y + bias); `bias` (columns) or null. The sum is rounded to an element, as if it were written
// and read again, so that the result is that of two operations to the last bit.
extern "C" __global__ void epilogue(T *y, const T *bias, long long n, int columns) {
    FOR_EACH(i, n) {
        T z = bias ? To<T>::from(get(y, i) + get(bias, i % columns)) : y[i];
        put(y, i, activated(to_arithmetic(z)));
    }
}

// float32 numbers as bfloat16, which is float32's first 16 bits: half of the last place that stays is added before the others are
// dropped, and one less where the number would stay even, so that ties go to even. A nan might lose all that makes it one.
extern "C" __global__ void to_bfloat16(const float *x, unsigned short *y, long long n) {
    FOR_EACH(i, n) {
        unsigned bits = __float_as_uint(x[i]);
        y[i] = x[i] != x[i] ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }
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
