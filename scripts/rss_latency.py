#!/usr/bin/env python3
"""Resident memory against latency, as a picture.

Across: RSS of the process at the last send. Upwards: latency, on a logarithmic scale. The darker a place, the
more requests, each line counting as many times as it stands for. Below, the latency in each quarter of the
range of RSS. With several targets ask for one of them: the memory of two servers is not one thing.

    sudo observer attach --pid 4120 --duration 30s | scripts/rss_latency.py --svg rss.svg
"""

import math
from collections import Counter

from lines import arguments_of, count, each_request, ms, quantile, run

COLUMNS, ROWS, CELL = 64, 16, 10
SHADES = ".:-=+*#%@"


def place(value, low, high, places):
    """Which of so many equal places between low and high a value is in."""
    return min(places - 1, int((value - low) / (high - low) * places)) if high > low else 0


def mib(rss):
    return f"{rss / (1 << 20):.1f} MiB"


def draw(shades, latencies, rss):
    for row in reversed(range(ROWS)):
        label = {0: ms(latencies[0]), ROWS - 1: ms(latencies[1])}.get(row, "")
        places = "".join(shades.get((column, row), " ") for column in range(COLUMNS))
        print(f"{label:>14} |{places.rstrip()}")
    print(" " * 15 + "+" + "-" * COLUMNS)
    print(f"{'':>16}{mib(rss[0])}{mib(rss[1]):>{COLUMNS - len(mib(rss[0]))}}")


def svg(shades, latencies, rss):
    width, height = COLUMNS * CELL, ROWS * CELL
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-100 -20 {width + 120} {height + 60}" '
           'font-family="sans-serif" font-size="12">')
    yield f'<rect width="{width}" height="{height}" fill="none" stroke="#888"/>'
    for (column, row), shade in sorted(shades.items()):
        opacity = (SHADES.index(shade) + 1) / len(SHADES)
        yield (f'<rect x="{column * CELL}" y="{(ROWS - 1 - row) * CELL}" width="{CELL}" height="{CELL}" '
               f'fill="#a03020" fill-opacity="{opacity:.2f}"/>')
    for x, y, anchor, text in [
        (-6, height, "end", ms(latencies[0])), (-6, 12, "end", ms(latencies[1])),
        (0, height + 18, "start", mib(rss[0])), (width, height + 18, "end", mib(rss[1])),
        (width // 2, height + 34, "middle", "RSS; upwards latency, logarithmic"),
    ]:
        yield f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'
    yield "</svg>"


def main():
    parser = arguments_of(__doc__)
    parser.add_argument("--svg", metavar="FILE", help="also write the picture to FILE")
    arguments = parser.parse_args()

    points, without = [], Counter()

    def take(request, weight):
        if "rss" in request:
            points.append((request["rss"]["end"], max(request["latency_ns"], 1), weight))
        else:
            without["rss"] += weight

    each_request(take, arguments.target)
    if points:
        rss = min(point[0] for point in points), max(point[0] for point in points)
        latencies = min(point[1] for point in points), max(point[1] for point in points)
        cells, quarters = Counter(), [[] for _ in range(4)]
        for memory, ns, weight in points:
            row = place(math.log(ns), math.log(latencies[0]), math.log(latencies[1]), ROWS)
            cells[place(memory, *rss, COLUMNS), row] += weight
            quarters[place(memory, *rss, 4)].append((ns, weight))
        most = math.log1p(max(cells.values()))
        shades = {}
        for cell, weight in cells.items():
            shades[cell] = SHADES[place(math.log1p(weight), 0, most, len(SHADES))]
        draw(shades, latencies, rss)
        for number, pairs in enumerate(quarters):
            if pairs:
                first = rss[0] + (rss[1] - rss[0]) * number / 4
                print(f"from {mib(first)}: {count(sum(weight for _, weight in pairs), 'request')}, "
                      f"p50 {ms(quantile(pairs, 50))}, p99 {ms(quantile(pairs, 99))}")
        if arguments.svg:
            with open(arguments.svg, "w", encoding="utf-8") as file:
                file.write("\n".join(svg(shades, latencies, rss)) + "\n")
    print(f"{count(sum(point[2] for point in points), 'request')} shown, {without['rss']} without RSS not shown")


if __name__ == "__main__":
    run(main)
