// Package hearth is the root of the module and holds no code of its own, only
// the test that keeps the layers in order (layout_test.go).
//
// The program is cmd/hearth; docs/develop.md says where everything else lives.
package hearth
