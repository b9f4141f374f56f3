package corpus_test

import (
	"io/fs"
	"log/slog"
	"os"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/corpus"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/socket"
)

// Servers and clients over TCP and UDP on this machine, on both engines.
func TestServicesWithSocketsRun(t *testing.T) {
	corpus.Corpus{
		Files: os.DirFS("testdata/sockets"),
		Real:  true,
		Parts: func(log *slog.Logger, _ fs.FS, _ vm.Engine) ([]actor.Spec, []lua.Module) {
			sockets := socket.New(socket.Config{Log: log})
			return []actor.Spec{sockets.Spec()}, []lua.Module{sockets.Module()}
		},
	}.Run(t)
}
