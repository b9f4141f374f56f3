// Package arch holds the project's layers as rules that a test checks. docs/architecture.md tells what they are for.
//
//	4  cmd  examples           wire everything together
//	3  services/*  clients/*   the only place where net meets actor; what players and bots run
//	2  lua  cluster  net/*     strangers to each other
//	1  actor                   the runtime
//	0  scripts  internal       Lua text to embed; what several packages share
//
// Imports point down only. Within a layer an area imports its own sub-packages and no other area, except as named below.
package arch

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the project's module path.
const Module = "github.com/skua-go/skua"

// File is what the rules look at.
type File struct {
	Path    string   // relative to the module's root, with slashes
	Package string   // the name in its package clause
	Imports []string // import paths
}

// Dir is the folder of the package that the file belongs to.
func (f File) Dir() string { return path.Dir(f.Path) }

func (f File) test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Load reads the package clause and the imports of every Go file under root, whatever its build tags. Folders that are modules of their
// own, testdata and hidden folders are left out.
func Load(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skip(root, name, d.Name())
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := File{Path: filepath.ToSlash(rel), Package: parsed.Name.Name}
		for _, imp := range parsed.Imports {
			p, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", rel, err)
			}
			f.Imports = append(f.Imports, p)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("arch: %w", err)
	}
	return files, nil
}

func skip(root, dir, base string) error {
	if dir == root {
		return nil
	}
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// Folders are the only ones at the top that hold anything of the project. What is made, not written, stands beside them: bin, data.
func Folders() []string {
	return []string{"actor", "clients", "cluster", "cmd", "deploy", "docs", "examples", "internal", "lua", "net", "scripts", "services", "tools"}
}

// CheckFolders names every folder at the top that is not one of Folders.
func CheckFolders(names []string) []string {
	var wrong []string
	for _, name := range names {
		if !slices.Contains(Folders(), name) {
			wrong = append(wrong, fmt.Sprintf("%s/: a folder at the top, expected only %s", name, strings.Join(Folders(), " ")))
		}
	}
	return wrong
}

// layers is the height of each top folder that holds Go packages.
func layers() map[string]int {
	return map[string]int{
		"internal": 0, "scripts": 0,
		"actor": 1,
		"lua":   2, "cluster": 2, "net": 2,
		"services": 3, "clients": 3,
		"examples": 4, "cmd": 4,
	}
}

// known lists the imports within a layer that are meant, from importer to imported areas.
//
// A service talks to another one by messages, and a message is a type of the service that receives it. So the package of the
// receiver is imported, downwards in the order in which a node starts them, for its messages, their answers and its errors; only cmd makes services.
func known() map[string][]string {
	return map[string][]string{
		// The transports yield a net.Listener and know nothing of each other; what is above a listener knows the wire.
		"net/transport": {"net/packet"},
		// Protocols of media carry its frames; RTMP's messages are the bodies of FLV's tags.
		"net/flv":        {"net/media"},
		"net/rtmp":       {"net/flv", "net/media"},
		"net/fmp4":       {"net/media"},
		"net/record":     {"net/flv", "net/fmp4", "net/media"},
		"net/hls":        {"net/fmp4", "net/media"},
		"net/rtc":        {"net/media"},
		"net/rtsp":       {"net/media"},
		"net/relay":      {"net/media"},
		"net/transcode":  {"net/flv", "net/media"},
		"services/login": {"services/store"},
		"services/gate":  {"services/login", "services/store"},
		"services/live":  {"services/room"},
		"services/admin": {"services/reload"},
		"cmd/skua":       {"examples"},
	}
}

// area is the part of the tree that may import itself freely: a top folder, but each folder of net, services, clients,
// cmd, examples and internal for itself.
func area(dir string) string {
	parts := strings.Split(dir, "/")
	switch parts[0] {
	case "net", "services", "clients", "cmd", "examples", "internal":
		return strings.Join(parts[:min(2, len(parts))], "/")
	default:
		return parts[0]
	}
}

// Check names everything in files that the layers forbid, sorted.
func Check(files []File) []string {
	var wrong []string
	for _, f := range files {
		wrong = append(wrong, checkName(f)...)
		for _, imp := range f.Imports {
			if reason := checkImport(f, imp); reason != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", f.Path, strings.TrimPrefix(imp, Module+"/"), reason))
			}
		}
	}
	slices.SortFunc(wrong, cmp.Compare[string])
	return slices.Compact(wrong)
}

func checkName(f File) []string {
	top, _, _ := strings.Cut(f.Path, "/")
	if _, ok := layers()[top]; !ok {
		return []string{fmt.Sprintf("%s: Go code outside the layers", f.Path)}
	}
	vague := []string{"util", "utils", "helper", "helpers", "common", "interfaces", "constants", "misc", "base", "shared"}
	for _, name := range append(strings.Split(f.Dir(), "/"), strings.TrimSuffix(f.Package, "_test")) {
		if slices.Contains(vague, name) {
			return []string{fmt.Sprintf("%s: a package called %s says nothing about what it does", f.Path, name)}
		}
	}
	if f.Dir() == "net" {
		return []string{fmt.Sprintf("%s: net holds sub-packages only, so that nobody aliases the standard net", f.Path)}
	}
	return nil
}

// checkImport says why f may not import imp, or nothing.
func checkImport(f File, imp string) string {
	if strings.HasPrefix(imp, "github.com/asynkron/protoactor-go") && area(f.Dir()) != "actor" {
		return "protoactor-go is visible in actor only"
	}
	if imp == Module {
		return "the module's root holds no package"
	}
	target, ours := strings.CutPrefix(imp, Module+"/")
	if !ours {
		return ""
	}
	from, to := area(f.Dir()), area(target)
	fromTop, _, _ := strings.Cut(from, "/")
	toTop, _, _ := strings.Cut(to, "/")
	height, ok := layers()[toTop]
	if !ok {
		return "it is outside the layers"
	}
	switch own := layers()[fromTop]; {
	case from == to:
		return ""
	case height > own:
		return "upward"
	case f.test() && height < layers()["cmd"]:
		return "" // a test may bring neighbours together
	case fromTop == "clients":
		if to != "net/packet" && to != "net/kcp" && height > 0 {
			return "clients know the wire only, net/packet and net/kcp"
		}
		return ""
	case fromTop == "net" && toTop == "actor":
		return "net meets actor in services only"
	case height == own && fromTop != "internal" && !slices.ContainsFunc(known()[from], func(k string) bool { return to == k || toTop == k }):
		if from == "cmd/skua" && toTop == "clients" {
			return ""
		}
		return "sideways"
	}
	return ""
}
