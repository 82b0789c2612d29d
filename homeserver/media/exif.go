package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
)

// orientation reads from a file how the camera was held, 1 for upright or unknown
// (EXIF 2.3, 4.5.4 and 4.6.4).
func orientation(f io.Reader, format string) int {
	o := 0
	switch r := bufio.NewReader(f); format {
	case "jpeg":
		o = jpegOrientation(r)
	case "png":
		o = exifOrientation(pngChunk(r, "eXIf"))
	case "webp":
		o = exifOrientation(bytes.TrimPrefix(webpChunk(r, "EXIF"), exifHead)) // which some programs write
	}
	return max(o, 1)
}

// exifHead begins the segment in a JPEG file.
var exifHead = []byte("Exif\x00\x00")

// jpegOrientation is what the APP1 segment says, 0 for nothing.
func jpegOrientation(r *bufio.Reader) int {
	var marker [4]byte
	if _, err := io.ReadFull(r, marker[:2]); err != nil || marker[0] != 0xFF || marker[1] != 0xD8 {
		return 0
	}
	for {
		if _, err := io.ReadFull(r, marker[:]); err != nil || marker[0] != 0xFF {
			return 0
		}
		n := int(binary.BigEndian.Uint16(marker[2:])) - 2
		if n < 0 || marker[1] == 0xDA { // the picture begins
			return 0
		}
		if marker[1] != 0xE1 {
			if _, err := r.Discard(n); err != nil {
				return 0
			}
			continue
		}
		segment := make([]byte, n) // at most 64 KiB
		if _, err := io.ReadFull(r, segment); err != nil {
			return 0
		}
		if tags, ok := bytes.CutPrefix(segment, exifHead); ok {
			return exifOrientation(tags)
		}
	}
}

// maxChunk bounds the chunks that are looked into.
const maxChunk = 64 << 10

// pngChunk is the content of a chunk that stands before the picture, nil if there
// is none (PNG, third edition, 5.3).
func pngChunk(r *bufio.Reader, kind string) []byte {
	const signature, crc = 8, 4
	if _, err := r.Discard(signature); err != nil {
		return nil
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil || string(head[4:]) == "IDAT" {
			return nil
		}
		size := binary.BigEndian.Uint32(head[:])
		if string(head[4:]) == kind {
			return content(r, size)
		}
		if size > maxSource {
			return nil
		}
		if _, err := r.Discard(int(size) + crc); err != nil {
			return nil
		}
	}
}

// webpChunk is the content of a chunk, nil if there is none (RFC 9649, 2.3).
func webpChunk(r *bufio.Reader, kind string) []byte {
	const riff = 12
	if _, err := r.Discard(riff); err != nil {
		return nil
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return nil
		}
		size := binary.LittleEndian.Uint32(head[4:])
		if string(head[:4]) == kind {
			return content(r, size)
		}
		if size > maxSource {
			return nil
		}
		if _, err := r.Discard(int(size + size&1)); err != nil {
			return nil
		}
	}
}

// content reads a chunk that is not too long.
func content(r io.Reader, size uint32) []byte {
	if size > maxChunk {
		return nil
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil
	}
	return b
}

// exifOrientation finds the tag in what EXIF says, 0 if it is not there.
func exifOrientation(b []byte) int {
	const tag = 0x0112
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int(order.Uint32(b[4:]))
	if at < 8 || at+2 > len(b) {
		return 0
	}
	n := int(order.Uint16(b[at:]))
	for at += 2; n > 0 && at+12 <= len(b); n, at = n-1, at+12 {
		if order.Uint16(b[at:]) == tag {
			if o := int(order.Uint16(b[at+8:])); o >= 1 && o <= 8 {
				return o
			}
			return 0
		}
	}
	return 0
}
