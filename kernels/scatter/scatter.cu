// Adding rows into places of an array, where several rows may have one place: an embedding's gradient, and every other
// sum by index.
//
// Atomic additions would add in the order in which the threads happen to come, and give other bits at each run. Instead the
// rows are sorted by their places, so that those of one place stand together: a segment. A thread goes down CHUNK sorted rows
// of one column; neighbouring threads have neighbouring columns, so that a warp reads whole lines of a row. A segment that
// lies within a chunk is done with; of one that reaches over its chunk's edges the chunk has only a part, which goes, with its
// place, to a list of two rows a chunk. The list is sorted, too, and the same kernel adds it, and so on: CHUNK / 2 times less
// each time, so that a place that all rows have costs no more than rows that all have places of their own.
//
// What limits it: the sorting, and memory.

#include "common.h"

// rows: (n, width), in the order of `order` where that is not null; `places` is sorted. `edges` (2 * chunks, width) and
// `edge_places` are the list; `out` has a row for each place.
template <class V>
__device__ inline void add_segments(const V *rows, const long long *order, const long long *places, long long n, int width,
                                    A *out, A *edges, long long *edge_places) {
    long long chunks = (n + CHUNK - 1) / CHUNK;
    FOR_EACH(i, chunks * width) {
        long long chunk = i / width, begin = chunk * CHUNK, end = begin + CHUNK < n ? begin + CHUNK : n;
        int column = (int)(i % width);
        long long place = places[begin];
        bool goes_on = begin > 0 && places[begin - 1] == place;
        A sum = 0, first = 0, last = 0;
        for (long long row = begin; row < end; ++row) {
            if (places[row] != place) {
                if (goes_on) first = sum;
                else out[place * width + column] += sum;
                place = places[row], sum = 0, goes_on = false;
            }
            sum += to_arithmetic(rows[(order ? order[row] : row) * width + column]);
        }
        if (goes_on) first = sum;
        else if (end < n && places[end] == place) last = sum;
        else out[place * width + column] += sum;
        edges[2 * chunk * width + column] = first;
        edges[(2 * chunk + 1) * width + column] = last;
        if (column == 0) edge_places[2 * chunk] = places[begin], edge_places[2 * chunk + 1] = places[end - 1];
    }
}

extern "C" __global__ void add_rows(const T *rows, const long long *order, const long long *places, long long n, int width,
                                    A *out, A *edges, long long *edge_places) {
    add_segments(rows, order, places, n, width, out, edges, edge_places);
}

extern "C" __global__ void add_edges(const A *rows, const long long *places, long long n, int width, A *out, A *edges,
                                     long long *edge_places) {
    add_segments(rows, (const long long *)nullptr, places, n, width, out, edges, edge_places);
}

// 1 where a label names the column, 0 elsewhere, and nan in the row of what is no column.
extern "C" __global__ void one_hot(const long long *labels, T *rows, long long n, int columns) {
    FOR_EACH(i, n) {
        long long label = labels[i / columns];
        if (label < 0 || label >= columns) put(rows, i, __longlong_as_double(0x7ff8000000000000));
        else put(rows, i, (double)(label == i % columns));
    }
}
