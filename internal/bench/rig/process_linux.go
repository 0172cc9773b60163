package rig

import "syscall"

// attributes has the kernel end a child when we end, even by kill -9, and keeps
// an interrupt of ours from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
