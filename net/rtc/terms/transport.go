package terms

import (
	"encoding/hex"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// readBundle finds the lines that share the transport: all that are to be of use.
func (r *reader) readBundle() error {
	live := 0
	for i := range r.offer.Lines {
		if !r.off(i) {
			live++
		}
	}
	mids, ok := r.groupOf()
	if !ok {
		if live > 1 {
			return refuse("the offer has %d lines of media and no a=group:BUNDLE for them", live)
		}
		for i := range r.offer.Lines {
			r.accept(i)
		}
		return nil
	}
	r.offer.group = true
	for _, mid := range mids {
		i := slices.IndexFunc(r.offer.Lines, func(l Line) bool { return l.Mid == mid })
		if i >= 0 && !r.offer.Lines[i].grouped {
			r.offer.Lines[i].grouped = true
			r.accept(i)
		}
	}
	usable := false
	for i := range r.offer.Lines {
		l := &r.offer.Lines[i]
		if !l.grouped {
			l.Rejected, l.inactive = true, false
		}
		usable = usable || !l.Rejected && l.Kind != Data
	}
	if !usable {
		return refuse("a=group:BUNDLE of the offer has none of the lines that are of use")
	}
	return nil
}

func (r *reader) accept(i int) {
	if l := &r.offer.Lines[i]; !l.Rejected || l.inactive {
		r.offer.bundle = append(r.offer.bundle, i)
	}
}

// groupOf are the mids of the first bundle.
func (r *reader) groupOf() (mids []string, ok bool) {
	for _, a := range r.session.Attributes {
		if a.Key != sdp.AttrKeyGroup {
			continue
		}
		if f := strings.Fields(a.Value); len(f) > 1 && f[0] == "BUNDLE" {
			return f[1:], true
		}
	}
	return nil, false
}

// Credentials (RFC 8839 section 5.4).
const (
	minUfrag       = 4
	minPwd         = 22
	maxCredentials = 256
)

// readTransport reads what the line that names the bundle's transport says of it, or the session for all lines.
func (r *reader) readTransport() error {
	first := r.session.MediaDescriptions[r.offer.bundle[0]]
	of := func(key string) string {
		if v, ok := value(first.Attributes, key); ok {
			return strings.TrimSpace(v)
		}
		v, _ := value(r.session.Attributes, key)
		return strings.TrimSpace(v)
	}
	r.offer.Ufrag, r.offer.Pwd = of("ice-ufrag"), of("ice-pwd")
	if err := isCredential("ice-ufrag", r.offer.Ufrag, minUfrag); err != nil {
		return err
	}
	if err := isCredential("ice-pwd", r.offer.Pwd, minPwd); err != nil {
		return err
	}
	switch setup := of(sdp.AttrKeyConnectionSetup); setup {
	case "actpass", "active", "": // by RFC 4145 section 4 who says nothing is active
	default:
		return refuse("the offer has a=setup:%.40s, expected actpass or active: the node is passive", setup)
	}
	if err := r.readFingerprint(first); err != nil {
		return err
	}
	return r.checkRTCP(first)
}

func isCredential(name, s string, least int) error {
	if s == "" {
		return refuse("the offer has no a=%s", name)
	}
	if len(s) < least || len(s) > maxCredentials || strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '/'
	}) {
		return refuse("a=%s of the offer is not of %d to %d letters, digits, + and /", name, least, maxCredentials)
	}
	return nil
}

// readFingerprint takes the first of a hash that is good enough (RFC 8122 section 5).
func (r *reader) readFingerprint(first *sdp.MediaDescription) error {
	as := first.Attributes
	if !has(as, "fingerprint") {
		as = r.session.Attributes
	}
	sizes := map[string]int{"sha-256": 32, "sha-384": 48, "sha-512": 64}
	other := ""
	for _, a := range as {
		if a.Key != "fingerprint" {
			continue
		}
		hash, text, _ := strings.Cut(strings.TrimSpace(a.Value), " ")
		hash = strings.ToLower(hash)
		size, ok := sizes[hash]
		if !ok {
			other = hash
			continue
		}
		text = strings.ToUpper(strings.TrimSpace(text))
		if !isFingerprint(text, size) {
			return refuse("a=fingerprint:%s of the offer is not %d bytes as AB:CD:...", hash, size)
		}
		r.offer.Hash, r.offer.Fingerprint = hash, text
		return nil
	}
	if other != "" {
		return refuse("the offer has a=fingerprint:%.40s, expected sha-256, sha-384 or sha-512", other)
	}
	return refuse("the offer has no a=fingerprint")
}

func isFingerprint(s string, size int) bool {
	if len(s) != 3*size-1 {
		return false
	}
	for i := 2; i < len(s); i += 3 {
		if s[i] != ':' {
			return false
		}
	}
	_, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	return err == nil
}

// checkRTCP wants RTCP on the port of the media. Lines that are only there as part of the bundle need not say so again (RFC 9143 section 7.1.3).
func (r *reader) checkRTCP(first *sdp.MediaDescription) error {
	for _, i := range r.offer.bundle {
		l, m := &r.offer.Lines[i], r.session.MediaDescriptions[i]
		if l.Kind == Data {
			continue
		}
		shared := has(m.Attributes, "bundle-only") || m == first
		l.reduced = l.reduced || shared && has(first.Attributes, sdp.AttrKeyRTCPRsize)
		if !has(m.Attributes, sdp.AttrKeyRTCPMux) && !has(first.Attributes, sdp.AttrKeyRTCPMux) && !has(m.Attributes, "bundle-only") {
			return refuse("line %d of the offer has no a=rtcp-mux", i+1)
		}
	}
	return nil
}
