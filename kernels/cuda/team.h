// Reductions over a team: the threads that work on one row. TEAM, a constant of the compilation, is 32 or a multiple.
//
// A team of 32 is a warp: its threads exchange registers by shuffles, without shared memory and without waiting for other
// warps, and a block holds several of them. A larger team is a whole block; each of its warps reduces by shuffles, and the
// warps' results go through shared memory. The order of additions depends on TEAM alone, so results repeat to the bit.

#pragma once
#include "double_double.h"

#define EVERY 0xffffffffu
#define WARPS (TEAM / 32)

__device__ inline double from_lane(double v, int flip) { return __shfl_xor_sync(EVERY, v, flip); }
__device__ inline int from_lane(int v, int flip) { return __shfl_xor_sync(EVERY, v, flip); }
__device__ inline Sum from_lane(Sum v, int flip) { return {from_lane(v.total, flip), from_lane(v.lost, flip)}; }

// `merge(a, b)` of all threads' values, given to all of them. All threads of the team must call.
template <class V, class Merge> static __device__ inline V over_team(V v, Merge merge) {
    for (int flip = 16; flip; flip >>= 1) {
        V other = from_lane(v, flip);
        // Both lanes of a pair merge in the same order, so that all lanes have the same bits.
        v = threadIdx.x & flip ? merge(other, v) : merge(v, other);
    }
#if TEAM > 32
    __shared__ V of_warp[WARPS];
    __syncthreads();  // the last reduction's values have been read
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = v;
    __syncthreads();
    v = of_warp[0];
    for (int i = 1; i < WARPS; ++i) v = merge(v, of_warp[i]);
#endif
    return v;
}

__device__ inline double add_doubles(double a, double b) { return a + b; }
__device__ inline Sum add_sums(Sum a, Sum b) { a.add(b); return a; }

// The team's row and this thread's number in the team; a block has blockDim.x / TEAM teams.
__device__ inline long long team_row() { return (long long)blockIdx.x * (blockDim.x / TEAM) + threadIdx.x / TEAM; }
__device__ inline int team_rank() { return threadIdx.x % TEAM; }
