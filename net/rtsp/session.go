package rtsp

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"github.com/skua-go/skua/net/media"
)

// Sizes and times of a session.
const (
	readBuffer   = 4 << 10 // a line of a request is at most half of that
	publisherIn  = 32 << 10
	maxRequest   = 64 << 10 // bytes of a request with its body
	magic        = '$'      // what begins a packet between requests (RFC 2326 section 10.12)
	farewellTime = time.Second
)

// session is one connection. Its goroutine reads; a viewer's frames are written by another.
type session struct {
	srv  *Server
	conn net.Conn
	in   meter
	r    *bufio.Reader
	log  *slog.Logger
	id   string

	path      string // of the stream
	agent     string
	publisher *media.Publisher
	viewer    *media.Viewer
	asked     *described // what a viewer was told
	announced *ingest    // what a publisher has told
	over      []*route   // by track of the description
	playing   chan struct{}
	stopPlay  chan struct{}
	recording bool
	out       *output
	deadline  time.Time
	settled   bool // it plays, or publishes
	parting   bool // it has ended, and may say TEARDOWN

	alive  atomic.Int64 // when something came last, in nanoseconds since the server's first session
	write  sync.Mutex   // around the connection's writes
	reason atomic.Pointer[error]
}

// route is how the packets of one track go.
type route struct {
	udp          bool
	channel      byte           // of RTP in the connection; RTCP has the next
	rtp, control netip.AddrPort // the peer's
}

// meter bounds how many bytes a request or an answer may have.
type meter struct {
	conn net.Conn
	left int // below 0: as many as come
	what string
	most int
}

// Read is part of io.Reader.
func (m *meter) Read(b []byte) (int, error) {
	if m.left < 0 {
		return m.conn.Read(b)
	}
	if m.left == 0 {
		return 0, fmt.Errorf("%w: %s of more than %d bytes", ErrLimit, m.what, m.most)
	}
	n, err := m.conn.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

func newSession(srv *Server, conn net.Conn) *session {
	if sized, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = sized.SetWriteBuffer(srv.cfg.WriteBuffer) // it is a wish
	}
	s := &session{srv: srv, conn: conn, in: meter{conn: conn, left: -1, what: "a request", most: maxRequest}, log: srv.cfg.Log.With("addr", conn.RemoteAddr().String()), id: rand.Text()[:16]}
	s.r = bufio.NewReaderSize(&s.in, readBuffer)
	s.heard()
	return s
}

// outlet is where what a viewer gets goes.
func (s *session) outlet() outlet {
	return outlet{conn: s.conn, lock: &s.write, timeout: s.srv.cfg.WriteTimeout, name: s.id, buffers: &s.srv.buffers, udp: s.srv.udp}
}

// heard notes a sign of life.
func (s *session) heard() { s.alive.Store(time.Now().UnixNano()) }

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
	} else if errors.Is(err, errLeft) || errors.Is(err, io.EOF) {
		err = nil
	}
	if s.publisher != nil {
		if ended := s.publisher.Err(); ended != nil {
			err = ended
		}
		s.publisher.Close()
	}
	if s.viewer != nil {
		s.viewer.Close(err)
		s.pause()
	}
	if s.farewell(err) {
		s.linger(ctx)
	}
	_ = s.conn.Close()
	s.forget()
	switch {
	case err == nil, errors.Is(err, net.ErrClosed), errors.Is(err, ErrStopping):
		s.log.Debug("rtsp connection ended")
	default:
		s.log.Info("rtsp connection ended", "reason", err)
	}
}

// forget lets go of UDP addresses.
func (s *session) forget() {
	for _, r := range s.over {
		if r != nil && r.udp {
			s.srv.udp.forget(r.rtp, r.control)
		}
	}
	clear(s.over)
}

