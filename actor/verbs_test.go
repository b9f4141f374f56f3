package actor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What only tells something about the message in hand, or the system, needs no example of its own.
var tellsSomething = []string{"Self", "Name", "From", "Message", "System", "Log", "IsRequest", "Deadline", "Span", "Tracer", "Node", "CallTimeout", "Now", "Waiting"}

// What is there for those who carry messages between nodes, see actor.Remote, is shown by remote_test.go.
var forRemotes = []string{"Join", "NodeOf", "ParseAddress", "Deliver", "DeadLetter", "Serve", "Terminated"}

func TestEveryVerbHasAnExample(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	verbs, examples := map[string]bool{}, map[string]bool{}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || !f.Name.IsExported():
			case strings.HasSuffix(name, "_test.go"):
				examples[f.Name.Name] = true
			default:
				if of := receiver(f); of == "System" || of == "Context" {
					verbs[of+"_"+f.Name.Name] = true
				}
			}
		}
	}
	if len(verbs) < 40 {
		t.Fatalf("%d verbs were found only: %v", len(verbs), verbs)
	}
	for verb := range verbs {
		_, name, _ := strings.Cut(verb, "_")
		if !examples["Example"+verb] && !slices.Contains(tellsSomething, name) && !slices.Contains(forRemotes, name) {
			t.Errorf("%s has no example", verb)
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return ""
	}
	name, _ := star.X.(*ast.Ident)
	return name.Name
}
