package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/rtc"
	"github.com/skua-go/skua/net/rtsp"
	"github.com/skua-go/skua/net/secure"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/gate"
)

// listeners are a node's doors. Those that are off are nil, or not there.
type listeners struct {
	clients     []clientDoor // of the gates
	http, admin net.Listener
	console     net.Listener
	rtmp, rtsp  net.Listener
	rtspUDP     *rtsp.UDP            // or nil
	media       net.Listener         // links of other nodes
	webrtc      *rtc.Server          // for media
	certs       *secure.Certificates // nil without TLS
	names       []string             // what the ready line says of each
	stats       map[doorName]*secure.Stats
	kcpStats    map[string]*kcp.Stats // by gate
}

// clientDoor is where clients of a gate come in.
type clientDoor struct {
	gate      string // mainGate, or the name of a table [gates.NAME]
	transport string // tcp, kcp, ws
	path      string // of WebSockets
	ln        net.Listener
}

// doorName names a listener for counters.
type doorName struct{ gate, listener string }

// listen opens all doors that the configuration names, so that a port that is taken is told before anything has started.
func (n *node) listen(ctx context.Context) (_ *listeners, err error) {
	cfg := &n.project.cfg
	l := &listeners{stats: map[doorName]*secure.Stats{}, kcpStats: map[string]*kcp.Stats{}}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	o := opener{ctx: ctx, n: n, l: l}
	if o.proxies, err = networks(cfg.Listen.Proxy); err != nil {
		return nil, fmt.Errorf("listen.proxy: %w", err)
	}
	if l.certs, err = n.loadCertificates(); err != nil {
		return nil, err
	}
	opens := []func() error{
		func() error { return o.tcp(mainGate, "listen.tcp", cfg.Listen.TCP, &cfg.Gate, cfg.TLS.Listeners) },
		func() error { return o.kcp(mainGate, "listen.kcp", cfg.Listen.KCP, &cfg.Gate, cfg.TLS.Listeners) },
		o.http,
		o.rtmp,
		o.rtsp,
		o.media,
		o.admin,
		o.console,
		o.webrtc,
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Gates)) {
		g, key := cfg.Gates[name], "gates."+name
		opens = append(opens,
			func() error { return o.tcp(name, key+".tcp", g.TCP, &g.GateConfig, g.TLS) },
			func() error { return o.kcp(name, key+".kcp", g.KCP, &g.GateConfig, g.TLS) },
			func() error { return o.ws(name, &g.GateConfig) },
		)
	}
	for _, open := range opens {
		if err := open(); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// opener opens one door after the other.
type opener struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call of listen
	n       *node
	l       *listeners
	proxies []netip.Prefix
}

func (o *opener) tcp(name, key, addr string, g *GateConfig, tlsOn []string) error {
	if !Listens(addr) {
		return nil
	}
	ln, err := tcp.Listen(o.ctx, addr)
	if err != nil {
		return fmt.Errorf("%s = %q: %w", key, addr, err)
	}
	return o.clients(clientDoor{gate: name, transport: "tcp", ln: ln}, g, secure.Config{Certificates: o.tls("tcp", tlsOn), Proxies: o.behind("tcp"), Plain: gate.PlainKick(g.Codec)})
}

func (o *opener) kcp(name, key, addr string, g *GateConfig, tlsOn []string) error {
	if !Listens(addr) {
		return nil
	}
	cfg, err := kcpConfig(&o.n.project.cfg.KCP, g)
	if err != nil {
		return err
	}
	cfg.Stats = new(kcp.Stats)
	ln, err := kcp.Listen(addr, cfg)
	if err != nil {
		return fmt.Errorf("%s = %q: %w", key, addr, err)
	}
	o.l.kcpStats[name] = cfg.Stats
	return o.clients(clientDoor{gate: name, transport: "kcp", ln: ln}, g, secure.Config{Certificates: o.tls("kcp", tlsOn), Plain: gate.PlainKick(g.Codec)})
}

// clients puts what comes before a client's own bytes in front of a door, and names it.
func (o *opener) clients(d clientDoor, g *GateConfig, sec secure.Config) (err error) {
	if d.ln, err = o.secured(doorName{d.gate, d.transport}, d.ln, g, sec); err != nil {
		return err
	}
	o.l.clients = append(o.l.clients, d)
	name := d.transport
	if d.gate != mainGate {
		name = d.gate + "." + name
	}
	o.l.names = append(o.l.names, fmt.Sprintf("%s=%s", name, d.ln.Addr()))
	return nil
}

