package reload

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	code "github.com/skua-go/skua/lua/reload"
)

// FileChange is what has become of a file.
type FileChange struct {
	File    string `json:"file"`
	Change  string `json:"change" enum:"new,changed,gone"`
	Added   int    `json:"added" doc:"Lines."`
	Removed int    `json:"removed" doc:"Lines."`
	Diff    string `json:"diff,omitempty" doc:"As diff -u writes it; only where it was asked for."`
}

// Bounds of what is told of a change of files.
const (
	maxDiffed = 1 << 20  // bytes of a file
	maxDiff   = 64 << 10 // bytes of its diff
	maxInLog  = 30       // files in an entry of the history
)

// changes are the files that differ between two versions, by name.
func changes(from, to *code.Version, withDiff bool) []FileChange {
	names := slices.Concat(from.Files(), to.Files())
	slices.Sort(names)
	all := []FileChange{}
	for _, file := range slices.Compact(names) {
		before, was := from.Text(file)
		after, is := to.Text(file)
		if was && is && before == after {
			continue
		}
		c := FileChange{File: file, Change: "changed"}
		switch {
		case !was:
			c.Change = "new"
		case !is:
			c.Change = "gone"
		}
		c.compare(before, after, withDiff)
		all = append(all, c)
	}
	return all
}

func (c *FileChange) compare(before, after string, withDiff bool) {
	if len(before) > maxDiffed || len(after) > maxDiffed {
		c.Diff = fmt.Sprintf("more than %d bytes: not compared", maxDiffed)
		return
	}
	text := diff.Diff("a/"+c.File, []byte(before), "b/"+c.File, []byte(after))
	head := 0
	for line := range bytes.Lines(text) {
		if head++; head <= 3 { // diff, --- and +++
			continue
		}
		switch line[0] {
		case '+':
			c.Added++
		case '-':
			c.Removed++
		}
	}
	if withDiff {
		c.Diff = strings.ToValidUTF8(string(text[:min(len(text), maxDiff)]), "")
	}
}

// changedFiles tells whether a file differs between two versions.
func changedFiles(from, to *code.Version) func(file string) bool {
	return func(file string) bool {
		before, was := from.Text(file)
		after, is := to.Text(file)
		return was != is || before != after
	}
}

var requires = regexp.MustCompile(`\brequire\s*\(?\s*["']([\w./-]+)["']`)

// reaches tells whether a plan is about a script, or what it requires by a name that is written there. What scripts put together at run time is not seen.
func reaches(to *code.Version, plan code.Plan) func(script string) bool {
	known := map[string]bool{}
	for _, list := range [][]string{plan.Files, plan.Added, plan.Removed} {
		for _, file := range list {
			known[file] = true
		}
	}
	var file func(name string) bool
	file = func(name string) bool {
		if is, seen := known[name]; seen {
			return is
		}
		known[name] = false // of a circle, until it is known otherwise
		text, _ := to.Text(name)
		for _, m := range requires.FindAllStringSubmatch(text, -1) {
			if of, ok := to.Find(m[1]); ok && file(of) {
				known[name] = true
				return true
			}
		}
		return false
	}
	return func(script string) bool {
		name, ok := to.Find(script)
		return ok && file(name)
	}
}

func contains(list []string, text string) bool { return slices.Contains(list, text) }
