// What the specification has pages run when a stage is done
// (client-server-api/#fallback).
if (window.onAuthDone) {
	window.onAuthDone();
} else if (window.opener && window.opener.postMessage) {
	window.opener.postMessage("authDone", "*");
}
