package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	_ "image/gif" // the kinds of pictures that thumbnails are made of
	"image/jpeg"
	"image/png"
	"io"

	_ "golang.org/x/image/webp"

	"hearth/base/db"
	"hearth/base/store"
	"hearth/matrix/mxerr"

	"golang.org/x/image/draw"
)

const (
	// maxPicture bounds the bytes that a picture takes in memory, of which there is
	// one at a time.
	maxPicture = 160 << 20
	// maxSource bounds the bytes of a file of which thumbnails are made.
	maxSource = 64 << 20
	// jpegQuality is enough for something small.
	jpegQuality = 82
)

// size is a size in which thumbnails are made, so that clients that ask for any
// size do not fill the disk (client-server-api/#thumbnails).
type size struct {
	width, height int
	method        string
	motion        Motion
}

// Motion is what becomes of an animation.
type Motion string

// The kinds of motion.
const (
	Still  Motion = ""
	Moving Motion = " moving" // it moves, if that can be done
)

// kind is by what thumbnails are told apart that have the same size.
func (s size) kind() string { return s.method + string(s.motion) }

// Methods of making something small.
const (
	Crop  = "crop"
	Scale = "scale"
)

var sizes = []size{
	{width: 32, height: 32, method: Crop},
	{width: 96, height: 96, method: Crop},
	{width: 320, height: 240, method: Scale},
	{width: 640, height: 480, method: Scale},
	{width: 800, height: 600, method: Scale},
}

// sizeFor is the smallest size that is at least as large as asked for, by the
// method asked for, or the largest.
func sizeFor(width, height int, method string) size {
	var best size
	for _, s := range sizes {
		if s.method != method {
			continue
		}
		best = s
		if s.width >= width && s.height >= height {
			return s
		}
	}
	if method == Crop && (width > best.width || height > best.height) {
		return sizeFor(width, height, Scale) // nothing is cut off a large one
	}
	return best
}

// Thumbnail returns a small picture of a file, at least as large as asked for if
// the file is; a small file is returned as it is. Errors are those of Open,
// M_UNKNOWN with status 400 for what is no picture, and M_TOO_LARGE.
func (e *Engine) Thumbnail(ctx context.Context, w Want, width, height int, method string, motion Motion) (f *File, err error) {
	want := sizeFor(width, height, method)
	want.motion = motion
	err = e.show(ctx, w, func(m store.Media) error {
		f, err = e.thumbnail(ctx, m, want)
		return err
	})
	if refused, ok := errors.AsType[*mxerr.Error](err); ok && refused.Code == mxerr.TooLarge && w.Origin != string(e.Server) {
		err = errTooLarge().WithStatus(502)
	}
	return f, err
}

