package syntax_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

// FuzzParse looks for sources that Parse does not survive, for errors beside the source, and for trees that are another source's.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	for _, c := range broken {
		f.Add(c.source)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if message(t, s) != "" {
			return
		}
		fn, err := syntax.Parse("agent.lua", s)
		if err != nil {
			t.Fatalf("the first time it was right: %v", err)
		}
		inside(t, s, fn.End)
		again := rewrite(fn)
		copied, err := syntax.Parse("agent.lua", again)
		if err != nil {
			if !strings.Contains(err.Error(), "C stack overflow") && !strings.Contains(err.Error(), "syntax levels") { // for all the brackets
				t.Fatalf("%q is read as\n%s\nwhich is none: %v", s, again, err)
			}
			return
		}
		if want, got := bare(fn), bare(copied); got != want {
			t.Errorf("%q is read as\n%s\nwhich is read as\n%s", s, want, got)
		}
	})
}

func bare(fn *syntax.FuncExpr) string {
	t := &tree{bare: true}
	t.stats(fn.Body)
	return t.b.String()
}

// FuzzNumber looks for strings that Number takes and a source does not, or the other way round.
func FuzzNumber(f *testing.F) {
	for _, c := range texts {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, float, isInt, ok := syntax.Number(text)
		if !ok || text == "" || text[0] != '.' && (text[0] < '0' || text[0] > '9') {
			return
		}
		fn, err := syntax.Parse("agent.lua", "return "+text)
		if err != nil {
			t.Fatal(err)
		}
		switch e := fn.Body.Stats[0].(*syntax.ReturnStat).Exprs[0].(type) {
		case *syntax.IntExpr:
			if !isInt || e.Value != i {
				t.Errorf("%q is %d in a source", text, e.Value)
			}
		case *syntax.FloatExpr:
			if isInt || e.Value != float {
				t.Errorf("%q is %v in a source", text, e.Value)
			}
		default:
			t.Errorf("%q is a %T in a source", text, e)
		}
	})
}
