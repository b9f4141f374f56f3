// Package mongouri reads MongoDB URIs and keeps their secrets out of what people see: logs, errors, the texts of drivers and servers.
package mongouri

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const hidden = "REDACTED"

// Redact returns a MongoDB URI that may be shown: its user, its password and the secrets among its options are gone.
// It takes any text, so that a URI with a mistake in it can be shown too.
func Redact(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return hidden
	}
	// All before the last @, wherever that is: in a wrong URI a password has unescaped slashes and question marks.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = hidden + "@" + rest[at+1:]
	}
	rest, query, ok := strings.Cut(rest, "?")
	if !ok {
		return scheme + "://" + rest
	}
	parts := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, part := range parts {
		if key, _, _ := strings.Cut(part, "="); secretOption(key) {
			parts[i] = key + "=" + hidden
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(parts, "&")
}

func secretOption(key string) bool {
	key = strings.ToLower(key)
	return strings.Contains(key, "password") || key == "authmechanismproperties"
}

// Parse reads a URI; it looks up a mongodb+srv one and reads the files that the options name. The driver's error for a wrong one may quote it, so the error is
// made from the redacted one.
func Parse(uri string) (*options.ClientOptions, error) {
	settings := options.Client().ApplyURI(uri)
	if settings.Validate() == nil {
		return settings, nil
	}
	shown := Redact(uri)
	err := options.Client().ApplyURI(strings.Replace(shown, hidden+"@", "user:password@", 1)).Validate()
	if err == nil {
		return nil, fmt.Errorf("the URI %s can't be used: its user, password or secret options are wrong; special characters in them need percent-encoding", shown)
	}
	return nil, fmt.Errorf("the URI %s can't be used: %w", shown, err)
}

// Scrubber takes secrets out of texts that others have made.
type Scrubber []string

// ScrubberFor is for the secrets of a URI.
func ScrubberFor(uri string) Scrubber {
	var secrets Scrubber
	add := func(text string) {
		for _, s := range []string{text, unescape(text)} {
			if s != "" && !slices.Contains(secrets, s) {
				secrets = append(secrets, s)
			}
		}
	}
	_, rest, _ := strings.Cut(uri, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		_, password, _ := strings.Cut(rest[:at], ":")
		add(password)
	}
	_, query, _ := strings.Cut(rest, "?")
	for part := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(part, "="); secretOption(key) {
			add(value)
		}
	}
	return secrets
}

func unescape(text string) string {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// Error returns err, or its text alone without the secrets that are in it.
func (s Scrubber) Error(err error) error {
	text := err.Error()
	clean := text
	for _, secret := range s {
		clean = strings.ReplaceAll(clean, secret, hidden)
	}
	if clean == text {
		return err
	}
	return errors.New(clean)
}
