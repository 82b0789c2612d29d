package appservice

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"sync"

	"hearth/base/contain"
	"hearth/matrix/canonjson"
)

// Protocols returns what services say of the networks that they bridge, by
// protocol; of one if protocol is not "".
func (e *Engine) Protocols(ctx context.Context, protocol string) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for _, a := range e.askAll(ctx, func(s *Service) (paths []string) {
		for _, p := range s.Protocols {
			if protocol == "" || p == protocol {
				paths = append(paths, "/thirdparty/protocol/"+url.PathEscape(p))
			}
		}
		return paths
	}) {
		name, err := url.PathUnescape(a.path[len("/thirdparty/protocol/"):])
		if err != nil {
			continue // which cannot be: it was escaped above
		}
		if merged := merge(out[name], a.text, a.service); merged != nil {
			out[name] = merged
		}
	}
	return out
}

// answer is what a service says to a question.
type answer struct {
	service, path string
	text          []byte // nil if it did not answer
}

// askAll asks services at once, each for the paths that want says, and returns
// answers in the order of the services.
func (e *Engine) askAll(ctx context.Context, want func(*Service) []string) []answer {
	var all []answer
	for _, s := range e.all() {
		if s.URL == "" {
			continue
		}
		for _, path := range want(s) {
			all = append(all, answer{service: s.ID, path: path})
		}
	}
	var asking sync.WaitGroup
	for i := range all {
		asking.Go(func() {
			text, err := contain.Value(func() ([]byte, error) {
				text, err := e.ByID(all[i].service).question(ctx, all[i].path)
				if err != nil {
					return nil, err
				}
				return canonjson.Canonical(nil, text, canonjson.Options{Numbers: canonjson.Free})
			})
			if err == nil {
				all[i].text = text
			}
		})
	}
	asking.Wait()
	return slices.DeleteFunc(all, func(a answer) bool { return a.text == nil })
}

// merge adds the instances of a service to what another said of the same protocol;
// have is that, nil if there is none. Each instance gets the id by which its rooms
// are found. What a service leaves out is empty, and what is not a protocol adds
// nothing (client-server-api/#get_matrixclientv3thirdpartyprotocols).
func merge(have, text json.RawMessage, service string) json.RawMessage {
	var p struct {
		UserFields     []string                   `json:"user_fields"`
		LocationFields []string                   `json:"location_fields"`
		Icon           string                     `json:"icon"`
		FieldTypes     map[string]json.RawMessage `json:"field_types"`
		Instances      []json.RawMessage          `json:"instances"`
	}
	if !canonjson.IsObject(text) || json.Unmarshal(text, &p) != nil {
		return have
	}
	instances := []json.RawMessage{}
	if have != nil {
		var other struct {
			Instances []json.RawMessage `json:"instances"`
		}
		if json.Unmarshal(have, &other) != nil {
			return have
		}
		text, instances = have, append(instances, other.Instances...)
	} else {
		for name, empty := range map[string]string{"user_fields": "[]", "location_fields": "[]", "icon": `""`, "field_types": "{}"} {
			if raw, _ := canonjson.Get(text, name); raw == nil || string(raw) == "null" {
				text = canonjson.With(nil, text, name, []byte(empty))
			}
		}
	}
	for _, in := range p.Instances {
		var i struct {
			Desc    *string                    `json:"desc"`
			Network *string                    `json:"network_id"`
			Fields  map[string]json.RawMessage `json:"fields"`
		}
		if json.Unmarshal(in, &i) == nil && i.Desc != nil && i.Network != nil && i.Fields != nil {
			instances = append(instances, canonjson.With(nil, in, "instance_id", canonjson.Quote(nil, service+"|"+*i.Network)))
		}
	}
	list, err := json.Marshal(instances)
	if err != nil {
		return have
	}
	return canonjson.With(nil, text, "instances", list)
}

// ThirdParty asks services for users or locations of other networks, what being
// "user" or "location". With a protocol, those that bridge it are asked for what
// fits the fields; else all are asked for what a Matrix user or alias stands for.
// What is none is left out.
func (e *Engine) ThirdParty(ctx context.Context, what, protocol string, fields url.Values) []json.RawMessage {
	path := "/thirdparty/" + what
	if protocol != "" {
		path += "/" + url.PathEscape(protocol)
	}
	if len(fields) > 0 {
		path += "?" + fields.Encode()
	}
	out := []json.RawMessage{}
	for _, a := range e.askAll(ctx, func(s *Service) []string {
		if protocol == "" || slices.Contains(s.Protocols, protocol) {
			return []string{path}
		}
		return nil
	}) {
		var list []json.RawMessage
		if json.Unmarshal(a.text, &list) != nil {
			continue
		}
		for _, found := range list {
			var f struct {
				Alias    *string                    `json:"alias"`
				User     *string                    `json:"userid"`
				Protocol *string                    `json:"protocol"`
				Fields   map[string]json.RawMessage `json:"fields"`
			}
			if json.Unmarshal(found, &f) == nil && f.Protocol != nil && f.Fields != nil && (what == "user" && f.User != nil || what == "location" && f.Alias != nil) {
				out = append(out, found)
			}
		}
	}
	return out
}
