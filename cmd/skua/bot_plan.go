package main

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/examples/arena/bot"
	"github.com/skua-go/skua/net/kcp"
)

// botFlags are what `skua bot` is told.
type botFlags struct {
	botPlan
	transport, addr string
	sources         []string
	checks          []string
	json            bool
	worker          bool
	Processes       int
}

// botPlan is what one process is to do. It travels to the processes of --processes as JSON.
type botPlan struct {
	Targets     []bot.Target
	Clients     int
	Duration    time.Duration
	Steps       int
	Ramp        string
	Think       string
	Pause       time.Duration
	Cut         time.Duration
	Resume      bool
	Request     string
	Body        string
	Rate        float64
	Echo        bool
	Expect      string
	NoLogin     bool
	Prefix      string
	Password    string
	First       int
	Seed        uint64
	Pipeline    int
	Timeout     time.Duration
	Logins      int
	Sources     []netip.Addr
	Insecure    bool
	KCPInterval int
}

func (f *botFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.transport, "transport", "tcp", "`NAME` is tcp, tls, kcp, kcps, ws or wss; or several with their shares: tcp=50,kcp=50")
	flags.StringVar(&f.addr, "addr", "", "`HOST:PORT` of the node (default 127.0.0.1:7000, for ws and wss 127.0.0.1:7080); or one for each transport: tcp=HOST:PORT,ws=HOST:PORT")
	flags.IntVar(&f.Clients, "clients", 10, "how many")
	flags.IntVar(&f.Processes, "processes", 1, "in how many processes")
	flags.DurationVar(&f.Duration, "duration", 10*time.Second, "how long all play, from when the last is in")
	flags.IntVar(&f.Steps, "steps", 0, "a client ends sooner, after this `N`umber of answers; 0: no end")
	flags.StringVar(&f.Ramp, "ramp", "", "how fast clients come: `500/s`, or in stages 50/s:10s,500/s (default: as fast as --logins lets them)")
	flags.IntVar(&f.Logins, "logins", 4, "how many connect and log in at a time: the node hashes each password at some cost")
	flags.StringVar(&f.Think, "think", "", "pause between two bursts of steps or two requests: `250ms`, 100ms-500ms (evenly spread) or exp:1s (exponential)")
	flags.DurationVar(&f.Pause, "pause", 250*time.Millisecond, "without --think: the longest time between two bursts of steps; 0: none")
	flags.IntVar(&f.Pipeline, "pipeline", 0, "steps or requests in flight a client (default 4, with --request 1)")
	flags.DurationVar(&f.Cut, "cut", 0, "cut each connection after this `TIME` on average; with several transports it comes back over any of them")
	flags.BoolVar(&f.Resume, "resume", false, "sessions outlive lost connections, as they do with --cut; without, a lost connection is an error at once")
	flags.StringVar(&f.Request, "request", "", "ask this `ROUTE` instead of playing the arena")
	flags.StringVar(&f.Body, "body", "", "body of the request")
	flags.Float64Var(&f.Rate, "rate", 0, "requests a second of each client (default: as --think says)")
	flags.BoolVar(&f.Echo, "expect-echo", false, "answers have to be their request's body")
	flags.StringVar(&f.Expect, "expect", "", "answers have to be this `TEXT`")
	flags.BoolVar(&f.NoLogin, "no-login", false, "with --request: don't log in, for gates that don't ask for it")
	flags.StringArrayVar(&f.checks, "check", nil, "fail unless the report keeps this, like 'p99<50ms'; may be given several times")
	flags.BoolVar(&f.json, "json", false, "print one line of JSON")
	flags.StringVar(&f.Prefix, "prefix", "bot", "beginning of the players' names")
	flags.StringVar(&f.Password, "password", "skua-bot-password", "of all players")
	flags.Uint64Var(&f.Seed, "seed", 0, "makes the steps the same again")
	flags.DurationVar(&f.Timeout, "timeout", 10*time.Second, "how long a connection, a login or a request may take")
	flags.StringSliceVar(&f.sources, "source", nil, "local `ADDRESS`es of the clients, in turn, for all transports but KCP")
	flags.BoolVar(&f.Insecure, "insecure", false, "tls, kcps, wss: take any certificate")
	flags.IntVar(&f.KCPInterval, "kcp-interval", 0, "KCP's interval in `MS` on this side; 100 costs idle clients less CPU and answers come later on lossy links (default 10)")
	flags.BoolVar(&f.worker, "worker", false, "be one of --processes: the plan comes on standard input")
	_ = flags.MarkHidden("worker") // it exists
}

