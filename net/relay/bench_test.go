package relay_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/relay"
)

// BenchmarkFramesToAnotherNode asks what brings frames of 8 KiB from one node to another for less, and sooner: a link, or a subject of a NATS server between both.
func BenchmarkFramesToAnotherNode(b *testing.B) {
	const size = 8 << 10
	frame := func() []byte {
		data := make([]byte, size)
		binary.BigEndian.PutUint64(data, uint64(time.Now().UnixNano()))
		return data
	}
	report := func(b *testing.B, late []time.Duration) {
		slices.Sort(late)
		b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "us-p99")
		b.SetBytes(size)
	}
	const burst = 32 // frames that are on the way at most
	b.Run("link", func(b *testing.B) {
		n := open(b, relay.ServerConfig{Config: key})
		p, err := n.stream.Publish(nil)
		if err != nil {
			b.Fatal(err)
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Video})
		if err != nil {
			b.Fatal(err)
		}
		p.Complete()
		here := media.New(media.Config{})
		to, err := here.Publish(nil)
		if err != nil {
			b.Fatal(err)
		}
		v, err := here.Join(everything())
		if err != nil {
			b.Fatal(err)
		}
		go func() { // it ends with the server
			_ = relay.Receive(b.Context(), key, n.addr, relay.Request{Ticket: "out"}, &into{p: to})
		}()
		for n.stream.Viewers() == 0 {
			<-time.After(time.Millisecond)
		}
		params := &media.Params{Codec: media.VP8}
		frames, late, sent := make([]*media.Frame, burst), make([]time.Duration, 0, b.N), 0
		b.ResetTimer()
		for len(late) < b.N {
			for ; sent < b.N && sent-len(late) < burst; sent++ {
				if err := p.Write(track, media.Sample{DTS: time.Duration(sent), PTS: time.Duration(sent), Key: sent%64 == 0, Data: frame(), Params: params}); err != nil {
					b.Fatal(err)
				}
			}
			got, err := v.Next(frames)
			if err != nil {
				b.Fatal(err)
			}
			for _, f := range frames[:got] {
				late = append(late, time.Duration(time.Now().UnixNano()-int64(binary.BigEndian.Uint64(f.Data))))
			}
		}
		report(b, late)
	})
	b.Run("nats", func(b *testing.B) {
		srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
		if err != nil {
			b.Fatal(err)
		}
		srv.Start()
		defer srv.WaitForShutdown()
		defer srv.Shutdown()
		if !srv.ReadyForConnections(20 * time.Second) {
			b.Fatal("the NATS server is not ready")
		}
		var conns [2]*nats.Conn
		for i := range conns {
			if conns[i], err = nats.Connect(fmt.Sprint("nats://", srv.Addr())); err != nil {
				b.Fatal(err)
			}
		}
		defer conns[0].Close()
		defer conns[1].Close()
		arrived := make(chan *nats.Msg, 2*burst)
		if _, err = conns[1].ChanSubscribe("media.arena", arrived); err == nil {
			err = conns[1].Flush()
		}
		if err != nil {
			b.Fatal(err)
		}
		late, sent := make([]time.Duration, 0, b.N), 0
		b.ResetTimer()
		for len(late) < b.N {
			for ; sent < b.N && sent-len(late) < burst; sent++ {
				if err := conns[0].Publish("media.arena", frame()); err != nil {
					b.Fatal(err)
				}
			}
			m := <-arrived
			late = append(late, time.Duration(time.Now().UnixNano()-int64(binary.BigEndian.Uint64(m.Data))))
		}
		report(b, late)
	})
}
