package rtsp

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"

	"github.com/skua-go/skua/net/media"
)

// methods are those that are answered.
const methods = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, GET_PARAMETER, SET_PARAMETER, TEARDOWN"

// errLeft: the peer has said TEARDOWN.
var errLeft = errors.New("rtsp: the peer leaves")

// handle does what a request asks for. A response with an error is the last.
func (s *session) handle(ctx context.Context, req *base.Request) (*base.Response, error) {
	if id := req.Header["Session"]; len(id) > 0 {
		if name, _, _ := strings.Cut(id[0], ";"); strings.TrimSpace(name) != s.id {
			return s.answer(nil, refuse(base.StatusSessionNotFound, "session %q is not of this connection", id[0][:min(len(id[0]), 32)]))
		}
	}
	if s.parting && !slices.Contains([]base.Method{base.Options, base.GetParameter, base.SetParameter, base.Teardown}, req.Method) {
		return nil, refuse(base.StatusSessionNotFound, "the session has ended")
	}
	switch req.Method {
	case base.Options:
		return s.answer(base.Header{"Public": base.HeaderValue{methods}}, nil)
	case base.GetParameter, base.SetParameter:
		return s.answer(nil, nil) // they say that they are there
	case base.Describe:
		return s.describe(ctx, req)
	case base.Announce:
		return s.announce(ctx, req)
	case base.Setup:
		return s.answer(s.setup(ctx, req))
	case base.Play:
		return s.answer(nil, s.mayPlay())
	case base.Pause:
		return s.answer(nil, s.mayPause())
	case base.Record:
		return s.answer(nil, s.record())
	case base.Teardown:
		res, _ := s.answer(nil, nil)
		return res, errLeft
	default:
		return s.answer(base.Header{"Public": base.HeaderValue{methods}}, refuse(base.StatusNotImplemented, "method %q", req.Method[:min(len(req.Method), 32)]))
	}
}

// answer is the response for what has been done, or not. After an error that concerns the request only the session goes on.
func (s *session) answer(h base.Header, err error) (*base.Response, error) {
	if h == nil {
		h = base.Header{}
	}
	if _, ok := errors.AsType[*statusError](err); ok {
		res := s.refusal(err)
		res.Header = h
		return res, nil
	}
	if err != nil {
		return nil, err
	}
	if s.over != nil {
		h["Session"] = base.HeaderValue{s.id + ";timeout=" + strconv.Itoa(max(int(s.srv.cfg.KeepAlive.Seconds()), 1))}
	}
	return &base.Response{StatusCode: base.StatusOK, Header: h}, nil
}

// target is what a URL asks for. What stands behind the stream's own path are a track's.
func (s *session) target(u *base.URL) (Request, error) {
	if u == nil {
		return Request{}, refuse(base.StatusBadRequest, "no URL")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Request{}, refuse(base.StatusBadRequest, "the query of the URL: %w", err)
	}
	return Request{Path: strings.TrimRight(u.Path, "/"), Query: query, Addr: s.conn.RemoteAddr(), Agent: s.agent}, nil
}

// describe lets a viewer in and tells it what there is.
func (s *session) describe(ctx context.Context, req *base.Request) (*base.Response, error) {
	r, err := s.target(req.URL)
	if err != nil {
		return s.answer(nil, err)
	}
	if s.publisher != nil || s.viewer != nil && r.Path != s.path {
		return s.answer(nil, refuse(base.StatusMethodNotValidInThisState, "DESCRIBE on a connection that has another stream"))
	}
	if err := s.join(ctx, r); err != nil {
		return nil, err
	}
	at := *req.URL
	at.RawQuery, at.User = "", nil
	at.Path = r.Path + "/"
	return &base.Response{StatusCode: base.StatusOK, Header: base.Header{
		"Content-Type": base.HeaderValue{"application/sdp"}, "Content-Base": base.HeaderValue{at.String()}, "Cache-Control": base.HeaderValue{"no-cache"},
	}, Body: s.asked.sdp}, nil
}

// join lets a viewer in, if it is not.
func (s *session) join(ctx context.Context, r Request) error {
	if s.viewer != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, s.srv.cfg.SetupTimeout)
	defer cancel()
	v, err := s.srv.cfg.Rooms.Play(limited, r)
	if err != nil {
		return err
	}
	first, err := s.await(limited, v)
	var told *described
	if err == nil {
		told, err = describe(v.Described())
	}
	if err != nil {
		v.Close(err)
		return err
	}
	s.viewer, s.path, s.asked, s.out = v, r.Path, told, newOutput(s.outlet(), v, told, first)
	return nil
}

