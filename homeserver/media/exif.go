package media

import (
	"bufio"
	"encoding/binary"
	"io"
)

// orientation reads how the camera was held from a JPEG file, 1 for upright or
// unknown (EXIF 2.3, 4.5.4 and 4.6.4).
func orientation(f io.Reader) int {
	r := bufio.NewReader(f)
	var marker [4]byte
	if _, err := io.ReadFull(r, marker[:2]); err != nil || marker[0] != 0xFF || marker[1] != 0xD8 {
		return 1
	}
	for {
		if _, err := io.ReadFull(r, marker[:]); err != nil || marker[0] != 0xFF {
			return 1
		}
		n := int(binary.BigEndian.Uint16(marker[2:])) - 2
		if n < 0 || marker[1] == 0xDA { // the picture begins
			return 1
		}
		if marker[1] != 0xE1 {
			if _, err := r.Discard(n); err != nil {
				return 1
			}
			continue
		}
		segment := make([]byte, n) // at most 64 KiB
		if _, err := io.ReadFull(r, segment); err != nil {
			return 1
		}
		if o := exifOrientation(segment); o != 0 {
			return o
		}
	}
}

// exifOrientation finds the tag in an APP1 segment, 0 if it is not there.
func exifOrientation(b []byte) int {
	const head, tag = "Exif\x00\x00", 0x0112
	if len(b) < len(head)+8 || string(b[:len(head)]) != head {
		return 0
	}
	b = b[len(head):]
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
