package main

import (
	"fmt"

	"github.com/wanbi/wanbi/internal/store"
	"github.com/wanbi/wanbi/internal/store/db"
)

type jobsCommand struct {
	settings
	Most int32 `help:"How many, the newest first." default:"50"`
}

// Help is what --help says beside the flags.
func (jobsCommand) Help() string {
	return `A message, a call to a host or another piece of work that failed for good, or for about half a day, is a dead letter: it is not tried again, and stays listed here with the reason. What it would have said is not shown.

Exit code 1: there are dead letters.

Example:

    wanbi jobs --config /etc/wanbi/wanbi.yaml`
}

func (c jobsCommand) Run(s std) error {
	if c.Most < 1 {
		return fmt.Errorf("--most %d: a number from 1", c.Most)
	}
	d, _, err := c.openLog(s)
	if err != nil {
		return err
	}
	defer d.Close()
	var dead []db.DeadJobsRow
	err = d.Read(s.ctx, func(q *db.Queries) (err error) {
		dead, err = q.DeadJobs(s.ctx, c.Most)
		return err
	})
	if err != nil {
		return err
	}
	for _, job := range dead {
		s.printf("%s  %-18s tried %d times, given up %s: %s\n", job.ID, job.Kind, job.Attempt, moment(store.Time(job.DeadAt)), job.LastError)
	}
	if len(dead) > 0 {
		return found{fmt.Errorf("%d dead letters", len(dead))}
	}
	s.printf("no dead letters\n")
	return nil
}
