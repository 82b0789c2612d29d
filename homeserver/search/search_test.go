package search

import (
	"slices"
	"strings"
	"testing"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/base/store/storetest"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Hello, World!":           "hello|world",
		"it's example.org:8448":   "it|s|example|org|8448",
		"Ärger \"quoted\" a-b *x": "ärger|quoted|a|b|x",
		"日本 go":                   "日|本|go",
		" \x00 ":                  "",
	} {
		if got := strings.Join(Words(text, 100), "|"); got != want {
			t.Errorf("%q has the words %s, want %s", text, got, want)
		}
	}
	if n := len(Words(strings.Repeat("a ", 100), 7)); n != 7 {
		t.Errorf("%d words, want 7", n)
	}
	if n := len(Words(strings.Repeat("a", 10_000), 7)[0]); n != maxWord {
		t.Errorf("a word of %d bytes", n)
	}
}

// Both databases find the same.
func TestFind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		e := New(Config{DB: d})
		docs := []store.SearchDoc{
			{Event: 1, Room: 10, Kind: store.SearchBody, Words: keys("Message number 1", 99)},
			{Event: 2, Room: 10, Kind: store.SearchBody, Words: keys("Message number 4, or example.org", 99)},
			{Event: 3, Room: 11, Kind: store.SearchBody, Words: keys("another message, ÄRGER 日本", 99)},
			{Event: 4, Room: 11, Kind: store.SearchName, Words: keys("message board", 99)},
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, doc := range docs {
				if err := store.AddSearchDoc(tx, doc); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		many := []int64{10, 11}
		for n := range int64(5000) {
			many = append(many, 1000+n)
		}
		all := []int64{store.SearchBody, store.SearchName, store.SearchTopic}
		for _, tc := range []struct {
			text  string
			kinds []int64
			rooms []int64
			upto  int64
			want  []int64
		}{
			{"message", all, []int64{10, 11}, 99, []int64{4, 3, 2, 1}},
			{"message", all, many, 99, []int64{4, 3, 2, 1}},
			{"message 4", all, []int64{10, 11}, 99, []int64{2}},
			{"message", all[:1], []int64{11}, 99, []int64{3}},
			{"MESSAGE", all, []int64{10, 11}, 2, []int64{2, 1}},
			{"ärger", all, []int64{10, 11}, 99, []int64{3}},
			{"arger", all, []int64{10, 11}, 99, []int64{3}},
			{"a\u0308rger", all, []int64{10, 11}, 99, []int64{3}},
			{"本日", all, []int64{10, 11}, 99, []int64{3}},
			{"example", all, []int64{10, 11}, 99, []int64{2}},
			{"and or not near", all, []int64{10, 11}, 99, nil},
			{"or", all, []int64{10, 11}, 99, []int64{2}},
			{"message", all, many[:500], 99, []int64{4, 3, 2, 1}},
			{"r10 k1", all, []int64{10, 11}, 99, nil},
		} {
			hits, _, err := e.Find(t.Context(), Query{Words: Words(tc.text, MaxWords), Kinds: tc.kinds, Rooms: tc.rooms, Upto: tc.upto})
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, h := range hits {
				got = append(got, h.Event)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q finds %v, want %v", tc.text, got, tc.want)
			}
		}
	})
}

func TestRank(t *testing.T) {
	rank := func(text string) float64 {
		return Rank([]string{"tea", "cake"}, "m.room.message", []byte(`{"body":"`+text+`"}`))
	}
	if a, b := rank("tea and cake"), rank("tea and cake and a long story about something else"); a <= b {
		t.Errorf("the shorter text ranks %f, the longer %f", a, b)
	}
	if a, b := rank("tea tea tea with cake"), rank("tea and cake and milk"); a <= b {
		t.Errorf("the text with more tea ranks %f, the other %f", a, b)
	}
}

// TestFindsAreBounded: one search looks at the newest only, and says so.
func TestFindsAreBounded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for n := range int64(maxHits + 100) {
				doc := store.SearchDoc{Event: n + 1, Room: 10, Kind: store.SearchBody, Words: []string{"tea"}}
				if err := store.AddSearchDoc(tx, doc); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		q := Query{Words: []string{"tea"}, Kinds: []int64{store.SearchBody}, Rooms: []int64{10}, Upto: 1 << 40}
		hits, more, err := New(Config{DB: d}).Find(t.Context(), q)
		if err != nil || len(hits) != maxHits || !more {
			t.Errorf("%d hits, more: %v, %v", len(hits), more, err)
		}
	})
}
