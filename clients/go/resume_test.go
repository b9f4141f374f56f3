package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
)

// rest lets the clock of a bubble run.
func rest(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
}

// heard is what a client was told, in order.
type heard struct {
	mu     sync.Mutex
	pushes []string
	events []client.Event
}

func (h *heard) options(o *origin) client.Options {
	return client.Options{
		NetDial: o.dial,
		OnAny: func(_ string, body []byte) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.pushes = append(h.pushes, string(body))
		},
		OnEvent: func(e client.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
		},
	}
}

func (h *heard) kinds() []client.EventKind {
	h.mu.Lock()
	defer h.mu.Unlock()
	var kinds []client.EventKind
	for _, e := range h.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func numbers(n int) []string {
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i+1))
	}
	return want
}

// story is a client that sends 12 messages, in three portions, and gets 24 pushes. It holds both ends against each other at the end. It returns the bytes
// of the first connection.
func story(t *testing.T, plan func(int) cuts, inline bool) (up, down, resumes int) {
	t.Helper()
	o := &origin{t: t, plan: plan, ackEach: 3, ring: packet.Ring{Packages: 12, Bytes: 4000}, window: 60, beat: 5}
	defer o.stop()
	h := &heard{}
	opts := h.options(o)
	opts.Inline = inline
	c, err := client.Dial(t.Context(), "tcp://server", opts)
	for tries := 0; err != nil && tries < 5; tries++ { // cut in the first handshake: there is no session yet
		c, err = client.Dial(t.Context(), "tcp://server", opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var mu sync.Mutex
	var sent, answers, wanted []string
	for i := range 12 {
		body := fmt.Sprintf("message %d", i)
		route := []string{"echo", "other"}[i%2]
		sent = append(sent, route+" "+body)
		if i%4 == 3 {
			if err := c.Notify(t.Context(), route, body); err != nil {
				t.Fatal(err)
			}
		} else {
			wanted = append(wanted, body)
			err := c.RequestFunc(route, body, time.Minute, func(got []byte, err error) {
				mu.Lock()
				defer mu.Unlock()
				answers = append(answers, string(got))
				if err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if i%4 == 2 {
			rest(time.Second)
		}
	}
	rest(42 * time.Second) // longer than all pauses, and not when a heartbeat is due
	synctest.Wait()
	o.now(func() {
		s := o.seat(c)
		if !slices.Equal(s.handled, sent) {
			t.Errorf("handled %q, expected %q", s.handled, sent)
		}
		if s.pushed != 24 || s.acked+uint64(len(s.ring)) != 24+9 {
			t.Errorf("%d pushes, %d data packages", s.pushed, s.acked+uint64(len(s.ring)))
		}
		if len(s.ring) > 0 {
			t.Errorf("%d packages are not acknowledged after the heartbeats", len(s.ring))
		}
		up, down = int(o.used[0].up.Load()), int(o.used[0].down.Load())
	})
	h.mu.Lock()
	if !slices.Equal(h.pushes, numbers(24)) {
		t.Errorf("pushes %q", h.pushes)
	}
	h.mu.Unlock()
	mu.Lock()
	if !slices.Equal(answers, wanted) {
		t.Errorf("answers %q, expected %q", answers, wanted)
	}
	mu.Unlock()
	st := c.Stats()
	if st.Unknown != 0 || st.OutOfOrder != 0 || st.Pending != 0 || st.Answers != 9 || st.Pushes != 24 {
		t.Errorf("%+v", st)
	}
	_ = c.Close()
	synctest.Wait()
	o.now(func() {
		last := o.used[len(o.used)-1]
		if s := o.seat(c); s.over != "goodbye" && last.cuts == whole() {
			t.Errorf("the session has not ended with the client: %q", s.over)
		}
	})
	return up, down, int(st.Resumes)
}

// Wherever the first connection breaks, in either direction, and wherever the second one does: each message is handled once, each answer and push
// arrives once, and all in order.
func TestACutAtAnyByteLosesNothingAndDoublesNothing(t *testing.T) {
	var up, down int
	synctest.Test(t, func(t *testing.T) { up, down, _ = story(t, nil, false) })
	if up < 200 || down < 400 {
		t.Fatalf("%d and %d bytes: the story is too short", up, down)
	}
	t.Logf("%d bytes up, %d bytes down", up, down)
	resumes := 0
	for _, way := range []struct {
		name  string
		bytes int
		cut   func(at int) cuts
	}{
		{"up", up, func(at int) cuts { return cuts{up: at, down: -1} }},
		{"down", down, func(at int) cuts { return cuts{up: -1, down: at} }},
		{"down, and the server does not hear of it", down, func(at int) cuts { return cuts{up: -1, down: at, deaf: true} }},
		{"up, and the server does not hear of it", up, func(at int) cuts { return cuts{up: at, down: -1, deaf: true} }},
	} {
		t.Run(way.name, func(t *testing.T) {
			for at := range way.bytes {
				synctest.Test(t, func(t *testing.T) {
					defer func() {
						if t.Failed() {
							t.Logf("cut after byte %d", at)
						}
					}()
					_, _, n := story(t, func(connection int) cuts {
						switch connection {
						case 0:
							return way.cut(at)
						case 1, 2:
							return way.cut(at * (5 + 2*connection) % way.bytes) // somewhere else
						}
						return whole()
					}, at%2 == 0)
					resumes += n
				})
			}
		})
	}
	if resumes < up+down {
		t.Errorf("%d resumes: the test has not tested much", resumes)
	}
	t.Logf("%d resumes", resumes)
}

func TestARefusedResumeFailsWhatWaitedAndLogsInAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, ring: packet.Ring{Packages: 1024, Bytes: 1 << 18}}
		defer o.stop()
		mute := false
		o.handle = func(s *seat, m packet.Message) {
			if !mute || m.Route == "login" {
				s.data(packet.Message{Type: packet.Response, ID: m.ID, Body: m.Body})
			}
		}
		o.refuse = func(int) *packet.Reason { return &packet.Reason{Code: packet.ResumeOverflow, Msg: "too much"} }
		h := &heard{}
		opts := h.options(o)
		logins := 0
		hold := make(chan struct{})
		opts.Login = func(ctx context.Context, s *client.Session) error {
			if logins++; logins == 2 {
				<-hold
			}
			var got string
			if err := s.Request(ctx, "login", `"ann"`, &got); err != nil || got != "ann" {
				return fmt.Errorf("login: %q, %w", got, err)
			}
			return s.Notify(ctx, "ready", nil)
		}
		c, err := client.Dial(t.Context(), "tcp://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		o.now(func() { mute = true })
		var failed error
		if err := c.RequestFunc("echo", "x", 0, func(_ []byte, err error) { failed = err }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := c.Reconnect(""); err != nil {
			t.Fatal(err)
		}
		rest(time.Second)
		synctest.Wait()
		if !errors.Is(failed, client.ErrSessionLost) || !strings.Contains(fmt.Sprint(failed), "resume_overflow") {
			t.Errorf("the request that waited: %v", failed)
		}
		// The new session has not logged in: others wait for it.
		if err := c.RequestFunc("echo", "y", 0, func([]byte, error) { t.Error("called") }); !errors.Is(err, client.ErrNotLoggedIn) {
			t.Errorf("before the login: %v", err)
		}
		o.now(func() { mute = false })
		answered := make(chan error, 1)
		go func() { answered <- c.Request(t.Context(), "echo", "y", nil) }()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.Notify(short, "echo", "z"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a notify before the login: %v", err)
		}
		close(hold)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got, want := h.kinds(), []client.EventKind{client.Away, client.Lost, client.LoggedIn}; !slices.Equal(got, want) {
			t.Errorf("events %v, expected %v", got, want)
		}
		o.now(func() {
			if got := o.seats[1].handled; !slices.Equal(got, []string{`login "ann"`, "ready ", "echo y"}) {
				t.Errorf("the new session handled %q", got)
			}
		})
	})
}

func TestWithoutALoginALostSessionIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60}
		defer o.stop()
		o.refuse = func(int) *packet.Reason { return &packet.Reason{Code: packet.ResumeReplaced, Msg: "elsewhere"} }
		h := &heard{}
		c, err := client.Dial(t.Context(), "tcp://server", h.options(o))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.Reconnect("")
		<-c.Done()
		var kick *client.KickError
		if err := c.Err(); !errors.Is(err, client.ErrSessionLost) || !strings.Contains(err.Error(), "resume_replaced") || !errors.As(err, &kick) || kick.Code != "replaced" {
			t.Errorf("%v", err)
		}
		if err := c.Request(t.Context(), "echo", nil, nil); !errors.Is(err, client.ErrSessionLost) {
			t.Errorf("a request: %v", err)
		}
		synctest.Wait()
		if got, want := h.kinds(), []client.EventKind{client.Away, client.Lost}; !slices.Equal(got, want) {
			t.Errorf("events %v, expected %v", got, want)
		}
	})
}

