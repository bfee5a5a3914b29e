// A Gin server for the live kernel tests: /ping returns "pong".
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"

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
	log.Fatal(router.RunListener(listener))
}
