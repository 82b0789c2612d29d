package fold

import "testing"

func TestText(t *testing.T) {
	for _, same := range [][]string{
		{"Brücke", "BRUCKE", "bru\u0308cke"},
		{"Straße", "STRASSE", "strasse"},
		{"été", "ETE"},
		{"Καλημέρα Κόσμος", "καλημερα κοσμοσ"},
		{"ёлка", "ЕЛКА"},
		{"İstanbul", "istanbul"},
		{"ｔｅａ", "Tea"},
		{"안녕", "\u110b\u1161\u11ab\u1102\u1167\u11bc"},
	} {
		for _, s := range same {
			if got := Text(s); got != Text(same[0]) {
				t.Errorf("%q is %q, and %q is %q", s, got, same[0], Text(same[0]))
			}
		}
	}
	for a, b := range map[string]string{"が": "か", "नि": "न", "tea": "tee"} {
		if Text(a) == Text(b) {
			t.Errorf("%q and %q are the same", a, b)
		}
	}
}
