// Command withpostgres runs a command with a throwaway PostgreSQL:
//
//	withpostgres go test ./...
//
// The command finds the cluster's DSN in WANBI_TEST_POSTGRES, so that all packages
// of one test run share it. A cluster that the variable names already is used
// as it is. The exit status is the command's.
//
// Trust: none is asked for; it runs what it is told as whoever started it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	status, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		status = max(status, 1)
	}
	os.Exit(status)
}

// run starts the cluster, runs the command to its end, and stops the cluster.
func run(command []string) (status int, err error) {
	if os.Getenv(postgres.Environment) == "" {
		cluster, failed := postgres.Start()
		if failed != nil {
			return 1, failed
		}
		defer func() { err = errors.Join(err, cluster.Stop()) }()
		if err := os.Setenv(postgres.Environment, cluster.DSN()); err != nil {
			return 1, err
		}
	}
	// An interrupt reaches the command too; it ends first, and then we do.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGTERM {
				_ = child.Process.Signal(s) // it may have ended already
			}
		case err := <-ended:
			var failed *exec.ExitError
			if errors.As(err, &failed) {
				return max(failed.ExitCode(), 1), nil
			}
			return 0, err
		}
	}
}
