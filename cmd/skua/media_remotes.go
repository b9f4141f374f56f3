package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/skua-go/skua/internal/reach"
	"github.com/skua-go/skua/net/flv"
	"github.com/skua-go/skua/net/media"
	"github.com/skua-go/skua/net/rtmp"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/services/room"
)

// remoteTimeout is how long another server may take until it agrees to something.
const remoteTimeout = 10 * time.Second

// reachable are the hosts of media.reach.
type reachable struct {
	networks []netip.Prefix
	names    []string // in small letters; .example.com is all below it
}

func parseReach(list []string) (*reachable, error) {
	r := &reachable{}
	for _, text := range list {
		if strings.Contains(text, "/") {
			p, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, err
			}
			r.networks = append(r.networks, p)
			continue
		}
		below, wild := strings.CutPrefix(text, "*")
		name := strings.ToLower(below)
		if strings.Trim(name, ".") == "" || strings.ContainsAny(name, "*: ") || strings.HasPrefix(name, ".") != wild {
			return nil, fmt.Errorf("%q is no name of a host", text)
		}
		r.names = append(r.names, name)
	}
	return r, nil
}

// named tells whether a host is one that is trusted by its name.
func (r *reachable) named(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, name := range r.names {
		if host == name || strings.HasPrefix(name, ".") && strings.HasSuffix(host, name) {
			return true
		}
	}
	return false
}

// dial connects to a host that may be reached. Each address that a name stands for is checked where it is used, so none can change in between.
func (r *reachable) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: remoteTimeout}
	if !r.named(host) {
		d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if len(r.networks) == 0 || !reach.Allowed(r.networks, at.Addr()) {
				return fmt.Errorf("%w: %s (%s) is not in media.reach", room.ErrReach, host, at.Addr())
			}
			return nil
		}
	}
	return d.DialContext(ctx, network, addr)
}

// maxRedirects is how often a server may send on who fetches a stream.
const maxRedirects = 5

// redirected lets a server send on to another, which is dialed like any, and is not told the address, with its secrets, that was asked for.
func redirected(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("sent on more than %d times", maxRedirects)
	}
	req.Header.Del("Referer")
	return nil
}

// remotes are the protocols by which rooms go to other servers, and come from there. One that is added stands in both tables under the schemes of its URLs. unagreed counts packets over RTSP that are left out.
func (m *MediaConfig) remotes(unagreed func(), log *slog.Logger) (*room.Remotes, error) {
	to, err := parseReach(m.Reach)
	if err != nil {
		return nil, fmt.Errorf("media.reach: %w", err)
	}
	d := rtmp.Dialer{Dial: to.dial, SetupTimeout: remoteTimeout, WriteTimeout: m.WriteTimeout.Duration, MaxMessage: m.MaxFrame}
	cam := rtsp.Dialer{Dial: to.dial, SetupTimeout: remoteTimeout, WriteTimeout: m.WriteTimeout.Duration, MaxFrame: m.MaxFrame, Unagreed: unagreed, Log: log}
	web := &http.Client{
		Transport:     &http.Transport{DialContext: to.dial, ResponseHeaderTimeout: remoteTimeout, TLSHandshakeTimeout: remoteTimeout, DisableKeepAlives: true},
		CheckRedirect: redirected,
	}
	fromHTTP := func(ctx context.Context, from *url.URL, begin func() (*media.Publisher, error)) error {
		return flv.Pull(ctx, web, from.String(), begin)
	}
	return &room.Remotes{
		Max: m.MaxRemotes,
		Push: map[string]func(context.Context, *url.URL, *media.Viewer, func()) error{
			"rtmp": d.Push, "rtmps": d.Push, "rtsp": cam.Push, "rtsps": cam.Push,
		},
		// As viewers over RTSP get it: what servers there know is said in their answer to the announcement.
		Sound: map[string][]media.Codec{"rtsp": nil, "rtsps": nil},
		Pull: map[string]func(context.Context, *url.URL, func() (*media.Publisher, error)) error{
			"rtmp": d.Pull, "rtmps": d.Pull, "http": fromHTTP, "https": fromHTTP, "rtsp": cam.Pull, "rtsps": cam.Pull, "rtspu": cam.Pull,
		},
	}, nil
}
