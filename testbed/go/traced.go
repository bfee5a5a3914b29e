package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
)

// traced is Go's execution trace, as far as it tells of the garbage collection what no handler knows: when the world
// was stopped, when goroutines marked, and how long each of a request did or waited. Its clock is that of now, in steps
// of 64 ns, and each part of it says so (`Mono`).
type traced struct {
	// What prints traces, cmd/trace.
	tool string
	file *os.File
}

// span is a time, ns.
type span struct{ from, to int64 }

// goroutineTrace is what the trace tells of a goroutine.
type goroutineTrace struct {
	// The runtime had it mark.
	marks                    bool
	running, waited, assists []span
}

// told is what the trace tells of all.
type told struct {
	goroutines map[string]*goroutineTrace
	stops      []span
	// What has begun, by goroutine or processor and what it is: since when.
	open map[[2]string]int64
}

// startTrace begins the trace, where there is a program to read it with.
func startTrace(tool, file string) (*traced, error) {
	if tool == "" {
		return nil, nil
	}
	if file == "" {
		return nil, errors.New("-trace-tool takes -truth")
	}
	out, err := os.Create(file + ".trace")
	if err != nil {
		return nil, err
	}
	return &traced{tool, out}, trace.Start(out)
}

// end ends the trace, adds to each request what it tells of it, and gives what it tells of the runtime: as work that no
// request waits for.
func (t *traced) end(requests []served) ([]served, error) {
	if t == nil {
		return nil, nil
	}
	trace.Stop()
	if err := t.file.Close(); err != nil {
		return nil, err
	}
	tool := exec.Command(t.tool, "-d=parsed", t.file.Name())
	tool.Stderr = os.Stderr
	lines, err := tool.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := tool.Start(); err != nil {
		return nil, err
	}
	all, err := readTrace(lines)
	if err := errors.Join(err, tool.Wait()); err != nil {
		return nil, err
	}
	for i := range requests {
		all.addTo(&requests[i])
	}
	return all.ofRuntime(), nil
}

var (
	event = regexp.MustCompile(`^M=\S+ P=\S+ G=\S+ (\w+) Time=(\d+)(.*)$`)
	clock = regexp.MustCompile(` Trace=(\d+) Mono=(\d+) `)
	label = regexp.MustCompile(`^ Label="GC .*" Resource=(Goroutine\(\d+\))`)
	rang  = regexp.MustCompile(`^ Name="(.*?)" Scope=(\S+)`)
	state = regexp.MustCompile(`^ GoID=(\d+) (\w+)->(\w+)`)
)

// readTrace reads what cmd/trace prints.
func readTrace(lines io.Reader) (*told, error) {
	all := &told{goroutines: map[string]*goroutineTrace{}, open: map[[2]string]int64{}}
	var ahead int64
	joined := false
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		parts := event.FindStringSubmatch(scanner.Text())
		if parts == nil {
			// Of a stack.
			continue
		}
		if at := clock.FindStringSubmatch(parts[3]); at != nil {
			ahead, joined = number(at[2])-number(at[1]), true
		}
		all.event(parts[1], number(parts[2])+ahead, parts[3])
	}
	if !joined {
		return nil, errors.New("the trace does not say how its clock is joined to CLOCK_MONOTONIC: it takes Go 1.25")
	}
	return all, scanner.Err()
}

// event is one line of the trace.
func (t *told) event(kind string, at int64, rest string) {
	switch kind {
	case "Label":
		if parts := label.FindStringSubmatch(rest); parts != nil {
			t.goroutine(parts[1]).marks = true
		}
	case "StateTransition":
		if parts := state.FindStringSubmatch(rest); parts != nil {
			t.changed(fmt.Sprintf("Goroutine(%s)", parts[1]), parts[2], parts[3], at)
		}
	case "RangeBegin":
		if parts := rang.FindStringSubmatch(rest); parts != nil {
			t.open[[2]string{parts[2], parts[1]}] = at
		}
	case "RangeEnd":
		if parts := rang.FindStringSubmatch(rest); parts != nil {
			t.ended(parts[2], parts[1], at)
		}
	}
}

func (t *told) goroutine(name string) *goroutineTrace {
	one := t.goroutines[name]
	if one == nil {
		one = &goroutineTrace{}
		t.goroutines[name] = one
	}
	return one
}

// changed is a goroutine that was in one state and is in another.
func (t *told) changed(name, before, after string, at int64) {
	if since, isOpen := t.open[[2]string{name, before}]; isOpen {
		delete(t.open, [2]string{name, before})
		switch one := t.goroutine(name); before {
		case "Running":
			one.running = append(one.running, span{since, at})
		case "Waiting":
			one.waited = append(one.waited, span{since, at})
		}
	}
	t.open[[2]string{name, after}] = at
}

// ended is something that a goroutine or the whole program did until then.
func (t *told) ended(scope, what string, at int64) {
	since, isOpen := t.open[[2]string{scope, what}]
	delete(t.open, [2]string{scope, what})
	switch {
	case !isOpen:
	case what == "GC mark assist":
		one := t.goroutine(scope)
		one.assists = append(one.assists, span{since, at})
	case strings.HasPrefix(what, "stop-the-world (GC"):
		t.stops = append(t.stops, span{since, at})
	}
}

// addTo adds to a request how long its goroutine assisted, and how much of the cycle that it asked for it waited.
func (t *told) addTo(request *served) {
	one := t.goroutines[fmt.Sprintf("Goroutine(%d)", request.goroutine)]
	if one == nil {
		return
	}
	for i := range request.injected {
		if asked := &request.injected[i]; asked.Kind == collection {
			asked.Least = within(one.waited, span{asked.From, asked.To})
		}
	}
	if assisted := within(one.assists, span{request.start, request.end}); assisted > 0 {
		request.add(stretch{Kind: assist, From: request.start, To: request.end, Least: assisted, Most: assisted})
	}
}

// within is how much of the spans, which are in order, lies in one, ns.
func within(spans []span, in span) int64 {
	first, _ := slices.BinarySearchFunc(spans, in.from, func(one span, from int64) int {
		if one.to <= from {
			return -1
		}
		return 1
	})
	var sum int64
	for _, one := range spans[first:] {
		if one.from >= in.to {
			break
		}
		sum += min(one.to, in.to) - max(one.from, in.from)
	}
	return sum
}

// ofRuntime is when goroutines of the runtime marked, and when the world was stopped.
func (t *told) ofRuntime() []served {
	var all []served
	for name, one := range t.goroutines {
		for _, ran := range one.running {
			if one.marks {
				all = append(all, runtimes(mark, ran, uint64(number(strings.Trim(name, "Goroutine()")))))
			}
		}
	}
	for _, stopped := range t.stops {
		all = append(all, runtimes(stop, stopped, 0))
	}
	return all
}

// runtimes is something that the runtime did.
func runtimes(kind kind, took span, goroutine uint64) served {
	one := served{goroutine: goroutine, start: took.from, end: took.to}
	ns := took.to - took.from
	one.add(stretch{Kind: kind, From: took.from, To: took.to, Least: ns, Most: ns})
	return one
}

// number is what digits say.
func number(digits string) int64 {
	number, err := strconv.ParseInt(digits, 10, 64)
	check(err)
	return number
}
