package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// kind is what a stretch was.
type kind uint8

const (
	none kind = iota
	computing
	offCPU
	sleep
	timer
	lock
	disk
	pipe
	channelQueue
	connectionQueue
	waitsForPeer
	assist
	collection
	mark
	stop
)

// kinds are the names of them in the file.
var kinds = [...]string{
	computing: "cpu", offCPU: "off_cpu", sleep: "sleep", timer: "timer", lock: "lock", disk: "disk", pipe: "pipe",
	channelQueue: "channel_queue", connectionQueue: "connection_queue", waitsForPeer: "peer",
	assist: "assist", collection: "collection", mark: "mark", stop: "stop",
}

// MarshalText is the kind's name.
func (k kind) MarshalText() ([]byte, error) { return []byte(kinds[k]), nil }

// stretch is one injected fault: from when to when, and how much of that it was at least and at most. Times are of
// CLOCK_MONOTONIC, ns.
type stretch struct {
	Kind  kind  `json:"kind"`
	From  int64 `json:"from_ns"`
	To    int64 `json:"to_ns"`
	Least int64 `json:"least_ns"`
	Most  int64 `json:"most_ns"`
	// The goroutine that was waited for, where that is known.
	Task uint64 `json:"task,omitempty"`
}

// served is one request as its handler saw it. It holds no pointer: the garbage collector leaves what is kept alone.
type served struct {
	id, goroutine uint64
	start, end    int64
	injected      [4]stretch
}

// add adds a stretch. A handler has at most as many as there is room for.
func (s *served) add(one stretch) {
	for i := range s.injected {
		if s.injected[i].Kind == none {
			s.injected[i] = one
			return
		}
	}
}

// untilNow is a stretch from then until now, which took at least so much of it.
func untilNow(kind kind, from, least int64) stretch {
	to := now()
	return stretch{Kind: kind, From: from, To: to, Least: max(0, min(least, to-from)), Most: to - from}
}

// kept is what is kept in memory while the server is observed. Keeping makes no system call and faults in no memory.
type kept struct {
	file  string
	slots []served
	// Slots given away; more than there are when some requests found none.
	taken atomic.Int64
}

// newKept makes room, where there is a file, and the file, so that a wrong path is known now.
func newKept(file string) (*kept, error) {
	if file == "" {
		return &kept{}, nil
	}
	kept := &kept{file: file, slots: make([]served, slots)}
	for i := range kept.slots {
		kept.slots[i].id = 1
	}
	return kept, os.WriteFile(file, nil, 0o644)
}

// keep keeps one.
func (k *kept) keep(one served) {
	if index := k.taken.Add(1) - 1; index < int64(len(k.slots)) {
		k.slots[index] = one
	}
}

// write writes all of them, one object a line, with what the trace tells.
func (k *kept) write(traced *traced) error {
	if k.file == "" {
		return nil
	}
	taken := k.taken.Load()
	if taken > slots {
		return fmt.Errorf("there are %d requests and %d can be kept: make the run shorter", taken, slots)
	}
	file, err := os.Create(k.file)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(file)
	lines := json.NewEncoder(buffered)
	ofRuntime, err := traced.end(k.slots[:taken])
	if err != nil {
		return err
	}
	for _, one := range slices.Concat(k.slots[:taken], ofRuntime) {
		if err := lines.Encode(one.line()); err != nil {
			return err
		}
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// line is what the file says of a request. Any thread of Go's takes any goroutine up, so none is told.
func (s *served) line() any {
	var injected [len(s.injected)]*stretch
	for i := range s.injected {
		if s.injected[i].Kind != none {
			injected[i] = &s.injected[i]
		}
	}
	return struct {
		ID       uint64      `json:"id"`
		Thread   uint32      `json:"tid"`
		Task     uint64      `json:"task,omitempty"`
		Start    int64       `json:"start_ns"`
		End      int64       `json:"end_ns"`
		Injected [4]*stretch `json:"injected"`
	}{s.id, 0, s.goroutine, s.start, s.end, injected}
}

// goroutine is the number of the goroutine that calls it, which Go tells in its traces alone.
func goroutine() uint64 {
	var trace [64]byte
	// It begins like "goroutine 18 [running]".
	words := strings.Fields(string(trace[:runtime.Stack(trace[:], false)]))
	number, err := strconv.ParseUint(words[1], 10, 64)
	check(err)
	return number
}
