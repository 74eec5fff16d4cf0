"""The product of two matrices by three kernels: the same sums, arranged ever better.

A product of n×n matrices takes 2 n³ flops on 3 n² elements, so that an element can be used 2 n / 3 times once it is read.
A GPU does tens of flops in the time in which its memory gives it one byte. So what makes a product fast is how often an
element is used before it is read again: first from memory into a multiprocessor, then from there into registers.

Matrices are (M, K), (K, N) and, for the result, (M, N), of float32 or float64, of any strides; the sums are taken in that
type, in the order of k.
"""

from numba import cuda

#: `naive` and `tiled`: a block of threads has so many rows and columns of the result, and a thread for each element.
TILE = 16

#: `blocked`: the rows and columns of the result that a block of threads has, and those that each of its threads has.
SIDE, PER = 128, 8
#: `blocked`: the threads along a side of a block, and those of a block.
ACROSS = SIDE // PER
THREADS = ACROSS * ACROSS
#: `blocked`: a thread's columns are two runs of so many, half a tile apart: what its neighbours read is then side by side.
RUN, HALF = PER // 2, SIDE // 2
#: `blocked`: how many columns of a, and rows of b, are in shared memory at a time.
DEPTH = 8
#: `blocked`: from one of these columns to the next in shared memory. With 4 elements more than are needed, the 32
#: elements that a warp writes there at once are in 32 different banks, and none waits for another.
PITCH = SIDE + 4


@cuda.jit
def naive(a, b, out):
    """One thread for each element of the result, which reads a row of a and a column of b.

    *Bytes.* Each multiply-add, which is 2 flops, reads two elements: 4 bytes per flop in float32. Most come from the
    caches. Neighbouring threads have neighbouring columns, so the reads of b by a row of threads are next to each other,
    and those of a are the same element, read once for all of them. Columns along ``y`` would make every read of b a
    line of memory of its own.

    *Limit.* The two reads for each multiply-add: a multiprocessor starts 4 warps' multiply-adds in a cycle, but only one
    warp's reads.
    """
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        total = out.dtype.type(0)
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        out[row, column] = total


@cuda.jit(device=True)
def element(matrix, row, column):
    """An element, or the zero that is meant to stand beyond the edges."""
    # Comparing with 0, too, tells the compiler that no index counts from the end, which saves it instructions.
    if 0 <= row < matrix.shape[0] and 0 <= column < matrix.shape[1]:
        return matrix[row, column]
    return matrix.dtype.type(0)


@cuda.jit
def tiled(a, b, out):
    """A block of threads reads a tile of a and one of b into shared memory, and all its threads use both.

    *Bytes.* An element that is read from memory is used for `TILE` multiply-adds: 4 / TILE bytes per flop in float32.

    *Limit.* Each multiply-add still reads two elements, now from shared memory, which gives them sooner than a cache, but
    also to one warp in a cycle only.

    *Occupancy.* 256 threads a block, about 32 registers a thread and 2 KiB of shared memory a block: a multiprocessor
    holds 8 blocks, all the threads it can, and some compute while others wait for memory or for their block.
    """
    a_tile = cuda.shared.array((TILE, TILE), a.dtype)
    b_tile = cuda.shared.array((TILE, TILE), b.dtype)
    column, row = cuda.grid(2)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    total = out.dtype.type(0)
    for start in range(0, a.shape[1], TILE):
        # Each thread reads one element of each tile. None may leave before, even where it has no element of the result.
        a_tile[y, x] = element(a, row, start + x)
        b_tile[y, x] = element(b, start + y, column)
        cuda.syncthreads()  # the tiles are complete
        for k in range(TILE):
            total += a_tile[y, k] * b_tile[k, x]
        cuda.syncthreads()  # nobody reads them any more
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = total


@cuda.jit
def blocked(a, b, out):
    """A thread computes `PER` × `PER` elements of the result, all of them in its registers.

    *Bytes.* For each k a thread reads PER elements of a and PER of b from shared memory, and does PER² multiply-adds with
    them: a quarter of a read for each, where `tiled` needs two. They come four at a time, as four lie side by side. Of b
    eight threads read 32 such elements, one from each of shared memory's banks, so that nobody waits for a bank; of a
    they read the same ones. From memory it is 4 / SIDE bytes per flop in float32, far less than a GPU can read meanwhile.

    *Limit.* The instructions beside the multiply-adds. The compiler unrolls the loops over PER, which have constant
    ends; only so can `sums` be registers, which cannot be indexed.

    *Occupancy.* 128 registers a thread (in float32, compiled for compute capability 9.0): two blocks of 256 threads fill
    a multiprocessor's registers, and one computes while the other reads its tiles. That is few threads, but each has 64
    multiply-adds that wait for no other.
    """
    a_tile = cuda.shared.array((DEPTH, PITCH), a.dtype)  # transposed: a thread reads PER rows of one column
    b_tile = cuda.shared.array((DEPTH, SIDE), b.dtype)
    sums = cuda.local.array((PER, PER), out.dtype)
    a_part = cuda.local.array(PER, a.dtype)
    b_part = cuda.local.array(PER, b.dtype)
    thread = cuda.threadIdx.x & (THREADS - 1)  # changes nothing, but so the compiler knows that it is not negative
    x, y = thread % ACROSS * RUN, thread // ACROSS * PER
    top, left = cuda.blockIdx.y * SIDE, cuda.blockIdx.x * SIDE
    for i in range(PER):
        for j in range(PER):
            sums[i, j] = out.dtype.type(0)
    for start in range(0, a.shape[1], DEPTH):
        for i in range(0, SIDE * DEPTH, THREADS):
            # Neighbouring threads read what lies side by side: along a's rows, and along b's.
            row, k = (thread + i) // DEPTH, (thread + i) % DEPTH
            a_tile[k, row] = element(a, top + row, start + k)
            k, column = (thread + i) // SIDE, (thread + i) % SIDE
            b_tile[k, column] = element(b, start + k, left + column)
        cuda.syncthreads()
        for k in range(DEPTH):
            for i in range(PER):
                a_part[i] = a_tile[k, y + i]
                b_part[i] = b_tile[k, x + i // RUN * HALF + i % RUN]
            for i in range(PER):
                for j in range(PER):
                    sums[i, j] += a_part[i] * b_part[j]
        cuda.syncthreads()
    for i in range(PER):
        for j in range(PER):
            row, column = top + y + i, left + x + j // RUN * HALF + j % RUN
            if 0 <= row < out.shape[0] and 0 <= column < out.shape[1]:
                out[row, column] = sums[i, j]


#: Of each kernel: itself, the threads of a block, and the rows and columns of the result that a block has.
KERNELS = {
    "naive": (naive, (TILE, TILE), TILE),
    "tiled": (tiled, (TILE, TILE), TILE),
    "blocked": (blocked, THREADS, SIDE),
}


def plan(kernel, a, b, out):
    """How to launch a kernel of `KERNELS`: itself, its grid, its block, the bytes of dynamic shared memory, and what it takes."""
    function, block, side = KERNELS[kernel]
    rows, columns = out.shape
    return function, (-(-columns // side), -(-rows // side)), block, 0, (a, b, out)
