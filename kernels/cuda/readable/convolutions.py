"""Two-dimensional convolution by two kernels: the same sums, read from memory and read from shared memory.

With x (N, C, H, W) and weight (O, C, kh, kw), an element of the result (N, O, p, q) is the sum over c, i and j of
weight[o, c, i, j] · x[n, c, p · stride + i · dilation - padding, q · stride + j · dilation - padding], where x is 0 beyond
its edges. Each element of x is used up to O · kh · kw times, each of weight N · p · q times; as with `products`, what
counts is how often each is read for that. The sums are taken in the arrays' type, float32 or float64, in the order c, i, j.
"""

from numba import cuda

#: `direct`: the threads of a block.
THREADS = 256

#: `tiled`: a block of threads has so many rows and columns of the result, and a thread for each place.
TILE = 16
#: `tiled`: of so many filters a thread computes the results at its place.
FILTERS = 8
#: `tiled`: the most elements of a filter's channel: enough for 11×11.
TAPS = 128
#: Bytes of shared memory that a block may have without asking for more.
SHARED = 48 * 1024


@cuda.jit(device=True)
def pixel(x, n, c, row, column):
    """An element of an image, or the zero of the padding."""
    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
        return x[n, c, row, column]
    return x.dtype.type(0)


@cuda.jit
def direct(x, weight, out, stride, padding, dilation):
    """One thread for each element of the result, which goes over its window and its filter.

    *Bytes.* Each multiply-add, which is 2 flops, reads an element of x and one of the filter: 4 bytes per flop in float32.
    Neighbouring threads have neighbouring windows, which lie side by side and overlap, and mostly the same filter. So
    nearly all of these reads find the caches, and no memory is spent on columns.

    *Limit.* The two reads, and the looking for edges and places, for each multiply-add.

    *Occupancy.* Blocks of 256 threads without shared memory; the result's elements are numbered through, so that only the
    last block has threads with nothing to do, whatever the sizes are.
    """
    index = cuda.grid(1)
    if index >= out.size:
        return
    q = index % out.shape[3]
    p = index // out.shape[3] % out.shape[2]
    o = index // (out.shape[3] * out.shape[2]) % out.shape[1]
    n = index // (out.shape[3] * out.shape[2] * out.shape[1])
    top, left = p * stride[0] - padding[0], q * stride[1] - padding[1]
    total = out.dtype.type(0)
    for c in range(weight.shape[1]):
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                total += weight[o, c, i, j] * pixel(x, n, c, top + i * dilation[0], left + j * dilation[1])
    out[n, o, p, q] = total


@cuda.jit
def tiled(x, weight, out, stride, padding, dilation):
    """A block of threads reads the part of an image that its windows cover into shared memory, channel by channel.

    *Bytes.* Windows overlap, so an element read from memory is used for kh · kw windows (without stride) and for
    `FILTERS` filters: 4 / (2 · 9 · 8) bytes per flop in float32 for a 3×3 kernel, and somewhat more for the seam of the
    part; a weight is used by 256 places. From shared memory a thread reads one element of the image for FILTERS
    multiply-adds, and for each a weight, the same for all threads; those lie side by side and come four at a time.

    *Limit.* The reads of shared memory and the arithmetic of places, shared by FILTERS multiply-adds. And tiles that
    reach beyond the result do work for nothing: 256 threads for 121 results where those are 11×11.

    *Occupancy.* 128 registers a thread in float32: two blocks of 256 threads fill a multiprocessor's registers, and one
    computes while the other reads. Shared memory holds one channel at a time, 1.3 KiB of an image for a 3×3 kernel.
    """
    height = (TILE - 1) * stride[0] + (weight.shape[2] - 1) * dilation[0] + 1
    width = (TILE - 1) * stride[1] + (weight.shape[3] - 1) * dilation[1] + 1
    filters = cuda.shared.array((TAPS, FILTERS), weight.dtype)
    part = cuda.shared.array(0, x.dtype)  # height × width: as many bytes as the launch says
    sums = cuda.local.array(FILTERS, out.dtype)
    for f in range(FILTERS):
        sums[f] = out.dtype.type(0)
    groups = (weight.shape[0] + FILTERS - 1) // FILTERS
    n, first = cuda.blockIdx.x // groups, cuda.blockIdx.x % groups * FILTERS
    x_thread, y_thread = cuda.threadIdx.x, cuda.threadIdx.y
    thread = y_thread * TILE + x_thread
    top = cuda.blockIdx.y * TILE * stride[0] - padding[0]
    left = cuda.blockIdx.z * TILE * stride[1] - padding[1]
    for c in range(weight.shape[1]):
        for i in range(thread, height * width, TILE * TILE):
            part[i] = pixel(x, n, c, top + i // width, left + i % width)
        for i in range(thread, weight.shape[2] * weight.shape[3] * FILTERS, TILE * TILE):
            tap, f = i // FILTERS, i % FILTERS
            if first + f < weight.shape[0]:
                filters[tap, f] = weight[first + f, c, tap // weight.shape[3], tap % weight.shape[3]]
        cuda.syncthreads()  # the part and the filters are complete
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                tap = i * weight.shape[3] + j
                row, column = y_thread * stride[0] + i * dilation[0], x_thread * stride[1] + j * dilation[1]
                value = part[row * width + column]
                for f in range(FILTERS):
                    sums[f] += value * filters[tap, f]
        cuda.syncthreads()  # nobody reads them any more
    p, q = cuda.blockIdx.y * TILE + y_thread, cuda.blockIdx.z * TILE + x_thread
    for f in range(FILTERS):
        if p < out.shape[2] and q < out.shape[3] and first + f < out.shape[1]:
            out[n, first + f, p, q] = sums[f]


KERNELS = {"direct": direct, "tiled": tiled}


def plan(kernel, x, weight, out, stride, padding, dilation):
    """How to launch a kernel of `KERNELS`: itself, its grid, its block, the bytes of dynamic shared memory, and what it takes."""
    arguments = x, weight, out, stride, padding, dilation
    if kernel == "direct":
        return direct, -(-out.size // THREADS), THREADS, 0, arguments
    height, width = (
        (TILE - 1) * s + (k - 1) * d + 1 for s, k, d in zip(stride, weight.shape[2:], dilation, strict=True)
    )
    taps, part = weight.shape[2] * weight.shape[3], x.dtype.itemsize * height * width
    if taps > TAPS or part + x.dtype.itemsize * TAPS * FILTERS > SHARED:
        raise ValueError(
            f"conv2d: the tiled kernel has room for {TAPS} elements of a filter's channel and {SHARED} bytes in all, "
            f'here are {taps} and a part of the image of {part} bytes; pass kernel="direct"'
        )
    grid = x.shape[0] * -(-weight.shape[0] // FILTERS), *(-(-n // TILE) for n in out.shape[2:])
    return tiled, grid, (TILE, TILE), part, arguments
