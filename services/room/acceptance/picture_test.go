package acceptance_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// The pictures that studios publish: 1.6 Mbps, 30 a second, a key frame each second, each with its number in it.
const (
	rate        = 30
	pictureSize = 5_800
	keySize     = 23_000
)

// Parameter sets of H.264, of a picture of 320x180.
var (
	sps = []byte{0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x06, 0xc8, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x0f, 0x23, 0xc5, 0x0a, 0xa8}
	pps = []byte{0x68, 0xce, 0x0f, 0xc8}
)

// publish sends pictures, the first with number 0, and sound, until ctx ends, and so many at least.
func publish(ctx context.Context, addr, room string, least int) (sent int, err error) {
	c, err := rtmptest.Dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Publish(room); err != nil {
		return 0, err
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	config, err := media.AVCConfig(sps, pps)
	if err != nil {
		return 0, err
	}
	if err := errors.Join(c.Send(flv.TypeVideo, 0, append([]byte{0x17, 0, 0, 0, 0}, config...)), c.Send(flv.TypeAudio, 0, []byte{0xaf, 0, 0x12, 0x10})); err != nil {
		return 0, err
	}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for ; sent < least || ctx.Err() == nil; sent++ {
		body := make([]byte, pictureSize)
		body[0], body[9] = 0x27, 0x41
		if sent%rate == 0 {
			body = make([]byte, keySize)
			body[0], body[9] = 0x17, 0x65
		}
		body[1] = 1
		binary.BigEndian.PutUint32(body[5:], uint32(len(body)-9))
		copy(body[10:], "\xff\x80") // so that nothing in it looks like the begin of a unit
		binary.BigEndian.PutUint32(body[12:], number(sent))
		at := uint32(sent * 1000 / rate)
		if err := errors.Join(c.Send(flv.TypeVideo, at, body), c.Send(flv.TypeAudio, at, []byte{0xaf, 1, 0x21, 0x10, 0x04, 0x60, 0x8c, 0x1c})); err != nil {
			return sent, err
		}
		<-tick.C
	}
	return sent, nil
}

// number is n with a bit set in each byte.
func number(n int) uint32 {
	return 0x80808080 | uint32(n&0x7f) | uint32(n>>7&0x7f)<<8 | uint32(n>>14&0x7f)<<16
}

// seen is what a viewer has had.
type seen struct {
	pictures, sounds int
	last             int // the number of the last picture
	skips, wrong     int // gaps that go on at a key frame, and that do not
	end              error
	status           string // that the server has said at the end
}

// picture takes the body of a tag.
func (s *seen) picture(body []byte) {
	if len(body) < 16 || body[1] != 1 {
		return // parameters
	}
	x := binary.BigEndian.Uint32(body[12:])
	n, key := int(x&0x7f|x>>8&0x7f<<7|x>>16&0x7f<<14), body[0] == 0x17
	if s.pictures > 0 && n != s.last+1 || s.pictures == 0 && !key {
		if key {
			s.skips++
		} else {
			s.wrong++
		}
	}
	s.pictures++
	s.last = n
}

func (s *seen) tag(kind byte, body []byte) {
	switch kind {
	case flv.TypeVideo:
		s.picture(body)
	case flv.TypeAudio:
		s.sounds++
	}
}

// watchFLV reads a room over HTTP-FLV until that ends.
func watchFLV(conn net.Conn, room string) (s seen) {
	defer conn.Close()
	if _, s.end = fmt.Fprintf(conn, "GET /live/%s.flv HTTP/1.1\r\nHost: rooms\r\n\r\n", room); s.end != nil {
		return s
	}
	r := bufio.NewReaderSize(conn, 4<<10)
	for line := "-"; line != "\r\n"; {
		if line, s.end = r.ReadString('\n'); s.end != nil {
			return s
		}
		if s.status == "" {
			s.status = line
		}
	}
	if _, s.end = r.Discard(13); s.end != nil {
		return s
	}
	var head [11]byte
	for {
		if _, s.end = io.ReadFull(r, head[:]); s.end != nil {
			return s
		}
		body := make([]byte, int(head[1])<<16|int(head[2])<<8|int(head[3])+4)
		if _, s.end = io.ReadFull(r, body); s.end != nil {
			return s
		}
		s.tag(head[0], body[:len(body)-4])
	}
}

// watchRTMP does so over RTMP.
func watchRTMP(c *rtmptest.Client, room string) (s seen) {
	defer c.Close()
	if s.end = c.Play(room); s.end != nil {
		return s
	}
	for {
		m, err := c.Next()
		if err != nil {
			s.end = err
			return s
		}
		if _, why := rtmptest.Status(m.Body); m.Kind == 20 && why != "" {
			s.status = why
		}
		s.tag(m.Kind, m.Body)
	}
}
