package media

import (
	"bufio"
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"io"

	"golang.org/x/image/draw"
)

const (
	// maxFrames and maxMotion bound an animation: its frames, and their pixels in
	// all, before and after they are made small. What has more stands still.
	maxFrames = 500
	maxMotion = 64 << 20
)

// animate makes an animation small. ok is false for a file that is none, or has
// too much in it.
func animate(f io.ReadSeeker, want size) (out []byte, ok bool, err error) {
	frames, pixels, err := countFrames(bufio.NewReader(f))
	if _, seekErr := f.Seek(0, io.SeekStart); seekErr != nil {
		return nil, false, seekErr
	}
	if err != nil || frames < 2 || frames > maxFrames || pixels > maxMotion {
		return nil, false, nil
	}
	src, err := gif.DecodeAll(f)
	if _, seekErr := f.Seek(0, io.SeekStart); seekErr != nil {
		return nil, false, seekErr
	}
	if err != nil {
		return nil, false, nil
	}
	if frames*want.width*want.height > maxMotion || src.Config.Width*src.Config.Height > maxPicture/8 {
		return nil, false, nil
	}
	canvas := image.NewRGBA(image.Rect(0, 0, src.Config.Width, src.Config.Height))
	dst := &gif.GIF{Delay: src.Delay, LoopCount: src.LoopCount}
	for i, frame := range src.Image {
		before := canvas
		if src.Disposal[i] == gif.DisposalPrevious {
			before = image.NewRGBA(canvas.Bounds())
			copy(before.Pix, canvas.Pix)
		}
		draw.Draw(canvas, frame.Bounds(), frame, frame.Bounds().Min, draw.Over)
		small := paletted(fit(canvas, want), frame.Palette)
		dst.Image = append(dst.Image, small)
		// Each frame is whole, so nothing of the one before may stay.
		dst.Disposal = append(dst.Disposal, gif.DisposalBackground)
		switch src.Disposal[i] {
		case gif.DisposalBackground:
			draw.Draw(canvas, frame.Bounds(), image.Transparent, image.Point{}, draw.Src)
		case gif.DisposalPrevious:
			canvas = before
		}
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, dst); err != nil {
		return nil, false, err
	}
	return b.Bytes(), true, nil
}

// paletted is a picture in the colours of p and one that is transparent. Colours
// that differ by less than the eye sees are looked up once.
func paletted(src *image.RGBA, p color.Palette) *image.Paletted {
	colours := append(color.Palette{color.Transparent}, p[:min(len(p), 255)]...)
	dst := image.NewPaletted(src.Bounds(), colours)
	var known [1 << 15]uint16
	for i := 0; i < len(src.Pix); i += 4 {
		r, g, b, a := src.Pix[i], src.Pix[i+1], src.Pix[i+2], src.Pix[i+3]
		if a < 128 {
			continue // index 0
		}
		key := int(r>>3)<<10 | int(g>>3)<<5 | int(b>>3)
		if known[key] == 0 {
			known[key] = uint16(colours[1:].Index(color.RGBA{r, g, b, 255})) + 1
		}
		dst.Pix[i/4] = byte(known[key])
	}
	return dst
}

// countFrames reads how many frames a GIF has, and how many pixels in all, without
// decoding them (GIF89a, 18 to 26).
func countFrames(r *bufio.Reader) (frames, pixels int, err error) {
	var head [13]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	if string(head[:3]) != "GIF" {
		return 0, 0, nil
	}
	if err := skipColours(r, head[10]); err != nil {
		return 0, 0, err
	}
	for frames <= maxFrames {
		kind, err := r.ReadByte()
		if err == io.EOF {
			return frames, pixels, nil
		}
		if err != nil {
			return 0, 0, err
		}
		switch kind {
		case 0x21: // an extension
			if _, err := r.Discard(1); err != nil {
				return 0, 0, err
			}
		case 0x2c: // a frame
			var d [9]byte
			if _, err := io.ReadFull(r, d[:]); err != nil {
				return 0, 0, err
			}
			frames++
			pixels += (int(d[4]) | int(d[5])<<8) * (int(d[6]) | int(d[7])<<8)
			if err := skipColours(r, d[8]); err != nil {
				return 0, 0, err
			}
			if _, err := r.Discard(1); err != nil { // the size of codes
				return 0, 0, err
			}
		default: // the trailer, or what is no GIF
			return frames, pixels, nil
		}
		if err := skipBlocks(r); err != nil {
			return 0, 0, err
		}
	}
	return frames, pixels, nil
}

// skipColours skips the table of colours that flags announce.
func skipColours(r *bufio.Reader, flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	_, err := r.Discard(3 << (flags&7 + 1))
	return err
}

func skipBlocks(r *bufio.Reader) error {
	for {
		n, err := r.ReadByte()
		if err != nil || n == 0 {
			return err
		}
		if _, err := r.Discard(int(n)); err != nil {
			return err
		}
	}
}
