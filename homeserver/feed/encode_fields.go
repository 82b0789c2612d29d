package feed

import (
	"encoding/json"
	"strings"
)

// fields is a tree of the fields of an event that a client wants; a leaf wants
// all below it.
type fields map[string]fields

// fieldsOf reads the paths of a filter's event_fields, nil for all fields
// (appendices/#dot-separated-property-paths).
func fieldsOf(paths []string) fields {
	if paths == nil {
		return nil
	}
	root := fields{}
	for _, path := range paths {
		at := root
		for _, name := range splitPath(path) {
			if at[name] == nil {
				at[name] = fields{}
			}
			at = at[name]
		}
	}
	return root
}

// splitPath parts a path at its dots; a backslash before a dot or a backslash
// makes it a part of the name.
func splitPath(path string) []string {
	var names []string
	var name strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path) && (path[i+1] == '.' || path[i+1] == '\\'):
			i++
			name.WriteByte(path[i])
		case path[i] == '.':
			names = append(names, name.String())
			name.Reset()
		default:
			name.WriteByte(path[i])
		}
	}
	return append(names, name.String())
}

// of returns the wanted part of a JSON value, nil if there is none.
func (f fields) of(value json.RawMessage) json.RawMessage {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil {
		return nil // no object: it has no fields
	}
	for name, v := range object {
		below, wanted := f[name]
		if wanted && len(below) > 0 {
			v = below.of(v)
		}
		if object[name] = v; !wanted || v == nil {
			delete(object, name)
		}
	}
	if len(object) == 0 {
		return nil
	}
	out, err := json.Marshal(object)
	if err != nil {
		return nil // it was JSON a moment ago
	}
	return out
}
