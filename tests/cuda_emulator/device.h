// What CUDA C++ has beyond C++, for g++: a kernel's source is compiled as it stands, with this header before it.
//
// The threads of a block are fibres, run one after the other; one that comes to a barrier or a shuffle waits there until
// all it waits for have come (scheduler.cpp). So a kernel's barriers decide what it computes, as they do on a GPU.

#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define CUDA_EMULATOR 1
#define __CUDA_ARCH__ 800
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static
// Shared arrays stand in a section of their own, so that every block can find them filled with nan.
#define __shared__ static __attribute__((section("emulated_shared"), aligned(16)))

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

namespace emulator {
struct State {
    uint3 thread, block;
    dim3 threads, blocks;
    char *shared;  // what the launch asked for
};
typedef void (*Body)(void **);
extern State state;
void barrier(int line);
// Give a value to the other lanes of the warp and wait until all that `mask` names have given theirs.
const uint64_t *exchange(unsigned mask, uint64_t value, int line);
bool has_given(int lane);
[[noreturn]] void fail(const char *format, ...);

template <class V> inline uint64_t bits(V value) {
    static_assert(sizeof(V) <= 8, "a shuffle takes up to 8 bytes");
    uint64_t b = 0;
    memcpy(&b, &value, sizeof value);
    return b;
}
template <class V> inline V value(uint64_t bits) {
    V v;
    memcpy(&v, &bits, sizeof v);
    return v;
}
inline unsigned lane() {
    return (state.thread.x + state.threads.x * (state.thread.y + state.threads.y * state.thread.z)) % 32;
}
template <class V> V shuffle(unsigned mask, V v, int source, int width, int line) {
    const uint64_t *all = exchange(mask, bits(v), line);
    int first = lane() / width * width;
    int from = source < first || source >= first + width ? (int)lane() : source;
    if (!has_given(from)) fail("line %d: lane %d reads the value of lane %d, which gave none", line, lane(), from);
    return value<V>(all[from]);
}

// A call with arguments by address, as cuLaunchKernel takes them, and what the arguments are.
template <class T> struct Pointer { static const int is = 0; };
template <class T> struct Pointer<T *> { static const int is = 1; };
template <size_t... I> struct Places {};
template <size_t N, size_t... I> struct Count : Count<N - 1, N - 1, I...> {};
template <size_t... I> struct Count<0, I...> { typedef Places<I...> places; };
template <class... A, size_t... I> inline void call(void (*kernel)(A...), void **args, Places<I...>) {
    kernel(*(A *)args[I]...);
}
template <class... A> inline void call(void (*kernel)(A...), void **args) {
    call(kernel, args, typename Count<sizeof...(A)>::places());
}
template <class... A> int describe(void (*)(A...), int *out) {
    int sizes[] = {(Pointer<A>::is ? -1 : (int)sizeof(A))..., 0};
    memcpy(out, sizes, sizeof sizes);
    return sizeof...(A);
}
}  // namespace emulator

#define threadIdx emulator::state.thread
#define blockIdx emulator::state.block
#define blockDim emulator::state.threads
#define gridDim emulator::state.blocks
static const int warpSize = 32;

#define __syncthreads() emulator::barrier(__LINE__)
#define __syncwarp(...) ((void)emulator::exchange(emulator::either(__VA_ARGS__), 0, __LINE__))
#define __shfl_sync(mask, v, ...) emulator::direct(mask, v, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(mask, v, ...) emulator::exclusive(mask, v, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(mask, v, ...) emulator::down(mask, v, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(mask, v, ...) emulator::up(mask, v, __LINE__, __VA_ARGS__)
#define __ballot_sync(mask, p) emulator::ballot(mask, p, __LINE__)
#define __any_sync(mask, p) (emulator::ballot(mask, p, __LINE__) != 0)
#define __all_sync(mask, p) (emulator::ballot(mask, p, __LINE__) == (mask))

namespace emulator {
inline unsigned either(unsigned mask = 0xffffffffu) { return mask; }
template <class V> V direct(unsigned mask, V v, int line, int source, int width = 32) {
    return shuffle(mask, v, (int)(lane() / width * width) + source % width, width, line);
}
template <class V> V exclusive(unsigned mask, V v, int line, int flip, int width = 32) {
    return shuffle(mask, v, (int)lane() ^ flip, width, line);
}
template <class V> V down(unsigned mask, V v, int line, int by, int width = 32) {
    return shuffle(mask, v, (int)lane() + by, width, line);
}
template <class V> V up(unsigned mask, V v, int line, int by, int width = 32) {
    return shuffle(mask, v, (int)lane() - by, width, line);
}
inline unsigned ballot(unsigned mask, int predicate, int line) {
    const uint64_t *all = exchange(mask, predicate != 0, line);
    unsigned out = 0;
    for (int i = 0; i < 32; ++i)
        if (mask >> i & 1 && all[i]) out |= 1u << i;
    return out;
}
}  // namespace emulator

// One fibre runs at a time, so a plain read and write is atomic.
template <class V> V atomicAdd(V *at, V v) { V old = *at; *at = old + v; return old; }
template <class V> V atomicMax(V *at, V v) { V old = *at; if (v > old) *at = v; return old; }
template <class V> V atomicMin(V *at, V v) { V old = *at; if (v < old) *at = v; return old; }
template <class V> V atomicExch(V *at, V v) { V old = *at; *at = v; return old; }
template <class V> V atomicCAS(V *at, V compare, V v) { V old = *at; if (old == compare) *at = v; return old; }
inline void __threadfence() {}

#define EMULATED_VECTOR(T, name)                                                                                   \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                            \
    struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; };                            \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                                    \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATED_VECTOR(float, float)
EMULATED_VECTOR(double, double)
EMULATED_VECTOR(int, int)
EMULATED_VECTOR(unsigned, uint)

template <class V> inline V __ldg(const V *at) { return *at; }
inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v ? __builtin_clz(v) : 32; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline float __uint_as_float(unsigned v) { return emulator::value<float>(v); }
inline unsigned __float_as_uint(float v) { return (unsigned)emulator::bits(v); }
inline double __longlong_as_double(long long v) { return emulator::value<double>(v); }
inline long long __double_as_longlong(double v) { return (long long)emulator::bits(v); }
#ifdef __x86_64__
#define EMULATED_REGISTER "x"
#else
#define EMULATED_REGISTER "w"
#endif
// Sums and products that the compiler must not merge into one rounding.
template <class V> inline V kept_apart(V v) { asm("" : "+" EMULATED_REGISTER(v)); return v; }
inline double __dadd_rn(double a, double b) { return kept_apart(kept_apart(a) + kept_apart(b)); }
inline double __dsub_rn(double a, double b) { return kept_apart(kept_apart(a) - kept_apart(b)); }
inline double __dmul_rn(double a, double b) { return kept_apart(a * b); }
inline float __fadd_rn(float a, float b) { return kept_apart(kept_apart(a) + kept_apart(b)); }
inline float __fsub_rn(float a, float b) { return kept_apart(kept_apart(a) - kept_apart(b)); }
inline float __fmul_rn(float a, float b) { return kept_apart(a * b); }
inline float rsqrtf(float v) { return 1 / sqrtf(v); }
inline double rsqrt(double v) { return 1 / sqrt(v); }
template <class V> inline V min(V a, V b) { return b < a ? b : a; }
template <class V> inline V max(V a, V b) { return a < b ? b : a; }
using std::copysign;
using std::exp;
using std::fabs;
using std::fma;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::log;
using std::sqrt;
using std::tanh;
