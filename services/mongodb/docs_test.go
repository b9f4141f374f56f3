package mongodb_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/services/mongodb"
)

func TestWhatThePageShowsRuns(t *testing.T) {
	page, err := os.ReadFile("../../docs/mongodb.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```lua\n(.*?)\n```\n").FindAllStringSubmatch(string(page), -1)
	if len(blocks) == 0 {
		t.Fatal("the page shows nothing")
	}
	for _, engine := range engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			server := ferrettest.Start(t)
			r := newRig(t, mongodb.Config{Databases: map[string]string{"logs": server.URI()}}, engine)
			for _, block := range blocks {
				r.run(r.start(), block[1], "")
			}
		})
	}
}
