// Functions of whole rows: softmax, log_softmax, logsumexp, cross-entropy and sums whose errors are made good.
//
// What limits them: memory, if a row is read from it only once. So a team of threads (team.h) keeps to one row: it goes over
// it two or three times, of which all but the first find the row in the multiprocessor's own cache. A warp a row is best
// for the short rows of a classifier, since warps do not wait for each other; longer rows have a block of 256 threads. The
// formulas are those of nnscratch.kernels.softmax.definition: with m the largest of x, d = x - m and s the sum of exp(d) without the
// largest term, softmax = exp(d) / (1 + s) and log_softmax = d - log1p(s), in float64 throughout, where sums carry their
// rounding errors along (for shorter types nothing is lost that counts, and the errors cost less than the memory does).

#include "common.h"
#include "double_double.h"
#include "team.h"

#define RESCUE 64  // powers of two by which sums near underflow are lifted
#define LN2 0.693147180559945309417
#define LN2_ERROR 2.3190468138462996e-17

// The largest element of a row and its first place; nan is larger than all.
struct Largest { double value; int place; };

__device__ inline Largest from_lane(Largest v, int flip) { return {from_lane(v.value, flip), from_lane(v.place, flip)}; }

__device__ inline bool beats(Largest a, Largest b) {
    if (isnan(a.value) || isnan(b.value)) return isnan(a.value) && (!isnan(b.value) || a.place < b.place);
    return a.value > b.value || (a.value == b.value && a.place < b.place);
}

__device__ inline Largest larger(Largest a, Largest b) { return beats(b, a) ? b : a; }

// A row's elements, as every function of their exponentials needs them.
struct Row {
    const T *x;
    int n;
    Largest most;
    double rest;  // the sum of exp(x - m) without the largest element's

    __device__ inline double difference(int i, double &error) const {
        double d = two_sum(get(x, i), -most.value, error);
        if (sizeof(T) < 8 || !isfinite(error)) error = 0;
        return d;
    }
    __device__ inline double difference(int i) const { return get(x, i) - most.value; }

    __device__ inline double exponential(int i) const {
        double error, e = exp(difference(i, error));
        return sizeof(T) < 8 ? e : e + e * error;
    }

    // The terms times 2**RESCUE, where they are too small to keep their digits.
    __device__ inline double lifted(int i) const {
        double error, more, d = two_sum(difference(i, error), RESCUE * LN2, more), e = exp(d);
        if (!isfinite(more)) more = 0;
        return e + e * (more + error + RESCUE * LN2_ERROR);
    }

    __device__ inline void measure(const T *from, int length) {
        x = from, n = length;
        most = {-INFINITE, 0x7fffffff};
        for (int i = team_rank(); i < n; i += TEAM) most = larger(most, {get(x, i), i});
        most = over_team(most, larger);
        Sum sum;
        sum.clear();
        for (int i = team_rank(); i < n; i += TEAM)
            if (i != most.place) sum.add(exponential(i));
        rest = over_team(sum, add_sums).value();
        if (sizeof(T) < 8 || !(rest < 1e-290)) return;  // the same for the whole team
        sum.clear();
        for (int i = team_rank(); i < n; i += TEAM)
            if (i != most.place) sum.add(lifted(i));
        rest = ldexp(over_team(sum, add_sums).value(), -RESCUE);
    }
};

// A team leaves as a whole where there is no row for it.
#define BEGIN_ROW(rows)             \
    long long row = team_row();     \
    if (row >= (rows)) return;

extern "C" __global__ void softmax(const T *x, T *y, long long rows, int n) {
    BEGIN_ROW(rows)
    Row r;
    r.measure(x + row * n, n);
    for (int i = team_rank(); i < n; i += TEAM) put(y, row * n + i, r.exponential(i) / (1 + r.rest));
}

extern "C" __global__ void log_softmax(const T *x, T *y, long long rows, int n) {
    BEGIN_ROW(rows)
    Row r;
    r.measure(x + row * n, n);
    double log = log1p(r.rest);
    for (int i = team_rank(); i < n; i += TEAM) put(y, row * n + i, r.difference(i) - log);
}