// talk answers requests until there are no more.
func (s *session) talk(ctx context.Context) error {
	if err := s.conn.SetDeadline(time.Now().Add(s.srv.cfg.SetupTimeout)); err != nil {
		return err
	}
	if s.reason.Load() != nil {
		return ErrStopping
	}
	for {
		if err := s.patience(); err != nil {
			return err
		}
		first, err := s.r.Peek(1)
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() && s.reason.Load() == nil {
				if err = s.late(); err == nil {
					continue
				}
			}
			return err
		}
		if first[0] == magic {
			err = s.packet()
		} else {
			err = s.request(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// silence is how long nothing may come from a peer that publishes or plays; 0: for ever, as the connection tells whether it is there.
func (s *session) silence() time.Duration {
	switch {
	case s.publisher != nil:
		return s.srv.cfg.IdleTimeout
	case s.overUDP(), s.playing == nil: // who pauses has nothing written to it, by which it would be known that it is gone
		return s.srv.cfg.KeepAlive * 3 / 2
	default:
		return 0
	}
}

func (s *session) overUDP() bool {
	for _, r := range s.over {
		if r != nil && r.udp {
			return true
		}
	}
	return false
}

// patience sets how long the next packet or request may take, now and then.
func (s *session) patience() error {
	if !s.settled {
		return nil
	}
	now, limit := time.Now(), s.silence()
	if limit == 0 && s.deadline.IsZero() || s.deadline.Sub(now) > limit*3/4 {
		return nil
	}
	s.deadline = time.Time{}
	if limit > 0 {
		s.deadline = now.Add(limit)
	}
	return s.until(s.deadline)
}

// until sets the deadline of reading.
func (s *session) until(t time.Time) error {
	if err := s.conn.SetReadDeadline(t); err != nil {
		return err
	}
	if told := s.reason.Load(); told != nil { // whose own deadline was overwritten
		return *told
	}
	return nil
}

// late decides what it means that nothing has come through the connection: packets may have come over UDP.
func (s *session) late() error {
	if limit := s.silence(); s.settled && limit > 0 && time.Since(time.Unix(0, s.alive.Load())) < limit {
		s.deadline = time.Time{}
		return nil
	}
	if !s.settled {
		return fmt.Errorf("%w: neither PLAY nor RECORD has come within %s", ErrTimeout, s.srv.cfg.SetupTimeout)
	}
	return fmt.Errorf("%w: nothing came for %s", ErrTimeout, s.silence())
}

// packet takes one that stands between requests.
func (s *session) packet() error {
	head, err := s.r.Peek(4)
	if err != nil {
		return err
	}
	channel, size := head[1], int(head[2])<<8|int(head[3])
	_, _ = s.r.Discard(4) // they are there
	s.heard()
	if !s.recording {
		_, err = s.r.Discard(size) // a viewer's reports
		return err
	}
	for i, r := range s.over {
		if r == nil || r.udp || channel&^1 != r.channel {
			continue
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(s.r, b); err != nil {
			return err
		}
		if channel&1 != 0 {
			return s.announced.control(i, b, time.Now())
		}
		return s.announced.packet(i, b, time.Now())
	}
	_, err = s.r.Discard(size)
	return err
}

// request reads one and answers it.
func (s *session) request(ctx context.Context) error {
	s.in.left = maxRequest
	var req base.Request
	err := req.Unmarshal(s.r)
	s.in.left = -1
	if err != nil {
		if _, network := errors.AsType[net.Error](err); network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrLimit) {
			return err
		}
		err = fmt.Errorf("%w: %w", ErrProtocol, err)
		return errors.Join(err, s.send(&base.Response{StatusCode: base.StatusBadRequest, StatusMessage: phrase(err.Error())}))
	}
	s.heard()
	if agent := req.Header["User-Agent"]; len(agent) > 0 {
		s.agent = agent[0]
	}
	res, err := s.handle(ctx, &req)
	if res == nil {
		res = s.refusal(err)
	}
	if res.Header == nil {
		res.Header = base.Header{}
	}
	if seq := req.Header["CSeq"]; len(seq) > 0 {
		res.Header["CSeq"] = seq[:1]
	}
	res.Header["Server"] = base.HeaderValue{"skua"}
	if sent := s.send(res); sent != nil {
		return sent
	}
	if err == nil && req.Method == base.Play {
		return s.play()
	}
	return err
}

// statusError is why a request is not done. The session goes on behind it.
type statusError struct {
	status base.StatusCode
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }

func (e *statusError) Unwrap() error { return e.err }

func refuse(status base.StatusCode, format string, args ...any) error {
	return &statusError{status, fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...)}
}

// refusal tells why a request is not done: in the first line, which is what most clients show of an answer.
func (s *session) refusal(err error) *base.Response {
	status := base.StatusCode(s.srv.cfg.Status(err))
	if told, ok := errors.AsType[*statusError](err); ok {
		status = told.status
	}
	return &base.Response{StatusCode: status, StatusMessage: phrase(err.Error())}
}

// phrase is a text that may stand in the first line of an answer.
func phrase(said string) string {
	text := []byte(said)
	text = text[:min(len(text), 200)]
	for i, c := range text {
		if c < ' ' || c > '~' {
			text[i] = ' '
		}
	}
	return string(text)
}

// send writes an answer.
func (s *session) send(res *base.Response) error {
	b, err := res.Marshal()
	if err != nil {
		return fmt.Errorf("rtsp: %w", err)
	}
	s.write.Lock()
	defer s.write.Unlock()
	// Also while frames are written: the deadline that these have left may be over, and a later one does them no harm.
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.srv.cfg.WriteTimeout)); err != nil {
		return err
	}
	_, err = s.conn.Write(b)
	return err
}

// farewell tells the peer why it is put out, if it still listens: RTSP has no words for it, RTCP has. overUDP tells that it was told on another way than the connection.
func (s *session) farewell(reason error) (overUDP bool) {
	if s.out == nil || reason == nil || errors.Is(reason, media.ErrStalled) {
		return false
	}
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(farewellTime))
	return s.out.bye(phrase(reason.Error())) && s.overUDP()
}

// linger gives a peer the time to read its goodbye and to leave: the end of the connection, which nothing holds up, would come before what goes over UDP, and be all that it knows.
func (s *session) linger(ctx context.Context) {
	s.parting = true
	if s.conn.SetDeadline(time.Now().Add(s.srv.cfg.Farewell)) != nil {
		return
	}
	for {
		first, err := s.r.Peek(1)
		switch {
		case err != nil:
			return
		case first[0] == magic:
			err = s.packet()
		default:
			err = s.request(ctx)
		}
		if err != nil {
			return
		}
	}
}
