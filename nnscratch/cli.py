"""The command `nnscratch`: train the documents' networks, check the operations, and show what this machine has."""

import argparse
import difflib
import inspect
import math
import os
import shutil
import sys

import nnscratch
from nnscratch import backend, documents
from nnscratch.kernels import threads

DESCRIPTION = "nnscratch: a neural-network engine written from scratch on NumPy."
#: How wide a table is at most where no terminal says how wide it is.
LINE = 120


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with status 2; the usage is for those who ask with --help."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv=None):
    """Run the command.

    Parameters
    ----------
    argv : sequence of str, optional
        Its arguments; by default those it was called with.

    Returns
    -------
    int
        Its exit status: 0, or 1 where something it needs is missing or a check fails (wrong arguments leave with 2).

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    _let_streams_bear_everything()
    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    if arguments is None:
        return 0
    try:
        threads.count()  # which refuses a wrong NNSCRATCH_THREADS
        status = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).removeprefix(f"{arguments.command}: ")
        print(f"nnscratch {arguments.command}: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"nnscratch {arguments.command}: interrupted{f'; {error}' * bool(str(error))}", file=sys.stderr)
        return 130
    return status or 0


def _let_streams_bear_everything():
    """Have a closed output take what is written to it, and one of few characters a question mark for each of the others."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 as it is for the rest of the process
        elif hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="replace")