// plan checks the flags.
func (f *botFlags) plan() (botPlan, error) {
	p := f.botPlan
	switch {
	case p.Clients < 1:
		return p, fmt.Errorf("--clients %d: at least 1 is expected", p.Clients)
	case f.Processes < 1 || f.Processes > p.Clients:
		return p, fmt.Errorf("--processes %d: 1 to the number of clients is expected", f.Processes)
	case p.Duration <= 0:
		return p, fmt.Errorf("--duration %v: more than 0 is expected", p.Duration)
	case p.Pipeline < 0:
		return p, fmt.Errorf("--pipeline %d: at least 1 is expected", p.Pipeline)
	case p.Logins < 1:
		return p, fmt.Errorf("--logins %d: at least 1 is expected", p.Logins)
	case p.Cut < 0 || p.Steps < 0 || p.Rate < 0:
		return p, fmt.Errorf("--cut %v, --steps %d, --rate %v: nothing below 0 is expected", p.Cut, p.Steps, p.Rate)
	case p.Request == "" && (p.Body != "" || p.Rate > 0 || p.Echo || p.Expect != "" || p.NoLogin):
		return p, fmt.Errorf("--body, --rate, --expect-echo, --expect and --no-login belong to --request, which is missing")
	case p.Echo && p.Expect != "":
		return p, fmt.Errorf("--expect-echo and --expect: one of them is expected")
	}
	if p.Pause == 0 {
		p.Pause = -1 // none; the zero Config means the default
	}
	if p.Request != "" && p.Pipeline == 0 {
		p.Pipeline = 1
	}
	for _, s := range f.sources {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return p, fmt.Errorf("--source %q: an IP address is expected", s)
		}
		p.Sources = append(p.Sources, a)
	}
	var err error
	if p.Targets, err = botTargets(f.transport, f.addr, p.Clients); err != nil {
		return p, err
	}
	if _, err := p.config(); err != nil {
		return p, err
	}
	return p, checkFiles((p.Clients + f.Processes - 1) / f.Processes)
}

func (f *botFlags) parseChecks() ([]bot.Check, error) {
	var all []bot.Check
	for _, text := range f.checks {
		c, err := bot.ParseCheck(text)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// config is the plan as the bots take it.
func (p botPlan) config() (bot.Config, error) {
	cfg := bot.Config{
		Duration: p.Duration, Steps: p.Steps, Pause: p.Pause, Cut: p.Cut, Resume: p.Resume, Roam: p.Cut > 0 && len(p.Targets) > 1, NoLogin: p.NoLogin,
		Prefix: p.Prefix, Password: p.Password, First: p.First, Seed: p.Seed, Pipeline: p.Pipeline, Timeout: p.Timeout, Logins: p.Logins, Sources: p.Sources, History: 1,
	}
	cfg.Transport, cfg.Addr, cfg.Clients, cfg.Also = p.Targets[0].Transport, p.Targets[0].Addr, p.Targets[0].Clients, p.Targets[1:]
	if p.Request != "" {
		cfg.Load = &bot.Load{Route: p.Request, Body: p.Body, Rate: p.Rate, Echo: p.Echo, Expect: p.Expect}
	}
	var err error
	if p.Ramp != "" {
		if cfg.Ramp, err = bot.ParseRamp(p.Ramp); err != nil {
			return cfg, err
		}
	}
	if p.Think != "" {
		if cfg.Think, err = bot.ParseThink(p.Think); err != nil {
			return cfg, err
		}
	}
	cfg.Options = client.Options{Name: "skua-bot"}
	if p.KCPInterval > 0 {
		// An acknowledgement that waits for a long interval makes the node send again.
		const long = 20
		cfg.Options.KCP = kcp.Config{NoDelay: 1, Interval: p.KCPInterval, Resend: 2, NC: 1, AckNoDelay: p.KCPInterval > long}
	}
	if p.Insecure {
		cfg.Options.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // it is what the flag is for
	}
	return cfg, nil
}

// botTargets shares the clients out over the transports.
func botTargets(transports, addrs string, clients int) ([]bot.Target, error) {
	shares, order, err := parseShares(transports)
	if err != nil {
		return nil, err
	}
	places, err := parseAddrs(addrs, order)
	if err != nil {
		return nil, err
	}
	whole := 0
	for _, n := range shares {
		whole += n
	}
	var targets []bot.Target
	left, weight := clients, whole
	for _, name := range order {
		n := (left*shares[name] + weight/2) / weight
		left -= n
		weight -= shares[name]
		if n > 0 {
			targets = append(targets, bot.Target{Transport: name, Addr: places[name], Clients: n})
		}
	}
	return targets, nil
}

// parseShares reads "tcp" or "tcp=50,kcp=50".
func parseShares(text string) (shares map[string]int, order []string, err error) {
	shares = map[string]int{}
	for part := range strings.SplitSeq(text, ",") {
		name, share, has := strings.Cut(part, "=")
		n := 1
		if has {
			if n, err = strconv.Atoi(share); err != nil || n < 1 {
				return nil, nil, fmt.Errorf("--transport %q: a share of at least 1 is expected, as in tcp=50,kcp=50", text)
			}
		}
		if !slices.Contains(bot.Transports(), name) || shares[name] > 0 {
			return nil, nil, fmt.Errorf("--transport %q: %s are expected, each once", text, strings.Join(bot.Transports(), ", "))
		}
		shares[name] = n
		order = append(order, name)
	}
	return shares, order, nil
}

// parseAddrs reads "HOST:PORT" or "tcp=HOST:PORT,ws=HOST:PORT", and knows the defaults.
func parseAddrs(text string, order []string) (map[string]string, error) {
	listen := DefaultConfig().Listen
	places := map[string]string{"tcp": listen.TCP, "tls": listen.TCP, "kcp": listen.KCP, "kcps": listen.KCP, "ws": listen.HTTP, "wss": listen.HTTP}
	if text == "" {
		return places, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, addr, named := strings.Cut(part, "=")
		if !named {
			addr = part
		}
		if _, _, err := net.SplitHostPort(addr); err != nil || named && !slices.Contains(order, name) {
			return nil, fmt.Errorf("--addr %q: HOST:PORT is expected, or one for each of %s", text, strings.Join(order, ", "))
		}
		if named {
			places[name] = addr
			continue
		}
		for name := range places {
			places[name] = addr
		}
	}
	return places, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
