package rendezvous_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hearth/homeserver/rendezvous"
	"hearth/matrix/mxerr"
)

func code(err error) mxerr.Code {
	if err == nil {
		return ""
	}
	return mxerr.From(err).Code
}

func TestTwoDevicesMeet(t *testing.T) {
	e := rendezvous.New(10)
	s, err := e.Create("from the laptop")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Get(s.ID); err != nil || got.Data != "from the laptop" || got.Token != s.Token {
		t.Fatalf("the phone reads %+v, %v", got, err)
	}
	answer, err := e.Put(s.ID, s.Token, "from the phone")
	if err != nil || answer.Token == s.Token {
		t.Fatalf("the phone writes: %+v, %v", answer, err)
	}
	if now, err := e.Put(s.ID, s.Token, "too late"); !errors.Is(err, rendezvous.ErrConflict) || now.Data != "from the phone" {
		t.Errorf("who has not read writes: %+v, %v", now, err)
	}
	if again, err := e.Put(s.ID, answer.Token, "from the phone"); err != nil || again.Token == answer.Token {
		t.Errorf("the same text written anew: %+v, %v", again, err)
	}
	if err := e.Delete(s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(s.ID); code(err) != mxerr.NotFound {
		t.Errorf("after the end: %v", err)
	}
	if err := e.Delete(s.ID); code(err) != mxerr.NotFound {
		t.Errorf("ended twice: %v", err)
	}
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := rendezvous.New(10)
		s, err := e.Create("")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(rendezvous.Life - time.Second)
		if _, err := e.Put(s.ID, s.Token, "still there"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := e.Get(s.ID); code(err) != mxerr.NotFound {
			t.Errorf("after its life: %v", err)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := rendezvous.New(3)
		if _, err := e.Create(strings.Repeat("x", rendezvous.MaxData+1)); code(err) != mxerr.TooLarge {
			t.Errorf("a text that is too long: %v", err)
		}
		var first rendezvous.Session
		for i := range 3 {
			s, err := e.Create(strings.Repeat("x", rendezvous.MaxData))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = s
			}
			time.Sleep(time.Second)
		}
		if _, err := e.Create(""); code(err) != mxerr.LimitExceeded {
			t.Fatalf("one more than fit: %v", err)
		}
		if _, err := e.Put(first.ID, first.Token, strings.Repeat("x", rendezvous.MaxData+1)); code(err) != mxerr.TooLarge {
			t.Errorf("a text that is too long: %v", err)
		}
		if _, err := e.Get(first.ID); err != nil {
			t.Errorf("those who were there first: %v", err)
		}
		if err := e.Delete(first.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Create(""); err != nil {
			t.Errorf("after one has ended: %v", err)
		}
		time.Sleep(rendezvous.Life)
		for range 3 {
			if _, err := e.Create(""); err != nil {
				t.Errorf("after all are over: %v", err)
			}
		}
	})
}
