package main

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// configKey is one key of skua.toml as reflection over Config yields it, with the value of its field in the Config asked.
type configKey struct {
	path  string // as in the file: gate.max_packet
	env   string // SKUA_GATE_MAX_PACKET
	field reflect.StructField
	owner reflect.Type
	value reflect.Value

	root   any    // what variables are read into, with this prefix: the Config, or one of its tables [gates.NAME] and [grains.NAME]
	prefix string // SKUA_, SKUA_GATES_NAME_
}

// configKeys lists all keys in the order of the fields, those of the tables [gates.NAME] and [grains.NAME] that are there behind them. The values alias cfg.
func configKeys(cfg *Config) []configKey {
	keys := appendKeys(nil, reflect.ValueOf(cfg).Elem(), "", envPrefix)
	for i := range keys {
		keys[i].root, keys[i].prefix = cfg, envPrefix
	}
	return appendTables(appendTables(keys, "gates", cfg.Gates), "grains", cfg.Grains)
}

// appendTables adds the keys of tables that have names.
func appendTables[T any](keys []configKey, of string, tables map[string]*T) []configKey {
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		prefix := envPrefix + strings.ToUpper(of+"_"+name) + "_"
		from := len(keys)
		keys = appendKeys(keys, reflect.ValueOf(tables[name]).Elem(), of+"."+name+".", prefix)
		for i := range keys[from:] {
			keys[from+i].root, keys[from+i].prefix = tables[name], prefix
		}
	}
	return keys
}

func appendKeys(keys []configKey, v reflect.Value, path, env string) []configKey {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("toml")
		if name == "-" || field.Type.Kind() == reflect.Map && field.Type.Elem().Kind() == reflect.Pointer { // tables that have names
			continue
		}
		if field.Anonymous {
			keys = appendKeys(keys, v.Field(i), path, env)
			continue
		}
		if prefix, ok := field.Tag.Lookup("envPrefix"); ok {
			keys = appendKeys(keys, v.Field(i), path+name+".", env+prefix)
			continue
		}
		keys = append(keys, configKey{path: path + name, env: env + field.Tag.Get("env"), field: field, owner: v.Type(), value: v.Field(i)})
	}
	return keys
}

// secret tells whether the key's value must not be shown.
func (k configKey) secret() bool {
	return k.field.Type == reflect.TypeFor[Secret]() || k.field.Type == reflect.TypeFor[map[string]Secret]()
}

// expected says what a value of the key's type looks like, for error messages.
func (k configKey) expected() string {
	switch k.field.Type {
	case reflect.TypeFor[Duration]():
		return `a duration such as "2s"`
	case reflect.TypeFor[map[string]uint16]():
		return "route names, each with a code from 1 to 65535"
	case reflect.TypeFor[map[string]Secret]():
		return "names, each with a URI, a token or another text, or env:NAME or file:PATH"
	case reflect.TypeFor[map[string]string]():
		return "names, each with a string"
	case reflect.TypeFor[map[string]float64]():
		return "route names, each with a number"
	case reflect.TypeFor[[]string]():
		return "a list of strings"
	}
	switch k.field.Type.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a string"
	}
}

// nearest returns the candidate that word most likely meant, or "" when none is near.
func nearest(word string, candidates []string) string {
	if len(word) > 100 {
		return "" // no slip of the finger, and the comparison is quadratic
	}
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete, change or swap with their neighbour to make b of a (optimal string alignment).
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
