package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// longestStep is what passes at most between two looks at the clock in computing, ns: after more the goroutine was
// taken off its thread, or that off its CPU.
const longestStep = 20_000

// wakeup is what passes from the wakeup of a thread whose CPU is idle until the scheduler counts it as waiting for one,
// at most, ns.
const wakeup = 20_000

// computes computes for so long, and tells for how long it was kept from it.
func computes(wanted int64) [2]stretch {
	from := now()
	last, computed := from, int64(0)
	for computed < wanted {
		at := now()
		computed += min(at-last, longestStep)
		last = at
	}
	gaps := last - from - computed
	return [2]stretch{
		{Kind: computing, From: from, To: last, Least: computed, Most: computed},
		{Kind: offCPU, From: from, To: last, Least: gaps, Most: gaps},
	}
}

// blocked does something in which its thread is blocked by the kernel, so many times, and tells how long that was: what
// the wall clock says less the thread's time on a CPU and in the run queue. The goroutine keeps its thread meanwhile,
// which it does in system calls anyway. Each reading is a system call that does not block.
func blocked(kind kind, waits int64, work func() error) (stretch, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	from, before := now(), onCPU()
	if err := work(); err != nil {
		return stretch{}, err
	}
	ran := onCPU() - before
	to := now()
	most := max(0, to-from-ran)
	return stretch{Kind: kind, From: from, To: to, Least: max(0, most-waits*wakeup), Most: most}, nil
}

// onCPU is how long the calling thread has had a CPU or waited for one so far, ns.
func onCPU() int64 {
	waited, err := runQueue()
	check(err)
	return read(clockThreadCPU) + waited
}

// runQueue is how long the calling thread has waited for a CPU so far, ns.
func runQueue() (int64, error) {
	const path = "/proc/thread-self/schedstat"
	file, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(file)
	var text [64]byte
	count, err := syscall.Read(file, text[:])
	if err != nil {
		return 0, err
	}
	numbers := strings.Fields(string(text[:count]))
	if len(numbers) < 2 {
		return 0, fmt.Errorf("%s says `%s`", path, text[:count])
	}
	return strconv.ParseInt(numbers[1], 10, 64)
}
