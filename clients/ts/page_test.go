package ts_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skua-go/skua/internal/browsertest"
	"github.com/skua-go/skua/internal/nodetest"
)

// screen is what a viewer in the page has seen.
type screen struct {
	Began, Frames, Keys, Largest, Decoded int
	Codec                                 string
	Wrong                                 []string
}

// TestAPagePublishesAndDecodesOverTheGamesConnection: a browser's encoder, over the WebSocket of the game, to a browser's decoder: each picture comes, in its colors and at its time.
func TestAPagePublishesAndDecodesOverTheGamesConnection(t *testing.T) {
	browser := browsertest.Start(t)
	n := nodetest.Start(t, pageProject(t), doors...)
	page := browsertest.Open(browser, t, "http://"+n.Addr["http"]+"/", 800, 600, 1)
	page.State = "globalThis.studio?.state ?? document.title"
	page.Until("globalThis.studio?.state.done")
	state := browsertest.Evaluate[struct {
		Errors []string
		Shows  []struct {
			Name        string
			Early, Late screen
		}
	}](page, "studio.state")
	if len(state.Errors) > 0 || len(state.Shows) == 0 || state.Shows[0].Name != "vp8" {
		t.Fatalf("the page says %+v; its console: %q", state, page.Complaints(""))
	}
	const pictures, group, piece = 60, 30, 16 << 10
	for _, s := range state.Shows {
		t.Logf("%s: %+v; late: %+v", s.Name, s.Early, s.Late)
		if s.Early.Frames != pictures || s.Early.Decoded != pictures || s.Early.Began != 0 || s.Early.Keys < 2 || s.Early.Largest <= piece || len(s.Early.Wrong) > 0 {
			t.Errorf("%s: who watches sees %+v", s.Name, s.Early)
		}
		if s.Late.Began < group || s.Late.Frames != pictures-s.Late.Began || s.Late.Decoded != s.Late.Frames || s.Late.Keys != 1 || len(s.Late.Wrong) > 0 {
			t.Errorf("%s: who comes later sees %+v", s.Name, s.Late)
		}
	}
	if c := page.Complaints("favicon.ico"); len(c) > 0 {
		t.Errorf("the page's console: %q", c)
	}
}

// pageProject is the project of the other tests with a page, whose script is a file of its own: the policy that nodes send forbids those in the page's text.
func pageProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{filepath.Join("testdata", "node"): dir, filepath.Join("testdata", "page"): filepath.Join(dir, "web")} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	client, err := os.ReadFile(filepath.Join("..", "..", "examples", "arena", "web", "skua.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web", "skua.js"), client, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
