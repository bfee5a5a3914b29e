package main

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"
)

const (
	clockMonotonic = 1
	clockThreadCPU = 3
)

// apart is how far the readings of both clocks may be from each other, ns: the width of the narrowest pair of looks at
// Go's clock with a look at the kernel's between them. 0.1 us is usual.
const apart = 1000

// base and baseNs are the same time by Go's clock and by CLOCK_MONOTONIC. Go's is that clock less a time of its own, so
// that they run alike, and reading it is no system call.
var (
	base   = time.Now()
	baseNs = joined()
)

// now is CLOCK_MONOTONIC, ns.
func now() int64 {
	return baseNs + int64(time.Since(base))
}

// joined is CLOCK_MONOTONIC at base.
func joined() int64 {
	var at int64
	narrowest := time.Duration(1 << 62)
	for range [1000]struct{}{} {
		before := time.Since(base)
		monotonic := read(clockMonotonic)
		if after := time.Since(base); after-before < narrowest {
			narrowest = after - before
			at = monotonic - int64(before+after)/2
		}
	}
	if narrowest > apart {
		check(fmt.Errorf("CLOCK_MONOTONIC is known to %v only", narrowest))
	}
	return at
}

// read is what a clock of the kernel says, by a system call that does not block, ns.
func read(clock uintptr) int64 {
	var time syscall.Timespec
	// It fails for clocks that are not there only.
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&time)), 0)
	return time.Nano()
}
