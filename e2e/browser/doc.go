// Package browser tests Hearth with headless Chromium pages on matrix-js-sdk. Two
// people talk and call each other through its TURN server; and they encrypt what
// they say, compare emoji, and one gets her history back on a new device.
//
// The Go tests start the server and judge. The stories are run.mjs and
// secret.mjs, what a person can do in them is page.js and secret.js, and
// stage.mjs is what they share. The TURN transport of a call is chosen in path.js.
package browser
