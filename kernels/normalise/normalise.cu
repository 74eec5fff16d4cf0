// Standardising values over axes: moments, x̂ = (x - mean) / sqrt(variance + eps), and its gradients.
//
// What limits it: memory. Every element counts twice, in its set's moments and in its own result, so a set should be read from
// memory once. Layer normalisation's sets are rows, and a team (team.h) keeps to its row: it reads it for the mean, for the
// variance and for the result, of which the multiprocessor's cache answers the last two. Batch normalisation's few sets are
// spread over the whole array, and all of the GPU has to work on each: blocks find the moments of parts of a set, one kernel
// merges the parts in their order, and an elementwise kernel does the rest, reading everything a second time.
//
// A variance is the sum of squared distances from the mean, which is found first; moments of parts are merged by the formula
// of Chan, Golub and LeVeque (1979), so that a large mean costs no digits. All of it is float64, and rounded at the end.

#include "common.h"
#include "team.h"


// A set of an array (runs, sets, length) has the elements (n * sets + set) * length + l. The weight of element e, and its
// bias, is number (e / inner) % count.
__device__ inline double factor(const T *weight, long long e, int inner, int count) {
    return get(weight, e / inner % count);
}

struct Moments { double mean, squares; };  // the squares are of distances from the mean (or from 0)

// Rows, a team each.

__device__ inline Moments moments_of_row(const T *x, int n, bool centred) {
    double sum = 0, squares = 0, mean = 0;
    if (centred) {
        for (int i = team_rank(); i < n; i += TEAM) sum += get(x, i);
        mean = over_team(sum, add_doubles) / n;
    }
    for (int i = team_rank(); i < n; i += TEAM) {
        double d = get(x, i) - mean;
        squares += d * d;
    }
    return {mean, over_team(squares, add_doubles)};
}

// stats (2, rows) become means and variances.
extern "C" __global__ void standardize_rows(const T *x, T *y, const T *weight, const T *bias, double *stats, long long rows, int n,
                                            int inner, int count, double eps, bool centred) {
    long long row = team_row();
    if (row >= rows) return;
    Moments m = moments_of_row(x + row * n, n, centred);
    double inverse = 1 / sqrt(m.squares / n + eps);
    if (team_rank() == 0) stats[row] = m.mean, stats[rows + row] = m.squares / n;
    for (int i = team_rank(); i < n; i += TEAM) {
        long long e = row * n + i;
        double v = (get(x, e) - m.mean) * inverse;
        if (weight) v *= factor(weight, e, inner, count);
        if (bias) v += factor(bias, e, inner, count);
        put(y, e, v);
    }
}

extern "C" __global__ void standardize_input_rows(const T *d, const T *x, T *dx, const T *weight, const double *means,
                                                  const double *variances, long long rows, int n, int inner, int count,
                                                  double eps, bool centred) {
    long long row = team_row();
    if (row >= rows) return;
    double mean = means[row], inverse = 1 / sqrt(variances[row] + eps), sum = 0, products = 0;
    for (int i = team_rank(); i < n; i += TEAM) {
        long long e = row * n + i;
        double h = get(d, e) * (weight ? factor(weight, e, inner, count) : 1.0);
        sum += h;
        products += h * ((get(x, e) - mean) * inverse);
    }
    sum = centred ? over_team(sum, add_doubles) : 0;
    products = over_team(products, add_doubles);
    for (int i = team_rank(); i < n; i += TEAM) {
        long long e = row * n + i;
        double h = get(d, e) * (weight ? factor(weight, e, inner, count) : 1.0);
        put(dx, e, (h - sum / n - (get(x, e) - mean) * inverse * (products / n)) * inverse);
    }
}

// Sets that are spread over the array, in parts.

__device__ inline long long bound(long long total, int part, int parts) { return total * part / parts; }

// Part blockIdx.y of set blockIdx.x, by a block that is one team.
extern "C" __global__ void moments_of_parts(const T *x, Moments *parts, int runs, int sets, int length, bool centred) {
    long long total = (long long)runs * length, begin = bound(total, blockIdx.y, gridDim.y), set = blockIdx.x;
    long long end = bound(total, blockIdx.y + 1, gridDim.y);
    double sum = 0, squares = 0, mean = 0;
    if (centred) {
        for (long long i = begin + threadIdx.x; i < end; i += TEAM)
            sum += get(x, (i / length * sets + set) * length + i % length);
        mean = over_team(sum, add_doubles) / (end - begin);
    }
    for (long long i = begin + threadIdx.x; i < end; i += TEAM) {
        double d = get(x, (i / length * sets + set) * length + i % length) - mean;
        squares += d * d;
    }
    squares = over_team(squares, add_doubles);
    if (threadIdx.x == 0) parts[set * gridDim.y + blockIdx.y] = {mean, squares};
}

// The sum of a column of 8 threads, given to all of them; blocks of 32 by 8 threads.
static __device__ inline double over_column(double v) {
    __shared__ double tile[8][33];
    __syncthreads();
    tile[threadIdx.y][threadIdx.x] = v;
    __syncthreads();
    double sum = tile[0][threadIdx.x];
    for (int i = 1; i < 8; ++i) sum += tile[i][threadIdx.x];
    return sum;
}

