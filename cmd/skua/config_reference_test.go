package main

import (
	"encoding"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// -update writes the reference of the configuration into docs/operating.md.
var update = flag.Bool("update", false, "write generated documentation")

const (
	operatingDoc   = "../../docs/operating.md"
	referenceBegin = "<!-- config reference: begin; made by go test ./cmd/skua -run Reference -update -->\n"
	referenceEnd   = "<!-- config reference: end -->\n"
)

// TestConfigReferenceIsTheCode holds the table of docs/operating.md against Config, its tags, defaults and comments.
func TestConfigReferenceIsTheCode(t *testing.T) {
	text, err := os.ReadFile(operatingDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), referenceBegin)
	if !ok {
		t.Fatalf("%s lacks the line %s", operatingDoc, referenceBegin)
	}
	found, after, ok := strings.Cut(rest, referenceEnd)
	if !ok {
		t.Fatalf("%s lacks the line %s", operatingDoc, referenceEnd)
	}
	want := configReference(t)
	if found == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; run: go test ./cmd/skua -run Reference -update", operatingDoc)
	}
	if err := os.WriteFile(operatingDoc, []byte(before+referenceBegin+want+referenceEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func configReference(t *testing.T) string {
	t.Helper()
	comments := fieldComments(t)
	cfg := DefaultConfig()
	cfg.Gates = map[string]*NamedGateConfig{"NAME": {}}
	cfg.Grains = map[string]*GrainConfig{"NAME": {}}
	cfg.derive(&cfg)
	var b strings.Builder
	b.WriteString("| key | default | variable | meaning |\n| --- | --- | --- | --- |\n")
	for _, k := range configKeys(&cfg) {
		if strings.HasPrefix(k.path, "gates.") && k.owner != reflect.TypeFor[NamedGateConfig]() && k.path != "gates.NAME.path" {
			continue // as in [gate], which the text behind the table says
		}
		meaning := comments[k.owner.Name()+"."+k.field.Name]
		if meaning == "" {
			t.Errorf("%s.%s has no comment", k.owner.Name(), k.field.Name)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `%s` | %s |\n", k.path, tomlText(t, k), k.env, strings.ReplaceAll(meaning, "|", `\|`))
	}
	return b.String()
}

// tomlText is the default as it would be written in skua.toml.
func tomlText(t *testing.T, k configKey) string {
	t.Helper()
	switch v := k.value.Interface().(type) {
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%q", text)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = fmt.Sprintf("%q", s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case map[string]uint16, map[string]string, map[string]float64, map[string]Secret:
		if k.value.Len() > 0 {
			t.Fatal("a default table is not written by this test")
		}
		return "{}"
	case Secret:
		return fmt.Sprintf("%q", v.Reveal())
	case string:
		return fmt.Sprintf("%q", v)
	default:
		return fmt.Sprint(v)
	}
}

// fieldComments reads the comments of the configuration's types: "GateConfig.MaxPacket" to its text on one line.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := make(map[string]string)
	for _, name := range []string{"config.go", "config_gates.go", "config_grains.go", "config_media.go", "config_webrtc.go", "config_reload.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		addComments(comments, file)
	}
	return comments
}

func addComments(comments map[string]string, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return true
	})
}

func TestNearestFindsWhatWasMeant(t *testing.T) {
	keys := []string{"gate.heartbeat", "gate.max_packet", "listen.tcp", "name"}
	for word, want := range map[string]string{
		"gate.hartbeat": "gate.heartbeat", "gate.max_pakcet": "gate.max_packet", "listen.tpc": "listen.tcp", "nam": "name", "NAME": "name", "completely.different": "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	if !slices.IsSortedFunc([]int{editDistance("", ""), editDistance("ab", "ba"), editDistance("abc", "c")}, func(a, b int) int { return a - b }) ||
		editDistance("ab", "ba") != 1 || editDistance("abc", "c") != 2 {
		t.Error("the distance is not that of single letters and swaps")
	}
}
