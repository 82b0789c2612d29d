// Package gosdk tests Hearth with a Matrix SDK for Go (mautrix-go): two people
// talk through /sync, through simplified sliding sync, and read history back.
package gosdk