// Three numbers that a sum cascades through: as if in three times the digits.
struct Cascade {
    double first, second, third;
    __device__ inline void add(double v) {
        double error, less;
        first = two_sum(first, v, error);
        second = two_sum(second, error, less);
        third = __dadd_rn(third, less);
    }
};

__device__ inline Cascade from_lane(Cascade v, int flip) {
    return {from_lane(v.first, flip), from_lane(v.second, flip), from_lane(v.third, flip)};
}

__device__ inline Cascade add_cascades(Cascade a, Cascade b) {
    a.add(b.first);
    a.add(b.second);
    a.add(b.third);
    return a;
}

// exp(x) * 2**shift, right to about 2**-110 of it, as in nnscratch.kernels.double_double, whose constants are ln 2 in three
// parts, 1/n! in two, and exp(j/256) in three.
__device__ inline void add_exponential(Cascade &sum, double x, int shift, const double *constants) {
    const double *logs = constants, *factorials = constants + 3, *table = constants + 27;
    double low, error;
    x = fmax(x, -2000.0);
    double k = rint(x / LN2), r = two_sum(x, -__dmul_rn(k, logs[0]), low), j = rint(r * 256);
    Pair rest;
    r = two_sum(__dsub_rn(r, j / 256), -__dmul_rn(k, logs[1]), error);
    rest.high = two_sum(r, low + error - k * logs[2], rest.low);
    double tail = 0;
    for (int n = 11; n > 5; --n) tail = tail * rest.high + factorials[2 * n];
    Pair series = multiply({tail, 0}, rest);
    for (int n = 5; n > 1; --n) series = multiply(add(series, {factorials[2 * n], factorials[2 * n + 1]}), rest);
    Pair less_one = add(rest, multiply(series, rest));
    const double *e = table + 3 * ((int)j + 128);
    double high = two_product(e[0], less_one.high, low);
    low += e[0] * less_one.low + e[1] * less_one.high;
    const double parts[] = {e[0], e[1], e[2], high, low};
    for (double part : parts) sum.add(ldexp(part, (int)k + shift));
}

// log of the sum of exp of a row, where that is near 1: all but the last digits of the sum cancel.
__device__ inline double log_of_sum_near_one(const Row &r, const double *constants) {
    Cascade sum = {0, 0, 0};
    if (team_rank() == 0) sum.first = -ldexp(1.0, RESCUE);
    for (int i = team_rank(); i < r.n; i += TEAM) add_exponential(sum, get(r.x, i), RESCUE, constants);
    sum = over_team(sum, add_cascades);
    double less, part, high = two_sum(sum.first, sum.second, less);
    high = two_sum(high, less + sum.third, less);
    double less_one = ldexp(high, -RESCUE), rest = ldexp(less, -RESCUE);
    if (fabs(less_one) < 0.5) return log1p(less_one) + rest / (1 + less_one);
    double whole = two_sum(1.0, less_one, part);
    return log(whole) + (part + rest) / whole;
}

extern "C" __global__ void logsumexp(const T *x, T *y, long long rows, int n, const double *constants) {
    BEGIN_ROW(rows)
    Row r;
    r.measure(x + row * n, n);
    double m = r.most.value, log = log1p(r.rest), result = isinf(m) ? m : m + log;
    double limit = sizeof(T) < 8 ? 1.0 / (1 << 24) : 2.0;
    if (m < 0 && fabs(result) < limit * log) result = log_of_sum_near_one(r, constants);
    if (team_rank() == 0) put(y, row, result);
}

// One of the two arrays for losses is null.
__device__ inline void put_loss(T *losses, double *wide, long long row, double loss) {
    if (team_rank() != 0) return;
    if (wide) wide[row] = loss;
    else put(losses, row, loss);
}

// softmax, less 1 where a row's own class is the largest: without cancelling.
__device__ inline double error_of_sure(const Row &r, int i, double e) {
    return i == r.most.place && isfinite(r.most.value) ? -r.rest / (1 + r.rest) : e - 1;
}

