package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/net/packet"
)

// issuer is an origin that gives tokens, loses sessions as it is asked to, and keeps what it was shown.
type issuer struct {
	origin
	heard

	shown  []string // the bodies of logins
	refuse []string // codes of the next logins by token
}

func issue(t *testing.T) *issuer {
	o := &issuer{origin: origin{t: t, window: 60, ring: packet.Ring{Packages: 100, Bytes: 1 << 16}}}
	o.origin.refuse = func(int) *packet.Reason { return &packet.Reason{Code: packet.ResumeLost, Msg: "the server is dead"} }
	o.handle = func(s *seat, m packet.Message) {
		switch body := string(m.Body); {
		case m.Route != "login":
			if m.Route == "silence" {
				return
			}
			s.data(packet.Message{Type: packet.Response, ID: m.ID, Body: m.Body})
		case !strings.Contains(body, "token"):
			o.shown = append(o.shown, body)
			s.data(packet.Message{Type: packet.Response, ID: m.ID, Body: fmt.Appendf(nil, `{"uid":"7","name":"ann","token":"t%d","expires":2000000000}`, len(o.shown))})
		default:
			o.shown = append(o.shown, body)
			if len(o.refuse) > 0 {
				s.data(packet.Message{Type: packet.Response, ID: m.ID, Error: true, Body: fmt.Appendf(nil, `{"code":%q,"msg":"no"}`, o.refuse[0])})
				o.refuse = o.refuse[1:]
				return
			}
			s.data(packet.Message{Type: packet.Response, ID: m.ID, Body: []byte(`{"uid":"7","name":"ann"}`)})
		}
	}
	t.Cleanup(o.stop)
	return o
}

// lose has the client's connection break, and its session with it.
func (o *issuer) lose(c *client.Client) {
	if err := c.Reconnect(""); err != nil {
		o.t.Fatal(err)
	}
	rest(10 * time.Second)
	synctest.Wait()
}

func (o *issuer) dialIn(opts client.Options) *client.Client {
	o.t.Helper()
	own := o.options(&o.origin)
	opts.NetDial, opts.OnAny, opts.OnEvent = own.NetDial, own.OnAny, own.OnEvent
	c, err := client.Dial(o.t.Context(), "tcp://server", opts)
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func TestAClientWhoseSessionIsLostIsInAgainByTheTokenOfItsLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := issue(t)
		c := o.dialIn(client.Options{})
		defer c.Close()
		if err := c.Request(t.Context(), "login", `{"name":"ann","password":"x"}`, nil); err != nil {
			t.Fatal(err)
		}
		lost := make(chan error, 1)
		if err := c.RequestFunc("silence", nil, 0, func(_ []byte, err error) { lost <- err }); err != nil {
			t.Fatal(err)
		}
		for range 2 { // a login by token gives no new one
			o.lose(c)
		}
		if err := <-lost; !errors.Is(err, client.ErrSessionLost) || !strings.Contains(err.Error(), "resume_lost") {
			t.Errorf("the request without an answer: %v", err)
		}
		if err := c.Request(t.Context(), "echo", "x", nil); err != nil {
			t.Error(err)
		}
		const token = `{"token":"t1"}`
		if want := []string{`{"name":"ann","password":"x"}`, token, token}; !slices.Equal(o.shown, want) {
			t.Errorf("the server was shown %q, expected %q", o.shown, want)
		}
		one := []client.EventKind{client.Away, client.Lost, client.LoggedIn}
		if got, want := o.kinds(), slices.Concat(one, one); !slices.Equal(got, want) {
			t.Errorf("events %v, expected %v", got, want)
		}
	})
}

func TestALoginAsksForCredentialsOnceAndAgainWhenTheTokenIsGoodNoMore(t *testing.T) {
	for _, code := range []string{"expired", "revoked", "bad_token", "busy", "banned"} {
		t.Run(code, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := issue(t)
				prompts := 0
				c := o.dialIn(client.Options{Login: func(ctx context.Context, s *client.Session) error {
					answer, err := s.Login(ctx, func(context.Context) (any, error) {
						prompts++
						return map[string]any{"name": "ann", "password": fmt.Sprint(prompts)}, nil
					})
					if err == nil && (answer.UID != "7" || answer.Name != "ann" || answer.Until().IsZero() != (answer.Token == "")) {
						t.Errorf("answered %+v", answer)
					}
					return err
				}})
				defer c.Close()
				o.lose(c)
				if prompts != 1 {
					t.Errorf("%d prompts for one login and one token", prompts)
				}
				o.now(func() { o.refuses(code) })
				o.lose(c)
				switch {
				case code == "banned":
					var refused *client.Error
					if err := c.Err(); !errors.As(err, &refused) || refused.Code != code {
						t.Errorf("the client's end: %v", err)
					}
				case code == "busy" && prompts != 1, code != "busy" && prompts != 2, c.Err() != nil:
					t.Errorf("%d prompts, %v", prompts, c.Err())
				}
			})
		})
	}
}

func (o *issuer) refuses(codes ...string) { o.refuse = codes }

func TestATokenThatIsRefusedEndsAClientThatHasNothingElse(t *testing.T) {
	for name, opts := range map[string]client.Options{"refused": {}, "not wanted": {NoRelogin: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := issue(t)
				c := o.dialIn(opts)
				defer c.Close()
				if err := c.Request(t.Context(), "login", `{"name":"ann"}`, nil); err != nil {
					t.Fatal(err)
				}
				o.refuses("revoked")
				o.lose(c)
				var refused *client.Error
				if err := c.Err(); opts.NoRelogin && (!errors.Is(err, client.ErrSessionLost) || len(o.shown) != 1) ||
					!opts.NoRelogin && (!errors.As(err, &refused) || refused.Code != "revoked") {
					t.Errorf("the client's end: %v; the server was shown %q", err, o.shown)
				}
			})
		})
	}
}

func TestAClientWhoseServerDoesNotAnswerTriesThoseThatItHasToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := issue(t)
		o.origin.refuse = nil
		o.others = []string{"tls://third:3", "tcp://server", "http://fourth", "tcp://fifth:5"}
		dead := false
		o.plan = func(int) cuts {
			c := whole()
			c.refused = dead && o.dialed[len(o.dialed)-1] == "server"
			return c
		}
		c := o.dialIn(client.Options{})
		defer c.Close()
		o.now(func() { dead = true })
		o.lose(c)
		o.now(func() { dead = false })
		o.lose(c)
		if err := c.Request(t.Context(), "echo", "x", nil); err != nil {
			t.Error(err)
		}
		// Each at once what has worked last, and then the others.
		if want := []string{"server", "server", "fifth:5", "fifth:5"}; !slices.Equal(o.dialed, want) {
			t.Errorf("tried %q, expected %q", o.dialed, want)
		}
		one := []client.EventKind{client.Away, client.Resumed}
		if got, want := o.kinds(), slices.Concat(one, one); !slices.Equal(got, want) {
			t.Errorf("events %v, expected %v", got, want)
		}
	})
}
