package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
)

// peer is the slow-peer, by a pool of connections: of database/sql, as to a database, or of http.Transport.
type peer struct {
	address string
	pool    *sql.DB
	client  http.Client
	// When a connection was given back last, ns.
	givenBack atomic.Int64
}

// openPeer is the peer at an address, by at most so many connections, which are kept.
func openPeer(address string, connections int) *peer {
	pool := sql.OpenDB(connector{address})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}
	return &peer{address: address, pool: pool, client: http.Client{Transport: transport}}
}

// ask has the peer sleep for so many us, and waits for a connection first where there is none.
func (p *peer) ask(served *served, us int64) error {
	from := now()
	connection, err := p.pool.Conn(context.Background())
	if err != nil {
		return err
	}
	queued := untilNow(connectionQueue, from, p.givenBack.Load()-from)
	asked := now()
	err = connection.Raw(func(connection any) error {
		sent, err := connection.(*conversation).ask(us)
		served.add(queued)
		served.add(untilNow(waitsForPeer, asked, sent-asked))
		return err
	})
	p.givenBack.Store(now())
	return errors.Join(err, connection.Close())
}

// fetch is ask, by http.Transport: goroutines of its own write and read for the request.
func (p *peer) fetch(served *served, us int64) error {
	from, asked := now(), int64(0)
	got := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { asked = now() }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), got), http.MethodGet,
		fmt.Sprintf("http://%s/%d", p.address, us), nil)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	line, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	sent, err := sentAt(string(line))
	served.add(stretch{Kind: connectionQueue, From: from, To: asked,
		Least: max(0, min(p.givenBack.Load(), asked)-from), Most: asked - from})
	served.add(untilNow(waitsForPeer, asked, sent-asked))
	p.givenBack.Store(now())
	return err
}

// sentAt is when an answer says at its end that it was sent, ns.
func sentAt(line string) (int64, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return strconv.ParseInt(words[len(words)-1], 10, 64)
}

// connector makes connections to an address.
type connector struct{ address string }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	if c.address == "" {
		return nil, errors.New("start the server with -downstream HOST:PORT")
	}
	stream, err := net.Dial("tcp", c.address)
	if err != nil {
		return nil, err
	}
	return &conversation{stream, bufio.NewReader(stream)}, nil
}

func (connector) Driver() driver.Driver { return nil }

// conversation is a connection to the peer.
type conversation struct {
	stream  net.Conn
	answers *bufio.Reader
}

// ask sends a line with a time, and tells when that of the answer was sent, ns.
func (c *conversation) ask(us int64) (int64, error) {
	if _, err := fmt.Fprintf(c.stream, "%d\n", us); err != nil {
		return 0, err
	}
	line, err := c.answers.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return sentAt(line)
}

func (c *conversation) Close() error { return c.stream.Close() }

// The peer knows neither statements nor transactions.
func (*conversation) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (*conversation) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