def _parse(argv):
    parser = Parser("nnscratch", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"nnscratch {nnscratch.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train a network of the documents", allow_abbrev=False)
    train.add_argument(
        "system",
        nargs="?",
        default="mnist-cnn",
        type=_system,
        metavar="SYSTEM",
        help="which (default: mnist-cnn); see `nnscratch systems`",
    )
    train.add_argument("--epochs", type=_count(1), metavar="N", help="how many times all samples are gone through")
    train.add_argument("--batch-size", type=_count(1), metavar="N", help="samples in a step")
    train.add_argument("--lr", type=_rate, metavar="RATE", help="the learning rate")
    train.add_argument("--seed", type=_count(0), metavar="N", help="everything random follows from it (default: 0)")
    train.add_argument(
        "--device", type=_device, default="cpu", help=f"one of {', '.join(backend.NAMES)} (default: cpu)"
    )
    train.add_argument(
        "--precision",
        type=_precision,
        default="float32",
        help=f"of float32's products on a GPU: one of {', '.join(backend.PRECISIONS)} (default: float32)",
    )
    train.add_argument("--full", action="store_true", help="the full data set, where there is one")
    train.add_argument("--resume", action="store_true", help="go on from the last complete epoch in DIR")
    train.add_argument("--out", metavar="DIR", help="where the results go (default: runs/SYSTEM)")
    train.add_argument(
        "--distributed",
        nargs="?",
        const="average",
        choices=["average", "ordered"],
        metavar="HOW",
        help="train by all processes that mpiexec has started; HOW is average, or ordered: the same bits for 1, 2 and 4 of them",
    )
    train.add_argument(
        "--capture", action="store_true", help="record a step once, and run it as a program: the same weights, sooner"
    )
    _add_options(train, argv)
    train.set_defaults(run=_train)

    generate = commands.add_parser("generate", help="let a trained network make something new", allow_abbrev=False)
    generate.add_argument("folder", metavar="RUN", help="the folder where `nnscratch train` wrote its results")
    generate.add_argument("--prompt", metavar="TEXT", help="what it begins with")
    generate.add_argument(
        "--length", type=_count(1), metavar="N", help="how many tokens it adds (default: 50 words, 300 characters)"
    )
    generate.add_argument(
        "--temperature",
        type=_temperature,
        metavar="T",
        help="below 1 keeps to the likely, above 1 strays (default: 0.8)",
    )
    generate.add_argument(
        "--top-k", type=_count(1), metavar="K", help="draw among the K likeliest alone (default: all)"
    )
    generate.add_argument(
        "--top-p",
        type=_share,
        metavar="P",
        help="draw among the likeliest whose probabilities come to P (default: 1, all)",
    )
    generate.add_argument("--count", type=_count(1), metavar="N", help="how many images (default: 64)")
    generate.add_argument("--seed", type=_count(0), metavar="N", help="of what is drawn (default: 0)")
    generate.set_defaults(run=_generate)

    predict = commands.add_parser("predict", help="ask a trained network about texts", allow_abbrev=False)
    predict.add_argument("folder", metavar="RUN", help="the folder where `nnscratch train` wrote its results")
    predict.add_argument("texts", nargs="+", metavar="TEXT")
    predict.set_defaults(run=_predict)

    smaller = commands.add_parser("compress", help="make a trained classifier smaller", allow_abbrev=False)
    smaller.add_argument("folder", metavar="RUN", help="the folder where `nnscratch train` wrote its results")
    smaller.add_argument(
        "--quantise", metavar="WAY", type=_way, help="int8, float16 and the like: weights in fewer bits"
    )
    smaller.add_argument("--prune", metavar="SHARE", type=_share, help="set such a share of the weights to 0")
    smaller.add_argument(
        "--channels",
        action="store_true",
        help="with --prune: take out channels, and with them such a share of the work",
    )
    smaller.add_argument(
        "--distil", metavar="SYSTEM", type=_system, help="let that system's network learn from this one"
    )
    smaller.add_argument("--epochs", type=_count(1), metavar="N", help="of learning on (default: the system's own)")
    smaller.add_argument("--seed", type=_count(0), default=0, metavar="N", help="of what is drawn (default: 0)")
    smaller.add_argument("--out", metavar="DIR", help="where the smaller network goes (default: RUN-WAY)")
    smaller.set_defaults(run=_compress)

    evaluate = commands.add_parser("evaluate", help="measure a trained classifier again", allow_abbrev=False)
    evaluate.add_argument("folder", metavar="RUN", help="the folder of a run, compressed or not")
    evaluate.set_defaults(run=_evaluate)

    check = commands.add_parser("check", help="check every operation and its derivatives", allow_abbrev=False)
    check.add_argument("operations", nargs="*", type=_operation, metavar="OP", help="which (default: all)")
    check.add_argument("--seed", type=_count(0), default=0, metavar="N", help="of the arguments drawn (default: 0)")
    check.add_argument("--json", metavar="FILE", help="where the figures go, too")
    check.set_defaults(run=_check)

    commands.add_parser("systems", help="what can be trained", allow_abbrev=False).set_defaults(run=_systems)
    places = commands.add_parser("documents", help="what a citation of the documents names", allow_abbrev=False)
    places.add_argument(
        "places", nargs="*", metavar="PLACE", help="such as 000 §4, F1, S2 or W3 (default: the documents)"
    )
    places.set_defaults(run=_documents)
    commands.add_parser("info", help="versions, devices, BLAS and threads", allow_abbrev=False).set_defaults(run=_info)

    if argv and not argv[0].startswith("-") and argv[0] not in commands.choices:
        parser.error(f"there is no command {argv[0]!r}; {_close(argv[0], commands.choices)}")
    own = commands.choices.get(argv[0], parser) if argv else parser
    for option in (word.partition("=")[0] for word in argv if word.startswith("--")):
        if option not in own._option_string_actions:
            own.error(f"there is no option {option!r}; {_close(option, own._option_string_actions)}")
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return None
    if arguments.command == "documents":
        arguments.places = _places(own, " ".join(arguments.places))
    if arguments.command == "train" and arguments.precision != "float32" and arguments.device == "cpu":
        own.error(
            f"--precision {arguments.precision} is for GPUs, on the CPU products are float32; "
            f"add --device cuda, or leave it out"
        )
    return arguments


def _close(word, known):
    close = difflib.get_close_matches(word, known)
    return f"did you mean {', '.join(close)}?" if close else f"choose one of {', '.join(known)}"


def _places(parser, words):
    """The citations in some words, each a right one."""
    found = documents.citations(words)
    wrong = [words[start:end] for start, end, key in found if key not in documents.PLACES]
    if wrong or (words and not found):
        parser.error(
            f"the documents have no place {wrong[0] if wrong else words!r}; choose such as 000, 000 §4, F1 to F14, S1 to S13, "
            f"E1 to E9 or W1 to W3"
        )
    return [key for _, _, key in found]


