// Convolution, and its gradients by input and by weight, as products of matrices that are never made ("implicit GEMM").
//
// What limits it: arithmetic, if the tiles are large enough. A block computes a tile of BM by BN numbers of the result. For
// each BK terms of their sums it brings BK (BM + BN) numbers to shared memory and does BM BN BK multiply-adds: with tiles of
// 128 by 128 that is 64 for each number read, of which the second-level cache answers most. (By its data sheet an H100 takes
// the same time for a number from memory as for 40 multiply-adds: 3.35 TB/s, 67 TFLOP/s in float32.) Within the tile a thread
// has TM by TN results in registers: of 8 + 8 numbers read from shared memory, by 4 instructions of 16 bytes, it makes 64
// multiply-adds.
//
// The sums' terms come in tiles of BK, 16 (8 in float64). While one is multiplied, the next is on its way to registers, and
// goes into the other of two buffers in shared memory; so there is one barrier a tile, and nobody waits for memory unless the
// multiplying takes less time than a read. 256 threads with up to 128 registers fill a multiprocessor's registers twice; two
// buffers of a tile of 128 by 128 are 33 KB of its shared memory. Of the 1221 instructions that NVRTC 13.5 makes of this
// loop for compute capability 9.0, 1024 are multiply-adds, so that 0.84 of the units' rate is the most that it can reach.
//
// Both products that gather from an image, the convolution and its gradient by the input, are one kernel: an output is a sum
// over taps (positions in the window) and channels of a weight times the input dy rows and dx columns away. The taps' offsets
// stand in a table. With stride s the gradient by the input falls into s * s phases: rows and columns that leave the same
// rest see the same taps, and each phase is a dense product with its own taps, where zeros put between the rows of g would
// make s * s times the work.
//
// The gradient by the weight has few results and sums over all positions of all images, so the positions are split among
// blocks; each writes its part, and a second kernel adds the parts in their order. No atomic additions: the same bits at every
// run. (The loop has to find a place for every number that it brings: 1024 of 1426 instructions are multiply-adds.)

#include "common.h"
#define TEAM 256
#include "team.h"

#define BK (sizeof(T) == 8 ? 8 : 16)
#define THREADS (BM / TM * (BN / TN))
// Blocks that share a multiprocessor's registers: as many as fit without any number going to memory.
#define RESIDENT ((sizeof(T) == 8 || (TN == 8 && THREADS == 128) ? 384 : 512) / THREADS)
#define PAD 4  // spreads a column of a tile over the banks of shared memory, and keeps its rows aligned to 16 bytes
#define K_STEP (THREADS / BN)
#define LOADS_A (BK * BM / THREADS)
#define LOADS_B (BK * BN / THREADS)
#define QUADS (LOADS_A / 4)
#define QUAD_STEP (4 * THREADS / BM)
#define NOWHERE (-(1 << 28))

struct __align__(16) Four { A v[4]; };
struct __align__(sizeof(T) < 4 ? 4 * sizeof(T) : 16) FourStored { T v[4]; };
struct __align__(16) Tap { int dy, dx, slot, unused; };
// Of the outputs, rows y0, y0 + y_step, ... (and columns alike) that have the same taps.
struct __align__(16) Phase { int first, taps, rows, columns, y0, x0, unused[2]; };

// A thread's place in the block's tile: warps of 4 by 8 threads, each with chunks of 4 by 4 numbers, 16 rows and 32 columns
// apart, so that the threads of a warp read neighbouring chunks of shared memory.
__device__ inline int tile_row() { return threadIdx.x / 32 / (BN / (8 * TN)) * (4 * TM) + threadIdx.x % 32 / 8 * 4; }
__device__ inline int tile_column() { return threadIdx.x / 32 % (BN / (8 * TN)) * (8 * TN) + threadIdx.x % 8 * 4; }

__device__ inline void multiply_tile(const A (*a)[BM + PAD], const A (*b)[BN + PAD], A (&sum)[TM][TN]) {
    int row = tile_row(), column = tile_column();
#pragma unroll
    for (int k = 0; k < BK; ++k) {
        Four x[TM / 4], y[TN / 4];
#pragma unroll
        for (int i = 0; i < TM / 4; ++i) x[i] = *(const Four *)&a[k][row + 16 * i];
#pragma unroll
        for (int j = 0; j < TN / 4; ++j) y[j] = *(const Four *)&b[k][column + 32 * j];
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) sum[i][j] = fma(x[i / 4].v[i % 4], y[j / 4].v[j % 4], sum[i][j]);
    }
}

