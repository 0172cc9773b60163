//go:build unix && !linux

package postgres

import "syscall"

// attributes runs a child as who. Only Linux can end it together with us, so
// elsewhere a killed test process leaves its server to be ended by hand.
func attributes(who *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}
}
