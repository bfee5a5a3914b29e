// A Gin server for the live kernel tests: /ping returns "pong", /task the number of the goroutine that answers, and
// /nap the same after a sleep.
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
	"strings"
	"time"

	"github.com/gin-gonic/gin"
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
	fmt.Printf("listening on %s\n", listener.Addr())

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.GET("/ping", func(c *gin.Context) { c.String(http.StatusOK, "pong") })
	router.GET("/task", func(c *gin.Context) { c.String(http.StatusOK, goroutine()) })
	router.GET("/nap", func(c *gin.Context) {
		time.Sleep(5 * time.Millisecond)
		c.String(http.StatusOK, goroutine())
	})
	log.Fatal(router.RunListener(listener))
}

// goroutine is the number of the goroutine that calls it, of which Go tells nothing but in its traces.
func goroutine() string {
	trace := make([]byte, 64)
	return strings.Fields(string(trace[:runtime.Stack(trace, false)]))[1]
}
