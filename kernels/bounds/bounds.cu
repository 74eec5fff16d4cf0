// Whether values are in range, found out without anybody waiting for it.
//
// All checks share one word, ~0 while none has failed. A value out of range lowers it to the check's number, in the upper 12
// bits, and the value, in the others: what stays is the check that failed first and its least value, in whatever order the
// threads come.
//
// What limits it: reading the values once; of a batch's labels, starting the kernel.

#include "common.h"

// The upper 52 bits of a number that is as much greater as the double is: digits enough for a whole number below 2**40.
__device__ inline unsigned long long ordered(double v) {
    unsigned long long bits = (unsigned long long)__double_as_longlong(v);
    return (bits >> 63 ? ~bits : bits | 1ull << 63) >> 12;
}

// nan is in no range.
extern "C" __global__ void outside(const T *x, long long n, double low, double high, unsigned long long number,
                                   unsigned long long *word) {
    FOR_EACH(i, n) {
        double v = (double)get(x, i);
        if (!(v >= low && v <= high)) atomicMin(word, number << 52 | ordered(v));
    }
}
