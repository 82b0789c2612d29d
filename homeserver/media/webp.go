package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// firstOfWebP decodes the first frame of an animated WebP, which the decoder of
// still ones refuses. A frame is stored like a picture of its own, below a header
// (RFC 9649, 2.7.1.1).
func firstOfWebP(f io.ReadSeeker) (image.Image, error) {
	const riff, frameHead = 12, 16
	if _, err := f.Seek(riff, io.SeekStart); err != nil {
		return nil, err
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(f, head[:]); err != nil {
			return nil, err
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		if string(head[:4]) != "ANMF" {
			if _, err := f.Seek(size+size&1, io.SeekCurrent); err != nil {
				return nil, err
			}
			continue
		}
		if size < frameHead || size > maxSource {
			return nil, io.ErrUnexpectedEOF
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(f, frame); err != nil {
			return nil, err
		}
		width, height, chunks := frame[6:9], frame[9:12], frame[frameHead:]
		var b bytes.Buffer
		b.WriteString("RIFF\x00\x00\x00\x00WEBP")
		if len(chunks) > 4 && string(chunks[:4]) == "ALPH" { // which only the extended form may have
			b.WriteString("VP8X\x0a\x00\x00\x00\x10\x00\x00\x00")
			b.Write(width)
			b.Write(height)
		}
		b.Write(chunks)
		binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(b.Len()-8))
		cfg, _, err := image.DecodeConfig(bytes.NewReader(b.Bytes()))
		if err != nil || cfg.Width*cfg.Height > maxPicture/4 { // it need not be as large as the whole says
			return nil, image.ErrFormat
		}
		img, _, err := image.Decode(&b)
		return img, err
	}
}
