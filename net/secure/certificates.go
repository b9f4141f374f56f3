package secure

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Pair names the files of one certificate, in PEM: the chain, the server's own certificate first, and its key.
type Pair struct{ Cert, Key string }

// CertificatesConfig says where certificates are.
type CertificatesConfig struct {
	// Pairs are tried in this order; the first is for clients that name no host, and those whose host none has. At least one.
	Pairs []Pair
	// Interval is how often Serve looks at the files. Default 10 s. It reads them, some kilobytes a pair: watching directories for changes misses those of network file systems, of bind
	// mounts and of links that are swapped above the file, which is how orchestrators renew secrets.
	Interval time.Duration
	// Log gets what operators should see. Default: nothing is logged.
	Log *slog.Logger
}

// Certificates are a server's certificates, renewed when their files change. Its methods may be called from any goroutine, Serve once.
type Certificates struct {
	interval time.Duration
	log      *slog.Logger
	pairs    []*pair // only Serve changes what is in them
	served   atomic.Pointer[[]*tls.Certificate]
	states   atomic.Pointer[[]CertificateState]
}

// CertificateState is what an operator may want to know of one pair.
type CertificateState struct {
	Pair
	Names               []string // hosts and addresses that it is for
	NotBefore, NotAfter time.Time
	Loaded              uint64 // how often a pair was taken from the files, the first time included
	Failed              uint64 // how often a changed pair was found that can't be used
	Err                 error  // why the files are not what is served; nil when they are
}

// pair is one of them with what is known of its files.
type pair struct {
	files  Pair
	cert   *tls.Certificate
	loaded [sha256.Size]byte // the content that cert is of
	seen   string            // the failure at the last look
	told   string            // the failure that is in the log
	warned time.Time         // when the log was told that it expires
	ended  bool              // and that it has
	state  CertificateState
}

const maxPEM = 1 << 20

