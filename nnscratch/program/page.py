"""A program as a table: each instruction with its formula, what it computes, its work, and the time it took."""

import html as markup_html
import math

from nnscratch.autograd import OPS


def rows(program):
    """For each instruction what the table says."""
    total = sum(program.seconds) or 1.0
    for i, instruction in enumerate(program.instructions):
        made = instruction.made()
        slots = [program.slots[k] for k in made]
        name = instruction.shown()
        op = OPS.get(instruction.op)
        seconds = program.seconds[i] if program.seconds else None
        yield {
            "number": i,
            "result": ", ".join(f"%{k}" for k in made) or "-",
            "call": f"{name}({', '.join(_shown(a) for a in instruction.args)})",
            "shape": ", ".join(f"{s.shape} {s.dtype}" for s in slots),
            "bytes": sum(math.prod(s.shape) * s.dtype.itemsize for s in slots),
            "flops": flops(instruction, program.slots),
            "buffer": bool(made) and made[0] in program.buffers,
            "operation": instruction.op,
            "formula": op.formula if op is not None else "",
            "line": instruction.line.removeprefix("at "),
            "seconds": seconds,
            "share": None if seconds is None else seconds / total,
        }


def flops(instruction, slots):
    """Additions and multiplications: those of products and convolutions, else one for each element."""
    made = [slots[k] for k in instruction.made()]
    if not made:
        return 0
    given = [slots[k] for k in instruction.refs()]
    name = instruction.shown()
    size = math.prod(made[0].shape)
    if name in ("matmul", "dot", "matmul.matmul", "matmul.linear") and given and given[0].shape:
        return 2 * size * given[0].shape[-1]
    if name == "conv.conv2d":
        return 2 * size * math.prod(given[1].shape[1:])
    if name == "conv.conv2d_input":
        return 2 * math.prod(given[0].shape) * math.prod(given[1].shape[1:])
    if name == "conv.conv2d_weight":
        return 2 * math.prod(given[0].shape) * math.prod(made[0].shape[1:])
    return size


def _shown(leaf):
    if type(leaf).__name__ == "Ref":
        return repr(leaf)
    if isinstance(leaf, tuple | list):
        return "(" + ", ".join(map(_shown, leaf)) + ")"
    return repr(leaf) if isinstance(leaf, int | float | str | bool | type(None) | slice) else type(leaf).__name__


def text(program):
    """The table as text."""
    lines = [f"{len(program)} instructions, of {program.recorded} recorded; buffers of {program.nbytes:,} bytes", ""]
    head = ("", "result", "call", "shape", "flops", "bytes", "buffer", "operation", "line", "µs")
    table = [head]
    for row in rows(program):
        time = "" if row["seconds"] is None else f"{1e6 * row['seconds']:.1f}"
        cells = [row["number"], row["result"], row["call"][:48], row["shape"], row["flops"], row["bytes"]]
        table.append(tuple(map(str, [*cells, "yes" if row["buffer"] else "", row["operation"], row["line"], time])))
    widths = [max(len(r[c]) for r in table) for c in range(len(head))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(r, widths, strict=True)).rstrip() for r in table]
    return "\n".join(lines)


def html(program):
    """The table for a notebook."""
    head = "".join(
        f"<th>{name}</th>" for name in ("", "result", "call", "shape", "flops", "bytes", "operation", "line", "µs")
    )
    body = []
    for row in rows(program):
        time = "" if row["seconds"] is None else f"{1e6 * row['seconds']:.1f}"
        title = markup_html.escape(row["formula"], quote=True)
        cells = [
            row["number"],
            row["result"],
            row["call"],
            row["shape"],
            row["flops"],
            row["bytes"],
            row["operation"],
            row["line"],
            time,
        ]
        body.append(
            f"<tr title='{title}'>" + "".join(f"<td>{markup_html.escape(str(c))}</td>" for c in cells) + "</tr>"
        )
    said = f"{len(program)} instructions, of {program.recorded} recorded; buffers of {program.nbytes:,} bytes"
    return f"<div>{said}<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
