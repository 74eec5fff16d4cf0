"""``python -m benchmarks``: run them all."""

from benchmarks import import_time

import_time.main()
