package admin

import (
	"net/http"
	"strings"
	"time"
)

// Levels are those of the log. They are called from many goroutines.
type Levels interface {
	// List has the level of all components that have none of their own first, as the empty name, and then the others by name.
	List() []LogLevel
	// Set sets a component's level, or with an empty name that of all others; for a while, or with 0 until the node ends.
	Set(component, level string, within time.Duration) error
	// Reset has a component written as configured.
	Reset(component string)
}

// LogLevel is from what on lines of a component are written.
type LogLevel struct {
	Component string     `json:"component" doc:"Empty for all that have no level of their own."`
	Level     string     `json:"level" enum:"debug,info,warn,error"`
	Until     *time.Time `json:"until,omitempty" doc:"When the configured level holds again."`
}

// LevelOrder changes a level.
type LevelOrder struct {
	Component string `json:"component,omitempty" doc:"What lines say as part or kind, an actor's name, or lua:SCRIPT; empty for all that have no level of their own."`
	Level     string `json:"level" doc:"debug, info, warn, error; default has the configured one hold again."`
	For       string `json:"for,omitempty" doc:"How long, as in 90s or 10m; else until the node ends."`
}

// defaultLevel is no level, but that of the configuration.
const defaultLevel = "default"

func (s *Server) levelRoutes() []route {
	if s.API.Levels == nil {
		return nil
	}
	return []route{
		{
			method: http.MethodGet, path: "/log/levels", id: "levels", role: View, summary: "From which level on lines of the log are written", answer: []LogLevel{},
			serve: func(*query) (any, error) { return s.API.Levels.List(), nil },
		},
		{method: http.MethodPost, path: "/log/levels", id: "level", role: Operate, summary: "Change the level of a component, for a while if that is said", body: LevelOrder{}, answer: []LogLevel{}, serve: s.setLevel},
	}
}

func (s *Server) setLevel(q *query) (any, error) {
	o := q.body.(*LevelOrder) //nolint:forcetypeassert // what the route says
	if len(o.Component) > maxOperand || strings.ContainsFunc(o.Component, func(r rune) bool { return r <= ' ' }) {
		return nil, failure(codeBad, "component: found %q, expected up to %d bytes without spaces", clip(o.Component), maxOperand)
	}
	within, err := readFor(o.For, 0)
	if err != nil {
		return nil, err
	}
	q.detail = o.Component + "=" + clip(o.Level)
	if within > 0 {
		q.detail += " for " + within.String()
	}
	if o.Level == defaultLevel {
		s.API.Levels.Reset(o.Component)
		return s.API.Levels.List(), nil
	}
	if err := s.API.Levels.Set(o.Component, o.Level, within); err != nil {
		return nil, failure(codeBad, "%v", err)
	}
	return s.API.Levels.List(), nil
}
