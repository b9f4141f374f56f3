package acceptance_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// drip sends byte by byte, a while apart, until the other end has had enough.
func drip(c net.Conn, b []byte) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, x := range b {
		if _, err := c.Write([]byte{x}); err != nil {
			return
		}
		<-tick.C
	}
}

// slowly holds connections for as long as it may.
func slowly(w *world, p *phase) {
	long := pack(typeHandshake, bytes.Repeat([]byte(" "), 4000))
	half := ask(1, "echo", bytes.Repeat([]byte(" "), 4000))
	n := sized(10, 100)
	var all sync.WaitGroup
	for _, how := range []func(i int) (string, error){
		func(i int) (string, error) { // a handshake that takes for ever
			c, in, err := w.attacker(from(i))
			if err != nil {
				return "", err
			}
			defer c.Close()
			go drip(c, long)
			return fateOf(in), nil
		},
		func(i int) (string, error) { // the same over KCP
			c, err := w.dial(w.t.Context(), overKCP)
			if err != nil {
				return "", err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			go drip(c, long)
			return fateOf(bufio.NewReader(c)), nil
		},
		func(i int) (string, error) { // a package that takes for ever
			c, in, _, err := w.shaken(i, nil)
			if err != nil {
				return "", err
			}
			defer c.Close()
			go drip(c, half)
			return fateOf(in), nil
		},
		func(i int) (string, error) { // half a package, and not a byte more
			c, in, _, err := w.shaken(i, nil)
			if err != nil {
				return "", err
			}
			defer c.Close()
			if _, err := c.Write(half[:len(half)/2]); err != nil {
				return "", err
			}
			return fateOf(in), nil
		},
		func(i int) (string, error) { // a WebSocket's request that takes for ever
			c, err := net.Dial("tcp", w.addrs[overWS])
			if err != nil {
				return "", err
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			go drip(c, []byte("GET /ws HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 4000)))
			_, _ = io.Copy(io.Discard, c)
			return "closed before the upgrade", nil
		},
	} {
		all.Go(func() { w.many(p, n, how) })
	}
	all.Wait()
}

// bomb is a request whose body inflates to so many bytes.
func bomb(size int) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(make([]byte, size))
	_ = z.Close()
	return pack(typeData, append([]byte{messageRequest<<1 | flagGzip, 1, 4, 'e', 'c', 'h', 'o'}, out.Bytes()...))
}

// brokenly sends what is no package.
func brokenly(w *world, p *phase) {
	big := bomb(10 << 20)
	transports := []string{overTCP, overKCP, overWS}
	w.many(p, sized(30, 300), func(i int) (string, error) {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		c, err := w.dial(w.t.Context(), transports[i%3])
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReader(c)
		if i%2 == 0 {
			if _, err := greet(c, in, nil); err != nil {
				return "", err
			}
			if _, err := c.Write(pack(typeHandshakeAck, nil)); err != nil {
				return "", err
			}
		}
		evil := []byte{typeData, 0xff, 0xff, 0xff} // all of 16 MiB
		switch i % 10 {
		case 0, 2, 4:
			evil = big
		case 1, 3, 6, 8:
			evil = make([]byte, 1+rnd.IntN(5000))
			for j := range evil {
				evil[j] = byte(rnd.Uint32())
			}
			evil[0] |= 0x80 // no package's type, so that it need not be waited for
		}
		_, _ = c.Write(evil) // it may be closed before all of it is out
		code := fateOf(in)
		if code != "bad_packet" && (code != "nothing" || i%3 == 0) { // TCP's reset may overtake what was said
			return "", fmt.Errorf("over %s: told %q of % x", transports[i%3], code, evil[:min(len(evil), 16)])
		}
		return code, nil
	})
}

// thievishly tries to get sessions of others.
func thievishly(w *world, p *phase) {
	c, in, hello, err := w.shaken(0, map[string]any{})
	if err != nil {
		w.t.Error(err)
		return
	}
	victim := &player{conn: c, in: in}
	if err := victim.ask("login", []byte(`{"name":"victim","password":"pw of victim"}`), ""); err != nil {
		w.t.Error(err)
		return
	}
	used := hello.Sys.Resume.Token
	_ = c.Close()
	// The victim comes back, with which the first token is used up.
	c, in, hello, err = w.shaken(0, map[string]any{"token": used, "received": 1})
	if err != nil || !hello.Sys.Resume.Resumed {
		w.t.Errorf("the victim's own resume: %+v, %v", hello.Sys.Resume, err)
		return
	}
	defer c.Close()
	victim.conn, victim.in = c, in
	if err := victim.ask("echo", []byte(`"mine"`), `"mine"`); err != nil {
		w.t.Errorf("the victim: %v", err)
	}
	good := hello.Sys.Resume.Token
	w.many(p, sized(30, 500), func(i int) (string, error) {
		rnd := rand.New(rand.NewPCG(2, uint64(i)))
		token := used
		switch i % 3 {
		case 1: // one letter of the good one is another
			b := []byte(good)
			at := rnd.IntN(len(b))
			b[at] = "AB"[b2i(b[at] == 'A')]
			token = string(b)
		case 2:
			b := make([]byte, len(good))
			for j := range b {
				b[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[rnd.IntN(64)]
			}
			token = string(b)
		}
		if token == good {
			return "", fmt.Errorf("the forged token is the good one")
		}
		thief, _, hello, err := w.shaken(1+i, map[string]any{"token": token, "received": 1})
		if err != nil {
			return "", err
		}
		defer thief.Close()
		if r := hello.Sys.Resume; r.Resumed || r.Refused == nil {
			return "", fmt.Errorf("%q was answered by %+v", token, r)
		}
		return hello.Sys.Resume.Refused.Code, nil
	})
	if err := victim.ask("echo", []byte(`"still mine"`), `"still mine"`); err != nil {
		w.t.Errorf("the victim was disturbed: %v", err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// jwtOf makes a JSON Web Token (RFC 7519) with HS256, or with no signature at all.
func jwtOf(secret, alg string, claims map[string]any) string {
	encode := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // maps of strings and numbers always marshal
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := encode(map[string]string{"alg": alg, "typ": "JWT"}) + "." + encode(claims)
	if alg == "none" {
		return text + "."
	}
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func claimsOf(sub, jti string, expires time.Duration) map[string]any {
	return map[string]any{"sub": sub, "jti": jti, "exp": time.Now().Add(expires).Unix()}
}

// logIn tells how a login of an attacker's connection is answered: "" is a success.
func logIn(c net.Conn, in *bufio.Reader, id uint64, body any) (code string, answer []byte, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", nil, err
	}
	if _, err := c.Write(ask(id, "login", text)); err != nil {
		return "", nil, err
	}
	m, err := hear(in)
	if err != nil || !m.error {
		return "", m.body, err
	}
	var why reason
	err = json.Unmarshal(m.body, &why)
	return why.Code, nil, err
}

// falsely tries to log in with tokens that are not its own.
func falsely(w *world, p *phase) {
	c, in, _, err := w.shaken(0, nil)
	if err != nil {
		w.t.Error(err)
		return
	}
	jwt := jwtOf(jwtSecret, "HS256", claimsOf("honest", fmt.Sprint("once", w.names.Add(1)), time.Hour))
	code, body, err := logIn(c, in, 1, map[string]string{"jwt": jwt})
	if err != nil || code != "" {
		w.t.Errorf("the honest login: %q, %v", code, err)
		return
	}
	defer c.Close()
	var welcome struct {
		Token string `json:"token"`
	}
	must(w.t, json.Unmarshal(body, &welcome))
	if welcome.Token == "" {
		w.t.Error("the login gave no token")
		return
	}
	forged := []struct {
		body map[string]string
		code string
	}{
		{map[string]string{"jwt": jwt}, "bad_token"}, // once was enough
		{map[string]string{"jwt": jwtOf(jwtOfTheOthers, "HS256", claimsOf("honest", "a", time.Hour))}, "bad_token"},
		{map[string]string{"jwt": jwtOf("", "none", claimsOf("honest", "b", time.Hour))}, "bad_token"},
		{map[string]string{"jwt": jwtOf(jwtSecret, "HS256", claimsOf("honest", "c", -time.Hour))}, "expired"},
		{map[string]string{"token": flip(welcome.Token, 5)}, "bad_token"},
		{map[string]string{"token": flip(welcome.Token, len(welcome.Token)/2)}, "bad_token"},
		{map[string]string{"token": strings.Repeat("A", len(welcome.Token))}, "bad_token"},
	}
	w.many(p, sized(10, 100), func(i int) (string, error) {
		c, in, _, err := w.shaken(1+i, nil)
		if err != nil {
			return "", err
		}
		defer c.Close()
		for j := range uint64(20) {
			f := forged[(i+int(j))%len(forged)]
			code, _, err := logIn(c, in, j+1, f.body)
			if k, ok := errors.AsType[*kicked](err); ok {
				return k.Code, nil
			}
			if err != nil {
				return "", err
			}
			if code != f.code {
				return "", fmt.Errorf("%v was answered by %q, expected %q", f.body, code, f.code)
			}
			p.tell(code)
		}
		return "", fmt.Errorf("20 guesses, and still connected")
	})
	if _, err := c.Write(ask(2, "echo", []byte(`"me"`))); err != nil {
		w.t.Error(err)
	}
	if m, err := hear(in); err != nil || string(m.body) != `"me"` {
		w.t.Errorf("the honest player was disturbed: %s, %v", m.body, err)
	}
}

// flip makes one letter of a token another one.
func flip(token string, at int) string {
	b := []byte(token)
	b[at] = "AB"[b2i(b[at] == 'A')]
	return string(b)
}

// halfOpen opens connections and says nothing.
func halfOpen(w *world, p *phase, n int, place func(i int) net.IP) {
	w.crowd(p, n, n, func(i int) (string, error) {
		c, in, err := w.attacker(place(i))
		if err != nil {
			return "", err
		}
		defer c.Close()
		return fateOf(in), nil
	})
}

func halfOpenOfOneNetwork(w *world, p *phase) {
	const name = `skua_transport_refused_total{reason="half-open-prefix",transport="tcp"}`
	before := w.metrics()[name]
	var all sync.WaitGroup
	all.Go(func() { halfOpen(w, p, sized(200, 2000), neighbour) })
	// While they are there somebody else gets in.
	until(w.t, "a network has all that it may have", func() bool { return w.metrics()[name] > before })
	if newcomer, err := w.enter(overTCP); err != nil {
		w.t.Errorf("%s: a newcomer of another network: %v", p.name, err)
	} else {
		_ = newcomer.conn.Close()
	}
	all.Wait()
}

func halfOpenEverywhere(w *world, p *phase) {
	halfOpen(w, p, sized(500, 5000), from)
}

// neverReading asks for more than it reads.
func neverReading(w *world, p *phase) {
	const name = "skua_gate_too_slow_total"
	before, n := w.metrics()[name], sized(4, 20)
	w.many(p, n, func(i int) (string, error) {
		c, in, _, err := w.shaken(i, nil)
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			return "", err
		}
		if code, _, err := logIn(c, in, 1, map[string]string{"name": fmt.Sprint("deaf", i), "password": "pw of deaf"}); err != nil || code != "" {
			return "", fmt.Errorf("login: %q, %w", code, err)
		}
		if _, err := c.Write(ask(2, "flood", []byte(`{"n":10000}`))); err != nil {
			return "", err
		}
		until(w.t, "clients that don't read are closed", func() bool { return w.metrics()[name] >= before+float64(n) })
		return "nothing that it would have read", nil
	})
}

// tooFast sends packets without end, requests to a route that is rationed, and requests that take their time.
func tooFast(w *world, p *phase) {
	n := sized(3, 20)
	var all sync.WaitGroup
	enter := func(i int) (net.Conn, *bufio.Reader, error) {
		c, in, _, err := w.shaken(i, nil)
		if err != nil {
			return nil, nil, err
		}
		code, _, err := logIn(c, in, 1, map[string]string{"name": fmt.Sprint("hasty", i), "password": "pw of hasty"})
		if err != nil || code != "" {
			return nil, nil, fmt.Errorf("login: %q, %w", code, err)
		}
		return c, in, nil
	}
	all.Go(func() {
		w.many(p, n, func(i int) (string, error) {
			c, in, err := enter(i)
			if err != nil {
				return "", err
			}
			defer c.Close()
			ctx, cancel := context.WithCancel(w.t.Context())
			defer cancel()
			go func() {
				for beats := bytes.Repeat(pack(typeHeartbeat, nil), 100); ctx.Err() == nil; {
					if _, err := c.Write(beats); err != nil {
						return
					}
				}
			}()
			return fateOf(in), nil
		})
	})
	all.Go(func() {
		w.many(p, n, func(i int) (string, error) {
			c, in, err := enter(100 + i)
			if err != nil {
				return "", err
			}
			defer c.Close()
			for id := range uint64(mostUnanswered + 10) {
				if _, err := c.Write(ask(id+2, "wait", []byte(`1`))); err != nil {
					break
				}
			}
			return fateOf(in), nil
		})
	})
	all.Go(func() {
		w.many(p, n, func(i int) (string, error) {
			c, in, err := enter(200 + i)
			if err != nil {
				return "", err
			}
			defer c.Close()
			for id := range uint64(30) {
				if _, err := c.Write(ask(id+2, "shop", []byte(`1`))); err != nil {
					return "", err
				}
			}
			refused := 0
			for range 30 {
				m, err := hear(in)
				if err != nil {
					return "", err
				}
				if m.error && strings.Contains(string(m.body), "too_fast") {
					refused++
				}
			}
			if refused < 5 {
				return "", fmt.Errorf("only %d of 30 requests at once were refused, %d a second are allowed", refused, shopsASecond)
			}
			return "too_fast for the route", nil
		})
	})
	all.Wait()
}