// await waits until a stream knows its tracks, and gives the first frame of it.
func (s *session) await(ctx context.Context, v *media.Viewer) (*media.Frame, error) {
	var one [1]*media.Frame
	for {
		n, err := v.Take(one[:])
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return one[0], nil
		}
		select {
		case <-v.Wake():
		case <-ctx.Done():
			return nil, &statusError{base.StatusServiceUnavailable, errNothing}
		}
	}
}

var errNothing = errors.New("rtsp: nothing is sent in this room yet")

// announce lets a publisher in.
func (s *session) announce(ctx context.Context, req *base.Request) (*base.Response, error) {
	r, err := s.target(req.URL)
	if err != nil {
		return s.answer(nil, err)
	}
	if s.publisher != nil || s.viewer != nil {
		return s.answer(nil, refuse(base.StatusMethodNotValidInThisState, "ANNOUNCE on a connection that has a stream"))
	}
	in, err := readSDP(req.Body, s.srv.cfg.MaxFrame, s.log)
	if err != nil {
		return nil, &statusError{base.StatusUnsupportedMediaType, err}
	}
	in.unagreed = s.srv.cfg.Unagreed
	limited, cancel := context.WithTimeout(ctx, s.srv.cfg.SetupTimeout)
	defer cancel()
	p, err := s.srv.cfg.Rooms.Publish(limited, r, s.end)
	if err != nil {
		return nil, err
	}
	s.publisher, s.path, s.announced = p, r.Path, in
	s.over = make([]*route, len(in.tracks))
	return s.answer(nil, in.start(p))
}

// setup says how the packets of a track go.
func (s *session) setup(ctx context.Context, req *base.Request) (base.Header, error) {
	if s.playing != nil || s.recording {
		return nil, refuse(base.StatusMethodNotValidInThisState, "SETUP of what runs")
	}
	r, err := s.target(req.URL)
	if err != nil {
		return nil, err
	}
	if s.publisher == nil && s.viewer == nil { // it knows the description
		r.Path, _ = cutTrack(r.Path)
		if err := s.join(ctx, r); err != nil {
			return nil, err
		}
	}
	if s.viewer != nil && s.over == nil {
		s.over = make([]*route, len(s.asked.tracks))
	}
	i := s.track(req.URL)
	if i < 0 {
		return nil, refuse(base.StatusNotFound, "SETUP of a track that was not described: %s", req.URL.Path[:min(len(req.URL.Path), 100)])
	}
	var offered headers.Transports
	if err := offered.Unmarshal(req.Header["Transport"]); err != nil {
		return nil, refuse(base.StatusBadRequest, "Transport: %w", err)
	}
	for _, t := range offered {
		if t.Profile != headers.TransportProfileAVP || t.Delivery != nil && *t.Delivery == headers.TransportDeliveryMulticast {
			continue
		}
		if t.Protocol == headers.TransportProtocolTCP {
			return s.interleave(i), nil
		}
		if s.srv.udp != nil && t.ClientPorts != nil {
			return s.overPorts(i, *t.ClientPorts)
		}
	}
	return nil, refuse(base.StatusUnsupportedTransport, "none of the transports offered, expected RTP/AVP/TCP or RTP/AVP with client_port and unicast")
}

// track finds which one a URL is of, by the name that its description has for it.
func (s *session) track(u *base.URL) int {
	whole := strings.TrimRight(u.String(), "/")
	if s.viewer != nil {
		if _, i := cutTrack(whole); i >= 0 && i < len(s.over) {
			return i
		}
		if len(s.over) == 1 {
			return 0
		}
		return -1
	}
	for i, t := range s.announced.tracks {
		if t.name != "" && (whole == t.name || strings.HasSuffix(whole, "/"+strings.TrimLeft(t.name, "/"))) {
			return i
		}
	}
	if len(s.over) == 1 {
		return 0
	}
	return -1
}

// set puts a route in place of the one before.
func (s *session) set(i int, r *route) {
	if old := s.over[i]; old != nil && old.udp {
		s.srv.udp.forget(old.rtp, old.control)
	}
	s.over[i] = r
}

// interleave has a track in the connection, on channels that we choose, as a server may.
func (s *session) interleave(i int) base.Header {
	s.set(i, &route{channel: byte(2 * i)})
	unicast := headers.TransportDeliveryUnicast
	t := headers.Transport{Protocol: headers.TransportProtocolTCP, Delivery: &unicast, InterleavedIDs: &[2]int{2 * i, 2*i + 1}}
	return base.Header{"Transport": t.Marshal()}
}

