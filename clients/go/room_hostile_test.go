package client_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// badRooms is a server that answers who opens a room with what a test has it say, on channel 1, and each request when all that is said.
func badRooms(t *testing.T, say func(id uint32) []packet.MediaControl) *server {
	t.Helper()
	return serve(t, "tcp", func(s *server, cfg *transport.Config) {
		cfg.Backlog = 64 << 20
		s.media = &packet.MediaOffer{Version: packet.MediaVersion, Piece: packet.MediaPiece, Frame: 1 << 20, Rooms: 8, Tracks: 8}
		s.raw = func(ss *session, p packet.Packet) error {
			if p.Type != packet.Media {
				return ss.packet(p)
			}
			var pieces packet.MediaPieces
			asked, _, err := pieces.Decode(p.Body)
			if err != nil || asked.Op != packet.MediaWatch {
				return err
			}
			for _, m := range say(asked.ID) {
				if m.Op == "frame" {
					_ = ss.conn.Send(packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Key: true, Data: []byte("x")}, 0)) // a closed connection shows in the client
					continue
				}
				out, err := packet.AppendMediaControl(nil, &m)
				if err != nil {
					return err
				}
				_ = ss.conn.Send(out)
			}
			return nil
		}
	})
}

func opened(id uint32) packet.MediaControl {
	return packet.MediaControl{Op: packet.MediaOpened, ID: id, Channel: 1}
}

func described(id uint32, config []byte) packet.MediaControl {
	return packet.MediaControl{Op: packet.MediaTell, ID: id, Tracks: []packet.MediaTrack{{Codec: "opus", Config: config}}}
}

var oneFrame = packet.MediaControl{Op: "frame"}

// waiting is how many frames wait for Next when all has come.
func waiting(t *testing.T, c *client.Client, w *client.Watch) (n int) {
	t.Helper()
	if err := c.Request(t.Context(), "x", nil, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		if _, err := w.Next(ctx); err != nil {
			return n
		}
		n++
	}
}

func TestRoomEventsThatNobodyHandlesEndTheClient(t *testing.T) {
	for name, inline := range map[string]bool{"handlers": false, "inline": true} {
		t.Run(name, func(t *testing.T) {
			s := badRooms(t, func(id uint32) []packet.MediaControl {
				all := []packet.MediaControl{opened(id)}
				for range 3000 {
					all = append(all, packet.MediaControl{Op: packet.MediaSkipped, ID: id, Frames: 1})
				}
				return all
			})
			c := s.dial(client.Options{MaxPushes: 64 << 10, Inline: inline})
			block := make(chan struct{})
			defer close(block)
			if _, err := c.Watch(t.Context(), "arena", client.WatchOptions{OnEvent: func(client.RoomEvent) { <-block }}); err != nil && !errors.Is(err, client.ErrSlowHandlers) {
				t.Fatal(err)
			}
			take(t, c.Done(), "the client goes on")
			if !errors.Is(c.Err(), client.ErrSlowHandlers) {
				t.Error(c.Err())
			}
		})
	}
}

func TestRoomEventsComeInOrderWithInlineHandlersToo(t *testing.T) {
	const many = 1000
	s := badRooms(t, func(id uint32) []packet.MediaControl {
		all := []packet.MediaControl{opened(id)}
		for n := range uint64(many) {
			all = append(all, packet.MediaControl{Op: packet.MediaSkipped, ID: id, Frames: n})
		}
		return all
	})
	c := s.dial(client.Options{Inline: true})
	got := make(chan uint64, many)
	_, err := c.Watch(t.Context(), "arena", client.WatchOptions{OnEvent: func(e client.RoomEvent) { got <- e.Frames }})
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint64(many) {
		if f := take(t, got, "no event"); f != n {
			t.Fatalf("event %d came as number %d", f, n)
		}
	}
}

