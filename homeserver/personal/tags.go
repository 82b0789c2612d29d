package personal

import (
	"context"
	"encoding/json"
	"unicode/utf8"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"
)

// maxTag bounds the name of a tag in bytes (client-server-api/#room-tagging).
const maxTag = 255

// tags is the content of m.tag.
type tags struct {
	Tags map[string]json.RawMessage `json:"tags"`
}

// parseTags reads m.tag, which clients may also store as a whole: what is not
// of its shape counts as no tags.
func parseTags(content []byte) tags {
	var t tags
	if json.Unmarshal(content, &t) != nil || t.Tags == nil {
		return tags{map[string]json.RawMessage{}}
	}
	return t
}

// Tags returns the tags of a room, each with its data as a JSON object.
func (e *Engine) Tags(ctx context.Context, user string, room int64) (map[string]json.RawMessage, error) {
	content, err := e.Get(ctx, user, room, TypeTag)
	if err != nil && mxerr.From(err).Code != mxerr.NotFound {
		return nil, err
	}
	return parseTags(content).Tags, nil
}

// SetTag adds a tag to a room, or changes it. data must be a JSON object whose
// order, if any, is a number. Errors: M_INVALID_PARAM for a bad name,
// M_BAD_JSON, M_TOO_LARGE.
func (e *Engine) SetTag(ctx context.Context, user string, room int64, tag string, data json.RawMessage) error {
	if tag == "" || len(tag) > maxTag || !utf8.ValidString(tag) {
		return mxerr.New(mxerr.InvalidParam, "The name of a tag has 1 to %d bytes of UTF-8", maxTag)
	}
	packed, err := pack(data)
	if err != nil {
		return err
	}
	var known struct {
		Order *float64 `json:"order"`
	}
	if err := json.Unmarshal(packed, &known); err != nil {
		return mxerr.New(mxerr.BadJSON, "The order of a tag must be a number")
	}
	return e.changeTags(ctx, user, room, func(t tags) error {
		t.Tags[tag] = packed
		return nil
	})
}

// DeleteTag removes a tag from a room; one that is not there is no error.
func (e *Engine) DeleteTag(ctx context.Context, user string, room int64, tag string) error {
	return e.changeTags(ctx, user, room, func(t tags) error {
		if _, ok := t.Tags[tag]; !ok {
			return errUnchanged
		}
		delete(t.Tags, tag)
		return nil
	})
}

func (e *Engine) changeTags(ctx context.Context, user string, room int64, change func(tags) error) error {
	return e.write(ctx, user, room, TypeTag, func(_ *db.Tx, old *store.AccountData) ([]byte, error) {
		t := tags{map[string]json.RawMessage{}}
		if old != nil {
			t = parseTags(old.Content)
		}
		if err := change(t); err != nil {
			return nil, err
		}
		content, err := json.Marshal(t)
		if err == nil && len(content) > maxContent {
			err = mxerr.New(mxerr.TooLarge, "The room has more tags than fit")
		}
		return content, err
	})
}
