// A server for the live kernel tests whose requests wait for other goroutines: /job?ms=N hands a job of so many
// milliseconds of computing to one goroutine that does all of them and waits for its answer, /write hands it one that
// writes to a file and has that on the disk; /lock?ms=N holds a mutex for so long; /turns?ms=N computes for so long,
// and lets others run every millisecond. /task tells its goroutine, and /ping
// returns "pong".
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// A job for the one goroutine that does them, and where it tells that it is done.
type job struct {
	do   func()
	done chan struct{}
}

func main() {
	port := flag.Int("port", 0, "port on 127.0.0.1; 0 lets the kernel choose")
	untilStdinCloses := flag.Bool("until-stdin-closes", false, "end when standard input does")
	directory := flag.String("directory", os.TempDir(), "where its file is")
	flag.Parse()

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Create(filepath.Join(*directory, "handing.log"))
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
	jobs := make(chan job, 64)
	go func() {
		for job := range jobs {
			job.do()
			job.done <- struct{}{}
		}
	}()
	hand := func(do func()) {
		job := job{do, make(chan struct{})}
		jobs <- job
		<-job.done
	}
	var mutex sync.Mutex
	fmt.Printf("listening on %s\n", listener.Addr())

	http.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "pong") })
	http.HandleFunc("/job", func(w http.ResponseWriter, r *http.Request) {
		hand(func() { compute(milliseconds(r)) })
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/write", func(w http.ResponseWriter, _ *http.Request) {
		hand(func() {
			_, _ = file.Write(make([]byte, 64<<10))
			_ = file.Sync()
		})
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/lock", func(w http.ResponseWriter, r *http.Request) {
		hold(&mutex, milliseconds(r))
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/turns", func(w http.ResponseWriter, r *http.Request) {
		for left := milliseconds(r); left > 0; left -= time.Millisecond {
			compute(time.Millisecond)
			runtime.Gosched()
		}
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/task", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, goroutine()) })
	log.Fatal(http.Serve(listener, nil))
}

func milliseconds(r *http.Request) time.Duration {
	ms, _ := strconv.Atoi(r.URL.Query().Get("ms"))
	return time.Duration(ms) * time.Millisecond
}

// hold has a mutex for so long. That who waits for it is in this function is told by its stack.
//
//go:noinline
func hold(mutex *sync.Mutex, length time.Duration) {
	mutex.Lock()
	compute(length)
	mutex.Unlock()
}

// compute keeps its thread busy for so long.
func compute(length time.Duration) {
	for begin := time.Now(); time.Since(begin) < length; {
	}
}

// goroutine tells which one this is, as the first line of its stack has it.
func goroutine() string {
	var stack [64]byte
	return string(bytes.Fields(stack[:runtime.Stack(stack[:], false)])[1])
}