func TestAPlayerWhoLoggedInElsewhereStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60}
		defer o.stop()
		o.refuse = func(int) *packet.Reason { return &packet.Reason{Code: packet.ResumeReplaced, Msg: "elsewhere"} }
		opts := (&heard{}).options(o)
		logins := 0
		opts.Login = func(context.Context, *client.Session) error {
			logins++
			return nil
		}
		c, err := client.Dial(t.Context(), "tcp://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.Reconnect("")
		<-c.Done()
		var kick *client.KickError
		if err := c.Err(); !errors.As(err, &kick) || kick.Code != "replaced" || logins != 1 {
			t.Errorf("%d logins, %v", logins, err)
		}
	})
}

func TestAWayBackThatIsNotThereIsGivenUpWhenTheWindowIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, plan: func(connection int) cuts {
			c := whole()
			c.refused = connection > 0
			return c
		}}
		defer o.stop()
		h := &heard{}
		c, err := client.Dial(t.Context(), "tcp://server", h.options(o))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var failed error
		began := time.Now()
		_ = c.Reconnect("")
		synctest.Wait()
		// Away: requests are taken, and wait.
		if err := c.RequestFunc("echo", "x", -1, func(_ []byte, err error) { failed = err }); err != nil {
			t.Fatal(err)
		}
		<-c.Done()
		if took := time.Since(began); took < 55*time.Second || took > 65*time.Second {
			t.Errorf("it took %v", took)
		}
		if !errors.Is(failed, client.ErrSessionLost) || !errors.Is(failed, errCut) {
			t.Errorf("the request that waited: %v", failed)
		}
		o.now(func() {
			if o.conns < 10 || o.conns > 60 {
				t.Errorf("%d connections in a minute", o.conns)
			}
		})
	})
}

func TestAnotherAddressIsTriedWhenOneDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []string
		down := "first"
		o := &origin{t: t, window: 60}
		defer o.stop()
		h := &heard{}
		opts := h.options(o)
		opts.Also = []string{"tcp://second:1"}
		dial := opts.NetDial
		opts.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			host, _, _ := strings.Cut(addr, ":")
			tried = append(tried, host)
			if host == down {
				<-ctx.Done() // a network that swallows everything
				return nil, context.Cause(ctx)
			}
			return dial(ctx, network, addr)
		}
		c, err := client.Dial(t.Context(), "tcp://first:1", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.URL() != "tcp://second:1" {
			t.Errorf("connected to %s", c.URL())
		}
		down = "second"
		if err := c.Reconnect(""); err != nil {
			t.Fatal(err)
		}
		if err := c.Request(t.Context(), "echo", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Reconnect("tcp://first:1"); err != nil {
			t.Fatal(err)
		}
		if err := c.Request(t.Context(), "echo", nil, nil); err != nil {
			t.Fatal(err)
		}
		if want := []string{"first", "second", "second", "first", "first"}; !slices.Equal(tried, want) {
			t.Errorf("tried %q, expected %q", tried, want)
		}
		if st := c.Stats(); st.Resumes != 2 {
			t.Errorf("%d resumes", st.Resumes)
		}
	})
}

