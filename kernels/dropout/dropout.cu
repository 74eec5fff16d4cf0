// Random numbers that a counter gives: Philox4x32-10 (Salmon et al. 2011), and the mask of dropout made of them.
//
// What limits it: memory, 4 bytes written an element; ten rounds of two multiplications for four numbers hide behind that.
// Number i of a stream depends on the seed and i alone, not on which thread draws it or how many there are. So the same seed
// gives the same mask on every GPU, and no state is kept: whoever draws n numbers adds n to the offset.

#include "common.h"

__device__ inline void four_numbers(unsigned long long seed, unsigned long long counter, unsigned long long high, unsigned *out) {
    unsigned c0 = (unsigned)counter, c1 = (unsigned)(counter >> 32), c2 = (unsigned)high, c3 = (unsigned)(high >> 32);
    unsigned k0 = (unsigned)seed, k1 = (unsigned)(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        unsigned high0 = __umulhi(0xD2511F53u, c0), low0 = 0xD2511F53u * c0;
        unsigned high1 = __umulhi(0xCD9E8D57u, c2), low1 = 0xCD9E8D57u * c2;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// Numbers 4 i ... 4 i + 3 of the stream, the words of the counters from `offset` on.
extern "C" __global__ void philox(unsigned *out, long long n, unsigned long long seed, unsigned long long offset,
                                  unsigned long long high) {
    FOR_EACH(i, (n + 3) / 4) {
        unsigned words[4];
        four_numbers(seed, offset + i, high, words);
        for (int k = 0; k < 4 && 4 * i + k < n; ++k) out[4 * i + k] = words[k];
    }
}

// `scale` where a number of 0 to 1 is at least p, else 0: the word's first 24 bits, as float32 has them.
extern "C" __global__ void mask(T *out, long long n, float p, double scale, unsigned long long seed,
                                unsigned long long offset) {
    FOR_EACH(i, (n + 3) / 4) {
        unsigned words[4];
        four_numbers(seed, offset + i, 0, words);
        for (int k = 0; k < 4 && 4 * i + k < n; ++k)
            put(out, 4 * i + k, (words[k] >> 8) * (1.0f / (1 << 24)) >= p ? scale : 0.0);
    }
}
