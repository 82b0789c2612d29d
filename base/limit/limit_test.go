package limit

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestBurstThenRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(map[string]Rate{"send": {Every: time.Second, Burst: 3}})
		for i := range 3 {
			if _, ok := l.Allow("send", "@alice:x"); !ok {
				t.Fatalf("number %d of the burst was refused", i)
			}
		}
		time.Sleep(300 * time.Millisecond)
		retry, ok := l.Allow("send", "@alice:x")
		if ok || retry != 700*time.Millisecond {
			t.Errorf("after the burst: ok %v, retry in %v", ok, retry)
		}
		if _, ok := l.Allow("send", "@bob:x"); !ok {
			t.Error("bob pays for alice")
		}
		time.Sleep(retry)
		if _, ok := l.Allow("send", "@alice:x"); !ok {
			t.Error("refused after waiting as told")
		}
		if _, ok := l.Allow("send", "@alice:x"); ok {
			t.Error("twice in a second")
		}
		time.Sleep(time.Hour)
		for range 3 {
			if _, ok := l.Allow("send", "@alice:x"); !ok {
				t.Error("the bucket did not fill again")
			}
		}
		if _, ok := l.Allow("send", "@alice:x"); ok {
			t.Error("the bucket holds more than its burst")
		}
	})
}

func TestRefund(t *testing.T) {
	l := New(map[string]Rate{"login": {Every: time.Hour, Burst: 1}})
	for range 5 {
		if _, ok := l.Allow("login", "x"); !ok {
			t.Fatal("refused although all was given back")
		}
		l.Refund("login", "x")
	}
	l.Refund("login", "stranger")
}

func TestNoLimit(t *testing.T) {
	var off *Limits
	off.Refund("send", "x")
	for _, l := range []*Limits{off, New(nil)} {
		for range 1000 {
			if _, ok := l.Allow("send", "x"); !ok {
				t.Fatal("refused without a limit")
			}
		}
	}
}

// Whoever has an IPv6 address has 2^64 of them.
func TestNeighbouringAddresses(t *testing.T) {
	l := New(map[string]Rate{"login": {Every: time.Hour, Burst: 1}})
	for _, tc := range []struct {
		key  string
		want bool
	}{
		{"2001:db8::1", true},
		{"2001:db8::2", false},
		{"2001:db8:0:1::1", true},
		{"192.0.2.1", true},
		{"192.0.2.2", true},
		{"192.0.2.1", false},
		{"fe80::1%eth0", true},
		{"fe80::2%eth1", false},
		{"@a:2001:db8::1", true},
		{"not:an:address", true},
	} {
		if _, ok := l.Allow("login", tc.key); ok != tc.want {
			t.Errorf("%s: ok %v, want %v", tc.key, ok, tc.want)
		}
	}
}

func TestBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(map[string]Rate{"login": {Every: time.Minute, Burst: 1}})
		for i := range 3 * maxBuckets {
			l.Allow("login", fmt.Sprint("192.0.", i))
		}
		if n := len(l.full); n > maxBuckets {
			t.Errorf("%d buckets", n)
		}
		time.Sleep(time.Hour)
		for i := range maxBuckets {
			l.Allow("login", "x"+fmt.Sprint(i))
			time.Sleep(time.Minute)
		}
		if n := len(l.full); n > maxBuckets/8 {
			t.Errorf("%d buckets are kept of which one is not full", n)
		}
	})
}

func TestErrorTellsWhenToTryAgain(t *testing.T) {
	if e := Error(1500 * time.Millisecond); e.HTTPStatus() != 429 || e.Fields["retry_after_ms"] != int64(1500) {
		t.Errorf("%d %v", e.HTTPStatus(), e.Fields)
	}
	if e := Error(time.Microsecond); e.Fields["retry_after_ms"] != int64(1) {
		t.Errorf("%v", e.Fields)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(map[string]Rate{"send": {Every: time.Nanosecond, Burst: 100}})
	b.ReportAllocs()
	for b.Loop() {
		l.Allow("send", "@alice:example.org")
	}
}
