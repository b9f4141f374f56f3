package admin

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/skua-go/skua/lua"
)

// usualProfile is how long a script is watched if nothing is said.
const usualProfile = 10 * time.Second

// luaProfile answers with the profile of a service of a script, for go tool pprof.
func (s *Server) luaProfile(w http.ResponseWriter, r *http.Request) {
	within := usualProfile
	if text := r.URL.Query().Get("seconds"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64) // deadline has looked at it
		if err != nil || seconds <= 0 {
			plain(w, http.StatusBadRequest, fmt.Sprintf("seconds: found %q, expected more than 0", text))
			return
		}
		within = time.Duration(seconds * float64(time.Second))
	}
	info, err := s.find(r.URL.Query().Get("actor"))
	if err != nil {
		plain(w, http.StatusNotFound, "actor: "+err.Error())
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	samples, every, err := s.API.Scripts.Profile(ctx, s.API.System, info.Ref)
	switch {
	case errors.Is(err, lua.ErrNotScript):
		plain(w, http.StatusBadRequest, "actor: it is no service of a script; those in Go are in /debug/pprof/profile")
		return
	case errors.Is(err, lua.ErrProfiled):
		plain(w, http.StatusConflict, err.Error())
		return
	case err != nil:
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="lua.pprof"`)
	_, _ = w.Write(profileOf(samples, every, began, time.Since(began))) // the peer may be gone
}

// profileOf is the profile as pprof reads it: profile.proto of github.com/google/pprof, compressed by gzip.
func profileOf(samples []lua.Sample, every time.Duration, began time.Time, took time.Duration) []byte {
	p := pprofile{texts: map[string]int64{"": 0}, table: []string{""}, functions: map[lua.Frame]uint64{}, locations: map[lua.Frame]uint64{}}
	nanoseconds := p.valueType("cpu", "nanoseconds")
	p.message(1, p.valueType("samples", "count"))
	p.message(1, nanoseconds)
	for i := range samples {
		frames := samples[i].Frames()
		if len(frames) == 0 {
			frames = []lua.Frame{{Function: "(unknown)"}}
		}
		var locations, values []byte
		for _, f := range frames {
			locations = protowire.AppendVarint(locations, p.location(f))
		}
		values = protowire.AppendVarint(values, uint64(samples[i].Count))
		values = protowire.AppendVarint(values, uint64(samples[i].Count*int64(every)))
		p.message(2, appendField(appendField(nil, 1, locations), 2, values))
	}
	p.number(9, began.UnixNano())
	p.number(10, int64(took))
	p.message(11, nanoseconds)
	p.number(12, int64(every))
	p.number(14, p.text("cpu"))
	for _, text := range p.table {
		p.message(6, []byte(text))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write(p.out)
	if err := errors.Join(err, z.Close()); err != nil {
		panic(err) // a buffer takes everything
	}
	return zipped.Bytes()
}

// pprofile is a Profile on its way onto the wire. All texts are numbers in its table.
type pprofile struct {
	out       []byte
	texts     map[string]int64
	table     []string
	functions map[lua.Frame]uint64
	locations map[lua.Frame]uint64
}

func appendField(dst []byte, field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), content)
}

func appendNumber(dst []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), n)
}

func (p *pprofile) message(field protowire.Number, content []byte) {
	p.out = appendField(p.out, field, content)
}

func (p *pprofile) number(field protowire.Number, n int64) {
	p.out = appendNumber(p.out, field, uint64(n))
}

func (p *pprofile) text(s string) int64 {
	n, known := p.texts[s]
	if !known {
		n = int64(len(p.table))
		p.texts[s] = n
		p.table = append(p.table, strings.ToValidUTF8(s, "?"))
	}
	return n
}

func (p *pprofile) valueType(kind, unit string) []byte {
	return appendNumber(appendNumber(nil, 1, uint64(p.text(kind))), 2, uint64(p.text(unit)))
}

// location is the number of a place in a function, which is written when it comes first.
func (p *pprofile) location(f lua.Frame) uint64 {
	if id := p.locations[f]; id != 0 {
		return id
	}
	id := uint64(len(p.locations) + 1)
	p.locations[f] = id
	line := appendNumber(appendNumber(nil, 1, p.function(f)), 2, uint64(f.Line))
	p.message(4, appendField(appendNumber(nil, 1, id), 4, line))
	return id
}

func (p *pprofile) function(f lua.Frame) uint64 {
	f.Line = 0 // wherever it is in it
	if id := p.functions[f]; id != 0 {
		return id
	}
	id, name := uint64(len(p.functions)+1), uint64(p.text(f.Function))
	p.functions[f] = id
	p.message(5, appendNumber(appendNumber(appendNumber(appendNumber(nil, 1, id), 2, name), 3, name), 4, uint64(p.text(f.File))))
	return id
}
