"""From what was written down to what has to be done: dead results, repeated work and what is known beforehand are left out."""

import operator

import numpy as np

from nnscratch.program.recorder import LIKE, Instruction, Ref, mapped, refs_in

#: Functions of NumPy's, beside an array's own, whose result can lie in their argument's memory.
VIEWS = {np.swapaxes, np.transpose, np.reshape, np.broadcast_to, np.expand_dims, np.squeeze, np.moveaxis}


def needed(instructions, slots, outputs):
    """The instructions on which outputs, states or effects depend, in their order."""
    live, families, kept = set(outputs), {slots[k].root for k in outputs}, []
    lasting = {k for k, slot in enumerate(slots) if slot.kind in ("state", "input")}
    for instruction in reversed(instructions):
        written = {slots[k].root for k in instruction.writes}
        changes = not (written.isdisjoint(families) and written.isdisjoint(lasting))
        if instruction.effect or changes or not live.isdisjoint(instruction.made()):
            kept.append(instruction)
            live.update(instruction.refs())
            families.update(slots[k].root for k in instruction.refs())
    return kept[::-1]


def written_roots(instructions, slots):
    """The arrays in whose memory something is written after they were made."""
    return {slots[k].root for instruction in instructions for k in instruction.writes}


def folded(instructions, slots):
    """What follows from constants alone, such as the gradient that a backward pass begins with, is computed once."""
    written, kept = written_roots(instructions, slots), []
    for instruction in instructions:
        made = instruction.made()
        args = instruction.args
        refs = instruction.refs()
        if instruction.function in LIKE:  # which asks for a shape only
            refs = refs_in((args[1:], instruction.kwargs))
            args = (np.empty(slots[made[0]].shape, slots[made[0]].dtype), *args[1:])
        lasting = instruction.effect or instruction.writes or any(slots[k].root in written for k in (*refs, *made))
        fixed = all(slots[k].kind == "constant" for k in refs)
        if len(made) != 1 or type(instruction.results) is not Ref or lasting or not fixed:
            kept.append(instruction)
            continue
        real = mapped((args, instruction.kwargs), lambda leaf: slots[leaf].value if type(leaf) is Ref else leaf)
        with np.errstate(**instruction.errors):
            value = instruction.function(*real[0], **real[1])
        if value.strides != slots[made[0]].strides:
            kept.append(instruction)
            continue
        slots[made[0]].kind, slots[made[0]].value = "constant", value
    return kept


def shared(instructions, slots, outputs):
    """Work that is done twice is done once: the same function of the same arrays, where nothing is written in between."""
    written, first, instead, kept = written_roots(instructions, slots), {}, {}, []
    outputs = set(outputs)
    for instruction in instructions:
        renamed = _renamed(instruction, instead)
        made = renamed.made()
        lasting = renamed.effect or renamed.writes or any(slots[k].root in written for k in (*renamed.refs(), *made))
        key = None if lasting or not made else _key(renamed)
        if key is not None and outputs.isdisjoint(made):
            if key in first:
                instead.update(zip(made, first[key], strict=True))
                for k, other in zip(made, first[key], strict=True):
                    _join(slots, k, other)
                continue
            first[key] = made
        kept.append(renamed)
    return kept


def _join(slots, k, other):
    """Let everything that lies in one array's memory lie in another's."""
    old, new = slots[k].root, slots[other].root
    for slot in slots:
        if slot.root == old:
            slot.root = new


def _renamed(instruction, instead):
    if not instead:
        return instruction

    def rename(leaf):
        return instead.get(leaf, leaf) if type(leaf) is Ref else leaf

    return Instruction(
        instruction.function,
        mapped(instruction.args, rename),
        mapped(instruction.kwargs, rename),
        instruction.results,
        tuple(map(rename, instruction.writes)),
        *(getattr(instruction, name) for name in ("effect", "name", "errors", "op", "line")),
    )


def _key(instruction):
    """What tells an instruction's work from other work, or None where it cannot be told."""
    key = (
        id(instruction.function),
        _hashable(instruction.args),
        _hashable(instruction.kwargs),
        repr(instruction.errors),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _hashable(tree):
    if isinstance(tree, tuple | list):
        return tuple(map(_hashable, tree))
    if isinstance(tree, dict):
        return tuple((name, _hashable(part)) for name, part in sorted(tree.items()))
    if isinstance(tree, slice):
        return "slice", _hashable((tree.start, tree.stop, tree.step))
    return type(tree), tree


def simplified(instructions, slots, outputs):
    """All of it."""
    instructions = folded(needed(instructions, slots, outputs), slots)
    return needed(shared(instructions, slots, outputs), slots, outputs)


def is_view(instruction, slots):
    """Whether an instruction does no more than to look at an array's memory in another way."""
    made = instruction.made()
    if len(made) != 1 or instruction.writes or instruction.effect:
        return False
    return slots[made[0]].root != made[0] and (
        instruction.function is operator.getitem
        or getattr(instruction.function, "__objclass__", None) is np.ndarray
        or instruction.function in VIEWS
    )