// The filters as the products want them: (groups, slots, depth, width), neighbouring outputs side by side. Forwards the terms
// are a group's input channels and the outputs its filters; backwards it is the other way round. What goes beyond the terms
// (up to `depth`) and outputs (up to `width`) is 0, so that whole tiles can be read, 16 bytes at a time, without asking.
extern "C" __global__ void arrange(const T *w, A *to, long long n, int filters, int channels, int slots, int depth, int width,
                                   bool backwards) {
    FOR_EACH(i, n) {
        int output = (int)(i % width), term = (int)(i / width % depth), slot = (int)(i / width / depth % slots);
        long long group = i / width / depth / slots;
        int filter = backwards ? term : output, channel = backwards ? output : term;
        bool there = filter < filters && channel < channels;
        to[i] = there ? get(w, ((group * filters + filter) * channels + channel) * slots + slot) : A(0);
    }
}

#define GATHERING                                                                                                            \
    const T *in, const A *weights, const T *bias, T *out, const Phase *phases, const Tap *taps, int images, int groups,      \
        int terms, int outputs, int depth, int width, int slots, int h, int w, int oh, int ow, int y_step, int x_step,       \
        int y_stride, int x_stride

// out (images, groups * outputs, oh, ow) of in (images, groups * terms, h, w). A block has BN positions (of all images, one
// after the other) and BM outputs.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT) convolve(GATHERING) {
    __shared__ __align__(16) A a[2][BK][BM + PAD];
    __shared__ __align__(16) A b[2][BK][BN + PAD];
    int group = blockIdx.y % groups, t = threadIdx.x;
    Phase phase = phases[blockIdx.y / groups];
    int plane = phase.rows * phase.columns, output_tiles = (outputs + BM - 1) / BM;
    long long positions = (long long)images * plane, start = (long long)(blockIdx.x / output_tiles) * BN;
    if (start >= positions) return;
    int first_output = blockIdx.x % output_tiles * BM;
    taps += phase.first;

    // The position whose inputs this thread brings: found once, for all taps and channels.
    int column = t % BN, first_k = t / BN, area = h * w;
    long long position = start + column;
    int y0 = NOWHERE, x0 = NOWHERE;
    const T *image = in;
    if (position < positions) {
        int rest = (int)(position % plane);
        y0 = rest / phase.columns * y_stride, x0 = rest % phase.columns * x_stride;
        image += (position / plane * groups + group) * terms * area;
    }
    // Of the weights a thread brings four neighbours.
    int quad_k = t / (BM / 4), quad = t % (BM / 4) * 4;
    weights += (long long)group * slots * depth * width + first_output + quad;

    A next_b[LOADS_B];
    Four next_a[QUADS];
#if FEW
    // Few channels: a tile's terms go on over the taps.
    int all = phase.taps * terms, tiles = (all + BK - 1) / BK, begin = 0;
    auto load = [&]() {
#pragma unroll
        for (int r = 0; r < LOADS_B; ++r) {
            int k = begin + first_k + r * K_STEP;
            Tap tap = {NOWHERE, NOWHERE, 0, 0};
            if (k < all) tap = taps[k / terms];
            int y = y0 + tap.dy, x = x0 + tap.dx;
            bool inside = (unsigned)y < (unsigned)h && (unsigned)x < (unsigned)w;
            next_b[r] = inside ? get(image, k % terms * area + y * w + x) : A(0);
        }
#pragma unroll
        for (int r = 0; r < QUADS; ++r) {
            int k = begin + quad_k + r * QUAD_STEP;
            next_a[r] = Four{};
            if (k < all) next_a[r] = *(const Four *)&weights[(taps[k / terms].slot * depth + k % terms) * width];
        }
        begin += BK;
    };
#else
    // Many channels: a tile has one tap, whose place in the image is found once.
    int tiles = phase.taps * (depth / BK), tap_number = 0, begin = 0;
    auto load = [&]() {
        Tap tap = taps[tap_number];
        int y = y0 + tap.dy, x = x0 + tap.dx, term = begin + first_k;
        bool inside = (unsigned)y < (unsigned)h && (unsigned)x < (unsigned)w;
        const T *from = image + (term * area + (inside ? y * w + x : 0));
#pragma unroll
        for (int r = 0; r < LOADS_B; ++r) {
            next_b[r] = inside && term + r * K_STEP < terms ? get(from, 0) : A(0);
            from += K_STEP * area;
        }
        const A *weight = weights + (tap.slot * depth + begin + quad_k) * width;
#pragma unroll
        for (int r = 0; r < QUADS; ++r) next_a[r] = *(const Four *)&weight[r * QUAD_STEP * width];
        begin += BK;
        if (begin >= terms) begin = 0, ++tap_number;
    };
