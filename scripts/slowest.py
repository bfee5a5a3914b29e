#!/usr/bin/env python3
"""The slowest requests, one line each: latency, a strip of its time, the request, the main culprit.

A strip goes from the arrival to the last send. Each place shows the cause that took most of that part of the
time; the letters are explained below the strips. With several targets a request begins with the pid of its own.

    sudo observer attach --pid 4120 --duration 30s | scripts/slowest.py -n 20
"""

import heapq
from collections import Counter

from lines import arguments_of, culprit, each_request, ms, run, safe

PLACES = 40
# Those of the table that `observer attach` shows on a terminal.
LETTERS = {
    "accept_queue": "A", "run_queue": "Q", "throttled": "H", "worker_busy": "W", "worker_blocked": "B",
    "task_queue": "T", "lock": "L", "syscall": "S", "downstream": "D", "timer": "Z", "page_fault": "F",
    "runtime": "G", "client": "C", "send_blocked": "N", "stolen": "V", "held_back": "K", "on_cpu": "#", "unexplained": "?",
}
UNKNOWN = "*"


def strip(timeline, latency_ns):
    """Letters for equal parts of the latency."""
    places = ""
    for place in range(PLACES):
        start, end = place * latency_ns, (place + 1) * latency_ns
        parts = Counter()
        for span in timeline:
            span_start = span["at_ns"] * PLACES
            inside = min(end, span_start + span["dur_ns"] * PLACES) - max(start, span_start)
            if inside > 0:
                parts[span["cause"]] += inside
        cause = parts.most_common(1)[0][0] if parts else ""
        places += LETTERS.get(cause, UNKNOWN) if parts else " "
    return places


def main_culprit(timeline):
    """The cause that took most time in all, with the culprit that took most of it."""
    causes, culprits = Counter(), Counter()
    for span in timeline:
        causes[span["cause"]] += span["dur_ns"]
        culprits[span["cause"], culprit(span)] += span["dur_ns"]
    if not causes:
        return ""
    cause, ns = causes.most_common(1)[0]
    named = next((name for (of, name), _ in culprits.most_common() if of == cause and name), "")
    return f"{safe(cause)} {ms(ns)} {named}".rstrip()


def describe(request, several):
    http = request.get("http", {})
    words = [str(request["target"]) if several else "", http.get("method", "(not HTTP)"), http.get("path", ""), str(http.get("status", ""))]
    lost = "" if request["complete"] else " (records lost)"
    return safe(" ".join(word for word in words if word)) + lost


def main():
    parser = arguments_of(__doc__)
    parser.add_argument("-n", type=int, default=10, metavar="N", help="show N requests (default 10)")
    arguments = parser.parse_args()

    slowest, targets = [], set()
    seen = 0

    def take(request, _):
        nonlocal seen
        seen += 1
        targets.add(request["target"])
        # Of equal ones the first stays; the count also keeps requests themselves from being compared.
        heapq.heappush(slowest, (request["latency_ns"], -seen, request))
        if len(slowest) > arguments.n:
            heapq.heappop(slowest)

    each_request(take, arguments.target)
    used = set()
    for latency_ns, _, request in sorted(slowest, reverse=True):
        places = strip(request["timeline"], latency_ns)
        used.update(places)
        what = describe(request, len(targets) > 1)
        print(f"{ms(latency_ns):>14} |{places}| {what}: {main_culprit(request['timeline'])}")
    legend = [f"{letter} {cause}" for cause, letter in LETTERS.items() if letter in used]
    print("  ".join(legend + ["* unknown here"] * (UNKNOWN in used)) if slowest else "no requests")


if __name__ == "__main__":
    run(main)
