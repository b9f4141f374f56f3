package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/services/reload"
)

func TestLinksInAFolderOfScriptsStandForWhatTheyLeadTo(t *testing.T) {
	dir, shared := t.TempDir(), t.TempDir()
	put(t, filepath.Join(shared, "words", "fine.lua"), "return 'fine'")
	put(t, filepath.Join(shared, "one.lua"), "return 1")
	put(t, filepath.Join(dir, "main.lua"), "return {}")
	put(t, filepath.Join(dir, ".draft.lua"), "local = 1")
	for name, to := range map[string]string{
		filepath.Join(dir, "words"): filepath.Join(shared, "words"), filepath.Join(dir, "one.lua"): filepath.Join(shared, "one.lua"),
		filepath.Join(dir, ".#main.lua"): "nobody@nowhere.1", // as an editor marks what it has open
		// The last of these leads to what is above it on the disk, and not in the project: it is followed, and the way round ends there.
		filepath.Join(dir, "self"): ".", filepath.Join(shared, "words", "back"): filepath.Join(dir, "words"), filepath.Join(shared, "words", "up"): "..",
	} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"main.lua", "one.lua", "words/fine.lua", "words/up/one.lua", "words/up/words/fine.lua"}
	names, err := lua.Scripts(openFolder(dir))
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("the scripts are %v, %v, expected %v", names, err, want)
	}
	v, err := reload.Read(openFolder(dir))
	if err != nil || !slices.Equal(v.Files(), want) {
		t.Fatalf("the version has %v, %v, expected %v", v, err, want)
	}
	if text, _ := v.Text("words/fine.lua"); text != "return 'fine'" {
		t.Errorf("it reads %q", text)
	}
}
