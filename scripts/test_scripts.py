"""The programs of this directory, run as users run them: with lines on standard input.

    python3 -m unittest discover --start-directory scripts
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

import go_offsets

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "schema.md"
PROGRAMS = ["where_p99_goes.py", "slowest.py", "rss_latency.py"]
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
MS, MIB = 1_000_000, 1 << 20

HEADER = {"v": 1, "type": "header", "options": {"requests": "tail", "sample_one_in": 10}}


def request(path, *spans, why="tail", rss=8 * MIB, **more):
    """A request made of (cause, ms, more of the span)."""
    at, budget, timeline = 0, {}, []
    for cause, length, *rest in spans:
        span = {"at_ns": at, "dur_ns": length * MS, "cause": cause}
        timeline.append({**span, **(rest[0] if rest else {})})
        budget[cause] = budget.get(cause, 0) + length * MS
        at += length * MS
    return {"v": 1, "type": "request", "pid": 7, "latency_ns": at, "why": why, "complete": True, "budget_ns": budget,
            "http": {"method": "GET", "path": path, "status": 200}, "rss": {"start": rss, "end": rss},
            "timeline": timeline, **more}


def text(*lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


def obey_ctrl_c():
    # Where a shell runs this in the background it is ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(program, *arguments, **more):
    return subprocess.Popen([HERE / program, *arguments], stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=ENVIRONMENT, preexec_fn=obey_ctrl_c, **more)


def run(program, stdin, *arguments):
    """What a program says, and what it complains about."""
    with start(program, *arguments, stdout=subprocess.PIPE) as process:
        stdin = stdin if isinstance(stdin, bytes) else stdin.encode()
        out, errors = process.communicate(stdin, timeout=60)
    assert process.returncode == 0, errors.decode()
    return out.decode(), errors.decode()


class Figures(unittest.TestCase):
    maxDiff = None

    def test_the_p99_of_a_path_is_weighted_and_split_by_cause(self):
        behind = {"syscall": "read", "object": "/srv/data",
                  "culprit": {"pid": 7, "tid": 9, "comm": "worker-1", "request": "GET /slow"}}
        lines = [HEADER]
        # 40 samples stand for 400 requests; with 2 of the tail the p99 is at rank 397.98: among the samples.
        lines += [request("/a", ("on_cpu", 1), why="sample")] * 39
        hog = {"culprit": {"pid": 5, "tid": 5, "comm": "hog"}}
        lines += [request("/a", ("run_queue", 2, hog), why="sample")]
        lines += [request("/a", ("worker_blocked", 30, behind), ("on_cpu", 8))]
        lines += [request("/a", ("worker_blocked", 10), ("downstream", 6, {"peer": "127.0.0.1:5432"}))]
        lines += [request("/b", ("on_cpu", 5), why="all")] * 3
        out, errors = run("where_p99_goes.py", text(*lines))
        self.assertEqual(errors, "")
        self.assertEqual(out, """\
/b: p99 5.00 ms of 3 requests; 3 at or above it, by 3 lines, took 5.00 ms in the mean
       5.00 ms 100.0 %  on_cpu
/a: estimated from 42 lines: p99 2.00 ms of 402 requests; 12 at or above it, by 3 lines, took 6.17 ms in the mean
       3.33 ms  54.1 %  worker_blocked  in read on /srv/data behind GET /slow (worker-1)
       1.67 ms  27.0 %  run_queue       behind hog
       0.67 ms  10.8 %  on_cpu
       0.50 ms   8.1 %  downstream      for 127.0.0.1:5432
""")

    def test_what_is_left_out_shows_as_nothing_is_a_small_part_and_explained(self):
        quick = request("/quick", ("on_cpu", 0.006), ("run_queue", 0.004), ("lock", 0.001), ("unexplained", 0.003))
        slow = request("/slow", ("on_cpu", 0.995), ("run_queue", 0.005), ("lock", 0.004), ("unexplained", 0.001))
        out, errors = run("where_p99_goes.py", text({**quick, "why": "all"}, {**slow, "why": "all"}))
        self.assertEqual(errors, "")
        self.assertEqual(out, """\
/slow: p99 1.00 ms of 1 request; 1 at or above it, by 1 line, took 1.00 ms in the mean
       0.99 ms  99.0 %  on_cpu
       0.01 ms   0.5 %  run_queue
       0.00 ms   0.1 %  unexplained
