"""What the figures are to show."""


class Target:
    """That the fastest of some entries has at least a share of the speed of the fastest of others."""

    def __init__(self, entries, others, share):
        self.entries, self.others, self.share = entries, others, share

    def __str__(self):
        names = [self.entries[0] if len(e) == 1 else f"the best of {', '.join(e)}" for e in [self.entries]]
        return f"{names[0]} at least {self.share:g} of the speed of {' or '.join(self.others)}"

    def value(self, rows):
        """The share that the rows of one workload show, None where it was not measured."""
        ours, theirs = (
            min((row["median"] for row in rows if row["status"] == "ok" and row["entry"] in names), default=None)
            for names in (self.entries, self.others)
        )
        return None if ours is None or theirs is None else theirs / ours

    def met(self, value):
        """Whether a value is enough."""
        return value >= self.share
