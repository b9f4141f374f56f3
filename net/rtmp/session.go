package rtmp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
)

// Sizes of what a session keeps and says.
const (
	outChunk     = 60000 // bytes of a chunk of ours: most messages are one
	window       = 2_500_000
	readBuffer   = 4 << 10
	publisherIn  = 32 << 10
	farewellTime = time.Second
	controlID    = 2 // chunk streams of ours
	commandID    = 3
	audioID      = 4
	videoID      = 6
)

// session is one connection. Its goroutine reads; a viewer's frames are written by another.
type session struct {
	srv  *Server
	conn net.Conn
	in   *chunkReader
	log  *slog.Logger

	app, agent string
	query      url.Values
	stream     uint32 // of the message that is handled
	publisher  *media.Publisher
	ingest     flv.Ingest
	viewer     *media.Viewer
	playing    sync.WaitGroup
	theirs     uint32 // window of the peer
	acked      uint64
	deadline   time.Time
	badFrames  int

	write  sync.Mutex // around the connection's writes
	reason atomic.Pointer[error]
}

func newSession(srv *Server, conn net.Conn) *session {
	if sized, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = sized.SetWriteBuffer(srv.cfg.WriteBuffer) // it is a wish
	}
	return &session{
		srv: srv, conn: conn, in: newChunkReader(bufio.NewReaderSize(conn, readBuffer)), log: srv.cfg.Log.With("addr", conn.RemoteAddr().String()),
	}
}

// end has the session close, for this reason, by its own goroutine. The first reason counts.
func (s *session) end(reason error) {
	if s.reason.CompareAndSwap(nil, &reason) {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // the reader comes back at once
	}
}

// serve is the whole life of a connection.
func (s *session) serve(ctx context.Context) {
	err := s.talk(ctx)
	if told := s.reason.Load(); told != nil {
		err = *told
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		err = fmt.Errorf("%w: nothing came for too long", ErrTimeout)
	}
	if s.publisher != nil {
		if ended := s.publisher.Err(); ended != nil {
			err = ended
			s.farewell("NetStream.Unpublish.Failed", ended)
		}
		s.publisher.Close()
	}
	if s.viewer != nil {
		if s.reason.Load() != nil && !errors.Is(err, ErrStopping) { // the viewer has ended, not its connection
			s.farewell("NetStream.Play.Failed", err)
		}
		s.viewer.Close(err)
	}
	_ = s.conn.Close()
	s.playing.Wait()
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, ErrStopping):
		s.log.Debug("rtmp connection ended")
	default:
		s.log.Info("rtmp connection ended", "reason", err)
	}
}

// farewell tells the peer why it is put out, if it still listens.
func (s *session) farewell(code string, reason error) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	_ = s.status("error", code, reason.Error())
}

func (s *session) talk(ctx context.Context) error {
	if err := s.conn.SetDeadline(time.Now().Add(s.srv.cfg.SetupTimeout)); err != nil {
		return err
	}
	if s.reason.Load() != nil {
		return ErrStopping
	}
	if err := shake(s.conn, s.in.r); err != nil {
		return err
	}
	for {
		if err := s.patience(); err != nil {
			return err
		}
		m, err := s.in.next()
		if err != nil {
			return err
		}
		if err := s.message(ctx, m); err != nil {
			return err
		}
	}
}

// patience sets how long the next message may take: a publisher's, now and then. A viewer need not say anything.
func (s *session) patience() error {
	if s.publisher == nil {
		return nil
	}
	now := time.Now()
	if s.deadline.Sub(now) > s.srv.cfg.IdleTimeout*3/4 {
		return nil
	}
	s.deadline = now.Add(s.srv.cfg.IdleTimeout)
	if err := s.conn.SetReadDeadline(s.deadline); err != nil {
		return err
	}
	if told := s.reason.Load(); told != nil { // whose own deadline was overwritten
		return *told
	}
	return nil
}