def _add_options(train, argv):
    """Let `train` take the options of the system that is named."""
    from nnscratch import systems

    name = next((word for word in argv[1:] if word in systems.NAMES), None) if argv[:1] == ["train"] else None
    for option, details in systems.get(name).options.items() if name else ():
        train.add_argument(f"--{option}", **{**details, "default": None})


def _way(name):
    from nnscratch.systems.compressing import QUANTISED

    if name not in QUANTISED:
        raise argparse.ArgumentTypeError(f"there is no way {name!r}; {_close(name, QUANTISED)}")
    return name


def _system(name):
    from nnscratch import systems

    try:
        return systems.get(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("train: ")) from None


def _operation(name):
    table = _table_of_operations()
    if name not in table:
        close = difflib.get_close_matches(name, table)
        hint = f"did you mean {', '.join(close)}?" if close else "`nnscratch check` alone checks and lists them all"
        raise argparse.ArgumentTypeError(f"there is no operation {name!r}; {hint}")
    return table[name]


def _table_of_operations():
    import nnscratch.functional  # noqa: F401 (its import fills the table)
    from nnscratch.autograd import OPS

    return OPS


def _device(name):
    try:
        return backend.get(name).name
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("device: ")) from None


def _precision(name):
    if name not in backend.PRECISIONS:
        raise argparse.ArgumentTypeError(f"there is no precision {name!r}; {_close(name, backend.PRECISIONS)}")
    return name


def _count(least):
    def count(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least:
            raise argparse.ArgumentTypeError(
                f"got {text!r}, expected a whole number of at least {least}; pass for example {least + 4}"
            )
        return value

    return count


def _rate(text):
    value = _number(text)
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0; pass for example 0.001")
    return value


def _temperature(text):
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of at least 0; pass for example 0.8")
    return value


def _share(text):
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number above 0 and up to 1; pass for example 0.9")
    return value


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan


def _train(arguments):
    ranks = None
    if arguments.distributed is not None:
        from nnscratch import distributed

        made = distributed.mpi if arguments.device == "cpu" else distributed.nccl
        ranks = made(arguments.distributed)
    with backend.use_precision(arguments.precision):
        arguments.system.run(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            lr=arguments.lr,
            seed=arguments.seed,
            device=arguments.device,
            full=arguments.full,
            resume=arguments.resume,
            out=arguments.out,
            distributed=ranks,
            capture=arguments.capture,
            **{name: getattr(arguments, name, None) for name in arguments.system.options},
        )


def _generate(arguments):
    system, model = _run_that_can(arguments, "generate", "writes nothing")
    given = {k: v for k, v in vars(arguments).items() if v is not None and k not in ("command", "folder", "run")}
    known = inspect.signature(system.generate).parameters
    wrong = next((name for name in given if name not in known), None)
    if wrong is not None:
        raise ValueError(f"{system.name} takes no --{wrong.replace('_', '-')}; leave it out")
    if "folder" in known:
        given["folder"] = arguments.folder
    print(system.generate(model, **given))


def _predict(arguments):
    system, model = _run_that_can(arguments, "predict", "takes no texts")
    for text in arguments.texts:
        print(system.predict(model, text))


def _compress(arguments):
    from nnscratch.systems import compressing

    given = {k: v for k, v in vars(arguments).items() if k not in ("command", "run")}
    given["distil"] = None if arguments.distil is None else arguments.distil.name
    results = compressing.run(**given)
    _print_table(compressing.rows(before=results["before"], after=results["after"]))
    print(f"\nthe smaller network is in {results['out']}; `nnscratch evaluate {results['out']}` measures it again")


def _evaluate(arguments):
    from nnscratch.systems import compressing

    _print_table(compressing.rows(run=compressing.evaluate(arguments.folder)))


def _run_that_can(arguments, method, otherwise):
    """The system and the network of a run, which has to have a method."""
    from nnscratch import systems

    try:
        system, model = systems.load(arguments.folder)
    except (OSError, ValueError) as error:
        raise type(error)(str(error).removeprefix("load: ")) from None
    if not hasattr(system, method):
        able = ", ".join(s.name for s in systems.every() if hasattr(s, method))
        raise ValueError(f"{arguments.folder} is a run of {system.name}, which {otherwise}; pass one of {able}")
    return system, model


def _check(arguments):
    import time

    from nnscratch.testing.operations import check_operation
    from nnscratch.view.formula import text

    start = time.perf_counter()
    operations = arguments.operations or _table_of_operations().values()
    checks = [check_operation(op, arguments.seed) for op in operations]
    if arguments.json is not None:
        _write_figures(arguments.json, checks)
    width = shutil.get_terminal_size((LINE, 24)).columns if sys.stdout.isatty() else LINE
    rows = [("operation", "documents", "forward, ulp", "first", "second", "pass", "formula")]
    for c in checks:
        document = _cut(c.document, 20)
        figures = (_figure(c.forward, ".2f"), _figure(c.first, ".1e"), _figure(c.second, ".1e"))
        rows.append((c.operation, document, *figures, "yes" if c.passed else "NO", text(c.formula)))
    _print_table(rows, width)
    problems = [p for c in checks for p in c.problems]
    if problems:
        print("", *problems, sep="\n")
    print()
    if any(c.document for c in checks):
        print(documents.HINT)
    passed = sum(c.passed for c in checks)
    print(
        f"{passed} of {len(checks)} operations pass, {sum(c.rows for c in checks)} rows; "
        f"worst relative error of a first derivative {_figure(_worst(c.first for c in checks), '.1e')}, "
        f"of a second {_figure(_worst(c.second for c in checks), '.1e')}; {time.perf_counter() - start:.1f} s"
    )
    return 0 if passed == len(checks) else 1


def _write_figures(path, checks):
    import json

    from nnscratch.files import write_bytes

    names = ("operation", "formula", "document", "rows", "forward", "first", "second", "passed", "problems", "seconds")
    figures = [{name: getattr(c, name) for name in names} for c in checks]
    for row in figures:
        row.update({k: None for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)})
    write_bytes("check", path, json.dumps(figures, indent=2, ensure_ascii=False).encode())


