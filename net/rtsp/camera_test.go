package rtsp_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtp"
)

// camera is a server that does what a test wants: what it does not say is answered as cameras do.
type camera struct {
	testing.TB
	addr string
	told string // its SDP
	say  func(c net.Conn, req *base.Request) (answer string)

	mu    sync.Mutex
	asked []*base.Request
}

func openCamera(tb testing.TB, say func(c net.Conn, req *base.Request) string) *camera {
	tb.Helper()
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c := &camera{TB: tb, addr: ln.Addr().String(), told: sdp + vp8 + "a=control:one\r\n", say: say}
	var running sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Go(func() { c.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return c
}

func (c *camera) url() *url.URL { return parsed(c, "rtsp://ann:geheim@"+c.addr+"/cam/1") }

func (c *camera) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req := new(base.Request)
		if req.Unmarshal(r) != nil {
			return
		}
		c.mu.Lock()
		c.asked = append(c.asked, req)
		c.mu.Unlock()
		answer := ""
		if c.say != nil {
			answer = c.say(conn, req)
		}
		if answer == "" {
			answer = c.usual(req)
		}
		if !strings.HasPrefix(answer, "RTSP") { // it is all there is to say
			if _, err := conn.Write([]byte(answer)); err != nil {
				return
			}
			continue
		}
		if _, err := fmt.Fprintf(conn, "%s\r\nCSeq: %s\r\n\r\n", answer, req.Header["CSeq"][0]); err != nil {
			return
		}
		if req.Method == base.Teardown {
			return
		}
	}
}

const fine = "RTSP/1.0 200 OK"

// usual is what cameras say: the first headers of it, or, not beginning with RTSP, all.
func (c *camera) usual(req *base.Request) string {
	switch req.Method {
	case base.Options:
		return fine + "\r\nPublic: DESCRIBE, SETUP, PLAY, GET_PARAMETER"
	case base.Describe:
		return described(req, c.told)
	case base.Setup:
		if strings.Contains(req.Header["Transport"][0], "TCP") {
			return fine + "\r\nSession: 12;timeout=2\r\nTransport: " + req.Header["Transport"][0]
		}
		return fine + "\r\nSession: 12\r\nTransport: RTP/AVP;unicast"
	default:
		return fine
	}
}

// described is a whole answer to DESCRIBE.
func described(req *base.Request, told string) string {
	return fmt.Sprintf("\r\n%s\r\nCSeq: %s\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", fine, req.Header["CSeq"][0], len(told), told)
}

// methods are those that were asked for.
func (c *camera) methods() (all []base.Method) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, req := range c.asked {
		all = append(all, req.Method)
	}
	return all
}

func (c *camera) heard(method base.Method) bool { return slices.Contains(c.methods(), method) }

// number is a key frame of VP8 as a packet.
func number(n int) []byte {
	b, err := (&rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(n), Timestamp: uint32(n) * 1800, Marker: true, SSRC: 7},
		Payload: []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 16, 0, 16, 0, byte(n)},
	}).Marshal()
	if err != nil {
		panic(err) // it is what it is
	}
	return b
}

// inConn is a packet as it stands in the connection.
func inConn(channel byte, b []byte) []byte {
	return append([]byte{'$', channel, byte(len(b) >> 8), byte(len(b))}, b...)
}
