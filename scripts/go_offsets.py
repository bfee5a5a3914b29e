#!/usr/bin/env python3
"""Prints where each version of Go keeps what observer reads of its goroutines, threads and collections of garbage: the
table in observer/src/source/live/runtime/go/offsets.rs.

For each version an empty program is built with that toolchain, which `go` fetches, and its own debug information is
read.

usage: go_offsets.py [VERSION ...]     such as 1.27.3; without any, the newest of each minor version from 1.19
"""

import json
import os
import re
import subprocess
import sys
import tempfile

FIRST_MINOR = 19
PROGRAM = "package main\n\nfunc main() { println() }\n"
# Structure, member, and what the table calls it, in its order.
MEMBERS = [
    ("g", "m", "g_m"),
    ("g", "sched.pc", "g_goes_on"),
    ("g", "sched.bp", "g_frame"),
    ("g", "goid", "g_goid"),
    ("g", "waitreason", "g_waitreason"),
    ("g", "trackingSeq", "g_tracking_seq"),
    ("m", "g0", "m_g0"),
    ("m", "procid", "m_procid"),
    ("m", "curg", "m_curg"),
    ("workType", "cycles", "work_cycles"),
    ("workType", "tSweepTerm", "work_times"),
    ("mstats", "pause_ns", "memstats_pauses"),
    ("mstats", "numgc", "memstats_numgc"),
    ("gcControllerState", "heapLive", "controller_heap"),
    ("gcControllerState", "gcPercentHeapGoal", "controller_goal"),
    ("schedt", "ngsys", "sched_system"),
    ("schedt", "npidle", "sched_idle"),
    ("schedt", "runq.size|runqsize", "sched_runnable"),
    ("schedt", "gFree.stack.size|gFree.n", "sched_free"),
    ("schedt", "gFree.noStack.size|gFree.n", "sched_free_without_stack"),
    ("p", "id", "p_id"),
    ("p", "status", "p_status"),
    ("p", "runqhead", "p_head"),
    ("p", "runqtail", "p_tail"),
    ("p", "runnext", "p_next"),
    ("p", "gFree.size|gFree.n", "p_free"),
]
READER = """package main

import (
    "debug/dwarf"
    "debug/elf"
    "encoding/json"
    "os"
    "slices"
)

func must(err error) {
    if err != nil {
        panic(err)
    }
}

// collect finds the fields of a structure, and those of the structures in it.
func collect(found map[string]int64, name string, at int64, kind dwarf.Type) {
    if named, ok := kind.(*dwarf.TypedefType); ok {
        kind = named.Type
    }
    if structure, ok := kind.(*dwarf.StructType); ok {
        for _, field := range structure.Field {
            path, at := name+"."+field.Name, at+field.ByteOffset
            found[path] = at
            collect(found, path, at, field.Type)
        }
    }
}

func main() {
    file, err := elf.Open(os.Args[1])
    must(err)
    data, err := file.DWARF()
    must(err)
    found := map[string]int64{}
    reader := data.Reader()
    for {
        entry, err := reader.Next()
        must(err)
        if entry == nil {
            break
        }
        if entry.Tag != dwarf.TagStructType {
            continue
        }
        name, _ := entry.Val(dwarf.AttrName).(string)
        if !slices.Contains(os.Args[2:], name) {
            continue
        }
        kind, err := data.Type(entry.Offset)
        must(err)
        collect(found, name[len("runtime."):], 0, kind)
    }
    must(json.NewEncoder(os.Stdout).Encode(found))
}
"""


def go(directory, *arguments, toolchain="local"):
    """Runs `go` with the toolchain of this version, and gives what it prints."""
    environment = dict(os.environ, GOTOOLCHAIN=toolchain, GOFLAGS="-mod=mod", CGO_ENABLED="0")
    done = subprocess.run(["go", *arguments], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"go {' '.join(arguments)} failed with {toolchain}")
    return done.stdout


def module(directory, name, source):
    """Writes a program of its own."""
    path = os.path.join(directory, name)
    os.mkdir(path)
    for file, text in (("go.mod", f"module {name}\n\ngo 1.{FIRST_MINOR}\n"), ("main.go", source)):
        with open(os.path.join(path, file), "w", encoding="utf-8") as out:
            out.write(text)
    return path


def newest(listed):
    """Of each minor version the newest that is no preview, in order."""
    patches = {}
    for version in listed:
        found = re.fullmatch(r"v0\.0\.1-go1\.(\d+)(?:\.(\d+))?\.linux-amd64", version)
        if found and int(found[1]) >= FIRST_MINOR:
            minor = int(found[1])
            patches[minor] = max(patches.get(minor, 0), int(found[2] or 0))
    # Until 1.20 the first of a minor version has no patch number.
    return [f"1.{minor}" if minor < 21 and patch == 0 else f"1.{minor}.{patch}" for minor, patch in sorted(patches.items())]


def offset(offsets, structure, members):
    """Where a member is, which newer versions call as the first of these and older ones as another."""
    return next(offsets[path] for path in (f"{structure}.{member}" for member in members.split("|")) if path in offsets)


def row(version, offsets):
    """One version, as the table has it."""
    minor = version.split(".")[1]
    fields = ", ".join(f"{name}: {offset(offsets, structure, members)}" for structure, members, name in MEMBERS)
    return f"    // {version}\n    ({minor}, Offsets {{ {fields} }}),"


def main():
    with tempfile.TemporaryDirectory() as directory:
        reader = module(directory, "reader", READER)
        go(reader, "build", "-o", "reader")
        program = module(directory, "program", PROGRAM)
        listed = json.loads(go(program, "list", "-m", "-json", "-versions", "golang.org/toolchain"))
        for version in sys.argv[1:] or newest(listed["Versions"]):
            go(program, "build", "-o", "program", "main.go", toolchain=f"go{version}")
            structures = sorted({f"runtime.{structure}" for structure, _, _ in MEMBERS})
            read = subprocess.run(
                [os.path.join(reader, "reader"), os.path.join(program, "program"), *structures],
                stdout=subprocess.PIPE,
                check=True,
            )
            print(row(version, json.loads(read.stdout)), flush=True)


if __name__ == "__main__":
    main()
