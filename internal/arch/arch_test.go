package arch_test

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/arch"
)

const root = "../.."

func load(t *testing.T) []arch.File {
	t.Helper()
	files, err := arch.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d files: the test looks in the wrong place", len(files))
	}
	return files
}

func TestImportsPointDownOnly(t *testing.T) {
	for _, wrong := range arch.Check(load(t)) {
		t.Error(wrong)
	}
}

func TestTopFoldersAreTheOnesOfTheDesign(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		made := slices.Contains(strings.Fields(string(ignored)), "/"+e.Name()+"/")
		if e.IsDir() && !made && !strings.HasPrefix(e.Name(), ".") && e.Name() != "node_modules" {
			names = append(names, e.Name())
		}
	}
	for _, wrong := range arch.CheckFolders(names) {
		t.Error(wrong)
	}
	if got := arch.CheckFolders([]string{"actor", "pkg", "util"}); len(got) != 2 {
		t.Errorf("made-up folders passed: %v", got)
	}
}

func TestCheckerCatchesEachViolation(t *testing.T) {
	for _, c := range []struct{ file, imp, want string }{
		{"actor/a.go", "lua", "upward"},
		{"actor/value/a.go", "services/store", "upward"},
		{"lua/a.go", "services/gate", "upward"},
		{"services/gate/a.go", "cmd/skua", "upward"},
		{"internal/x/a.go", "actor", "upward"},
		{"scripts/a.go", "actor", "upward"},
		{"lua/a.go", "cluster", "sideways"},
		{"lua/a.go", "net/packet", "sideways"},
		{"cluster/a.go", "lua/vm", "sideways"},
		{"net/tcp/a.go", "net/kcp", "sideways"},
		{"net/packet/a.go", "net/transport", "sideways"},
		{"net/ws/a.go", "net/packet", "sideways"},
		{"net/tcp/a.go", "actor", "net meets actor in services only"},
		{"services/store/a.go", "services/login", "sideways"},
		{"services/store/sqlite/a.go", "services/gate", "sideways"},
		{"services/admin/a.go", "services/gate", "sideways"},
		{"services/gate/a.go", "clients/go", "sideways"},
		{"clients/go/a.go", "net/tcp", "clients know the wire only"},
		{"clients/go/a.go", "actor", "clients know the wire only"},
		{"examples/arena/a.go", "cmd/skua", "sideways"},
		{"actor/a_test.go", "lua", "upward"},
		{"services/gate/a_test.go", "cmd/skua", "upward"},
		{"cmd/skua/a.go", "pkg/x", "outside the layers"},
		{"pkg/x/a.go", "actor", "outside the layers"},
	} {
		got := arch.Check([]arch.File{{Path: c.file, Package: "p", Imports: []string{arch.Module + "/" + c.imp}}})
		if len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), c.want) {
			t.Errorf("%s importing %s: got %q, want %s", c.file, c.imp, got, c.want)
		}
	}
}

func TestCheckerLetsTheMeantImportsPass(t *testing.T) {
	for _, c := range []struct{ file, imp string }{
		{"actor/a.go", "actor/value"},
		{"lua/lua54/a.go", "lua/vm"},
		{"lua/a.go", "actor"},
		{"lua/a.go", "scripts"},
		{"cluster/a.go", "internal/filelock"},
		{"internal/a/a.go", "internal/b"},
		{"net/transport/a.go", "net/packet"},
		{"net/tcp/a_test.go", "net/packet"},
		{"services/gate/a.go", "net/packet"},
		{"services/gate/a.go", "lua"},
		{"services/gate/a.go", "services/login"},
		{"services/store/sqlite/a.go", "services/store"},
		{"services/gate/a_test.go", "clients/go"},
		{"clients/go/a.go", "net/packet"},
		{"clients/go/a.go", "net/kcp"},
		{"clients/go/a_test.go", "services/gate"},
		{"cmd/skua/a.go", "services/gate"},
		{"cmd/skua/a.go", "clients/go"},
		{"cmd/skua/a.go", "examples/arena"},
		{"examples/arena/a.go", "actor"},
	} {
		if got := arch.Check([]arch.File{{Path: c.file, Package: "p", Imports: []string{arch.Module + "/" + c.imp}}}); len(got) > 0 {
			t.Errorf("%s importing %s: %q", c.file, c.imp, got)
		}
	}
}

func TestVagueNamesAreRefused(t *testing.T) {
	for _, f := range []arch.File{
		{Path: "actor/util/a.go", Package: "util"},
		{Path: "internal/x/a.go", Package: "helpers"},
		{Path: "services/common/store/a.go", Package: "store"},
		{Path: "lua/interfaces/a_test.go", Package: "interfaces_test"},
		{Path: "net/constants/a.go", Package: "constants"},
		{Path: "net/a.go", Package: "net"},
		{Path: "main.go", Package: "main"},
	} {
		if got := arch.Check([]arch.File{f}); len(got) != 1 {
			t.Errorf("%+v: %q", f, got)
		}
	}
	proto := arch.File{Path: "lua/a.go", Package: "lua", Imports: []string{"github.com/asynkron/protoactor-go/actor"}}
	if got := arch.Check([]arch.File{proto}); len(got) != 1 {
		t.Errorf("protoactor outside actor: %q", got)
	}
}

// TestEveryDependencyIsExplained holds docs/dependencies.md against what the code imports and what go.mod requires directly.
func TestEveryDependencyIsExplained(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(root, "docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	required, direct := requirements(string(mod))
	// go.mod's own comments may be behind the code, so the code counts too.
	for _, f := range load(t) {
		for _, imp := range f.Imports {
			if m := moduleOf(imp, required); m != "" {
				direct = append(direct, m)
			}
		}
	}
	slices.Sort(direct)
	direct = slices.Compact(direct)
	if len(direct) < 5 {
		t.Fatalf("found only %v: the test looks in the wrong place", direct)
	}
	for _, m := range direct {
		if !strings.Contains(string(doc), "| `"+m+"` |") {
			t.Errorf("docs/dependencies.md has no row for %s", m)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		if !slices.Contains(required, row[1]) {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not require", row[1])
		}
	}
}

// requirements lists the modules of a go.mod, all and those not marked indirect.
func requirements(mod string) (all, direct []string) {
	for line := range strings.Lines(mod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.Contains(fields[0], ".") || !strings.HasPrefix(fields[1], "v") {
			continue
		}
		all = append(all, fields[0])
		if !strings.Contains(line, "// indirect") {
			direct = append(direct, fields[0])
		}
	}
	return all, direct
}

// moduleOf is the module that a package comes from: the longest that is a prefix of its path.
func moduleOf(imp string, modules []string) string {
	best := ""
	for _, m := range modules {
		if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

func TestImportsComeFromRequiredModules(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	required, _ := requirements(string(mod))
	for _, f := range load(t) {
		for _, imp := range f.Imports {
			if build.IsLocalImport(imp) {
				t.Errorf("%s imports %s by a relative path", f.Path, imp)
			}
			if strings.Contains(strings.Split(imp, "/")[0], ".") && !strings.HasPrefix(imp, arch.Module+"/") && moduleOf(imp, required) == "" {
				t.Errorf("%s imports %s, which go.mod does not require", f.Path, imp)
			}
		}
	}
}
