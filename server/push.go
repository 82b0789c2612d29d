package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"hearth/base/store"
	"hearth/homeserver/pusher"
	"hearth/homeserver/room"
	"hearth/matrix/canonjson"
)

// vapidKey reads the key by which push services know the server, or makes it the
// first time. Browsers have subscribed with it, so it must last.
func vapidKey(path, subject string) (*pusher.VAPID, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = newVAPIDKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: want a private key in PEM", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: want a key of the curve P-256", path)
	}
	return pusher.NewVAPID(private, subject)
}

func newVAPIDKey(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return text, writeDurably(path, text)
}

// followUpgrade gives a user who has come into a room the settings that they had
// in the one it replaces.
func (s *Server) followUpgrade(ctx context.Context, user, roomID string) {
	ctx = context.WithoutCancel(ctx)
	next, err := s.rooms.Room(ctx, roomID)
	if err == nil {
		var old *room.Room
		if old, err = s.predecessor(ctx, next, user); old != nil {
			err = s.push.Follow(ctx, user, old, next)
		}
	}
	if err != nil {
		s.log.WarnContext(ctx, "settings did not follow into a new room", "err", err)
	}
}

// predecessor is the room that r replaces, if user has been there and it says so
// too; nil otherwise.
func (s *Server) predecessor(ctx context.Context, r *room.Room, user string) (*room.Room, error) {
	create, err := s.rooms.StateEvent(ctx, r, r.Current().State, "m.room.create", "")
	if err != nil || create == nil {
		return nil, err
	}
	before, _ := create.Get("predecessor")
	id, ok := canonjson.GetString(before, "room_id")
	if !ok {
		return nil, nil
	}
	m, err := s.rooms.Membership(ctx, id, user)
	if err != nil || m == store.None {
		return nil, nil // unknown here, or none of theirs
	}
	old, err := s.rooms.Room(ctx, id)
	if err != nil {
		return nil, err
	}
	tombstone, err := s.rooms.StateEvent(ctx, old, old.Current().State, "m.room.tombstone", "")
	if err != nil || tombstone == nil {
		return nil, err
	}
	if to, _ := tombstone.GetString("replacement_room"); to != r.ID {
		return nil, nil
	}
	return old, nil
}
