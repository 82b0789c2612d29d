// Package hostile runs every route of a server against what nobody should send:
// broken bodies, foreign rooms, wrong tokens, absurd numbers. Each must be
// answered with the right Matrix error, and leave nothing behind.
package hostile
