package admin

import (
	"reflect"
	"strings"
	"time"
)

// document is the OpenAPI 3.1 description of the routes that are served, https://spec.openapis.org/oas/v3.1.0.
func (s *Server) document() map[string]any {
	d := &schemas{all: map[string]any{}}
	paths := map[string]any{}
	for _, rt := range s.routes() {
		at, _ := paths[apiPrefix+rt.path].(map[string]any)
		if at == nil {
			at = map[string]any{}
			paths[apiPrefix+rt.path] = at
		}
		at[strings.ToLower(rt.method)] = d.operation(&rt)
	}
	return map[string]any{
		"openapi":  "3.1.0",
		"info":     map[string]any{"title": "Skua admin API", "version": s.Version.version()},
		"security": []any{map[string]any{"token": []any{}}},
		"paths":    paths,
		"components": map[string]any{
			"schemas":         d.all,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	}
}

func (v *Version) version() string {
	if v.Version == "" {
		return "unknown"
	}
	return v.Version
}

// schemas collects those of types with a name.
type schemas struct{ all map[string]any }

func (d *schemas) operation(rt *route) map[string]any {
	params := []any{}
	if p := rt.path1; p != nil {
		params = append(params, map[string]any{"name": p.name, "in": "path", "required": true, "description": p.doc, "schema": map[string]any{"type": "string"}})
	}
	for i := range rt.query {
		p := &rt.query[i]
		schema := map[string]any{"type": p.kind}
		if p.kind == "integer" {
			schema["minimum"], schema["maximum"], schema["default"] = 1, p.most, p.def
		}
		if len(p.options) > 0 {
			schema["enum"] = p.options
		}
		params = append(params, map[string]any{"name": p.name, "in": "query", "description": p.doc, "schema": schema})
	}
	op := map[string]any{
		"operationId": rt.id, "summary": rt.summary, "description": "Needs the role " + rt.role.String() + ".",
		"responses": map[string]any{
			"200":     map[string]any{"description": "Done.", "content": d.content(rt.answer)},
			"default": map[string]any{"description": "It failed. Without a good token the answer is 401, in plain text.", "content": d.content(CallError{})},
		},
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if rt.body != nil {
		op["requestBody"] = map[string]any{"required": true, "content": d.content(rt.body)}
	}
	return op
}

func (d *schemas) content(like any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": d.of(reflect.TypeOf(like))}}
}

// of is the schema of a type as encoding/json writes it.
func (d *schemas) of(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.of(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": d.of(t.Elem())}
	case reflect.Struct:
		if _, known := d.all[t.Name()]; !known {
			d.all[t.Name()] = nil // a type may have itself in it
			d.all[t.Name()] = d.object(t)
		}
		return map[string]any{"$ref": "#/components/schemas/" + t.Name()}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Map:
		return map[string]any{"type": "object"}
	default:
		return map[string]any{"type": "string"}
	}
}

func (d *schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	d.fields(t, properties, &required)
	object := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		object["required"] = required
	}
	return object
}

func (d *schemas) fields(t reflect.Type, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		if f.Anonymous {
			d.fields(f.Type, properties, required)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := d.of(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			schema["description"] = doc
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			schema["enum"] = strings.Split(enum, ",")
		}
		properties[name] = schema
		if !strings.Contains(options, "omitempty") {
			*required = append(*required, name)
		}
	}
}

// pattern is the route as http.ServeMux knows it.
func (rt *route) pattern() string { return rt.method + " " + apiPrefix + rt.path }
