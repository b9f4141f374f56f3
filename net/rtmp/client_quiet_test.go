package rtmp_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/net/flv/amf"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/rtmp/rtmptest"
)

// counter is a connection that tells how much has been written.
type counter struct {
	net.Conn
	wrote chan int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err == nil {
		c.wrote <- n
	}
	return n, err
}

// agrees is the connection to a server, and its end of it: a server that says yes to whatever a client wants, and takes what comes until it is made deaf, and one message more.
func agrees(tb testing.TB, agreed string) (*counter, *rtmptest.Client, func()) {
	tb.Helper()
	ours, theirs := net.Pipe()
	client, server := &counter{ours, make(chan int, 1000)}, &rtmptest.Client{Conn: theirs}
	deaf := make(chan struct{})
	go func() { // it ends with the connection
		buf := make([]byte, 64<<10)
		for {
			select {
			case <-deaf:
				return
			default:
			}
			if _, err := theirs.Read(buf); err != nil {
				return
			}
		}
	}()
	go func() {
		hello := make([]byte, 1+2*1536)
		hello[0] = 3
		_, err := theirs.Write(hello)
		for _, m := range []rtmptest.Message{
			{Kind: 1, Body: []byte{0, 16, 0, 0}},
			{Kind: 20, Body: amf.Append(nil, "_result", 1, nil, nil)},
			{Kind: 20, Body: amf.Append(nil, "_result", 2, nil, 1)},
			{Kind: 20, Body: amf.Append(nil, "_result", 4, nil, 1)},
			{Kind: 20, Body: amf.Append(nil, "onStatus", 0, nil, amf.Object{{Key: "code", Value: agreed}})},
		} {
			if err == nil {
				err = server.Send(m.Kind, 0, m.Body)
			}
		}
		if err != nil {
			tb.Error(err)
		}
	}()
	return client, server, func() { close(deaf) }
}

// ping is what servers ask now and then, to hear whether the other side lives.
func ping(server *rtmptest.Client) error {
	const control = 4
	return server.Send(control, 0, []byte{0, 6, 0, 0, 0, 1})
}

// TestAServerIsAnsweredWhileNothingIsPublished: a publisher that pauses for longer than a write may take does not cost the connection.
func TestAServerIsAnsweredWhileNothingIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, _ := agrees(t, "NetStream.Publish.Start")
		stream := media.New(media.Config{})
		v, err := stream.Join(media.ViewerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := stream.Publish(nil)
		if err != nil {
			t.Fatal(err)
		}
		track, err := p.Track(media.TrackSpec{Kind: media.Audio})
		if err != nil {
			t.Fatal(err)
		}
		p.Complete()
		d := rtmp.Dialer{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Push(ctx, parsed(t, "rtmp://tv/live/test"), v, func() {}) }()
		if err := p.Write(track, media.Sample{Data: []byte("sound"), Params: &media.Params{Codec: media.MP3, SampleRate: 44100, Channels: 2}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 3 {
			<-time.After(15 * time.Second) // nobody publishes
			had := len(client.wrote)
			if err := ping(server); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(client.wrote) != had+1 {
				t.Errorf("a ping is answered by %d messages", len(client.wrote)-had)
			}
		}
		select {
		case err := <-ended:
			t.Errorf("it has ended: %v", err)
		default:
		}
		stop()
		<-ended
		_ = server.Close()
	})
}

// TestAServerThatTakesNothingIsLeft: one that is pulled from asks for answers, and does not read them.
func TestAServerThatTakesNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server, deafen := agrees(t, "NetStream.Play.Start")
		d := rtmp.Dialer{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }, WriteTimeout: 5 * time.Second}
		ended := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			ended <- d.Pull(t.Context(), parsed(t, "rtmp://tv/live/test"), func() (*media.Publisher, error) {
				close(begun)
				return media.New(media.Config{}).Publish(nil)
			})
		}()
		<-begun
		synctest.Wait()
		deafen()
		go func() { // it ends with the connection
			for ping(server) == nil {
			}
		}()
		select {
		case err := <-ended:
			if err == nil {
				t.Error("it ended without an error")
			}
		case <-time.After(20 * time.Second):
			t.Error("it goes on")
		}
		_ = server.Close()
		_ = client.Close()
	})
}
