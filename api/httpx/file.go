package httpx

import (
	"io"
	"net/http"
	"time"
)

// File answers with bytes, or with the ranges of them that the request asks for
// (RFC 9110, section 14). The headers must be set before; ETag, if there is one,
// lets clients keep what they have.
func File(w http.ResponseWriter, r *http.Request, modified time.Time, size int64, content io.ReadSeeker) {
	hurryReader(w, int(size))
	http.ServeContent(w, r, "", modified, content)
}
