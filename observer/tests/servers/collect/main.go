// A server for the live kernel tests whose garbage is collected: /collect has it collected and tells how it went,
// /garbage makes much of it, /cycles tells of how many cycles there were by then, /assists how many ns goroutines
// assisted by then, and /procs how many threads may run goroutines. /switch has two threads give the CPU to each other
// from then on. /ping returns "pong".
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
	"runtime/metrics"
)

// kept is what is in use, for the collector to mark, and sink what was garbage at once.
var (
	kept [][]*int
	sink []byte
)

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 lets the kernel choose")
	untilStdinCloses := flag.Bool("until-stdin-closes", false, "end when standard input does")
	flag.Parse()

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	// SIGTERM and SIGINT end the process by default, which is all that is wanted.
	if *untilStdinCloses {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
	}
	for range [64]struct{}{} {
		pointers := make([]*int, 1<<14)
		for i := range pointers {
			pointers[i] = new(int)
		}
		kept = append(kept, pointers)
	}
	fmt.Printf("listening on %s\n", listener.Addr())

	http.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pong") })
	http.HandleFunc("/collect", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Fprint(w, stats.NumGC, " ", stats.PauseNs[(stats.NumGC-1)%uint32(len(stats.PauseNs))])
	})
	http.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) {
		for range [1024]struct{}{} {
			sink = make([]byte, 32<<10)
		}
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/switch", func(w http.ResponseWriter, _ *http.Request) {
		turns := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			for range turns {
			}
		}()
		go func() {
			runtime.LockOSThread()
			for {
				turns <- struct{}{}
			}
		}()
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/cycles", func(w http.ResponseWriter, _ *http.Request) {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Fprint(w, stats.NumGC, " ", stats.PauseTotalNs)
	})
	http.HandleFunc("/assists", func(w http.ResponseWriter, _ *http.Request) {
		// It is summed up at the end of each cycle.
		runtime.GC()
		assists := []metrics.Sample{{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"}}
		metrics.Read(assists)
		fmt.Fprint(w, uint64(assists[0].Value.Float64()*1e9))
	})
	http.HandleFunc("/procs", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, runtime.GOMAXPROCS(0)) })
	log.Fatal(http.Serve(listener, nil))
}
