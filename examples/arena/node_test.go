package arena_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/skua-go/skua/examples/arena"
	"github.com/skua-go/skua/internal/freeport"
	"github.com/skua-go/skua/internal/nodetest"
)

// node is the program with a copy of the arena in a directory of its own.
type node struct {
	*nodetest.Node
	http string // fixed, so that pages find it after a restart
}

// newNode writes the project and starts the node. The files, name after name, stand over those of the arena.
func newNode(t *testing.T, files ...string) *node {
	t.Helper()
	dir, addr := t.TempDir(), freeport.TCP(t, 1)[0]
	if err := os.CopyFS(dir, arena.Files()); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &node{http: addr, Node: nodetest.Start(t, dir, "--listen-http", addr, "--listen-tcp", "127.0.0.1:0", "--listen-kcp", "127.0.0.1:0", "--admin", "127.0.0.1:0")}
}

func TestTheEmbeddedProjectIsTheWholeProject(t *testing.T) {
	want := map[string]bool{}
	for _, pattern := range []string{"skua.toml", "scripts/*.lua", "web/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			want[filepath.ToSlash(name)] = true
		}
	}
	err := fs.WalkDir(arena.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			delete(want, name)
		}
		return err
	})
	if err != nil || len(want) > 0 {
		t.Fatalf("not embedded: %v %v", want, err)
	}
}
