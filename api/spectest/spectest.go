// Package spectest holds the answers of a server against the shapes that the
// specification gives them. Tests at every level use it: those of single doors,
// those of whole servers, and a proxy between real clients and a server. The
// product does not import it.
package spectest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemasJSON is made by go run ./dev schemas.
//
//go:embed schemas.json
var schemasJSON []byte

// operation is an operation of the specification.
type operation struct {
	ID, Method, Path string
	Responses        map[string]json.RawMessage

	path     *regexp.Regexp
	wildcard int // the fewer, the better a path fits
}

// spec is what the specification says of answers.
type spec struct {
	operations []*operation
	compiler   *jsonschema.Compiler

	mu       sync.Mutex // of the compiler and compiled
	compiled map[string]*jsonschema.Schema
}

var load = sync.OnceValues(func() (*spec, error) {
	s := &spec{compiled: map[string]*jsonschema.Schema{}}
	var all struct{ Operations []*operation }
	if err := json.Unmarshal(schemasJSON, &all); err != nil {
		return nil, err
	}
	for _, op := range all.Operations {
		op.path, op.wildcard = pathPattern(op.Path), strings.Count(op.Path, "{")
	}
	s.operations = all.Operations
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemasJSON))
	if err != nil {
		return nil, err
	}
	s.compiler = jsonschema.NewCompiler()
	return s, s.compiler.AddResource("spec.json", doc)
})

var placeholder = regexp.MustCompile(`\\\{[^}]*\\\}`)

// pathPattern matches an escaped path. The old name of version 3, r0, is the same
// operation. Only state keys may be empty.
func pathPattern(path string) *regexp.Regexp {
	p := strings.Replace(regexp.QuoteMeta(strings.TrimSpace(path)), `\{stateKey\}`, "[^/]*", 1)
	p = placeholder.ReplaceAllString(p, "[^/]+")
	p = strings.Replace(p, "/v3/", "/(?:v3|r0)/", 1)
	return regexp.MustCompile("^" + p + "$")
}

// find returns the operation that a request is for, nil for requests that the
// specification does not have.
func (s *spec) find(method, path string) (found *operation) {
	for _, op := range s.operations {
		if op.Method == method && op.path.MatchString(path) && (found == nil || op.wildcard < found.wildcard) {
			found = op
		}
	}
	return found
}

// schema returns the schema of an answer, nil if there is none.
func (s *spec) schema(op *operation, status string) (*jsonschema.Schema, error) {
	if raw := op.Responses[status]; len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	for i := range s.operations {
		if s.operations[i] == op {
			return s.compile(fmt.Sprintf("spec.json#/operations/%d/responses/%s", i, status))
		}
	}
	return nil, nil
}

func (s *spec) compile(at string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.compiled[at]; c != nil {
		return c, nil
	}
	c, err := s.compiler.Compile(at)
	s.compiled[at] = c
	return c, err
}

// knowingly are answers that differ from the specification for a reason, by
// operation and member, "" for the whole.
var knowingly = map[string]string{
	"getTurnServer /":                      "empty without a relay, as clients know it from other servers",
	"getRoomStateWithKey /":                "an event is either the one or the other, and fits both: content may have any members",
	"getJoinedMembersByRoom /avatar_url":   "null for members without an avatar, on which clients and the conformance suite rely",
	"getJoinedMembersByRoom /display_name": "likewise",
}

// Check reports how the JSON body of an answer differs from what the
// specification says. method and path are those of the request, the path
// escaped and without its query.
func Check(method, path string, status int, body []byte) error {
	s, err := load()
	if err != nil {
		return err
	}
	op := s.find(method, path)
	if op == nil {
		return nil
	}
	schema, err := s.schema(op, fmt.Sprint(status))
	if err != nil {
		return fmt.Errorf("the schema of %s %d: %w", op.ID, status, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	switch {
	case status >= 400 && (err != nil || !isError(v)):
		return fmt.Errorf("%s answers %d without errcode and error: %.300s", op.ID, status, body)
	case isDelayed(op.ID, v):
		return nil
	case schema == nil || status == 401 && !isQuestion(v): // a token was missing, wherever it says what else a 401 means
		return nil
	case err != nil:
		return fmt.Errorf("%s answers %d with what is not JSON: %.300s", op.ID, status, body)
	}
	if err := schema.Validate(v); err != nil && !excused(op.ID, err) {
		return fmt.Errorf("%s answers %d: %w\n%.1000s", op.ID, status, err, body)
	}
	return nil
}

// isError reports whether v is a standard error response, or the question of
// user-interactive authentication.
func isError(v any) bool {
	o, _ := v.(map[string]any)
	_, code := o["errcode"].(string)
	_, text := o["error"].(string)
	return code && text || isQuestion(v)
}

func isQuestion(v any) bool {
	o, _ := v.(map[string]any)
	_, flows := o["flows"].([]any)
	return flows
}

// isDelayed reports whether v answers a request to send later (MSC4140), of which
// the specification does not know yet.
func isDelayed(id string, v any) bool {
	o, _ := v.(map[string]any)
	_, delayed := o["delay_id"].(string)
	return delayed && len(o) == 1 && (id == "sendMessage" || id == "setRoomStateWithKey")
}

// excused reports whether all that is wrong is known.
func excused(id string, err error) bool {
	invalid, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return false
	}
	if len(invalid.Causes) == 0 {
		last := ""
		if at := invalid.InstanceLocation; len(at) > 0 {
			last = at[len(at)-1]
		}
		return knowingly[id+" /"+last] != ""
	}
	for _, cause := range invalid.Causes {
		if !excused(id, cause) {
			return false
		}
	}
	return true
}
