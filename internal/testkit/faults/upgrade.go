package faults

import (
	"context"
	"fmt"
	"strings"

	"github.com/wanbi/wanbi/internal/bench/rig"
)

// upgraded migrates under two old nodes that serve, restarts one of them as it is,
// and then replaces both (docs/decisions/012-rolling-upgrades.md).
func upgraded(ctx context.Context, o Options, engine Engine) (Result, error) {
	return o.on(ctx, engine, 2, func(ctx context.Context, w *World) error {
		old, next := w.Installation, *w.Installation
		next.Program = o.Next
		for _, step := range []struct {
			says string
			do   func() error
		}{
			{"the next program migrates while both old ones serve", func() error {
				out, err := (&rig.Node{Installation: &next, Name: w.Nodes[0].Name}).Do(ctx, "migrate")
				if err == nil && !strings.Contains(out, "_next.sql") {
					err = fmt.Errorf("it took no step: %s", out)
				}
				return err
			}},
			{"an old one starts again on the newer schema", func() error { return w.replace(ctx, w.Nodes[0], old) }},
			{"the first is replaced", func() error { return w.replace(ctx, w.Nodes[0], &next) }},
			{"the second is replaced", func() error { return w.replace(ctx, w.Nodes[1], &next) }},
		} {
			if err := w.progress(ctx, 20); err != nil {
				return err
			}
			w.broke++
			if err := step.do(); err != nil {
				return fmt.Errorf("%s: %w", step.says, err)
			}
			w.Say("%s, after %d acknowledged steps\n", step.says, w.driver.acknowledged())
		}
		return w.progress(ctx, 20)
	})
}

// replace stops a node as an operator does and starts it with the installation's
// program, while clients go to the others.
func (w *World) replace(ctx context.Context, n *rig.Node, with *rig.Installation) error {
	var others []*rig.Node
	for _, other := range w.Nodes {
		if other != n {
			others = append(others, other)
		}
	}
	w.serving(others...)
	if err := n.Stop(); err != nil {
		return err
	}
	n.Installation = with
	if err := n.Start(ctx, "serve"); err != nil {
		return err
	}
	w.serving(w.Nodes...)
	return nil
}
