// What the sources share. The type of the arrays' elements is a constant of the compilation, ELEMENT: not T, which the
// headers that NVRTC has built in use as a name.

#pragma once

// float16 is only stored: its bits, turned into float by two instructions, so that no header of CUDA is needed.
struct __half { unsigned short bits; };

typedef ELEMENT T;

__device__ inline float to_arithmetic(__half h) {
#ifdef CUDA_EMULATOR
    return (float)emulator::value<_Float16>(h.bits);
#else
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.bits));
    return f;
#endif
}

__device__ inline __half rounded_to_half(double v) {
    __half h;
#ifdef CUDA_EMULATOR
    h.bits = (unsigned short)emulator::bits((_Float16)v);
#else
    asm("cvt.rn.f16.f64 %0, %1;" : "=h"(h.bits) : "d"(v));
#endif
    return h;
}

#define INFINITE __longlong_as_double(0x7ff0000000000000)

template <class V> __device__ inline V to_arithmetic(V v) { return v; }

// The type to compute in: T itself, and float for float16.
template <class V> struct ArithmeticOf { typedef V type; };
template <> struct ArithmeticOf<__half> { typedef float type; };
typedef ArithmeticOf<T>::type A;

template <class V> struct To {
    template <class W> static __device__ inline V from(W v) { return (V)v; }
};
template <> struct To<__half> {
    template <class W> static __device__ inline __half from(W v) { return rounded_to_half((double)v); }
};

// An element as a number to compute with, and a number rounded to an element.
__device__ inline A get(const T *x, long long i) { return to_arithmetic(x[i]); }
template <class V> __device__ inline void put(T *y, long long i, V v) { y[i] = To<T>::from(v); }

// This thread's elements of n, where a grid of any size goes through all of them.
#define FOR_EACH(i, n)                                                                     \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < (n);           \
         i += (long long)gridDim.x * blockDim.x)