#endif
    auto store = [&](int buffer) {
#pragma unroll
        for (int r = 0; r < LOADS_B; ++r) b[buffer][first_k + r * K_STEP][column] = next_b[r];
#pragma unroll
        for (int r = 0; r < QUADS; ++r) *(Four *)&a[buffer][quad_k + r * QUAD_STEP][quad] = next_a[r];
    };

    A sum[TM][TN] = {};
    if (tiles) {
        load();
        store(0);
        __syncthreads();
    }
    for (int tile = 0; tile < tiles; ++tile) {
        bool more = tile + 1 < tiles;
        if (more) load();
        multiply_tile(a[tile % 2], b[tile % 2], sum);
        if (more) store((tile + 1) % 2);
        __syncthreads();
    }

    // Four positions side by side are one store of 16 bytes where no row and no image ends among them.
    bool whole = y_step == 1 && x_step == 1 && plane % 4 == 0;
    int row = tile_row();
#pragma unroll
    for (int j = 0; j < TN / 4; ++j) {
        long long at = start + tile_column() + 32 * j;
        for (int u = 0; u < (whole ? 1 : 4); ++u, ++at) {
            if (at >= positions) break;
            int rest = (int)(at % plane);
            int y = phase.y0 + rest / phase.columns * y_step, x = phase.x0 + rest % phase.columns * x_step;
            T *to = out + ((at / plane * groups + group) * outputs * oh + y) * ow + x;
#pragma unroll
            for (int i = 0; i < TM; ++i) {
                int output = first_output + row + 16 * (i / 4) + i % 4;
                if (output >= outputs) continue;
                A add = bias ? get(bias, group * outputs + output) : A(0);
                T *place = to + (long long)output * oh * ow;
                if (whole) {
                    FourStored four;
#pragma unroll
                    for (int k = 0; k < 4; ++k) four.v[k] = To<T>::from(sum[i][4 * j + k] + add);
                    *(FourStored *)place = four;
                } else {
#pragma unroll
                    for (int k = 0; k < 4; ++k)
                        if (k == u) put(place, 0, sum[i][4 * j + k] + add);
                }
            }
        }
    }
}

// The same, one output a thread: where a group has so few outputs (one, in a depthwise convolution) that a tile would be
// almost empty. Each input is used for a few outputs only, so that memory is the limit whatever one does.
extern "C" __global__ void convolve_each(GATHERING) {
    Phase phase = phases[blockIdx.y];
    int plane = phase.rows * phase.columns, area = h * w;
    FOR_EACH(i, (long long)images * groups * outputs * plane) {
        int rest = (int)(i % plane), output = (int)(i / plane % outputs), group = (int)(i / plane / outputs % groups);
        int u = rest / phase.columns, v = rest % phase.columns;
        long long image = i / plane / outputs / groups;
        A sum = 0;
        for (int n = 0; n < phase.taps; ++n) {
            Tap tap = taps[phase.first + n];
            int y = u * y_stride + tap.dy, x = v * x_stride + tap.dx;
            if ((unsigned)y >= (unsigned)h || (unsigned)x >= (unsigned)w) continue;
            const T *from = in + (image * groups + group) * terms * area + y * w + x;
            const A *weight = weights + ((long long)group * slots + tap.slot) * depth * width + output;
            for (int term = 0; term < terms; ++term)
                sum = fma(weight[(long long)term * width], get(from, (long long)term * area), sum);
        }
        long long channel = (image * groups + group) * outputs + output;
        if (bias) sum += get(bias, group * outputs + output);
        put(out, (channel * oh + phase.y0 + u * y_step) * ow + phase.x0 + v * x_step, sum);
    }
}

#define WEIGHING                                                                                                        \
    int images, int groups, int channels, int filters, int slots, int h, int w, int oh, int ow, int y_stride, int x_stride

