"""CuPy's ``cupy.cuda.nvrtc``: "machine code" is the source and its options, for `RawModule` to hand to the emulator."""

import pickle

_programs: list = []


def getVersion():
    """The compiler's version."""
    return (13, 5)


def getSupportedArchs():
    """The compute capabilities that it knows."""
    return (75, 80, 86, 89, 90, 100, 120)


def createProgram(source, name, headers, include_names):
    """A program, by its number."""
    _programs.append([source, None])
    return len(_programs) - 1


def compileProgram(program, options):
    """Note the options."""
    _programs[program][1] = tuple(options)


def getProgramLog(program):
    """What the compiler said: nothing."""
    return ""


def getCUBIN(program):
    """The source and its options."""
    return pickle.dumps(tuple(_programs[program]))


getPTX = getCUBIN
