// Package corpus_test runs services as studios write them for Skynet, those that need more of a node than its launcher; see package lua/corpus.
package corpus_test

import (
	"io/fs"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/corpus"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/datacenter"
	"github.com/skua-go/skua/services/multicast"
	"github.com/skua-go/skua/services/sharedata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Channels, shared tables and the tree of values hold what Skynet's do, on both engines.
func TestServicesThatShareRun(t *testing.T) {
	corpus.Corpus{
		Files: os.DirFS("testdata/shared"),
		Parts: func(log *slog.Logger, files fs.FS, engine vm.Engine) ([]actor.Spec, []lua.Module) {
			data := sharedata.New(sharedata.Config{Files: files, Engine: engine, Log: log})
			channels := multicast.New(multicast.Config{})
			return []actor.Spec{datacenter.Spec(datacenter.Config{}), data.Spec()}, []lua.Module{data.Module(), channels.Module()}
		},
	}.Run(t)
}
