package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua"
)

// The snippets of docs/lua.md are files of one project; what they say of themselves must be true.
func TestTheScriptersBookRuns(t *testing.T) {
	text, err := os.ReadFile("../../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, body string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	blocks := regexp.MustCompile("(?s)```lua\n-- (\\S+\\.lua)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if all := strings.Count(string(text), "```lua"); len(blocks) != all || all == 0 {
		t.Fatalf("%d snippets of %d name their file in the first line", len(blocks), all)
	}
	for _, b := range blocks {
		write(b[1], b[2])
	}
	write(configFile, "[gate]\nagent = \"player\"\n[grains.guild]\n")

	p, err := openProject(dir, extension{})
	if err != nil {
		t.Fatal(err)
	}
	if _, problems, err := p.check(); err != nil || len(problems) > 0 {
		t.Fatalf("check: %v %q", err, problems)
	}
	var out, log bytes.Buffer
	if err := testProject(t.Context(), dir, testOptions{timeout: time.Minute}, &out, &log); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out.String(), log.String())
	}
	if !strings.HasSuffix(out.String(), "35 passed, 0 failed\n") {
		t.Fatal(out.String())
	}
}

// The list of functions in the book is the one of the library.
func TestTheScriptersBookListsWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../../docs/lua.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(text), "\n## What is there\n")
	if !ok {
		t.Fatal("no chapter of that name")
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`([A-Za-z_]+)`").FindAllStringSubmatch(list, -1) {
		listed[m[1]] = true
	}
	for _, name := range lua.API() {
		if !listed[name] {
			t.Errorf("skynet.%s is there and not in the list", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("skynet.%s is in the list and not there", name)
	}
}
