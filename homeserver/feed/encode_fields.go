package feed

import (
	"encoding/json"

	"hearth/matrix/canonjson"
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
		for _, name := range canonjson.SplitPath(path) {
			if at[name] == nil {
				at[name] = fields{}
			}
			at = at[name]
		}
	}
	return root
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
