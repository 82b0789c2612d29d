package httpx

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// File answers with bytes, or with the ranges of them that the request asks for
// (RFC 9110, section 14). The headers must be set before; ETag, if there is one,
// lets clients keep what they have.
func File(w http.ResponseWriter, r *http.Request, modified time.Time, size int64, content io.ReadSeeker) {
	hurryReader(w, int(size))
	if unit, _, _ := strings.Cut(r.Header.Get("Range"), "="); !strings.EqualFold(unit, "bytes") {
		r.Header.Del("Range") // "MUST ignore a Range header field that contains a range unit it does not understand"
	}
	http.ServeContent(w, r, "", modified, content)
}

// Parts answers with bytes as the second of two parts, of which the first says
// nothing (server-server-api/#get_matrixfederationv1mediadownloadmediaid).
func Parts(w http.ResponseWriter, header textproto.MIMEHeader, size int64, content io.Reader) error {
	var frame bytes.Buffer
	parts := multipart.NewWriter(&frame)
	about, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/json"}})
	if err == nil {
		_, err = io.WriteString(about, "{}")
	}
	if err == nil {
		_, err = parts.CreatePart(header)
	}
	if err != nil {
		return err
	}
	head := frame.Len()
	if err := parts.Close(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	w.Header().Set("Content-Length", strconv.FormatInt(int64(frame.Len())+size, 10))
	hurryReader(w, int(size))
	for _, part := range []io.Reader{bytes.NewReader(frame.Bytes()[:head]), io.LimitReader(content, size), bytes.NewReader(frame.Bytes()[head:])} {
		if _, err := io.Copy(w, part); err != nil {
			panic(http.ErrAbortHandler) // the reader must not take half a file for a whole one
		}
	}
	return nil
}
