package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/skua-go/skua/services/admin"
)

func newClusterCommand(ext extension) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Look at the nodes of a cluster, and drain them",
		Long: `Look at the nodes of a cluster, and drain them. A node is asked at its listen.admin: that of the project in the working directory, or of --dir, or --admin.

Exit codes: 0 done, 1 failed, 2 wrong use.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return &usageError{fmt.Errorf("unknown command %q; `skua cluster --help` lists them", args[0])}
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	at := adminPlace{ext: ext}
	at.define(cmd.PersistentFlags())
	cmd.AddCommand(newClusterStatusCommand(&at), newClusterDrainCommand(&at))
	return cmd
}

// adminPlace says which node is asked.
type adminPlace struct {
	dir, address, token string
	ca, cert, key       string
	ext                 extension
}

// define adds the flags that say which node is asked.
func (at *adminPlace) define(f interface {
	StringVar(to *string, name, usual, usage string)
	StringVarP(to *string, name, short, usual, usage string)
},
) {
	f.StringVarP(&at.dir, "dir", "C", "", "directory of the project, whose listen.admin and admin.token are used (default the working directory, unless --admin is given)")
	f.StringVar(&at.address, "admin", "", "address, host:port or URL, of a node's admin listener instead")
	f.StringVar(&at.token, "token", "", "its admin.token, as env:NAME or file:PATH (default that of the project, or of SKUA_ADMIN_TOKEN)")
	f.StringVar(&at.ca, "ca", "", "file of the authorities of its certificate, in PEM, where it speaks TLS")
	f.StringVar(&at.cert, "cert", "", "file of a certificate of yours, in PEM, where it takes those (admin.client_ca)")
	f.StringVar(&at.key, "key", "", "file of the key of --cert, in PEM")
}

// adminClient asks one node.
type adminClient struct {
	base   string
	token  string
	client *http.Client
}

// open finds out where the node is. Nothing is asked yet.
func (at *adminPlace) open() (*adminClient, error) {
	env := environMap(os.Environ())
	cfg := DefaultConfig()
	var err error
	if at.address == "" || at.dir != "" { // else no project is needed: there may be none on this machine
		if cfg, err = loadConfig(cmp.Or(at.dir, "."), os.Environ()); err != nil {
			return nil, &usageError{err}
		}
	} else {
		cfg.Admin.Token = Secret(env["SKUA_ADMIN_TOKEN"])
	}
	token := cfg.Admin.Token.Reveal()
	if at.token != "" {
		if token = at.token; !strings.HasPrefix(token, "env:") && !strings.HasPrefix(token, "file:") {
			return nil, &usageError{errors.New("--token: expected env:NAME or file:PATH, as all on this machine can read a command line")}
		}
	}
	if token, err = (&Config{}).resolveSecret(token, env); err != nil {
		return nil, &usageError{fmt.Errorf("--token: %w", err)}
	}
	// One request is all, so no connection is kept, which a node that stops would wait for.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	c := &adminClient{token: token, client: &http.Client{Transport: transport}}
	if c.base, err = at.base(&cfg); err != nil {
		return nil, &usageError{err}
	}
	if transport.TLSClientConfig, err = at.tls(); err != nil {
		return nil, &usageError{err}
	}
	return c, nil
}

// tls is what the client knows of TLS; nil for what is usual.
func (at *adminPlace) tls() (*tls.Config, error) {
	if at.ca == "" && at.cert == "" && at.key == "" {
		return nil, nil //nolint:nilnil // that is the usual
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if at.ca != "" {
		if cfg.RootCAs, err = readRoots(at.ca); err != nil {
			return nil, fmt.Errorf("--ca = %q: %w", at.ca, err)
		}
	}
	if at.cert == "" && at.key == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(at.cert, cmp.Or(at.key, at.cert)) // one file may have both
	if err != nil {
		return nil, fmt.Errorf("--cert, --key: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// base is the URL of the admin listener.
func (at *adminPlace) base(cfg *Config) (string, error) {
	addr := at.address
	if addr == "" {
		addr = cfg.Listen.Admin
		if !Listens(addr) {
			return "", errors.New("listen.admin = \"off\": give the address of a node with --admin")
		}
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return "", fmt.Errorf("listen.admin = %q: %w", addr, err)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			addr = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" {
		return "", fmt.Errorf("--admin = %q: expected host:port, or a URL such as https://node.example:7090", at.address)
	}
	return u.Scheme + "://" + u.Host, nil
}

// do asks. The body of the answer is the caller's to close.
func (c *adminClient) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: %w; a node's listen.admin is expected there (--admin, --dir)", c.base, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	var known admin.CallError
	if json.Unmarshal(text, &known) == nil && known.Message != "" {
		return nil, fmt.Errorf("%s: %w", c.base, &known)
	}
	if resp.StatusCode == http.StatusNotFound && bytes.HasPrefix(text, []byte("404 page not found")) {
		return nil, fmt.Errorf("%s%s: not found: no node of this version listens there", c.base, path)
	}
	return nil, fmt.Errorf("%s: %s", c.base, strings.TrimSpace(string(text)))
}

func newClusterStatusCommand(at *adminPlace) *cobra.Command {
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the nodes, and who holds which locks and singletons",
		Args:  positional(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := at.open()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			resp, err := c.do(ctx, http.MethodGet, "/cluster", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var s clusterStatus
			if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
				return fmt.Errorf("%s: the answer is not a node's: %w", c.base, err)
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(s)
			}
			return s.write(cmd.OutOrStdout(), time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "time to answer")
	return cmd
}

// write is for people.
func (s *clusterStatus) write(w io.Writer, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSTATE\tINCARNATION\tVERSION\tUP\tROLES\tLABELS\tACTORS\tSESSIONS\tGRAINS\tCPU\tMEMORY")
	for i := range s.Members {
		m := &s.Members[i]
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%v\t%s\t%s\t%d\t%d\t%d\t%.0f%%\t%.0f%%\n", m.Name, m.state(), m.Incarnation, m.Version, now.Sub(m.Started).Round(time.Second),
			listed(m.Roles), labels(m.Labels), m.Load.Actors, m.Load.Sessions, m.Load.Grains, 100*m.Load.CPU, 100*m.Load.Memory)
	}
	if len(s.Leases) > 0 {
		fmt.Fprintln(t, "\nHELD\tBY\tEPOCH\tFOR")
	}
	for _, l := range s.Leases {
		fmt.Fprintf(t, "%s\t%s.%d\t%d\t%v\n", l.Key, l.Node, l.Incarnation, l.Epoch, now.Sub(l.Since).Round(time.Second))
	}
	if more := s.AllLeases - len(s.Leases); more > 0 {
		fmt.Fprintf(t, "and %d more\n", more)
	}
	return t.Flush()
}

// state is how the node is, in a word.
func (m *memberStatus) state() string {
	switch {
	case m.State == "alive" && m.Draining:
		return "draining"
	case m.State == "alive" && !m.Held:
		return "alive, without its name"
	default:
		return m.State
	}
}

func newClusterDrainCommand(at *adminPlace) *cobra.Command {
	var o drainFlags
	cmd := &cobra.Command{
		Use:   "drain [NODE]",
		Short: "Move what a node has to other nodes, and stop it",
		Long: `Move what a node has to other nodes while players play on: singletons, sessions of clients, grains. Then stop it; its exit code is 0.