// LoadCertificates reads all pairs. An error names the file, and joins those of all pairs. A certificate that has expired is no error, since a server that is
// there is worth more to its operator, but it is logged.
func LoadCertificates(cfg CertificatesConfig) (*Certificates, error) {
	if len(cfg.Pairs) == 0 {
		return nil, errors.New("secure: no certificates are given, expected at least one pair of files")
	}
	if cfg.Interval < 0 {
		return nil, fmt.Errorf("secure: the interval of certificates is %v, expected 0 (the default) or more", cfg.Interval)
	}
	c := &Certificates{interval: cfg.Interval, log: cfg.Log}
	if c.interval == 0 {
		c.interval = 10 * time.Second
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var failed []error
	for _, files := range cfg.Pairs {
		p := &pair{files: files, state: CertificateState{Pair: files}}
		content, err := files.read()
		var cert *tls.Certificate
		if err == nil {
			cert, err = content.parse(files)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		p.take(cert, content.sum)
		c.pairs = append(c.pairs, p)
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	c.publish()
	c.warnExpiry(time.Now())
	return c, nil
}

// Get chooses a certificate for a client: the first that is for the host which it names, with an algorithm that it knows; else the first. It is a tls.Config's GetCertificate.
func (c *Certificates) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	served := *c.served.Load()
	if len(served) > 1 {
		for _, cert := range served {
			if hello.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
	}
	return served[0], nil
}

// States tells what is served and what is wrong with the files, in the order of the configuration.
func (c *Certificates) States() []CertificateState { return *c.states.Load() }

// Serve looks at the files each interval until ctx ends, and then returns nil. A changed pair that can be used is served to the next client; connections that are open keep theirs. One that
// can't (half written, a key that is not the certificate's, out of its time) changes nothing and is logged once if it is still so at the next look. A certificate that is about to expire is logged once a day.
func (c *Certificates) Serve(ctx context.Context) error {
	tick := time.NewTicker(c.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.look()
		}
	}
}

func (c *Certificates) look() {
	now := time.Now()
	var tell []func() // what to log once it is so
	for _, p := range c.pairs {
		content, err := p.files.read()
		if err == nil && content.sum == p.loaded {
			p.intact()
			continue
		}
		var cert *tls.Certificate
		if err == nil {
			cert, err = content.parse(p.files)
		}
		if err == nil {
			err = usable(cert, p.files, now)
		}
		if err != nil {
			if p.broken(err) {
				tell = append(tell, func() {
					c.log.Error("a changed certificate can't be used, the one before is served on", "cert", p.files.Cert, "key", p.files.Key, "err", err,
						"served_until", p.state.NotAfter)
				})
			}
			continue
		}
		p.take(cert, content.sum)
		tell = append(tell, func() {
			c.log.Info("certificate renewed", "cert", p.files.Cert, "names", p.state.Names, "until", p.state.NotAfter)
		})
	}
	c.publish()
	for _, t := range tell {
		t()
	}
	c.warnExpiry(now)
}

// take makes a certificate the one that is served.
func (p *pair) take(cert *tls.Certificate, content [sha256.Size]byte) {
	p.cert, p.loaded, p.warned, p.ended = cert, content, time.Time{}, false
	s := &p.state
	s.NotBefore, s.NotAfter = cert.Leaf.NotBefore, cert.Leaf.NotAfter
	s.Names = append([]string(nil), cert.Leaf.DNSNames...)
	for _, ip := range cert.Leaf.IPAddresses {
		s.Names = append(s.Names, ip.String())
	}
	s.Loaded++
	p.intact()
}

// intact says that the files are what is served.
func (p *pair) intact() { p.seen, p.told, p.state.Err = "", "", nil }

// broken keeps what is served, and tells whether the operator should know: a failure is told when it is there for the second time, because one that is not may be a pair
// of which only one file had been written.
func (p *pair) broken(err error) (tell bool) {
	p.state.Err = err
	text := err.Error()
	if tell = text == p.seen && text != p.told; tell {
		p.told = text
		p.state.Failed++
	}
	p.seen = text
	return tell
}

func (c *Certificates) publish() {
	served, states := make([]*tls.Certificate, len(c.pairs)), make([]CertificateState, len(c.pairs))
	for i, p := range c.pairs {
		served[i], states[i] = p.cert, p.state
	}
	c.served.Store(&served)
	c.states.Store(&states)
}

const (
	maxAhead    = 14 * 24 * time.Hour
	warnExpires = 24 * time.Hour
)

// warnExpiry tells once a day of certificates that end soon: in the last fifth of their time, but not before two weeks. What renews them does so at a third, so a certificate that gets there was forgotten.
func (c *Certificates) warnExpiry(now time.Time) {
	for _, p := range c.pairs {
		left := p.state.NotAfter.Sub(now)
		ahead := min(maxAhead, p.state.NotAfter.Sub(p.state.NotBefore)/5)
		if left > ahead || now.Sub(p.warned) < warnExpires && p.ended == (left <= 0) {
			continue
		}
		p.warned, p.ended = now, left <= 0
		if left <= 0 {
			c.log.Error("a certificate has expired, clients refuse it", "cert", p.files.Cert, "names", p.state.Names, "since", p.state.NotAfter)
		} else {
			c.log.Warn("a certificate expires soon", "cert", p.files.Cert, "names", p.state.Names, "at", p.state.NotAfter, "left", left.Round(time.Hour))
		}
	}
}

// usable refuses to exchange what is served for a certificate that clients would not take now.
func usable(cert *tls.Certificate, files Pair, now time.Time) error {
	switch leaf := cert.Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("secure: certificate %s: it has expired at %s", files.Cert, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("secure: certificate %s: it is not valid before %s", files.Cert, leaf.NotBefore.Format(time.RFC3339))
	default:
		return nil
	}
}

// content is what the files of a pair have in them.
type content struct {
	chain, key []byte
	sum        [sha256.Size]byte
}

func (f Pair) read() (c content, err error) {
	if c.chain, err = readPEM(f.Cert); err != nil {
		return c, fmt.Errorf("secure: certificate %w", err)
	}
	if c.key, err = readPEM(f.Key); err != nil {
		return c, fmt.Errorf("secure: key %w", err)
	}
	h := sha256.New()
	_, _ = h.Write(c.chain) // never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(c.key)
	c.sum = [sha256.Size]byte(h.Sum(nil))
	return c, nil
}

// parse checks that the two belong together.
func (c *content) parse(files Pair) (*tls.Certificate, error) {
	made, err := tls.X509KeyPair(c.chain, c.key)
	if err != nil {
		return nil, fmt.Errorf("secure: certificate %s with key %s: %s", files.Cert, files.Key, strings.TrimPrefix(err.Error(), "tls: "))
	}
	return &made, nil
}

func readPEM(path string) (_ []byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Unwrap(err)) // the path is in there already
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPEM+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	case len(text) > maxPEM:
		return nil, fmt.Errorf("%s: more than %d bytes, expected a few kilobytes of PEM", path, maxPEM)
	default:
		return text, nil
	}
}
