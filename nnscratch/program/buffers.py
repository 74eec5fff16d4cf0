"""Buffers by lifetime: which of a program's arrays are written into memory that stays, and which share it."""

import numpy as np

#: Bytes to which arrays are aligned, as NumPy's large ones are not always.
ALIGNMENT = 64


class Buffers:
    """Memory for those results of a program that NumPy's functions can write into an array that is there already.

    Attributes
    ----------
    arrays : dict of int to ndarray
        By the numbers of the results.
    nbytes : int
        The memory of all of them together.
    """

    def __init__(self, instructions, slots, outputs):
        self.arrays: dict = {}
        self._pieces: list = []
        escaping = {slots[k].root for k in outputs}
        last: dict = {}
        for i, instruction in enumerate(instructions):
            for k in (*instruction.refs(), *instruction.made()):
                last[slots[k].root] = i
        free: list = []
        ends: dict = {}
        held: dict = {}
        for i, instruction in enumerate(instructions):
            made = instruction.made()
            taken = None
            if takes_out(instruction, slots) and made[0] not in escaping:
                slot = slots[made[0]]
                if instruction.function is not np.matmul and instruction.function.signature is None:
                    for k in instruction.refs():  # an operand that is not needed afterwards gives its memory
                        same = (
                            held.get(k) is not None
                            and slots[k].strides == slot.strides
                            and slots[k].shape == slot.shape
                        )
                        if same and last[k] == i and slots[k].dtype == slot.dtype and slots[k].root == k:
                            taken = held.pop(k)
                            ends[i].remove(taken)
                            break
                if taken is None:
                    taken = self._taken(free, slot)
                self.arrays[made[0]] = _as_slot(self._pieces[taken], slot)
                held[made[0]] = taken
                ends.setdefault(last[made[0]], []).append(taken)
            free += ends.pop(i, [])
        self.nbytes = sum(piece.nbytes for piece in self._pieces)

    def _taken(self, free, slot):
        """The number of a piece of memory for an array: the smallest free one that is not far too large, or a new one."""
        size = int(np.prod(slot.shape)) * slot.dtype.itemsize
        fitting = [n for n in free if size <= self._pieces[n].nbytes <= max(4 * size, 4096)]
        if fitting:
            best = min(fitting, key=lambda n: self._pieces[n].nbytes)
            free.remove(best)
            return best
        whole = np.empty(size + ALIGNMENT, np.uint8)
        start = -whole.ctypes.data % ALIGNMENT
        self._pieces.append(whole[start : start + size])
        return len(self._pieces) - 1


def takes_out(instruction, slots):
    """Whether an instruction can write its result into an array that is there."""
    function, made = instruction.function, instruction.made()
    if not isinstance(function, np.ufunc) or instruction.kwargs or instruction.effect:
        return False
    if len(made) != 1 or function.nout != 1 or function.nin != len(instruction.args):
        return False
    slot = slots[made[0]]
    return slot.kind == "computed" and len(slot.shape) > 0 and int(np.prod(slot.shape)) > 0 and _is_dense(slot)


def _is_dense(slot):
    """Whether an array's elements fill its memory, in whatever order its axes are."""
    step = slot.dtype.itemsize
    for stride, length in sorted(zip(slot.strides, slot.shape, strict=True)):
        if length > 1:
            if stride != step:
                return False
            step *= length
    return True


def _as_slot(piece, slot):
    return np.ndarray(slot.shape, slot.dtype, piece.data, 0, slot.strides)
