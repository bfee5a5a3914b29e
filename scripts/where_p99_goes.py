#!/usr/bin/env python3
"""Where the p99 goes, by path.

For each path: the mean budget of its requests at or above the path's own p99, most time first, and for each
cause the culprit that took most of it. Where not all requests were written, the number of requests and the p99 are
those of the `end` line, if it lists the path; the rest is an estimate, in which each request line counts as many
times as it stands for. With several targets each has its own paths, which begin with its pid.

    sudo observer attach --pid 4120 --duration 30s | scripts/where_p99_goes.py
"""

from collections import Counter, defaultdict

from lines import HTTP_1, arguments_of, count, culprit, each_request, ms, quantile, run, safe

NOT_HTTP = "(not HTTP)"
UNEXPLAINED = "unexplained"
# What shows as 0.00 ms and is less of the time is left out; never what nothing explains.
LEAST_PART = 0.005
# To so many percent the p99 of a path is known to the `end` line.
RESOLUTION = 3


def summarize(request, weight):
    """What is kept of a request: latency, weight, whether all are written, budget, and time by cause and culprit."""
    waits = Counter()
    for span in request["timeline"]:
        waits[span["cause"], culprit(span)] += span["dur_ns"]
    return request["latency_ns"], weight, request["why"] == "all", request["budget_ns"], waits


def counted_by(end):
    """Requests and p99 by target and path, as an `end` line has them of every request."""
    counted = {}
    for target in end["targets"]:
        if target.get("protocol", HTTP_1) == HTTP_1:
            for path in target["paths"]:
                counted[target["pid"], path["path"]] = int(path["requests"]), int(path["p99_ns"])
        else:
            counted[target["pid"], NOT_HTTP] = int(target["requests"]), int(target["latency_ns"]["p99"])
    return counted


def most_first(counter):
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


class Path:
    """The requests of a path by their lines and, where these are not all, by what the `end` line counted."""

    def __init__(self, requests, counted):
        self.requests = requests
        weighted = [request[:2] for request in requests]
        self.all_written = all(request[2] for request in requests) and (counted is None or counted[0] == len(requests))
        self.by_end = counted is not None and not self.all_written
        if self.by_end:
            self.of_all, self.p99 = counted
            self.from_ns = self.p99 * (100 - RESOLUTION) // 100
        else:
            self.of_all, self.p99 = sum(weight for _, weight in weighted), quantile(weighted, 99)
            self.from_ns = self.p99

    def title(self, tail):
        """What there is above the causes, where these requests are the slowest."""
        p99 = f"p99 {ms(self.p99)} of {count(self.of_all, 'request')}"
        if not tail:
            return f"{p99}; none in {count(len(self.requests), 'line')} is at or above it"
        total = sum(request[1] for request in tail)
        mean = ms(sum(request[1] * sum(request[3].values()) for request in tail) / total)
        if self.by_end:
            # A line of a sample can stand for more than there were.
            of_tail = min(total, self.of_all)
            return f"{p99}; estimated from {count(len(tail), 'line')}: {of_tail} at or above it took {mean} in the mean"
        estimated = "" if self.all_written else f"estimated from {count(len(self.requests), 'line')}: "
        return f"{estimated}{p99}; {total} at or above it, by {count(len(tail), 'line')}, took {mean} in the mean"


def show(name, path):
    tail = [request for request in path.requests if request[0] >= path.from_ns]
    print(f"{safe(name)}: {path.title(tail)}")
    total, budget, waits = 0, Counter(), Counter()
    for _, weight, _, causes, culprits in tail:
        total += weight
        for cause, ns in causes.items():
            budget[cause] += weight * ns
        for wait, ns in culprits.items():
            waits[wait] += weight * ns
    everything = sum(budget.values())
    for cause, ns in most_first(budget):
        mean = ms(ns / total)
        if cause != UNEXPLAINED and mean == ms(0) and ns < LEAST_PART * everything:
            continue
        named = [name for (of, name), _ in most_first(waits) if of == cause and name]
        line = f"{mean:>14} {100 * ns / max(everything, 1):5.1f} %  {safe(cause):<15}"
        print(f"{line} {named[0] if named else ''}".rstrip())


def main():
    parser = arguments_of(__doc__)
    parser.add_argument("--paths", type=int, default=10, metavar="N", help="show the N slowest (default 10)")
    arguments = parser.parse_args()

    by_path, counted = defaultdict(list), {}

    def take(request, weight):
        path = request["http"]["path"] if "http" in request else NOT_HTTP
        by_path[request["target"], path].append(summarize(request, weight))

    each_request(take, arguments.target, lambda end: counted.update(counted_by(end)))
    if not by_path:
        print("no requests")
    paths = {key: Path(requests, counted.get(key)) for key, requests in by_path.items()}
    several = len({target for target, _ in paths}) > 1
    for (target, name), _ in most_first({key: path.p99 for key, path in paths.items()})[:arguments.paths]:
        show(f"{target} {name}" if several else name, paths[target, name])


if __name__ == "__main__":
    run(main)
