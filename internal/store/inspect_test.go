package store

import "testing"

func TestVersionsAreComparedByNumber(t *testing.T) {
	for name, c := range map[string]struct {
		engine  Engine
		version string
		old     bool
	}{
		"the last sqlite that is too old":    {SQLite, "3.51.2", true},
		"the first sqlite that is not":       {SQLite, "3.51.3", false},
		"numbers, not letters":               {SQLite, "3.100.0", false},
		"the last postgres that is too old":  {PostgreSQL, "13.22", true},
		"the first postgres that is not":     {PostgreSQL, "14.0", false},
		"what a distribution writes after":   {PostgreSQL, "17.2 (Debian 17.2-1)", false},
		"a version that is no number at all": {PostgreSQL, "unknown", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (Condition{Engine: c.engine, Version: c.version}).OldVersion(); got != c.old {
				t.Errorf("%s %s is old: %v", c.engine, c.version, got)
			}
		})
	}
}
