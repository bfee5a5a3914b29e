package main

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// longest is the longest time that is asked for, us, and the most KiB.
const longest = 60_000_000

// shared is what requests share.
type shared struct {
	files string
	peer  *peer
	// Which /lock and /lock-burn hold, and when it was given back last, ns.
	mutex    sync.Mutex
	unlocked int64
	// The same of /write-lock and /read-lock.
	table   sync.RWMutex
	rewrote int64
	jobs    chan job
	// Where /log writes, a pipe.
	logs int
	// What has to be marked.
	inUse []*object
}

// job is what /channel has the one worker do.
type job struct {
	ns int64
	// What the worker did.
	done chan [2]stretch
}

// visit is a request whose handler runs.
type visit struct {
	served
	*shared
	request *http.Request
	// What it is answered.
	body []byte
}

// faults are all endpoints.
var faults = map[string]func(*visit) error{
	"/ping":          func(*visit) error { return nil },
	"/burn":          burn,
	"/blocking":      blocking,
	"/blocking-file": blockingFile,
	"/log":           logs,
	"/timer":         sleeps,
	"/timeout":       timesOut,
	"/lock":          locks(blocking),
	"/lock-burn":     locks(burn),
	"/write-lock":    writes,
	"/read-lock":     reads,
	"/channel":       handsOff,
	"/downstream":    func(v *visit) error { return v.peer.ask(&v.served, v.number("us")) },
	"/garbage":       garbage,
	"/collect":       collect,
	"/fetch":         func(v *visit) error { return v.peer.fetch(&v.served, v.number("us")) },
	"/large":         large,
	"/goroutines":    goroutines,
}

// handler has a fault done to each request, and keeps what was.
func handler(shared *shared, kept *kept, fault func(*visit) error) http.HandlerFunc {
	return func(answer http.ResponseWriter, request *http.Request) {
		v := visit{served: served{start: now()}, shared: shared, request: request, body: []byte("done\n")}
		v.goroutine = goroutine()
		v.id = uint64(v.number("id"))
		err := fault(&v)
		v.end = now()
		kept.keep(v.served)
		if err != nil {
			http.Error(answer, err.Error(), http.StatusServiceUnavailable)
			return
		}
		// Who went away wants no answer.
		answer.Header().Set("Content-Length", strconv.Itoa(len(v.body)))
		_, _ = answer.Write(v.body)
	}
}

// goroutines tells how many there are.
func goroutines(v *visit) error {
	v.body = strconv.AppendInt(nil, int64(runtime.NumGoroutine()), 10)
	return nil
}

// number is what the query says of a name, 0 where it says nothing.
func (v *visit) number(name string) int64 {
	// What is no number is 0.
	number, _ := strconv.ParseInt(v.request.URL.Query().Get(name), 10, 64)
	return min(max(number, 0), longest)
}

// ns is the time that it asks for with us.
func (v *visit) ns() int64 { return v.number("us") * 1000 }

// burn computes.
func burn(v *visit) error {
	for _, one := range computes(v.ns()) {
		v.add(one)
	}
	return nil
}

// blocking sleeps in a system call.
func blocking(v *visit) error {
	from, ns := now(), v.ns()
	rest := syscall.NsecToTimespec(ns)
	err := syscall.Nanosleep(&rest, &rest)
	// Go's own signals end it before its time.
	for err == syscall.EINTR {
		err = syscall.Nanosleep(&rest, &rest)
	}
	v.add(untilNow(sleep, from, ns))
	return err
}

// blockingFile writes a file through to the disk, so many times.
func blockingFile(v *visit) error {
	file, err := os.CreateTemp(v.files, "go-server-*")
	if err != nil {
		return err
	}
	defer file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return err
	}
	// Past the kernel's cache, which takes the whole pages of an aligned block only.
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, file.Fd(), syscall.F_SETFL, syscall.O_DIRECT); errno != 0 {
		return errno
	}
	bytes, times := aligned(int(v.number("kib"))<<10), max(1, v.number("times"))
	one, err := blocked(disk, times, func() error {
		for range times {
			if _, err := file.Write(bytes); err != nil {
				return err
			}
			if err := syscall.Fsync(int(file.Fd())); err != nil {
				return err
			}
		}
		return nil
	})
	v.add(one)
	return err
}