// http opens the door of pages and WebSockets.
func (o *opener) http() (err error) {
	cfg := &o.n.project.cfg
	if !Listens(cfg.Listen.HTTP) {
		return nil
	}
	ln, err := tcp.Listen(o.ctx, cfg.Listen.HTTP)
	if err != nil {
		return fmt.Errorf("listen.http = %q: %w", cfg.Listen.HTTP, err)
	}
	sec := secure.Config{Certificates: o.tls("http", cfg.TLS.Listeners), Proxies: o.behind("http"), Protocols: []string{"http/1.1"}, Plain: plainHTTP()}
	if o.l.http, err = o.secured(doorName{mainGate, "http"}, ln, &cfg.Gate, sec); err != nil {
		return err
	}
	o.l.names = append(o.l.names, fmt.Sprintf("http=%s", ln.Addr()))
	o.l.clients = append(o.l.clients, o.webSockets(mainGate, &cfg.Gate))
	return nil
}

// ws makes the way in for WebSockets of a gate with a table of its own.
func (o *opener) ws(gate string, g *GateConfig) error {
	if g.Path == "" {
		return nil
	}
	d := o.webSockets(gate, g)
	o.l.clients = append(o.l.clients, d)
	o.l.names = append(o.l.names, fmt.Sprintf("%s.ws=%s%s", gate, d.ln.Addr(), g.Path))
	return nil
}

func (o *opener) webSockets(gate string, g *GateConfig) clientDoor {
	return clientDoor{gate: gate, transport: "ws", path: g.Path, ln: ws.NewListener(ws.Config{Addr: o.l.http.Addr(), CheckOrigin: originCheck(g.Origins)})}
}

// rtmp opens the door of live media over RTMP, without TLS, which its clients rarely speak.
func (o *opener) rtmp() (err error) {
	addr := o.n.project.cfg.Listen.RTMP
	if !Listens(addr) {
		return nil
	}
	if o.l.rtmp, err = tcp.Listen(o.ctx, addr); err != nil {
		return fmt.Errorf("listen.rtmp = %q: %w", addr, err)
	}
	o.l.names = append(o.l.names, fmt.Sprintf("rtmp=%s", o.l.rtmp.Addr()))
	return nil
}

// rtsp opens those of live media over RTSP.
func (o *opener) rtsp() (err error) {
	listen := &o.n.project.cfg.Listen
	if !Listens(listen.RTSP) {
		return nil
	}
	if o.l.rtsp, err = tcp.Listen(o.ctx, listen.RTSP); err != nil {
		return fmt.Errorf("listen.rtsp = %q: %w", listen.RTSP, err)
	}
	o.l.names = append(o.l.names, fmt.Sprintf("rtsp=%s", o.l.rtsp.Addr()))
	if !Listens(listen.RTSPUDP) {
		return nil
	}
	if o.l.rtspUDP, err = rtsp.ListenUDP(o.ctx, listen.RTSPUDP); err != nil {
		return fmt.Errorf("listen.rtsp_udp = %q: %w", listen.RTSPUDP, err)
	}
	o.l.names = append(o.l.names, fmt.Sprintf("rtsp.udp=%s", o.l.rtspUDP.Addr()))
	return nil
}

// media opens the door of other nodes' links.
func (o *opener) media() (err error) {
	cfg := &o.n.project.cfg
	if !cfg.linked() {
		return nil
	}
	if o.l.media, err = tcp.Listen(o.ctx, cfg.Listen.Media); err != nil {
		return fmt.Errorf("listen.media = %q: %w", cfg.Listen.Media, err)
	}
	o.l.names = append(o.l.names, fmt.Sprintf("media=%s", o.l.media.Addr()))
	return nil
}

func (o *opener) admin() error {
	cfg := &o.n.project.cfg
	addr := cfg.Listen.Admin
	if !Listens(addr) {
		return nil
	}
	err := admin.CheckBind(addr, cfg.Admin.guarded())
	if err != nil {
		return fmt.Errorf("listen.admin = %q: %w: set admin.token, or listen on 127.0.0.1", addr, err)
	}
	ln, err := tcp.Listen(o.ctx, addr)
	if err != nil {
		return fmt.Errorf("listen.admin = %q: %w", addr, err)
	}
	sec := secure.Config{Certificates: o.tls("admin", cfg.TLS.Listeners), AskClients: cfg.Admin.ClientCA != "", Protocols: []string{"http/1.1"}, Plain: plainHTTP()}
	if o.l.admin, err = o.secured(doorName{mainGate, "admin"}, ln, &cfg.Gate, sec); err != nil {
		return err
	}
	o.l.names = append(o.l.names, fmt.Sprintf("admin=%s", ln.Addr()))
	return nil
}

func (o *opener) console() error {
	addr := o.n.project.cfg.Listen.Console
	if !Listens(addr) {
		return nil
	}
	ln, err := tcp.Listen(o.ctx, addr)
	if err != nil {
		return fmt.Errorf("listen.console = %q: %w", addr, err)
	}
	o.l.console = ln
	o.l.names = append(o.l.names, fmt.Sprintf("console=%s", ln.Addr()))
	return nil
}