// -sum(q * log_softmax(z)) of each row, and softmax(z) * sum(q) - q. A weight of 0 makes its term 0, and where the difference of
// two finite logits would overflow it is halved.
extern "C" __global__ void cross_entropy(const T *z, const T *q, T *losses, double *wide, T *errors, long long rows, int n) {
    BEGIN_ROW(rows)
    Row r;
    r.measure(z + row * n, n);
    double log = log1p(r.rest);
    Sum sum, weights;
    sum.clear(), weights.clear();
    for (int i = team_rank(); i < n; i += TEAM) {
        double w = get(q, row * n + i), d = r.difference(i), x = get(r.x, i);
        bool over = isinf(d) && isfinite(x);
        sum.add(w == 0 ? 0 : over ? w * (r.most.value / 2 - x / 2) * 2 : w * (log - d));
        weights.add(w);
    }
    double total = over_team(weights, add_sums).value();
    put_loss(losses, wide, row, over_team(sum, add_sums).value());
    for (int i = team_rank(); i < n; i += TEAM) {
        double w = get(q, row * n + i), e = r.exponential(i) / (1 + r.rest);
        put(errors, row * n + i, w == 1 && total == 1 ? error_of_sure(r, i, e) : e * total - w);
    }
}

// The same where a class of each row is sure; nan where there is no class of that number.
extern "C" __global__ void label_cross_entropy(const T *z, const long long *labels, T *losses, double *wide, T *errors,
                                               long long rows, int n) {
    BEGIN_ROW(rows)
    Row r;
    r.measure(z + row * n, n);
    long long label = labels[row];
    bool known = label >= 0 && label < n;
    double x = known ? get(r.x, (int)label) : __longlong_as_double(0x7ff8000000000000);
    double d = x - r.most.value;
    put_loss(losses, wide, row, isinf(d) && isfinite(x) ? (r.most.value / 2 - x / 2) * 2 : log1p(r.rest) - d);
    for (int i = team_rank(); i < n; i += TEAM) {
        double e = r.exponential(i) / (1 + r.rest);
        put(errors, row * n + i, known ? i == label ? error_of_sure(r, i, e) : e : x);
    }
}

// Sums of rows, in two steps: parts of a row, each by a team, so that one long row keeps the whole GPU busy; then the parts,
// in their order. Whatever the timing, the same numbers are added in the same order.
extern "C" __global__ void sum_parts(const T *x, Sum *sums, long long rows, long long n, int parts, bool squares) {
    long long at = team_row(), row = at / parts, part = at % parts;
    if (row >= rows) return;
    Sum sum, small;
    sum.clear(), small.clear();
    for (long long i = n * part / parts + team_rank(); i < n * (part + 1) / parts; i += TEAM) {
        double v = get(x, row * n + i);
        if (squares) v *= v;
        sum.add(v);
        if (sizeof(T) == 8) small.add(ldexp(v, -RESCUE));  // for means whose sum overflows
    }
    sum = over_team(sum, add_sums), small = over_team(small, add_sums);
    if (team_rank() == 0) sums[2 * at] = sum, sums[2 * at + 1] = small;
}

// `by`, where it is not null, points to the divisor.
extern "C" __global__ void sum_of_parts(const Sum *sums, T *y, long long rows, int parts, double divisor, const double *by) {
    BEGIN_ROW(rows)
    if (by) divisor = *by;
    Sum sum, small;
    sum.clear(), small.clear();
    for (int i = team_rank(); i < parts; i += TEAM) {
        sum.add(sums[2 * (row * parts + i)]);
        small.add(sums[2 * (row * parts + i) + 1]);
    }
    double total = over_team(sum, add_sums).value(), less = over_team(small, add_sums).value();
    double result = total / divisor;
    if (sizeof(T) == 8 && divisor != 1 && !isfinite(result)) result = ldexp(less / divisor, RESCUE);
    if (team_rank() == 0) put(y, row, result);
}
