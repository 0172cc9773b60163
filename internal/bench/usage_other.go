//go:build !linux

package bench

import (
	"os"
	"time"
)

// Where there is no /proc, CPU and memory are left out: every figure is 0.

type processes struct{ postmaster int }

func (processes) cpu() time.Duration { return 0 }

func ownCPU() time.Duration { return 0 }

type spent struct{ server, database, driver time.Duration }

func (s spent) minus(spent) spent { return s }

func (b *installation) usage() spent { return spent{} }

func resident(int) float64 { return 0 }

func peak(*os.ProcessState) float64 { return 0 }