func TestAFullRingRefusesAndEmptiesWithTheServersAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60}
		defer o.stop()
		h := &heard{}
		opts := h.options(o)
		opts.RingPackages, opts.RingBytes = 8, 1000
		c, err := client.Dial(t.Context(), "tcp://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 8 {
			if err := c.Request(t.Context(), "echo", nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Request(t.Context(), "echo", nil, nil); !errors.Is(err, client.ErrRing) {
			t.Errorf("one too many: %v", err)
		}
		o.now(func() { o.seats[0].ack() })
		synctest.Wait()
		if err := c.Request(t.Context(), "echo", make([]byte, 2000), nil); err != nil {
			t.Errorf("a large one into an empty ring: %v", err)
		}
		if err := c.Notify(t.Context(), "echo", nil); !errors.Is(err, client.ErrRing) {
			t.Errorf("behind the large one: %v", err)
		}
		o.now(func() { o.seats[0].raw(packet.AppendAck(nil, 3)) }) // back: ignored
		o.now(func() { o.seats[0].raw(packet.AppendAck(nil, 10)) })
		<-c.Done()
		if err := c.Err(); !errors.Is(err, client.ErrProtocol) {
			t.Errorf("an ack of what was never sent: %v", err)
		}
	})
}

func TestTheServerIsToldOfWhatHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, beat: 30, ring: packet.Ring{Packages: 1024, Bytes: 1 << 18}}
		defer o.stop()
		h := &heard{}
		c, err := client.Dial(t.Context(), "tcp://server", h.options(o))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		push := func(n, size int) (unacked int) {
			for range n {
				o.now(func() { o.seats[0].data(packet.Message{Type: packet.Push, Route: "n", Body: make([]byte, size)}) })
			}
			synctest.Wait()
			o.now(func() { unacked = len(o.seats[0].ring) })
			return unacked
		}
		if n := push(31, 10); n != 31 {
			t.Errorf("after 31 packages %d are not acknowledged", n)
		}
		if n := push(1, 10); n != 0 {
			t.Errorf("after 32 packages %d are not acknowledged", n)
		}
		if n := push(1, 16<<10); n != 0 {
			t.Errorf("after 16 KiB %d are not acknowledged", n)
		}
		if n := push(1, 10); n != 1 {
			t.Errorf("after 1 package %d are not acknowledged", n)
		}
		rest(31 * time.Second)
		if n := push(0, 0); n != 0 {
			t.Errorf("after the heartbeat %d are not acknowledged", n)
		}
	})
}

func TestASilentServerIsLeftAndTheSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, beat: 5, plan: func(connection int) cuts {
			c := whole()
			if connection == 0 {
				c.deaf = true
			}
			return c
		}}
		defer o.stop()
		h := &heard{}
		opts := h.options(o)
		opts.RequestTimeout = -1
		c, err := client.Dial(t.Context(), "tcp://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		synctest.Wait()
		o.now(func() { o.seats[0].conn.mute = true })
		if err := c.Request(t.Context(), "echo", "hello", nil); err != nil {
			t.Fatal(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.events) != 2 || h.events[0].Kind != client.Away || !errors.Is(h.events[0].Err, client.ErrServerSilent) || h.events[1].Kind != client.Resumed || h.events[1].Away <= 0 {
			t.Errorf("%+v", h.events)
		}
	})
}

