// A server on net/http whose faults are known, each at an endpoint of its own, of a size that the request chooses. With
// -truth it writes down what it really did to each request, as the other servers of the testbed do
// (testbed/src/truth.rs).
//
// It knows nothing of observer. faults.go says what is wrong with each endpoint.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
)

// slots is how many requests are kept, at most.
const slots = 1 << 16

func main() {
	procs := flag.Int("procs", runtime.NumCPU(), "goroutines that run at once, at most")
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 lets the kernel choose")
	untilStdinCloses := flag.Bool("until-stdin-closes", false, "end when standard input does")
	truth := flag.String("truth", "", "write what was done to each request into this file, when standard input closes")
	files := flag.String("files", os.TempDir(), "directory in which /blocking-file writes")
	pause := flag.Duration("log-pause", 0, "how long the log that /log writes is left alone each time")
	downstream := flag.String("downstream", "", "the peer that /downstream asks: a slow-peer, as HOST:PORT")
	connections := flag.Int("downstream-connections", 64, "connections to the peer, at most")
	heap := flag.Int("heap-mib", 0, "MiB in use that have to be marked, of small objects that point to each other")
	percent := flag.Int("gogc", 100, "growth of the heap until garbage is collected, percent")
	tool := flag.String("trace-tool", "", "tell what the runtime did by Go's execution trace too, which this program "+
		"prints: cmd/trace")
	flag.Parse()
	log.SetFlags(0)

	runtime.GOMAXPROCS(*procs)
	debug.SetGCPercent(*percent)
	kept, err := newKept(*truth)
	check(err)
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	check(err)
	logs, err := openLogs(*pause)
	check(err)
	shared := &shared{files: *files, peer: openPeer(*downstream, *connections), jobs: make(chan job), logs: logs, inUse: inUse(*heap)}
	go shared.work()
	traced, err := startTrace(*tool, *truth)
	check(err)
	mux := http.NewServeMux()
	for path, fault := range faults {
		mux.HandleFunc(path, handler(shared, kept, fault))
	}
	// SIGTERM and SIGINT end the process by default, which is all that is wanted.
	if *untilStdinCloses {
		go func() {
			// An error is as good an end as the end.
			_, _ = io.Copy(io.Discard, os.Stdin)
			check(kept.write(traced))
			os.Exit(0)
		}()
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	check(http.Serve(listener, mux))
}

// check ends the program where there is an error.
func check(err error) {
	if err != nil {
		log.Fatalf("error: %v", err)
	}
}
