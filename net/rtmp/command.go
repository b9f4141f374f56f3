package rtmp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
)

// command handles one (section 7.2). Those that ask for nothing that is here are left alone, since clients send all kinds.
func (s *session) command(ctx context.Context, body []byte) error {
	values, err := amf.Decode(body)
	if err != nil {
		return fmt.Errorf("%w: command: %w", ErrProtocol, err)
	}
	at := func(i int) any {
		if i < len(values) {
			return values[i]
		}
		return nil
	}
	name, _ := at(0).(string)
	id, _ := at(1).(float64)
	argument, _ := at(3).(string)
	if s.app == "" && name != "connect" {
		return fmt.Errorf("%w: command %q before connect", ErrProtocol, name)
	}
	switch name {
	case "connect":
		about, _ := at(2).(amf.Object)
		return s.connect(id, about)
	case "createStream":
		return s.reply(id, nil, 1)
	case "getStreamLength":
		return s.reply(id, nil, 0)
	case "publish":
		return s.publish(ctx, argument)
	case "play":
		return s.play(ctx, argument)
	case "FCUnpublish", "deleteStream", "closeStream":
		if s.publisher != nil {
			s.publisher.Close()
			s.publisher = nil
			return s.conn.SetReadDeadline(time.Now().Add(s.srv.cfg.SetupTimeout))
		}
		if s.viewer != nil && name != "FCUnpublish" {
			s.viewer.Close(nil)
		}
	}
	return nil
}

// connect says what we are and can do.
func (s *session) connect(id float64, about amf.Object) error {
	if s.app != "" {
		return fmt.Errorf("%w: connect comes twice", ErrProtocol)
	}
	app, _ := about.Get("app").(string)
	app, query, _ := strings.Cut(app, "?")
	if query == "" {
		address, _ := about.Get("tcUrl").(string)
		_, query, _ = strings.Cut(address, "?")
	}
	var err error
	if s.query, err = url.ParseQuery(query); err != nil {
		return fmt.Errorf("%w: the query of the URL: %w", ErrProtocol, err)
	}
	app = strings.Trim(app, "/")
	if app == "" {
		return fmt.Errorf("%w: connect names no app, expected rtmp://HOST/APP/STREAM", ErrProtocol)
	}
	s.agent, _ = about.Get("flashVer").(string)
	for _, m := range []message{
		{kind: msgWindow, body: binary.BigEndian.AppendUint32(nil, window)},
		{kind: msgBandwidth, body: append(binary.BigEndian.AppendUint32(nil, window), 2)},
		{kind: msgChunkSize, body: binary.BigEndian.AppendUint32(nil, outChunk)},
	} {
		if err := s.send(controlID, m); err != nil {
			return err
		}
	}
	s.app = app
	return s.reply(id, amf.Object{
		{Key: "fmsVer", Value: "FMS/3,0,1,123"},
		{Key: "capabilities", Value: 31},
		{Key: "fourCcList", Value: flv.FourCCs()},
	}, amf.Object{
		{Key: "level", Value: "status"},
		{Key: "code", Value: "NetConnection.Connect.Success"},
		{Key: "description", Value: "Connection succeeded."},
		{Key: "objectEncoding", Value: 0},
	})
}

// reply answers a command.
func (s *session) reply(id float64, values ...any) error {
	return s.send(commandID, message{kind: msgCommand, body: amf.Append(amf.Append(nil, "_result", id), values...)})
}

// status tells what happens to a stream.
func (s *session) status(level, code, description string) error {
	body := amf.Append(nil, "onStatus", 0, nil, amf.Object{
		{Key: "level", Value: level},
		{Key: "code", Value: code},
		{Key: "description", Value: description},
	})
	return s.send(commandID, message{kind: msgCommand, stream: s.stream, body: body})
}

// refuse tells a peer why it is not let in, and ends it.
func (s *session) refuse(code string, reason error) error {
	if err := s.status("error", code, reason.Error()); err != nil {
		return err
	}
	return reason
}

func (s *session) publish(ctx context.Context, name string) error {
	if s.publisher != nil || s.viewer != nil {
		return fmt.Errorf("%w: publish on a connection that publishes or plays", ErrProtocol)
	}
	asked, err := s.request(name)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.srv.cfg.SetupTimeout)
	defer cancel()
	p, err := s.srv.cfg.Rooms.Publish(limited, asked, s.end)
	if err != nil {
		return s.refuse("NetStream.Publish.Denied", err)
	}
	s.publisher, s.ingest, s.deadline = p, flv.Ingest{To: p}, time.Time{}
	s.in.maxMedia = s.srv.cfg.MaxMessage
	s.in.r = bufio.NewReaderSize(s.in.r, publisherIn)
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	s.log.Info("rtmp publisher", "stream", asked.Stream, "agent", asked.Agent)
	return s.status("status", "NetStream.Publish.Start", "Publishing.")
}

func (s *session) play(ctx context.Context, name string) error {
	if s.publisher != nil || s.viewer != nil {
		return fmt.Errorf("%w: play on a connection that publishes or plays", ErrProtocol)
	}
	asked, err := s.request(name)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.srv.cfg.SetupTimeout)
	defer cancel()
	v, err := s.srv.cfg.Rooms.Play(limited, asked)
	if err != nil {
		return s.refuse("NetStream.Play.Failed", err)
	}
	s.viewer = v
	const streamBegin = 0
	if err := s.send(controlID, message{kind: msgControl, body: []byte{0, streamBegin, 0, 0, 0, 1}}); err != nil {
		return err
	}
	for _, code := range []string{"NetStream.Play.Reset", "NetStream.Play.Start"} {
		if err := s.status("status", code, "Playing."); err != nil {
			return err
		}
	}
	if err := s.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if told := s.reason.Load(); told != nil {
		return *told
	}
	s.in.shrink(s.conn)
	s.playing.Go(func() { s.end(s.deliver(v)) })
	return nil
}

// deliver writes a viewer's frames until it ends.
func (s *session) deliver(v *media.Viewer) (err error) {
	defer func() {
		if errors.Is(err, media.ErrStalled) { // who watches the viewer has to hear of it; that the peer has gone is nothing to be told
			v.Close(err)
		}
		v.Close(nil)
	}()
	out := &output{lock: &s.write, viewer: v, out: media.Batch{Conn: s.conn, Timeout: s.srv.cfg.WriteTimeout}}
	for {
		n, err := v.Next(out.frames[:])
		if err != nil {
			return err
		}
		if err := out.write(n); err != nil {
			return err
		}
	}
}
