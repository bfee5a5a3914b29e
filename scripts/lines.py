"""What the programs beside this file share: they read the lines of `observer attach` from standard input.

The lines are explained in docs/schema.md. What cannot be used is named once on standard error and left out.
"""

import argparse
import json
import os
import signal
import sys
from collections import defaultdict

VERSION = 1
PATIENCE_S = 2
# What a `sample` stands for where the input has no header: SAMPLE_ONE_IN in observer/src/output/selection.rs.
SAMPLE_ONE_IN = 100


# The protocol of request lines that name none.
HTTP_1 = "http/1"


def count(number, thing):
    """`1 request`, `2 requests`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def each_request(take, only=None, at_end=None):
    """Calls take(request, weight) for each request until the input ends; it stands for weight requests. The `end` line
    goes to at_end, where that is given.

    request["target"] is the first process of its target: the one that it was forked from while that was watched, or
    itself. With `only`, requests of other targets are left out. All are of one protocol, as in observer's totals:
    HTTP/1 if there is a request of it, else the one with most turns."""
    told = set()

    def tell(number, problem, detail=""):
        if problem not in told:
            told.add(problem)
            program = os.path.basename(sys.argv[0])
            print(f"{program}: line {number} left out: {problem}{safe(detail)}", file=sys.stderr)

    sample_one_in = SAMPLE_ONE_IN
    seen_http_1, waiting = False, defaultdict(list)
    written = counted = 0
    first_of = {}

    def use(number, line):
        nonlocal sample_one_in, seen_http_1, written, counted
        try:
            if line["v"] != VERSION:
                tell(number, f"only version {VERSION} of the schema is known here, not ", line["v"])
            elif line["type"] == "header":
                sample_one_in = int(line["options"]["sample_one_in"])
            elif line["type"] == "end":
                counted = int(line["requests"])
                if at_end:
                    at_end(line)
            elif line["type"] == "process":
                if "parent" in line:
                    first_of[line["pid"]] = first_of.get(line["parent"], line["parent"])
            elif line["type"] == "request":
                written += 1
                weight = sample_one_in if line["why"] == "sample" else 1
                line["target"] = first_of.get(line["pid"], line["pid"])
                if only not in (None, line["target"]):
                    return
                protocol = line.get("protocol", HTTP_1)
                if protocol == HTTP_1:
                    take(line, weight)
                    seen_http_1 = True
                elif not seen_http_1:
                    waiting[protocol].append((number, line, weight))
        except (AttributeError, LookupError, TypeError, ArithmeticError) as error:
            tell(number, "not as docs/schema.md has it: ", repr(error))

    for number, raw in enumerate(until_interrupted(sys.stdin.buffer), 1):
        try:
            use(number, json.loads(raw))
        except (ValueError, RecursionError):
            if raw.strip():
                tell(number, "not JSON" if raw.endswith(b"\n") else "the last line is cut")
    if counted and not written:
        program = os.path.basename(sys.argv[0])
        print(f"{program}: {count(counted, 'request')} counted, none written: `--requests all` does", file=sys.stderr)
    if waiting and not seen_http_1:
        leading = max(waiting, key=lambda protocol: sum(weight for _, _, weight in waiting[protocol]))
        for number, line, weight in waiting[leading]:
            try:
                take(line, weight)
            except (AttributeError, LookupError, TypeError, ArithmeticError) as error:
                tell(number, "not as docs/schema.md has it: ", repr(error))


def until_interrupted(stream):
    """Lines of the stream. Ctrl-C ends observer too: what it still writes is waited for, but briefly."""
    waiting = stopped = False

    def stop(*_):
        nonlocal stopped
        stopped = True
        if waiting:
            raise KeyboardInterrupt

    def stop_soon(*_):
        signal.signal(signal.SIGINT, stop)
        signal.alarm(PATIENCE_S)

    # Where it is ignored, as in the background of a script, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGALRM, stop)
        signal.signal(signal.SIGINT, stop if stream.isatty() else stop_soon)
    line = b"first"
    try:
        while line:
            waiting = True
            # One that came just before did not raise.
            line = b"" if stopped else stream.readline()
            waiting = False
            if line:
                yield line
    except KeyboardInterrupt:
        pass
    signal.alarm(0)
    if signal.getsignal(signal.SIGINT) in (stop, stop_soon):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def arguments_of(purpose):
    """A parser whose help is the purpose as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=purpose, formatter_class=formatter)
    parser.add_argument("--target", type=int, metavar="PID", help="only of this process and of those forked from it")
    return parser


def run(main):
    """Runs a program. That the reader of its output went away, or Ctrl-C, is a normal end."""
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(130)


def safe(text):
    """Names and paths come from strangers: what would steer a terminal is shown as an escape."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in str(text))


def ms(ns):
    return f"{ns / 1e6:.2f} ms"


def quantile(pairs, percent):
    """The smallest value of (value, weight) pairs that so many percent of the weight do not exceed."""
    pairs = sorted(pairs)
    rank, seen = sum(weight for _, weight in pairs) * percent, 0
    for value, weight in pairs:
        seen += weight
        if seen * 100 >= rank:
            return value
    raise ValueError("no values have no quantile")


def culprit(span):
    """What a span waited for, in words; empty where nothing is known but its cause."""
    words = [f"{word} {span[name]}" for word, name in (("in", "syscall"), ("on", "object"), ("for", "peer"))
             if name in span]
    behind = span.get("culprit")
    if behind:
        thread = behind.get("comm", f"thread {behind['tid']}")
        words.append(f"behind {behind['request']} ({thread})" if "request" in behind else f"behind {thread}")
    return safe(" ".join(words))