def _worst(values):
    return max((v for v in values if v is not None), default=None)


def _figure(value, form):
    return "-" if value is None else f"{value:{form}}"


def _cut(text, width):
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _systems(arguments):
    from nnscratch import systems

    rows = [("name", "index", "documents", "what it is")]
    rows += [(s.name, s.id, s.document, s.title) for s in systems.every()]
    _print_table(rows)
    print(f"\n{documents.HINT}")


def _documents(arguments):
    import re
    import textwrap

    from nnscratch import formulas
    from nnscratch.view.formula import text

    parts = re.split(r"^#+ (.*)$", formulas.documents_page(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for key in arguments.places or [key for key in documents.DOCUMENTS if " " not in key]:
        words = re.sub(r"\$`(.*?)`\$", lambda m: text(m[1]), sections[key])
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", words).replace("**", "").replace("`", "")
        if arguments.places and len(key) == 3:  # a whole document
            words += "\n".join(documents.meaning(k) for k in documents.DOCUMENTS if k.startswith(f"{key} "))
        print(key)
        for line in filter(None, words.split("\n")):
            print(textwrap.fill(line, LINE, initial_indent="  ", subsequent_indent="  "))
        print()
    print("docs/documents.md has all of it on a page.")


def _info(arguments):
    import platform

    import numpy as np

    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    rows = [
        ("nnscratch", nnscratch.__version__),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("NumPy", np.__version__),
        ("system", platform.platform()),
        ("processor cores", str(_cores())),
        ("devices", ", ".join(backend.devices())),
        ("BLAS", f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()),
        ("BLAS threads", _threads()),
    ]
    try:
        rows += backend.get("cuda").describe()
    except ValueError as error:
        rows.append(("GPU", str(error).removeprefix("device: ")))
    _print_table(rows)


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _threads():
    from threadpoolctl import threadpool_info

    return ", ".join(f"{p['num_threads']}" for p in threadpool_info() if p["user_api"] == "blas") or "unknown"


def _print_table(rows, width=None):
    """Print rows in columns, each line cut to a width where one is given."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
        print(line if width is None else _cut(line, width))
