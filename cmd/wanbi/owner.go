package main

import (
	"os"
	"syscall"
)

// sameOwner gives a new file the owner of another, so that root can replace a
// file that the server's account has to read.
func sameOwner(as, path string) error {
	info, err := os.Stat(as)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
