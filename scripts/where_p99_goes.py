#!/usr/bin/env python3
"""Where the p99 goes, by path.

For each path: the mean budget of its requests at or above the path's own p99, most time first, and for each
cause the culprit that took most of it. Each request line counts as many times as it stands for. With several
targets each has its own paths, which begin with its pid.

    sudo observer attach --pid 4120 --duration 30s | scripts/where_p99_goes.py
"""

from collections import Counter, defaultdict

from lines import arguments_of, culprit, each_request, ms, quantile, run, safe


def summarize(request, weight):
    """What is kept of a request: latency, weight, budget, and time by cause and culprit."""
    waits = Counter()
    for span in request["timeline"]:
        waits[span["cause"], culprit(span)] += span["dur_ns"]
    return request["latency_ns"], weight, request["budget_ns"], waits


def most_first(counter):
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def show(path, requests):
    p99 = quantile([(latency, weight) for latency, weight, _, _ in requests], 99)
    tail = [request for request in requests if request[0] >= p99]
    total, budget, waits = 0, Counter(), Counter()
    for _, weight, causes, culprits in tail:
        total += weight
        for cause, ns in causes.items():
            budget[cause] += weight * ns
        for wait, ns in culprits.items():
            waits[wait] += weight * ns
    everything, of_all = sum(budget.values()), sum(weight for _, weight, _, _ in requests)
    print(f"{safe(path)}: p99 {ms(p99)} of {of_all} requests; "
          f"{total} at or above it, by {len(tail)} lines, took {ms(everything / total)} in the mean")
    for cause, ns in most_first(budget):
        named = [name for (of, name), _ in most_first(waits) if of == cause and name]
        line = f"{ms(ns / total):>14} {100 * ns / max(everything, 1):5.1f} %  {safe(cause):<15}"
        print(f"{line} {named[0] if named else ''}".rstrip())


def main():
    parser = arguments_of(__doc__)
    parser.add_argument("--paths", type=int, default=10, metavar="N", help="show the N slowest (default 10)")
    arguments = parser.parse_args()

    by_path = defaultdict(list)

    def take(request, weight):
        path = request["http"]["path"] if "http" in request else "(not HTTP)"
        by_path[request["target"], path].append(summarize(request, weight))

    each_request(take, arguments.target)
    if not by_path:
        print("no requests")
    p99 = {path: quantile([request[:2] for request in requests], 99) for path, requests in by_path.items()}
    several = len({target for target, _ in by_path}) > 1
    for (target, path), _ in most_first(p99)[:arguments.paths]:
        show(f"{target} {path}" if several else path, by_path[target, path])


if __name__ == "__main__":
    run(main)
