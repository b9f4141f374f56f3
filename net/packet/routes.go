package packet

import (
	"fmt"
	"maps"
	"slices"
)

// MaxRoute is the longest route in bytes: its length has 1 byte.
const MaxRoute = 255

// Routes is an immutable dictionary between routes and their 2-byte codes; the server hands it to clients in the handshake. The nil *Routes
// is the empty dictionary. It may be read from any goroutine.
type Routes struct {
	codes  map[string]uint16
	routes map[uint16]string
	names  map[string]string // a route's canonical string, so that decoding a known one allocates nothing
}

// NewRoutes builds a dictionary. It fails with ErrDictionary on a code that two routes share, on code 0 (Pomelo's clients take it for "none"),
// on an empty route and on one longer than MaxRoute. A route can't appear twice in a map; use Merge where two dictionaries meet.
func NewRoutes(codes map[string]uint16) (*Routes, error) {
	r := &Routes{
		codes:  make(map[string]uint16, len(codes)),
		routes: make(map[uint16]string, len(codes)),
		names:  make(map[string]string, len(codes)),
	}
	for _, route := range slices.Sorted(maps.Keys(codes)) { // sorted, so that a mistake is always reported with the same names
		if err := r.add(route, codes[route]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Merge returns a dictionary with the routes of both. It fails with ErrDictionary when a route or a code is in both.
func (r *Routes) Merge(codes map[string]uint16) (*Routes, error) {
	m, err := NewRoutes(r.Map())
	if err != nil {
		return nil, err
	}
	for _, route := range slices.Sorted(maps.Keys(codes)) {
		if err := m.add(route, codes[route]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (r *Routes) add(route string, code uint16) error {
	switch {
	case route == "":
		return fmt.Errorf("%w: code %d has an empty route", ErrDictionary, code)
	case len(route) > MaxRoute:
		return fmt.Errorf("%w: route %.32q... has %d bytes, at most %d fit", ErrDictionary, route, len(route), MaxRoute)
	case code == 0:
		return fmt.Errorf("%w: route %q has code 0, codes are 1 to 65535", ErrDictionary, route)
	}
	if other, ok := r.routes[code]; ok {
		return fmt.Errorf("%w: code %d is given to %q and to %q", ErrDictionary, code, other, route)
	}
	if other, ok := r.codes[route]; ok {
		return fmt.Errorf("%w: route %q has two codes, %d and %d", ErrDictionary, route, other, code)
	}
	r.codes[route] = code
	r.routes[code] = route
	r.names[route] = route
	return nil
}

// Len is the number of routes.
func (r *Routes) Len() int {
	if r == nil {
		return 0
	}
	return len(r.codes)
}

// Code returns a route's code.
func (r *Routes) Code(route string) (code uint16, ok bool) {
	if r == nil {
		return 0, false
	}
	code, ok = r.codes[route]
	return code, ok
}

// Route returns a code's route.
func (r *Routes) Route(code uint16) (route string, ok bool) {
	if r == nil {
		return "", false
	}
	route, ok = r.routes[code]
	return route, ok
}

// Map returns a copy, for the handshake.
func (r *Routes) Map() map[string]uint16 {
	if r == nil {
		return nil
	}
	return maps.Clone(r.codes)
}

// name returns the dictionary's own string of a route, so that a known one costs no allocation.
func (r *Routes) name(route []byte) (string, bool) {
	if r == nil {
		return "", false
	}
	s, ok := r.names[string(route)] // the compiler looks up without making the string
	return s, ok
}