// Parts of the gradient by the weight: parts (splits, groups, filters, channels * slots) of g (images, groups * filters, oh,
// ow) and x (images, groups * channels, h, w). Rows of the tile are filters, columns are channels and taps, and the sum goes
// over `share` positions. BK neighbouring threads bring neighbouring positions: in whole sectors of 32 bytes, as memory is
// read.
extern "C" __global__ void __launch_bounds__(THREADS, RESIDENT)
    weigh(const T *g, const T *x, A *parts, const Tap *taps, long long share, WEIGHING) {
    __shared__ __align__(16) A a[2][BK][BM + PAD];
    __shared__ __align__(16) A b[2][BK][BN + PAD];
    __shared__ Tap columns[BN];  // `slot` is here the offset from the position's place in the image
    int group = blockIdx.y, split = blockIdx.z, t = threadIdx.x;
    int all = channels * slots, filter_tiles = (filters + BM - 1) / BM, area = h * w;
    int first_filter = blockIdx.x % filter_tiles * BM, first_column = blockIdx.x / filter_tiles * BN;
    for (int i = t; i < BN; i += THREADS) {
        int column = first_column + i;
        Tap tap = {NOWHERE, NOWHERE, 0, 0};
        if (column < all) {
            tap = taps[column % slots];
            tap.slot = column / slots * area + tap.dy * w + tap.dx;
        }
        columns[i] = tap;
    }
    __syncthreads();

    // The position that this thread brings; it goes on by BK with each tile.
    long long positions = (long long)images * oh * ow, begin = share * split, end = begin + share;
    if (end > positions) end = positions;
    int k = t % BK, own = t / BK;
    long long position = begin + k;
    int q = (int)(position % ow), p = (int)(position / ow % oh);
    long long image = position / ow / oh;

    A next_a[LOADS_A], next_b[LOADS_B];
    auto load = [&]() {
        bool there = position < end;
        const T *from_g = g + ((image * groups + group) * filters + first_filter) * oh * ow + p * ow + q;
        int y0 = p * y_stride, x0 = q * x_stride;
        const T *from_x = x + (image * groups + group) * channels * area + y0 * w + x0;
#pragma unroll
        for (int r = 0; r < LOADS_A; ++r) {
            int row = own + r * (THREADS / BK);
            next_a[r] = there && first_filter + row < filters ? get(from_g, (long long)row * oh * ow) : A(0);
        }
#pragma unroll
        for (int r = 0; r < LOADS_B; ++r) {
            Tap tap = columns[own + r * (THREADS / BK)];
            bool inside = there && (unsigned)(y0 + tap.dy) < (unsigned)h && (unsigned)(x0 + tap.dx) < (unsigned)w;
            next_b[r] = inside ? get(from_x, tap.slot) : A(0);
        }
        position += BK;
        q += BK;
        while (q >= ow) {
            q -= ow;
            if (++p == oh) p = 0, ++image;
        }
    };
    auto store = [&](int buffer) {
#pragma unroll
        for (int r = 0; r < LOADS_A; ++r) a[buffer][k][own + r * (THREADS / BK)] = next_a[r];
#pragma unroll
        for (int r = 0; r < LOADS_B; ++r) b[buffer][k][own + r * (THREADS / BK)] = next_b[r];
    };

    A sum[TM][TN] = {};
    long long tiles = (end - begin + BK - 1) / BK;
    load();
    store(0);
    __syncthreads();
    for (long long tile = 0; tile < tiles; ++tile) {
        bool more = tile + 1 < tiles;
        if (more) load();
        multiply_tile(a[tile % 2], b[tile % 2], sum);
        if (more) store((tile + 1) % 2);
        __syncthreads();
    }

    parts += ((long long)split * groups + group) * filters * all;
#pragma unroll
    for (int i = 0; i < TM; ++i) {
        int filter = first_filter + tile_row() + 16 * (i / 4) + i % 4;
        if (filter >= filters) continue;
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            int column = first_column + tile_column() + 32 * (j / 4) + j % 4;
            if (column < all) parts[(long long)filter * all + column] = sum[i][j];
        }
    }
}

extern "C" __global__ void sum_of_splits(const A *parts, T *dw, long long n, int splits) {
    FOR_EACH(i, n) {
        A sum = 0;
        for (int split = 0; split < splits; ++split) sum += parts[split * n + i];
        put(dw, i, sum);
    }
}

// One weight a block, for the few weights of a depthwise convolution: its threads share the positions.
extern "C" __global__ void __launch_bounds__(TEAM) weigh_each(const T *g, const T *x, T *dw, const Tap *taps, WEIGHING) {
    Tap tap = taps[blockIdx.x % slots];
    int channel = blockIdx.x / slots % channels, filter = blockIdx.x / slots / channels;  // of all groups
    int group = filter / filters;
    double sum = 0;
    for (long long i = threadIdx.x; i < (long long)images * oh * ow; i += TEAM) {
        int q = (int)(i % ow), p = (int)(i / ow % oh), y = p * y_stride + tap.dy, z = q * x_stride + tap.dx;
        long long image = i / ow / oh;
        if ((unsigned)y >= (unsigned)h || (unsigned)z >= (unsigned)w) continue;
        sum += (double)get(g, ((image * groups * filters + filter) * oh + p) * ow + q) *
               get(x, (((image * groups + group) * channels + channel) * h + y) * w + z);
    }
    sum = over_team(sum, add_doubles);
    if (threadIdx.x == 0) put(dw, blockIdx.x, sum);
}
