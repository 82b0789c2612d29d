package main

import "syscall"

// dieWithUs has the kernel stop the child when we are killed, so that a run
// that was cut short leaves no database server behind. SIGINT is PostgreSQL's
// fast shutdown.
func dieWithUs(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Pdeathsig: syscall.SIGINT, Setpgid: true}
}