/quick: p99 0.01 ms of 1 request; 1 at or above it, by 1 line, took 0.01 ms in the mean
       0.01 ms  42.9 %  on_cpu
       0.00 ms  28.6 %  run_queue
       0.00 ms  21.4 %  unexplained
       0.00 ms   7.1 %  lock
""")

    def test_where_not_all_requests_are_written_their_number_and_p99_are_those_of_the_end_line(self):
        def path(name, requests, p99):
            return {"path": name, "requests": requests, "p50_ns": MS, "p99_ns": p99 * MS}

        end = {"v": 1, "type": "end", "requests": 100, "targets": [
            {"pid": 7, "protocol": "http/1",
             "paths": [path("/a", 5000, 40), path("/few", 2, 9), path("/none", 300, 9)]},
            {"pid": 9, "protocol": "tls", "requests": 4, "latency_ns": {"p99": 5 * MS}, "paths": []},
            {"pid": 11, "paths": []},
        ]}
        lines = [HEADER] + [request("/a", ("on_cpu", 1), why="sample")] * 39
        # The end line knows its p99 to 3 %.
        lines += [request("/a", ("lock", 39)), request("/a", ("lock", 45)), request("/a", ("lock", 30), why="sample")]
        lines += [request("/few", ("on_cpu", length), why="all") for length in (8, 9)]
        lines += [request("/none", ("on_cpu", 1), why="sample"), request("/other", ("on_cpu", 2), why="sample")]
        out, errors = run("where_p99_goes.py", text(*lines, end))
        self.assertEqual(errors, "")
        self.assertEqual(out, """\
/a: p99 40.00 ms of 5000 requests; estimated from 2 lines: 2 at or above it took 42.00 ms in the mean
      42.00 ms 100.0 %  lock
/few: p99 9.00 ms of 2 requests; 1 at or above it, by 1 line, took 9.00 ms in the mean
       9.00 ms 100.0 %  on_cpu
/none: p99 9.00 ms of 300 requests; none in 1 line is at or above it
/other: estimated from 1 line: p99 2.00 ms of 10 requests; 10 at or above it, by 1 line, took 2.00 ms in the mean
       2.00 ms 100.0 %  on_cpu
""")
        other = request("", ("on_cpu", 5), protocol="tls", pid=9)
        del other["http"]
        out, errors = run("where_p99_goes.py", text(HEADER, other, end))
        self.assertEqual(errors, "")
        self.assertTrue(out.startswith("(not HTTP): p99 5.00 ms of 4 requests; estimated from 1 line: 1 at"), out)
        other["why"] = "sample"
        out, _ = run("where_p99_goes.py", text(HEADER, other, end))
        self.assertTrue(out.startswith("(not HTTP): p99 5.00 ms of 4 requests; estimated from 1 line: 4 at"), out)

    def test_the_slowest_come_first_each_with_its_strip(self):
        lines = [
            request("/quick", ("on_cpu", 1)),
            request("/new", ("accept_queue", 35, {"syscall": "read", "culprit": {
                "pid": 7, "tid": 9, "comm": "worker-1", "request": "GET /slow", "syscall": "read"}}), ("client", 10)),
            request("/slow", ("accept_queue", 10), ("lock", 20, {"syscall": "futex"}), ("on_cpu", 10)),
            request("/slower", ("new_cause", 25), ("unexplained", 25), complete=False),
        ]
        del lines[2]["http"]
        out, errors = run("slowest.py", text(*lines), "-n", "3")
        self.assertEqual(errors, "")
        self.assertEqual(out, f"""\
      50.00 ms |{"*" * 20}{"?" * 20}| GET /slower 200 (records lost): new_cause 25.00 ms
      45.00 ms |{"A" * 31}{"C" * 9}| GET /new 200: accept_queue 35.00 ms in read behind GET /slow (worker-1)
      40.00 ms |{"A" * 10}{"L" * 20}{"#" * 10}| (not HTTP): lock 20.00 ms in futex
A accept_queue  L lock  C client  # on_cpu  ? unexplained  * unknown here
""")

    def test_each_target_has_its_own_paths_and_one_can_be_asked_for(self):
        fork = {"v": 1, "type": "process", "event": "fork", "pid": 8, "parent": 7}
        lines = [fork, request("/slow", ("on_cpu", 2), pid=8, why="all"), request("/slow", ("on_cpu", 3), why="all"),
                 request("/slow", ("lock", 50), pid=9, why="all")]
        out, errors = run("where_p99_goes.py", text(*lines))
        self.assertEqual(errors, "")
        self.assertEqual(out, """\
9 /slow: p99 50.00 ms of 1 request; 1 at or above it, by 1 line, took 50.00 ms in the mean
      50.00 ms 100.0 %  lock
