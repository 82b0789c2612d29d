package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"net/http"
	"testing"
)

// animation is a GIF whose frames are parts of a picture that fills.
func animation(t *testing.T, w, h, frames int) []byte {
	t.Helper()
	var g gif.GIF
	for i := range frames {
		frame := image.NewPaletted(image.Rect(0, h*i/frames, w, h*(i+1)/frames), color.Palette{color.Black, color.RGBA{200, 30, 30, 255}})
		for j := range frame.Pix {
			frame.Pix[j] = 1
		}
		g.Image, g.Delay, g.Disposal = append(g.Image, frame), append(g.Delay, 10), append(g.Disposal, gif.DisposalNone)
	}
	g.Config = image.Config{Width: w, Height: h, ColorModel: color.Palette{color.Black}}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAnimatedThumbnails(t *testing.T) {
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	small := func(id, query string) (string, []byte) {
		t.Helper()
		res, body := h.fetch(t, alice, http.MethodGet, newSmall+id+"?width=320&height=240&method=scale"+query, "", nil)
		if res.StatusCode != 200 {
			t.Fatalf("%s: %d %s", query, res.StatusCode, body)
		}
		return res.Header.Get("Content-Type"), body
	}
	for _, tc := range []struct {
		name    string
		file    []byte
		query   string
		typ     string
		frames  int
		w, h, x int // the size, and a line that only the last frame fills
	}{
		{"large, moving", animation(t, 640, 480, 4), "&animated=true", "image/gif", 4, 320, 240, 239},
		{"large, still", animation(t, 640, 480, 4), "&animated=false", "image/png", 1, 320, 240, 0},
		{"large, as the server likes", animation(t, 640, 480, 4), "", "image/png", 1, 320, 240, 0},
		{"small, moving", animation(t, 64, 48, 4), "&animated=true", "image/gif", 4, 64, 48, 47},
		{"small, still", animation(t, 64, 48, 4), "&animated=false", "image/png", 1, 64, 48, 0},
		{"small, as the server likes", animation(t, 64, 48, 4), "", "image/png", 1, 64, 48, 0},
		{"small, one frame", animation(t, 64, 48, 1), "", "image/gif", 1, 64, 48, 0},
		{"too many frames", animation(t, 640, 640, 600), "&animated=true", "image/png", 1, 240, 240, 0},
		{"too many pixels", animation(t, 6000, 6000, 3), "&animated=true", "image/png", 1, 240, 240, 0},
	} {
		typ, body := small(h.upload(t, alice, "a.gif", "image/gif", tc.file), tc.query)
		if typ != tc.typ {
			t.Errorf("%s: %s", tc.name, typ)
			continue
		}
		cfg, _, err := image.DecodeConfig(bytes.NewReader(body))
		if err != nil || cfg.Width != tc.w || cfg.Height != tc.h {
			t.Errorf("%s: %d×%d, %v", tc.name, cfg.Width, cfg.Height, err)
		}
		if tc.frames == 1 {
			continue
		}
		g, err := gif.DecodeAll(bytes.NewReader(body))
		if err != nil || len(g.Image) != tc.frames || g.Delay[0] != 10 {
			t.Errorf("%s: %d frames, %v", tc.name, len(g.Image), err)
			continue
		}
		if tc.w < 320 {
			continue // the file as it is
		}
		_, _, _, first := g.Image[0].At(1, tc.x).RGBA()
		red, _, _, last := g.Image[tc.frames-1].At(1, tc.x).RGBA()
		if first != 0 || last == 0 || red>>8 < 190 {
			t.Errorf("%s: the frames do not build up: %d, then %d of red %d", tc.name, first, last, red>>8)
		}
	}
}

// TestAnimatedPNG: an animation may be shown where one is asked for, and only there.
func TestAnimatedPNG(t *testing.T) {
	file, err := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAACGFjVEwAAAACAAAAAPONk3AAAAAaZmNUTAAAAAAAAAAEAAAAAgAAAAAAAAAAAAEACgAAdYjXEwAAABBJREFUeJxj/M+AAExIbAYAGTUBAxsvSxIAAAAaZmNUTAAAAAEAAAAEAAAAAgAAAAAAAAAAAAEACgAA7vs9xwAAABZmZEFUAAAAAnicY2Rg+M8AA0wMSAAAFzcBA7NPTgkAAAAASUVORK5CYII=")
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	id := h.upload(t, alice, "a.png", "image/png", file)
	for query, want := range map[string]bool{"": false, "&animated=false": false, "&animated=true": true} {
		_, got := h.fetch(t, alice, http.MethodGet, newSmall+id+"?width=96&height=96&method=scale"+query, "", nil)
		if _, _, err := image.Decode(bytes.NewReader(got)); err != nil || bytes.Contains(got, []byte("acTL")) != want {
			t.Errorf("%q: %q, %v", query, got, err)
		}
	}
}

// TestAnimatedWebP: of an animation that cannot be decoded as one, the first frame
// is shown.
func TestAnimatedWebP(t *testing.T) {
	still, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==") // one pixel
	if err != nil {
		t.Fatal(err)
	}
	chunk := func(kind string, content []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(content))), content...)
	}
	frame := chunk("ANMF", append(make([]byte, 16), still[12:]...))
	head := []byte{2, 0, 0, 0, 0x8f, 1, 0, 0x2b, 1, 0} // animated, 400×300
	body := append([]byte("WEBP"), chunk("VP8X", head)...)
	body = append(append(append(body, chunk("ANIM", make([]byte, 6))...), frame...), frame...)
	h := newHouse(t, "", nil)
	alice := h.user(t, "alice")
	id := h.upload(t, alice, "a.webp", "image/webp", chunk("RIFF", body))
	res, got := h.fetch(t, alice, http.MethodGet, newSmall+id+"?width=96&height=96&method=crop&animated=true", "", nil)
	if _, _, err := image.Decode(bytes.NewReader(got)); err != nil || res.StatusCode != 200 {
		t.Errorf("%d %q, %v", res.StatusCode, got[:min(len(got), 200)], err)
	}
}