// overPorts has a track over UDP, to and from ports of the host that the connection is with, and of no other.
func (s *session) overPorts(i int, ports [2]int) (base.Header, error) {
	host, err := netip.ParseAddrPort(s.conn.RemoteAddr().String())
	if err != nil {
		return nil, refuse(base.StatusUnsupportedTransport, "no UDP to %s", s.conn.RemoteAddr())
	}
	for _, p := range ports {
		if p < 1 || p > 0xffff {
			return nil, refuse(base.StatusBadRequest, "client_port %d", p)
		}
	}
	s.set(i, nil)
	addr := host.Addr().Unmap()
	r := &route{udp: true, rtp: netip.AddrPortFrom(addr, uint16(ports[0])), control: netip.AddrPortFrom(addr, uint16(ports[1]))}
	rtp, control := func([]byte) { s.heard() }, func([]byte) { s.heard() }
	if in := s.announced; in != nil {
		take := func(f func(int, []byte, time.Time) error) func([]byte) {
			return func(b []byte) {
				s.heard()
				if err := f(i, b, time.Now()); err != nil {
					s.end(err)
				}
			}
		}
		rtp, control = take(in.packet), take(in.control)
	}
	if err := s.srv.udp.expect(r.rtp, r.control, rtp, control); err != nil {
		return nil, &statusError{base.StatusUnsupportedTransport, err}
	}
	s.over[i] = r
	unicast := headers.TransportDeliveryUnicast
	t := headers.Transport{Delivery: &unicast, ClientPorts: &ports, ServerPorts: s.srv.udp.ports()}
	if s.viewer != nil {
		t.SSRC = &s.out.tracks[i].ssrc
	}
	return base.Header{"Transport": t.Marshal()}, nil
}

func (s *session) anySetup() bool {
	return slices.ContainsFunc(s.over, func(r *route) bool { return r != nil })
}

// mayPause ends what runs, if there is something.
func (s *session) mayPause() error {
	switch {
	case s.viewer != nil:
		s.pause()
	case s.publisher != nil:
		s.recording = false
		s.announced.pause()
	default:
		return refuse(base.StatusMethodNotValidInThisState, "PAUSE of what does not play")
	}
	return nil
}

// mayPlay has who paused begin anew, at what is newest when it asks: once it is answered, even a stream that ends at once has been promised.
func (s *session) mayPlay() error {
	if s.viewer == nil || !s.anySetup() {
		return refuse(base.StatusMethodNotValidInThisState, "PLAY without SETUP")
	}
	if s.settled && s.playing == nil {
		s.viewer.Restart()
	}
	return nil
}

// play begins to write frames, behind the answer to PLAY. It does nothing for a session that plays.
func (s *session) play() error {
	if s.viewer == nil || !s.anySetup() || s.playing != nil {
		return nil
	}
	if err := s.conn.SetWriteDeadline(time.Time{}); err != nil {
		return err
	}
	s.settled, s.deadline = true, time.Time{}
	if err := s.until(time.Time{}); err != nil {
		return err
	}
	done, stop := make(chan struct{}), make(chan struct{})
	s.playing, s.stopPlay = done, stop
	s.out.begin(s.over)
	go func() {
		defer close(done)
		if err := s.out.deliver(stop); !errors.Is(err, errPaused) {
			s.viewer.Close(err)
			s.end(err)
		}
	}()
	return nil
}

// pause ends that and waits for it.
func (s *session) pause() {
	if s.playing == nil {
		return
	}
	close(s.stopPlay)
	_ = s.conn.SetWriteDeadline(time.Now().Add(farewellTime)) // it may be in the middle of a packet
	<-s.playing
	s.playing = nil
}

// record takes a publisher's packets from here on.
func (s *session) record() error {
	if s.publisher == nil || !s.anySetup() {
		return refuse(base.StatusMethodNotValidInThisState, "RECORD without ANNOUNCE and SETUP")
	}
	if s.recording {
		return nil
	}
	s.announced.expect(s.over)
	s.recording = true
	if s.settled { // after a pause
		return nil
	}
	s.settled = true
	s.r = bufio.NewReaderSize(s.r, publisherIn)
	s.log.Info("rtsp publisher", "path", s.path, "agent", s.agent)
	return s.conn.SetWriteDeadline(time.Time{})
}

// cutTrack takes what names a track of ours off a path; -1 if nothing does.
func cutTrack(path string) (string, int) {
	before, number, ok := strings.Cut(path, "/"+trackName)
	if n, err := strconv.ParseUint(number, 10, 8); ok && err == nil {
		return before, int(n)
	}
	return path, -1
}

// random is a number that others don't guess.
func random() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.BigEndian.Uint32(b[:])
}
