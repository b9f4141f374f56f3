package gate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constants finds the string constants of a package's files whose names begin with a prefix or whose type is the given one.
func constants(t *testing.T, dir, prefix, typ string) []string {
	t.Helper()
	var found []string
	for _, file := range parsed(t, dir) {
		ast.Inspect(file, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			lit, ok := spec.Values[0].(*ast.BasicLit)
			id, typed := spec.Type.(*ast.Ident)
			if ok && lit.Kind == token.STRING && ((prefix != "" && strings.HasPrefix(spec.Names[0].Name, prefix)) || (typed && id.Name == typ)) {
				s, err := strconv.Unquote(lit.Value)
				must(t, err)
				found = append(found, s)
			}
			return true
		})
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func parsed(t *testing.T, dir string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	must(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		files = append(files, file)
	}
	return files
}

// table gives the codes in the first column of the table under a heading of docs/protocol.md.
func table(t *testing.T, heading string) []string {
	t.Helper()
	data, err := os.ReadFile("../../docs/protocol.md")
	must(t, err)
	_, section, ok := strings.Cut(string(data), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocol.md has no %q", heading)
	}
	_, rows, ok := strings.Cut(section, "| code | when |\n| --- | --- |\n")
	if !ok {
		t.Fatalf("there is no table of codes under %q", heading)
	}
	rows, _, _ = strings.Cut(rows, "\n\n")
	var codes []string
	for row := range strings.Lines(rows) {
		first := strings.Split(row, "|")[1]
		for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(first, -1) {
			codes = append(codes, m[1])
		}
	}
	slices.Sort(codes)
	return codes
}

func TestTheDocumentedCodesAreThoseThatTheCodeSends(t *testing.T) {
	answers := append(constants(t, ".", "answer", ""), constants(t, "../login", "", "Code")...)
	slices.Sort(answers)
	for _, test := range []struct {
		heading string
		sent    []string
	}{
		{"### Requests and answers", slices.Compact(answers)},
		{"## Kick", constants(t, ".", "kick", "")},
		{"### Going on", constants(t, "../../net/packet", "Resume", "")},
	} {
		if documented := table(t, test.heading); !slices.Equal(documented, test.sent) {
			t.Errorf("%s documents\n%q, the code sends\n%q", test.heading, documented, test.sent)
		}
	}
}

// The test above knows only constants, so there must be no others.
func TestCodesAreNeverWrittenOut(t *testing.T) {
	for _, file := range parsed(t, ".") {
		ast.Inspect(file, func(node ast.Node) bool {
			if kv, ok := node.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Code" {
					if lit, ok := kv.Value.(*ast.BasicLit); ok {
						t.Errorf("the code %s is written out: make it a constant", lit.Value)
					}
				}
			}
			return true
		})
	}
}
