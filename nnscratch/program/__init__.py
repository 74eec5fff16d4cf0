"""A step recorded once and run as a program: see `capture`.

In the order in which they are read: `traced` (arrays that write down what is computed with them), `recorder` (what is written down), `state`
(what a step can reach), `simplify` and `buffers` (what of it has to be done, and where), `program` (the function that does it), `page`
(the table that shows it) and `capture` (when which program runs).
"""

from nnscratch.program.capture import Captured, capture
from nnscratch.program.program import Program
from nnscratch.program.recorder import CaptureError, drawn
