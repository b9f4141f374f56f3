package client_test

import (
	"context"
	"fmt"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/transport"
)

// echoServer answers requests with their bodies, and pushes notifies back.
func echoServer() (url string, stop func()) {
	ln, err := tcp.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{sessions: make(chan *session, 10), code: packet.CodeOK}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- transport.Serve(ctx, ln, transport.HandlerFunc(func(c *transport.Conn) (transport.Receiver, error) {
			return &session{srv: s, conn: c, closed: make(chan error, 1)}, nil
		}), transport.Config{Name: "tcp", Split: packet.Split(0)})
	}()
	return "tcp://" + ln.Addr().String(), func() {
		cancel()
		<-ended
	}
}

// A request with its answer. Options need nothing: the session survives lost connections if the server offers that.
func ExampleDial() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url, stop := echoServer()
	defer stop()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	var spot struct{ X, Y int }
	if err := c.Request(ctx, "move", map[string]int{"x": 3, "y": 4}, &spot); err != nil {
		panic(err)
	}
	fmt.Println(spot.X, spot.Y)
	// Output: 3 4
}

// A client that logs in, again if it has to, and comes back over whatever gets through.
func ExampleOptions() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url, stop := echoServer()
	defer stop()
	pushed := make(chan string, 1)
	c, err := client.Dial(ctx, "kcp://127.0.0.1:1", client.Options{ // nobody there
		Also:             []string{url},
		HandshakeTimeout: 2 * time.Second,
		Login: func(ctx context.Context, s *client.Session) error {
			_, err := s.Login(ctx, map[string]string{"name": "ann", "password": "x"}) // by the token of the last login, from the second time on
			return err
		},
		OnEvent: func(e client.Event) { fmt.Println(e.Kind, e.Err) },
		On:      map[string]func([]byte){"chat": func(body []byte) { pushed <- string(body) }},
	})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	if err := c.Notify(ctx, "chat", "hello"); err != nil { // this server pushes notifies back
		panic(err)
	}
	fmt.Println(<-pushed)
	// Output: hello
}

// Many requests without a goroutine each.
func ExampleClient_RequestFunc() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url, stop := echoServer()
	defer stop()
	c, err := client.Dial(ctx, url, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	answers := make(chan string, 3)
	for i := range 3 {
		err := c.RequestFunc("echo", fmt.Sprint("number ", i), time.Minute, func(body []byte, err error) {
			if err != nil {
				fmt.Println(err)
			}
			answers <- string(body)
		})
		if err != nil {
			panic(err)
		}
	}
	for range 3 {
		fmt.Println(<-answers)
	}
	// Output:
	// number 0
	// number 1
	// number 2
}
