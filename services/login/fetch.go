package login

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxKeyFile is in bytes, unpacked. A set of ten keys with certificates has some 20 KB.
const maxKeyFile = 1 << 20

// maxRedirects of a URL.
const maxRedirects = 3

func isURL(source string) bool { return strings.Contains(source, "://") }

// fetch reads a file or a URL.
func fetch(ctx context.Context, source string) ([]byte, error) {
	if !isURL(source) {
		return readKeyFile(source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	// A connection each time: it is seldom, and what does not stay open needs no care.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	client := &http.Client{Transport: transport, CheckRedirect: func(to *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("more than %d redirects", maxRedirects)
		}
		return checkURL(to.URL.String())
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("login: GET %s: status %s, expected 200", source, resp.Status)
	}
	return readBounded(resp.Body)
}

func readKeyFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readBounded(f)
}

func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	if len(text) > maxKeyFile {
		return nil, fmt.Errorf("login: more than %d bytes are no set of keys", maxKeyFile)
	}
	return text, nil
}

// checkURL admits https, and http on this machine.
func checkURL(source string) error {
	u, err := url.Parse(source)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && addr.IsLoopback()
	if host == "" || u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("login: keys from %s: expected https, or http on a loopback address", net.JoinHostPort(host, u.Port()))
	}
	return nil
}

var errKeys = errors.New("login: there is no key for RS256, ES256 or EdDSA in it")

// parseKeys reads a JSON Web Key Set (RFC 7517), or PEM blocks with public keys or certificates. Keys for anything else are passed over; a set of those only is an
// error.
func parseKeys(text []byte) ([]key, error) {
	keys, err := parsePEM(text)
	if len(keys) == 0 && err == nil {
		keys, err = parseSet(text)
	}
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, errKeys
	case len(keys) > maxKeys:
		return nil, fmt.Errorf("login: %d keys, at most %d are expected", len(keys), maxKeys)
	}
	return keys, nil
}

func parseSet(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("login: no JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > 4*maxKeys {
		return nil, fmt.Errorf("login: %d keys, at most %d are expected", len(set.Keys), maxKeys)
	}
	var keys []key
	for _, raw := range set.Keys {
		// A secret in a public set is nobody's secret.
		var private struct{ D, K any }
		if json.Unmarshal(raw, &private) != nil || private.D != nil || private.K != nil {
			continue
		}
		var jwk jose.JSONWebKey
		if jwk.UnmarshalJSON(raw) != nil || !jwk.Valid() || jwk.Use != "" && jwk.Use != "sig" {
			continue
		}
		if k, ok := usable(jwk.Key); ok && (jwk.Algorithm == "" || jwk.Algorithm == string(k.alg)) {
			k.id = jwk.KeyID
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return keys, nil
		}
		var public any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = cert.PublicKey
			}
		default:
			return nil, fmt.Errorf("login: a PEM block %q, expected PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE", block.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("login: PEM block %q: %w", block.Type, err)
		}
		if k, ok := usable(public); ok {
			keys = append(keys, k)
		}
	}
}

// RSA keys that are used, in bits: shorter ones are weak, longer ones cost each login too much.
const minRSA, maxRSA = 2048, 8192

// usable tells which algorithm a public key is for.
func usable(public any) (key, bool) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return key{alg: jose.RS256, key: k}, k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey:
		return key{alg: jose.ES256, key: k}, k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return key{alg: jose.EdDSA, key: k}, true
	}
	return key{}, false
}