// webrtc opens the ports of media.
func (o *opener) webrtc() (err error) {
	if o.l.webrtc, err = o.n.openWebRTC(o.ctx); err != nil || o.l.webrtc == nil {
		return err
	}
	o.l.names = append(o.l.names, fmt.Sprintf("webrtc=%s", o.l.webrtc.UDP()))
	if tcp := o.l.webrtc.TCP(); tcp != nil {
		o.l.names = append(o.l.names, fmt.Sprintf("webrtc.tcp=%s", tcp))
	}
	return nil
}

// tls gives the certificates for a listener, or nil if it speaks no TLS.
func (o *opener) tls(listener string, on []string) *secure.Certificates {
	if !slices.Contains(on, listener) {
		return nil
	}
	return o.l.certs
}

// behind gives the networks of balancers for a listener.
func (o *opener) behind(listener string) []netip.Prefix {
	if !slices.Contains(o.n.project.cfg.Listen.ProxyListeners, listener) {
		return nil
	}
	return o.proxies
}

// secured wraps a listener if there is something to do.
func (o *opener) secured(name doorName, ln net.Listener, g *GateConfig, sec secure.Config) (net.Listener, error) {
	if sec.Certificates == nil && len(sec.Proxies) == 0 {
		return ln, nil
	}
	stats := new(secure.Stats)
	sec.Name, sec.Stats, sec.Log = name.listener, stats, o.n.log.With("part", "doors", "gate", name.gate)
	sec.Direct = o.n.project.cfg.Listen.ProxyOthers == proxyDirect
	sec.Timeout, sec.MaxPending, sec.MaxPendingPerPrefix = g.HandshakeTimeout.Duration, g.MaxHalfOpen, g.MaxHalfOpenPerNetwork
	wrapped, err := secure.Wrap(ln, sec)
	if err != nil {
		return nil, err
	}
	o.l.stats[name] = stats
	return wrapped, nil
}

// loadCertificates reads those of [tls], if there are any.
func (n *node) loadCertificates() (*secure.Certificates, error) {
	cfg := &n.project.cfg
	if len(cfg.TLS.Cert) == 0 {
		return nil, nil //nolint:nilnil // nothing is what was asked for
	}
	files := secure.CertificatesConfig{Interval: cfg.TLS.Reload.Duration, Log: n.log.With("part", "tls")}
	for i := range cfg.TLS.Cert {
		files.Pairs = append(files.Pairs, secure.Pair{Cert: cfg.Path(cfg.TLS.Cert[i]), Key: cfg.Path(cfg.TLS.Key[i])})
	}
	certs, err := secure.LoadCertificates(files)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return certs, nil
}

// plainHTTP is what a client gets that asks for http where https is spoken.
func plainHTTP() []byte {
	const text = "This address speaks TLS: ask for https:// or wss://.\n"
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}

func (l *listeners) close() {
	for _, d := range l.clients {
		_ = d.ln.Close() // it may have been closed by who served it
	}
	if l.webrtc != nil {
		_ = l.webrtc.Close() // the same
	}
	if l.rtspUDP != nil {
		l.rtspUDP.Close()
	}
	for _, ln := range []net.Listener{l.http, l.rtmp, l.rtsp, l.admin, l.console} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// renew serves the certificates' files until ctx ends.
func (l *listeners) renew(ctx context.Context) error {
	if l.certs == nil {
		return nil
	}
	return l.certs.Serve(ctx)
}

// String names the addresses, each behind a space.
func (l *listeners) String() string {
	if len(l.names) == 0 {
		return ""
	}
	return " " + strings.Join(l.names, " ")
}

// kcpConfig is what a gate's KCP listener is told.
func kcpConfig(c *KCPConfig, g *GateConfig) (kcp.Config, error) {
	as := func(on bool) int {
		if on {
			return 1
		}
		return 0
	}
	cfg := kcp.Config{
		NoDelay: as(c.NoDelay), Interval: int(c.Interval.Milliseconds()), Resend: c.Resend, NC: as(c.NC),
		SndWnd: c.SndWnd, RcvWnd: c.RcvWnd, MTU: c.MTU, AckNoDelay: c.AckNoDelay, Repeat: c.Repeat,
		DataShards: c.FECData, ParityShards: c.FECParity, Crypt: c.Crypt,
		ReadBuffer: c.ReadBuffer, WriteBuffer: c.WriteBuffer, DSCP: c.DSCP, Sockets: c.Sockets, Raw: c.Raw,
		MaxSessions: g.MaxConnections + g.MaxHalfOpen, // those beyond it are not told why
	}
	if g.MaxHalfOpen > 1 { // half of the places are left for those whose address is proven: datagrams from made-up ones take no more
		cfg.MaxRaw = g.MaxHalfOpen / 2
	}
	if c.Key == "" {
		return cfg, nil
	}
	var err error
	if cfg.Key, err = c.key(); err != nil {
		return cfg, errors.New("kcp.key is not hexadecimal") // never what was found: it is secret
	}
	return cfg, nil
}