func TestFramesThatNobodyFetchesCountForAllThatTheyKeep(t *testing.T) {
	for name, c := range map[string]struct {
		config, frames, most int
	}{
		"frames of a byte":                 {0, 5000, 128 << 10 / 100},
		"each with new parameters, too":    {4 << 10, 100, 32},
		"parameters that fill it by one":   {100 << 10, 5, 1},
		"a few, which are all to be there": {10, 50, 50},
	} {
		t.Run(name, func(t *testing.T) {
			s := badRooms(t, func(id uint32) []packet.MediaControl {
				all := []packet.MediaControl{opened(id), described(id, nil)}
				for n := range c.frames {
					if c.config > 0 {
						all = append(all, described(id, bytes.Repeat([]byte{byte(n)}, c.config)))
					}
					all = append(all, oneFrame)
				}
				return all
			})
			player := s.dial(client.Options{MaxFrame: 1 << 20, RequestTimeout: patience})
			w, err := player.Watch(t.Context(), "arena", client.WatchOptions{MaxWaiting: 128 << 10})
			if err != nil {
				t.Fatal(err)
			}
			n := waiting(t, player, w)
			if n == 0 || n > c.most || n+int(w.Dropped()) != c.frames {
				t.Errorf("%d of %d frames waited, %d were dropped, expected %d at most", n, c.frames, w.Dropped(), c.most)
			}
		})
	}
}

func TestAServerThatOpensAndTellsWithoutEndBreaksTheProtocol(t *testing.T) {
	for name, more := range map[string]func(id uint32) []packet.MediaControl{
		"a room twice": func(id uint32) []packet.MediaControl {
			return []packet.MediaControl{{Op: packet.MediaOpened, ID: id, Channel: 2}}
		},
		"tracks": func(id uint32) (all []packet.MediaControl) {
			for n := range 256 {
				m := described(id, make([]byte, 1<<10))
				m.Tracks[0].Track = uint8(n)
				all = append(all, m)
			}
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := badRooms(t, func(id uint32) []packet.MediaControl { return append([]packet.MediaControl{opened(id)}, more(id)...) })
			c := s.dial(client.Options{})
			if _, err := c.Watch(t.Context(), "arena", client.WatchOptions{MaxWaiting: 128 << 10}); err != nil && !errors.Is(err, client.ErrProtocol) {
				t.Fatal(err)
			}
			take(t, c.Done(), "the client goes on")
			if !errors.Is(c.Err(), client.ErrProtocol) {
				t.Error(c.Err())
			}
		})
	}
}

func TestAChannelIsOneRooms(t *testing.T) {
	s := badRooms(t, func(id uint32) []packet.MediaControl { return []packet.MediaControl{opened(id)} })
	c := s.dial(client.Options{})
	for n := range 3 { // the server says of none that it has ended
		w, err := c.Watch(t.Context(), "arena", client.WatchOptions{})
		if err != nil {
			t.Fatalf("room %d: %v", n, err)
		}
		w.Close()
	}
	if _, err := c.Watch(t.Context(), "arena", client.WatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Watch(t.Context(), "other", client.WatchOptions{}); !errors.Is(err, client.ErrProtocol) {
		t.Errorf("a second room with the channel: %v", err)
	}
}

func TestAWatchThatWasClosedKeepsNoFrames(t *testing.T) {
	s := badRooms(t, func(id uint32) []packet.MediaControl {
		return []packet.MediaControl{opened(id), described(id, nil)}
	})
	c := s.dial(client.Options{})
	ss := s.next()
	w, err := c.Watch(t.Context(), "arena", client.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	for range 100 {
		_ = ss.conn.Send(packet.AppendMediaFrame(nil, &packet.MediaFrame{Channel: 1, Key: true, DTS: time.Second.Microseconds(), Data: []byte("x")}, 0))
	}
	if n := waiting(t, c, w); n != 0 {
		t.Errorf("%d frames wait", n)
	}
}
