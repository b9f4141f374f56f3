package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Bounds of the console.
const (
	maxConsoles      = 16
	maxLine          = 8 << 10
	consoleLogin     = 15 * time.Second
	consoleIdle      = 30 * time.Minute
	consoleWrite     = 10 * time.Second
	consoleTimeout   = elsewhereTimeout
	maxConsoleAnswer = 1 << 20
)

// ErrConsole is wrapped by the refusal to serve a console that others could reach, or without tokens.
var ErrConsole = errors.New("admin: the console")

// CheckConsole refuses an address for the console that is not a loopback one: tokens would go over the network as they are.
func CheckConsole(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConsole, err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("%w: found %s, expected a loopback address such as 127.0.0.1:8000: what is typed there goes over the network unencrypted", ErrConsole, addr)
	}
	return nil
}

// ServeConsole serves Skynet's debug console on ln until ctx ends: by lines, as telnet sends them, with a token as the first one, and by HTTP, with the command as path or body and the token as "Authorization: Bearer TOKEN". The role
// operate is needed. It owns ln and returns when all its goroutines are gone.
func (s *Server) ServeConsole(ctx context.Context, ln net.Listener) error {
	err := CheckConsole(ln.Addr().String())
	switch {
	case err != nil:
	case s.API == nil:
		err = fmt.Errorf("%w: there is no API that it could ask", ErrConsole)
	case s.Token == "" && len(s.Tokens) == 0:
		err = fmt.Errorf("%w: there is no token that it could ask for", ErrConsole)
	}
	if err == nil {
		_, err = s.prepare()
	}
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var open sync.WaitGroup
	defer open.Wait()
	limited := newPlaces(ln, maxConsoles)
	stop := context.AfterFunc(ctx, func() { _ = limited.Close() }) // Accept tells
	defer stop()
	for {
		nc, err := limited.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Join(fmt.Errorf("%w: %w", ErrConsole, err), limited.Close())
		}
		open.Go(func() {
			end := context.AfterFunc(ctx, func() { _ = nc.Close() })
			defer end()
			defer nc.Close()
			c := &console{s: s, ctx: ctx, nc: nc, from: nc.RemoteAddr().String(), in: bufio.NewReaderSize(nc, maxLine)}
			c.serve()
		})
	}
}

// console is one connection.
type console struct {
	s     *Server
	ctx   context.Context //nolint:containedctx // of the connection, whose goroutine has it
	nc    net.Conn
	in    *bufio.Reader
	from  string
	token string
}

// serve talks to a client until it goes.
func (c *console) serve() {
	_ = c.nc.SetReadDeadline(time.Now().Add(consoleLogin)) // a connection that has gone says so when it is read
	if first, err := c.in.Peek(5); err == nil && (string(first[:4]) == "GET " || string(first) == "POST ") {
		c.serveHTTP()
		return
	}
	c.say("token:\n")
	line, err := c.readLine()
	if err != nil {
		return
	}
	c.token = line
	if _, err := c.who("console"); err != nil {
		c.say(err.Error() + "\n")
		return
	}
	c.say("Welcome to skua console\n")
	for {
		_ = c.nc.SetReadDeadline(time.Now().Add(consoleIdle)) // as above
		line, err := c.readLine()
		if err != nil {
			return
		}
		if line == "" {
			continue
		}
		who, err := c.who(line) // the token may have expired since
		if err != nil {
			c.say(err.Error() + "\n")
			return
		}
		if !c.say(c.run(who, line)) {
			return
		}
	}
}

// readLine reads a line without its end.
func (c *console) readLine() (string, error) {
	line, err := c.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		c.say(fmt.Sprintf("a line is longer than %d bytes\n", maxLine))
	}
	return strings.TrimSpace(string(line)), err
}

func (c *console) say(text string) bool {
	_ = c.nc.SetWriteDeadline(time.Now().Add(consoleWrite)) // the write tells
	_, err := io.WriteString(c.nc, text)
	return err == nil
}

// who is who has given the token, if they may use the console. Those who may not are audited.
func (c *console) who(what string) (Identity, error) {
	who, err := c.s.identifyToken(c.token)
	reason := "role"
	switch {
	case errors.Is(err, errExpired):
		reason = "expired"
	case err != nil:
		reason = "token"
	case who.Role < Operate:
		err = lacksRole(who, Operate)
	default:
		return who, nil
	}
	command, _, _ := strings.Cut(what, " ")
	c.s.refuse(Entry{Who: who.Name, From: c.from, Action: "console", Target: clip(command), Outcome: Refused, Detail: reason}, who)
	return who, err
}

// serveHTTP serves one request, as curl sends it.
func (c *console) serveHTTP() {
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c.in, maxHeaderBytes+maxLine)))
	if err != nil {
		c.reply(http.StatusBadRequest, "expected a request of HTTP\n")
		return
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		c.token = token
	}
	line := strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/"), "/", " ")
	if r.Method == http.MethodPost {
		text, err := io.ReadAll(io.LimitReader(r.Body, maxLine))
		if err != nil {
			c.reply(http.StatusBadRequest, "expected a command as the body\n")
			return
		}
		line = strings.TrimSpace(string(text))
	}
	who, err := c.who(line)
	switch {
	case err != nil && who.Role == 0:
		c.reply(http.StatusUnauthorized, err.Error()+"\n")
	case err != nil:
		c.reply(http.StatusForbidden, err.Error()+"\n")
	default:
		c.reply(http.StatusOK, c.run(who, line))
	}
}

func (c *console) reply(status int, text string) {
	c.say(fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), len(text), text))
}

// run does a command. The last line is <CMD OK> or <CMD Error>, as in Skynet.
func (c *console) run(who Identity, line string) string {
	ctx, cancel := context.WithTimeout(c.ctx, consoleTimeout)
	defer cancel()
	words := strings.Fields(line)
	if len(words) == 0 {
		words = []string{"help"}
	}
	run := &consoleRun{s: c.s, ctx: ctx, who: who, from: c.from, line: line, args: words[1:]}
	does, known := commands()[words[0]]
	switch {
	case !known:
		return "Invalid command, type help for command list\n<CMD Error>\n"
	case len(run.args) < does.least:
		return fmt.Sprintf("expected: %s %s\n<CMD Error>\n", words[0], does.takes)
	}
	if err := does.run(run); err != nil {
		return cut(run.out.String(), maxConsoleAnswer) + err.Error() + "\n<CMD Error>\n"
	}
	return cut(run.out.String(), maxConsoleAnswer) + "<CMD OK>\n"
}
