package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/internal/netlab"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/services/gate"

	"github.com/skua-go/skua/tools/bench/measure"
)

const (
	lossyDelay   = 25 * time.Millisecond // one way
	lossyClients = 60
	lossyRate    = 30 // requests a second of a client
	lossyFor     = 3 * time.Second
	lossyWait    = 20 * time.Second // for the last answers
	lossySeed    = 7
)

// Lossy is the p99 in ms of requests of 64 bytes, 30 a second of each of 60 clients whatever the answers do, through a gate with a handler in Go, over a link of 50 ms round trip that
// loses this many per cent of the packets each way; over "tcp", or KCP with the profile "fast", "normal" or "thrifty" at both ends. The rest goes to standard error.
func Lossy(how string, loss int) measure.Func { return measure.InNetwork(lossyName(how, loss)) }

func lossyName(how string, loss int) string { return "lossy-" + how + "-" + strconv.Itoa(loss) }

// Figures are what is measured in a process, and a network, of its own.
func Figures() map[string]measure.Func {
	all := map[string]measure.Func{}
	for _, how := range []string{"tcp", "fast", "normal", "thrifty"} {
		for _, loss := range []int{5, 10} {
			all[lossyName(how, loss)] = func(ctx context.Context) (float64, error) { return lossy(ctx, how, loss) }
		}
	}
	return all
}

func lossy(ctx context.Context, how string, loss int) (p99 float64, err error) {
	link, err := netlab.Open(netlab.Link{Delay: lossyDelay}, lossySeed)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	n := newNode()
	if err := n.open(gate.Config{Handle: echoRequest, Login: gate.LoginNone}); err != nil {
		return 0, err
	}
	cfg, ln, err := lossyListener(ctx, how, netip.AddrPortFrom(link.Listen(), 0).String())
	if err != nil {
		return 0, err
	}
	serving, stop := context.WithCancel(ctx)
	var doors errgroup.Group
	doors.Go(func() error { return n.gate.Serve(serving, how, ln) })
	defer func() {
		stop()
		link.Set(netlab.Link{}) // the goodbyes need not be lost
		err = errors.Join(err, doors.Wait(), n.shutdown())
	}()
	port, err := portOf(ln.Addr())
	if err != nil {
		return 0, err
	}
	return lossyLoad(ctx, link, how, cfg, netip.AddrPortFrom(link.Server(), port).String(), loss)
}

func portOf(addr net.Addr) (uint16, error) {
	at, err := netip.ParseAddrPort(addr.String())
	return at.Port(), err
}

func lossyListener(ctx context.Context, how, addr string) (cfg kcp.Config, ln net.Listener, err error) {
	if how == "tcp" {
		ln, err = tcp.Listen(ctx, addr)
		return cfg, ln, err
	}
	if cfg, err = kcp.Profile(how); err == nil {
		ln, err = kcp.Listen(addr, cfg)
	}
	return cfg, ln, err
}

// lossyLoad connects without loss and plays with it.
func lossyLoad(ctx context.Context, link *netlab.Network, how string, cfg kcp.Config, addr string, loss int) (p99 float64, err error) {
	var times latencies
	players := make([]*client, lossyClients)
	defer func() {
		for _, c := range players {
			if c != nil {
				_ = c.Close() // it has its answers
			}
		}
	}()
	var dials errgroup.Group
	for i := range players {
		dials.Go(func() (err error) {
			players[i], err = dialLossy(ctx, how, cfg, addr)
			return err
		})
	}
	if err := dials.Wait(); err != nil {
		return 0, err
	}
	link.Set(netlab.Link{Delay: lossyDelay, Loss: float64(loss) / 100})
	before := link.Stats().Bytes
	all, ctx := errgroup.WithContext(ctx)
	for _, c := range players {
		begin := time.Now().Add(rand.N(time.Second / lossyRate)) // not all at once
		last := c.id
		all.Go(func() error { return c.request(ctx, begin) })
		all.Go(func() error { return c.collect(begin, last, &times) })
	}
	if err := all.Wait(); err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "%s, %d %% loss: %v; %.1f kB/s a client, both ways\n",
		how, loss, &times, float64(link.Stats().Bytes-before)/1e3/lossyFor.Seconds()/lossyClients)
	return ms(times.at(0.99)), nil
}

func dialLossy(ctx context.Context, how string, cfg kcp.Config, addr string) (c *client, err error) {
	c = &client{in: make([]byte, bufferSize)}
	if how == "tcp" {
		c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
	} else {
		c.conn, err = kcp.Dial(ctx, addr, cfg)
	}
	if err != nil {
		return nil, err
	}
	c.stream = c.conn
	if err = c.shake(); err == nil {
		err = c.Exchange()
	}
	if err != nil {
		return nil, errors.Join(err, c.conn.Close())
	}
	return c, nil
}

const lossyRequests = int(lossyRate * lossyFor / time.Second)

// request sends at its times, whether there are answers or not.
func (c *client) request(ctx context.Context, begin time.Time) error {
	id := c.id
	var out []byte
	for i := range lossyRequests {
		select {
		case <-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / lossyRate))):
		case <-ctx.Done():
			return ctx.Err()
		}
		id++
		var err error
		if out, err = packet.AppendData(out[:0], packet.Message{Type: packet.Request, ID: id, Route: "echo", Body: body}, nil); err != nil {
			return err
		}
		if err := c.write(out); err != nil {
			return err
		}
	}
	return nil
}

// collect takes the answers to what request sends, which count from when they were due to be sent; last is the request before.
func (c *client) collect(begin time.Time, last uint64, times *latencies) error {
	if err := c.conn.SetReadDeadline(begin.Add(lossyFor + lossyWait)); err != nil {
		return err
	}
	for i := range lossyRequests {
		answer, err := c.read(packet.Data)
		if err != nil {
			return err
		}
		m, err := packet.DecodeMessage(answer, nil, 1<<16)
		if err != nil {
			return err
		}
		if last++; m.ID != last || m.Error || !bytes.Equal(m.Body, body) {
			return fmt.Errorf("answer %d to request %d: %s", m.ID, last, m.Body)
		}
		times.add(time.Since(begin.Add(time.Duration(i) * time.Second / lossyRate)))
	}
	return nil
}
