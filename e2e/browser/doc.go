// Package browser tests Hearth with two headless Chromium pages on
// matrix-js-sdk: they talk, and they call each other through its TURN server.
//
// The Go test starts the server and judges; the story is run.mjs, what a person
// can do is page.js, and the TURN transport of a call is chosen in path.js.
package browser