Another node than the one that is asked needs the cluster.secret of both. What can't be moved in time is told, the exit code is 1, and the node goes on, draining: drain it again, or end it with SIGTERM.`,
		Args: positional(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == o.self {
				return &usageError{errors.New("expected the name of a node, or --self for the one that is asked")}
			}
			if o.timeout < time.Millisecond || o.timeout > admin.MaxDrain {
				return &usageError{fmt.Errorf("--timeout: found %v, expected 1ms to %v", o.timeout, admin.MaxDrain)}
			}
			c, err := at.open()
			if err != nil {
				return err
			}
			order := admin.DrainOrder{Timeout: o.timeout.Milliseconds(), Stay: o.stay}
			if len(args) == 1 {
				order.Node = args[0]
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return c.drain(ctx, cmd.OutOrStdout(), order)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "time for all of it")
	f.BoolVar(&o.self, "self", false, "drain the node that is asked")
	f.BoolVar(&o.stay, "stay", false, "leave it running, with nothing on it")
	return cmd
}

type drainFlags struct {
	timeout    time.Duration
	self, stay bool
}

// drain orders it, and writes how far it is.
func (c *adminClient) drain(ctx context.Context, w io.Writer, o admin.DrainOrder) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPost, "/cluster/drain", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		var p admin.DrainProgress
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fmt.Errorf("%s: the answer is not a node's: %w", c.base, err)
		}
		if p.End && p.Error != "" {
			return errors.New("drain: " + p.Error)
		}
		if p.End {
			return nil
		}
		writeProgress(w, p)
	}
	if ctx.Err() != nil {
		return errors.New("drain: interrupted; the node goes on with it")
	}
	return fmt.Errorf("drain: %s has closed the connection before it was done: %w", c.base, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
}

// writeProgress writes a line for each step that ends, or that says something.
func writeProgress(w io.Writer, p admin.DrainProgress) {
	text := ""
	if p.Text != "" {
		text = ": " + p.Text
	}
	switch p.State {
	case "begun":
		fmt.Fprintf(w, "%s  %-10s ...\n", p.Node, p.Step)
	case "going":
		fmt.Fprintf(w, "%s  %-10s ... %s\n", p.Node, p.Step, p.Text)
	default:
		fmt.Fprintf(w, "%s  %-10s %s%s (%v)\n", p.Node, p.Step, p.State, text, time.Duration(p.Took)*time.Millisecond)
	}
}

func listed(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ",")
}

func labels(m map[string]string) string {
	words := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		words = append(words, k+"="+m[k])
	}
	return listed(words)
}
