package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// decode reads the text of a skua.toml over c. Errors begin with path:line:column.
func (c *Config) decode(path string, text []byte) error {
	err := decodeStrict(text, c)
	if err == nil {
		return nil
	}
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	if !errors.As(err, &strict) && !errors.As(err, &decode) {
		// A number where a text is parsed fails without a position. The same document read into plain strings fails there with one.
		plain := decodeStrict(text, reflect.New(plainType(reflect.TypeFor[Config]())).Interface())
		if !errors.As(plain, &decode) {
			return fmt.Errorf("config: %s: %w", path, err)
		}
	}
	if decode != nil {
		c.addTable(decode.Key()) // c is given up: it only tells which keys there are
	}
	d := document{path: path, text: string(text), keys: configKeys(c)}
	if strict != nil {
		unknown := make([]error, len(strict.Errors))
		for i := range strict.Errors {
			unknown[i] = d.unknown(&strict.Errors[i])
		}
		return errors.Join(unknown...)
	}
	return d.explain(decode)
}

// addTable makes the table [gates.NAME] or [grains.NAME] of a key, if it is not there.
func (c *Config) addTable(key toml.Key) {
	switch {
	case len(key) < 3:
	case key[0] == "gates" && c.Gates[key[1]] == nil:
		c.Gates = map[string]*NamedGateConfig{key[1]: {}}
	case key[0] == "grains" && c.Grains[key[1]] == nil:
		c.Grains = map[string]*GrainConfig{key[1]: {}}
	}
}

func decodeStrict(text []byte, into any) error {
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

// plainType is t with a string in the place of each type that parses its own text.
func plainType(t reflect.Type) reflect.Type {
	if t == reflect.TypeFor[Duration]() {
		return reflect.TypeFor[string]()
	}
	switch t.Kind() {
	case reflect.Struct:
	case reflect.Map:
		return reflect.MapOf(t.Key(), plainType(t.Elem()))
	case reflect.Pointer:
		return reflect.PointerTo(plainType(t.Elem()))
	default:
		return t
	}
	fields := make([]reflect.StructField, t.NumField())
	for i := range fields {
		f := t.Field(i)
		fields[i] = reflect.StructField{Name: f.Name, Type: plainType(f.Type), Tag: f.Tag, Anonymous: f.Anonymous}
	}
	return reflect.StructOf(fields)
}

// document explains errors in one file.
type document struct {
	path string
	text string
	keys []configKey
}

func (d document) at(e *toml.DecodeError) string {
	line, column := e.Position()
	return fmt.Sprintf("%s:%d:%d", d.path, line, column)
}

// unknown names the key that nobody reads, and the one that was probably meant.
func (d document) unknown(e *toml.DecodeError) error {
	key := strings.Join(e.Key(), ".")
	kind := "key"
	var candidates []string
	if strings.HasSuffix(e.Error(), "missing table") {
		kind = "table"
	}
	for _, k := range d.keys {
		name := k.path
		if kind == "table" {
			i := strings.LastIndexByte(k.path, '.')
			if i < 0 {
				continue
			}
			name = k.path[:i]
		}
		candidates = append(candidates, name)
	}
	if near := nearest(key, candidates); near != "" {
		return fmt.Errorf("%s: unknown %s %s, did you mean %s?", d.at(e), kind, key, near)
	}
	// The right name in the wrong table is as common as a misspelt one.
	if kind == "key" {
		last := e.Key()[len(e.Key())-1]
		for _, c := range candidates {
			if c == last || strings.HasSuffix(c, "."+last) {
				return fmt.Errorf("%s: unknown key %s, did you mean %s?", d.at(e), key, c)
			}
		}
	}
	return fmt.Errorf("%s: unknown %s %s", d.at(e), kind, key)
}

// explain says what was found and expected where a value does not fit its key, and passes on what is wrong with the syntax.
func (d document) explain(e *toml.DecodeError) error {
	message := strings.TrimPrefix(e.Error(), "toml: ")
	key := strings.Join(e.Key(), ".")
	if key == "" {
		return fmt.Errorf("%s: %s", d.at(e), message)
	}
	if strings.Contains(message, "already defined") || strings.Contains(message, "array table") {
		return fmt.Errorf("%s: %s: %s", d.at(e), key, message)
	}
	if inner := d.inlineKey(e); inner != "" {
		key += "." + inner
	}
	for _, k := range d.keys {
		if key == k.path || strings.HasPrefix(key, k.path+".") {
			found := d.found(e)
			if k.secret() && strings.ContainsAny(found, "\"'[{") { // there may be one in it
				found = Secret(found).String()
			}
			return fmt.Errorf("%s: %s: found %s, expected %s", d.at(e), key, found, k.expected())
		}
		if strings.HasPrefix(k.path, key+".") {
			return fmt.Errorf("%s: %s: found %s, expected a table [%s]", d.at(e), key, d.found(e), key)
		}
	}
	return fmt.Errorf("%s: %s: %s", d.at(e), key, message)
}

// inlineKey is the key before the value that the error points at, if the table around it is written on one line: its errors carry the table's key only.
func (d document) inlineKey(e *toml.DecodeError) string {
	before, _ := d.split(e)
	left, isValue := strings.CutSuffix(strings.TrimRight(before, " \t"), "=")
	if !isValue || !strings.ContainsAny(left, "{,") {
		return ""
	}
	return strings.Trim(left[strings.LastIndexAny(left, "{,")+1:], " \t\"'")
}

// split is the line that the error points at, up to there and from there.
func (d document) split(e *toml.DecodeError) (before, from string) {
	row, column := e.Position()
	lines := strings.Split(d.text, "\n")
	if row > len(lines) || column-1 > len(lines[row-1]) {
		return "", ""
	}
	line := lines[row-1]
	return line[:column-1], strings.TrimRight(line[column-1:], "\r")
}

// found is the text of the value that the error points at.
func (d document) found(e *toml.DecodeError) string {
	_, rest := d.split(e)
	if rest != "" && strings.ContainsRune(`"'`, rune(rest[0])) {
		if end := strings.IndexByte(rest[1:], rest[0]); end >= 0 {
			return rest[:end+2]
		}
	}
	if end := strings.IndexAny(rest, " \t,#]}"); end > 0 {
		rest = rest[:end]
	}
	if rest == "" {
		return "nothing"
	}
	return rest
}