// The same where every set is a column of a matrix (length 1): 32 neighbouring columns a block, so that a warp reads
// neighbours.
extern "C" __global__ void moments_of_columns(const T *x, Moments *parts, int runs, int sets, int, bool centred) {
    long long begin = bound(runs, blockIdx.y, gridDim.y), end = bound(runs, blockIdx.y + 1, gridDim.y);
    int set = blockIdx.x * 32 + threadIdx.x;
    bool there = set < sets;
    double sum = 0, squares = 0, mean = 0;
    if (centred) {
        for (long long n = begin + threadIdx.y; n < end && there; n += 8) sum += get(x, n * sets + set);
        mean = over_column(sum) / (end - begin);
    }
    for (long long n = begin + threadIdx.y; n < end && there; n += 8) {
        double d = get(x, n * sets + set) - mean;
        squares += d * d;
    }
    squares = over_column(squares);
    if (there && threadIdx.y == 0) parts[(long long)set * gridDim.y + blockIdx.y] = {mean, squares};
}

// Merge the parts of each set: stats (3, sets) are mean, variance and 1 / sqrt(variance + eps).
extern "C" __global__ void merge_moments(const Moments *parts, double *stats, int sets, int count, long long total, double eps) {
    FOR_EACH(set, sets) {
        Moments all = parts[set * count];
        double n = (double)bound(total, 1, count);
        for (int part = 1; part < count; ++part) {
            Moments own = parts[set * count + part];
            double more = (double)(bound(total, part + 1, count) - bound(total, part, count)), d = own.mean - all.mean;
            all.squares += own.squares + d * d * (n * more / (n + more));
            all.mean += d * (more / (n + more));
            n += more;
        }
        stats[set] = all.mean;
        stats[sets + set] = all.squares / n;
        stats[2 * sets + set] = 1 / sqrt(all.squares / n + eps);
    }
}

// The same stats of means and variances that were kept.
extern "C" __global__ void kept_moments(const double *means, const double *variances, double *stats, int sets, double eps) {
    FOR_EACH(set, sets) {
        stats[set] = means[set];
        stats[sets + set] = variances[set];
        stats[2 * sets + set] = 1 / sqrt(variances[set] + eps);
    }
}

extern "C" __global__ void standardize_all(const T *x, T *y, const T *weight, const T *bias, const double *stats, long long n,
                                           int sets, int length, int inner, int count) {
    FOR_EACH(e, n) {
        int set = (int)(e / length % sets);
        double v = (get(x, e) - stats[set]) * stats[2 * sets + set];
        if (weight) v *= factor(weight, e, inner, count);
        if (bias) v += factor(bias, e, inner, count);
        put(y, e, v);
    }
}

// h = d times its weight, and h x̂, of an element; x̂ by the moments of its set.
struct Products { double sum, products; };

#define PRODUCTS                                                                                                       \
    const T *d, const T *x, const T *weight, const double *stats, Products *parts, int runs, int sets, int length,       \
        int inner, int count, int own_sets, int own_length

__device__ inline Products products_of(const T *d, const T *x, const T *weight, const double *stats, long long e, int inner,
                                       int count, int own_sets, int own_length) {
    int set = (int)(e / own_length % own_sets);
    double h = get(d, e) * (weight ? factor(weight, e, inner, count) : 1.0);
    return {h, h * ((get(x, e) - stats[set]) * stats[2 * own_sets + set])};
}

// Sums of both over sets, which may be others than those that were standardised (`own`): all elements with one weight.
extern "C" __global__ void products_of_parts(PRODUCTS) {
    long long total = (long long)runs * length, begin = bound(total, blockIdx.y, gridDim.y), set = blockIdx.x;
    long long end = bound(total, blockIdx.y + 1, gridDim.y);
    double sum = 0, products = 0;
    for (long long i = begin + threadIdx.x; i < end; i += TEAM) {
        long long e = (i / length * sets + set) * length + i % length;
        Products p = products_of(d, x, weight, stats, e, inner, count, own_sets, own_length);
        sum += p.sum, products += p.products;
    }
    sum = over_team(sum, add_doubles), products = over_team(products, add_doubles);
    if (threadIdx.x == 0) parts[set * gridDim.y + blockIdx.y] = {sum, products};
}

extern "C" __global__ void products_of_columns(PRODUCTS) {
    long long begin = bound(runs, blockIdx.y, gridDim.y), end = bound(runs, blockIdx.y + 1, gridDim.y);
    int set = blockIdx.x * 32 + threadIdx.x;
    double sum = 0, products = 0;
    for (long long n = begin + threadIdx.y; n < end && set < sets; n += 8) {
        Products p = products_of(d, x, weight, stats, n * sets + set, inner, count, own_sets, own_length);
        sum += p.sum, products += p.products;
    }
    sum = over_column(sum), products = over_column(products);
    if (set < sets && threadIdx.y == 0) parts[(long long)set * gridDim.y + blockIdx.y] = {sum, products};
}

extern "C" __global__ void merge_products(const Products *parts, Products *sums, T *products, int sets, int count) {
    FOR_EACH(set, sets) {
        Products all = {0, 0};
        for (int part = 0; part < count; ++part) {
            all.sum += parts[set * count + part].sum;
            all.products += parts[set * count + part].products;
        }
        sums[set] = all;
        put(products, set, all.products);
    }
}

extern "C" __global__ void standardize_input_all(const T *d, const T *x, T *dx, const T *weight, const double *stats,
                                                 const Products *sums, long long n, int sets, int length, int inner, int count,
                                                 double size, bool centred) {
    FOR_EACH(e, n) {
        int set = (int)(e / length % sets);
        double inverse = stats[2 * sets + set], h = get(d, e) * (weight ? factor(weight, e, inner, count) : 1.0);
        double standard = (get(x, e) - stats[set]) * inverse, mean = centred ? sums[set].sum / size : 0.0;
        put(dx, e, (h - mean - standard * (sums[set].products / size)) * inverse);
    }
}
