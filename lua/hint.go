package lua

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/skua-go/skua/lua/token"
)

// nilCall is how engines complain of a call of what is not there, and where.
var nilCall = regexp.MustCompile(`^([^:\n]+\.lua):(\d+): attempt to call a (nil value|non-function object)(?: \((?:(?:field|method|global) )?'([^']*)'\))?`)

// hint adds to an error what helps its author on: which function of skynet was meant, or where a name is to be had.
func (h *Host) hint(e *Error) {
	found := nilCall.FindStringSubmatch(e.Message)
	if found == nil {
		return
	}
	e.Message += h.rt.hints.of(e.Message, func() string { return h.hintAt(found) })
}

// hints keeps what was found for an error: looking for it reads the script, and errors repeat.
type hints struct {
	mu    sync.Mutex
	known map[string]string
}

const maxHints = 1000

func (s *hints) of(message string, find func() string) string {
	s.mu.Lock()
	hint, ok := s.known[message]
	s.mu.Unlock()
	if ok {
		return hint
	}
	hint = find()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxHints {
		s.known = map[string]string{}
	}
	s.known[message] = hint
	return hint
}

// hintAt is what to add to the complaint of which nilCall has found the parts.
func (h *Host) hintAt(found []string) string {
	line, err := strconv.Atoi(found[2])
	if err != nil {
		return ""
	}
	source, err := h.file(found[1])
	if err != nil {
		return ""
	}
	for _, name := range skynetNames(source, line) {
		if found[4] != "" && found[4] != name {
			continue
		}
		text := h.meant(name)
		if text == "" {
			continue
		}
		if found[4] == "" { // the engine does not tell what it was
			text = "skynet." + name + ": " + text
		}
		return " (" + text + ")"
	}
	return ""
}

// skynetNames are the names on a line of which there is nothing in the module skynet: `skynet.name`.
func skynetNames(source string, line int) []string {
	var names []string
	tokens := token.Scan(source)
	for i := 0; i+2 < len(tokens); i++ {
		t := tokens[i+2]
		if t.Line == line && t.Kind == token.Name && tokens[i+1].Is(".") && tokens[i].Kind == token.Name && tokens[i].Text == "skynet" {
			names = append(names, t.Text)
		}
	}
	return names
}

// meant is what somebody may have meant by a name that the module skynet has not, empty if nothing is near.
func (h *Host) meant(name string) string {
	if _, ok := h.rt.api.manager[name]; ok && !h.manages {
		return `require "skynet.manager" gives skynet.` + name
	}
	best, distance := "", 3
	for _, known := range h.rt.api.names() {
		if known == name {
			return ""
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(known)); d < distance {
			best, distance = known, d
		}
	}
	if best == "" || distance >= len(name) {
		return ""
	}
	return "did you mean skynet." + best + "?"
}

// editDistance is how many letters have to be changed, added, left out or swapped with their neighbour to make b of a (Damerau, restricted).
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
