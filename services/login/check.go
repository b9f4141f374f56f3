package login

import (
	"net/netip"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// Limits in bytes: of what comes in, since folding costs, and of what comes out of it.
const (
	maxRaw      = 1024
	maxName     = 64
	maxPassword = 256
)

// credentials are a name and a password in the form in which they are compared.
type credentials struct {
	origin
	name, password string
}

// What clients hear.
var (
	errBadName     = &Error{BadName, "a name has 1 to 64 bytes of letters, digits and the like, without spaces"}
	errBadPassword = &Error{BadPassword, "a password has 1 to 256 bytes of text"}
	errDenied      = &Error{Denied, "the name or the password is wrong"}
	errTaken       = &Error{Denied, "somebody has this name"}
	errCrowd       = &Error{TooMany, "too many new accounts from this address; try again later"}
	errBusy        = &Error{Busy, "too many logins at a time; try again"}
	errNoAccounts  = &Error{Unavailable, "accounts can't be looked up now"}
)

// checkName folds a name to the id of its account, and gives it as its owner writes it.
func checkName(raw string) (id, name string, err error) {
	if len(raw) > maxRaw {
		return "", "", errBadName
	}
	id, err = precis.UsernameCaseMapped.String(raw)
	if err != nil || id == "" || len(id) > maxName {
		return "", "", errBadName
	}
	name, err = precis.UsernameCasePreserved.String(raw)
	if err != nil || len(name) > maxName {
		return "", "", errBadName
	}
	return id, name, nil
}

func check(rawName, rawPassword string, addr netip.Addr) (credentials, error) {
	id, name, err := checkName(rawName)
	if err != nil {
		return credentials{}, err
	}
	if len(rawPassword) > maxRaw || !utf8.ValidString(rawPassword) {
		return credentials{}, errBadPassword
	}
	password, err := precis.OpaqueString.String(rawPassword)
	if err != nil || len(password) > maxPassword {
		return credentials{}, errBadPassword
	}
	return credentials{origin{id, network(addr)}, name, password}, nil
}

// network is what attempts are counted by: one who has an IPv6 address has the whole /64 (RFC 6177).
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}
