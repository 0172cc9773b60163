//go:build unix

package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// StartDurable is [Start] of a cluster that keeps what it committed when its
// server is killed. fsync stays off: a killed process loses nothing that the
// operating system has, and no test takes the power away.
func StartDurable() (*Cluster, error) {
	return start("fsync=off", "synchronous_commit=on", "full_page_writes=on")
}

// Crash ends the server at once and without a checkpoint, as `pg_ctl stop -m
// immediate` does. [Cluster.Resume] starts it again.
func (c *Cluster) Crash() error { return c.down(syscall.SIGQUIT) }

// Kill ends the postmaster with SIGKILL. Its children notice by themselves.
func (c *Cluster) Kill() error { return c.down(syscall.SIGKILL) }

func (c *Cluster) down(how syscall.Signal) error {
	server := c.server
	c.server = nil
	if err := server.Process.Signal(how); err != nil {
		return err
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the server did not end in %s:\n%s", patience, c.log)
	}
}

// Resume starts a server that was ended, where it was.
func (c *Cluster) Resume() error { return c.serve() }

// standbyName is what a standby calls itself to its primary.
const standbyName = "standby"

// Standby makes a hot standby of the cluster, and returns when the cluster waits
// for it at every commit.
func (c *Cluster) Standby() (*Cluster, error) {
	s, err := newCluster(c.settings)
	if err != nil {
		return nil, err
	}
	s.password = c.password
	if err := s.follow(c); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// follow copies the primary and waits until it has the standby in step.
func (s *Cluster) follow(primary *Cluster) error {
	u, err := url.Parse(primary.dsn)
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("application_name", standbyName)
	u.RawQuery = q.Encode()
	if err := s.run("pg_basebackup", "--pgdata", filepath.Join(s.folder, "data"), "--dbname", u.String(),
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"); err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	if err := execute(primary.dsn, "ALTER SYSTEM SET synchronous_standby_names = '"+standbyName+"'", "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	return until(primary.dsn, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
}

// Promote makes a standby a primary.
func (c *Cluster) Promote() error {
	return execute(c.dsn, "SELECT pg_promote(true, "+strconv.Itoa(int(patience.Seconds()))+")")
}

// Host is where the server listens, as host:port.
func (c *Cluster) Host() string {
	u, err := url.Parse(c.dsn)
	if err != nil {
		return ""
	}
	return u.Host
}

// until asks until the answer is true.
func until(dsn, question string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer d.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var yes bool
		if err := d.QueryRowContext(ctx, question).Scan(&yes); err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", question, patience)
		case <-tick.C:
		}
	}
}