7 /slow: p99 3.00 ms of 2 requests; 1 at or above it, by 1 line, took 3.00 ms in the mean
       3.00 ms 100.0 %  on_cpu
""")
        out, _ = run("slowest.py", text(*lines), "-n", "1")
        self.assertIn("| 9 GET /slow 200: lock 50.00 ms", out)
        out, _ = run("where_p99_goes.py", text(*lines), "--target", "7")
        self.assertTrue(out.startswith("/slow: p99 3.00 ms of 2 requests;"), out)
        out, _ = run("rss_latency.py", text(*lines), "--target", "7")
        self.assertIn("2 requests shown", out)

    def test_rss_against_latency_is_a_picture(self):
        lines = [HEADER, request("/", ("on_cpu", 1), why="sample"), request("/", ("on_cpu", 1), why="sample"),
                 request("/", ("on_cpu", 100), rss=16 * MIB), request("/", ("on_cpu", 9), rss=16 * MIB)]
        del lines[-1]["rss"]
        with tempfile.TemporaryDirectory() as directory:
            svg = os.path.join(directory, "rss.svg")
            out, errors = run("rss_latency.py", text(*lines), "--svg", svg)
            drawn = xml.etree.ElementTree.parse(svg).getroot()
        self.assertEqual(errors, "")
        rows = out.splitlines()
        self.assertEqual(rows[0], "     100.00 ms |" + " " * 63 + "-")
        self.assertEqual(rows[1:15], [" " * 15 + "|"] * 14)
        self.assertEqual(rows[15], "       1.00 ms |@")
        self.assertEqual(rows[17].split(), ["8.0", "MiB", "16.0", "MiB"])
        self.assertEqual(rows[18:], [
            "from 8.0 MiB: 20 requests, p50 1.00 ms, p99 1.00 ms",
            "from 14.0 MiB: 1 request, p50 100.00 ms, p99 100.00 ms",
            "21 requests shown, 1 without RSS not shown",
        ])
        # The frame and the two places.
        self.assertEqual(len(drawn.findall("{http://www.w3.org/2000/svg}rect")), 3)

    def test_turns_of_other_protocols_are_not_among_requests(self):
        others = [request("/", ("on_cpu", 90), protocol="tls")] * 3
        others += [request("/", ("on_cpu", 70), protocol="http/2")] * 2
        http_1 = [request("/", ("on_cpu", 1))]
        for program in PROGRAMS:
            expected = run(program, text(*http_1))
            self.assertEqual(run(program, text(*others, *http_1, *others)), expected, program)
            self.assertEqual(run(program, text(*others)), run(program, text(*others[:3])), program)

    def test_a_sample_without_a_header_stands_for_what_observer_takes(self):
        out, _ = run("rss_latency.py", text(request("/", ("on_cpu", 1), why="sample")))
        self.assertTrue(out.endswith("\n100 requests shown, 0 without RSS not shown\n"), out)


class GoOffsets(unittest.TestCase):
    def test_of_each_minor_version_the_newest_patch_is_asked(self):
        listed = ["1.18.10", "1.19.2", "1.19.13", "1.20", "1.27.3", "1.28rc1", "1.21.0"]
        versions = [f"v0.0.1-go{version}.linux-amd64" for version in listed] + ["v0.0.1-go1.27.9.darwin-arm64"]
        self.assertEqual(go_offsets.newest(versions), ["1.19.13", "1.20", "1.21.0", "1.27.3"])


class Input(unittest.TestCase):
    def test_the_examples_of_the_schema_are_understood(self):
        examples = re.findall(r"^```json\n(.*)\n```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
        self.assertEqual(len(examples), 6)
        for program in PROGRAMS:
            out, errors = run(program, "\n".join(examples))
            self.assertEqual(errors, "", program)
            self.assertIsNone(re.search(r"\b(no|0) requests", out), program)

    def test_every_cause_of_the_schema_has_its_own_letter(self):
        section = PAGE.read_text(encoding="utf-8").split("### Causes\n")[1].split("\n#")[0]
        causes = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        lines = [request("/", (cause, 1)) for cause in causes]
        legend = run("slowest.py", text(*lines), "-n", "99")[0].splitlines()[-1].split("  ")
        self.assertEqual([entry.split()[1] for entry in legend], causes)
        self.assertEqual(len({entry.split()[0] for entry in legend}), len(causes))

    def test_no_lines_are_no_requests(self):
        for program in PROGRAMS:
            for stdin in ("", "\n", text(HEADER)):
                out, errors = run(program, stdin)
                self.assertIn(out, ("no requests\n", "0 requests shown, 0 without RSS not shown\n"), program)
                self.assertEqual(errors, "")

    def test_requests_of_which_no_line_was_written_are_told(self):
        end = text(HEADER, {"v": 1, "type": "end", "requests": 5, "targets": []})
        for program in PROGRAMS:
            errors = run(program, end)[1]
            self.assertEqual(errors, f"{program}: 5 requests counted, none written: `--requests all` does\n")

    def test_what_cannot_be_used_is_named_once_and_left_out(self):
        good = text(HEADER, request("/", ("on_cpu", 1)))
        bad = [
            (b'{"v":1,"type":"requ', "line 3 left out: the last line is cut"),
            (b'{"v":1,"type":"a","b":1}\n', None),
            (b'{"v":2,"type":"request"}\n' * 2, "line 3 left out: only version 1 of the schema is known"),
            (b'{"v":1,"type":"request"}\n', "line 3 left out: not as docs/schema.md has it: KeyError('why"),
            (b'["\\u001b[2J"]\n', "line 3 left out: not as docs/schema.md has it"),
            (b"\xff\x1b[2J\n" * 2, "line 3 left out: not JSON"),
            (b"[" * 100_000 + b"\n", "line 3 left out: not JSON"),
        ]
        for program in PROGRAMS:
            expected, _ = run(program, good)
            for stdin, complaint in bad:
                with self.subTest(program=program, stdin=stdin[:40]):
                    out, errors = run(program, good.encode() + stdin)
                    self.assertEqual(out, expected)
                    self.assertEqual(errors.count("\n"), 1 if complaint else 0)
                    self.assertTrue(errors.startswith(f"{program}: {complaint}" if complaint else ""), errors)
                    self.assertNotIn("\x1b", errors)

    def test_what_strangers_say_does_not_reach_the_terminal(self):
        hostile = "/\x1b[2J\x9b\r\n\x07\u202e\u200b\x7f"
        culprit = {"pid": 1, "tid": 1, "comm": hostile, "request": hostile}
        span = {"syscall": hostile, "object": hostile, "peer": hostile, "culprit": culprit}
        lines = text(request(hostile, (hostile, 1, span)), {"v": hostile, "type": "request"})
        for program in PROGRAMS:
            for said in run(program, lines):
                self.assertTrue(all(c.isprintable() or c == "\n" for c in said), said)
        shown = r"GET /\u{1b}[2J\u{9b}\u{d}\u{a}\u{7}\u{202e}\u{200b}\u{7f} 200"
        self.assertIn(shown, run("slowest.py", lines)[0])


class Ends(unittest.TestCase):
    def test_a_reader_that_went_away_is_a_quiet_end(self):
        for program in PROGRAMS:
            reader, writer = os.pipe()
            os.close(reader)
            with start(program, stdout=writer) as process:
                os.close(writer)
                _, errors = process.communicate(text(request("/", ("on_cpu", 1))).encode(), timeout=60)
            self.assertEqual((process.returncode, errors), (0, b""), program)

    def interrupted(self, program, then):
        """What a program shows that got Ctrl-C when it had read a request, and then whatever comes."""
        with start(program, stdout=subprocess.PIPE) as process:
            process.stdin.write(text(HEADER, request("/", ("on_cpu", 1)), {"v": 2}).encode())
            process.stdin.flush()
            # The complaint about the last line tells that those before it were read.
            self.assertIn(b"version", process.stderr.readline())
            process.send_signal(signal.SIGINT)
            then(process)
            out, errors = process.stdout.read().decode(), process.stderr.read()
        self.assertEqual((process.returncode, errors), (0, b""), program)
        return out

    def test_what_observer_writes_after_ctrl_c_still_counts(self):
        last = request("/last", ("on_cpu", 2))

        def writes(process):
            process.stdin.write(text(last).encode())
            process.stdin.close()

        for program in PROGRAMS:
            expected, _ = run(program, text(HEADER, request("/", ("on_cpu", 1)), last))
            self.assertEqual(self.interrupted(program, writes), expected, program)

    def test_ctrl_c_shows_what_there_is_where_the_writer_does_not_end(self):
        for program in PROGRAMS:
            expected, _ = run(program, text(HEADER, request("/", ("on_cpu", 1))))
            out = self.interrupted(program, lambda process: process.wait(timeout=60))
            self.assertEqual(out, expected, program)


if __name__ == "__main__":
    unittest.main()
