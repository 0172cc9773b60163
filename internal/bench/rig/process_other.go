//go:build !linux

package rig

import "syscall"

// attributes are none: only Linux can end a child together with us.
func attributes() *syscall.SysProcAttr { return nil }
