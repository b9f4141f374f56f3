package rtc

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// logs puts what the library says into the node's log. It warns of much that clients do, so what it warns of is for debugging here.
type logs struct{ log *slog.Logger }

func (l logs) NewLogger(scope string) logging.LeveledLogger {
	return scoped{l.log.With("scope", scope)}
}

type scoped struct{ log *slog.Logger }

func (scoped) Trace(string)          {}
func (scoped) Tracef(string, ...any) {}
func (scoped) Debug(string)          {}
func (scoped) Debugf(string, ...any) {}
func (scoped) Info(string)           {}
func (scoped) Infof(string, ...any)  {}

func (s scoped) Warn(msg string)                  { s.log.Debug(msg) }
func (s scoped) Warnf(format string, args ...any) { s.log.Debug(fmt.Sprintf(format, args...)) }
func (s scoped) Error(msg string)                 { s.log.Debug(msg) }
func (s scoped) Errorf(format string, a ...any)   { s.log.Debug(fmt.Sprintf(format, a...)) }
