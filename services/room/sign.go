package room

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// The parameters of a signed URL.
const (
	paramWho     = "who"
	paramExpires = "expires"
	paramSign    = "sign"
)

// Sign gives the query of a URL with which somebody may do one thing in one room until a time.
func Sign(key []byte, action Action, room, who string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	q := url.Values{paramExpires: {at}, paramSign: {hex.EncodeToString(signature(key, action, room, who, at))}}
	if who != "" {
		q.Set(paramWho, who)
	}
	return q.Encode()
}

// signature is over all that it allows, each part behind its length, so that no part can be taken for another.
func signature(key []byte, action Action, room, who, expires string) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{"skua room 1", string(action), room, who, expires} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// verify gives who comes, as the signature has it, or says what is wrong with it. Without keys anybody is whom it says.
func (c *Config) verify(action Action, e Entry) (who string, err error) {
	if e.Player != "" && e.Query.Get(paramSign) == "" && (c.Rules != "" || len(c.Keys) == 0) {
		if len(e.Player) > MaxName {
			return "", fmt.Errorf("%w: %s: the player's name has %d bytes, up to %d are allowed", ErrSignature, e.Room, len(e.Player), MaxName)
		}
		return e.Player, nil
	}
	who = e.Query.Get(paramWho)
	if len(who) > MaxName {
		return "", fmt.Errorf("%w: %s: the parameter %s has %d bytes, up to %d are allowed", ErrSignature, e.Room, paramWho, len(who), MaxName)
	}
	if len(c.Keys) == 0 {
		return who, nil
	}
	at, sign := e.Query.Get(paramExpires), e.Query.Get(paramSign)
	if at == "" || sign == "" {
		return "", fmt.Errorf("%w: %s %s: the URL is not signed, expected the parameters %s and %s", ErrSignature, action, e.Room, paramExpires, paramSign)
	}
	found, err := hex.DecodeString(sign)
	if err != nil {
		return "", fmt.Errorf("%w: %s %s: the parameter %s is not hexadecimal", ErrSignature, action, e.Room, paramSign)
	}
	good := false
	for _, key := range c.Keys {
		good = hmac.Equal(found, signature(key, action, e.Room, who, at)) || good
	}
	if !good {
		return "", fmt.Errorf("%w: %s %s: the signature is for something else, or by somebody else", ErrSignature, action, e.Room)
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return "", fmt.Errorf("%w: %s %s: the parameter %s is not a time in seconds", ErrSignature, action, e.Room, paramExpires)
	}
	if expires := time.Unix(seconds, 0); !c.Now().Before(expires) {
		return "", fmt.Errorf("%w: %s %s: the URL has expired at %s", ErrSignature, action, e.Room, expires.UTC().Format(time.RFC3339))
	}
	return who, nil
}
