package faults

import (
	"fmt"
	"os"
	"syscall"
)

// needsRoot says why a disk cannot be filled here, empty when it can.
func needsRoot() string {
	if os.Geteuid() != 0 {
		return "only root can mount a small disk to fill"
	}
	return ""
}

// mount makes a small disk of its own in memory.
func mount(path string, size int) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return os.NewSyscallError("mount", syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)))
}

func unmount(path string) error { return os.NewSyscallError("unmount", syscall.Unmount(path, 0)) }
