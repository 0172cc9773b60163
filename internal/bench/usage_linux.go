package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of CPU time in /proc (proc(5), USER_HZ).
const tick = 10 * time.Millisecond

// processes finds those of a database.
type processes struct{ postmaster int }

// spent is CPU time, of user and system together.
type spent struct{ server, database, driver time.Duration }

func (s spent) minus(o spent) spent {
	return spent{s.server - o.server, s.database - o.database, s.driver - o.driver}
}

// usage reads what every process has spent until now.
func (b *installation) usage() spent {
	return spent{server: stat(b.node.PID()).cpu, database: b.database.cpu(), driver: ownCPU()}
}

// ownCPU is what this process has spent.
func ownCPU() time.Duration {
	var own syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}

// cpu sums the database's processes, and those of its that have ended.
func (p processes) cpu() time.Duration {
	if p.postmaster == 0 {
		return 0
	}
	first := stat(p.postmaster)
	sum := first.cpu + first.ended
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		if one := stat(pid); one.parent == p.postmaster {
			sum += one.cpu
		}
	}
	return sum
}

type statLine struct {
	parent     int
	cpu, ended time.Duration
}

// stat reads /proc/PID/stat: fields 4, 14 and 15, and 16 and 17 of children that
// have been waited for.
func stat(pid int) statLine {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return statLine{}
	}
	rest := string(text)
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // the name may hold spaces
	if len(fields) < 15 {
		return statLine{}
	}
	number := func(field int) time.Duration {
		n, _ := strconv.Atoi(fields[field-3])
		return time.Duration(n)
	}
	return statLine{parent: int(number(4)), cpu: (number(14) + number(15)) * tick, ended: (number(16) + number(17)) * tick}
}

// resident is the memory of a process in 10^6 bytes.
func resident(pid int) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return float64(pages*os.Getpagesize()) / 1e6
}

// peak is the most memory that an ended process had, in 10^6 bytes.
func peak(state *os.ProcessState) float64 {
	if used, ok := state.SysUsage().(*syscall.Rusage); ok {
		return float64(used.Maxrss) * 1024 / 1e6
	}
	return 0
}
