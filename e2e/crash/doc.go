// Package crash tests that nothing acknowledged is lost: when the server is
// killed again and again under load, when it is asked to stop, and when the disk
// is full.
package crash