// message handles one that is whole.
func (s *session) message(ctx context.Context, m message) error {
	if err := s.ack(); err != nil {
		return err
	}
	switch m.kind {
	case msgChunkSize, msgAbort:
		return s.in.protocol(m)
	case msgWindow:
		if len(m.body) >= 4 {
			s.theirs = binary.BigEndian.Uint32(m.body)
		}
		return nil
	case msgControl:
		return s.control(m)
	case msgCommand, msgCommand3:
		s.stream = m.stream
		body := m.body
		if m.kind == msgCommand3 && len(body) > 0 {
			body = body[1:] // says that AMF0 follows
		}
		return s.command(ctx, body)
	case msgAudio, msgVideo, msgData:
		return s.feed(m.kind, m.stamp, m.body)
	case msgData3:
		return s.feed(msgData, m.stamp, m.body[min(1, len(m.body)):])
	case msgAggregate:
		return s.aggregate(m)
	default:
		return nil
	}
}

// ack tells how much has come, each window that the peer has asked for it.
func (s *session) ack() error {
	if s.theirs == 0 || s.in.read-s.acked < uint64(s.theirs) {
		return nil
	}
	s.acked = s.in.read
	return s.send(controlID, message{kind: msgAck, body: binary.BigEndian.AppendUint32(nil, uint32(s.in.read))})
}

// control answers pings.
func (s *session) control(m message) error {
	const pingRequest, pingResponse = 6, 7
	if len(m.body) != 6 || binary.BigEndian.Uint16(m.body) != pingRequest {
		return nil
	}
	return s.send(controlID, message{kind: msgControl, body: append([]byte{0, pingResponse}, m.body[2:]...)})
}

// maxBad is how many frames that are not understood a publisher may send, before it is clear that none will be.
const maxBad = 100

// feed takes a publisher's frames; those of others are nothing.
func (s *session) feed(kind byte, stamp uint32, body []byte) error {
	if s.publisher == nil {
		return nil
	}
	err := s.ingest.Feed(kind, stamp, body)
	if !errors.Is(err, flv.ErrFormat) {
		return err
	}
	if s.badFrames++; s.badFrames == 1 {
		s.log.Warn("a publisher's frame is left out", "error", err)
	}
	if s.badFrames >= maxBad {
		return fmt.Errorf("%w: %d frames, the last: %w", ErrProtocol, s.badFrames, err)
	}
	return nil
}

// aggregate takes apart several tags in one message (section 7.1.6). Their timestamps count from that of the first.
func (s *session) aggregate(m message) error {
	const header, behind = 11, 4
	var first uint32
	for i, b := 0, m.body; len(b) >= header; i++ {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		stamp := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		if size > len(b)-header {
			return fmt.Errorf("%w: a part of %d bytes in an aggregate, of which there are %d", ErrProtocol, size, len(b)-header)
		}
		if i == 0 {
			first = stamp
		}
		if err := s.feed(b[0], m.stamp+stamp-first, b[header:header+size:header+size]); err != nil {
			return err
		}
		b = b[min(len(b), header+size+behind):]
	}
	return nil
}

// send writes a message of ours.
func (s *session) send(id byte, m message) error {
	size := outChunk
	if m.kind == msgCommand && s.app == "" {
		size = chunkSize // it has not been told yet
	}
	b := appendMessage(make([]byte, 0, 64+len(m.body)), id, m, size)
	s.write.Lock()
	defer s.write.Unlock()
	if s.viewer == nil && s.publisher != nil { // else there is a deadline
		if err := s.conn.SetWriteDeadline(time.Now().Add(s.srv.cfg.WriteTimeout)); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return media.ErrStalled
	}
	return err
}

// request is what the peer wants of a stream, whose name may have a query behind it.
func (s *session) request(name string) (Request, error) {
	path, query, _ := strings.Cut(name, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return Request{}, fmt.Errorf("%w: the query behind the stream's name: %w", ErrProtocol, err)
	}
	for key, v := range s.query {
		if _, ok := values[key]; !ok {
			values[key] = v
		}
	}
	return Request{App: s.app, Stream: path, Query: values, Addr: s.conn.RemoteAddr(), Agent: s.agent}, nil
}
