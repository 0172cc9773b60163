package postgres

import "syscall"

// attributes runs a child as who, and has the kernel send it a signal when we
// end, even by kill -9.
func attributes(who *syscall.Credential, whenWeEnd syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Pdeathsig: whenWeEnd, Setpgid: true}
}
