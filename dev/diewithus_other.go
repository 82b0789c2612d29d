//go:build !linux

package main

import "syscall"

// dieWithUs: only Linux can tie a child's life to ours.
func dieWithUs(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}
}