func TestKicksSayWhetherTheSessionGoesOn(t *testing.T) {
	for _, k := range []struct {
		code   string
		login  bool
		events []client.EventKind
		ends   bool
	}{
		{"idle", false, []client.EventKind{client.Away, client.Resumed}, false},
		{"resumed", false, []client.EventKind{client.Away, client.Resumed}, false},
		{"replaced", true, []client.EventKind{client.Kicked}, true},
		{"shutdown", false, []client.EventKind{client.Kicked}, true},
		{"shutdown", true, []client.EventKind{client.Kicked, client.Lost, client.LoggedIn}, false},
	} {
		t.Run(fmt.Sprint(k.code, " ", k.login), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{t: t, window: 60}
				defer o.stop()
				h := &heard{}
				opts := h.options(o)
				if k.login {
					opts.Login = func(ctx context.Context, s *client.Session) error { return s.Request(ctx, "login", nil, nil) }
				}
				c, err := client.Dial(t.Context(), "tcp://server", opts)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				o.now(func() { o.seats[0].raw(packet.AppendKick(nil, packet.Reason{Code: k.code})) })
				rest(time.Second)
				if got := h.kinds(); !slices.Equal(got, k.events) {
					t.Errorf("events %v, expected %v", got, k.events)
				}
				var kick *client.KickError
				if err := c.Err(); (err != nil) != k.ends || k.ends && (!errors.As(err, &kick) || kick.Code != k.code) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestALoginThatIsRefusedEndsTheClientAndABusyOneIsRepeated(t *testing.T) {
	for _, code := range []string{"denied", "busy"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &origin{t: t, window: 60, refuse: func(int) *packet.Reason { return &packet.Reason{Code: packet.ResumeUnknown} }}
				defer o.stop()
				h := &heard{}
				opts := h.options(o)
				logins := 0
				opts.Login = func(ctx context.Context, s *client.Session) error {
					if logins++; logins == 2 || logins == 3 {
						return &client.Error{Code: code}
					}
					return nil
				}
				c, err := client.Dial(t.Context(), "tcp://server", opts)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.Reconnect("")
				rest(155 * time.Millisecond) // the longest first pause, and no second login yet
				err = c.Request(t.Context(), "echo", nil, nil)
				synctest.Wait()
				if code == "busy" && (err != nil || logins != 4) || code == "denied" && (err == nil || logins != 2) {
					t.Errorf("%d logins, then %v", logins, err)
				}
				var refused *client.Error
				if ended := c.Err(); code == "denied" && (!errors.As(ended, &refused) || refused.Code != code) || code == "busy" && ended != nil {
					t.Errorf("the client's end: %v", ended)
				}
			})
		})
	}
}

func TestDialFailsWithTheLoginsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60}
		defer o.stop()
		opts := (&heard{}).options(o)
		opts.Login = func(context.Context, *client.Session) error { return &client.Error{Code: "denied"} }
		_, err := client.Dial(t.Context(), "tcp://server", opts)
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Code != "denied" {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsAClientThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, plan: func(connection int) cuts {
			c := whole()
			c.refused = connection > 0
			return c
		}}
		defer o.stop()
		c, err := client.Dial(t.Context(), "tcp://server", (&heard{}).options(o))
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Reconnect("")
		synctest.Wait()
		answered := make(chan error, 1)
		go func() { answered <- c.Request(t.Context(), "echo", nil, nil) }()
		synctest.Wait()
		_ = c.Close()
		if err := <-answered; !errors.Is(err, client.ErrClosed) {
			t.Errorf("the request that waited: %v", err)
		}
		if err := c.Reconnect(""); !errors.Is(err, client.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestRequestsWithoutADeadlineHaveOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{t: t, window: 60, handle: func(*seat, packet.Message) {}}
		defer o.stop()
		opts := (&heard{}).options(o)
		opts.RequestTimeout = 3 * time.Second
		c, err := client.Dial(t.Context(), "tcp://server", opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		began := time.Now()
		if err := c.Request(t.Context(), "echo", nil, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		failed := make(chan error, 1)
		if err := c.RequestFunc("echo", nil, time.Second, func(_ []byte, err error) { failed <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestAServerWithoutResumeGetsANewSessionOrNone(t *testing.T) {
	for _, login := range []bool{false, true} {
		t.Run(fmt.Sprint(login), func(t *testing.T) {
			s := serve(t, "tcp", nil)
			h := &heard{}
			opts := h.options(&origin{})
			opts.NetDial = nil
			again := make(chan struct{}, 10)
			if login {
				opts.Login = func(ctx context.Context, s *client.Session) error {
					again <- struct{}{}
					return s.Request(ctx, "login", nil, nil)
				}
			}
			c := s.dial(opts)
			s.next().conn.CloseWith(errors.New("gone"), nil)
			if !login {
				take(t, c.Done(), "the client goes on")
				if err := c.Err(); !errors.Is(err, client.ErrServerClosed) {
					t.Errorf("%v", err)
				}
				return
			}
			take(t, again, "no first login")
			take(t, again, "no second login")
			if err := c.Request(t.Context(), "x", nil, nil); err != nil {
				t.Error(err)
			}
		})
	}
}
