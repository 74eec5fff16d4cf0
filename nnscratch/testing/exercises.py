"""Exercises of a notebook: a test that says how far one is, and lets the notebook go on."""


class exercise:
    """A test of an answer: run when it is defined, and again by calling it; it prints a line and raises nothing.

    Parameters
    ----------
    test : callable
        A function without arguments that asserts what a right answer does, each assertion with a hint as its message.
        Its name is the exercise's title.

    Attributes
    ----------
    passed : bool
        Whether the answer was right when the test last ran.

    Raises
    ------
    TypeError
        Where the test is no function. A wrong answer raises nothing.

    Examples
    --------
    >>> import nnscratch as ns
    >>> def double(x):
    ...     ...  # your answer
    >>> @ns.testing.exercise
    ... def exercise_1():
    ...     assert double(3) == 6, "double(3) should be 6; multiply by 2"
    exercise 1: not yet. double(3) should be 6; multiply by 2
    >>> def double(x):
    ...     return 2 * x
    >>> exercise_1()
    exercise 1: right
    """

    def __init__(self, test):
        if not callable(test):
            raise TypeError(f"exercise: got {test!r}, expected a function; write @ns.testing.exercise above a def")
        self.test = test
        self.title = test.__name__.replace("_", " ")
        self()

    def __call__(self):
        try:
            self.test()
        except AssertionError as error:
            self.passed, line = False, str(error) or "an assertion without a hint failed"
        except Exception as error:  # an answer may fail in any way, and the notebook has to go on
            self.passed, line = False, f"Your answer raises {type(error).__name__}: {error}"
        else:
            self.passed, line = True, ""
        print(f"{self.title}: " + ("right" if self.passed else f"not yet. {line}"))