func (e *Engine) thumbnail(ctx context.Context, m store.Media, want size) (*File, error) {
	var have []store.Thumbnail
	err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
		have, err = store.ThumbnailsOf(tx, m.Hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, t := range have {
		if t.Width == int64(want.width) && t.Height == int64(want.height) && t.Method == want.kind() {
			return e.openThumbnail(ctx, m, t)
		}
	}
	t, err := e.draw(ctx, m, want)
	if err != nil {
		return nil, err
	}
	return e.openThumbnail(ctx, m, t)
}

// openThumbnail opens a thumbnail; one without bytes of its own is the file.
func (e *Engine) openThumbnail(ctx context.Context, m store.Media, t store.Thumbnail) (*File, error) {
	if t.Hash == m.Hash {
		return e.open(ctx, m)
	}
	m.Type, m.Size, m.Hash, m.Name = t.Type, t.Size, t.Hash, "thumbnail"
	return e.open(ctx, m)
}

// draw makes a thumbnail and stores it.
func (e *Engine) draw(ctx context.Context, m store.Media, want size) (t store.Thumbnail, err error) {
	t = store.Thumbnail{Source: m.Hash, Width: int64(want.width), Height: int64(want.height), Method: want.kind(), Type: m.Type, Size: m.Size, Hash: m.Hash}
	if m.Size > maxSource {
		return t, errTooLarge()
	}
	select {
	case e.drawing <- struct{}{}:
		defer func() { <-e.drawing }()
	case <-ctx.Done():
		return t, ctx.Err()
	}
	f, err := e.Blobs.Open(ctx, m.Hash)
	if err != nil {
		return t, err
	}
	defer f.Close()
	small, typ, err := shrink(f, want)
	if err != nil {
		return t, err
	}
	if small == nil {
		return t, e.DB.Write(ctx, func(tx *db.Tx) error { return setThumbnail(tx, t) })
	}
	draft, err := e.Blobs.Write(ctx, bytes.NewReader(small))
	if err != nil {
		return t, err
	}
	defer draft.Discard()
	t.Type, t.Size, t.Hash = typ, draft.Size, draft.Name
	if err = e.keep(ctx, draft, func(tx *db.Tx) error { return setThumbnail(tx, t) }); err != nil {
		err = errors.Join(err, e.drop(context.WithoutCancel(ctx), t.Hash))
	}
	return t, err
}

// setThumbnail stores a thumbnail of a file that is still there.
func setThumbnail(tx *db.Tx, t store.Thumbnail) error {
	there, err := store.MediaWithBytes(tx, t.Source)
	if err == nil && !there {
		err = errNotFound()
	}
	if err != nil {
		return err
	}
	return store.SetThumbnail(tx, t)
}

func errTooLarge() *mxerr.Error {
	return mxerr.New(mxerr.TooLarge, "The picture is too large to make a small one of it")
}

func errNoPicture() error {
	return mxerr.New(mxerr.Unknown, "There are no thumbnails of this kind of file").WithStatus(400)
}

// shrink makes a picture small. It returns nil for one that is small enough.
func shrink(f io.ReadSeeker, want size) (out []byte, typ string, err error) {
	cfg, format, err := image.DecodeConfig(f)
	if err != nil {
		return nil, "", errNoPicture()
	}
	perPixel := bytesPerPixel(cfg.ColorModel)
	if format == "gif" {
		perPixel = 4 // of the canvas for a frame
	}
	if int64(cfg.Width)*int64(cfg.Height) > maxPicture/perPixel {
		return nil, "", errTooLarge()
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	turn := orientation(f, format)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, "", err
	}
	fits := cfg.Width <= want.width && cfg.Height <= want.height && turn == 1
	if fits && want.motion == Moving {
		return nil, "", nil
	}
	if format == "gif" && want.motion == Moving {
		if out, ok, err := animate(f, want); ok || err != nil {
			return out, "image/gif", err
		}
	}
	if fits {
		if moving, err := moves(f, format); err != nil || !moving {
			return nil, "", err
		}
	}
	src, _, err := image.Decode(f)
	if err != nil && format == "webp" {
		src, err = firstOfWebP(f)
	}
	if err != nil {
		return nil, "", errNoPicture()
	}
	if whole := image.Rect(0, 0, cfg.Width, cfg.Height); format == "gif" && src.Bounds() != whole { // the first frame may be a part
		canvas := image.NewRGBA(whole)
		draw.Draw(canvas, src.Bounds(), src, src.Bounds().Min, draw.Src)
		src = canvas
	}
	if turn >= 5 { // it lies on its side, and so must the frame
		want.width, want.height = want.height, want.width
	}
	dst := turned(fit(src, want), turn)
	var b bytes.Buffer
	if typ = "image/jpeg"; dst.Opaque() && format != "png" && format != "gif" {
		err = jpeg.Encode(&b, dst, &jpeg.Options{Quality: jpegQuality})
	} else {
		typ = "image/png"
		err = png.Encode(&b, dst)
	}
	return b.Bytes(), typ, err
}

// moves tells whether a file is an animation.
func moves(f io.ReadSeeker, format string) (bool, error) {
	frames := 1
	switch r := bufio.NewReader(f); format {
	case "gif":
		frames, _, _ = countFrames(r) // of a broken one some
	case "png":
		if pngChunk(r, "acTL") != nil {
			frames = 2
		}
	case "webp":
		if webpChunk(r, "ANIM") != nil {
			frames = 2
		}
	}
	_, err := f.Seek(0, io.SeekStart)
	return frames != 1, err
}

// bytesPerPixel is what a pixel takes when it is decoded.
func bytesPerPixel(m color.Model) int64 {
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	switch m {
	case color.GrayModel:
		return 1
	case color.YCbCrModel:
		return 3
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	return 4
}

// fit draws a picture in a frame: cut to fill it, or scaled to be in it.
func fit(src image.Image, want size) *image.RGBA {
	from := src.Bounds()
	w, h := from.Dx(), from.Dy()
	if want.method == Crop {
		// The part of the middle that has the frame's shape.
		cw, ch := w, w*want.height/want.width
		if ch > h {
			cw, ch = h*want.width/want.height, h
		}
		cw, ch = max(cw, 1), max(ch, 1)
		x, y := from.Min.X+(w-cw)/2, from.Min.Y+(h-ch)/2
		from = image.Rect(x, y, x+cw, y+ch)
		w, h = min(want.width, cw), min(want.height, ch)
	} else {
		tw, th := want.width, h*want.width/w
		if th > want.height {
			tw, th = w*want.height/h, want.height
		}
		if tw < w || th < h { // never larger than it is
			w, h = max(tw, 1), max(th, 1)
		}
	}
	dst := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.ApproxBiLinear.Scale(dst, dst.Bounds(), src, from, draw.Src, nil)
	return dst
}

// turned is a picture as its camera was held (EXIF 2.3, 4.6.4, "Orientation").
func turned(src *image.RGBA, orientation int) *image.RGBA {
	if orientation <= 1 || orientation > 8 {
		return src
	}
	w, h := src.Bounds().Dx(), src.Bounds().Dy()
	dw, dh := w, h
	if orientation >= 5 {
		dw, dh = h, w
	}
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	for y := range h {
		for x := range w {
			var dx, dy int
			switch orientation {
			case 2:
				dx, dy = w-1-x, y
			case 3:
				dx, dy = w-1-x, h-1-y
			case 4:
				dx, dy = x, h-1-y
			case 5:
				dx, dy = y, x
			case 6:
				dx, dy = h-1-y, x
			case 7:
				dx, dy = h-1-y, w-1-x
			case 8:
				dx, dy = y, w-1-x
			}
			dst.SetRGBA(dx, dy, src.RGBAAt(x, y))
		}
	}
	return dst
}

// dimensions are those of a picture.
func dimensions(f io.Reader) (width, height int, ok bool) {
	cfg, _, err := image.DecodeConfig(f)
	return cfg.Width, cfg.Height, err == nil
}
