// Pooling: maxima, sums, and the gathering and scattering that their gradients need; one thread for each number of the result.
//
// What limits them: memory. A window's elements are neighbours of the next window's, which the next thread takes, so a warp
// reads whole lines, and lines that windows share come from the first-level cache. The gradients do not scatter: a thread
// gathers, for its element of the input, from all windows that cover it, in the order of their positions within the window.
// So no two threads write one number, no atomic additions are needed, and every run gives the same bits.

#include "common.h"

#ifndef INDEX
#define INDEX unsigned char
#endif

// (images * channels, H, W) and (images * channels, OH, OW); `top` and `left` of the padding.
struct Windows { int h, w, oh, ow, kh, kw, sh, sw, top, left, dh, dw; };

#define WINDOWS                                                                                                       \
    long long planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int top, int left, int dh, int dw
#define GEOMETRY Windows g = {h, w, oh, ow, kh, kw, sh, sw, top, left, dh, dw};

// Where an index of a plane's window, or of its element, points to.
__device__ inline void place(long long i, int rows, int columns, long long &plane, int &row, int &column) {
    column = (int)(i % columns);
    row = (int)(i / columns % rows);
    plane = i / columns / rows;
}

// Call use(position in the window, element of x) for each position; padding gives `outside`.
template <class Use> __device__ inline void for_window(const T *x, const Windows &g, long long i, T outside, Use use) {
    long long plane;
    int p, q;
    place(i, g.oh, g.ow, plane, p, q);
    for (int a = 0; a < g.kh; ++a)
        for (int b = 0; b < g.kw; ++b) {
            int y = p * g.sh + a * g.dh - g.top, z = q * g.sw + b * g.dw - g.left;
            bool inside = y >= 0 && y < g.h && z >= 0 && z < g.w;
            use(a * g.kw + b, inside ? x[(plane * g.h + y) * g.w + z] : outside);
        }
}

// Call use(position in the window, number of the window) for each window that covers an element.
template <class Use> __device__ inline void for_windows_over(const Windows &g, long long i, Use use) {
    long long plane;
    int y, z;
    place(i, g.h, g.w, plane, y, z);
    for (int a = 0; a < g.kh; ++a) {
        int p = y + g.top - a * g.dh;
        if (p < 0 || p % g.sh || p / g.sh >= g.oh) continue;
        for (int b = 0; b < g.kw; ++b) {
            int q = z + g.left - b * g.dw;
            if (q < 0 || q % g.sw || q / g.sw >= g.ow) continue;
            use(a * g.kw + b, (plane * g.oh + p / g.sh) * g.ow + q / g.sw);
        }
    }
}

// The first maximum of a window, or the first nan, and its position.
__device__ inline T maximum(const T *x, const Windows &g, long long i, T least, int &at) {
    T best = least;
    A most = 0;
    at = 0;
    for_window(x, g, i, least, [&](int position, T element) {
        A v = to_arithmetic(element);
        if (position == 0 || (most == most && !(v <= most))) best = element, most = v, at = position;
    });
    return best;
}

extern "C" __global__ void max_pool2d(const T *x, T *y, INDEX *index, T least, WINDOWS) {
    GEOMETRY
    int at;
    FOR_EACH(i, planes * oh * ow) y[i] = maximum(x, g, i, least, at), index[i] = (INDEX)at;
}

extern "C" __global__ void pool_gather(const T *x, const INDEX *index, T *y, WINDOWS) {
    GEOMETRY
    FOR_EACH(i, planes * oh * ow) {
        T picked = {};
        long long chosen = (long long)index[i];
        for_window(x, g, i, T{}, [&](int position, T element) {
            if (position == chosen) picked = element;
        });
        y[i] = picked;
    }
}

extern "C" __global__ void pool_scatter(const T *g_out, const INDEX *index, T *dx, WINDOWS) {
    GEOMETRY
    FOR_EACH(i, planes * h * w) {
        A sum = 0;
        for_windows_over(g, i, [&](int position, long long window) {
            if ((long long)index[window] == position) sum += get(g_out, window);
        });
        put(dx, i, sum);
    }
}

extern "C" __global__ void sum_pool2d(const T *x, T *y, WINDOWS) {
    GEOMETRY
    FOR_EACH(i, planes * oh * ow) {
        A sum = 0;
        for_window(x, g, i, T{}, [&](int, T element) { sum += to_arithmetic(element); });
        put(y, i, sum);
    }
}

extern "C" __global__ void sum_unpool2d(const T *g_out, T *dx, WINDOWS) {
    GEOMETRY
    FOR_EACH(i, planes * h * w) {
        A sum = 0;
        for_windows_over(g, i, [&](int, long long window) { sum += get(g_out, window); });
        put(dx, i, sum);
    }
}