// aligned is so many bytes that begin with a page.
func aligned(count int) []byte {
	bytes := make([]byte, count+os.Getpagesize())
	from := -int(uintptr(unsafe.Pointer(&bytes[0]))) & (os.Getpagesize() - 1)
	return bytes[from : from+count]
}

// logs writes so many KiB to a pipe, as a log is written to one that collects logs.
func logs(v *visit) error {
	lines := make([]byte, v.number("kib")<<10)
	one, err := blocked(pipe, 1, func() error {
		_, err := syscall.Write(v.logs, lines)
		return err
	})
	v.add(one)
	return err
}

// openLogs makes the pipe, of which a thread takes what is there every so often.
func openLogs(every time.Duration) (int, error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return 0, err
	}
	go func() {
		runtime.LockOSThread()
		taken := make([]byte, 1<<16)
		for {
			pause := syscall.NsecToTimespec(int64(every))
			// It ends with the program.
			_ = syscall.Nanosleep(&pause, nil)
			_, _ = syscall.Read(ends[0], taken)
		}
	}()
	return ends[1], nil
}

// sleeps waits for a timer of the runtime's.
func sleeps(v *visit) error {
	from, ns := now(), v.ns()
	time.Sleep(time.Duration(ns))
	v.add(untilNow(timer, from, ns))
	return nil
}

// timesOut waits for what does not come until its time is over.
func timesOut(v *visit) error {
	from, ns := now(), v.ns()
	ends, cancel := context.WithTimeout(context.Background(), time.Duration(ns))
	defer cancel()
	select {
	case <-ends.Done():
	case <-v.request.Context().Done():
	}
	v.add(untilNow(timer, from, ns))
	return nil
}

// locks does something with the mutex in its hand.
func locks(work func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		from := now()
		v.mutex.Lock()
		defer v.mutex.Unlock()
		v.add(untilNow(lock, from, v.unlocked-from))
		defer func() { v.unlocked = now() }()
		return work(v)
	}
}

// writes sleeps in a system call with the lock for writing.
func writes(v *visit) error {
	from := now()
	v.table.Lock()
	defer v.table.Unlock()
	v.add(untilNow(lock, from, v.rewrote-from))
	defer func() { v.rewrote = now() }()
	return blocking(v)
}

// reads wants the lock for reading, and does nothing with it.
func reads(v *visit) error {
	from := now()
	v.table.RLock()
	defer v.table.RUnlock()
	v.add(untilNow(lock, from, v.rewrote-from))
	return nil
}

// handsOff has the one worker compute, and waits until it has.
func handsOff(v *visit) error {
	one := job{ns: v.ns(), done: make(chan [2]stretch, 1)}
	from := now()
	v.jobs <- one
	computed := <-one.done
	queued := computed[0].From - from
	v.add(stretch{Kind: channelQueue, From: from, To: from + queued, Least: queued, Most: queued, Task: computed[0].Task})
	for _, one := range computed {
		v.add(one)
	}
	return nil
}

// work does one job after the other.
func (s *shared) work() {
	number := goroutine()
	for job := range s.jobs {
		computed := computes(job.ns)
		for i := range computed {
			computed[i].Task = number
		}
		job.done <- computed
	}
}

// garbage allocates some pieces of so many KiB, none of which is used.
func garbage(v *visit) error {
	for range v.number("times") {
		v.body = make([]byte, v.number("kib")<<10)
	}
	v.body = v.body[:1]
	return nil
}

// collect waits until garbage is collected. How much of its time that takes only the trace tells.
func collect(v *visit) error {
	from := now()
	runtime.GC()
	v.add(untilNow(collection, from, 0))
	return nil
}

// object is a small one of many, of 32 bytes.
type object struct {
	next *object
	data [3]int64
}

// inUse is so many MiB of them.
func inUse(mib int) []*object {
	objects := make([]*object, mib<<15)
	for i := range objects {
		objects[i] = new(object)
		if i > 0 {
			objects[i].next = objects[i/2]
		}
	}
	return objects
}

// large answers with so many KiB.
func large(v *visit) error {
	v.body = make([]byte, v.number("kib")<<10)
	return nil
}
